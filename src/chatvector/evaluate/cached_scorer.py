# SPDX-License-Identifier: Apache-2.0
"""A scorer of texts behind the cache: endpoints are slow (Perspective takes one text a second), and what they said is
kept when a run is killed or its marks are computed anew."""

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
    """SHA-256 of all that decides a score. Forcing a language does not."""
    decides = [info.name, info.version, info.weights, info.attributes, dict(info.parameters), language, text]
    line = json.dumps(["score", FORMAT, *decides], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(line.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class CachedScorer:
    """Asks `scorer` only for texts whose scores `cache` does not hold; equal texts once."""

    scorer: TextScorer
    cache: Cache
    batch: int = BATCH

    @property
    def info(self) -> ScorerInfo:
        """The scorer's."""
        return self.scorer.info

    def check_language(self, language: Language) -> None:
        """As the scorer does."""
        self.scorer.check_language(language)

    def score(self, texts: Sequence[str], language: Language) -> list[Scores]:
        """One score a text, in order. Raises what the scorer raises: what it gave before is kept."""
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
