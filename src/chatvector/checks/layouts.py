# SPDX-License-Identifier: Apache-2.0
"""Recognise tensors that differ only in layout: another prefix, fused experts, fused projections.

transformers, training wrappers and vendors write the same model under different names. Adding such files would
need a conversion; here they are only recognised, so that the message says what to do.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

# Name components without meaning: wrappers around the same stack of blocks.
_WRAPPERS = frozenset(
    {
        "model",
        "language_model",
        "transformer",
        "text_model",
        "base_model",
        "module",
        "_orig_mod",
        "gpt_neox",
        "backbone",
    }
)

# (spelling in parts, fused spelling, name of the layout)
_FUSIONS = (
    (re.compile(r"\.experts\.\d+\."), re.compile(r"\.experts\.(gate_up_proj|down_proj|w1|w2|w3)$"), "experts"),
    (re.compile(r"\.q_proj\."), re.compile(r"\.(qkv_proj|query_key_value|Wqkv|c_attn)\."), "query, key and value"),
    (re.compile(r"\.gate_proj\."), re.compile(r"\.(gate_up_proj|dense_h_to_4h)\.weight"), "gate and up projection"),
)


def layout_hint(one: Collection[str], one_role: str, other: Collection[str], other_role: str) -> str | None:
    """A sentence on how two sets of tensor names are the same model in two layouts; None if they are not."""
    for wrapper in ("_orig_mod.", "base_model.model.", "module."):
        for names, role in ((one, one_role), (other, other_role)):
            if any(name.startswith(wrapper) for name in names) and not all(
                any(name.startswith(wrapper) for name in side) for side in (one, other)
            ):
                return f"{role} was saved from inside a training wrapper ({wrapper}*): save the inner model again"
    for parts, fused, what in _FUSIONS:
        if _has(one, parts) and _has(other, fused) and not _has(one, fused):
            return _layouts_must_agree(f"{what} are apart in {one_role} and fused in {other_role}")
        if _has(other, parts) and _has(one, fused) and not _has(other, fused):
            return _layouts_must_agree(f"{what} are fused in {one_role} and apart in {other_role}")
    if example := _same_but_for_prefix(one, other):
        examples = f"{one_role}: {example[0]}, {other_role}: {example[1]}"
        return _layouts_must_agree(f"they look like the same tensors under another prefix ({examples})")
    return None


def _layouts_must_agree(finding: str) -> str:
    return f"{finding}: layouts must agree, save all models with one version of transformers (load, save_pretrained)"


def _has(names: Iterable[str], pattern: re.Pattern[str]) -> bool:
    return any(pattern.search(name) for name in names)


def _same_but_for_prefix(one: Collection[str], other: Collection[str]) -> tuple[str, str] | None:
    """The first pair of names that agree only without wrappers; None if fewer than nine in ten of the smaller set agree
    without them, or fewer than half of those differ with them."""
    first = {_bare(name): name for name in sorted(one)}
    second = {_bare(name): name for name in sorted(other)}
    smaller = min(len(first), len(second))
    common = [bare for bare in first if bare in second]
    renamed = [bare for bare in common if first[bare] != second[bare]]
    if smaller == 0 or 10 * len(common) < 9 * smaller or 2 * len(renamed) < len(common):
        return None
    return first[renamed[0]], second[renamed[0]]


def _bare(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in _WRAPPERS)
