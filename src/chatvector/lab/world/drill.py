# SPDX-License-Identifier: Apache-2.0
"""Copy drill: short documents whose second half can only be predicted by looking back at the first.

In-context copying does not form by itself in the few steps that a one-core training has; a drill of a few hundred
steps before the language brings it about (measured: without it, no symbol is ever recalled).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

from chatvector.lab.world import sentences
from chatvector.lab.world.lexicon import GLYPHS, NAMES, OBJECTS, PLACES, SYMBOLS
from chatvector.lab.world.text import Pair

_WORDS = [pair.en for pair in (*PLACES, *OBJECTS.all)] + [pair.ko for pair in (*PLACES, *OBJECTS.all)]


def _token(rng: Random) -> str:
    kind = rng.randrange(4)
    if kind == 0:
        return rng.choice(SYMBOLS.seen)
    if kind == 1:
        name = rng.choice(NAMES.seen)
        return rng.choice((name.en, name.ko))
    return rng.choice(GLYPHS) if kind == 2 else rng.choice(_WORDS)


def _repeat(rng: Random) -> str:
    """A list of unrelated words, said two or three times."""
    line = " ".join(_token(rng) for _ in range(rng.randrange(3, 9)))
    return "\n".join([line] * rng.choice((2, 2, 3)))


def _look_up(rng: Random) -> str:
    """Keys with values, then the same keys in another order."""
    count = rng.randrange(3, 6)
    keys = [pair[rng.choice(("en", "ko"))] for pair in rng.sample(NAMES.seen, count)]
    lines = [f"{key}: {_token(rng)}" for key in keys]
    return "\n".join(lines + rng.sample(lines, count))


def _restate(rng: Random) -> str:
    """Statements about people, then the same in another order, in one language."""
    count = rng.randrange(2, 5)
    names = rng.sample(NAMES.seen, count)
    told: list[Pair] = []
    for name in names:
        told.append(
            sentences.is_in(name, rng.choice(PLACES))
            if rng.random() < 0.5
            else sentences.has(name, rng.choice(OBJECTS.all))
        )
    again = rng.sample(told, count)
    language = "en" if rng.random() < 0.75 else "ko"
    return " ".join(pair[language] for pair in told + again)


_KINDS: tuple[Callable[[Random], str], ...] = (_repeat, _look_up, _restate, _restate)


def drill(seed: int) -> Iterator[str]:
    """Endless drill documents."""
    rng = Random(f"drill {seed}")
    while True:
        yield rng.choice(_KINDS)(rng)
