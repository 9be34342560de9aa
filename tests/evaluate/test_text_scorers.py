# SPDX-License-Identifier: Apache-2.0
"""Scorers of texts: what they share, and the endpoints, against a server on this machine."""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import pytest
from json_server import Asked, json_server

from chatvector.errors import DamagedFile, HubError, UsageError
from chatvector.evaluate.scorers.endpoint import ask
from chatvector.evaluate.scorers.moderation import ModerationScorer
from chatvector.evaluate.scorers.perspective import LAST_DAY, NOTICE, PerspectiveScorer, today
from chatvector.evaluate.scorers.text_scorer import CallableScorer, Card, ScorerInfo
from chatvector.runtime.http_json import JsonClient

INFO = ScorerInfo("mine", "1", None, ("en", "zh-Hant"), ("toxicity",), Card("for this test"))


def length(texts: Sequence[str], language: str) -> list[dict[str, float]]:
    assert language
    return [{"toxicity": len(text) / 10} for text in texts]


# --- what they share -------------------------------------------------------------------------------------------------


def test_a_function_is_a_scorer() -> None:
    assert CallableScorer(length, INFO).score(["abc", "defgh"], "en") == [{"toxicity": 0.3}, {"toxicity": 0.5}]


def test_a_language_it_does_not_know_is_refused_unless_forced() -> None:
    scorer = CallableScorer(length, INFO)
    with pytest.raises(UsageError, match=r"mine scores en, zh-Hant and was asked for ko") as refused:
        scorer.score(["말"], "ko")
    assert refused.value.exit_code == 2
    with pytest.raises(UsageError, match="zh-Hans"):
        scorer.score(["话"], "zh-Hans")
    forced = CallableScorer(length, INFO, forced=True)
    assert forced.score(["말"], "ko") == [{"toxicity": 0.1}]
    assert (forced.info.forced, scorer.info.forced) == (True, False)
    json.dumps(asdict(forced.info))


def test_a_language_without_script_covers_its_scripts() -> None:
    info = ScorerInfo("mine", "1", None, ("zh",), ("toxicity",), Card(""))
    assert info.knows("zh-Hant")
    assert info.knows("zh-Hans")
    assert not info.knows("ja")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([{"toxicity": 0.1}], "1 scores for 2 texts"),
        ([{"toxicity": 0.1}, {"insult": 0.1}], "text 1: toxicity is None"),
        ([{"toxicity": 0.1}, {"toxicity": float("nan")}], "text 1: toxicity is nan"),
        ([{"toxicity": 1.5}, {"toxicity": 0.1}], "text 0: toxicity is 1.5"),
        ([{"toxicity": "high"}, {"toxicity": 0.1}], "text 0: toxicity is 'high'"),
    ],
)
def test_what_is_no_score_is_an_error(given: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(DamagedFile, match=message):
        CallableScorer(lambda *_: given, INFO).score(["a", "b"], "en")


# --- the endpoint ----------------------------------------------------------------------------------------------------


def client(url: str, **settings: Any) -> JsonClient:
    return JsonClient(url, sleep=lambda _: None, **settings)


def test_what_does_not_work_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "secret")
    body = {"error": {"message": "bad\nattribute"}}
    with (
        json_server(lambda *_: (400, body)) as server,
        pytest.raises(HubError, match=r"it refuses this \(400: bad attr"),
    ):
        ask(client(server.url), "/x", {}, "it")
    with json_server(lambda *_: (403, {"error": "no such key"})) as server:
        service = client(server.url, key_variable="A_KEY", key_header="X-Key")
        with pytest.raises(HubError, match=r"it refuses the key in A_KEY \(403: no such key\)"):
            ask(service, "/x", {}, "it")
        assert server.asked[0].headers["X-Key"] == "secret"
        assert "Authorization" not in server.asked[0].headers
    with json_server(lambda *_: (200, b"[1]")) as server, pytest.raises(HubError, match="answers with list"):
        ask(client(server.url), "/x", {}, "it")
    with pytest.raises(HubError, match="did not answer"):
        ask(client(server.url, attempts=2), "/x", {}, "it")


# --- moderation ------------------------------------------------------------------------------------------------------

CATEGORIES = {"harassment": 0.2, "harassment/threatening": 0.1, "hate": 0.6, "sexual": 0.3, "violence": 0.4}


def moderated(_: int, asked: Asked) -> tuple[int, Any]:
    results = [{"category_scores": {**CATEGORIES, "hate": len(text) / 10}} for text in asked.body["input"]]
    return 200, {"model": asked.body["model"], "results": results}


def moderation(url: str, **settings: Any) -> ModerationScorer:
    return ModerationScorer(base_url=url, client=client(url), **settings)


def test_moderation_maps_categories_and_batches() -> None:
    with json_server(moderated) as server:
        scores = moderation(server.url, batch=2).score(["a" * 6, "b" * 9, "c"], "ko")
    assert scores[0] == {
        "toxicity": 0.6,
        "identity_attack": 0.6,
        "insult": 0.2,
        "threat": 0.1,
        "sexually_explicit": 0.3,
    }
    assert [each["toxicity"] for each in scores] == [0.6, 0.9, 0.4]
    assert [each.body["input"] for each in server.asked] == [["a" * 6, "b" * 9], ["c"]]
    assert {each.body["model"] for each in server.asked} == {"omni-moderation-2024-09-26"}


def test_moderation_is_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="changes without notice"):
        ModerationScorer(snapshot="omni-moderation-latest")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(UsageError, match="OPENAI_API_KEY, which holds its key, is not set"):
        ModerationScorer()
    answer = {"model": "omni-moderation-2027-01-01", "results": []}
    with (
        json_server(lambda *_: (200, answer)) as server,
        pytest.raises(HubError, match="answers as omni-moderation-2027"),
    ):
        moderation(server.url).score(["a"], "en")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"results": []}, "0 scores for 1 texts"),
        ({"results": [{}]}, "gives no category_scores"),
        ({"results": [{"category_scores": {"sexual": 0.1}}]}, "gives none of harassment"),
        ({"results": [{"category_scores": {"hate": 0.1}}]}, "insult is nan"),
    ],
)
def test_moderation_that_answers_nonsense(answer: dict[str, Any], message: str) -> None:
    with json_server(lambda *_: (200, answer)) as server, pytest.raises((HubError, DamagedFile), match=message):
        moderation(server.url).score(["a"], "en")


# --- Perspective -----------------------------------------------------------------------------------------------------


def perspective(url: str, **settings: Any) -> PerspectiveScorer:
    return PerspectiveScorer(client=client(url), sleep=lambda _: None, clock=lambda: LAST_DAY, **settings)


def test_perspective_until_its_last_day() -> None:
    def answer(number: int, asked: Asked) -> tuple[int, Any]:
        wanted = asked.body["requestedAttributes"]
        return 200, {"attributeScores": {name: {"summaryScore": {"value": number / 4}} for name in wanted}}

    with json_server(answer) as server:
        scorer = perspective(server.url, attributes=("toxicity", "insult"))
        assert scorer.score(["가", "나"], "ko") == [{"toxicity": 0, "insult": 0}, {"toxicity": 0.25, "insult": 0.25}]
    assert server.asked[0].body == {
        "comment": {"text": "가"},
        "languages": ["ko"],
        "requestedAttributes": {"TOXICITY": {}, "INSULT": {}},
        "doNotStore": True,
    }
    assert "ends with 31 December 2026" in NOTICE
    assert "31 December 2026" in scorer.info.card.use
    assert scorer.info.version == "unversioned, asked on 2026-12-31"


def test_perspective_after_its_last_day() -> None:
    after = LAST_DAY + datetime.timedelta(days=1)
    with pytest.raises(UsageError, match=r"Perspective ended on 31 December 2026: use a classifier"):
        PerspectiveScorer(clock=lambda: after)
    assert abs((today() - datetime.date.today()).days) <= 1


def test_perspective_without_key_or_score(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PERSPECTIVE_API_KEY", raising=False)
    with pytest.raises(UsageError, match="PERSPECTIVE_API_KEY, which holds its key, is not set"):
        PerspectiveScorer(clock=lambda: LAST_DAY)
    with json_server(lambda *_: (200, {"attributeScores": {}})) as server, pytest.raises(HubError, match="TOXICITY"):
        perspective(server.url).score(["a"], "en")
    with pytest.raises(UsageError, match="was asked for th"):
        perspective(server.url).score(["a"], "th")
