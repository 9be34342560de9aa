# SPDX-License-Identifier: Apache-2.0
"""`chatvector eval` and `compare` as whole commands: on recordings, and once on the embedded models."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from typer.testing import CliRunner

from chatvector.cli.main import app
from chatvector.errors import (
    ChatVectorError,
    DamagedFile,
    InputError,
    MissingInput,
    OutputRefused,
    UsageError,
    VerificationFailed,
)
from chatvector.evaluate.results import read_results
from chatvector.evaluate.tasks.safety import SafetyTask
from chatvector.evaluate.tasks.toxicity import ToxicityTask

ROOT = Path(__file__).parents[2]
PROVERBS = ROOT / "examples" / "own_task" / "proverbs.py"
RECORDS = [json.loads(line) for line in PROVERBS.with_name("proverbs.ko.jsonl").read_text("utf-8").splitlines()]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHATVECTOR_CACHE", str(tmp_path / "cache.jsonl"))
    return tmp_path


def recording(path: Path, right: int) -> Path:
    """Replies of a model that completes the first `right` proverbs."""
    with path.open("w", encoding="utf-8") as file:
        for number, record in enumerate(RECORDS):
            prompt = f"다음 속담을 끝까지 써 주세요: {record['start']} …"
            reply = f"{record['start']} {record['rest']}입니다." if number < right else "I do not know that one."
            file.write(json.dumps({"prompt": prompt, "reply": {"text": reply, "stopped": True}}) + "\n")
    return path


def run(*words: object, code: int = 0) -> str:
    """Standard output of a command. Fails where the exit code is another."""
    result = CliRunner().invoke(app, [str(word) for word in words], prog_name="chatvector")
    error = result.exception
    got = error.exit_code if isinstance(error, ChatVectorError) else result.exit_code
    assert got == code, f"{words}: {got}\n{result.output}\n{error!r}"
    return result.stdout


def failure(*words: object) -> ChatVectorError:
    error = CliRunner().invoke(app, [str(word) for word in words], prog_name="chatvector").exception
    assert isinstance(error, ChatVectorError), repr(error)
    return error


def proverbs(*words: object, language: str = "ko") -> tuple[object, ...]:
    return ("eval", *words, "--language", language, "--task", PROVERBS)


def test_two_recordings(folder: Path) -> None:
    weak, strong = recording(folder / "weak.jsonl", 2), recording(folder / "strong.jsonl", 8)
    out = run(*proverbs(weak, f"strong={strong}", "--out", "results"))
    assert re.search(r"proverbs \(ko\) +right replies, % +25 \(7\.1–59\) +100 \(68–100\) +8\n", out)
    assert re.search(r"strong +proverbs/right \(ko\), % +\+75 \(\+\d+ to \+\d+\)", out)
    assert "language (ko)" in out
    results = read_results(folder / "results")
    assert [model.name for model in results.models] == ["weak.jsonl", "strong"]
    assert results.reference == "weak.jsonl"
    (source,) = results.tasks[0].sources
    assert (source.name, source.licence, len(source.sha256)) == ("proverbs.ko.jsonl", "Apache-2.0", 64)
    lines = (folder / "results" / "items" / "proverbs.ko.jsonl").read_text("utf-8").splitlines()
    assert len(lines) == 8
    answers = json.loads(lines[7])["answers"]
    assert [answer["marks"] for answer in answers] == [{"right": False}, {"right": True}]
    assert answers[0]["riders"]["language"][0]["main"] == "en"


def test_json_is_the_results_file(folder: Path) -> None:
    printed = json.loads(run(*proverbs(recording(folder / "a.jsonl", 3), "--json", "--out", "results")))
    assert printed == json.loads((folder / "results" / "results.json").read_text("utf-8"))


def test_equal_runs_give_equal_bytes(folder: Path) -> None:
    """But for `run`; the second run takes all replies from the cache."""
    weak, strong = recording(folder / "weak.jsonl", 2), recording(folder / "strong.jsonl", 5)
    for out in ("one", "two"):
        run(*proverbs(weak, strong, "--out", out))
    one, two = ({p.name: p.read_bytes() for p in (folder / out).rglob("*.json*")} for out in ("one", "two"))
    parts = [re.split(rb'^"run": .*$', found.pop("results.json"), flags=re.MULTILINE) for found in (one, two)]
    assert parts[0] == parts[1]
    assert one == two
    assert json.loads((folder / "two" / "results.json").read_text("utf-8"))["run"]["replies"]["generated"] == 0


def test_require(folder: Path) -> None:
    strong = recording(folder / "strong.jsonl", 6)
    assert "met: own>=0.7: strong.jsonl, proverbs (ko) right 0.75, n 8\n" in run(
        *proverbs(strong, "--require", "own>=0.7")
    )
    words = [str(word) for word in proverbs(strong, "--require", "proverbs/right<=0.9")]
    said = CliRunner().invoke(app, words, prog_name="chatvector").stderr
    assert said.index("was >= meant?") < said.index("asking strong.jsonl"), "before anything is generated"
    run(*proverbs(strong, "--require", "own>=0.7", "--out", "results", "--strict-gates"), code=4)
    (gate,) = read_results(folder / "results").gates
    assert not gate.passed
    error = failure(*proverbs(strong, "--require", "proverbs/right>=0.9"))
    assert isinstance(error, VerificationFailed)
    assert str(error) == "required figures missed (1): proverbs/right>=0.9 (strong.jsonl, proverbs: 0.75)"


def test_compare(folder: Path) -> None:
    weak, strong = recording(folder / "weak.jsonl", 2), recording(folder / "strong.jsonl", 8)
    run(*proverbs(weak, "--out", "weak"))
    run(*proverbs(strong, "--out", "strong"))
    assert "+75 (" in run("compare", "weak", "strong", "--max-drop", "all=2%")
    document = json.loads(run("compare", "strong", "weak", "--max-drop", "own=0.5", "--json", code=4))
    assert document["drops"][0] == {
        "text": "own=0.5",
        "task": "proverbs",
        "language": "ko",
        "metric": "right",
        "drop": 0.75,
        "most": 0.5,
        "passed": False,
        "pairs": 8,
        "why": None,
    }
    text = run("compare", "strong", "weak", "--max-drop", "own=0.5", code=4)
    assert "TOO FAR: own=0.5: proverbs (ko) right 0.75, pairs 8\n" in text
    assert document["second"] == {"results": "weak", "model": "weak.jsonl"}
    same = run("compare", "weak", "weak")
    assert same.startswith("minus weak "), "not the model's name, which both have"
    assert "warning: both sides are weak.jsonl of weak: nothing can differ" in same


def test_a_directory_with_results_is_not_overwritten_unasked(folder: Path) -> None:
    one = recording(folder / "one.jsonl", 1)
    run(*proverbs(one, "--out", "results"))
    assert isinstance(failure(*proverbs(one, "--out", "results")), OutputRefused)
    run(*proverbs(recording(one, 8), "--out", "results", "--overwrite"))
    error = failure(*proverbs("nothing.jsonl", "--out", "one.jsonl/results"))
    assert "one.jsonl is a file; --out takes a new directory" in str(error), "before any model is looked for"
    assert read_results(folder / "results").figures[0].value == 1
    (folder / "other").mkdir()
    (folder / "other" / "thesis.txt").write_text("years of work", "utf-8")
    error = failure(*proverbs(one, "--out", "other", "--overwrite"))
    assert "holds other things than results" in str(error)
    assert not list(folder.glob(".*.partial"))


@pytest.mark.parametrize(
    ("words", "kind", "text"),
    [
        (("--language", "xx", "--suite", "quick"), UsageError, "unknown language 'xx': choose from en, ko, zh-Hant"),
        (("--language", "ko", "--axis", "speed"), UsageError, "unknown axis 'speed': choose from instructions, mem"),
        (("--language", "ko", "--task", "nothing"), UsageError, "unknown task 'nothing': choose from closed-topic"),
        (("--language", "ko", "--suite", "huge"), UsageError, "unknown suite 'huge': choose from quick"),
        (("--suite", "quick"), UsageError, "--language: which?"),
        (("--language", "ko", "--task", "own.py"), MissingInput, "--task own.py: there is no such file"),
        (("--language", "en", "--task", PROVERBS), UsageError, "proverbs has no items in 'en'; it has ko"),
        (("--language", "ko", "--task", PROVERBS, "--require", "speed>=1"), UsageError, "--require speed: no such"),
        (("--language", "ko", "--task", PROVERBS, "--require", "own"), UsageError, "write NAME>=VALUE"),
        (("--language", "ko", "--task", PROVERBS, "--reference", "b"), UsageError, "--reference b: no such model"),
        (("--language", "ko", "--task", PROVERBS, "--template-argument", "x"), UsageError, "write KEY=JSON"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_asked(
    folder: Path, words: tuple[object, ...], kind: type[Exception], text: str
) -> None:
    error = failure("eval", recording(folder / "a.jsonl", 1), *words)
    assert isinstance(error, kind)
    assert text in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("x = 1", "defines neither TASK nor TASKS"),
        ("TASK = 7", "7 is no task, it lacks name, axis, version, languages, metrics"),
        ("import nothing_there", "ModuleNotFoundError: No module named 'nothing_there'"),
        ("TASK = (", "SyntaxError"),
        ("raise SystemExit(0)", "SystemExit: 0"),
    ],
)
def test_bad_files_of_own_tasks(folder: Path, code: str, text: str) -> None:
    (folder / "own.py").write_text(code, "utf-8")
    error = failure("eval", recording(folder / "a.jsonl", 1), "--language", "ko", "--task", "own.py")
    assert isinstance(error, DamagedFile)
    assert text in str(error)


def test_a_function_of_an_own_task_that_fails_is_one_line(folder: Path) -> None:
    code = f"from dataclasses import replace\nimport runpy\nT = runpy.run_path({str(PROVERBS)!r})['TASK']\n"
    (folder / "own.py").write_text(code + "TASK = replace(T, right=lambda reply, record: 1 / 0)\n", "utf-8")
    error = failure("eval", recording(folder / "a.jsonl", 1), "--language", "ko", "--task", "own.py")
    assert isinstance(error, InputError)
    assert re.fullmatch(r"task proverbs, item \S+: its function `right` fails: ZeroDivisionError: .*", str(error))


@pytest.mark.parametrize(
    ("content", "text"), [("", "no record"), ('{"id": "a", "begin": "소"}\n', "start")], ids=["empty", "columns"]
)
def test_bad_data_files_of_own_tasks(folder: Path, content: str, text: str) -> None:
    (folder / "own.py").write_text(PROVERBS.read_text("utf-8"), "utf-8")
    (folder / "proverbs.ko.jsonl").write_text(content, "utf-8")
    error = failure("eval", recording(folder / "a.jsonl", 1), "--language", "ko", "--task", "own.py")
    assert isinstance(error, InputError)
    assert text in str(error)
    assert "proverbs.ko.jsonl" in str(error)


def test_a_prompt_that_was_not_recorded_is_an_error(folder: Path) -> None:
    (folder / "a.jsonl").write_text('{"prompt": "?", "reply": "!"}\n', "utf-8")
    error = failure(*proverbs("a.jsonl"))
    assert isinstance(error, MissingInput)
    assert "8 of 8 prompts are not in the recording" in str(error)


def test_a_model_without_template_is_offered_the_others_of_the_command() -> None:
    error = failure("eval", "demo:target", "demo:chat", "--suite", "demo")
    assert isinstance(error, MissingInput)
    assert "demo:target has no chat template" in str(error)
    assert "such as that of demo:chat" in str(error)


def test_a_damaged_cache_is_an_error(folder: Path) -> None:
    (folder / "cache.jsonl").write_text("something else\n", "utf-8")
    error = failure(*proverbs(recording(folder / "a.jsonl", 1)))
    assert isinstance(error, DamagedFile)
    run(*proverbs(folder / "a.jsonl", "--no-cache"))


def test_the_embedded_models() -> None:
    words = ("eval", "target=demo:target", "chat=demo:chat", "--suite", "demo", "--limit", 4)
    printed = json.loads(run(*words, "--chat-format-from", "demo:chat", "--json"))
    assert [model["prompt_form"] for model in printed["models"]] == ["template of demo:chat", "own template"]
    figures = {
        (row["task"], row["metric"], row["model"]): row["value"] for row in printed["figures"] if row["facet"] is None
    }
    assert figures["demo-fact", "correct", "chat"] > figures["demo-fact", "correct", "target"]
    assert figures["demo-fact", "rude", "chat"] < figures["demo-fact", "rude", "target"]
    assert all(row["failed"] == 0 for row in printed["figures"])
    assert any("different prompt forms" in line for line in printed["warnings"])


def test_likelihoods_and_a_context_that_is_too_short() -> None:
    """The family's context is 256 tokens: a task that asks for replies of 512 fails, and is no miss."""
    words = ("eval", "demo:chat", "--language", "ko", "--limit", 7, "--json")
    printed = json.loads(run(*words, "--task", "reply-language", "--task", "closed-topic-likelihood"))
    assert printed["failures"] == [
        {"task": "reply-language", "language": "ko", "model": "demo:chat", "why": "context", "count": 7}
    ]
    (figure,) = [
        row
        for row in printed["figures"]
        if row["metric"] == "on_target" and row["task"] == "reply-language" and row["facet"] is None
    ]
    assert (figure["value"], figure["n"], figure["failed"]) == (None, 0, 7)
    (accuracy,) = [row for row in printed["figures"] if row["metric"] == "accuracy" and row["facet"] is None]
    assert accuracy["n"] == 1


def test_progress_is_told_where_there_is_no_terminal(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "chatvector", *map(str, proverbs(recording(folder / "a.jsonl", 1)))],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "asking a.jsonl: 8 replies" in done.stderr


def english(path: Path, replies: Mapping[str, str]) -> Path:
    with path.open("w", encoding="utf-8") as file:
        for prompt, text in replies.items():
            file.write(json.dumps({"prompt": prompt, "reply": {"text": text, "stopped": True}}) + "\n")
    return path


def test_safety_with_a_guard_that_was_recorded(folder: Path) -> None:
    """Model and guard are recordings; the guard is asked once, also when the marks are computed again."""
    items = SafetyTask().items("en", limit=2, seed=0)
    refusal, answer = "I'm sorry, but I can't help with that.", "Of course: here is a plot."
    said = dict(zip((item.turns[0].user for item in items), (refusal, answer), strict=True))
    model = english(folder / "model.jsonl", said)
    rows = [
        {
            "prompt": [{"role": "user", "content": prompt}, {"role": "assistant", "content": text}],
            "reply": {"text": f"Safety: Safe\nCategories: None\nRefusal: {verdict}", "stopped": True},
        }
        for (prompt, text), verdict in zip(said.items(), ("Yes", "No"), strict=True)
    ]
    guard = folder / "guard.jsonl"
    guard.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    words = ("eval", model, "--language", "en", "--task", "safety", "--limit", 2, "--guard", guard, "--json")
    results = json.loads(run(*words, "--guard-format", "qwen3guard"))
    figures = {row["metric"]: row["value"] for row in results["figures"] if row["facet"] is None}
    assert {name: figures[name] for name in ("unsafe", "refusal", "refusal_guard", "over_refusal", "agree")} == {
        "unsafe": 0.0,
        "refusal": 1.0,
        "refusal_guard": 1.0,
        "over_refusal": 0.0,
        "agree": 1.0,
    }
    assert results["services"]["guard"]["format"] == "qwen3guard"
    again = json.loads(run(*words, "--guard-format", "qwen3guard"))
    assert again["figures"] == results["figures"]
    assert "which guard is it" in str(failure(*words))
    assert [line for line in results["warnings"] if "guard" in line] == [
        f"guard {results['services']['guard']['model']}: unvalidated (--guard-labels validates one)"
    ]
    guard.write_text(guard.read_text(encoding="utf-8").replace("Safety: Safe", "Lovely", 1), encoding="utf-8")
    mumbled = json.loads(run(*words, "--guard-format", "qwen3guard"))
    line = f"safety (en), {mumbled['models'][0]['name']}: the guard's verdicts that could not be read: 1 of 2"
    assert line in mumbled["warnings"]


def test_toxicity_with_the_bundled_scorer(folder: Path) -> None:
    items = ToxicityTask().items("en", limit=2, seed=0)
    texts = ("stupid idiot, shut up", "are fresh today")
    path = english(folder / "model.jsonl", {str(item.text): text for item, text in zip(items, texts, strict=True)})
    words = ("eval", path, "--language", "en", "--task", "toxicity-continue", "--limit", 2, "--samples", 1)
    results = json.loads(run(*words, "--toxicity", "linear", "--json"))
    figures = {row["metric"]: row["value"] for row in results["figures"] if row["facet"] is None}
    assert figures["any_toxic"] == 0.5
    assert results["services"]["toxicity"]["card"]["measured"]["spearman toxicity"] > 0.6
    assert "--toxicity" in str(failure(*words))
    korean = ("eval", path, "--language", "ko", "--task", "toxicity-continue", "--toxicity", "linear")
    assert "scores en and was asked for ko" in str(failure(*korean))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--guard-format", "judge"), "of which guard"),
        (("--judge-itself",), "which judge"),
        (("--toxicity-label", "LABEL_1=toxicity"), "give --toxicity"),
        (("--toxicity", "linear", "--toxicity-label", "LABEL_1"), "write NAME=VALUE"),
        (("--guard", "somebody/model"), "which guard is it? Give its format: qwen3guard, llama-guard, judge"),
    ],
)
def test_scorers_and_guards_that_mean_nothing(folder: Path, words: tuple[str, ...], message: str) -> None:
    path = english(folder / "model.jsonl", {"a": "b"})
    error = failure("eval", path, "--language", "en", "--task", "safety", *words)
    assert isinstance(error, UsageError)
    assert message in str(error)
