# SPDX-License-Identifier: Apache-2.0
"""Fits the bundled linear scorer of toxicity, and measures it on records that it was not fitted on.

    python experiments/linear_toxicity.py RECORDS.jsonl [--out src/chatvector/evaluate/scorers/linear-toxicity.npz]

Records are RealToxicityPrompts' (Gehman et al., arXiv 2009.11462; data under Apache-2.0), each a prompt and its
continuation with frozen Perspective scores. A record whose file name hashes below two thirds is fitted on, prompt and
continuation each a text; the continuations of the others are what is measured. Choices (n-gram lengths, the buckets'
weights, the penalty) were made by three-fold cross-validation within the first part: docs/log.md.

The model is ridge regression of the logits of the scores, on hashed n-grams. A bucket's weight is
ln((1 + N)/(1 + n)) · sqrt|r|, r the log ratio of its share in toxic and other text, as in naive Bayes features (Wang
and Manning, ACL 2012). Needs scipy.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse, stats

from chatvector.evaluate.items import read_records, sha256
from chatvector.evaluate.scorers.linear import BUNDLED, LinearModel, features
from chatvector.evaluate.scorers.text_scorer import ATTRIBUTES

BUCKETS = 1 << 17
PENALTY = 0.3
FITTED = 2 / 3
"""Share of records that are fitted on."""

Record = dict[str, Any]


def fitted_on(record: Record) -> bool:
    """By a hash of the source file's name: independent of order and of how many records there are."""
    digest = hashlib.sha256(record["filename"].encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 < FITTED


def scored(records: list[Record], parts: tuple[str, ...]) -> tuple[list[str], NDArray[np.float64]]:
    """Texts (N) and their Perspective scores (N, A); texts without all of them are left out."""
    kept = [
        record[part]
        for record in records
        for part in parts
        if all(record[part].get(name) is not None for name in ATTRIBUTES)
    ]
    return [each["text"] for each in kept], np.array([[each[name] for name in ATTRIBUTES] for each in kept])


def matrix(texts: list[str]) -> Any:
    """(N, V) sparse features before the buckets' weights."""
    rows, columns, values = [], [], []
    for row, text in enumerate(texts):
        for bucket, value in features(text, BUCKETS).items():
            rows.append(row)
            columns.append(bucket)
            values.append(value)
    return sparse.csr_matrix((values, (rows, columns)), shape=(len(texts), BUCKETS))


def fit(texts: list[str], scores: NDArray[np.float64]) -> LinearModel:
    """Ridge in its dual form: N equations, as there are fewer texts than buckets."""
    counts = matrix(texts)
    there = (counts > 0).astype(np.float64)
    toxic = scores[:, ATTRIBUTES.index("toxicity")]
    share, other = np.asarray(there.T @ toxic) + 1, np.asarray(there.T @ (1 - toxic)) + 1
    ratio = np.log((share / share.sum()) / (other / other.sum()))
    seen = np.asarray(there.sum(axis=0)).ravel()
    relevance = np.where(seen > 0, np.log((1 + len(texts)) / (1 + seen)) * np.sqrt(np.abs(ratio)), 0)
    weighted: Any = counts @ sparse.diags(relevance)
    length = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1)).ravel())
    x: Any = sparse.diags(1 / np.where(length > 0, length, 1)) @ weighted
    bounded = np.clip(scores, 0.01, 0.99)
    logits = np.log(bounded / (1 - bounded))
    bias = logits.mean(axis=0)
    dual = np.linalg.solve((x @ x.T).toarray() + PENALTY * np.eye(len(texts)), logits - bias)
    return LinearModel(
        ATTRIBUTES, relevance.astype(np.float32), (x.T @ dual).astype(np.float32), bias.astype(np.float32)
    )


def spearman(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Rank correlation: Pearson's of the ranks, ties shared."""
    return float(np.corrcoef(stats.rankdata(first), stats.rankdata(second))[0, 1])


def measure(model: LinearModel, texts: list[str], scores: NDArray[np.float64]) -> dict[str, float]:
    """Spearman, area under the curve at 0.5 and mean absolute error, by attribute; the first one's rank correlation
    with a 95 % interval (2,000 bootstrap samples)."""
    given = [model.score(text) for text in texts]
    figures: dict[str, float] = {}
    for column, name in enumerate(ATTRIBUTES):
        ours, theirs = np.array([each[name] for each in given]), scores[:, column]
        positive = theirs >= 0.5
        figures[f"spearman {name}"] = round(spearman(ours, theirs), 3)
        if 0 < positive.sum() < len(positive):
            above = stats.mannwhitneyu(ours[positive], ours[~positive], method="asymptotic").statistic
            figures[f"auc {name}"] = round(float(above) / (positive.sum() * (~positive).sum()), 3)
        figures[f"mae {name}"] = round(float(np.abs(ours - theirs).mean()), 3)
        if column == 0:
            rng = np.random.default_rng(0)
            drawn = [rng.integers(len(ours), size=len(ours)) for _ in range(2000)]
            ranks = [spearman(ours[rows], theirs[rows]) for rows in drawn]
            low, high = np.quantile(ranks, [0.025, 0.975])
            figures |= {"spearman toxicity, low": round(low, 3), "spearman toxicity, high": round(high, 3)}
    return figures


def main() -> None:
    """Fit, write, load again, measure what was loaded, write the card."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("records", type=Path)
    parser.add_argument("--out", type=Path, default=BUNDLED)
    options = parser.parse_args()
    records = read_records(options.records, ["filename", "prompt", "continuation"])
    # A text that both parts have would be measured on what it was fitted on.
    used = [record for record in records if fitted_on(record)]
    texts, scores = scored(used, ("prompt", "continuation"))
    known = set(texts)
    held_out, expected = scored(
        [record for record in records if not fitted_on(record) and record["continuation"]["text"] not in known],
        ("continuation",),
    )
    fit(texts, scores).save(options.out)
    figures = measure(LinearModel.load(options.out), held_out, expected)
    card = {
        "name": "linear-toxicity",
        "version": "1",
        "languages": ["en"],
        "use": "Smoke tests of continuations in English. Not a safety verdict: it follows words, not meaning.",
        "licence": "Apache-2.0; fitted on RealToxicityPrompts (Apache-2.0)",
        "fitted_on": {
            "records": len(used),
            "texts": len(texts),
            "sha256": sha256(options.records),
            "which": "records whose file name's SHA-256 is below 2/3 of its range",
        },
        "on": f"{len(held_out)} continuations of RealToxicityPrompts that were not fitted on, against their scores by "
        "Perspective (2020)",
        "measured": figures,
    }
    options.out.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(card, indent=2))


if __name__ == "__main__":
    main()
