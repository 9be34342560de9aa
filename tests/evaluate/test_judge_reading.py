# SPDX-License-Identifier: Apache-2.0
"""What judges write, against a table of replies that was read by hand, and by promises."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatvector.evaluate.judge.reading import read_choice, read_score

TABLE = Path(__file__).with_name("golden") / "judge-replies.tsv"
ROWS = [line.split("\t") for line in TABLE.read_text("utf-8").split("\n")[1:] if line]


def test_the_table_is_what_the_documentation_says() -> None:
    scores = [row for row in ROWS if row[0] == "score"]
    assert (len(scores), len(ROWS) - len(scores)) == (120, 55)


@pytest.mark.parametrize(("kind", "verdict", "reply"), ROWS, ids=[f"{kind} {reply[:40]}" for kind, _, reply in ROWS])
def test_golden_replies(kind: str, verdict: str, reply: str) -> None:
    text = reply.replace("\\n", "\n")
    found = read_score(text) if kind == "score" else read_choice(text)
    expected = None if verdict == "-" else float(verdict) if kind == "score" else verdict
    assert found.value == expected, found.reason
    assert (found.reason is None) == (found.value is not None)


@pytest.mark.parametrize(
    ("text", "value"),
    [("Rating: [[1]]", 1.0), ("Rating: 1", None), ("I'd say 1/10", None), ("1", None), ("Rating: 1\nbecause", 1.0)],
)
def test_a_reply_that_ran_into_the_limit_may_end_in_half_a_number(text: str, value: float | None) -> None:
    assert read_score(text, stopped=False).value == value


def test_half_a_choice() -> None:
    assert read_choice("Verdict: A", stopped=False).value is None
    assert read_choice("Verdict: [[A]]", stopped=False).value == "A"


@given(st.text(st.characters(exclude_characters="[]【】［］", exclude_categories=["Cs"])), st.integers(1, 10))
def test_what_was_asked_for_is_read_whatever_stands_before(before: str, score: int) -> None:
    if "think" not in before:
        assert read_score(f"{before}\nRating: [[{score}]]").value == score
        assert read_choice(f"{before}\nVerdict: [[B]]").value == "B"


@given(st.text())
def test_any_text_gives_a_verdict_or_a_reason(text: str) -> None:
    for found in (read_score(text), read_choice(text)):
        assert (found.reason is None) == (found.value is not None)
    value = read_score(text).value
    assert value is None or (isinstance(value, float) and 1 <= value <= 10)


@pytest.mark.parametrize("run", [" ", "\n", "\t \n", "점수", "[[", "1/", "Rating: ", "10점 만점에 ", ": \n", "A "])
def test_hostile_replies_cost_no_more(run: str) -> None:
    """Patterns that share out a run of blanks in every way would not come back."""
    for text in (f"Rating{run * 20_000}x", f"{run * 20_000}[[7]]", f"Verdict:{run * 20_000}"):
        read_score(text)
        read_choice(text)
