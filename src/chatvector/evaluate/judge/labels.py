# SPDX-License-Identifier: Apache-2.0
"""Does a judge agree with people? A judge that nobody compared is unvalidated, and its results say so.

Labels come in a file of the user's: JSONL (CSV, TSV …) with columns `id` and `label`, and `model` if the labelled
replies come from several models. A label is a score from 1 to 10, or a preference: `first`, `second` or `tie`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from chatvector.errors import InputError, first_five
from chatvector.evaluate.items import read_records
from chatvector.evaluate.statistics.agreement import kappa, spearman

Key = tuple[str, str]
"""(model, item id); model is "" if the file names none."""

PREFERENCES = ("first", "second", "tie")
FEWEST = 20
"""Fewest labels whose verdicts could be read; with fewer the judge stays unvalidated."""


@dataclass(frozen=True)
class Labels:
    """People's labels by key: all scores, or all preferences."""

    name: str
    values: Mapping[Key, float | str]

    @property
    def are_scores(self) -> bool:
        """True for scores, False for preferences."""
        return all(isinstance(value, float) for value in self.values.values())


def read_labels(path: Path | str) -> Labels:
    """Read labels from a file. Raises InputError for a value that is no label, two labels of one reply, or both kinds
    in one file, and what `read_records` raises."""
    records = read_records(path, ["id", "label"])
    values: dict[Key, float | str] = {}
    for number, record in enumerate(records, 1):
        key = (str(record.get("model") or ""), str(record["id"]))
        if key in values:
            raise InputError(f"{path}: two labels of {' '.join(filter(None, key))} (record {number}); keep one")
        values[key] = _label(path, number, record["label"])
    kinds = {type(value) for value in values.values()}
    if len(kinds) > 1:
        raise InputError(f"{path}: holds scores and preferences; put them into two files")
    return Labels(Path(path).name, values)


def judge_agreement(labels: Labels, verdicts: Mapping[Key, float | str | None]) -> dict[str, float]:
    """How far a judge's verdicts (None: could not be read) agree with the labels, for `ModelJudge.validated`.

    For scores: Spearman's ρ, and κ of "at least the median label". For preferences: κ and the share that agrees.
    `labels` is the number of labels with a verdict that was read, `unread` the number of labelled replies whose verdict
    could not be read. A label without a model fits the item's only verdict, whatever the model. Figures that are
    undefined (all values equal) are left out. Raises InputError for fewer than FEWEST pairs, and for a label without a
    model if several models answered its item.
    """
    wanted = dict(labels.values)
    matched = {key: _find(key, verdicts) for key in wanted}
    known = {key: verdict for key, verdict in matched.items() if verdict is not None}
    pairs = [(wanted[key], verdict) for key, verdict in known.items() if verdict[0] is not None]
    if len(pairs) < FEWEST:
        missing = [" ".join(filter(None, key)) for key, verdict in matched.items() if verdict is None]
        lacking = f"; not judged: {first_five(missing)}" if missing else ""
        raise InputError(
            f"{labels.name}: {len(pairs)} labels have a verdict that was read, and {FEWEST} are needed{lacking}"
        )
    found: dict[str, float | None] = {"labels": float(len(pairs)), "unread": float(len(known) - len(pairs))}
    if labels.are_scores:
        people, judge = [float(label) for label, _ in pairs], [float(verdict[0] or 0) for _, verdict in pairs]
        middle = sorted(people)[len(people) // 2]
        found["spearman"] = spearman(people, judge)
        found["kappa"] = kappa([value >= middle for value in people], [value >= middle for value in judge])
    else:
        said = [verdict[0] for _, verdict in pairs]
        given = [label for label, _ in pairs]
        found["kappa"] = kappa(given, said)
        found["agree"] = sum(a == b for a, b in zip(given, said, strict=True)) / len(pairs)
    return {name: value for name, value in found.items() if value is not None}


def _find(key: Key, verdicts: Mapping[Key, float | str | None]) -> tuple[float | str | None] | None:
    """The verdict of a labelled reply, in a tuple of one; None if the reply was not judged."""
    if key in verdicts:
        return (verdicts[key],)
    if key[0]:
        return None
    of_item = [verdict for (_, item), verdict in verdicts.items() if item == key[1]]
    if len(of_item) > 1:
        raise InputError(f"labels: {key[1]} was answered by {len(of_item)} models; add the column model")
    return (of_item[0],) if of_item else None


def _label(path: Path | str, number: int, value: object) -> float | str:
    text = str(value).strip().lower()
    if text in PREFERENCES:
        return text
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 1 <= found <= 10:
        raise InputError(
            f"{path}: record {number}: label {value!r} is neither a score from 1 to 10 nor {', '.join(PREFERENCES)}"
        )
    return found
