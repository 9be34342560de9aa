# SPDX-License-Identifier: Apache-2.0
"""A task of lm-evaluation-harness as one of ours. Documents, prompts, filters and metrics are those of the harness;
runner, cache, failures and paired statistics are ours.

Documents become items whose id is the harness's `doc_hash`, so that results pair with `samples_*.jsonl` of its own
runs. Likelihoods are asked of raw text. Generation continues raw text too, or, with `chat`, the prompt is the user's
message.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from chatvector.errors import InputError, UsageError
from chatvector.evaluate.harness.library import harness_version, load_task, quiet
from chatvector.evaluate.harness.sets import family_of, language_of
from chatvector.evaluate.task import Answer, Item, Language, Mark, Marked, Marks, Metric, Services, Source, Turn
from chatvector.evaluate.tasks.answers import answer_text
from chatvector.runtime.backend import Sampling

RATES = frozenset({"acc", "acc_norm", "acc_bytes", "acc_mutual_info", "exact_match"})
"""Metrics whose value for one document is right or wrong."""
SHARES = RATES | {"f1", "mcc", "precision", "recall", "bleu_acc", "rouge1_acc", "rouge2_acc", "rougeL_acc"}
LANGUAGES: tuple[Language, ...] = ("en", "ko", "zh-Hant", "zh-Hans", "ja")

Document = list[Any]
"""The requests of a document (`lm_eval.api.instance.Instance`), in the task's order."""


@dataclass(frozen=True)
class HarnessTask:
    """One task of the harness.

    Attributes:
        task: its name, or the path of its YAML file.
        chat: ask in chat form (generation only).
    """

    task: str
    chat: bool = False
    axis: str = "knowledge"

    @property
    def name(self) -> str:
        """`lm-eval-` and the task's name (for a YAML file, the name in it), with `-chat` at the end if it is asked in
        chat form."""
        name = self._loaded.config.task if self.task.endswith((".yaml", ".yml")) else self.task
        return f"lm-eval-{name}" + ("-chat" if self.chat else "")

    @property
    def languages(self) -> tuple[Language, ...]:
        """The language that the task's name tells; all languages if it tells none, so that the user chooses."""
        told = language_of(self.task)
        return LANGUAGES if told is None else (told,)

    @property
    def version(self) -> str:
        """Versions of the library and of the task."""
        return f"lm-eval {harness_version()}, {family_of(self.task)} {self._loaded.VERSION}"

    @cached_property
    def _loaded(self) -> Any:
        return load_task(self.task)

    @cached_property
    def _documents(self) -> dict[str, Document]:
        """Documents built so far, by `doc_hash`."""
        return {}

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Metrics of the task, with its aggregation. A mean is computed by us (intervals, paired tests); for another
        aggregation the harness's function is used under our resampling. With several filters, each has its own
        metrics."""
        higher = self._loaded.higher_is_better()
        made: list[Metric] = []
        for filter_name in self._filters:
            for name, aggregate in self._loaded.aggregation().items():
                made.append(self._metric(name, filter_name, aggregate, bool(higher.get(name, True)), first=not made))
        return tuple(made)

    @property
    def sampling(self) -> Sampling:
        """Sampling by the task's generation settings. Raises UsageError for settings that are not supported."""
        if self._loaded.OUTPUT_TYPE != "generate_until":
            return Sampling()
        from chatvector.evaluate.harness.adapter import sampling_of

        return sampling_of(self._loaded.config.generation_kwargs or {})

    def items(self, language: Language, *, limit: int | None, seed: int) -> list[Item]:
        """Documents in the task's order, one item for each prompt of a document; `limit` counts documents.

        Raises UsageError for a language that the task is not in, HubError if its data cannot be fetched.
        """
        del seed  # the harness has seeds of its own for examples in the prompt
        if language not in self.languages:
            raise UsageError(f"{self.name}: is in {', '.join(self.languages)}, not in {language!r}")
        self._build(limit)
        listed = list(self._documents.items())
        return [item for name, requests in listed[:limit] for item in self._items(name, requests, language)]

    def sources(self, language: Language) -> list[Source]:
        """The data set. The SHA-256 is of the `doc_hash` values of all documents built so far."""
        del language
        config = self._loaded.config
        self._build(1)
        digest = hashlib.sha256("".join(self._documents).encode()).hexdigest()
        name = " ".join(filter(None, (str(config.dataset_path), config.dataset_name)))
        return [Source(name, "as its data set card says", str(self._loaded.VERSION), digest)]

    def needs(self) -> tuple[str, ...]:
        """Needs no service."""
        return ()

    def mark(self, answers: Sequence[Answer], services: Services) -> list[Marks]:
        """Marks: the task's metrics on the first item of each document, None on its other items. All are None for a
        document if one of its answers failed. Values that are not numbers (such as pairs for F1) are JSON."""
        del services
        self._build(None if any(self._hash(one) not in self._documents for one in answers) else 1)
        given: dict[tuple[str, int], dict[int, Answer]] = {}
        for answer in answers:
            given.setdefault((self._hash(answer), answer.sample), {})[answer.item.expect["part"]] = answer
        filled = {key: found for key, parts in given.items() if (found := self._filled(key[0], parts)) is not None}
        with quiet():
            for one in self._loaded._filters:
                one.apply([request for requests in filled.values() for request in requests])
        names = {metric.name for metric in self.metrics}
        return [self._marks(answer, filled.get((self._hash(answer), answer.sample)), names) for answer in answers]

    @property
    def _filters(self) -> list[str]:
        return [one.name for one in self._loaded._filters]

    def _called(self, metric: str, filter_name: str) -> str:
        return metric if len(self._filters) == 1 else f"{metric}-{filter_name}"

    def _metric(
        self, name: str, filter_name: str, aggregate: Callable[[Any], Any], higher: bool, *, first: bool
    ) -> Metric:
        from lm_eval.api.metrics import mean

        called = self._called(name, filter_name)
        averaged = aggregate is mean
        return Metric(
            called,
            called,
            mark=called if averaged else None,
            aggregate=None if averaged else _figure(called, aggregate),
            kind="rate" if averaged and name in RATES else "mean",
            better="higher" if higher else "lower",
            primary=first,
            unit="share" if name in SHARES else name,
        )

    def _build(self, limit: int | None) -> None:
        """Builds the requests of the first `limit` documents (None: all) unless they are there already. Raises
        InputError for a task that draws several replies per document."""
        if limit is not None and len(self._documents) >= limit:
            return
        with quiet():
            self._loaded.build_all_requests(limit=limit, rank=0, world_size=1)
        by_document: dict[int, Document] = {}
        for request in self._loaded.instances:
            if (request.repeats or 1) > 1:
                raise InputError(f"lm-eval:{self.task}: draws {request.repeats} replies a document; not supported")
            by_document.setdefault(request.doc_id, []).append(request)
        self._documents.clear()
        for requests in by_document.values():
            name = document_hash(requests[0].doc)
            while name in self._documents:  # the same document twice
                name += "+"
            self._documents[name] = sorted(requests, key=lambda request: request.idx)

    def _items(self, name: str, requests: Document, language: Language) -> list[Item]:
        kind = requests[0].request_type
        contexts: dict[str, list[int]] = {}
        for place, request in enumerate(requests):
            contexts.setdefault(request.args[0], []).append(place)
        made = []
        for part, (context, places) in enumerate(contexts.items()):
            chat = self.chat and kind == "generate_until"
            likelihood = kind != "generate_until"
            continuations = tuple(requests[place].args[1] for place in places) if kind == "loglikelihood" else ()
            made.append(
                Item(
                    id=name if len(contexts) == 1 else f"{name}/{part}",
                    language=language,
                    turns=(Turn(context),) if chat else (),
                    text=None if chat else context,
                    continuations=continuations,
                    mode="chat" if chat else "likelihood" if likelihood else "continue",
                    cluster=name,
                    expect={"document": name, "part": part, "places": places, "parts": len(contexts)},
                )
            )
        return made

    @staticmethod
    def _hash(answer: Answer) -> str:
        return str(answer.item.expect["document"])

    def _filled(self, name: str, parts: Mapping[int, Answer]) -> Document | None:
        """Copies of a document's requests filled with the model's responses; None if a part is missing."""
        requests = [replace(request, resps=[], filtered_resps={}) for request in self._documents[name]]
        if len(parts) != next(iter(parts.values())).item.expect["parts"]:
            return None
        for answer in parts.values():
            for number, place in enumerate(answer.item.expect["places"]):
                requests[place].resps.append(_said(answer, number, requests[place]))
        return requests

    def _marks(self, answer: Answer, requests: Document | None, names: set[str]) -> Marks:
        empty: dict[str, Mark] = dict.fromkeys(sorted(names))
        if requests is None or answer.item.expect["part"] != 0:
            return empty
        for filter_name in self._filters:
            results = [request.filtered_resps[filter_name] for request in requests]
            for metric, value in self._loaded.process_results(requests[0].doc, results).items():
                called = self._called(metric, filter_name)
                if called in names:
                    empty[called] = _as_mark(metric, value)
        return empty


def document_hash(document: Mapping[str, Any]) -> str:
    """The harness's `doc_hash`: SHA-256, in hex, of the document as JSON with an indent of two (lm-eval 0.4.13,
    evaluator)."""
    from lm_eval.utils import handle_non_serializable

    text = json.dumps(document, indent=2, default=handle_non_serializable, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _said(answer: Answer, number: int, request: Any) -> Any:
    """An answer to a request in the form in which a model of the harness gives it."""
    if request.request_type == "generate_until":
        from chatvector.evaluate.harness.adapter import cut

        return cut(answer_text(answer), request.args[1].get("until"))
    if request.request_type == "loglikelihood":
        found = answer.likelihoods[number]
        return found.nats, found.greedy
    return answer.nats


def _as_mark(metric: str, value: Any) -> Mark:
    if isinstance(value, list | tuple | dict):
        from lm_eval.utils import handle_non_serializable

        return json.dumps(value, ensure_ascii=False, default=handle_non_serializable)
    number = float(value)
    if metric in RATES and number in (0.0, 1.0):
        return bool(number)
    return number if math.isfinite(number) else None


def _figure(name: str, aggregate: Callable[[Any], Any]) -> Callable[[Sequence[Marked]], float | None]:
    """A function that applies the harness's aggregation to our marks."""

    def figure(marked: Sequence[Marked]) -> float | None:
        values = [one.marks[name] for one in marked if one.marks[name] is not None]
        if not values:
            return None
        return float(aggregate([_value(one) for one in values]))

    return figure


def _value(mark: Mark) -> Any:
    """The value that `process_results` gave, restored from a mark: JSON lists become tuples again."""
    if not isinstance(mark, str):
        return mark
    value = json.loads(mark)
    return tuple(value) if isinstance(value, list) else value
