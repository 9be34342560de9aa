# SPDX-License-Identifier: Apache-2.0
"""Chat vectors: give a model that speaks a new language its chat ability back, by adding weights.

    import chatvector as cv

    # One call, as the command line does it:
    cv.apply(cv.Recipe(target="org/llama-ko", vectors=[{"base": "org/llama", "chat": "org/llama-chat"}], output="OUT"))

    # The lazy algebra; nothing is read or computed before `save`:
    base, chat, target = (cv.load(name) for name in ("demo:base", "demo:chat", "demo:target"))
    (target + 0.8 * (chat - base)).save("OUT")

Method: "Chat Vector", arXiv 2310.04799. Errors: `chatvector.errors`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from chatvector.algebra import Delta, Weights, load, load_vector
    from chatvector.extraction import extract
    from chatvector.pipeline import Result, apply
    from chatvector.recipe import Recipe, VectorSpec

# Loaded on first use, so that `import chatvector` costs nothing.
_HOMES = {
    "Delta": "chatvector.algebra",
    "Weights": "chatvector.algebra",
    "load": "chatvector.algebra",
    "load_vector": "chatvector.algebra",
    "extract": "chatvector.extraction",
    "Result": "chatvector.pipeline",
    "apply": "chatvector.pipeline",
    "Recipe": "chatvector.recipe",
    "VectorSpec": "chatvector.recipe",
}

__all__ = [
    "Delta",
    "Recipe",
    "Result",
    "VectorSpec",
    "Weights",
    "__version__",
    "apply",
    "extract",
    "load",
    "load_vector",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'chatvector' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
