# SPDX-License-Identifier: Apache-2.0
"""What the memory dialogues of a language are made of: sentences, things to remember, questions in between.

The texts are in `items/memory.LANGUAGE.jsonl`. Words, dishes and distractors are chosen so that nothing to be
remembered occurs in a question, a canned reply or a frame sentence. A thing found in a reply has therefore been
recalled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from chatvector.evaluate.items import load_starter
from chatvector.evaluate.task import Language

Kind = str
"""`symbol` (⚡), `number` (four digits), `word` (an uncommon noun) or `fact` (whose favourite dish is what)."""

KINDS: tuple[Kind, ...] = ("symbol", "number", "word", "fact")
COUNTS = (1, 3)


@dataclass(frozen=True)
class Material:
    """One language's texts.

    Attributes:
        tell, ask: sentences by (kind, count). `tell` has the placeholder `{list}`, or `{subject}` and `{value}` for a
            fact; `ask` has `{subject}` for a fact.
        request, change, correction: "please keep it in mind", "I have changed my mind", "I got that wrong".
        hello, again: a speaker introduces itself, and comes back; both have `{name}`.
        comma: what stands between the things of a list.
        pools: things by kind (none for `number`).
        also: thing → another spelling of it, such as the other script of Chinese.
        speakers: names of speakers.
        friends, relatives: whose dish it is, as a phrase with its particle.
        acknowledgements: canned replies to what was told.
        distractors: pairs of (neutral question, canned reply).
    """

    language: Language
    tell: Mapping[tuple[Kind, int], str]
    ask: Mapping[tuple[Kind, int], str]
    request: str
    change: str
    correction: str
    hello: str
    again: str
    comma: str
    pools: Mapping[Kind, tuple[str, ...]]
    also: Mapping[str, str]
    speakers: tuple[str, ...]
    friends: tuple[str, ...]
    relatives: tuple[str, ...]
    acknowledgements: tuple[str, ...]
    distractors: tuple[tuple[str, str], ...]


@cache
def material(language: Language) -> Material:
    """The language's texts. Raises UsageError for a language that has none."""
    records = {record["id"]: record for record in load_starter("memory", language)}
    frames = {kind: records[f"kind-{kind}"] for kind in KINDS}
    phrases = records["phrases"]
    pools = {"symbol": "pool-symbol", "word": "pool-word", "fact": "pool-food"}
    return Material(
        language=language,
        tell={(kind, int(count)): text for kind in KINDS for count, text in frames[kind]["tell"].items()},
        ask={(kind, int(count)): text for kind in KINDS for count, text in frames[kind]["ask"].items()},
        request=phrases["request"],
        change=phrases["change"],
        correction=phrases["correction"],
        hello=phrases["hello"],
        again=phrases["again"],
        comma=phrases["comma"],
        pools={kind: tuple(records[name]["values"]) for kind, name in pools.items()},
        also={thing: other for name in pools.values() for thing, other in records[name].get("also", {}).items()},
        speakers=tuple(records["speakers"]["values"]),
        friends=tuple(records["friends"]["values"]),
        relatives=tuple(records["relatives"]["values"]),
        acknowledgements=tuple(records["acknowledgements"]["values"]),
        distractors=tuple((each["ask"], each["canned"]) for name, each in records.items() if name[:10] == "distractor"),
    )
