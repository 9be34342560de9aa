# SPDX-License-Identifier: Apache-2.0
"""Recordings: what they answer, and what is wrong with them, line by line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatvector.errors import DamagedFile, MissingInput
from chatvector.runtime.backend import Backend, Prompt, Reply, Sampling
from chatvector.runtime.replay_backend import ReplayBackend, reply_as_json, reply_from_json

ANY = Sampling()


def recording(path: Path, *rows: object) -> ReplayBackend:
    file = path / "r.jsonl"
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n\n" for row in rows), "utf-8")
    return ReplayBackend.load(file)


def asked(text: str, sample: int = 0) -> Prompt:
    return Prompt(messages=(("user", text),), sample=sample)


def test_a_text_answers_both_forms(tmp_path: Path) -> None:
    backend = recording(tmp_path, {"prompt": "눈?", "reply": "하얗다."}, {"prompt": "a", "reply": "b"})
    assert backend.generate([Prompt(text="a"), asked("눈?")], ANY) == [Reply("b", True), Reply("하얗다.", True)]
    assert isinstance(backend, Backend)
    assert (backend.info.kind, backend.info.prompt_form) == ("replay", "recorded")


def test_messages_answer_exactly_these(tmp_path: Path) -> None:
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}]
    reply = {"text": "x", "stopped": False, "tokens": 8, "prompt_tokens": 3, "special": ["<a>"], "failure": None}
    backend = recording(tmp_path, {"prompt": messages, "reply": reply})
    prompt = Prompt(messages=(("system", "s"), ("user", "q")))
    assert backend.generate([prompt], ANY) == [Reply("x", False, 8, 3, ("<a>",))]
    with pytest.raises(MissingInput, match="1 of 2 prompts are not in the recording: 'q'"):
        backend.generate([prompt, asked("q")], ANY)


def test_samples_count_in_the_order_of_lines_or_say_their_number(tmp_path: Path) -> None:
    rows = [{"prompt": "a", "reply": "0"}, {"prompt": "a", "reply": "1"}, {"prompt": "a", "reply": "7", "sample": 7}]
    backend = recording(tmp_path, *rows)
    assert [backend.generate([asked("a", n)], ANY)[0].text for n in (1, 0, 7)] == ["1", "0", "7"]
    with pytest.raises(MissingInput, match="not in the recording"):
        backend.generate([asked("a", 2)], ANY)
    with pytest.raises(DamagedFile, match="two replies to sample 1 of the prompt 'a'"):
        recording(tmp_path, *rows, {"prompt": "a", "reply": "x", "sample": 1})


def test_another_recording_is_another_model(tmp_path: Path) -> None:
    one = recording(tmp_path, {"prompt": "a", "reply": "b"}).info.digest
    assert recording(tmp_path, {"prompt": "a", "reply": "c"}).info.digest != one


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "line 2: Expecting"),
        ("[1]", "line 2: must be an object, is a list"),
        ('{"prompt": "a"}', "line 2: reply is missing; it has prompt"),
        ('{"prompt": "a", "reply": 3}', "line 2: reply must be a text or an object, is a int"),
        ('{"prompt": 3, "reply": "a"}', "line 2: prompt must be a text or a list of"),
        ('{"prompt": [], "reply": "a"}', "line 2: prompt must be a text or a list of"),
        ('{"prompt": [{"role": "user"}], "reply": "a"}', "line 2: prompt must be a text or a list of"),
        ('{"prompt": "a", "reply": {"stopped": true}}', "line 2: the reply has no text"),
        ('{"prompt": "a", "reply": {"text": "b", "tokens": "9"}}', "line 2: tokens of the reply must be int, is '9'"),
        ('{"prompt": "a", "reply": {"text": "b", "tokens": true}}', "line 2: tokens of the reply must be int"),
        ('{"prompt": "a", "reply": {"text": "b", "special": [1]}}', "line 2: special of the reply must be a list"),
        ('{"prompt": "a", "reply": {"text": "b", "finish": 1}}', "line 2: unknown keys of the reply: finish"),
        ('{"prompt": "a", "reply": "b", "sample": -1}', "line 2: sample must be a number from 0 on, is -1"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, problem: str) -> None:
    file = tmp_path / "r.jsonl"
    file.write_text('{"prompt": "ok", "reply": "ok"}\n' + line)
    with pytest.raises(DamagedFile, match=problem.replace("(", r"\(")):
        ReplayBackend.load(file)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="there is no such recording"):
        ReplayBackend.load(tmp_path / "nowhere")
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(DamagedFile, match="holds no reply"):
        ReplayBackend.load(tmp_path / "empty")
    (tmp_path / "binary").write_bytes(b"\xff\xfe{}")
    with pytest.raises(DamagedFile, match="line 1: 'utf-8' codec"):
        ReplayBackend.load(tmp_path / "binary")


COUNT = st.none() | st.integers(0, 10**6)


@given(
    st.builds(
        Reply,
        text=st.text(),
        stopped=st.booleans(),
        tokens=COUNT,
        prompt_tokens=COUNT,
        special=st.lists(st.text(), max_size=2).map(tuple),
        failure=st.none() | st.just("context"),
    )
)
def test_replies_round_trip_through_json(reply: Reply) -> None:
    assert reply_from_json(json.loads(json.dumps(reply_as_json(reply)))) == reply
