# SPDX-License-Identifier: Apache-2.0
"""A text scorer behind the cache. Endpoints are slow (Perspective takes one text a second), so their scores are kept
for when a run was killed or its marks are computed anew."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from chatvector.evaluate.cache import Cache
from chatvector.evaluate.kept import BATCH, ask_missing
from chatvector.evaluate.scorers.text_scorer import ScorerInfo, Scores, TextScorer
from chatvector.evaluate.task import Language

FORMAT = 1


def score_key(info: ScorerInfo, text: str, language: Language) -> str:
    """SHA-256 of everything that decides a score, in hex. Whether the language was forced does not, so it is not
    included."""
    decides = [info.name, info.version, info.weights, info.attributes, dict(info.parameters), language, text]
    line = json.dumps(["score", FORMAT, *decides], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(line.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class CachedScorer:
    """Asks `scorer` only about texts whose scores `cache` does not hold, and about equal texts once."""

    scorer: TextScorer
    cache: Cache
    batch: int = BATCH

    @property
    def info(self) -> ScorerInfo:
        """The description of the wrapped scorer."""
        return self.scorer.info

    def check_language(self, language: Language) -> None:
        """Raise UsageError if the wrapped scorer was not made for the language, unless it is forced."""
        self.scorer.check_language(language)

    def score(self, texts: Sequence[str], language: Language) -> list[Scores]:
        """The scores of each text, in order. Raises what the scorer raises; scores that came before the error are
        kept."""
        self.check_language(language)
        info = self.scorer.info
        return ask_missing(
            self.cache,
            [score_key(info, text, language) for text in texts],
            texts,
            lambda asked: enumerate(self.scorer.score(asked, language)),
            write=dict,
            read=dict,
            batch=self.batch,
        )
