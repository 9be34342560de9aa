# SPDX-License-Identifier: Apache-2.0
"""The memory battery: which dialogues there are, and their turns.

The design is factorial: 4 kinds × 5 distances × 2 counts × 4 variants, twice. Each dialogue has two forms with the same
turns. `own` feeds the model's own replies back; `canned` puts fixed replies into the history and asks for the last
reply only. Comparing the two separates forgetting from drifting away. The same seed gives the same symbols, numbers,
places of words in their pools, and distractors in every language.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from chatvector.evaluate.task import Item, Turn
from chatvector.evaluate.tasks.memory_material import COUNTS, KINDS, Kind, Material

DISTANCES = (0, 1, 2, 4, 8)
"""Numbers of turns about something else between what has to be remembered and the question."""

VARIANTS = ("recall", "overwrite", "absent", "two-speakers")
"""In order: something is told and asked for; it is told, changed and asked for; something is asked for that was never
told; two speakers tell something and the first one asks."""

REPEATS = 2
_ELSEWHERE = {"symbol": "number", "number": "word", "word": "symbol"}
"""Kind that is asked for in the variant `absent` → kind that is told instead."""


@dataclass(frozen=True)
class Cell:
    """One cell of the design; `count` things are told at a time."""

    kind: Kind
    distance: int
    count: int
    variant: str
    repeat: int

    @property
    def name(self) -> str:
        """A unique name, the same in every language."""
        return f"{self.kind}-{self.variant}-{self.count}-d{self.distance}-r{self.repeat}"


@dataclass(frozen=True)
class Telling:
    """What a dialogue says and asks.

    Attributes:
        said: user turns before the distractors.
        question: the last user turn.
        answer: what has to be recalled, in order; empty if it was never told.
        old: things of the same kind that were told and are not the answer: overwritten, told by the other speaker, or
            told of somebody else.
    """

    said: tuple[str, ...]
    question: str
    answer: tuple[str, ...]
    old: tuple[str, ...]


def cells(seed: int) -> Iterator[Cell]:
    """All 320 cells, in blocks of 20. Each block holds every kind at every distance once, with counts and variants
    mixed differently from block to block."""
    mixed = [(variant, count) for variant in VARIANTS for count in COUNTS]
    Random(f"memory {seed}").shuffle(mixed)
    for repeat in range(REPEATS):
        for block in range(len(mixed)):
            for place in range(len(KINDS) * len(DISTANCES)):  # 4 and 5 have no common factor: every pair comes once
                kind, distance = place % len(KINDS), place % len(DISTANCES)
                variant, count = mixed[(block + 2 * kind + 3 * distance) % len(mixed)]
                yield Cell(KINDS[kind], DISTANCES[distance], count, variant, repeat)


def dialogues(material: Material, seed: int) -> Iterator[Item]:
    """The items of all cells: for each cell the form `own`, then `canned`."""
    for cell in cells(seed):
        rng = Random(f"memory {seed} {cell.name}")
        told = _told(cell, material, rng)
        between = rng.sample(material.distractors, cell.distance)
        turns = [(text, rng.choice(material.acknowledgements)) for text in told.said] + between
        for replies in ("own", "canned"):
            yield Item(
                id=f"{cell.name}-{replies}",
                language=material.language,
                turns=(
                    *(Turn(text, canned if replies == "canned" else None) for text, canned in turns),
                    Turn(told.question),
                ),
                cluster=cell.name,
                expect={"answer": list(told.answer), "old": list(told.old)},
                facets={
                    "kind": cell.kind,
                    "distance": str(cell.distance),
                    "items": str(cell.count),
                    "variant": cell.variant,
                    "replies": replies,
                },
            )


def _told(cell: Cell, material: Material, rng: Random) -> Telling:
    return (_facts if cell.kind == "fact" else _lists)(cell, material, rng)


def _lists(cell: Cell, material: Material, rng: Random) -> Telling:
    """A telling of symbols, numbers or words: a list of things is told, and asked for as a whole."""
    kind, count = cell.kind, cell.count
    ask = material.ask[kind, count]
    if cell.variant == "absent":
        other = _ELSEWHERE[kind]
        return Telling((_remember(_list(other, draw(other, count, material, rng), material), material),), ask, (), ())
    things = draw(kind, 2 * count, material, rng)
    first, second = things[:count], things[count:]
    told = _list(kind, first, material)
    match cell.variant:
        case "recall":
            return Telling((_remember(told, material),), ask, first, ())
        case "overwrite":
            # Only one thing changes, even of three: keeping the others is part of the task.
            changed = list(first)
            place = rng.randrange(count)
            changed[place] = second[0]
            again = _joined(material, material.change, _list(kind, changed, material))
            return Telling((_remember(told, material), again), ask, tuple(changed), (first[place],))
        case _:
            return _two_speakers(material, rng, told, _list(kind, second, material), ask, first, second)


def _facts(cell: Cell, material: Material, rng: Random) -> Telling:
    """A telling of facts: the favourite dishes of `count` people are told, that of one is asked for."""
    subjects = material.relatives if cell.variant == "two-speakers" else material.friends
    asked, *others = rng.sample(subjects, cell.count + 1)
    dishes = draw("fact", 2 * cell.count, material, rng)
    first, second = dishes[: cell.count], dishes[cell.count :]
    named = [asked, *others[:-1]]
    order = rng.sample(range(cell.count), cell.count)

    def told(values: Sequence[str], people: Sequence[str]) -> str:
        return _joined(material, *(_fact(people[place], values[place], material) for place in order))

    ask = material.ask["fact", 1].format(subject=asked)
    rest = first[1:]
    match cell.variant:
        case "recall":
            return Telling((_remember(told(first, named), material),), ask, first[:1], rest)
        case "overwrite":
            change = _joined(material, material.correction, _fact(asked, second[0], material))
            return Telling((_remember(told(first, named), material), change), ask, second[:1], first)
        case "absent":
            return Telling((_remember(told(first, others), material),), ask, (), first)
        case _:
            return _two_speakers(
                material, rng, told(first, named), told(second, named), ask, first[:1], (*rest, *second)
            )


def _two_speakers(
    material: Material,
    rng: Random,
    first: str,
    second: str,
    ask: str,
    answer: Sequence[str],
    old: Sequence[str],
) -> Telling:
    names = rng.sample(material.speakers, 2)
    said = tuple(
        _joined(material, material.hello.format(name=name), _remember(told, material))
        for name, told in zip(names, (first, second), strict=True)
    )
    question = _joined(material, material.again.format(name=names[0]), ask)
    return Telling(said, question, tuple(answer), tuple(old))


def draw(kind: Kind, count: int, material: Material, rng: Random) -> tuple[str, ...]:
    """`count` different things of a kind. Numbers have four digits and do not begin with 19 or 20, as years do."""
    if kind == "number":
        return tuple(map(str, rng.sample([n for n in range(1000, 10_000) if n // 100 not in (19, 20)], count)))
    return tuple(rng.sample(material.pools[kind], count))


def _list(kind: Kind, things: Sequence[str], material: Material) -> str:
    return material.tell[kind, len(things)].format(list=material.comma.join(things))


def _fact(subject: str, value: str, material: Material) -> str:
    text = material.tell["fact", 1].format(subject=subject, value=value)
    return text[0].upper() + text[1:]


def _remember(told: str, material: Material) -> str:
    return _joined(material, told, material.request)


def _joined(material: Material, *sentences: str) -> str:
    """The sentences one after the other. Chinese and Japanese have no space between them if the first ends in 。"""
    return (
        ("" if sentences[0].endswith("。") else " ").join(sentences) if material.comma == "、" else " ".join(sentences)
    )
