# SPDX-License-Identifier: Apache-2.0
"""The items files: prompts, replies and marks as JSON lines, one line per item with the answers of all models.

    {"item": {…}, "answers": [{"model": …, "sample": 0, "replies": […], "nats": null, "tokens": null, "likelihoods": [],
                               "marks": {…}, "failed": null, "riders": {"language": [{…}, …]}}, …]}

An item that may hold harm has `"sensitive": true` and is written in full: reports redact it, these files do not.
Equal evaluations write equal bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from chatvector.errors import DamagedFile, MissingInput, brief
from chatvector.evaluate.tally import Block
from chatvector.evaluate.task import Answer, Item, Marked, Marks, Turn
from chatvector.runtime.backend import Likelihood, Reply

_KINDS: Mapping[str, Any] = {
    "model": str,
    "sample": int,
    "replies": list,
    "marks": Mapping | None,
    "failed": str | None,
    "riders": Mapping,
}
Riders = Mapping[tuple[str, str, int], Mapping[str, Sequence[Marks | None]]]
"""(model, item id, sample) → rider → its marks of each reply; None for a failed reply."""


def lines(block: Block, models: Sequence[str], riders: Riders) -> Iterable[str]:
    """The lines of a block, ordered by item; within a line by model, then by sample."""
    said: dict[str, list[tuple[str, Answer, Marks | None]]] = {}
    for model in models:
        answers: list[tuple[Answer, Marks | None]] = [(one.answer, one.marks) for one in block.marked.get(model, ())]
        answers += [(one, None) for one in block.failed.get(model, ())]
        for answer, marks in sorted(answers, key=lambda pair: pair[0].sample):
            said.setdefault(answer.item.id, []).append((model, answer, marks))
    for item in block.items:
        answers_of = [
            _answer(model, answer, marks, riders.get((model, item.id, answer.sample), {}))
            for model, answer, marks in said.get(item.id, ())
        ]
        yield _line({"item": asdict(item), "answers": answers_of})


def _line(record: Mapping[str, Any]) -> str:
    text = json.dumps(record, ensure_ascii=False, allow_nan=False)
    if any("\ud800" <= character <= "\udfff" for character in text):
        text = json.dumps(record)  # UTF-8 cannot encode a lone surrogate
    return text + "\n"


def _answer(
    model: str, answer: Answer, marks: Marks | None, riders: Mapping[str, Sequence[Marks | None]]
) -> dict[str, Any]:
    return {
        "model": model,
        "sample": answer.sample,
        "replies": [asdict(reply) for reply in answer.replies],
        "nats": answer.nats,
        "tokens": answer.tokens,
        "likelihoods": [asdict(one) for one in answer.likelihoods],
        "marks": None if marks is None else dict(marks),
        "failed": answer.failed,
        "riders": {name: [None if one is None else dict(one) for one in found] for name, found in riders.items()},
    }


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The records of an items file, checked: each has an item and answers as `lines` writes them. Raises MissingInput,
    or DamagedFile with the number of the first bad line."""
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise MissingInput(f"{path}: the items of these results cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DamagedFile(f"{path}: no items file: {error}") from error
    found: list[dict[str, Any]] = []
    for number, line in enumerate(text.split("\n")[:-1] if text.endswith("\n") else text.split("\n"), 1):
        try:
            record = json.loads(line)
            item = item_of(record["item"])
            for one in record["answers"]:
                _require(one)
                _read_answer(item, one)
        except KeyError as error:
            raise DamagedFile(f"{path}:{number}: not a line of an items file: it lacks {error}") from error
        except (ValueError, TypeError, AttributeError) as error:
            raise DamagedFile(f"{path}:{number}: not a line of an items file: {error}") from error
        found.append(record)
    return found


def marked_of(records: Sequence[Mapping[str, Any]], model: str) -> list[Marked]:
    """The marked answers of a model."""
    found: list[Marked] = []
    for record in records:
        item = item_of(record["item"])
        for one in record["answers"]:
            if one["model"] == model and one["marks"] is not None:
                found.append(Marked(_read_answer(item, one), one["marks"]))
    return found


def rider_marked_of(records: Sequence[Mapping[str, Any]], model: str, rider: str, task: str) -> list[Marked]:
    """The replies of a model to a task as the rider marked them."""
    found: list[Marked] = []
    for record in records:
        item = item_of(record["item"])
        for one in record["answers"]:
            if one["model"] == model and rider in one["riders"]:
                answer = _read_answer(item, one)
                found += rider_answers(task, answer, one["riders"][rider])
    return found


def rider_answers(task: str, answer: Answer, marks: Sequence[Marks | None]) -> list[Marked]:
    """One `Marked` for each reply that has marks. Its item names the task and the turn; its cluster is that of the
    answered item."""
    found = []
    for turn, (reply, one) in enumerate(zip(answer.replies, marks, strict=True)):
        if one is not None:
            item = replace(
                answer.item,
                id=f"{task}/{answer.item.id}#{turn}",
                cluster=f"{task}/{answer.item.cluster or answer.item.id}",
                facets={**answer.item.facets, "task": task},
            )
            found.append(Marked(Answer(item, answer.sample, (reply,)), one))
    return found


def item_of(record: Mapping[str, Any]) -> Item:
    """The item that a record holds."""
    turns, continuations = tuple(Turn(**turn) for turn in record["turns"]), tuple(record.get("continuations", ()))
    return Item(**{**record, "turns": turns, "continuations": continuations})


def _require(record: Mapping[str, Any]) -> None:
    """Check the parts of an answer's record that `_read_answer` does not. Raises KeyError, TypeError."""
    for key, kinds in _KINDS.items():
        if not isinstance(record[key], kinds):
            raise TypeError(f"{key} is {brief(record[key])}")
    for name, marks in record["riders"].items():
        if len(marks) != len(record["replies"]):
            raise TypeError(f"{len(marks)} marks of {brief(name)} for {len(record['replies'])} replies")


def _read_answer(item: Item, record: Mapping[str, Any]) -> Answer:
    replies = tuple(Reply(**{**reply, "special": tuple(reply["special"])}) for reply in record["replies"])
    likelihoods = tuple(Likelihood(**one) for one in record.get("likelihoods", ()))
    return Answer(item, record["sample"], replies, record["nats"], record["tokens"], likelihoods)
