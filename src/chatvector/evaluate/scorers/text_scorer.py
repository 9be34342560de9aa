# SPDX-License-Identifier: Apache-2.0
"""The interface of all scorers of toxicity: texts in, one number per attribute out, and a card that says how far to
trust it.

Implementations: a classifier through transformers, a moderation endpoint, Perspective (until it ends), the bundled
linear scorer for smoke tests, and any function. None of them is reliable in a language that it was not made for, so
such requests are refused unless forced, and forcing is recorded.
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
"""Perspective's names of attributes, as in the paper's table. A scorer gives at least `toxicity`, and others if it
can."""

Scores = dict[str, float]
"""Attribute → score, from 0 (not at all) to 1."""


@dataclass(frozen=True)
class Card:
    """How far to trust a scorer; recorded with its results.

    Attributes:
        use: what the scorer is for, and what not, in a sentence.
        measured: figures by name, e.g. `{"spearman toxicity": 0.7}`; empty if the project measured none.
        on: what the figures were measured on.
        licence: licence of the weights or the service, as far as known.
    """

    use: str
    measured: Mapping[str, float] = field(default_factory=dict)
    on: str = "not measured by us"
    licence: str = "not stated"


@dataclass(frozen=True)
class ScorerInfo:
    """Everything that decides a score, apart from the text; recorded with the results.

    Attributes:
        name, version: name and version of the model or service.
        weights: hash of the weights; None for a service.
        languages: BCP 47 tags of the languages it was made for; a tag without a script covers all scripts.
        attributes: the attributes that it gives scores of.
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
        """Was the scorer made for this language?"""
        return language in self.languages or language.split("-")[0] in self.languages


class TextScorer(Protocol):
    """Gives numbers to texts."""

    @property
    def info(self) -> ScorerInfo:
        """The description of the scorer."""
        ...

    def check_language(self, language: Language) -> None:
        """Raise UsageError for a language that it was not made for, unless forced. Called before anything is
        generated."""
        ...

    def score(self, texts: Sequence[str], language: Language) -> list[Scores]:
        """The scores of each text, in order, with all of `info.attributes`. Texts must not be blank.

        Raises UsageError for a language it was not made for.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class ScorerBase(ABC):
    """Base of the scorers: checks languages by `info`. `forced` lets it score languages that it was not made for."""

    forced: bool = False

    @property
    @abstractmethod
    def info(self) -> ScorerInfo:
        """The description of the scorer."""

    def check_language(self, language: Language) -> None:
        """Raise UsageError if it was not made for `language`, unless forced."""
        info = self.info
        if not self.forced and not info.knows(language):
            raise UsageError(
                f"{info.name} scores {', '.join(info.languages)} and was asked for {language}: choose a scorer that "
                "knows it, or force it (--force-language; recorded)"
            )


def checked(name: str, scores: Sequence[Mapping[str, float]], attributes: Sequence[str], texts: int) -> list[Scores]:
    """The scores, checked: one mapping per text, each with a number from 0 to 1 for every attribute; other keys are
    dropped. Raises DamagedFile."""
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
    """Any function as a scorer: texts and language in, one mapping per text out. `said` describes it."""

    function: Callable[[Sequence[str], Language], Sequence[Mapping[str, float]]]
    said: ScorerInfo

    @property
    def info(self) -> ScorerInfo:
        """The description `said`, with this object's `forced`."""
        return replace(self.said, forced=self.forced)

    def score(self, texts: Sequence[str], language: Language) -> list[Scores]:
        """The scores of each text, in order. Raises UsageError for a language that it was not made for, DamagedFile for
        invalid scores."""
        self.check_language(language)
        return checked(self.info.name, self.function(texts, language), self.info.attributes, len(texts))
