# SPDX-License-Identifier: Apache-2.0
"""Which tokens of a conversation count: counted by hand, by marks and by prefixes, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from chatvector.checkpoint.checkpoint import Checkpoint
from chatvector.errors import InputError
from chatvector.training.conversations import MARKS, Encoder
from training.training_data import CHATML, turns

END = 3  # <|end|> of the embedded family


def tokenizer_of(name: str) -> Any:
    with Checkpoint.open(name) as model:
        return AutoTokenizer.from_pretrained(model.local_path)


TOKENIZER = tokenizer_of("demo:chat")
OWN = Encoder(TOKENIZER, None)
PLAIN = Encoder(TOKENIZER, MARKS.sub("", TOKENIZER.chat_template).replace("{% endgeneration %}", ""))
words = st.text(st.sampled_from("abc 한국어.?\n<|>"), max_size=20).map(lambda text: f"x{text}x")


def said(encoder: Encoder, messages: list[dict[str, str]]) -> list[str]:
    """The runs of counted tokens, as text."""
    encoded = encoder.encode(messages, "row 1")
    runs: list[list[int]] = []
    before = False
    for one, counted in zip(encoded.ids, encoded.assistant, strict=True):
        if counted:
            runs[-1].append(one) if before else runs.append([one])
        before = counted
    return [TOKENIZER.decode(run) for run in runs]


def test_only_what_the_assistant_says_and_its_stop_token_count() -> None:
    messages = turns("What is it?", "A pear.", "Sure?", "Yes.")
    assert said(OWN, messages) == [" A pear.<|end|>", " Yes.<|end|>"]


def test_counted_by_hand() -> None:
    encoded = OWN.encode(turns("Hi", "No."), "row 1")
    text = "<s>> Hi\n- No.<|end|>"
    assert TOKENIZER.decode(encoded.ids) == text
    tail = TOKENIZER(" No.<|end|>", add_special_tokens=False)["input_ids"]
    assert encoded.ids[-len(tail) :] == tail
    assert encoded.assistant == [False] * (len(encoded.ids) - len(tail)) + [True] * len(tail)
    assert encoded.stops == {END}
    assert encoded.special == {1, END}


@given(st.lists(words, min_size=1, max_size=4))
def test_marks_and_prefixes_agree(texts: list[str]) -> None:
    messages = turns(*texts, *(["x"] if len(texts) % 2 else []))
    assert not PLAIN.marked
    assert OWN.encode(messages, "row 1") == PLAIN.encode(messages, "row 1")


def test_what_a_template_adds_after_the_stop_token_is_not_the_assistants() -> None:
    encoder = Encoder(TOKENIZER, CHATML)
    assert said(encoder, turns("Hi", "No.", "Why?", "So.")) == ["No.<|end|>", "So.<|end|>"]


def test_a_template_that_rewrites_earlier_turns_is_refused_unless_marked() -> None:
    forgetful = CHATML.replace("message['content']", "(message['content'] if loop.last else '…')")
    with pytest.raises(InputError, match=r"row 7: the chat template renders turn 2 otherwise .*generation"):
        Encoder(TOKENIZER, forgetful).encode(turns("a", "b", "c", "d"), "row 7")
    marked = (
        "{%- for m in messages %}{%- if m['role'] == 'assistant' %}{% generation %}"
        "{{- (m['content'] if loop.last else '…') + '<|end|>' }}{% endgeneration %}"
        "{%- else %}{{- '> ' + m['content'] }}{%- endif %}{%- endfor %}"
    )
    assert said(Encoder(TOKENIZER, marked), turns("a", "b", "c", "d")) == ["…<|end|>", "d<|end|>"]


@pytest.mark.parametrize(
    "template",
    [
        CHATML.replace("<|end|>", ""),
        TOKENIZER.chat_template.replace("+ '<|end|>' }}{% endgeneration %}", "}}{% endgeneration %}{{- '<|end|>' }}"),
    ],
    ids=["no stop token", "stop token outside the marks"],
)
def test_a_turn_without_a_stop_token_is_refused(template: str) -> None:
    with pytest.raises(InputError, match="row 1: the chat template ends the assistant's turn with no special token"):
        Encoder(TOKENIZER, template).encode(turns("Hi", "No."), "row 1")


def test_a_pair_is_the_prompt_and_the_reply() -> None:
    asked, reply, whole = OWN.encode_pair(turns("Hi", "No.", "Why?"), {"role": "assistant", "content": "So."}, "row 1")
    assert TOKENIZER.decode(asked) == "<s>> Hi\n- No.<|end|>\n> Why?\n-"
    assert TOKENIZER.decode(reply) == " So.<|end|>"
    assert asked + reply == whole.ids


def test_a_model_without_a_template_needs_one() -> None:
    with pytest.raises(InputError, match="no chat template; name one with chat_template"):
        Encoder(tokenizer_of("demo:base"), None)


@pytest.mark.parametrize(
    ("messages", "complaint"),
    [
        ("hello", "must be a list"),
        ([{"role": "user"}], "message 1 is no {role, content}"),
        ([{"role": "user", "content": ["a"]}], "content of message 1 is no text but list"),
        ([{"role": "user", "content": "a"}], "no assistant turn"),
        ([{"role": "wizard", "content": "a"}, {"role": "assistant", "content": "b"}], "roles are system"),
    ],
)
def test_what_is_no_conversation(messages: Any, complaint: str) -> None:
    with pytest.raises(InputError, match=f"row 3: .*{complaint}"):
        OWN.encode(messages, "row 3")
