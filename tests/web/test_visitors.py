# SPDX-License-Identifier: Apache-2.0
"""Conversations of several visitors over the same models, and what the page shows of them."""

from __future__ import annotations

import threading
from dataclasses import replace
from itertools import pairwise

import pytest

from chatvector.arithmetic.scales import ScaleRules
from chatvector.errors import UsageError
from chatvector.runtime.backend import Sampling
from chatvector.web import visitors as rooms
from chatvector.web.bubbles import columns, one_column
from chatvector.web.sentences import BY_TAG
from chatvector.web.visitors import Exchange, Models, Said, Visitor, Visitors
from chatvector.web.words import EN, KO

QUESTION = "오늘 기분이 어때?"
SHORT = Sampling(max_new_tokens=16)


@pytest.fixture
def page(models: Models) -> Visitors:
    return Visitors(models, SHORT)


def talk(visitor: Visitor, message: str = QUESTION) -> tuple[Said, ...]:
    (*_, last) = visitor.ask(message)
    return last


def answers(visitor: Visitor) -> list[list[str]]:
    return [[said.answer for said in exchange.said] for exchange in visitor.exchanges]


def test_both_models_answer_and_see_their_own_answers(page: Visitors) -> None:
    visitor = page.get("a")
    first = talk(visitor)
    assert all(said.done and said.problem is None for said in first)
    assert first[0].answer != first[1].answer
    assert (first[0].scale, first[1].scale) == (None, "0.75")
    talk(visitor, "하나 더. 이건 좋은 거야, 나쁜 거야? 여행은 신났다.")
    for place, speaker in enumerate(visitor.session.speakers):
        roles = [role for role, _ in speaker.turns[1].prompt]
        assert roles == ["user", "assistant", "user"]
        assert speaker.turns[1].prompt[1][1] == first[place].answer


def test_answers_grow_while_they_are_written(page: Visitors) -> None:
    seen = [tuple((said.answer, said.done) for said in state) for state in page.get("a").ask(QUESTION)]
    assert [done for _, done in seen[-1]] == [True, True]
    for before, after in pairwise(seen[:-1]):
        assert all(later.startswith(earlier) for (earlier, _), (later, _) in zip(before, after, strict=True))


def test_two_visitors_have_conversations_and_scales_of_their_own(page: Visitors) -> None:
    one, other = page.get("one"), page.get("other")
    alone = talk(one)[1].answer
    one.reset()
    other.move(ScaleRules(0.0))
    found: dict[str, str] = {}
    threads = [
        threading.Thread(target=lambda name, who: found.update({name: talk(who)[1].answer}), args=(name, who))
        for name, who in (("one", one), ("other", other))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found["one"] == alone
    assert found["other"] != alone
    assert (one.rules(), other.rules()) == (ScaleRules(0.75), ScaleRules(0.0))
    assert (len(one.exchanges), len(other.exchanges)) == (1, 1)
    other.reset()
    assert (len(one.exchanges), len(other.exchanges)) == (1, 0)


def test_the_scale_changes_the_answer_and_says_what_it_took(page: Visitors) -> None:
    visitor = page.get("a")
    before = talk(visitor)[1].answer
    visitor.reset()
    change = visitor.move(ScaleRules(-0.5))
    assert (change.tensors > 0, change.seconds > 0) == (True, True)
    after = talk(visitor)
    assert after[1].answer != before
    assert after[1].scale == "-0.5"
    with pytest.raises(UsageError, match="matches none of"):
        visitor.move(ScaleRules(0.5, tensors={"nothing.*": 0.0}))
    assert (visitor.rules(), visitor.before) == (ScaleRules(-0.5), ScaleRules(0.75))


@pytest.mark.parametrize("message", ["", "  \n "])
def test_an_empty_message_is_refused(page: Visitors, message: str) -> None:
    visitor = page.get("a")
    with pytest.raises(UsageError, match="an empty message"):
        next(visitor.ask(message))
    assert not visitor.exchanges
    talk(visitor)


def test_a_message_longer_than_the_context_is_said_to_be(page: Visitors) -> None:
    visitor = page.get("a")
    said = talk(visitor, "가나다 " * 2000)
    assert [one.problem for one in said] == ["context", "context"]
    column = one_column(visitor.exchanges, 0, 512, EN)
    assert "The context of 512 tokens is full: begin a new conversation" in column[-1]["content"]
    assert all(one.problem is None for one in talk(visitor)), "the conversation is as it was before"


def test_a_second_message_has_to_wait_for_the_first(page: Visitors) -> None:
    visitor = page.get("a")
    asking = visitor.ask(QUESTION)
    next(asking)
    for refused in (lambda: next(visitor.ask("또?")), visitor.reset):
        with pytest.raises(UsageError, match="stop it"):
            refused()
    for _ in asking:
        pass
    visitor.reset()


def test_a_message_is_there_while_somebody_else_is_answered(page: Visitors) -> None:
    one, other = page.get("one"), page.get("other")
    with one.session.speakers[0].backend._turn, one.session.speakers[1].backend._turn:
        asking = other.ask(QUESTION)
        assert [(said.answer, said.done) for said in next(asking)] == [("", False), ("", False)]
        assert columns(other, EN)[1][-1]["content"] == EN.in_turn
    for _ in asking:
        pass
    assert all(said.answer for said in other.exchanges[0].said)


def slow(visitor: Visitor) -> None:
    """Replies that go on for long unless they are stopped: scale 0 rambles, and nothing ends it but the limit."""
    visitor.move(ScaleRules(0.0))
    visitor.session.sampling = replace(SHORT, max_new_tokens=400)


@pytest.mark.parametrize("by", ["their page", "the end of the server"])
def test_stopped_replies_keep_what_was_written(page: Visitors, by: str) -> None:
    visitor = page.get("a")
    slow(visitor)
    for state in visitor.ask(QUESTION):
        if state[0].answer:
            (visitor.stop if by == "their page" else page.end)()
    assert page.ended is (by == "the end of the server")
    said = visitor.exchanges[0].said[0]
    assert said.cut == "stopped"
    assert visitor.session.speakers[0].turns[0].answer == said.answer
    assert said.answer


@pytest.mark.parametrize("how", ["leaves", "forgotten"])
def test_a_page_that_is_left_in_mid_reply_stops_it(page: Visitors, how: str) -> None:
    visitor = page.get("a")
    slow(visitor)
    asking = visitor.ask(QUESTION)
    next(asking)
    if how == "leaves":
        page.leave("a")
        for _ in asking:
            pass
        assert page.find("a") is None
    else:
        asking.close()  # pyright: ignore[reportAttributeAccessIssue]
    turn = visitor.session.speakers[0].turns
    tokens = turn[0].reply.tokens if turn else 0
    assert tokens is not None
    assert tokens < 400
    assert talk(page.get("b"))[1].problem is None


def test_leaving_twice_or_never_having_been_there_is_no_error(page: Visitors) -> None:
    page.leave("nobody")
    visitor = page.get("a")
    page.leave("a")
    page.leave("a")
    assert page.find("a") is None
    with pytest.raises(UsageError, match="the server was started again, or has forgotten this page"):
        page.require("a")
    assert page.get("a") is not visitor
    assert page.require("a") is page.get("a")


def test_the_quietest_visitor_goes_first(page: Visitors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "MOST_VISITORS", 2)
    first = page.get("first")
    page.get("second")
    first.seen += 1e6
    page.get("third").seen += 2e6
    assert (len(page), page.find("first"), page.find("second")) == (2, first, None)


def test_settings(page: Visitors) -> None:
    visitor = page.get("a")
    fine = {"system": "", "temperature": 0.0, "top_p": 1.0, "seed": 3, "limit": 5}
    visitor.settle(**fine)
    assert visitor.session.sampling == Sampling(5, 0.0, 1.0, 3)
    assert talk(visitor)[0].limit <= 5
    for wrong in (
        {"temperature": -1.0},
        {"top_p": 0.0},
        {"top_p": 1.5},
        {"limit": 0},
        {"limit": 1.5},
        {"seed": -1},
        {"limit": None},
    ):
        with pytest.raises(UsageError, match="need a number" if None in wrong.values() else "are whole numbers"):
            visitor.settle(**{**fine, **wrong})  # pyright: ignore[reportArgumentType]
    assert visitor.session.sampling.max_new_tokens == 5


def test_bubbles() -> None:
    said = Said("생각", "", scale="0.7")
    exchange = Exchange("질문", (said,))
    question = {"role": "user", "content": "질문"}
    thinking = {"role": "assistant", "content": "생각", "metadata": {"title": KO.thinking, "status": "pending"}}
    assert one_column([exchange], 0, None, KO) == [question, thinking]
    said.answer, said.done, said.cut, said.limit, said.tokens = "답", True, "limit", 9, 9
    folded = {**thinking, "metadata": {"title": "2자를 생각함", "status": "done"}}
    small = "<small>배율 0.7 · 9토큰 · 9토큰에서 끊겼습니다. 설정에서 늘릴 수 있습니다</small>"
    answer = {"role": "assistant", "content": f"답\n{small}"}
    assert one_column([exchange], 0, None, KO) == [question, folded, answer]
    assert one_column([Exchange("?", (Said(),))], 0, None, EN)[-1]["content"] == EN.in_turn
    assert one_column([Exchange("?", (Said(done=True),))], 0, None, EN)[-1]["content"] == "—"
    broken = Said(done=True, problem="error", error=UsageError("bad <b>"))
    assert one_column([Exchange("?", (broken,))], 0, None, EN)[-1]["content"] == "<small>bad &lt;b&gt;</small>"
    lead = BY_TAG["ko"].of_usage
    told = one_column([Exchange("?", (broken,))], 0, None, KO)[-1]["content"]
    assert told == f'<small>{lead} <span lang="en">bad &lt;b&gt;</span></small>'


def test_words_are_shown_as_they_were_written() -> None:
    """No Markdown and no HTML: neither in what a person writes nor in what a model does."""
    written = "> a & b\n- c\n\n# <i>d</i>  e"
    shown = "&gt; a &amp; b\n- c\n\n# &lt;i&gt;d&lt;/i&gt;  e"
    said = Said(written, written, done=True)
    column = one_column([Exchange(written, (said,))], 0, None, EN)
    assert [message["content"] for message in column] == [shown, shown, shown]


def test_what_nobody_expected_is_a_sentence_and_the_other_model_answers(
    page: Visitors, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    visitor = page.get("a")
    monkeypatch.setattr(visitor.session.speakers[0].backend, "generate", lambda *_, **__: 1 / 0)
    said = talk(visitor)
    assert said[0].problem == "error"
    assert isinstance(said[0].error, ZeroDivisionError)
    shown = columns(visitor, EN)[0][-1]["content"]
    assert "unexpected (ZeroDivisionError: division by zero); the terminal" in shown
    assert said[1].answer
    assert "Traceback" in capsys.readouterr().err
    assert len(columns(visitor, EN)) == 2
