# SPDX-License-Identifier: Apache-2.0
"""Suites that bring tasks of lm-evaluation-harness along: asked where they can be had, listed with the reason where
not, refused where they were named."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

pytest.importorskip("lm_eval")

from scripted_backend import ScriptedBackend

from chatvector.cli.main import app
from chatvector.errors import HubError, MissingExtra
from chatvector.evaluate.harness import library
from chatvector.evaluate.harness.brought import Brought, at_hand
from chatvector.evaluate.registry import Registry, Suite
from chatvector.evaluate.request import Job, Model, Request
from chatvector.evaluate.results import read_results
from chatvector.evaluate.run import evaluate
from chatvector.runtime.backend import Backend, Likelihood

pytestmark = pytest.mark.filterwarnings("default")
"""The harness and its libraries warn of their own."""

TASK = """
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}} 답:"
doc_to_choice: ["예", "아니요"]
doc_to_target: "{{{{label}}}}"
metric_list:
  - {{metric: acc, aggregation: mean, higher_is_better: true}}
metadata: {{version: 1.0}}
"""


class Says(ScriptedBackend):
    """Likes the first choice of every question."""

    def loglikelihood(self, pairs: list[tuple[str, str]]) -> list[Likelihood]:
        return [Likelihood(-1.0 if "예" in continuation else -2.0, 1, greedy=True) for _, continuation in pairs]


@contextmanager
def opened() -> Iterator[Backend]:
    yield Says(lambda _: "")


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from datasets import config

    monkeypatch.setattr(config, "HF_DATASETS_CACHE", str(tmp_path / "datasets"))
    monkeypatch.setattr(config, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def written(folder: Path, name: str) -> str:
    """A task of ten questions, seven of them to be answered by the first choice."""
    data = folder / f"{name}.jsonl"
    rows = [{"question": f"질문 {number}", "label": int(number >= 7)} for number in range(10)]
    data.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    path = folder / f"{name}.yaml"
    path.write_text(TASK.format(name=name, data=data), "utf-8")
    return str(path)


def jobs(*paths: str) -> list[Job]:
    suite = Suite("of the country", {f"lm-eval:{path}": 8 for path in paths}, ("ko",))
    return Registry(suites={"country": suite}).choose(["ko"], suite="country")


def test_a_suites_tasks_of_the_harness_are_asked_where_their_data_is(tmp_path: Path) -> None:
    heard: list[str] = []
    there, left_out = at_hand(jobs(written(tmp_path, "one"), written(tmp_path, "two")), heard.append)
    assert left_out == []
    assert heard == ["looking for the data of lm-eval-one", "looking for the data of lm-eval-two"]
    found = evaluate(Request((Model("m", opened),), tuple(there))).results
    rows = {(row.task, row.metric): (row.value, row.n) for row in found.figures if row.facet is None}
    assert rows == {("lm-eval-one", "acc"): (7 / 8, 8), ("lm-eval-two", "acc"): (7 / 8, 8)}
    assert [task.axis for task in found.tasks] == ["knowledge", "knowledge"]


def test_one_that_cannot_be_had_is_listed_with_the_reason(tmp_path: Path) -> None:
    gone = written(tmp_path, "gone")
    (tmp_path / "gone.jsonl").unlink()
    heard: list[str] = []
    there, left_out = at_hand(jobs(written(tmp_path, "here"), gone), heard.append)
    assert [job.task.name for job in there] == ["lm-eval-here"]
    assert heard[-1].startswith("not asked: lm-eval-gone (ko): ")
    found = evaluate(Request((Model("m", opened),), tuple(there), left_out=tuple(left_out))).results
    (row,) = found.absent
    assert (row.task, row.language, row.model, row.why) == ("lm-eval-gone", "ko", "m", left_out[0][1])
    assert "is not on this machine" in row.why


def test_without_the_extra_it_is_listed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise MissingExtra("harness", "A task of lm-evaluation-harness")

    monkeypatch.setattr(library, "need_harness", missing)
    job = Job(Brought("kobest"), "ko", asked_for=False)
    assert job.task.languages == ("ko",)
    there, left_out = at_hand([job], lambda _: None)
    assert there == []
    assert re.search(r"needs? .*chatvector\[harness\]", left_out[0][1])


def test_the_suite_korea_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATVECTOR_CACHE", str(tmp_path / "cache.jsonl"))
    out = tmp_path / "out"
    command = ["eval", "demo:chat", "--suite", "korea", "--limit", "1", "--max-new-tokens", "4", "--out", str(out)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, (result.output, result.exception)
    wanted = ["lm-eval-kobest", "lm-eval-haerae", "lm-eval-kmmlu"]
    absent = [row for row in read_results(out).absent if row.task.startswith("lm-eval")]
    assert [(row.task, row.language) for row in absent] == [(name, "ko") for name in wanted]
    report = (out / "report.md").read_text("utf-8")
    for name in wanted:
        assert f"not asked: {name} (ko): " in result.stderr, "said before any model is asked"
        assert re.search(rf"^not asked: .*{name} \(ko\): .*cannot be fetched", result.stdout, re.MULTILINE)
        assert re.search(rf"not asked: .*{name} \(ko\)", report.replace("\\", ""))
    named = CliRunner().invoke(app, ["eval", "demo:chat", "-l", "ko", "--task", "lm-eval:haerae", "--limit", "1"])
    assert isinstance(named.exception, HubError)
