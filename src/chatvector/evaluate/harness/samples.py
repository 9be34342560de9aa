# SPDX-License-Identifier: Apache-2.0
"""The harness's `samples_TASK_TIME.jsonl`, one line per document and filter: read, compared, and written.

Lines of two models are paired by `doc_hash`. So runs from other people's machines can be compared item by item with our
statistics; the harness's own comparison is unpaired.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from chatvector.errors import InputError
from chatvector.evaluate.items import read_records
from chatvector.evaluate.records import item_of
from chatvector.evaluate.statistics.paired import Difference
from chatvector.evaluate.tally import compare
from chatvector.evaluate.task import Answer, Item, Mark, Marked, Metric
from chatvector.evaluate.thinking import answer_of

FRAME = frozenset(
    {
        "doc_id",
        "doc",
        "target",
        "arguments",
        "resps",
        "filtered_resps",
        "filter",
        "metrics",
        "doc_hash",
        "prompt_hash",
        "target_hash",
    }
)
"""Keys of a line that are not metrics."""


def read_samples(path: Path | str, *, filter_name: str | None = None) -> list[Marked]:
    """The lines of a samples file as marked items. Marks are the metrics of a line, the item's id is its `doc_hash`.

    Args:
        filter_name: filter whose lines are read; needed for a file with several filters.

    Raises InputError, which names the filters, for a file with several filters if none is chosen, and for a filter
    without lines; also what `read_records` raises.
    """
    lines = read_records(path, ["doc_hash"])
    filters = list(dict.fromkeys(str(line.get("filter", "none")) for line in lines))
    if filter_name is None and len(filters) > 1:
        raise InputError(f"{path}: has {len(filters)} filters; choose one: {', '.join(filters)}")
    chosen = [line for line in lines if filter_name is None or line.get("filter", "none") == filter_name]
    if not chosen:
        raise InputError(f"{path}: no line of filter {filter_name!r}; there are {', '.join(filters)}")
    marked: dict[str, Marked] = {}
    for line in chosen:
        name = str(line["doc_hash"])
        while name in marked:  # the same document twice, as in `HarnessTask`
            name += "+"
        item = Item(name, "und", text="", mode="likelihood", cluster=name, facets={"filter": str(line.get("filter"))})
        marked[name] = Marked(Answer(item, 0), _marks(line))
    return list(marked.values())


def sample_metrics(marked: Sequence[Marked]) -> tuple[str, ...]:
    """Names of the numeric metrics of a file's lines."""
    names = dict.fromkeys(name for one in marked for name in one.marks)
    return tuple(name for name in names if all(not isinstance(one.marks.get(name), str) for one in marked))


def compare_samples(first: Sequence[Marked], second: Sequence[Marked], metric: str, *, seed: int = 0) -> Difference:
    """Second − first on the documents that both have: exact McNemar and Newcombe's interval if all values are 0 or 1,
    else bootstrap and sign-flip. Raises InputError for a metric that is not in both, or without a common document."""
    known = [name for name in sample_metrics(first) if name in sample_metrics(second)]
    if metric not in known:
        raise InputError(f"samples: no metric {metric!r} in both files; there are {', '.join(known) or 'none'}")
    values = [one.marks.get(metric) for one in (*first, *second)]
    rate = all(value is None or value in (0, 1) for value in values)
    sides = [[_as(rate, one, metric) for one in side] for side in (first, second)]
    found = compare(Metric(metric, metric, metric, kind="rate" if rate else "mean"), sides[0], sides[1], seed)
    if found is None:
        raise InputError("samples: the files have no document in common (doc_hash); are they of the same task?")
    return found


def sample_lines(records: Iterable[Mapping[str, Any]], model: str) -> list[str]:
    """Our records of one model (`records.read_lines`) as lines of a samples file, for tools that read such files.

    The document is the item without the parts that only we use. Several samples of an item are several `resps`; the
    metrics are the marks of the first sample. Items of the harness's tasks keep their `doc_hash`.
    """
    made: list[str] = []
    for number, record in enumerate(records):
        answers = [one for one in record["answers"] if one["model"] == model and one["marks"] is not None]
        if not answers:
            continue
        item = item_of(record["item"])
        marks = {name: value for name, value in answers[0]["marks"].items() if name not in FRAME}
        document = {"id": item.id, "language": item.language, "turns": [turn.user for turn in item.turns]}
        document |= {"text": item.text, "system": item.system, "facets": dict(item.facets)}
        target = json.dumps(dict(item.expect), ensure_ascii=False, sort_keys=True)
        arguments = _arguments(item)
        replies = [_replies(one) for one in answers]
        line = {
            "doc_id": number,
            "doc": document,
            "target": target,
            "arguments": arguments,
            "resps": replies,
            "filtered_resps": [one[0] if one else "" for one in replies],
            "filter": "none",
            "metrics": sorted(marks),
            "doc_hash": item.expect.get("document") or _hash(json.dumps(document, indent=2, ensure_ascii=False)),
            "prompt_hash": _hash(arguments[0][0]),
            "target_hash": _hash(target),
            **{name: int(value) if isinstance(value, bool) else value for name, value in marks.items()},
        }
        made.append(json.dumps(line, ensure_ascii=False) + "\n")
    return made


def _arguments(item: Item) -> list[list[str]]:
    text = item.text if item.text is not None else item.turns[-1].user
    return [[text, each] for each in item.continuations] or [[text]]


def _replies(answer: Mapping[str, Any]) -> list[Any]:
    said = [answer_of(reply["text"]) for reply in answer["replies"]]
    measured = [[one["nats"], one["greedy"]] for one in answer.get("likelihoods", ())]
    return said[-1:] or measured or [answer["nats"]]


def _marks(line: Mapping[str, Any]) -> dict[str, Mark]:
    return {name: _mark(value) for name, value in line.items() if name not in FRAME}


def _mark(value: Any) -> Mark:
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        return float(value) if math.isfinite(value) else None
    return json.dumps(value, ensure_ascii=False)


def _as(rate: bool, one: Marked, metric: str) -> Marked:
    value = one.marks.get(metric)
    wanted: Mark = value
    if value is not None:
        wanted = bool(value) if rate else float(value)
    return Marked(one.answer, {metric: wanted})


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
