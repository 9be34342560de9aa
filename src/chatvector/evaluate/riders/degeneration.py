# SPDX-License-Identifier: Apache-2.0
"""`degeneration`: loops, replies without an end, leaked tokens, turns of the user, broken characters, empty replies,
and length."""

from __future__ import annotations

from dataclasses import dataclass, field

from chatvector.evaluate.scorers.degeneration import degeneration, loops
from chatvector.evaluate.task import Item, Marks, Metric
from chatvector.evaluate.thinking import parse
from chatvector.runtime.backend import Reply


def _metrics() -> tuple[Metric, ...]:
    return (
        Metric("sound", "ends, and has none of the faults below", mark="sound", primary=True),
        Metric("loop", "goes round", mark="loop", better="lower"),
        Metric("no_stop", "ran into the limit", mark="no_stop", better="lower"),
        Metric("leak", "special tokens in the text", mark="leak", better="lower"),
        Metric("user_turn", "speaks for the user", mark="user_turn", better="lower"),
        Metric("broken", "broken characters", mark="broken", better="lower"),
        Metric("empty", "nothing but white space", mark="empty", better="lower"),
        Metric("distinct_1", "different words over all", mark="distinct_1", kind="mean", better="neither"),
        Metric("distinct_2", "different pairs of words over all", mark="distinct_2", kind="mean", better="neither"),
        Metric(
            "characters", "length of the answer", mark="characters", kind="mean", better="neither", unit="characters"
        ),
        Metric(
            "tokens", "tokens written, thinking included", mark="tokens", kind="mean", better="neither", unit="tokens"
        ),
    )


@dataclass(frozen=True)
class DegenerationRider:
    """Faults of a reply as a text. Loops also count within the thinking, and the end, special tokens and the number of
    tokens are those of the whole reply; everything else is about the answer."""

    name: str = "degeneration"
    axis: str = "degeneration"
    version: str = "1"
    metrics: tuple[Metric, ...] = field(default_factory=_metrics)

    def marks(self, reply: Reply, item: Item) -> Marks:  # noqa: ARG002
        """Marks of one reply."""
        thought = parse(reply.text)
        found = degeneration(thought.answer)
        faults = {
            "loop": found.loop or loops(thought.thinking or ""),
            "no_stop": not reply.stopped,
            "leak": bool(reply.special or found.leaks),
            "user_turn": found.user_turn,
            "broken": found.broken > 0,
            "empty": found.empty,
        }
        return {
            **faults,
            "sound": not any(faults.values()),
            "distinct_1": found.distinct_1,
            "distinct_2": found.distinct_2,
            "characters": float(found.characters),
            "tokens": None if reply.tokens is None else float(reply.tokens),
        }
