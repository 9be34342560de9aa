# SPDX-License-Identifier: Apache-2.0
"""`chatvector chat` on a pseudo-terminal, key by key: history, editing, files, and how it ends."""

from __future__ import annotations

import json
import signal
import stat
from pathlib import Path

from chatvector.cli.columns import width_of
from chatvector.runtime.backend import Prompt, Sampling
from chatvector.runtime.replay_backend import ReplayBackend
from counting import counting_model
from terminal import CTRL_C, CTRL_D, Terminal, started

GREEDY = ("--temperature", "0")
PROMPT = "\n> "
UP, BACKSPACE = "\x1b[A", "\x7f"
QUESTION = "바다는 무슨 색이야?"
ANSWER = "파란색이에요."


def recall(terminal: Terminal) -> str:
    """The line before, sent again; what came until the next prompt."""
    terminal.type(UP)
    terminal.wait(QUESTION)
    terminal.type("\r")
    return terminal.wait(PROMPT)


def test_lines_are_recalled_edited_and_kept(tmp_path: Path) -> None:
    with started("chat", "demo:chat", *GREEDY, home=tmp_path) as terminal:
        terminal.wait(PROMPT)
        # Two columns a syllable are taken back, and what is sent is what is seen.
        terminal.type(QUESTION.removesuffix("야?") + "에" + BACKSPACE + "야?\r")
        assert ANSWER in terminal.wait(PROMPT)
        terminal.say("/reset")
        terminal.wait(PROMPT)
        terminal.type(UP)
        terminal.wait("/reset")
        terminal.type(UP)
        terminal.wait(QUESTION)
        terminal.type("\r")
        assert ANSWER in terminal.wait(PROMPT)
        terminal.type("never sent")
        terminal.wait("never sent")
        terminal.type(CTRL_C)
        assert "Ctrl-C again ends" in terminal.wait(PROMPT)
        terminal.say("/reset")
        assert "2 turns" not in terminal.wait(PROMPT)
        terminal.type("/sys" + CTRL_D)  # on a line that is begun it ends nothing
        terminal.say("tem")
        assert "no system prompt of yours" in terminal.wait(PROMPT)
        terminal.say(QUESTION)
        terminal.wait(PROMPT)
        terminal.type(CTRL_D)
        assert terminal.end() == 0
    file = tmp_path / "chatvector" / "chat_history"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "never sent" not in file.read_text("utf-8")
    with started("chat", "demo:chat", *GREEDY, home=tmp_path) as terminal:
        terminal.wait(PROMPT)
        assert ANSWER in recall(terminal)
        terminal.say("/quit")
        assert terminal.end() == 0


def test_a_saved_conversation_is_a_recording(tmp_path: Path) -> None:
    file = tmp_path / "talk.jsonl"
    with started("chat", "demo:chat", *GREEDY, "--no-history", home=tmp_path) as terminal:
        terminal.wait(PROMPT)
        for line, answer in (
            (f"/save {file}", "nothing was said yet"),
            (QUESTION, ANSWER),
            (f"/save {file}", "talk.jsonl: 1 reply"),
            (f"/save {file}", "is there already; nothing is overwritten"),
            ("/save talk.txt", "a name that ends in .jsonl"),
            ("/save", "which file?"),
            ("/save nowhere/talk.md", "cannot be written: No such file"),
        ):
            terminal.say(line)
            assert answer in terminal.wait(PROMPT).replace("\n", ""), line
        terminal.say("/quit")
        assert terminal.end() == 0
    (line,) = map(json.loads, file.read_text("utf-8").splitlines())
    assert (line["model"], line["sampling"]["temperature"]) == ("demo:chat", 0.0)
    (reply,) = ReplayBackend.load(file).generate([Prompt(messages=(("user", QUESTION),))], Sampling())
    assert reply.text == ANSWER


def test_chinese_and_japanese_keep_the_column(tmp_path: Path) -> None:
    """Two columns a character, none for a mark, one for half-width kana."""
    chinese, japanese = "始天空是藍色的，花紅。雪白！", "始空は青いｶﾞ海もか\u3099ーです。"
    words = ["<pad>", "<s>", "</s>", "<turn>"]
    models = [
        str(counting_model(tmp_path / name, [*words, *text])) for name, text in (("zh", chinese), ("ja", japanese))
    ]
    with started("chat", *models, *GREEDY, "--no-history", columns=64, home=tmp_path) as terminal:
        terminal.wait(PROMPT)
        terminal.say("始")
        shown = terminal.wait(PROMPT)
        rows = [line.rsplit("\r", 1)[-1] for line in shown.splitlines() if "│" in line]
        assert len({width_of(row.partition("│")[0]) for row in rows}) == 1
        assert all(width_of(row) < 64 for row in rows)
        left, right = ("".join(row.split("│")[side] for row in rows).replace(" ", "") for side in (0, 1))
        assert left.endswith(chinese[-1])
        assert right.endswith(japanese[-1])
        terminal.type(CTRL_D)
        assert terminal.end() == 0


def test_a_model_without_a_template_is_refused_before_a_prompt(tmp_path: Path) -> None:
    with started("chat", "demo:target", home=tmp_path) as terminal:
        assert terminal.end() == 3
        assert "demo:target has no chat template and none is made up" in terminal.text
        assert "> " not in terminal.text


def test_an_end_from_outside_says_what_is_gone(tmp_path: Path) -> None:
    with started("chat", "demo:chat", "--no-history", home=tmp_path) as terminal:
        terminal.wait(PROMPT)
        terminal.signal(signal.SIGTERM)
        assert terminal.end() == 143
        assert "interrupted; the conversation ends here, the same command begins another" in terminal.text
