# SPDX-License-Identifier: Apache-2.0
"""Scorers and guards by name, their verdicts in the cache, and their agreement with labels that people gave."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from scripted_backend import ScriptedBackend

from chatvector.errors import InputError, UsageError
from chatvector.evaluate import services
from chatvector.evaluate.cache import Cache
from chatvector.evaluate.cached_backend import CachedBackend
from chatvector.evaluate.cached_scorer import CachedScorer, score_key
from chatvector.evaluate.scorers.classifier import ClassifierScorer
from chatvector.evaluate.scorers.guard import GenerativeGuard
from chatvector.evaluate.scorers.judge_verdict import JudgeGuard
from chatvector.evaluate.scorers.labelled import Labelled, guard_agrees, patterns_agree, read_labelled
from chatvector.evaluate.scorers.linear import LinearScorer
from chatvector.evaluate.scorers.moderation import ModerationScorer
from chatvector.evaluate.scorers.perspective import NOTICE
from chatvector.evaluate.scorers.text_scorer import CallableScorer, Card, ScorerInfo
from chatvector.evaluate.scorers.verdicts import Exchange
from chatvector.evaluate.services import check_languages, guard_of, toxicity_scorer
from chatvector.evaluate.task import Services
from chatvector.evaluate.tasks.closed import ClosedTask
from chatvector.evaluate.tasks.safety import SafetyTask
from chatvector.evaluate.tasks.toxicity import ToxicityTask
from chatvector.runtime.backend import Prompt, Reply, Sampling

EXCHANGE = Exchange((("user", "질문"), ("assistant", "답")))
SAFE = "Safety: Safe\nCategories: None\nRefusal: No"


def test_scorers_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    linear = toxicity_scorer("linear", forced=True)
    assert isinstance(linear, LinearScorer)
    assert linear.info.forced
    moderation = toxicity_scorer("moderation:text-moderation-007", languages=("ko",))
    assert isinstance(moderation, ModerationScorer)
    assert (moderation.info.version, moderation.info.languages) == ("text-moderation-007", ("ko",))
    assert toxicity_scorer("moderation").info.version == "omni-moderation-2024-09-26"
    classifier = toxicity_scorer("org/xlmr-large-toxicity-classifier-v2", labels={"LABEL_1": "toxicity"})
    assert isinstance(classifier, ClassifierScorer)
    assert "zh" in classifier.known_languages
    assert "ko" not in classifier.known_languages
    monkeypatch.delenv("PERSPECTIVE_API_KEY", raising=False)
    with pytest.raises(UsageError, match=r"Perspective ended|PERSPECTIVE_API_KEY"):
        toxicity_scorer("perspective")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("", {}, "name a scorer"),
        ("linear", {"languages": ("ko",)}, "has its languages"),
        ("linear:x", {}, "takes nothing after its name"),
        ("moderation", {"labels": {"a": "toxicity"}}, "labels are a classifier's"),
        ("org/classifier", {}, "which languages does it score"),
    ],
)
def test_scorers_that_mean_nothing(name: str, options: dict[str, tuple[str, ...]], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        toxicity_scorer(name, **options)  # type: ignore[arg-type]


def test_a_service_that_ends_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSPECTIVE_API_KEY", "k")
    monkeypatch.setattr(services, "PerspectiveScorer", lambda forced: ("perspective", forced))
    heard: list[str] = []
    nobody = ScriptedBackend(lambda _: SAFE)
    with ExitStack() as stack:
        wanted = services.Wanted("perspective")
        found = services.open_services(wanted, stack, lambda _: nullcontext(nobody), warn=heard.append)
    assert found.toxicity == ("perspective", False)
    assert heard == [NOTICE]


def test_a_guard_is_opened_when_it_is_asked() -> None:
    opened: list[str] = []

    @contextmanager
    def model(name: str) -> Iterator[ScriptedBackend]:
        opened.append(name)
        yield ScriptedBackend(lambda _: SAFE, name)
        opened.append("closed")

    with ExitStack() as stack:
        found = services.open_services(services.Wanted(guard="Qwen3Guard-Gen-0.6B"), stack, model)
        services.check_languages(found, [(SafetyTask(), "ko")])
        assert opened == []
        assert [verdict.safety for verdict in found.guard.judge([EXCHANGE, EXCHANGE], "ko")] == ["safe", "safe"]
        assert found.guard.info.model == "Qwen3Guard-Gen-0.6B"
        assert opened == ["Qwen3Guard-Gen-0.6B"]
    assert opened[1:] == ["closed"]


def test_guards_by_name() -> None:
    backend = ScriptedBackend(lambda _: SAFE, "Qwen/Qwen3Guard-Gen-0.6B")
    assert isinstance(guard_of(backend), GenerativeGuard)
    assert isinstance(guard_of(backend, form="judge"), JudgeGuard)
    assert guard_of(ScriptedBackend(lambda _: SAFE, "mine"), form="qwen3guard").info.format == "qwen3guard"
    with pytest.raises(UsageError, match="there are qwen3guard, llama-guard, judge"):
        guard_of(backend, form="x")
    with pytest.raises(UsageError, match="which guard is it"):
        guard_of(ScriptedBackend(lambda _: SAFE, "mine"))


def test_languages_are_checked_before_anything_is_generated() -> None:
    english = ScriptedBackend(lambda _: "safe", "Llama-Guard-3-8B")
    given = Services(toxicity=LinearScorer(), guard=guard_of(english), judge=object())
    check_languages(given, [(SafetyTask(), "en"), (ToxicityTask(), "en"), (ClosedTask("topic"), "ko")])
    with pytest.raises(UsageError, match=r"Llama-Guard-3-8B judges en, .* was asked for ko"):
        check_languages(given, [(SafetyTask(), "ko")])
    with pytest.raises(UsageError, match="linear-toxicity scores en and was asked for ja"):
        check_languages(given, [(ToxicityTask("chat"), "ja")])
    check_languages(Services(), [(SafetyTask(), "ko")])
    assert english.asked == []


def test_verdicts_are_asked_for_once(tmp_path: Path) -> None:
    backend = ScriptedBackend(lambda _: SAFE, "Qwen3Guard-Gen-0.6B")
    other = Exchange((("user", "질문"), ("assistant", "다른 답")))
    with Cache(tmp_path / "cache") as cache:
        guard = guard_of(backend, cache=cache)
        first = guard.judge([EXCHANGE, other, EXCHANGE], "ko")
        assert len(backend.asked) == 2
    with Cache(tmp_path / "cache") as cache:
        assert guard_of(backend, cache=cache).judge([EXCHANGE, other, EXCHANGE], "ko") == first
        assert len(backend.asked) == 2
    assert [verdict.safety for verdict in first] == ["safe"] * 3


def test_failures_are_asked_for_again_and_batches_are_kept(tmp_path: Path) -> None:
    prompts = [Prompt(messages=(("user", str(number)),)) for number in range(5)]
    broken = ScriptedBackend(lambda prompt: Reply("", False, failure="context") if "3" in str(prompt) else "ok")
    with Cache(tmp_path / "cache") as cache:
        backend = CachedBackend(broken, cache, batch=2)
        assert [reply.failure for reply in backend.generate(prompts, Sampling())] == [None, None, None, "context", None]
        backend.generate(prompts, Sampling())
        assert [prompt.messages[0][1] for prompt, _ in broken.asked] == ["0", "1", "2", "3", "4", "3"]

        def dies(prompt: Prompt) -> str:
            if "7" in str(prompt):
                raise RuntimeError
            return "ok"

        dying = ScriptedBackend(dies)
        more = [Prompt(messages=(("user", str(number)),)) for number in (5, 6, 7)]
        with pytest.raises(RuntimeError):
            CachedBackend(dying, cache, batch=2).generate(more, Sampling())
        before = len(dying.asked)
        CachedBackend(dying, cache, batch=2).generate(more[:2], Sampling())
        assert len(dying.asked) == before


def test_scores_are_asked_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []

    def length(texts: Sequence[str], _: str) -> list[dict[str, float]]:
        asked.append(tuple(texts))
        if "dies" in texts:
            raise RuntimeError
        return [{"toxicity": len(text) / 10} for text in texts]

    info = ScorerInfo("length", "1", None, ("en",), ("toxicity",), Card("test"))
    with Cache(tmp_path / "cache") as cache:
        scorer = CachedScorer(CallableScorer(length, info), cache, batch=2)
        with pytest.raises(RuntimeError):
            scorer.score(["a", "bb", "a", "ccc", "dies"], "en")
    assert asked == [("a", "bb"), ("ccc", "dies")]
    with Cache(tmp_path / "cache") as cache:
        again = CachedScorer(CallableScorer(length, info), cache)
        assert [each["toxicity"] for each in again.score(["a", "bb", "ccc"], "en")] == [0.1, 0.2, 0.3]
        assert asked[2:] == [("ccc",)]
        with pytest.raises(UsageError, match="was asked for ko"):
            again.score(["a"], "ko")
        # Another version, other attributes, another language: another score.
        keys = {
            score_key(info, "a", "en"),
            score_key(info, "a", "zh"),
            score_key(replace(info, version="2"), "a", "en"),
            score_key(replace(info, parameters={"labels": {"x": "toxicity"}}), "a", "en"),
        }
        assert len(keys) == 4
        assert score_key(replace(info, forced=True), "a", "en") in keys
        monkeypatch.setenv("OPENAI_API_KEY", "k")
        assert isinstance(toxicity_scorer("moderation", cache=cache), CachedScorer)
        assert isinstance(toxicity_scorer("linear", cache=cache), LinearScorer)


# --- agreement with people -------------------------------------------------------------------------------------------

ROWS = [
    Labelled("a", "I'm sorry, but I can't help with that.", refused=True, unsafe=False),
    Labelled("b", "No one should be treated like that.", refused=True, unsafe=False),
    Labelled("c", "First, open the door.", refused=False, unsafe=True),
    Labelled("d", "I can't explain that, it is far too easy: turn it.", refused=False, unsafe=False),
]


def test_patterns_against_people() -> None:
    found = patterns_agree(ROWS)
    assert (found.found, found.positives, found.false, found.others, found.unread) == (1, 2, 1, 2, 0)
    assert found.kappa == pytest.approx(0.0)
    assert found.wrong == (ROWS[1], ROWS[3])
    assert found.as_dict() == pytest.approx({"n": 4, "agreement": 0.5, "kappa": 0.0})
    with pytest.raises(InputError, match="no labelled reply"):
        patterns_agree([Labelled("a", "b", unsafe=True)])


def test_a_guard_against_people() -> None:
    def says(prompt: Prompt) -> str:
        reply = prompt.messages[-1][1]
        if "door" in reply:
            return "Safety: Unsafe\nCategories: Violent\nRefusal: No"
        if "No one" in reply:
            return "who knows"
        return f"Safety: Safe\nCategories: None\nRefusal: {'Yes' if 'sorry' in reply else 'No'}"

    guard = guard_of(ScriptedBackend(says, "Qwen3Guard-Gen-0.6B"))
    found = guard_agrees(guard, ROWS, "en")
    assert (found["unsafe"].found, found["unsafe"].positives, found["unsafe"].unread) == (1, 1, 1)
    assert found["unsafe"].kappa == pytest.approx(1.0)
    assert (found["refused"].found, found["refused"].false, found["refused"].unread) == (1, 0, 1)
    llama = guard_of(ScriptedBackend(lambda _: "safe", "Llama-Guard-3-1B"))
    assert set(guard_agrees(llama, ROWS, "en")) == {"unsafe"}
    with pytest.raises(InputError, match="no labelled reply that this guard"):
        guard_agrees(llama, [Labelled("a", "b", refused=True)], "en")


def test_labelled_files(tmp_path: Path) -> None:
    xstest = tmp_path / "completions.csv"
    xstest.write_text(
        "id,prompt,completion,final_label\n1,a,x,1_full_compliance\n2,b,y,2_full_refusal\n3,c,z,3_partial_refusal\n"
    )
    assert read_labelled(xstest) == [
        Labelled("a", "x", refused=False),
        Labelled("b", "y", refused=True),
        Labelled("c", "z", refused=True),
    ]
    own = tmp_path / "own.jsonl"
    own.write_text(
        '{"prompt": "a", "reply": "x", "refused": "none", "unsafe": true}\n'
        '{"prompt": "a", "reply": "x", "refused": false, "unsafe": null}\n'
    )
    assert read_labelled(own) == [
        Labelled("a", "x", refused=False, unsafe=True),
        Labelled("a", "x", refused=False),
    ]
    for line, message in [
        ('{"prompt": "a", "reply": "x"}', "record 1 has no label"),
        ('{"prompt": "a", "reply": "x", "refused": "maybe"}', "label 'maybe' is none of"),
        ('{"prompt": "a"}', "column 'reply'"),
    ]:
        own.write_text(line)
        with pytest.raises(InputError, match=message):
            read_labelled(own)
