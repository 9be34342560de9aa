# SPDX-License-Identifier: Apache-2.0
"""Copy drill: short documents whose second half can only be predicted by looking back at the first.

In-context copying does not form by itself in the few steps that a one-core training has; a drill of a few hundred
steps before the language brings it about (measured: without it, no symbol is ever recalled).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

from chatvector.lab.world1 import sentences
from chatvector.lab.world1.lexicon import GLYPHS, NAMES, OBJECTS, PLACES, SYMBOLS
from chatvector.lab.world1.text import Language, Pair

Copy = tuple[str, str]
"""What is told, and what repeats it: only the second part counts in the loss, because the first is noise."""

_WORDS = [pair.en for pair in (*PLACES, *OBJECTS.all)] + [pair.ko for pair in (*PLACES, *OBJECTS.all)]


def _token(rng: Random) -> str:
    kind = rng.randrange(4)
    if kind == 0:
        return rng.choice(SYMBOLS.seen)
    if kind == 1:
        name = rng.choice(NAMES.seen)
        return rng.choice((name.en, name.ko))
    return rng.choice(GLYPHS) if kind == 2 else rng.choice(_WORDS)


def _repeat(rng: Random) -> Copy:
    """A list of unrelated words, said once or twice again."""
    line = " ".join(_token(rng) for _ in range(rng.randrange(2, 7)))
    return line, f"\n{line}" * rng.choice((1, 1, 2))


def _look_up(rng: Random) -> Copy:
    """Keys with values, then the same keys in another order."""
    count = rng.randrange(2, 5)
    keys = [pair[rng.choice(("en", "ko"))] for pair in rng.sample(NAMES.seen, count)]
    lines = [f"{key}: {_token(rng)}" for key in keys]
    return "\n".join(lines), "\n" + "\n".join(rng.sample(lines, count))


def _restate(rng: Random) -> Copy:
    """Statements about people, then the same in another order, in one language."""
    told: list[Pair] = []
    for name in rng.sample(NAMES.seen, rng.randrange(1, 4)):
        told.append(sentences.is_in(name, rng.choice(PLACES)))
        told.append(sentences.has(name, rng.choice(OBJECTS.all)))
    again = rng.sample(told, len(told))
    language: Language = "en" if rng.random() < 0.5 else "ko"
    return " ".join(pair[language] for pair in told), "".join(f" {pair[language]}" for pair in again)


_KINDS: tuple[Callable[[Random], Copy], ...] = (_repeat, _repeat, _look_up, _restate)


def drill(seed: int) -> Iterator[Copy]:
    """Endless drill documents."""
    rng = Random(f"drill {seed}")
    while True:
        yield rng.choice(_KINDS)(rng)
