# SPDX-License-Identifier: Apache-2.0
"""Rows that training never touched: the criterion, written down.

A base model often holds the chat tokens of its family as reserved, untrained rows. Adding `chat − base` to such a
row in the target adds to noise, so the chat model's row is copied instead. A row counts as untrained when one of
four measures says so; each is a distance with a unit-free figure, and each is blind to the token's name:

| reason         | figure                                                                        | untrained if |
|----------------|-------------------------------------------------------------------------------|--------------|
| near zero      | norm ÷ median norm of ordinary rows                                           | < 0.1        |
| at the mean    | distance to the mean row ÷ median distance of ordinary rows                   | < 0.1        |
| duplicate      | distance to the nearest other row ÷ own norm                                  | < 0.01       |
| reserved       | share of ordinary rows that look like the reserved ones, if this row does too | ≤ 0.02       |

"Reserved" rows are those of placeholder tokens (`<|reserved_special_token_7|>`, `<unused3>`, `[control_12]`, …) and
the padding rows behind the last token: nobody can have trained them. A row looks like them when its norm and its
cosine to their centroid fall into the range of theirs. The measure abstains where more than 2 % of ordinary rows
do so too: then reserved rows cannot be told from trained ones. Untrained rows move together under a softmax, which
pushes every unseen token the same way; see "Fishing for Magikarp" (arXiv 2405.05417, §3), whose indicators these
are, with the ranges measured on each model instead of fixed.

Not covered: a row trained a little and badly, and untied heads, whose unseen rows are pushed far from zero.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from chatvector.vocabulary.tokens import TokenTable

NEAR_ZERO = 0.1
"""Trained rows, even of rare tokens, keep a good part of the median norm; rows left at zero, or decayed to it by weight
decay, keep next to nothing. A tenth lies between."""
AT_MEAN = 0.1
"""Enlarging a vocabulary by its mean gives 0 up to rounding. The mean itself is estimated from the sample, with an
error of 1/√2048 ≈ 0.02 of the typical distance, well below this."""
DUPLICATE = 0.01
"""Two copies in BF16 differ by at most 2⁻⁸ = 0.004 of their norm. Two trained rows differ by about their norm."""
LIKE_RESERVED = 0.02
"""At most this share of ordinary rows may look reserved: the false-alarm rate that the measure accepts, checked on
each model. Some ordinary rows are in truth untrained, so the share is not zero in good models."""
FEWEST_RESERVED = 4
"""A range of norms and cosines needs a few rows."""

SAMPLE = 2048
"""Ordinary rows that are read: 16 MiB at 4096 × BF16, and enough to measure a share of 0.02."""
MOST_SPECIAL = 1024
"""Added tokens, and padding rows, that are read for the search of duplicates and the reserved cluster."""
RUN = 32
"""Ordinary rows are read in runs of so many."""
SEED = 20231004

RESERVED_NAME = re.compile(
    r"^[<\[]?\|?_?(?:reserved|unused|control|extra|placeholder|dummy|special|pad_token)[A-Za-z_ ]*\d+_?\|?[>\]]?$",
    re.IGNORECASE,
)


class RowReader(Protocol):
    """An embedding of which single rows can be read: V rows of D values."""

    @property
    def rows(self) -> int:
        """V, padding included."""
        ...

    @property
    def dim(self) -> int:
        """D."""
        ...

    def read_rows(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Rows by number: [n] → [n, D]."""
        ...


@dataclass(frozen=True)
class RowHealth:
    """What the criterion says of one row, and the figure that decided."""

    token: str
    row: int
    untrained: bool
    reason: str
    """`near zero`, `at the mean`, `duplicate of ROW`, `reserved`, or `trained`."""
    figure: float
    """Of the measure named in `reason`; for a trained row its norm ÷ the median norm."""


@dataclass(frozen=True)
class _Surroundings:
    """What a row is compared with; N ordinary rows, R reserved ones, O others of special tokens and padding."""

    ordinary: NDArray[np.float32]  # [N, D]
    other_rows: NDArray[np.int64]  # [O]
    others: NDArray[np.float32]  # [O, D]
    reserved: NDArray[np.bool_]  # [O]
    mean: NDArray[np.float32]  # [D]
    median_norm: float
    median_distance: float


def assess_rows(embedding: RowReader, tokens: Mapping[str, int], table: TokenTable) -> dict[str, RowHealth]:
    """Apply the criterion to some tokens of a model.

    Args:
        embedding: the model's input embedding, [V, D].
        tokens: token string → row, the tokens in question.
        table: the model's token table, which tells ordinary, added and reserved tokens apart.

    Reads at most 2048 + 2 · 1024 + len(tokens) rows. The same input gives the same answer: the sample is seeded.
    """
    if not tokens:
        return {}
    around = _surroundings(embedding, tokens, table)
    rows = np.fromiter(tokens.values(), np.int64, len(tokens))
    values = embedding.read_rows(rows)
    return {
        token: _assess(token, int(row), value, around) for token, row, value in zip(tokens, rows, values, strict=True)
    }


def _surroundings(embedding: RowReader, tokens: Mapping[str, int], table: TokenTable) -> _Surroundings:
    asked = set(tokens.values())
    added = {row for token in table.added if (row := table.ids[token]) < embedding.rows}
    named = {row for token, row in table.ids.items() if row < embedding.rows and RESERVED_NAME.match(token)}
    padding = np.arange(min(table.size, embedding.rows), embedding.rows)
    random = Random(SEED)  # numpy.random costs 26 ms of start-up
    plain = np.ones(embedding.rows, bool)
    plain[padding] = False
    plain[list(added | named | asked)] = False
    ordinary = _some_runs(np.flatnonzero(plain), SAMPLE, random)
    if not len(ordinary):  # a toy vocabulary: special tokens are compared with each other
        ordinary = _some(np.arange(min(table.size, embedding.rows)), SAMPLE, random)
    special = _some(np.array(sorted(added | named), np.int64), MOST_SPECIAL, random)
    others = sorted({*special.tolist(), *_some(padding, MOST_SPECIAL, random).tolist()})
    other_rows = np.array(others, np.int64)
    reserved = np.array([row in named or row >= table.size for row in others], bool)
    sample = embedding.read_rows(ordinary)
    mean = sample.mean(axis=0, dtype=np.float64).astype(np.float32)
    return _Surroundings(
        ordinary=sample,
        other_rows=other_rows,
        others=embedding.read_rows(other_rows),
        reserved=reserved,
        mean=mean,
        # Not numpy.median: it loads numpy.ma, 25 ms of start-up.
        median_norm=statistics.median(_norms(sample).tolist()),
        median_distance=statistics.median(_norms(sample, mean).tolist()),
    )


def _assess(token: str, row: int, value: NDArray[np.float32], around: _Surroundings) -> RowHealth:
    norm = float(np.linalg.norm(value))
    relative = norm / max(around.median_norm, 1e-30)
    if relative < NEAR_ZERO:
        return RowHealth(token, row, True, "near zero", relative)
    spread = float(np.linalg.norm(value - around.mean)) / max(around.median_distance, 1e-30)
    if spread < AT_MEAN:
        return RowHealth(token, row, True, "at the mean", spread)
    others = around.others[around.other_rows != row]
    rows = around.other_rows[around.other_rows != row]
    if len(others):
        distances = _norms(others, value) / norm
        nearest = int(distances.argmin())
        if distances[nearest] < DUPLICATE:
            return RowHealth(token, row, True, f"duplicate of row {rows[nearest]}", float(distances[nearest]))
    reserved = around.others[around.reserved & (around.other_rows != row)]
    share = _share_like(value, reserved, around.ordinary)
    if share is not None and share <= LIKE_RESERVED:
        return RowHealth(token, row, True, "reserved", share)
    return RowHealth(token, row, False, "trained", relative)


def _share_like(
    value: NDArray[np.float32], reserved: NDArray[np.float32], ordinary: NDArray[np.float32]
) -> float | None:
    """Share of ordinary rows [N, D] that look like the reserved ones [R, D]; None if `value` [D] does not.

    The ranges are those of the reserved rows themselves, each against the centroid of the others, widened by 5 %:
    norms by a factor, cosines by that share of their distance to 1.
    """
    count = len(reserved)
    norms = np.linalg.norm(reserved, axis=1)
    if count < FEWEST_RESERVED or not norms.all():
        return None
    centroid = reserved.mean(axis=0)
    left_out = (centroid * count - reserved) / (count - 1)  # [R, D]: the centroid without each row
    cosines = np.einsum("rd,rd->r", reserved, left_out) / (norms * np.linalg.norm(left_out, axis=1) + 1e-30)
    lowest = cosines.min() - 0.05 * (1 - cosines.min())
    shortest, longest = norms.min() / 1.05, norms.max() * 1.05

    def alike(rows: NDArray[np.float32]) -> NDArray[np.bool_]:
        lengths = _norms(rows)
        towards = rows @ centroid / (lengths * np.linalg.norm(centroid) + 1e-30)
        return (lengths >= shortest) & (lengths <= longest) & (towards >= lowest)

    if not alike(value[None])[0]:
        return None
    return float(alike(ordinary).mean())


def _some_runs(rows: NDArray[np.int64], most: int, random: Random) -> NDArray[np.int64]:
    """At most `most` of the rows, ascending, in runs of `RUN`: over a network each run is one request."""
    if len(rows) <= most:
        return rows.astype(np.int64)
    chosen = np.array(sorted(random.sample(range(len(rows) // RUN), most // RUN)))
    return rows[(chosen[:, None] * RUN + np.arange(RUN)).ravel()].astype(np.int64)


def _norms(rows: NDArray[np.float32], origin: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
    """Norms of rows [n, D], or of their distances from `origin` [D]: [n].

    A few rows at a time: a copy of all would be the largest thing in memory where D is.
    """
    found = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), RUN):
        part = rows[start : start + RUN]
        found[start : start + RUN] = np.linalg.norm(part if origin is None else part - origin, axis=1)
    return found


def _some(rows: NDArray[np.int64], most: int, random: Random) -> NDArray[np.int64]:
    """At most `most` of the rows, ascending."""
    if len(rows) <= most:
        return rows.astype(np.int64)
    return np.array(sorted(random.sample(rows.tolist(), most)), np.int64)
