# SPDX-License-Identifier: Apache-2.0
"""A linear scorer of toxicity over hashed character n-grams, bundled with the package. For smoke tests, in English.

It was fitted on frozen Perspective scores (`experiments/linear_toxicity.py`), so it says what a model of 2020 said of
words, not whether a reply is safe: linear models of n-grams are no better than chance on functional tests of hate
speech (HateCheck). The card beside the file says how well it follows scores that it was not fitted on.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import unicodedata
import zipfile
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from chatvector.errors import DamagedFile, MissingInput
from chatvector.evaluate.scorers.text_scorer import Card, ScorerBase, ScorerInfo, Scores
from chatvector.evaluate.task import Language

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BUNDLED = Path(__file__).with_name("linear-toxicity.npz")
"""File with the arrays; the card is beside it, with the suffix `.json`."""

LENGTHS = (2, 3, 4, 5)
"""Lengths of n-grams in characters, including the marks of a word's beginning and end."""

_WORD = re.compile(r"\w+|[^\w\s]")


def features(text: str, buckets: int) -> dict[int, float]:
    """Bucket → 1 + ln(count) of the text's n-grams and words, not yet weighted by the buckets' relevance. N-grams do
    not cross words; they are hashed by CRC-32 modulo `buckets`."""
    times: Counter[int] = Counter()
    for word in _WORD.findall(unicodedata.normalize("NFKC", text).casefold()):
        marked = f" {word} "
        for n in LENGTHS:
            for start in range(len(marked) - n + 1):
                times[zlib.crc32(marked[start : start + n].encode()) % buckets] += 1
        times[zlib.crc32(f"w{marked}".encode()) % buckets] += 1
    return {bucket: 1 + math.log(count) for bucket, count in times.items()}


@dataclass(frozen=True)
class LinearModel:
    """logit(score) = bias + x·W, where x is a text's features weighted by relevance and scaled to length 1.

    There are V buckets and A attributes.

    Attributes:
        attributes: the A names.
        relevance: (V,) float32, the weight of each bucket; 0 for buckets that no text of the fit had.
        weights: (V, A) float32, W.
        bias: (A,) float32.
    """

    attributes: tuple[str, ...]
    relevance: NDArray[np.float32]
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]

    def score(self, text: str) -> Scores:
        """One number from 0 to 1 per attribute. For a text without a known n-gram the bias alone decides."""
        import numpy as np

        found = features(text, len(self.relevance))
        buckets = sorted(found)
        x = np.array([found[bucket] for bucket in buckets], np.float64) * self.relevance[buckets]
        length = float(np.sqrt(x @ x))
        logits = self.bias + (x / length if length else x) @ self.weights[buckets]
        return dict(zip(self.attributes, (1 / (1 + np.exp(-logits))).tolist(), strict=True))

    def save(self, path: Path) -> None:
        """Write the arrays to `path`: weights as int8 with one float32 unit per attribute, relevance as float16, bias
        as float32. The same model gives the same bytes."""
        import numpy as np

        unit = np.abs(self.weights).max(axis=0) / 127
        np.savez_compressed(
            path,
            attributes=np.array(self.attributes),
            relevance=self.relevance.astype(np.float16),
            weights=np.rint(self.weights / unit).astype(np.int8),
            unit=unit.astype(np.float32),
            bias=self.bias.astype(np.float32),
        )

    @classmethod
    def load(cls, path: Path) -> LinearModel:
        """Read a model written by `save`. Raises MissingInput or DamagedFile."""
        import numpy as np

        try:
            with np.load(path, allow_pickle=False) as arrays:
                return cls(
                    attributes=tuple(str(name) for name in arrays["attributes"]),
                    relevance=arrays["relevance"].astype(np.float32),
                    weights=arrays["weights"].astype(np.float32) * arrays["unit"],
                    bias=arrays["bias"].astype(np.float32),
                )
        except FileNotFoundError as error:
            raise MissingInput(f"{path}: no linear scorer there") from error
        except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile, zlib.error) as error:
            raise DamagedFile(f"{path}: is no linear scorer ({error})") from error


@dataclass(frozen=True)
class LinearScorer(ScorerBase):
    """A linear model as a scorer; by default the bundled one."""

    path: Path = BUNDLED

    @property
    def info(self) -> ScorerInfo:
        """The description of the scorer; the card is read from the file beside `path`."""
        return replace(_info(self.path), forced=self.forced)

    def score(self, texts: Sequence[str], language: Language) -> list[Scores]:
        """The scores of each text, in order. Raises UsageError for a language that is not in the card, unless
        forced."""
        self.check_language(language)
        model = _model(self.path)
        return [model.score(text) for text in texts]


@cache
def _model(path: Path) -> LinearModel:
    return LinearModel.load(path)


@cache
def _info(path: Path) -> ScorerInfo:
    model = _model(path)
    try:
        card = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        return ScorerInfo(
            name=card["name"],
            version=card["version"],
            weights=hashlib.sha256(path.read_bytes()).hexdigest(),
            languages=tuple(card["languages"]),
            attributes=model.attributes,
            card=Card(card["use"], card["measured"], card["on"], card["licence"]),
            parameters={"fitted_on": card["fitted_on"]},
        )
    except FileNotFoundError as error:
        raise MissingInput(f"{path}: has no card beside it ({path.with_suffix('.json').name})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedFile(f"{path.with_suffix('.json')}: is no scorer's card ({error})") from error
