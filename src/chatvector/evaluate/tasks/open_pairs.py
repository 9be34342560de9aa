# SPDX-License-Identifier: Apache-2.0
"""Open questions, replies of two models side by side: which one does the judge prefer?

The reference model's reply is compared with that of every other model, in both orders; if the orders disagree, it is a
tie. The questions are those of `open`, and so are the replies: with a cache nothing is generated twice. Marks are made
between models, in `compare`, once all have answered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from chatvector.evaluate.judge.protocol import Exchange, Judge, Preference
from chatvector.evaluate.statistics.agreement import spearman
from chatvector.evaluate.task import Answer, Between, Item, Language, Marked, Marks, Metric, Services, Source
from chatvector.evaluate.tasks.open import OpenTask, exchange_of, language_mark
from chatvector.runtime.backend import Sampling


def _length_bias(marked: Sequence[Marked]) -> float | None:
    """Spearman's ρ of the preference and of how much longer the reply is than the reference model's. None with fewer
    than three preferences."""
    pairs = [(m.marks["preferred"], m.marks["longer"]) for m in marked if m.marks["preferred"] is not None]
    if len(pairs) < 3:
        return None
    return spearman([float(one or 0) for one, _ in pairs], [float(length or 0) for _, length in pairs])


_BY = ("turn", "system", "category")
METRICS = (
    # The reference model has no figures. The first two compare with it by themselves: one half means no difference.
    Metric("preferred", "preferred to the reference, tie = ½", "preferred", kind="mean", by=_BY, primary=True),
    Metric("gated", "the same, wrong language loses", "gated", kind="mean", by=("turn", "system")),
    Metric("decided", "both orders agree", "consistent", better="neither"),
    Metric("scored", "verdicts that could be read", "scored", better="neither"),
    Metric("longer", "characters more than the reference", "longer", kind="mean", better="neither", unit="characters"),
    Metric("length_bias", "preference against length: ρ", aggregate=_length_bias, kind="mean", better="neither"),
)
_NONE: Marks = dict.fromkeys(("preferred", "gated", "consistent", "scored", "longer", "judge_reason"))
_SHARE = {"first": 0.0, "tie": 0.5, "second": 1.0}


@dataclass(frozen=True)
class OpenPairsTask:
    """The questions of `asked`, with the replies of two models compared. `of_two`: the task is skipped if there is one
    model only."""

    asked: OpenTask = field(default=OpenTask(systems=("without",)))
    axis: str = "instructions"
    version: str = "1"
    metrics: tuple[Metric, ...] = field(default=METRICS, repr=False)
    of_two: bool = True

    @property
    def name(self) -> str:
        """The asked task's name with `-pairs`."""
        return f"{self.asked.name}-pairs"

    @property
    def languages(self) -> tuple[Language, ...]:
        """Languages of the asked task."""
        return self.asked.languages

    @property
    def sampling(self) -> Sampling:
        """Sampling settings of the asked task: the replies are the same."""
        return self.asked.sampling

    def items(self, language: Language, *, limit: int | None, seed: int) -> list[Item]:
        """Items of the asked task."""
        return self.asked.items(language, limit=limit, seed=seed)

    def sources(self, language: Language) -> list[Source]:
        """Sources of the asked task."""
        return self.asked.sources(language)

    def needs(self) -> tuple[str, ...]:
        """Needs a judge."""
        return ("judge",)

    def mark(self, answers: Sequence[Answer], services: Services) -> list[Marks]:
        """All marks None: a reply alone is neither better nor worse."""
        del services
        return [dict(_NONE) for _ in answers]

    def compare(self, between: Between) -> Mapping[str, Sequence[Marks]]:
        """Marks of each answer against the reference model's answer to the same item. All are None for the reference
        model itself, and if it has no answer to the item. Raises what the judge raises."""
        judge: Judge = between.services.judge
        theirs = {(one.item.id, one.sample): one for one in between.answers.get(between.reference or "", ())}
        found: dict[str, Sequence[Marks]] = {}
        for model, given in between.answers.items():
            pairs: dict[int, tuple[Exchange, Exchange]] = {}
            for row, one in enumerate(given):
                other = theirs.get((one.item.id, one.sample))
                if other is not None and model != between.reference:
                    pairs[row] = exchange_of(other), exchange_of(one)
            verdicts = dict(zip(pairs, judge.prefer(list(pairs.values())), strict=True)) if pairs else {}
            found[model] = [
                _marks(pairs[row], verdicts[row]) if row in pairs else dict(_NONE) for row in range(len(given))
            ]
        return found


def _marks(pair: tuple[Exchange, Exchange], verdict: Preference) -> Marks:
    share = None if verdict.winner is None else _SHARE[verdict.winner]
    wrong = [language_mark(one) is False for one in pair]
    if wrong[0] == wrong[1]:
        gated = 0.5 if wrong[0] else share
    else:
        gated = 1.0 if wrong[0] else 0.0
    return {
        "preferred": share,
        "gated": gated,
        "consistent": verdict.consistent,
        "scored": verdict.winner is not None,
        "judge_reason": verdict.reason,
        "longer": float(len(pair[1].replies[-1]) - len(pair[0].replies[-1])),
    }
