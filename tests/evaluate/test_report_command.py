# SPDX-License-Identifier: Apache-2.0
"""`chatvector report`, and the report that `eval --out` writes, as whole commands."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from chatvector.cli.main import app
from chatvector.errors import ChatVectorError, DamagedFile, MissingExtra, MissingInput, OutputRefused, UsageError
from chatvector.evaluate.report import write_report
from pages_of_reports import read_page

ROOT = Path(__file__).parents[2]
PROVERBS = ROOT / "examples" / "own_task" / "proverbs.py"
RECORDS = [json.loads(line) for line in PROVERBS.with_name("proverbs.ko.jsonl").read_text("utf-8").splitlines()]
FILES = ("report.html", "report.md", "card.strong.md")


def recording(path: Path, right: int) -> Path:
    """Replies of a model that completes the first `right` proverbs."""
    with path.open("w", encoding="utf-8") as file:
        for number, record in enumerate(RECORDS):
            prompt = f"다음 속담을 끝까지 써 주세요: {record['start']} …"
            reply = f"{record['start']} {record['rest']}입니다." if number < right else "<b>I do not know.</b>"
            file.write(json.dumps({"prompt": prompt, "reply": {"text": reply, "stopped": True}}) + "\n")
    return path


def run(*words: object) -> str:
    """Standard output of a command that ends well."""
    result = CliRunner().invoke(app, [str(word) for word in words], prog_name="chatvector")
    assert result.exit_code == 0, f"{words}: {result.output}\n{result.exception!r}"
    return result.stdout


def failure(*words: object) -> ChatVectorError:
    error = CliRunner().invoke(app, [str(word) for word in words], prog_name="chatvector").exception
    assert isinstance(error, ChatVectorError), repr(error)
    return error


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that `eval --out` wrote."""
    folder = tmp_path_factory.mktemp("evaluated")
    weak, strong = recording(folder / "weak.jsonl", 2), recording(folder / "strong.jsonl", 8)
    command = ("eval", f"weak={weak}", f"strong={strong}", "-l", "ko", "--task", PROVERBS, "--no-cache")
    run(*command, "--require", "proverbs@strong>=0.9", "--out", folder / "results")
    return folder / "results"


def test_eval_writes_the_report_by_itself(evaluated: Path) -> None:
    page = read_page((evaluated / "report.html").read_text("utf-8"))
    assert page.faults == []
    assert "strong against weak, by primary figures (3): better" in page.text
    assert "proverbs@strong>=0.9 strong proverbs/right (ko) 100 % met" in page.text
    assert "<b>I do not know.</b>" in page.text
    assert {path.name for path in evaluated.iterdir()} == {*FILES, "results.json", "items"}


def test_rendering_again_gives_the_same_files_and_asks_nobody(evaluated: Path, tmp_path: Path) -> None:
    before = {name: (evaluated / name).read_bytes() for name in FILES}
    told = json.loads(run("report", evaluated, "-o", tmp_path / "deep" / "pages", "--json"))
    assert told == {
        "format": "chatvector-report/1",
        "folder": str(tmp_path / "deep" / "pages"),
        "files": list(FILES),
        "harmful_shown": False,
    }
    assert {path.name: path.read_bytes() for path in (tmp_path / "deep" / "pages").iterdir()} == before
    # Over itself, by the name of the file.
    assert run("report", evaluated / "results.json").split() == [str(evaluated / name) for name in FILES]
    assert {name: (evaluated / name).read_bytes() for name in FILES} == before


def test_a_benchmark_of_the_hub(evaluated: Path, tmp_path: Path) -> None:
    run("report", evaluated, "-o", tmp_path, "--benchmark", "proverbs=owner/proverbs:default")
    (entry,) = yaml.safe_load((tmp_path / "eval_results.strong.yaml").read_text("utf-8"))
    assert entry["dataset"] == {"id": "owner/proverbs", "task_id": "default"}
    assert entry["value"] == 100.0
    front = (tmp_path / "card.strong.md").read_text("utf-8").split("---\n")[1]
    assert yaml.safe_load(front)["model-index"][0]["name"] == "strong"
    assert isinstance(failure("report", evaluated, "--benchmark", "x"), UsageError)


def test_what_is_not_there(evaluated: Path, tmp_path: Path) -> None:
    assert isinstance(failure("report", tmp_path / "nothing"), MissingInput)
    (tmp_path / "file").write_text("not a directory")
    error = failure("report", evaluated, "-o", tmp_path / "file")
    assert isinstance(error, OutputRefused)
    assert str(error) == f"{tmp_path / 'file'}: is a file; --out takes a directory"
    below = failure("report", evaluated, "-o", tmp_path / "file" / "pages")
    assert str(below) == f"{tmp_path / 'file' / 'pages'}: {tmp_path / 'file'} is a file; --out takes a directory"
    broken = shutil.copytree(evaluated, tmp_path / "broken")
    items = broken / "items" / "proverbs.ko.jsonl"
    items.write_text(items.read_text("utf-8") + '{"half": \n', "utf-8")
    before = (broken / "report.html").read_bytes()
    error = failure("report", broken)
    assert isinstance(error, DamagedFile)
    assert "proverbs.ko.jsonl:9" in str(error)
    assert (broken / "report.html").read_bytes() == before
    text = (broken / "results.json").read_text("utf-8").replace("items/proverbs", "../items/proverbs")
    (broken / "results.json").write_text(text, "utf-8")
    assert "outside of the results" in str(failure("report", broken))
    (broken / "results.json").write_text(text.replace("../items/", "items/"), "utf-8")
    items.unlink()
    assert isinstance(failure("report", broken), MissingInput)


def test_charts_need_matplotlib(evaluated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match=r"pip install 'chatvector\[plot\]'"):
        write_report(evaluated, tmp_path / "pages")
    assert not (tmp_path / "pages").exists()
    # Said before anything is asked: no reply was kept.
    command = (
        "eval",
        f"a={evaluated.parent / 'weak.jsonl'}",
        "-l",
        "ko",
        "--task",
        PROVERBS,
        "--out",
        tmp_path / "out",
    )
    assert isinstance(failure(*command, "--cache", tmp_path / "cache.jsonl"), MissingExtra)
    assert not (tmp_path / "cache.jsonl").exists()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("reference", "nobody", "there is no model nobody in it"),
        ("tasks", [], r"there is no proverbs/right \(ko\) in it"),
        ("models", [], "models need names of their own, and are called nothing"),
    ],
)
def test_results_whose_rows_name_what_is_not_there(
    evaluated: Path, tmp_path: Path, key: str, value: object, text: str
) -> None:
    broken = shutil.copytree(evaluated, tmp_path / "broken")
    document = json.loads((broken / "results.json").read_text("utf-8"))
    (broken / "results.json").write_text(json.dumps({**document, key: value}), "utf-8")
    for command in (("report", broken), ("compare", f"{evaluated}:weak", f"{broken}:strong")):
        error = failure(*command)
        assert isinstance(error, DamagedFile)
        assert re.search(f"results.json: {text}$", str(error))


@pytest.mark.parametrize(
    ("path", "value", "text"),
    [
        (("item",), {}, "it lacks 'turns'"),
        (("answers",), 5, "'int' object is not iterable"),
        (("answers", 0, "marks"), [], r"marks is \[\]"),
        (("answers", 0, "replies"), [], "1 marks of language for 0 replies"),
        (("answers", 0, "replies", 0), {"text": "?"}, "it lacks 'special'"),
    ],
)
def test_a_line_of_items_that_lacks_something_is_named(
    evaluated: Path, tmp_path: Path, path: tuple[str | int, ...], value: object, text: str
) -> None:
    broken = shutil.copytree(evaluated, tmp_path / "broken")
    items = broken / "items" / "proverbs.ko.jsonl"
    first, second, *rest = items.read_text("utf-8").splitlines()
    record = json.loads(second)
    *way, last = path
    place = record
    for step in way:
        place = place[step]
    place[last] = value
    items.write_text("\n".join([first, json.dumps(record), *rest]), "utf-8")
    for command in (("report", broken), ("compare", f"{evaluated}:weak", f"{broken}:strong")):
        assert re.search(f"proverbs.ko.jsonl:2: not a line of an items file: {text}$", str(failure(*command)))


def test_items_that_are_no_text(evaluated: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(evaluated, tmp_path / "broken")
    (broken / "items" / "proverbs.ko.jsonl").write_bytes(b"\xff\xfe")
    assert "proverbs.ko.jsonl: no items file: 'utf-8' codec" in str(failure("report", broken))
