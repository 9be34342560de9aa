# SPDX-License-Identifier: Apache-2.0
"""Any model behind a backend as a judge: an OpenAI-compatible server, or a local model through transformers.

It is asked greedily. The backend decides about retries and timeouts; a server that does not answer ends the run, and
`CachedBackend` keeps the verdicts so far. A verdict that cannot be read is counted as such and not asked for again: a
greedy judge would write the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chatvector.evaluate.judge.prompts import judge_languages, pair_prompt, prompt_hash, single_prompt
from chatvector.evaluate.judge.protocol import Exchange, JudgeInfo, Preference, Score, Winner, refuse_self
from chatvector.evaluate.judge.reading import Reading, read_choice, read_score
from chatvector.evaluate.task import Language
from chatvector.runtime.backend import Backend, BackendInfo, Prompt, Reply, Sampling

_FORTH: Mapping[Any, Winner] = {"A": "first", "B": "second", "tie": "tie"}
_BACK: Mapping[Any, Winner] = {"A": "second", "B": "first", "tie": "tie"}

MAX_NEW_TOKENS = 1024
"""Enough for a judge that reasons at length, or thinks."""


@dataclass(frozen=True)
class ModelJudge:
    """A model as a judge.

    Attributes:
        ask_in: language of the prompts; None: the language of the replies.
        forced: the judge may judge itself.
        validated: its agreement with people's labels (`labels.judge_agreement`), recorded; empty: unvalidated.
    """

    backend: Backend
    ask_in: Language | None = None
    max_new_tokens: int = MAX_NEW_TOKENS
    forced: bool = False
    validated: Mapping[str, float] = field(default_factory=dict)

    @property
    def info(self) -> JudgeInfo:
        """The model, and the prompts and settings that it is asked with."""
        model = self.backend.info
        languages = judge_languages() if self.ask_in is None else (self.ask_in,)
        return JudgeInfo(
            kind="model",
            status="validated" if self.validated else "unvalidated",
            model=model.model,
            fingerprint=model.fingerprint,
            prompts={language: prompt_hash(language) for language in languages},
            parameters={
                "temperature": 0,
                "max_new_tokens": self.max_new_tokens,
                "ask_in": self.ask_in,
                "forced": self.forced,
                "prompt_form": model.prompt_form,
            },
            validated=self.validated,
        )

    def refuse_itself(self, judged: Iterable[BackendInfo]) -> None:
        """Raise UsageError if one of the models is the judge, unless forced."""
        if not self.forced:
            refuse_self(self.info, judged)

    def grade(self, exchanges: Sequence[Exchange]) -> list[Score]:
        """See `Judge.grade`. A prompt that does not fit into the judge's context gives a score that could not be
        read."""
        replies = self._ask([single_prompt(one, self.ask_in or one.language) for one in exchanges])
        return [_score(reply) for reply in replies]

    def prefer(self, pairs: Sequence[tuple[Exchange, Exchange]]) -> list[Preference]:
        """See `Judge.prefer`. Asks two questions per pair, one for each order."""
        prompts = [
            pair_prompt(a, b, self.ask_in or a.language)
            for first, second in pairs
            for a, b in ((first, second), (second, first))
        ]
        replies = iter(self._ask(prompts))
        return [_preference(reply, next(replies)) for reply in replies]

    def _ask(self, texts: Sequence[str]) -> list[Reply]:
        prompts = [Prompt(messages=(("user", text),)) for text in texts]
        return self.backend.generate(prompts, Sampling(max_new_tokens=self.max_new_tokens))


def _score(reply: Reply) -> Score:
    if reply.failure:
        return Score(None, f"no reply: {reply.failure}", reply.text)
    reading = read_score(reply.text, stopped=reply.stopped)
    value = reading.value
    return Score(value if isinstance(value, float) else None, reading.reason, reply.text)


def _preference(forth: Reply, back: Reply) -> Preference:
    """The preference from the verdicts in both orders. For `back` the second reply was shown as A."""
    raw = (forth.text, back.text)
    readings = [_choice(forth), _choice(back)]
    for order, reading in zip(("first", "second"), readings, strict=True):
        if reading.value is None:
            return Preference(None, None, f"{order} order: {reading.reason}", raw)
    one, other = _FORTH[readings[0].value], _BACK[readings[1].value]
    return Preference(one if one == other else "tie", one == other, raw=raw)


def _choice(reply: Reply) -> Reading:
    if reply.failure:
        return Reading(None, f"no reply: {reply.failure}")
    return read_choice(reply.text, stopped=reply.stopped)
