# SPDX-License-Identifier: Apache-2.0
"""What is measured on every reply: its language, what is wrong with it, how it was thought."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatvector.evaluate.riders.degeneration import DegenerationRider
from chatvector.evaluate.riders.language import LanguageRider
from chatvector.evaluate.riders.thoughts import ThinkingRider
from chatvector.evaluate.task import Item, Marks, Rider, Turn
from chatvector.runtime.backend import Reply

RIDERS: tuple[Rider, ...] = (LanguageRider(), DegenerationRider(), ThinkingRider())
ITEM = Item(
    id="a", language="ko", turns=(Turn("바닷물은 왜 짠가요?", "강물 때문입니다."), Turn("weather 는 무슨 뜻인가요?"))
)
FAULTS = ("loop", "no_stop", "leak", "user_turn", "broken", "empty")
THOUGHT = "<think>The user asks for the meaning of a word. Let me answer in Korean.</think>\n"


def marks(rider: Rider, text: str, **rest: object) -> Marks:
    return rider.marks(Reply(text, **{"stopped": True} | rest), ITEM)  # type: ignore[arg-type]


def language(text: str) -> Marks:
    return marks(LanguageRider(), text)


def faults(text: str, **rest: object) -> set[str]:
    found = marks(DegenerationRider(), text, **rest)
    assert found["sound"] is not any(found[name] for name in FAULTS)
    return {name for name in FAULTS if found[name]}


def test_the_language_of_the_answer_counts_not_of_the_thinking() -> None:
    found = language(THOUGHT + "그 단어는 ‘날씨’라는 뜻입니다.")
    assert (found["on_target"], found["pass_line"], found["pass_word"]) == (True, True, True)
    assert language(THOUGHT + "It means the state of the air.")["english"] is True


def test_an_answer_that_never_comes_is_in_no_language() -> None:
    assert language("<think>The user asks for the meaning of a word.")["undetermined"] is True


def test_words_of_the_question_are_not_foreign() -> None:
    assert language("그 문장에서 weather 는 ‘날씨’라는 뜻입니다.")["pass_word"] is True
    assert language("그 문장에서 climate 는 ‘기후’라는 뜻입니다.")["pass_word"] is False


def test_each_fault() -> None:
    assert faults("바닷물이 짠 까닭은 강물이 광물을 나르기 때문입니다.") == set()
    assert faults("네. " * 30) == {"loop"}
    assert faults("네.", stopped=False) == {"no_stop"}
    assert faults("네.", special=("<|im_start|>",)) == {"leak"}
    assert faults("네. [INST]") == {"leak", "user_turn"}
    assert faults("네.\nUser: 고마워") == {"user_turn"}
    assert faults("네\ufffd") == {"broken"}
    assert faults(" ") == {"empty"}


def test_a_thought_that_goes_round_is_a_loop_and_no_answer() -> None:
    assert faults("<think>" + "Wait, let me check. " * 30, stopped=False) == {"loop", "no_stop", "empty"}
    assert faults(THOUGHT + "‘날씨’라는 뜻입니다.") == set()


def test_length_is_of_the_answer_and_tokens_of_all() -> None:
    found = marks(DegenerationRider(), THOUGHT + "날씨입니다", tokens=40)
    assert (found["characters"], found["tokens"]) == (5.0, 40.0)
    assert marks(DegenerationRider(), "날씨입니다")["tokens"] is None


def test_thinking_is_described() -> None:
    found = marks(ThinkingRider(), THOUGHT + "‘날씨’라는 뜻입니다.")
    assert (found["thinks"], found["unclosed"], found["on_target"], found["english"]) == (True, False, False, True)
    korean = marks(ThinkingRider(), "<think>사용자가 낱말의 뜻을 묻고 있다.</think>날씨")
    assert (korean["on_target"], korean["english"]) == (True, False)
    assert korean["characters"] == float(len("사용자가 낱말의 뜻을 묻고 있다."))


def test_thoughts_that_are_not_closed_or_empty_or_absent() -> None:
    assert marks(ThinkingRider(), "<think>사용자가 낱말의 뜻을 묻고 있다.")["unclosed"] is True
    for text in ("날씨", "<think>\n\n</think>\n날씨"):
        found = marks(ThinkingRider(), text)
        assert found["thinks"] is False
        assert found.get("unclosed") is None
        assert found.get("on_target") is None


@pytest.mark.parametrize("rider", RIDERS, ids=lambda rider: rider.name)
def test_metrics_have_marks_of_their_kind(rider: Rider) -> None:
    found = rider.marks(Reply(THOUGHT + "海水會鹹，是因為河流把礦物質帶進海裡。", stopped=True, tokens=9), zh_item())
    for metric in rider.metrics:
        value = found[metric.mark or ""]
        if metric.name not in ("word_pass",):
            assert isinstance(value, bool if metric.kind == "rate" else float), metric.name
    assert len({metric.name for metric in rider.metrics}) == len(rider.metrics)


def zh_item() -> Item:
    return Item(id="b", language="zh-Hant", turns=(Turn("海水為什麼是鹹的？"),))


def test_names_are_different() -> None:
    assert len({rider.name for rider in RIDERS}) == len(RIDERS)


@given(st.text(max_size=120), st.booleans())
def test_any_reply_can_be_marked(text: str, stopped: bool) -> None:
    for rider in RIDERS:
        assert isinstance(rider.marks(Reply(text, stopped=stopped), ITEM), dict)
