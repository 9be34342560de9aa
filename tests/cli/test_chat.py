# SPDX-License-Identifier: Apache-2.0
"""`chatvector chat` whole: on a pseudo-terminal, and from a pipe."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from chatvector.cli.columns import width_of
from chatvector.cli.main import app
from chatvector.errors import ChatVectorError, MissingExtra, NotEnoughSpace
from chatvector.extraction import extract
from counting import counting_model, set_template
from terminal import CTRL_C, CTRL_D, started

WORDS = ["<pad>", "<s>", "</s>", "<turn>", *(chr(code) for code in range(0xAC00, 0xAC00 + 1500))]
"""Syllables: the model answers 가 with 각, 갂, 갃 … for many seconds."""
MERGE = ("demo:target", "--base", "demo:base", "--chat", "demo:chat")
GREEDY = ("--temperature", "0")
PROMPT = "\n> "


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model whose reply takes long."""
    return str(counting_model(tmp_path_factory.mktemp("slow") / "slow", WORDS, context=4096))


def piped(*arguments: str, lines: str | bytes) -> Result:
    """The command in this process, its input and output no terminal."""
    return CliRunner().invoke(app, ["chat", *arguments], input=lines, prog_name="chatvector")


# ---- on a terminal --------------------------------------------------------------------------------------------------


def test_a_merge_is_talked_to_and_its_scale_moved(tmp_path: Path) -> None:
    with started("chat", *MERGE, *GREEDY, home=tmp_path) as terminal:
        opening = terminal.wait(PROMPT)
        assert "a live merge takes" in opening  # before it is loaded
        terminal.say("바다는 무슨 색이야?")
        before = terminal.wait(PROMPT)
        assert "파란색이에요." in before
        terminal.say("/scale attention=0.5")
        assert "scale 1, attention=0.5: " in terminal.wait(PROMPT)
        terminal.say("/scale 0")
        assert re.search(r"scale 0: \d+ tensors, .* ms", terminal.wait(PROMPT))
        terminal.say("/reset")
        assert "1 turn forgotten" in terminal.wait(PROMPT)
        terminal.say("바다는 무슨 색이야?")
        # The target goes on for the user, in lines that look like a prompt; ours comes after an empty line.
        assert "파란색이에요." not in terminal.wait(f"\n{PROMPT}")
        for line, answer in (
            ("/scale attenion=1", "'attenion' is no role; roles are"),
            ("/scale much", "'much' is no number"),
            ("", "an empty message"),
            ("/what", "no such command"),
            ("/system 친절하게", "system prompt set"),
            ("/system", "system prompt: 친절하게"),
            ("단어 " * 600, "the context of 512 tokens is full"),
            ("/help", "/save FILE.jsonl|FILE.md"),
            (f"/save {tmp_path}/talk.md", "talk.md: 1 reply"),
        ):
            terminal.say(line)
            assert answer in terminal.wait(PROMPT).replace("\n", "").replace("\r", ""), line
        terminal.say("/quit")
        assert terminal.end() == 0
    assert (tmp_path / "talk.md").read_text("utf-8").startswith("# demo:target + live\n")
    kept = (tmp_path / "chatvector" / "chat_history").read_text("utf-8")
    assert "바다는 무슨 색이야?" in kept


def test_ctrl_c_stops_the_reply_and_the_second_at_the_prompt_the_program(slow: str, tmp_path: Path) -> None:
    with started("chat", slow, *GREEDY, "--max-new-tokens", "4000", home=tmp_path) as terminal:
        terminal.wait(PROMPT)
        terminal.say("가")
        terminal.wait("각 갂 갃")
        terminal.type(CTRL_C)
        rest = terminal.wait(PROMPT)
        assert "stopped" in rest
        assert WORDS[-1] not in rest
        terminal.say("낳")  # and it goes on talking
        terminal.wait("내 낵")
        terminal.type(CTRL_C)
        terminal.wait(PROMPT)
        terminal.type(CTRL_C)
        assert "Ctrl-C again ends" in terminal.wait(PROMPT)
        terminal.say("/scale")  # something between the two: the next is a first one again
        terminal.wait(PROMPT)
        terminal.type(CTRL_C)
        terminal.wait(PROMPT)
        terminal.type(CTRL_C)
        assert terminal.end() == 130


def test_two_models_side_by_side_or_one_after_the_other(slow: str, tmp_path: Path) -> None:
    with started(
        "chat", "demo:chat", slow, *GREEDY, "--max-new-tokens", "60", "--no-history", home=tmp_path
    ) as terminal:
        terminal.wait(PROMPT)
        terminal.say("바다는 무슨 색이야? 가")
        wide = terminal.wait(PROMPT)
        rows = [line.rsplit("\r", 1)[-1] for line in wide.splitlines() if "│" in line]
        assert rows[0].startswith("demo:chat")
        assert all(width_of(row) < 80 for row in rows)
        assert len({width_of(row.partition("│")[0]) for row in rows}) == 1
        assert "각 갂 갃" in "".join(rows)
        assert "cut at 60 tokens" in wide
        terminal.resize(50)
        terminal.say("바다는 무슨 색이야? 낳")
        narrow = terminal.wait(PROMPT)
        assert "│" not in narrow
        assert re.search(r"\[demo:chat\]\n.+\n[\s\S]*\[.*slow\]\n내 낵", narrow)
        terminal.resize(100)
        terminal.say("가")
        terminal.wait("갛 개")
        terminal.resize(70)  # in the middle of a reply
        after = terminal.wait(PROMPT)
        rows = [line.rsplit("\r", 1)[-1] for line in after.splitlines() if "│" in line]
        assert width_of(rows[-1]) < 70
        terminal.type(CTRL_D)
        assert terminal.end() == 0
    assert not (tmp_path / "chatvector").exists()


def test_ctrl_c_stops_both(slow: str, tmp_path: Path) -> None:
    with started("chat", slow, slow, *GREEDY, "--max-new-tokens", "4000", home=tmp_path) as terminal:
        terminal.wait(PROMPT)
        terminal.say("가")
        terminal.wait("각 갂 갃")
        terminal.type(CTRL_C)
        assert terminal.wait(PROMPT).count("stopped") == 2
        terminal.type(CTRL_D)
        assert terminal.end() == 0


def test_thinking_is_dim_and_a_dumb_terminal_gets_no_escapes(tmp_path: Path) -> None:
    model = counting_model(tmp_path / "m", ["<pad>", "<s>", "</s>", "<think>", *"ab", "</think>", "c"])
    set_template(model, "{{ messages[0]['content'] }} <think>\n")
    with started("chat", str(model), *GREEDY, "--max-new-tokens", "9", home=tmp_path) as terminal:
        terminal.wait(PROMPT)
        terminal.say("a")
        terminal.wait(PROMPT)
        assert re.search(r"\x1b\[2ma b\s*\x1b\[0m", terminal.raw.replace("\r\n", "\n"))
        terminal.type(CTRL_D)
        assert terminal.end() == 0
    arguments = ("chat", str(model), *GREEDY, "--max-new-tokens", "9", "--thinking", "folded")
    with started(*arguments, home=tmp_path, term="dumb") as terminal:
        terminal.wait(PROMPT)
        terminal.say("a")
        assert "thinking … 3 characters\nc" in terminal.wait(PROMPT)
        terminal.say("/quit")
        assert terminal.end() == 0
        assert "\x1b" not in terminal.raw


# ---- from a pipe ----------------------------------------------------------------------------------------------------


def test_a_line_of_input_is_a_reply_and_twice_the_same(tmp_path: Path) -> None:
    lines = "바다는 무슨 색이야?\n\nWhat colour is snow?\n/reset\n바다는 무슨 색이야?\n"
    command = [sys.executable, "-m", "chatvector", "chat", "demo:chat", "--seed", "5"]
    first = subprocess.run(command, input=lines.encode(), capture_output=True, timeout=240, cwd=tmp_path)
    said = first.stderr.decode()
    assert first.returncode == 0, said
    assert said.startswith("demo:chat takes 4.8 MiB")
    assert "line 2 is empty" in said
    replies = first.stdout.decode().splitlines()
    assert len(replies) == 3
    assert replies[0] == replies[2]
    assert piped(*command[4:], lines=lines).stdout == first.stdout.decode()


def test_json_lines_of_a_merge() -> None:
    lines = "바다는 무슨 색이야?\n/quit\nx\n"
    done = piped(*MERGE, "--json", *GREEDY, "--system", "친절하게", lines=lines)
    (line,) = map(json.loads, done.stdout.splitlines())
    assert (line["model"], line["scale"], line["message"]) == ("demo:target + live", "1", "바다는 무슨 색이야?")
    assert line["stopped"]
    assert line["thinking"] is None


def test_a_vector_on_disk(tmp_path: Path) -> None:
    vector = str(tmp_path / "vector")
    extract("demo:base", "demo:chat", vector)
    lines = "바다는 무슨 색이야?\n/reset\n/scale 0\n바다는 무슨 색이야?\n"
    stored = piped("demo:target", "--vector", vector, *GREEDY, lines=lines)
    assert stored.stdout.startswith("파란색이에요.\n")
    assert stored.stdout == piped(*MERGE, *GREEDY, lines=lines).stdout


def test_two_models_in_a_pipe() -> None:
    template = ("--chat-format-from", "demo:chat")
    done = piped("demo:chat", "demo:target", *template, *GREEDY, lines="바다는 무슨 색이야?")
    assert [line.partition(": ")[0] for line in done.stdout.splitlines()[:2]] == ["demo:chat", "demo:target"]


@pytest.mark.parametrize("template", [(), ("--chat-format-from", "demo:chat")])
def test_the_target_beside_its_merge_is_asked_in_the_merges_format(template: tuple[str, ...]) -> None:
    question = "바다는 무슨 색이야?"
    done = piped("demo:target", *MERGE, *template, *GREEDY, "--json", lines=question)
    assert done.exception is None
    merge, target = map(json.loads, done.stdout.splitlines())
    assert (merge["model"], target["model"]) == ("demo:target + live", "demo:target")
    assert (merge["scale"], target["scale"]) == ("1", None)
    alone = piped("demo:target", "--chat-format-from", "demo:chat", *GREEDY, "--json", lines=question)
    assert target["reply"] == json.loads(alone.stdout)["reply"] != merge["reply"]


@pytest.mark.parametrize(
    ("arguments", "lines", "code", "message"),
    [
        (("demo:chat",), "/scale 1\n", 2, "line 1: /scale moves a chat vector"),
        (("demo:chat",), "안녕\n/scael 1\n", 2, "line 2: /scael: no such command"),
        (("demo:chat",), "word " * 600, 3, "the context of 512 tokens is full"),
        (("demo:chat",), b"ok\n\xff\xfe\n", 3, "line 2 of the input is not UTF-8"),
        (("demo:target",), "x", 3, "demo:target has no chat template and none is made up"),
        (("demo:target", "demo:chat"), "x", 3, "such as that of demo:chat"),
        (("demo:chat", "demo:base", "demo:target"), "", 2, "3 models: name one, or two"),
        (("demo:target", "--base", "demo:base"), "", 2, "--chat is missing"),
        ((*MERGE, "--chat-format-from", "demo:chat"), "", 2, "a merge takes --chat-format FILE"),
        (("demo:chat", "--template-argument", "x"), "", 2, "write KEY=JSON"),
        (("demo:chat", "--template-argument", "messages=1"), "", 2, "messages is set by the conversation itself"),
        (("demo:chat", "--template-argument", "self=1"), "", 2, "self is set by the conversation itself"),
        (("demo:chat", "--template-argument", "add_generation_prompt=false"), "", 2, "add_generation_prompt is set"),
        (MERGE, "/scale 1e39\n", 3, "NAME=0"),
        (MERGE, "/scale 0,5\n", 2, "decimals have a point"),
        (("./nowhere",), "", 3, "there is no such directory"),
    ],
)
def test_what_goes_wrong(arguments: tuple[str, ...], lines: str | bytes, code: int, message: str) -> None:
    done = piped(*arguments, lines=lines)
    assert isinstance(done.exception, ChatVectorError)
    assert done.exception.exit_code == code
    assert message in str(done.exception)


def test_too_little_memory_is_said_before_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatvector.runtime.memory.available_bytes", lambda: 1 << 20)
    done = piped("demo:chat", lines="x")
    assert isinstance(done.exception, NotEnoughSpace)
    assert str(done.exception).startswith("demo:chat takes 4.8 MiB; 1.0 MiB of memory are free")


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatvector.runtime.loading.find_spec", lambda _name: None)
    done = piped("demo:chat", lines="x")
    assert isinstance(done.exception, MissingExtra)
    assert done.exception.exit_code == 7
