# SPDX-License-Identifier: Apache-2.0
"""Chooses samples to show side by side, by rule and never by taste: largest wins, largest losses, and some drawn by the
seed.

In each task the first primary metric that averages marks, and has any, decides. A pair is an item (and sample number)
that both the model and the reference answered; pairs of equal difference are ordered by a hash of seed, task, item and
sample, so nobody chose among them. Texts of sensitive items are redacted here, before anything is written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from chatvector.evaluate.records import item_of, marked_of
from chatvector.evaluate.redaction import shown as redacted
from chatvector.evaluate.report.blocks import Said, Sample, Samples
from chatvector.evaluate.report.characters import shortened
from chatvector.evaluate.report.view import View, label
from chatvector.evaluate.report.wording import number
from chatvector.evaluate.results import MetricRow, TaskRow
from chatvector.evaluate.task import Item

EACH = 2
"""Number of samples of each kind, per task and model."""
RULE = (
    f"Chosen by rule: of each task the {EACH} items where a model beats the reference by most, the {EACH} where it"
    " falls behind by most, and as many more drawn at random, by the first primary figure that averages marks and has"
    " any. Among equal differences a hash of the seed decides. Nobody picked them."
)

Records = Sequence[Mapping[str, Any]]
Key = tuple[str, int]
"""(item id, sample number)."""


def samples(view: View, task: TaskRow, records: Records, *, reveal: bool) -> Samples | None:
    """Samples of a task; None if it has no mark to choose by, or nothing to read (likelihoods).

    Args:
        records: lines of the task's items file, as `read_lines` gives them.
        reveal: also show the texts of sensitive items.
    """
    fit = [one for one in task.metrics if one.primary and one.mark and one.better != "neither"]
    by_metric = ((one, {name: _marks(records, name, one) for name in view.names}) for one in fit)
    # A metric without any marks (such as what is unsafe, without a guard) is passed over for the next one.
    metric, marks = next(((one, found) for one, found in by_metric if any(found.values())), (None, {}))
    if metric is None:
        return None
    texts = {
        (record["item"]["id"], answer["sample"], answer["model"]): answer
        for record in records
        for answer in record["answers"]
        if answer["replies"]
    }
    picks: dict[Key, list[str]] = {}
    for key, why in _picks(view, task, metric, marks):
        picks.setdefault(key, []).append(why)
    items = {record["item"]["id"]: item_of(record["item"]) for record in records}
    made = [
        _sample(view, metric, items[key[0]], key, "; ".join(why), texts, marks, reveal=reveal)
        for key, why in picks.items()
        if any((*key, name) in texts for name in view.names)
    ]
    return Samples(f"{label(task)}, by {metric.title}", tuple(made)) if made else None


def _marks(records: Records, model: str, metric: MetricRow) -> dict[Key, float]:
    found: dict[Key, float] = {}
    for one in marked_of(records, model):
        mark = one.marks.get(metric.mark or "")
        if isinstance(mark, bool | int | float):
            found[one.answer.item.id, one.answer.sample] = float(mark)
    return found


def _picks(
    view: View, task: TaskRow, metric: MetricRow, marks: Mapping[str, Mapping[Key, float]]
) -> Iterator[tuple[Key, str]]:
    """Keys with the rule that chose them: each candidate's largest wins and losses, then some drawn at random."""
    reference = view.results.reference
    sign = 1 if metric.better == "higher" else -1
    for model in view.candidates:
        if reference is None or reference == model:
            continue
        other = marks[reference]
        ahead = {key: sign * (mark - other[key]) for key, mark in marks[model].items() if key in other}
        order = sorted(ahead, key=lambda key: _drawn(view, task, "among equals", key))
        for word, turn in (("largest wins", 1), ("largest losses", -1)):
            differ = [key for key in order if turn * ahead[key] > 0]
            for key in sorted(differ, key=lambda key: -turn * ahead[key])[:EACH]:
                equal = sum(one == ahead[key] for one in ahead.values())
                yield key, f"{model}: {word}" + ("" if equal == 1 else f", one of {equal} with the same difference")
    everything = {key for model in view.candidates for key in marks[model]}
    for key in sorted(everything, key=lambda key: _drawn(view, task, "at random", key))[:EACH]:
        yield key, "drawn at random"


def _drawn(view: View, task: TaskRow, purpose: str, key: Key) -> str:
    """A hash to order keys by. It depends on the seed and the purpose, so the order among equal differences is
    independent of the random draw."""
    text = "/".join([str(view.results.seed), purpose, task.name, task.language, key[0], str(key[1])])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _sample(
    view: View,
    metric: MetricRow,
    item: Item,
    key: Key,
    why: str,
    answers: Mapping[tuple[str, int, str], Mapping[str, Any]],
    marks: Mapping[str, Mapping[Key, float]],
    *,
    reveal: bool,
) -> Sample:
    def text(said: str) -> str:
        return shortened(redacted(said, item, reveal=reveal))

    asked: list[tuple[str, str]] = [] if item.system is None else [("system", text(item.system))]
    if item.text is not None:
        asked.append(("text to continue", text(item.text)))
    for turn in item.turns:
        asked.append(("user", text(turn.user)))
        if turn.canned is not None:
            asked.append(("canned reply", text(turn.canned)))
    said = []
    for name in view.names:
        answer = answers.get((*key, name))
        if answer is None:
            continue
        failed = answer["failed"]
        replies = tuple(
            f"[failed: {one['failure']}]" if one["failure"] else text(one["text"]) for one in answer["replies"]
        )
        mark = marks[name].get(key)
        word = f"failed: {failed}" if failed else "no mark" if mark is None else _mark(mark, metric)
        said.append(Said(name, replies, word))
    number_of = f", sample {key[1]}" if any(other[0] == key[0] and other[1] != key[1] for other in answers) else ""
    return Sample(why, f"{item.id}{number_of}", tuple(asked), tuple(said))


def _mark(mark: float, metric: MetricRow) -> str:
    if metric.kind == "rate":
        return f"{metric.title}: {'yes' if mark else 'no'}"
    return f"{metric.title}: {number(mark, metric.unit)}{' %' if metric.unit == 'share' else f' {metric.unit}'}"
