# SPDX-License-Identifier: Apache-2.0
"""`thinking`: does a model think before it answers, in which language, how long, and does it come to an end?

Thinking is described, not judged: a model may well think in English and answer in Korean. Only thinking that never ends
counts against the model, since every other axis reads the answer alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from chatvector.evaluate.languages import reply_language
from chatvector.evaluate.languages.known import UNDETERMINED
from chatvector.evaluate.riders.language import asked
from chatvector.evaluate.task import Item, Marks, Metric
from chatvector.evaluate.thinking import parse
from chatvector.runtime.backend import Reply


def _metrics() -> tuple[Metric, ...]:
    return (
        Metric("thinks", "replies with a thought", mark="thinks", better="neither", primary=True),
        Metric("unclosed", "thoughts without an end", mark="unclosed", better="lower", of_some=True),
        Metric(
            "thinking_on_target",
            "thinking in the language of the reply",
            mark="on_target",
            better="neither",
            of_some=True,
        ),
        Metric(
            "thinking_english",
            "thinking in English for a reply in another",
            mark="english",
            better="neither",
            of_some=True,
        ),
        Metric(
            "thinking_characters",
            "length of a thought",
            mark="characters",
            kind="mean",
            better="neither",
            unit="characters",
            of_some=True,
        ),
    )


@dataclass(frozen=True)
class ThinkingRider:
    """The thinking of a reply. An empty thought, which templates insert to switch thinking off, counts as none. Marks
    other than `thinks` are about replies with a thought; `unclosed` is also true for an empty thought without an
    end."""

    name: str = "thinking"
    axis: str = "thinking"
    version: str = "1"
    metrics: tuple[Metric, ...] = field(default_factory=_metrics)

    def marks(self, reply: Reply, item: Item) -> Marks:
        """Marks of one reply."""
        thought = parse(reply.text)
        if not thought.thinking:
            return {"thinks": False, "unclosed": thought.unclosed or None}
        reading = reply_language(thought.thinking, item.language, asked(item))
        judged = reading.main != UNDETERMINED
        return {
            "thinks": True,
            "unclosed": thought.unclosed,
            "on_target": reading.on_target,
            "english": reading.main == "en" if judged and item.language != "en" else None,
            "characters": float(len(thought.thinking)),
            "main": reading.main,
        }
