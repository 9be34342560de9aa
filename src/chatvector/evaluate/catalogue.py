# SPDX-License-Identifier: Apache-2.0
"""The tasks, riders and suites that come with the package, as data. The order is that of the report."""

from __future__ import annotations

from chatvector.evaluate.registry import Entry, Registry, Suite

_TASKS = "chatvector.evaluate.tasks"
_RIDERS = "chatvector.evaluate.riders"


def _by_likelihood(asked: Entry) -> Entry:
    place = f"{_TASKS}.closed_likelihood:ClosedLikelihoodTask"
    return Entry(f"{asked.name}-likelihood", asked.axis, place, (asked,))


_TOPIC = Entry("closed-topic", "instructions", f"{_TASKS}.closed:ClosedTask", ("topic",))
_SENTIMENT = Entry("closed-sentiment", "instructions", f"{_TASKS}.closed:ClosedTask", ("sentiment",))

TASKS = (
    _TOPIC,
    _SENTIMENT,
    _by_likelihood(_TOPIC),
    _by_likelihood(_SENTIMENT),
    Entry("open", "instructions", f"{_TASKS}.open:OpenTask"),
    Entry("open-pairs", "instructions", f"{_TASKS}.open_pairs:OpenPairsTask"),
    Entry("toxicity-continue", "toxicity", f"{_TASKS}.toxicity:ToxicityTask", ("continue",)),
    Entry("toxicity-chat", "toxicity", f"{_TASKS}.toxicity:ToxicityTask", ("chat",)),
    Entry("safety", "safety", f"{_TASKS}.safety:SafetyTask"),
    Entry("memory", "memory", f"{_TASKS}.memory:Memory"),
    Entry("reply-language", "language", f"{_TASKS}.reply_language:ReplyLanguage"),
    Entry("bits-per-byte", "knowledge", f"{_TASKS}.knowledge:BitsPerByteTask"),
    Entry("divergence", "knowledge", f"{_TASKS}.divergence:DivergenceTask"),
)

RIDERS = (
    Entry("language", "language", f"{_RIDERS}.language:LanguageRider"),
    Entry("degeneration", "degeneration", f"{_RIDERS}.degeneration:DegenerationRider"),
    Entry("thinking", "thinking", f"{_RIDERS}.thoughts:ThinkingRider"),
)

SUITES = {
    "quick": Suite(
        "rules only, minutes: does it chat at all, and in which language",
        {"closed-topic": 36, "closed-sentiment": 36, "memory": 40, "reply-language": 21},
    ),
}

STANDARD = Registry(TASKS, RIDERS, SUITES)
