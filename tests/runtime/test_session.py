# SPDX-License-Identifier: Apache-2.0
"""Conversations and what the commands do to them, on models whose replies are known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatvector.arithmetic.scales import ScaleRules
from chatvector.errors import MissingInput, OutputRefused, UsageError
from chatvector.live_merge import open_live
from chatvector.recipe import Recipe, VectorSpec
from chatvector.runtime.backend import Prompt, Sampling
from chatvector.runtime.commands import (
    COMMANDS,
    Help,
    Message,
    Quit,
    Reset,
    Save,
    Scale,
    System,
    describe,
    help_text,
    move,
    parse,
)
from chatvector.runtime.replay_backend import ReplayBackend
from chatvector.runtime.session import Answer, Session, Speaker
from counting import CONTEXT, counting_model, load, set_template

STRICT = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    "{% for m in messages %}{{ m['content'] }} {% endfor %}"
)


def said(session: Session, message: str, place: int = 0) -> Answer:
    with session.ask(session.speakers[place], message) as answer:
        for _ in answer:
            pass
    return answer


def text_of(session: Session, message: str, place: int = 0) -> str:
    turn = said(session, message, place).turn
    assert turn is not None
    return turn.answer


def counting_session(place: Path, **sampling: object) -> Session:
    backend = load(counting_model(place))
    return Session([Speaker("one", backend)], Sampling(max_new_tokens=3, **sampling))  # pyright: ignore[reportArgumentType]


# ---- lines ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        (" 안녕 ", Message("안녕")),
        ("//etc is a directory", Message("/etc is a directory")),
        ("/scale", Scale(())),
        ("/scale 0.7  norm=0", Scale(("0.7", "norm=0"))),
        ("/scale 0.5, attention=0.2", Scale(("0.5", "attention=0.2"))),
        ("/reset", Reset()),
        ("/system", System(None)),
        ("/system none", System("")),
        ("/system Speak  Korean.", System("Speak  Korean.")),
        ("/save a b.md", Save("a b.md")),
        ("/help", Help()),
        ("/quit", Quit()),
    ],
)
def test_lines(line: str, meant: object) -> None:
    assert parse(line) == meant


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("  ", "an empty message"),
        ("/scael 1", "/scael: no such command; did you mean /scale?"),
        ("/xyz", "no such command; there are /scale, /reset"),
        ("/reset now", "/reset takes nothing after it"),
        ("/save", "which file"),
    ],
)
def test_lines_that_mean_nothing(line: str, message: str) -> None:
    with pytest.raises(UsageError, match=message.replace("?", r"\?")):
        parse(line)


@given(st.text())
def test_any_line_means_something_or_is_refused(line: str) -> None:
    try:
        found = parse(line)
    except UsageError:
        return
    assert not isinstance(found, Message) or found.text


def test_help_names_every_command() -> None:
    assert [line.split()[0] for line in help_text().splitlines()] == list(COMMANDS)


# ---- scales ---------------------------------------------------------------------------------------------------------


def test_a_number_moves_all_and_a_key_makes_an_exception() -> None:
    rules = move(ScaleRules(1.0), ["0.7", "attention=0.5", "0-3=1", "2=0", "*.mlp.*=-1"])
    assert rules == ScaleRules(
        0.7, roles={"attention": 0.5}, layers={(0, 3): 1.0, (2, 2): 0.0}, tensors={"*.mlp.*": -1.0}
    )
    assert describe(rules) == "0.7, attention=0.5, 0-3=1, 2=0, *.mlp.*=-1"
    shown = parse(f"/scale {describe(rules)}")
    assert isinstance(shown, Scale)
    assert move(ScaleRules(), shown.parts) == rules
    assert list(move(rules, ["0-3=2"]).layers) == [(2, 2), (0, 3)]  # given last, it wins
    assert move(rules, ["0.2"]) == ScaleRules(0.2)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("lots", "'lots' is no number"),
        ("nan", "finite"),
        ("atention=0.5", "'atention' is no role; roles are"),
        ("norm=x", "'x' is no number"),
        ("3-1=1", "runs backwards"),
        ("=1", "write ROLE=SCALE"),
    ],
)
def test_scales_that_are_none(part: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        move(ScaleRules(), [part])


def test_the_scale_of_a_live_merge() -> None:
    vector = VectorSpec(base="demo:base", chat="demo:chat")
    with open_live(Recipe(target="demo:target", vectors=(vector,)), device="cpu") as live:
        session = Session([Speaker("live", live)], Sampling(max_new_tokens=12))
        assert session.do(Scale(())) == "scale 1"
        before = text_of(session, "눈은 무슨 색이에요?")
        session.do(Reset())
        assert "0, norm=0: " in session.do(Scale(("0", "norm=0")))
        assert text_of(session, "눈은 무슨 색이에요?") != before
        assert session.speakers[0].turns[0].scale == "0, norm=0"
        with pytest.raises(UsageError, match="no tensor has the role expert"):
            session.do(Scale(("expert=1",)))
        assert session.do(Scale(())) == "scale 0, norm=0"
        session.do(Reset())
        session.do(Scale(("1",)))
        assert text_of(session, "눈은 무슨 색이에요?") == before


def test_a_scale_without_a_vector(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="none is loaded: start with TARGET --vector VEC"):
        counting_session(tmp_path).do(Scale(("1",)))


# ---- conversations --------------------------------------------------------------------------------------------------


def test_each_model_sees_its_own_answers(tmp_path: Path) -> None:
    models = [counting_model(tmp_path / name) for name in ("one", "two")]
    set_template(models[1], "{{ messages[-1]['content'] }} {{ 'h' if messages[1:] else '' }}")
    session = Session([Speaker(path.name, load(path)) for path in models], Sampling(max_new_tokens=3))
    assert [text_of(session, "a", place) for place in (0, 1)] == ["b c d", "b c d"]
    assert [text_of(session, "e", place) for place in (0, 1)] == ["f g h", "i j k"]
    assert [speaker.turns[1].prompt for speaker in session.speakers] == [
        (("user", "a"), ("assistant", "b c d"), ("user", "e"))
    ] * 2
    assert session.do(Reset()) == "2 turns forgotten"
    assert text_of(session, "e", 1) == "f g h"


def test_thinking_is_not_in_the_next_turn(tmp_path: Path) -> None:
    model = counting_model(tmp_path, ["<pad>", "<s>", "</s>", "<think>", *"ab", "</think>", "c"])
    session = Session([Speaker("one", load(model))], Sampling(max_new_tokens=9))
    answer = said(session, "<think>")
    assert answer.turn is not None
    assert answer.turn.reply.text == "<think>\na b </think> c"
    assert (answer.thinking, answer.turn.answer, answer.note) == ("a b", "c", None)
    assert said(session, "c").turn is not None
    assert session.speakers[0].turns[1].prompt == (("user", "<think>"), ("assistant", "c"), ("user", "c"))


def test_what_cut_a_reply_is_said(tmp_path: Path) -> None:
    assert said(counting_session(tmp_path), "a").note == "cut at 3 tokens, --max-new-tokens allows more"


def test_a_full_context_is_one_sentence_and_changes_nothing(tmp_path: Path) -> None:
    session = counting_session(tmp_path)
    text_of(session, "a")
    answer = said(session, "a " * CONTEXT)
    assert answer.turn is None
    assert "the context of 64 tokens is full" in str(answer.problem)
    assert "/reset" in str(answer.problem)
    assert len(session.speakers[0].turns) == 1
    almost = said(session, "a " * (CONTEXT - 7))
    assert almost.note == "the context is full, /reset forgets the conversation"


def test_a_reply_that_is_stopped_is_kept_as_far_as_it_went(tmp_path: Path) -> None:
    session = Session([Speaker("one", load(counting_model(tmp_path)))], Sampling(max_new_tokens=40))
    with session.ask(session.speakers[0], "a") as answer:
        pieces = iter(answer)
        next(pieces)
        answer.stop()
        list(pieces)
    assert answer.turn is not None
    assert "b c d e f g h i j k l".startswith(answer.turn.answer)
    assert answer.note == ("stopped" if answer.turn.answer != "b c d e f g h i j k l" else None)


def test_a_system_prompt_goes_first_where_the_template_takes_one(tmp_path: Path) -> None:
    session = counting_session(tmp_path / "a")
    assert session.do(System(None)) == "no system prompt of yours"
    session.do(System("g"))
    text_of(session, "a")
    assert session.speakers[0].turns[0].prompt == (("system", "g"), ("user", "a"))
    session.do(System(""))
    assert session.system is None

    strict = counting_model(tmp_path / "b")
    set_template(strict, STRICT)
    refusing = Session([Speaker("strict", load(strict))], Sampling())
    with pytest.raises(UsageError, match="strict: its chat template takes no such conversation; it may have no system"):
        refusing.do(System("g"))
    assert refusing.system is None


def test_a_model_without_a_template(tmp_path: Path) -> None:
    model = counting_model(tmp_path)
    set_template(model, None)
    with pytest.raises(MissingInput, match="--chat-format-from"):
        Session([Speaker("one", load(model))], Sampling())


def test_the_same_conversation_gives_the_same_replies(tmp_path: Path) -> None:
    model = counting_model(tmp_path, sharpness=0.5)

    def talk(seed: int) -> list[str]:
        session = Session([Speaker("one", load(model))], Sampling(max_new_tokens=8, temperature=1.0, seed=seed))
        return [text_of(session, message) for message in ("a", "b", "a")]

    assert talk(1) == talk(1)
    assert talk(1) != talk(2)


# ---- saving ---------------------------------------------------------------------------------------------------------


def test_a_saved_conversation_is_a_recording(tmp_path: Path) -> None:
    session = counting_session(tmp_path / "m")
    with pytest.raises(UsageError, match="nothing was said yet"):
        session.do(Save(str(tmp_path / "talk.jsonl")))
    session.do(System("g"))
    text_of(session, "a")
    text_of(session, "e")
    assert session.do(Save(str(tmp_path / "talk.jsonl"))) == f"{tmp_path / 'talk.jsonl'}: 2 replies"
    replay = ReplayBackend.load(tmp_path / "talk.jsonl")
    for turn in session.speakers[0].turns:
        assert replay.generate([Prompt(messages=turn.prompt)], Sampling()) == [turn.reply]
    lines = [json.loads(line) for line in (tmp_path / "talk.jsonl").read_text("utf-8").splitlines()]
    assert [line["model"] for line in lines] == ["one", "one"]
    assert lines[0]["sampling"] == {"temperature": 0.0, "top_p": 1.0, "seed": 0, "max_new_tokens": 3}


def test_a_saved_page(tmp_path: Path) -> None:
    session = counting_session(tmp_path / "m")
    text_of(session, "a")
    session.do(Save(str(tmp_path / "talk.md")))
    assert (tmp_path / "talk.md").read_text("utf-8") == "# one\n\n**You:** a\n\n**Model:** b c d\n"


def test_a_saved_page_moves_no_cursor(tmp_path: Path) -> None:
    session = counting_session(tmp_path / "m")
    session.do(System("s\x1b[2J"))
    text_of(session, "a\x07")
    turns = session.speakers[0].turns
    turns[0] = replace(turns[0], answer="b\x1b[31m\tc\n")
    session.do(Save(str(tmp_path / "talk.md")))
    page = (tmp_path / "talk.md").read_text("utf-8")
    assert "*System prompt:* s\ufffd[2J\n\n**You:** a\ufffd\n\n**Model:** b\ufffd[31m\tc\n" in page


def test_nothing_is_overwritten_and_only_two_kinds_are_known(tmp_path: Path) -> None:
    session = counting_session(tmp_path / "m")
    text_of(session, "a")
    (tmp_path / "there.md").write_text("mine")
    with pytest.raises(OutputRefused, match="nothing is overwritten"):
        session.do(Save(str(tmp_path / "there.md")))
    assert (tmp_path / "there.md").read_text() == "mine"
    with pytest.raises(OutputRefused, match="cannot be written"):
        session.do(Save(str(tmp_path / "nowhere" / "talk.md")))
    with pytest.raises(UsageError, match=r"ends in \.jsonl"):
        session.do(Save(str(tmp_path / "talk.txt")))
    with pytest.raises(OutputRefused, match=r"~nobody-of-that-name/x\.md: there is no such user; write the path"):
        session.do(Save("~nobody-of-that-name/x.md"))
    with pytest.raises(OutputRefused, match="is no name of a file"):
        session.do(Save(str(tmp_path / "a\0b.md")))
    assert len(session.speakers[0].turns) == 1
