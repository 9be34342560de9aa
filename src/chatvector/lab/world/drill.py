# SPDX-License-Identifier: Apache-2.0
"""Copy drill: short documents whose second half can only be predicted by looking back at the first.

The few steps of a training on one core are not enough for in-context copying to form by itself. A drill of a few
hundred steps before the training on language brings it about (measured: without it, no symbol is ever recalled).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from random import Random

from chatvector.lab.world import sentences
from chatvector.lab.world.documents import run_on
from chatvector.lab.world.exchanges import Choice, fact
from chatvector.lab.world.lexicon import GLYPHS, NAMES, OBJECTS, PLACES, SYMBOLS
from chatvector.lab.world.text import LANGUAGES, Language, Text, follow

Copy = tuple[str, str]
"""(What is told, what repeats it). Only the second part counts in the loss, because the first is noise."""

_WORDS: tuple[Text, ...] = (*PLACES, *OBJECTS.all)


def _token(rng: Random, languages: Sequence[Language]) -> str:
    kind = rng.randrange(4)
    if kind == 0:
        return rng.choice(SYMBOLS.seen)
    if kind == 1:
        return rng.choice(NAMES.seen)[rng.choice(languages)]
    return rng.choice(GLYPHS) if kind == 2 else rng.choice(_WORDS)[rng.choice(languages)]


def _repeat(rng: Random, languages: Sequence[Language]) -> Copy:
    """A list of unrelated words, repeated once or twice."""
    between = "、" if rng.choice(languages) == "zh-Hant" else " "
    line = between.join(_token(rng, languages) for _ in range(rng.randrange(2, 7)))
    return line, f"\n{line}" * rng.choice((1, 1, 2))


def _look_up(rng: Random, languages: Sequence[Language]) -> Copy:
    """Keys with values, then the same keys in another order."""
    count = rng.randrange(2, 5)
    keys = [name[rng.choice(languages)] for name in rng.sample(NAMES.seen, count)]
    # Chinese has no blanks, so a different token follows the colon: "★" instead of " ★".
    colon = "：" if rng.choice(languages) == "zh-Hant" else ": "
    lines = [f"{key}{colon}{_token(rng, languages)}" for key in keys]
    return "\n".join(lines), "\n" + "\n".join(rng.sample(lines, count))


def _restate(rng: Random, languages: Sequence[Language]) -> Copy:
    """Statements about people, then the same statements in another order, all in one language."""
    told: list[Text] = []
    for name in rng.sample(NAMES.seen, rng.randrange(1, 4)):
        told.append(sentences.is_in(name, rng.choice(PLACES)))
        told.append(sentences.has(name, rng.choice(OBJECTS.all)))
    again = rng.sample(told, len(told))
    language = rng.choice(languages)
    first, second = run_on([text[language] for text in told]), run_on([text[language] for text in again])
    return first, follow(first, second)[len(first) :]


def _find(rng: Random, languages: Sequence[Language]) -> Copy:
    """Something told about a person with a question, then the answer, which repeats a part of it."""
    exchange, language = fact(Choice(rng)), rng.choice(languages)
    return exchange.question[language], f"\n{exchange.answer[language]}"


_KINDS: tuple[Callable[[Random, Sequence[Language]], Copy], ...] = (_repeat, _repeat, _look_up, _restate, _find)


def drill(seed: int, languages: Sequence[Language] = LANGUAGES) -> Iterator[Copy]:
    """Yields drill documents without end."""
    rng = Random(f"drill {seed}")
    while True:
        yield rng.choice(_KINDS)(rng, languages)
