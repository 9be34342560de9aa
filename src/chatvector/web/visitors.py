# SPDX-License-Identifier: Apache-2.0
"""Everybody who has the page open, each with a conversation and scales of their own over the same models.

A visitor is a tab of a browser. Their turns queue up at the models, one reply of each model at a time.
"""

from __future__ import annotations

import math
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Literal

from chatvector.arithmetic.scales import ScaleRules
from chatvector.errors import ChatVectorError
from chatvector.preparation import scale_rules
from chatvector.recipe import Recipe
from chatvector.runtime.backend import Sampling
from chatvector.runtime.live import LiveBackend
from chatvector.runtime.live_view import LiveView
from chatvector.runtime.live_weights import Change
from chatvector.runtime.session import Answer, Session, Speaker
from chatvector.runtime.transformers_backend import TransformersBackend
from chatvector.web.sentences import PageError

PAUSE_SECONDS = 0.05
"""Between two looks at a reply that is being written: the page is sent no more than so many of them."""
MOST_VISITORS = 200
"""Conversations that are kept; the one that was quiet longest goes first."""
LONGEST_REPLY, SHARE_OF_CONTEXT = 512, 8
"""Tokens of a reply unless the visitor says otherwise: so many, at most one part of the context in so many."""


@dataclass(frozen=True)
class Models:
    """What the page is about.

    Attributes:
        speakers: left to right; the live merge, if there is one, is the last.
        recipe: of the live merge; None where models are shown as they are.
        language: of sample prompts and of what is measured, such as `ko`; None: the page's.
        memory: sentences on what was loaded.
    """

    speakers: tuple[Speaker, ...]
    recipe: Recipe | None = None
    language: str | None = None
    memory: tuple[str, ...] = ()

    @property
    def live(self) -> LiveBackend | None:
        """The live merge."""
        last = self.speakers[-1].backend
        return last if isinstance(last, LiveBackend) else None

    @property
    def pair(self) -> bool:
        """Whether a target stands beside its own merge, and nothing else does."""
        return self.recipe is not None and len(self.speakers) == 2 and self.speakers[0].name == self.recipe.target

    @property
    def demo(self) -> bool:
        """Whether all of them come with the package."""
        return all(speaker.name.startswith("demo:") for speaker in self.speakers)

    def usual_limit(self) -> int:
        """Tokens of a reply unless somebody says otherwise."""
        contexts = [one.backend.context for one in self.speakers if one.backend.context is not None]
        return max(1, min([LONGEST_REPLY, *(context // SHARE_OF_CONTEXT for context in contexts)]))


@dataclass
class Said:
    """One model's answer to one message, as far as it is there.

    Attributes:
        thinking: None where nothing was thought.
        cut: what ended it before its end: see `Answer`.
        tokens: of the reply, its stop token included; None where there is none.
        problem: why there is no answer: `context`, `template`, or `error`, which is then here too.
    """

    thinking: str | None = None
    answer: str = ""
    done: bool = False
    scale: str | None = None
    cut: Literal["stopped", "context", "limit"] | None = None
    limit: int = 0
    tokens: int | None = None
    problem: str | None = None
    error: Exception | None = None


@dataclass(frozen=True)
class Exchange:
    """A message, and what each model said."""

    message: str
    said: tuple[Said, ...]


@dataclass(eq=False)
class Visitor:
    """One tab: a conversation with all models, and the scales that it hears the merge at.

    Attributes:
        exchanges: all that the page shows, those that got no answer too.
        seen: when it last did something, on the monotonic clock.
    """

    session: Session
    exchanges: list[Exchange] = field(default_factory=list)
    seen: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._answers: Sequence[Answer] = ()
        self._before: ScaleRules | None = None
        self._busy = threading.Lock()
        self.left = False

    @property
    def live(self) -> LiveView | None:
        """The merge at this visitor's scales."""
        backend = self.session.speakers[-1].backend
        return backend if isinstance(backend, LiveView) else None

    @property
    def before(self) -> ScaleRules:
        """The scales before the last move. Raises UsageError where no vector is loaded."""
        return self.rules() if self._before is None else self._before

    def rules(self) -> ScaleRules:
        """This visitor's scales of the vector. Raises UsageError where no vector is loaded."""
        return self._require_live().scales[0]

    def move(self, rules: ScaleRules) -> Change:
        """Move this visitor's merge, after the reply that is being written. Raises UsageError for rules that match
        nothing, NonFiniteValues where a scale overflows; the scales are then as they were."""
        live = self._require_live()
        before = self.rules()
        change = live.set_scales([rules, *live.scales[1:]])
        self._before = before
        return change

    def ask(self, message: str) -> Iterator[tuple[Said, ...]]:
        """Put a message to all models; what they have said so far, again and again, until all are done. The first time
        is at once: a model may have to finish somebody else's reply before.

        Raises UsageError for an empty message, and while another one is being answered. What goes wrong with one
        model is in its `Said`; the other goes on.
        """
        message = message.strip()
        if not message:
            raise PageError("empty_message")
        if not self._busy.acquire(blocking=False):
            raise PageError("still_answering")
        try:
            yield from self._answer(message)
        finally:
            self._answers = ()
            self._busy.release()

    def _answer(self, message: str) -> Iterator[tuple[Said, ...]]:
        news = threading.Event()
        with ExitStack() as stack:
            said = tuple(Said(scale=speaker.scale) for speaker in self.session.speakers)
            answers = [stack.enter_context(self.session.ask(one, message)) for one in self.session.speakers]
            self._answers = answers
            self.exchanges.append(Exchange(message, said))
            if self.left:
                return
            for answer, column in zip(answers, said, strict=True):
                threading.Thread(target=_listen, args=(answer, column, news.set), daemon=True).start()
            yield said
            while True:
                news.wait()
                news.clear()
                done = all(column.done for column in said)
                yield said
                if done:
                    return
                time.sleep(PAUSE_SECONDS)

    def stop(self) -> None:
        """End the replies that are being written; what is there stays."""
        for answer in self._answers:
            answer.stop()

    def leave(self) -> None:
        """The tab was closed: nothing more is written for it."""
        self.left = True
        self.stop()

    def reset(self) -> None:
        """Forget the conversation; scales, system prompt and sampling stay. Raises UsageError during a reply."""
        if not self._busy.acquire(blocking=False):
            raise PageError("still_writing")
        try:
            for speaker in self.session.speakers:
                speaker.turns.clear()
            self.exchanges.clear()
        finally:
            self._busy.release()

    def settle(
        self, *, system: str, temperature: float | None, top_p: float | None, seed: float | None, limit: float | None
    ) -> None:
        """Take over the settings of the next reply; None is a field that was left empty. Raises UsageError for such a
        one, for a number out of range, and for a system prompt that a template does not take."""
        if temperature is None or top_p is None or seed is None or limit is None:
            raise PageError("settings_missing")
        if not (temperature >= 0 and 0 < top_p <= 1 and _whole(seed, 0) and _whole(limit, 1)):
            raise PageError("settings_range")
        self.session.set_system(system.strip() or None)
        self.session.sampling = replace(
            self.session.sampling, temperature=temperature, top_p=top_p, seed=int(seed), max_new_tokens=int(limit)
        )

    def _require_live(self) -> LiveView:
        if self.live is None:
            raise PageError("no_vector")
        return self.live


def _whole(value: float, least: int) -> bool:
    return math.isfinite(value) and value == int(value) and value >= least


def _listen(answer: Answer, column: Said, tell: Callable[[], None]) -> None:
    """Read one answer to its end; in a thread of its own, so that a slow model does not hold up the other's."""
    try:
        for piece in answer:
            if piece.thought:
                column.thinking = (column.thinking or "") + piece.text
            else:
                column.answer += piece.text
            tell()
        if answer.turn is not None:
            column.thinking, column.answer = answer.thinking, answer.turn.answer
            column.tokens = answer.turn.reply.tokens
        column.cut, column.limit = answer.cut, answer.limit
        column.problem = answer.failure
    except Exception as error:
        column.problem, column.error = "error", noted(error)
    finally:
        column.done = True
        tell()


def noted(error: Exception) -> Exception:
    """The error; of a bug of ours, what a developer needs goes to standard error."""
    if not isinstance(error, ChatVectorError):
        traceback.print_exception(error, file=sys.stderr)
    return error


class Visitors:
    """All tabs, by the key that the browser's page has for each.

    Attributes:
        sampling, system: what everybody begins with.
        ended: whether the server ends: replies are cut short, and their page says why.
    """

    def __init__(self, models: Models, sampling: Sampling, system: str | None = None) -> None:
        """Nobody is there yet. Raises what `Session` raises: a model without a template shows now."""
        self.models = models
        self.ended = False
        self.sampling, self.system = sampling, system
        self._by_key: dict[str, Visitor] = {}
        self._lock = threading.Lock()
        self._first = None if models.recipe is None else [scale_rules(spec) for spec in models.recipe.vectors]
        self._begin()

    @property
    def first_rules(self) -> ScaleRules:
        """The scales of the vector that everybody begins at. Not for models without a live merge."""
        assert self._first is not None
        return self._first[0]

    def get(self, key: str) -> Visitor:
        """The visitor with this key; a new one begins a conversation at the first scales."""
        return self.find(key) or self._enter(key)

    def require(self, key: str) -> Visitor:
        """The visitor with this key. Raises UsageError where there is none: what their page shows is not so here."""
        visitor = self.find(key)
        if visitor is None:
            raise PageError("not_here")
        return visitor

    def find(self, key: str) -> Visitor | None:
        """The visitor with this key; None where the server was started since, or too many others came."""
        with self._lock:
            visitor = self._by_key.get(key)
            if visitor is not None:
                visitor.seen = time.monotonic()
            return visitor

    def leave(self, key: str) -> None:
        """The tab with this key was closed."""
        with self._lock:
            visitor = self._by_key.pop(key, None)
        if visitor is not None:
            visitor.leave()

    def end(self) -> None:
        """The server ends: so do all replies."""
        self.ended = True
        with self._lock:
            present = list(self._by_key.values())
        for visitor in present:
            visitor.stop()

    def __len__(self) -> int:
        return len(self._by_key)

    def _enter(self, key: str) -> Visitor:
        visitor = self._begin()
        with self._lock:
            visitor = self._by_key.setdefault(key, visitor)
            surplus = sorted(self._by_key, key=lambda one: self._by_key[one].seen)[: len(self._by_key) - MOST_VISITORS]
            gone = [self._by_key.pop(one) for one in surplus]
        for one in gone:
            one.leave()
        return visitor

    def _begin(self) -> Visitor:
        speakers = [Speaker(one.name, _seen_apart(one.backend, self._first)) for one in self.models.speakers]
        return Visitor(Session(speakers, self.sampling, self.system))


def _seen_apart(backend: TransformersBackend, scales: Sequence[ScaleRules] | None) -> TransformersBackend:
    """The merge as a new visitor sees it; other models are the same for all."""
    return LiveView.of(backend, scales) if isinstance(backend, LiveBackend) else backend
