# SPDX-License-Identifier: Apache-2.0
"""Asks one model all items of a task, turn by turn, in batches, through the cache.

A model's own replies go into the history without their thinking, as chat templates put them; canned replies go in as
they are. Batches are cut from the whole list of requests, the longest first, before the cache is looked up. A resumed
run therefore makes the same batches as one that was never interrupted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from chatvector.errors import UsageError
from chatvector.evaluate.cache import Cache, generation_key, likelihood_key
from chatvector.evaluate.kept import as_they_come, get_and_keep
from chatvector.evaluate.task import Answer, Item
from chatvector.evaluate.thinking import answer_of
from chatvector.runtime.backend import Backend, Likelihood, LikelihoodBackend, Prompt, Reply, Role, Sampling
from chatvector.runtime.replay_backend import reply_as_json, reply_from_json

BATCH = 64
"""Requests between two writes of the cache: at most so many are lost when a run is killed. Ctrl-C loses no reply of a
server."""

Asked = TypeVar("Asked")
Got = TypeVar("Got")


@dataclass(frozen=True)
class Progress:
    """How far asking has come. `done` and `total` count requests (turns and likelihoods); `cached` counts those of
    `done` that were in the cache. `seconds_left` is None until the model was asked a first batch."""

    done: int
    total: int
    cached: int
    seconds_left: float | None


Report = Callable[[Progress], None]


def ask(
    backend: Backend,
    items: Sequence[Item],
    sampling: Sampling,
    *,
    cache: Cache | None = None,
    batch: int = BATCH,
    progress: Report | None = None,
) -> list[Answer]:
    """Answers to all items and samples, in the order of the items; the samples of an item are adjacent.

    A dialogue ends at a reply that failed (`Answer.failed`). Raises UsageError for items of mode "likelihood" if the
    backend gives no probabilities, ValueError for two items of one language with one id or for a dialogue that ends
    with a canned turn, and what the backend raises.
    """
    _require_sound(items)
    dialogues = [_Dialogue(item, sample) for item in items for sample in range(item.samples)]
    measured = [dialogue for dialogue in dialogues if dialogue.item.mode == "likelihood"]
    asker = _Asker(backend, cache, batch, progress, sum(dialogue.item.requests for dialogue in dialogues))
    if measured:
        pairs = [pair for dialogue in measured for pair in dialogue.pairs]
        found = iter(asker.likelihoods(pairs))
        for dialogue in measured:
            dialogue.likelihoods = tuple(next(found) for _ in dialogue.pairs)
    for turn in range(max((len(dialogue.item.turns) or 1 for dialogue in dialogues), default=0)):
        asking = [dialogue for dialogue in dialogues if dialogue.asks(turn)]
        prompts = [prompt_at(dialogue.item, turn, dialogue.replies, dialogue.sample) for dialogue in asking]
        for dialogue, reply in zip(asking, asker.replies(prompts, sampling), strict=True):
            dialogue.replies.append(reply)
            if reply.failure:
                asker.leave_out(sum(dialogue.asks_at(later) for later in range(turn + 1, len(dialogue.item.turns))))
    return [dialogue.answer() for dialogue in dialogues]


def measure(
    backend: Backend,
    pairs: Sequence[tuple[str, str]],
    *,
    cache: Cache | None = None,
    batch: int = BATCH,
    progress: Report | None = None,
) -> list[Likelihood]:
    """Likelihoods of (context, continuation) pairs, in order, through the cache. Raises as `ask`."""
    return _Asker(backend, cache, batch, progress, len(pairs)).likelihoods(pairs)


def prompt_at(item: Item, turn: int, replies: Sequence[Reply], sample: int = 0) -> Prompt:
    """The prompt at a turn, given the replies to the earlier turns that were asked. An item of raw text has only turn
    0."""
    if item.text is not None:
        return Prompt(text=item.text, sample=sample)
    messages: list[tuple[Role, str]] = [] if item.system is None else [("system", item.system)]
    said = iter(replies)
    for earlier in item.turns[:turn]:
        answer = earlier.canned if earlier.canned is not None else answer_of(next(said).text)
        messages += [("user", earlier.user), ("assistant", answer)]
    return Prompt(messages=(*messages, ("user", item.turns[turn].user)), sample=sample)


@dataclass
class _Dialogue:
    item: Item
    sample: int
    replies: list[Reply] = field(default_factory=list)
    likelihoods: tuple[Likelihood, ...] = ()

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The (context, continuation) pairs of a likelihood item."""
        text = self.item.text or ""
        return [(text, each) for each in self.item.continuations] or [("", text)]

    def asks_at(self, turn: int) -> bool:
        if self.item.mode == "likelihood":
            return False
        if self.item.mode == "continue":
            return turn == 0
        return turn < len(self.item.turns) and self.item.turns[turn].canned is None

    def asks(self, turn: int) -> bool:
        return self.asks_at(turn) and not any(reply.failure for reply in self.replies)

    def answer(self) -> Answer:
        whole = self.likelihoods[0] if self.likelihoods and not self.item.continuations else None
        return Answer(
            item=self.item,
            sample=self.sample,
            replies=tuple(self.replies),
            nats=None if whole is None else whole.nats,
            tokens=None if whole is None else whole.tokens,
            likelihoods=self.likelihoods if self.item.continuations else (),
        )


class _Asker:
    """Asks one backend through the cache and reports the progress."""

    def __init__(self, backend: Backend, cache: Cache | None, batch: int, progress: Report | None, total: int) -> None:
        self.backend, self.batch, self.progress = backend, batch, progress
        self.info = backend.info
        # The replies of a model whose weights are not identified are not kept for other runs.
        self.cache = cache if self.info.identified else None
        self.total, self.done, self.cached, self.asked, self.seconds = total, 0, 0, 0, 0.0

    def replies(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Reply]:
        return self._through(
            prompts,
            key=lambda prompt: generation_key(self.info, prompt, sampling),
            length=_characters,
            get=lambda asked: as_they_come(self.backend, asked, sampling),
            write=lambda reply: None if reply.failure else reply_as_json(reply),
            read=reply_from_json,
        )

    def likelihoods(self, pairs: Sequence[tuple[str, str]]) -> list[Likelihood]:
        backend = self.backend
        if not isinstance(backend, LikelihoodBackend):
            raise UsageError(f"{self.info.model}: {self.info.kind} tells no probabilities; use a transformers model")
        return self._through(
            pairs,
            key=lambda pair: likelihood_key(self.info, *pair),
            length=lambda pair: len(pair[0]) + len(pair[1]),
            get=lambda asked: enumerate(backend.loglikelihood(asked)),
            write=lambda found: {"nats": found.nats, "tokens": found.tokens, "greedy": found.greedy},
            read=lambda found: Likelihood(found["nats"], found["tokens"], found["greedy"]),
        )

    def leave_out(self, requests: int) -> None:
        """Subtract requests that will not be made after all from the total."""
        self.total -= requests

    def _through(
        self,
        requests: Sequence[Asked],
        *,
        key: Callable[[Asked], str],
        length: Callable[[Asked], int],
        get: Callable[[Sequence[Asked]], Iterable[tuple[int, Got]]],
        write: Callable[[Got], Mapping[str, Any] | None],
        read: Callable[[Mapping[str, Any]], Got],
    ) -> list[Got]:
        """Results in order. Failures (`write` gives None) are not kept: asking again costs little, or may succeed.
        Results that came before an error or an interruption are kept."""
        keys = [key(request) for request in requests]
        results: dict[str, Got] = {}
        for rows in self._batches([length(request) for request in requests]):
            wanted = {keys[row]: requests[row] for row in rows if keys[row] not in results}
            missing: dict[str, Asked] = {}
            for name, request in wanted.items():
                stored = None if self.cache is None else self.cache.get(name)
                if stored is None:
                    missing[name] = request
                else:
                    results[name] = read(stored)
            if missing:
                began = time.monotonic()
                results |= get_and_keep(self.cache, missing, get, write)
                self.seconds += time.monotonic() - began
                self.asked += len(missing)
            self._count(len(rows), len(rows) - len(missing))
        return [results[name] for name in keys]

    def _batches(self, lengths: Sequence[int]) -> Iterator[list[int]]:
        order = sorted(range(len(lengths)), key=lambda row: (-lengths[row], row))
        for start in range(0, len(order), self.batch):
            yield order[start : start + self.batch]

    def _count(self, done: int, cached: int) -> None:
        self.done += done
        self.cached += cached
        if self.progress is not None:
            left = None if not self.asked else (self.total - self.done) * self.seconds / self.asked
            self.progress(Progress(self.done, self.total, self.cached, left))


def _characters(prompt: Prompt) -> int:
    return len(prompt.text) if prompt.text is not None else sum(len(content) for _, content in prompt.messages)


def _require_sound(items: Sequence[Item]) -> None:
    seen: set[tuple[str, str]] = set()
    for item in items:
        if (item.language, item.id) in seen:
            raise ValueError(f"two items in {item.language} are called {item.id}")
        seen.add((item.language, item.id))
        if item.turns and item.turns[-1].canned is not None:
            raise ValueError(f"{item.id}: the last turn is canned, so nothing is asked")
