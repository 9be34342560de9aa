# SPDX-License-Identifier: Apache-2.0
"""Degenerate replies and sound ones that look like them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatvector.evaluate.scorers.degeneration import degeneration, distinct, loops, tokenise
from public_data import public_data

LOOPS = [
    "The answer is the answer is the answer is the answer is the answer is the answer is",
    "서울은 대한민국의 수도입니다. " + "서울은 대한민국의 수도입니다. " * 5,
    "좋은 질문입니다!\n" + "감사합니다.\n" * 6,
    "好的，" + "我可以幫你，" * 12,
    "ㅋ" * 60,
    "!" * 100,
    "네.\n" + "!" * 300,
    "1, 2, 3, 4, 5, " + "5, " * 40,
    "まず、" + "これは大切なことです。" * 6,
    "```python\n" + "print('x')\n" * 12,
    "\n".join(f"{number}. 물을 자주 마십니다." for number in range(1, 30)),
    "First we go out, then we go home.\n" + "\n".join(["We go out.", "We go home.", "It rains."] * 8),
]
SOUND = [
    "",
    "네.",
    "ㅋㅋㅋㅋㅋ 재미있네요!",
    "The answer is the answer.",
    "하나, 둘, 셋, 넷, 다섯, 여섯, 일곱, 여덟, 아홉, 열.",
    "| 이름 | 값 |\n| --- | --- |\n| --- | --- |\n| 가 | 1 |\n| 나 | 2 |\n" + "|-----" * 8 + "|",
    "제목\n" + "-" * 60 + "\n본문입니다.",
    "\n".join(f"{number}. {thing}을 준비합니다." for number, thing in enumerate(["물", "쌀", "소금", "냄비", "불"], 1)),
    "```python\n" + "\n".join(f"for i in {name}:\n    print(i)" for name in "abcd") + "\n```",
    "Row, row, row your boat, gently down the stream. Merrily, merrily, merrily, merrily, life is but a dream.",
    "3.14159265358979323846264338327950288419716939937510",
]


@pytest.mark.parametrize("text", LOOPS, ids=range(len(LOOPS)))
def test_loops(text: str) -> None:
    assert loops(text)


@pytest.mark.parametrize("text", SOUND, ids=range(len(SOUND)))
def test_what_is_no_loop(text: str) -> None:
    assert not loops(text)


@given(st.text(st.sampled_from("가나다라 abcd一二三。\n"), min_size=1, max_size=60), st.text(max_size=60), st.data())
def test_any_unit_that_repeats_to_the_end_is_found(unit: str, before: str, data: st.DataObject) -> None:
    """Also where the limit cuts the last repetition."""
    unit = " ".join(unit.split())
    if not any(c.isalpha() for c in unit):
        return
    cut = data.draw(st.integers(0, len(unit) - 1))
    times = 40 // len(unit) + 5
    assert loops(before + " " + (unit + " ") * times + unit[:cut])


@pytest.mark.parametrize(
    ("text", "leaks"),
    [
        ("안녕하세요.<|im_end|>", ("<|im_end|>",)),
        ("[INST] 질문 [/INST] 답", ("[INST]", "[/INST]")),
        ("<<SYS>>", ("<<SYS>>",)),
        ("좋아요.</s>", ("</s>",)),
        ("<start_of_turn>model", ("<start_of_turn>",)),
        ("<|start_header_id|>assistant<|end_header_id|>", ("<|start_header_id|>", "<|end_header_id|>")),
        ("<｜end▁of▁sentence｜>", ("<｜end▁of▁sentence｜>",)),
        ("### User: 다음", ("### User:",)),
        ("### Response:", ("### Response:",)),
        ("▁안녕", ("▁안",)),
        ("Ġhello", ("Ġh",)),
        ("<0xEC><0x95>", ("<0xEC>", "<0x95>")),
        ("토큰은 `<|im_end|>`입니다.", ()),
        ("```\n<s>[INST]\n```", ()),
        ("a < b | c > d", ()),
        ("## 사용 방법\n### 요약", ()),
        ("[1] 참고 문헌", ()),
        ("<b>굵게</b>", ()),
    ],
)
def test_leaks(text: str, leaks: tuple[str, ...]) -> None:
    assert degeneration(text).leaks == leaks


@pytest.mark.parametrize(
    ("text", "user_turn"),
    [
        ("네.\nUser: 또 하나 물어볼게요.", True),
        ("네.\n### Human: next", True),
        ("알겠습니다.\n사용자: 고마워요", True),
        ("好的。\n使用者：謝謝", True),
        ("はい。\nユーザー：ありがとう", True),
        ("**User**: hi", True),
        ("<|im_start|>user\nhi", True),
        ("네.[INST] 다음 [/INST]", True),
        ("The user: a person who uses it", False),
        ("사용자 이름: 홍길동", False),
        ("User accounts are kept in a table.", False),
        ("```\nUser: example\n```", False),
    ],
)
def test_turns_of_the_user(text: str, user_turn: bool) -> None:
    assert degeneration(text).user_turn is user_turn


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("안녕\ufffd\ufffd", 2),
        ("a\x00b\x1b", 2),
        ("\ue000", 1),
        ("\ud83d", 1),
        ("줄\n탭\t끝\r\n", 0),
        ("👩‍👩‍👧 ❤️ café 𝑥", 0),
        ("\u200bzero width", 0),
    ],
)
def test_broken_characters(text: str, broken: int) -> None:
    assert degeneration(text).broken == broken


def test_empty_and_length() -> None:
    assert degeneration(" \n\t").empty
    assert not degeneration(".").empty
    assert degeneration("가나다").characters == 3
    assert degeneration("...").distinct_1 is None


def test_distinct_by_hand() -> None:
    # the cat the dog: 3 of 4 words differ; pairs: the-cat, cat-the, the-dog, all different
    found = degeneration("The cat, the dog.")
    assert (found.distinct_1, found.distinct_2) == (0.75, 1.0)
    # 我我我你: characters are the words; 2 of 4, pairs 我我 我我 我你: 2 of 3
    found = degeneration("我我我你")
    assert (found.distinct_1, found.distinct_2) == (0.5, pytest.approx(2 / 3))
    assert distinct(["a"], 2) is None


def test_tokens_are_words_or_characters() -> None:
    assert tokenise("나는 GPT-4를 써요.") == ["나는", "gpt", "4를", "써요"]
    assert tokenise("猫です") == ["猫", "で", "す"]


@given(st.text(max_size=300))
def test_any_text_can_be_read(text: str) -> None:
    found = degeneration(text)
    assert found.distinct_1 is None or 0 < found.distinct_1 <= 1
    assert found.empty == (not text.strip())


@pytest.mark.parametrize("name", ["eng", "kor", "zho-TW", "zho-CN", "jpn"])
def test_news_is_sound(name: str) -> None:
    lines = public_data(f"language/ntrex.{name}.txt").read_text("utf-8").split("\n")[:1000]
    for start in range(0, 1000, 10):
        found = degeneration("\n".join(lines[start : start + 10]))
        assert (found.loop, found.leaks, found.user_turn, found.broken) == (False, (), False, 0)


@pytest.mark.parametrize("name", ["mt_bench.en", "mt_bench.ko", "mt_bench.ja"])
def test_questions_and_reference_answers_are_sound(name: str) -> None:
    lines = public_data(f"judged/{name}.jsonl").read_text("utf-8").splitlines()
    for record in map(json.loads, lines):
        for text in (*record["turns"], *(record.get("reference") or [])):
            found = degeneration(text)
            assert (found.loop, found.leaks, found.user_turn, found.broken) == (False, (), False, 0), text
