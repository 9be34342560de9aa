# SPDX-License-Identifier: Apache-2.0
"""`language`: in which language is each reply of any task?"""

from __future__ import annotations

from dataclasses import dataclass, field

from chatvector.evaluate.languages.marks import language_marks, language_metrics
from chatvector.evaluate.task import Item, Marks, Metric
from chatvector.evaluate.thinking import answer_of
from chatvector.runtime.backend import Reply


@dataclass(frozen=True)
class LanguageRider:
    """The language of the answer, compared with the item's language."""

    name: str = "language"
    axis: str = "language"
    version: str = "1"
    metrics: tuple[Metric, ...] = field(default_factory=language_metrics)

    def marks(self, reply: Reply, item: Item) -> Marks:
        """Marks of one reply. An empty answer has no language and counts as undetermined."""
        return language_marks(answer_of(reply.text), item.language, asked(item))


def asked(item: Item) -> str:
    """All that the user says in an item, which a reply may quote."""
    return "\n".join(turn.user for turn in item.turns)
