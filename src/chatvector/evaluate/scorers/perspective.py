# SPDX-License-Identifier: Apache-2.0
"""Perspective, the scorer of the paper's toxicity table: a service that ends on 31 December 2026.

It has taken no new users since about February 2026, and its models changed without a version, so old tables cannot be
measured again. Its scores of 2020 for RealToxicityPrompts are kept in that data set; other scorers are compared with it
there.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from chatvector.errors import HubError, UsageError
from chatvector.evaluate.scorers.endpoint import ask
from chatvector.evaluate.scorers.text_scorer import (
    ATTRIBUTES,
    Card,
    ScorerBase,
    ScorerInfo,
    Scores,
    checked,
)
from chatvector.evaluate.task import Language
from chatvector.runtime.http_json import JsonClient

LAST_DAY = datetime.date(2026, 12, 31)
URL = "https://commentanalyzer.googleapis.com/v1alpha1"
KEY = "PERSPECTIVE_API_KEY"
INSTEAD = (
    "a classifier (textdetox for Chinese and Japanese, Detoxify for English), a moderation endpoint, or a guard model"
)

NOTICE = f"Perspective ends with {LAST_DAY:%d %B %Y}; figures taken with it cannot be taken again. Use {INSTEAD}."
"""Notice to print whenever the scorer is used."""


def today() -> datetime.date:
    """The date in the last time zone (UTC−12), so that the service is not refused a day early anywhere."""
    return (datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=12)).date()


@dataclass(frozen=True)
class PerspectiveScorer(ScorerBase):
    """Scores by Perspective, one request per text, `pause` seconds apart (the free quota is one request a second).

    Raises UsageError after the service's last day, and without `$PERSPECTIVE_API_KEY`.
    """

    attributes: tuple[str, ...] = tuple(name for name in ATTRIBUTES if name != "sexually_explicit")
    """The attributes of the paper's table; all of them exist in English, Korean, Chinese and Japanese."""
    pause: float = 1.0
    client: JsonClient | None = field(default=None, repr=False)
    _service: JsonClient = field(init=False, repr=False)
    clock: Callable[[], datetime.date] = field(default=today, repr=False, compare=False)
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.clock() > LAST_DAY:
            raise UsageError(f"Perspective ended on {LAST_DAY:%d %B %Y}: use {INSTEAD}")
        # Made now, so that a missing key is reported before anything is generated.
        # The key goes into a header, not into the address: addresses end up in messages and logs.
        public = self.client or JsonClient(URL, key_variable=KEY, key_header="X-Goog-Api-Key")
        object.__setattr__(self, "_service", public)

    @property
    def info(self) -> ScorerInfo:
        """The description of the scorer. Its models have no version, so the day of the request takes its place."""
        return ScorerInfo(
            forced=self.forced,
            name="Perspective",
            version=f"unversioned, asked on {self.clock().isoformat()}",
            weights=None,
            languages=("en", "ko", "zh", "ja"),
            attributes=self.attributes,
            card=Card(f"The paper's scorer. {NOTICE}", licence="service"),
        )

    def score(self, texts: Sequence[str], language: Language) -> list[Scores]:
        """The scores of each text, in order. Raises UsageError for an unknown language, HubError if the service refuses
        the key or does not answer."""
        self.check_language(language)
        scores = []
        for number, text in enumerate(texts):
            if number:
                self.sleep(self.pause)
            body = {
                "comment": {"text": text},
                "languages": [language.split("-")[0]],
                "requestedAttributes": {name.upper(): {} for name in self.attributes},
                "doNotStore": True,
            }
            scores.append(self._scores(ask(self._service, "/comments:analyze", body, "Perspective")))
        return checked("Perspective", scores, self.attributes, len(texts))

    def _scores(self, answer: dict[str, Any]) -> Scores:
        try:
            given = answer["attributeScores"]
            return {name: given[name.upper()]["summaryScore"]["value"] for name in self.attributes}
        except (KeyError, TypeError) as error:
            raise HubError(f"Perspective's answer lacks {error}") from error
