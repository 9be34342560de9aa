# SPDX-License-Identifier: Apache-2.0
"""The tasks, riders and suites that come with the package, as data, in the order in which the report shows them."""

from __future__ import annotations

from chatvector.evaluate.harness.sets import SETS as HARNESS_SETS
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
    Entry("verifiable", "instructions", f"{_TASKS}.verifiable.task:VerifiableTask"),
    Entry("open", "instructions", f"{_TASKS}.open:OpenTask"),
    Entry("open-pairs", "instructions", f"{_TASKS}.open_pairs:OpenPairsTask"),
    _by_likelihood(_TOPIC),
    _by_likelihood(_SENTIMENT),
    Entry("memory", "memory", f"{_TASKS}.memory:Memory"),
    Entry("reply-language", "language", f"{_TASKS}.reply_language:ReplyLanguage"),
    Entry("toxicity-continue", "toxicity", f"{_TASKS}.toxicity:ToxicityTask", ("continue",)),
    Entry("toxicity-chat", "toxicity", f"{_TASKS}.toxicity:ToxicityTask", ("chat",)),
    Entry("safety", "safety", f"{_TASKS}.safety:SafetyTask"),
    Entry("bits-per-byte", "knowledge", f"{_TASKS}.knowledge:BitsPerByteTask"),
    Entry("divergence", "knowledge", f"{_TASKS}.divergence:DivergenceTask"),
)

RIDERS = (
    Entry("language", "language", f"{_RIDERS}.language:LanguageRider"),
    Entry("degeneration", "degeneration", f"{_RIDERS}.degeneration:DegenerationRider"),
    Entry("thinking", "thinking", f"{_RIDERS}.thoughts:ThinkingRider"),
)

_STANDARD: dict[str, int | None] = {
    "closed-topic": None,
    "closed-sentiment": None,
    "verifiable": None,
    "open": None,
    "memory": 400,
    "reply-language": None,
    "toxicity-continue": None,
    "toxicity-chat": None,
    "safety": None,
    "bits-per-byte": None,
}

_KOREA = {f"lm-eval:{name}": 1000 for name in HARNESS_SETS["korea"].tasks}
_TAIWAN = {f"lm-eval:{name}": 1000 for name in HARNESS_SETS["taiwan"].tasks}
"""Number of documents, balanced over a group's tasks: enough to show a difference of 4 points (docs/evaluation.md).
`--task lm-eval:kmmlu` asks all of them."""

SUITES = {
    "quick": Suite(
        "rules only, minutes: does it follow, remember, decline, and in which language",
        {
            "closed-topic": 36,
            "closed-sentiment": 36,
            "verifiable": 24,
            "memory": 40,
            "reply-language": 21,
            "safety": 20,
            "bits-per-byte": 24,
        },
    ),
    "standard": Suite("every axis; judge, guard and scorer of toxicity where they are given", _STANDARD),
    "full": Suite("everything there is", dict.fromkeys(entry.name for entry in TASKS)),
    "korea": Suite("standard, for Korean, and KoBEST, HAE-RAE, KMMLU", {**_STANDARD, **_KOREA}, ("ko",)),
    "taiwan": Suite("standard, for Traditional Chinese, and TMMLU+", {**_STANDARD, **_TAIWAN}, ("zh-Hant",)),
    "sweep": Suite(
        "what needs no judge, guard or scorer, for `chatvector sweep`; numbers are of each half",
        {
            "closed-topic": 36,
            "closed-sentiment": 36,
            "verifiable": 24,
            "memory": 24,
            "reply-language": 21,
            "safety": 40,
            "bits-per-byte": 30,
        },
    ),
}

STANDARD = Registry(TASKS, RIDERS, SUITES)
