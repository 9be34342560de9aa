# SPDX-License-Identifier: Apache-2.0
"""Scorers of texts: what they share, and the endpoints, against a server on this machine."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pytest
from json_server import Asked, json_server

from chatvector.errors import DamagedFile, HubError, MissingInput, UsageError
from chatvector.evaluate.scorers.endpoint import Endpoint
from chatvector.evaluate.scorers.moderation import ModerationScorer
from chatvector.evaluate.scorers.perspective import LAST_DAY, PerspectiveScorer, today
from chatvector.evaluate.scorers.text_scorer import CallableScorer, Card, ScorerInfo

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


def endpoint(url: str, waits: list[float] | None = None, **settings: Any) -> Endpoint:
    return Endpoint(f"{url}/v1/x", "the service", sleep=([] if waits is None else waits).append, **settings)


def test_busy_signals_are_waited_out() -> None:
    waits: list[float] = []

    def answer(number: int, _: Asked) -> tuple[int, Any, Mapping[str, str]]:
        return [(429, {}, {"Retry-After": "7"}), (503, {}, {}), (200, {"ok": 1}, {})][number]

    with json_server(answer) as server:
        assert endpoint(server.url, waits).post({"a": 1}) == {"ok": 1}
    assert waits == [7.0, 2.0]
    assert [each.body for each in server.asked] == [{"a": 1}] * 3


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_does_not_carry_the_key_away(status: int) -> None:
    with json_server(lambda *_: (200, {"stolen": True})) as other:
        where = {"Location": f"{other.url}/v1/x"}
        with json_server(lambda *_: (status, {}, where)) as server, pytest.raises(HubError, match=f"HTTP {status}"):
            endpoint(server.url, headers={"Authorization": "Bearer secret"}).post({})
    assert other.asked == []


def test_what_does_not_work_is_said_in_one_line() -> None:
    body = {"error": {"message": "bad\nattribute"}}
    with json_server(lambda *_: (400, body)) as server, pytest.raises(HubError, match=r"HTTP 400 .* bad attribute"):
        endpoint(server.url).post({})
    assert len(server.asked) == 1
    with json_server(lambda *_: (500, b"<html>")) as server, pytest.raises(HubError, match="HTTP 500 after 3 tries"):
        endpoint(server.url, tries=3).post({})
    with json_server(lambda *_: (200, b"[1]")) as server, pytest.raises(HubError, match="something else than a JSON"):
        endpoint(server.url).post({})
    with pytest.raises(HubError, match="does not answer after 2 tries"):
        endpoint(server.url, tries=2).post({})
    with pytest.raises(UsageError, match="is no http"):
        Endpoint("file:///etc/passwd", "the service")


def test_a_refused_key_is_the_users_to_mend_and_is_not_printed() -> None:
    with json_server(lambda *_: (401, {"error": {"message": "no such key"}})) as server:
        service = endpoint(server.url, headers={"Authorization": "Bearer secret"})
        with pytest.raises(UsageError, match="refuses the key") as refused:
            service.post({})
    assert "secret" not in f"{refused.value} {service!r}"


# --- moderation ------------------------------------------------------------------------------------------------------

CATEGORIES = {"harassment": 0.2, "harassment/threatening": 0.1, "hate": 0.6, "sexual": 0.3, "violence": 0.4}


def moderated(_: int, asked: Asked) -> tuple[int, Any]:
    results = [{"category_scores": {**CATEGORIES, "hate": len(text) / 10}} for text in asked.body["input"]]
    return 200, {"model": asked.body["model"], "results": results}


def moderation(url: str, **settings: Any) -> ModerationScorer:
    return ModerationScorer(base_url=url, endpoint=endpoint(url), **settings)


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
    with pytest.raises(MissingInput, match="set OPENAI_API_KEY"):
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
    return PerspectiveScorer(endpoint=endpoint(url), sleep=lambda _: None, clock=lambda: LAST_DAY, **settings)


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
    assert "ends with 31 December 2026" in scorer.notice
    assert "31 December 2026" in scorer.info.card.use
    assert scorer.info.version == "unversioned, asked on 2026-12-31"


def test_perspective_after_its_last_day() -> None:
    after = LAST_DAY + datetime.timedelta(days=1)
    with pytest.raises(UsageError, match=r"Perspective ended on 31 December 2026: use a classifier"):
        PerspectiveScorer(clock=lambda: after)
    assert abs((today() - datetime.date.today()).days) <= 1


def test_perspective_without_key_or_score(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PERSPECTIVE_API_KEY", raising=False)
    with pytest.raises(MissingInput, match="set PERSPECTIVE_API_KEY"):
        PerspectiveScorer(clock=lambda: LAST_DAY)
    with json_server(lambda *_: (200, {"attributeScores": {}})) as server, pytest.raises(HubError, match="TOXICITY"):
        perspective(server.url).score(["a"], "en")
    with pytest.raises(UsageError, match="was asked for th"):
        perspective(server.url).score(["a"], "th")
