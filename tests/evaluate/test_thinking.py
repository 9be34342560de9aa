# SPDX-License-Identifier: Apache-2.0
"""Replies taken apart, family by family, and put together again by hypothesis."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatvector.evaluate.thinking import Thought, answer_of, parse
from chatvector.runtime.thought_marks import HARMONY, MARKS, kept_tokens, opened_by


@pytest.mark.parametrize(
    ("reply", "thought"),
    [
        ("하얀색이에요.", Thought(None, "하얀색이에요.")),
        ("", Thought(None, "")),
        ("<think>\n눈? 하얗다.\n</think>\n\n하얀색이에요.", Thought("눈? 하얗다.", "하얀색이에요.")),
        ("<think>\n\n</think>\n\nyes", Thought("", "yes")),
        ("snow… white.\n</think>\n\nWhite.", Thought("snow… white.", "White.")),
        ("<think>\nand then", Thought("and then", "", unclosed=True)),
        ("<think>", Thought("", "", unclosed=True)),
        ("Well.\n<think>hm</think> Yes.\n <think>ah</think> No.", Thought("hm\n\nah", "Well.\n Yes.\n  No.")),
        ("Well.\n<think>hm", Thought("hm", "Well.", unclosed=True)),
        ("<think>a</think><think>b</think>c", Thought("a\n\nb", "c")),
        # What talks of marks is an answer.
        ("The <think> tag is used", Thought(None, "The <think> tag is used")),
        ("Use `<think>` and `</think>` in HTML", Thought(None, "Use `<think>` and `</think>` in HTML")),
        ("Close it by `</think>`.", Thought(None, "Close it by `</think>`.")),
        ("```\n<think>\na\n</think>\n```\nb", Thought(None, "```\n<think>\na\n</think>\n```\nb")),
        ("On <think> and </think> tags.</think>Yes.", Thought("On <think> and </think> tags.", "Yes.")),
        ("<think>a [THINK] b</think>c", Thought("a [THINK] b", "c")),
        ("<think>x</think><answer>\n하나\n</answer>", Thought("x", "하나")),
        ("in HTML <answer> is no tag", Thought(None, "in HTML <answer> is no tag")),
        ("<|channel>thought\nhm\n<channel|>Yes.", Thought("hm", "Yes.")),
        (
            "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>Yes.",
            Thought("hm", "Yes."),
        ),
        ("<|channel|>final<|message|>Yes.", Thought(None, "Yes.")),
        ("Yes.<|end|>", Thought(None, "Yes.<|end|>")),
        (
            "<|START_THINKING|>hm<|END_THINKING|><|START_RESPONSE|>Yes.<|END_RESPONSE|>",
            Thought("hm", "Yes."),
        ),
    ],
)
def test_by_hand(reply: str, thought: Thought) -> None:
    assert parse(reply) == thought
    assert answer_of(reply) == thought.answer


PLAIN = st.text(st.characters(exclude_characters="<[◁", exclude_categories=["Cs"]), max_size=30)


@given(mark=st.sampled_from(MARKS), thinking=PLAIN, answer=PLAIN, gap=st.sampled_from(["", "\n\n", " "]))
def test_every_family_round_trips(mark, thinking: str, answer: str, gap: str) -> None:
    closed = parse(f"{mark.open}{thinking}{mark.close}{gap}{answer}")
    assert closed == Thought(thinking.strip(), answer.strip())
    # HARMONY's closing mark alone is an end of turn, and one after a backtick may be code.
    if mark is not HARMONY and "`" not in thinking:
        assert parse(f"{thinking}{mark.close}{gap}{answer}") == closed
    assert parse(f"{mark.open}{thinking}") == Thought(thinking.strip(), "", unclosed=True)


@given(PLAIN)
def test_text_without_marks_is_the_answer(text: str) -> None:
    assert parse(text) == Thought(None, text.strip())


def test_opened_by_the_template() -> None:
    assert opened_by("<|im_start|>assistant\n<think>\n") == "<think>"
    assert opened_by("<|im_start|>assistant\n<think>\n\n</think>\n\n") == ""
    assert opened_by("<|im_start|>assistant\n") == ""


def test_special_tokens_that_are_marks() -> None:
    assert kept_tokens(["</s>", "[THINK]", "[/THINK]", "<|end|>"]) == {"[THINK]", "[/THINK]"}
    harmony = {"<|channel|>", "<|message|>", "<|start|>", "<|end|>"}
    assert kept_tokens([*harmony, "<|return|>", "<|call|>"]) == harmony
    assert kept_tokens(["<|end|>", "<|user|>"]) == set()  # Phi: an end of turn
