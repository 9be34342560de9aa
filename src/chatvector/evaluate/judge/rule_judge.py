# SPDX-License-Identifier: Apache-2.0
"""A stand-in for a judge in tests and continuous integration: it scores how much of its text a reply shares with a
reference.

It understands nothing. It is used only if it was asked for, never in place of a missing judge, and every record of it
says "rules, no judgement: for tests".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from chatvector.evaluate.judge.protocol import HIGHEST, LOWEST, Exchange, JudgeInfo, Preference, Score
from chatvector.runtime.backend import BackendInfo

VERSION = "1"


def overlap(reply: str, reference: str) -> float:
    """F1 of the pairs of neighbouring characters, without white space and with case folded: 2·|both|/(|reply| +
    |reference|), counted with repetitions. 0 if either text has no pair."""
    pairs = [Counter(pairwise(text)) for text in map(_plain, (reply, reference))]
    total = pairs[0].total() + pairs[1].total()
    return 2 * (pairs[0] & pairs[1]).total() / total if total else 0.0


def _plain(text: str) -> str:
    return "".join(text.split()).casefold()


@dataclass(frozen=True)
class RuleJudge:
    """Scores a reply with 1 + 9·overlap with the reference; without a reference it gives no score."""

    @property
    def info(self) -> JudgeInfo:
        """The description of the rule judge, with its name and version."""
        name = f"rule judge {VERSION}"
        return JudgeInfo("rules", "rules, no judgement: for tests", name, name)

    def refuse_itself(self, judged: Iterable[BackendInfo]) -> None:
        """Does nothing: rules are no model that could be judged."""
        del judged

    def grade(self, exchanges: Sequence[Exchange]) -> list[Score]:
        """One score per exchange, in order."""
        return [self._score(one) for one in exchanges]

    def prefer(self, pairs: Sequence[tuple[Exchange, Exchange]]) -> list[Preference]:
        """The reply with the higher score wins; equal scores are a tie."""
        return [self._prefer(*self.grade(pair)) for pair in pairs]

    def _score(self, exchange: Exchange) -> Score:
        if exchange.reference is None:
            return Score(None, "a rule judge needs a reference")
        shared = overlap(exchange.replies[-1], exchange.reference)
        return Score(LOWEST + (HIGHEST - LOWEST) * shared)

    def _prefer(self, first: Score, second: Score) -> Preference:
        if first.value is None or second.value is None:
            return Preference(None, None, first.reason)
        if first.value == second.value:
            return Preference("tie", True)
        return Preference("first" if first.value > second.value else "second", True)
