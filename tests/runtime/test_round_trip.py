# SPDX-License-Identifier: Apache-2.0
"""What a tokenizer keeps of a text is what comes back, and special tokens are no part of it."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from chatvector.evaluate.tasks.memory import unreadable_symbols
from chatvector.runtime.backend import SpellingBackend
from chatvector.runtime.transformers_backend import TransformersBackend


def test_the_demos_tokenizer_has_bytes_for_every_symbol() -> None:
    backend = TransformersBackend.load("demo:base")
    assert isinstance(backend, SpellingBackend)
    assert backend.round_trip("비가 ⚡ 와요") == "비가 ⚡ 와요"
    assert unreadable_symbols("ko", backend.round_trip) == frozenset()
