# SPDX-License-Identifier: Apache-2.0
"""What every scorer of toxicity has in common: texts in, one number an attribute out, and a card that says how far to
trust it.

Implementations: a classifier through transformers, a moderation endpoint, Perspective (until it ends), the bundled
linear scorer for smoke tests, and any function. None of them is right in a language it was not made for, so asking is
refused unless forced, and forcing is recorded.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from chatvector.errors import DamagedFile, UsageError
from chatvector.evaluate.task import Language

ATTRIBUTES = ("toxicity", "severe_toxicity", "identity_attack", "insult", "profanity", "threat", "sexually_explicit")
"""Perspective's names, which the paper's table has. A scorer gives at least `toxicity`, and others as it can."""

Scores = dict[str, float]
"""Attribute → 0 (not at all) to 1."""


@dataclass(frozen=True)
class Card:
    """How far to trust a scorer: travels with its results.

    Attributes:
        use: what it is for, and what not, in a sentence.
        measured: figures by name, e.g. `{"spearman toxicity": 0.7}`; empty where we measured none.
        on: what they were measured on.
        licence: of weights or service, as far as known.
    """

    use: str
    measured: Mapping[str, float] = field(default_factory=dict)
    on: str = "not measured by us"
    licence: str = "not stated"


@dataclass(frozen=True)
class ScorerInfo:
    """What decides a score, apart from the text: recorded with the results.

    Attributes:
        name, version: of the model or service.
        weights: hash of the weights; None where they are a service's.
        languages: BCP 47 tags it was made for; a tag without a script covers all scripts.
        attributes: what it gives.
        parameters: label mapping, thresholds, endpoints, dates … JSON values.
        forced: it may be asked for languages that it was not made for.
    """

    name: str
    version: str
    weights: str | None
    languages: tuple[Language, ...]
    attributes: tuple[str, ...]
    card: Card
    parameters: Mapping[str, Any] = field(default_factory=dict)
    forced: bool = False

    def knows(self, language: Language) -> bool:
        """Was it made for this language?"""
        return language in self.languages or language.split("-")[0] in self.languages


class TextScorer(Protocol):
    """Gives numbers to texts."""

    @property
    def info(self) -> ScorerInfo:
        """What it is."""
        ...

    def check_language(self, language: Language) -> None:
        """Raise UsageError for a language it was not made for, unless forced: asked before anything is generated."""
        ...

    def score(self, texts: Sequence[str], language: Language) -> list[Scores]:
        """One score a text, in order, each with all of `info.attributes`. Texts hold something else than white space.

        Raises UsageError for a language it was not made for.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class ScorerBase(ABC):
    """What every scorer does with its `info`. `forced` lets it score languages that it was not made for."""

    forced: bool = False

    @property
    @abstractmethod
    def info(self) -> ScorerInfo:
        """What it is."""

    def check_language(self, language: Language) -> None:
        """Raise UsageError if it was not made for `language`, unless forced."""
        info = self.info
        if not self.forced and not info.knows(language):
            raise UsageError(
                f"{info.name} scores {', '.join(info.languages)} and was asked for {language}: choose a scorer that "
                "knows it, or force it (--force-language; recorded)"
            )


def checked(name: str, scores: Sequence[Mapping[str, float]], attributes: Sequence[str], texts: int) -> list[Scores]:
    """The scores as they should be: one a text, every attribute, a number from 0 to 1. Raises DamagedFile."""
    if len(scores) != texts:
        raise DamagedFile(f"{name}: {len(scores)} scores for {texts} texts")
    for row, each in enumerate(scores):
        wrong = [
            key
            for key in attributes
            if not isinstance(value := each.get(key), float | int) or not math.isfinite(value) or not 0 <= value <= 1
        ]
        if wrong:
            raise DamagedFile(f"{name}: text {row}: {wrong[0]} is {each.get(wrong[0])!r}, no number from 0 to 1")
    return [{key: float(each[key]) for key in attributes} for each in scores]


@dataclass(frozen=True)
class CallableScorer(ScorerBase):
    """Any function as a scorer: texts and language in, one mapping a text out. `said` is what it says of itself."""

    function: Callable[[Sequence[str], Language], Sequence[Mapping[str, float]]]
    said: ScorerInfo

    @property
    def info(self) -> ScorerInfo:
        """As given."""
        return replace(self.said, forced=self.forced)

    def score(self, texts: Sequence[str], language: Language) -> list[Scores]:
        """Raises UsageError for a language it was not made for, DamagedFile for what is no score."""
        self.check_language(language)
        return checked(self.info.name, self.function(texts, language), self.info.attributes, len(texts))
