# SPDX-License-Identifier: Apache-2.0
"""Documents that YAML can hold, many of them nearly recipes of mergekit."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

WORDS = (
    *("merge_method", "task_arithmetic", "base_model", "models", "model", "path", "slices", "sources", "parameters"),
    *("weight", "normalize", "lambda", "tokenizer", "tokenizer_source", "source", "base", "union", "chat_template"),
    *("dtype", "out_dtype", "float32", "org/base", "org/chat", "org/target", "/models/chat@v2", "~nobody/a+b"),
)
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2),
    st.sampled_from([10**400, -(10**400)]),
    st.floats(),
    st.dates(),
    st.binary(max_size=3),
    st.sampled_from(WORDS),
    st.text(max_size=4),
)


def _inside(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    entry = st.fixed_dictionaries(
        {"model": parts}, optional={"parameters": st.dictionaries(st.just("weight"), parts, max_size=1) | parts}
    )
    return st.one_of(
        st.lists(parts, max_size=3), st.lists(entry, max_size=3), st.dictionaries(_SCALARS, parts, max_size=3)
    )


_VALUES = st.recursive(_SCALARS, _inside, max_leaves=8)
_KEYS = ("base_model", "models", "parameters", "tokenizer", "tokenizer_source", "chat_template", "dtype", "slices")

DOCUMENTS = _VALUES | st.fixed_dictionaries(
    {"merge_method": st.just("task_arithmetic") | _VALUES},
    optional=dict.fromkeys(_KEYS, _VALUES) | {"base_model": st.sampled_from(WORDS), "surprise": _VALUES},
)
"""Whole documents: plain values of any kind, and mappings with mergekit's keys before values of any kind."""
