# SPDX-License-Identifier: Apache-2.0
"""`memory`: does a model still know, some turns later, what it was told?

Metrics count what `scorers.recall` finds in a reply. It has to be exactly what was asked for, in order, and nothing
else of the kind: a reply that names both the old and the new thing, or lists everything, has not answered. `named` is
the lenient figure beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

from chatvector.evaluate.items import starter_languages, starter_source
from chatvector.evaluate.scorers import recall
from chatvector.evaluate.scorers.abstention import abstains
from chatvector.evaluate.task import Answer, Between, Item, Language, Marks, Metric, Services, Source
from chatvector.evaluate.tasks.answers import answer_text
from chatvector.evaluate.tasks.memory_dialogues import dialogues
from chatvector.evaluate.tasks.memory_material import Material, material
from chatvector.runtime.backend import Backend, Sampling, SpellingBackend

_SAMPLING = Sampling(max_new_tokens=256)
_OfSome = partial(Metric, of_some=True)
"""A metric of some dialogues only: those of one form (own or canned replies) and of certain variants."""
_SPLIT = ("distance", "kind", "variant", "items")


def _metrics() -> tuple[Metric, ...]:
    return (
        _OfSome("recall", "recalled exactly, own replies fed back", mark="recalled", by=_SPLIT, primary=True),
        _OfSome("recall_canned", "recalled exactly, canned replies in between", mark="recalled_canned", by=_SPLIT),
        _OfSome("abstention", "says that it was never told", mark="abstained", by=("distance", "kind"), primary=True),
        _OfSome("abstention_canned", "says that it was never told, canned replies in between", mark="abstained_canned"),
        _OfSome("invention", "names what it was never told", mark="invented", by=("kind",), better="lower"),
        _OfSome("named", "names what was asked for, whatever else", mark="named", by=("distance",)),
        _OfSome("stale", "gives what was changed since", mark="stale", by=("distance",), better="lower"),
        _OfSome("mixed_up", "gives the other speaker's", mark="mixed_up", by=("distance",), better="lower"),
        _OfSome("readable", "symbols that the tokenizer keeps", mark="readable", better="neither"),
        _OfSome(
            "recall_readable",
            "recalled exactly, of symbols that the tokenizer keeps",
            mark="recalled_readable",
            by=("distance",),
        ),
        _OfSome("order", "in the right order, where all three are there", mark="ordered"),
        Metric(
            "prompt_tokens",
            "tokens of the last prompt",
            mark="prompt_tokens",
            kind="mean",
            better="neither",
            by=("distance",),
            unit="tokens",
        ),
    )


@dataclass(frozen=True)
class Memory:
    """The generated battery: 640 dialogues per language, half with the model's own replies fed back, half with canned
    ones; see `memory_dialogues`.

    A model cannot recall what it cannot read. While the model is open, and if its tokenizer is accessible, the task
    observes which symbols the tokenizer loses. From this come the marks `readable` and `recalled_readable` of dialogues
    about symbols.
    """

    name: str = "memory"
    axis: str = "memory"
    version: str = "2"
    languages: tuple[Language, ...] = field(default_factory=lambda: starter_languages("memory"))
    metrics: tuple[Metric, ...] = field(default_factory=_metrics)
    sampling: Sampling = _SAMPLING

    def items(self, language: Language, *, limit: int | None, seed: int) -> list[Item]:
        """All dialogues, or the first `limit`. The first 40 hold every kind at every distance in both forms. Raises
        UsageError for a language that has no material."""
        return list(islice(dialogues(material(language), seed), limit))

    def sources(self, language: Language) -> list[Source]:
        """The starter file of sentences and words."""
        return [starter_source("memory", language)]

    def needs(self) -> tuple[str, ...]:
        """Needs no service: rules read the replies."""
        return ()

    def mark(self, answers: Sequence[Answer], services: Services) -> list[Marks]:  # noqa: ARG002
        """Marks of the last reply of each dialogue."""
        return [marks_of(answer) for answer in answers]

    def observe(self, backend: Backend, items: Sequence[Item]) -> frozenset[str] | None:
        """The symbols that the backend's tokenizer loses; None if the tokenizer is not accessible (servers,
        recordings)."""
        if not isinstance(backend, SpellingBackend):
            return None
        return unreadable_symbols(items[0].language, backend.round_trip)

    def compare(self, between: Between) -> Mapping[str, Sequence[Marks]]:
        """Marks: `readable` (the tokenizer keeps every symbol of the dialogue) and `recalled_readable` (`recalled` of
        readable dialogues). Both are None for dialogues about other things, and if no tokenizer was observed."""
        return {
            model: [readable_marks(answer, between.observed.get(model)) for answer in answers]
            for model, answers in between.answers.items()
        }


def marks_of(answer: Answer) -> Marks:
    """Marks of one dialogue, by its last reply without thinking. Marks that do not apply are missing or None. With
    canned replies there are `prompt_tokens` and one other mark: `recalled_canned` or, if the thing asked for was never
    told, `abstained_canned`."""
    item, reply = answer.item, answer.replies[-1]
    text, variant = answer_text(answer), item.facets["variant"]
    own = item.facets["replies"] == "own"
    expected, old = list(item.expect["answer"]), set(item.expect["old"])
    found = found_in(text, item.facets["kind"], material(item.language))
    tokens = None if reply.prompt_tokens is None else float(reply.prompt_tokens)
    if variant == "absent":
        # A reply such as "You told me of Lucy, not of Martin" may name what was told of others.
        invented = bool(set(found) - old)
        abstained = abstains(text, item.language) and not invented
        if not own:
            return {"abstained_canned": abstained, "prompt_tokens": tokens}
        return {"abstained": abstained, "invented": invented, "prompt_tokens": tokens}
    if not own:
        return {"recalled_canned": found == expected, "prompt_tokens": tokens}
    named = set(expected) <= set(found)
    listed = len(expected) > 1 and set(found) == set(expected)
    return {
        "recalled": found == expected,
        "named": named,
        "ordered": found == expected if listed else None,
        "stale": bool(old & set(found)) and not named if variant == "overwrite" else None,
        "mixed_up": bool(old & set(found)) and not named if variant == "two-speakers" else None,
        "prompt_tokens": tokens,
    }


def readable_marks(answer: Answer, unreadable: frozenset[str] | None) -> Marks:
    """The marks of `Memory.compare` for one dialogue. `unreadable` are the symbols that the model's tokenizer loses;
    None if no tokenizer was observed."""
    item = answer.item
    if unreadable is None or item.facets["kind"] != "symbol":
        return {"readable": None, "recalled_readable": None}
    readable = unreadable.isdisjoint([*item.expect["answer"], *item.expect["old"]])
    return {"readable": readable, "recalled_readable": marks_of(answer).get("recalled") if readable else None}


def found_in(text: str, kind: str, known: Material) -> list[str]:
    """The things of a kind that a text names, in order. Raises ValueError for an unknown kind."""
    match kind:
        case "symbol":
            return recall.symbols(text, known.pools["symbol"])
        case "number":
            return recall.numbers(text)
        case "word" | "fact":
            return recall.words(text, known.pools[kind], known.also)
        case _:
            raise ValueError(f"no kind of thing is called {kind!r}")


def unreadable_symbols(language: Language, round_trip: Callable[[str], str]) -> frozenset[str]:
    """Symbols of the battery that do not survive a tokenizer: it has neither a token nor bytes for them.

    `round_trip` encodes a text and decodes its ids, without special tokens.
    """
    return frozenset(symbol for symbol in material(language).pools["symbol"] if symbol not in round_trip(symbol))
