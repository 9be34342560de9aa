# SPDX-License-Identifier: Apache-2.0
"""An evaluation from items to results, with scripted models and figures that are counted by hand."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from chatvector.errors import (
    DamagedFile,
    HubError,
    InputError,
    MissingExtra,
    MissingInput,
    UnsupportedFormat,
    UsageError,
)
from chatvector.evaluate import run
from chatvector.evaluate.cache import Cache
from chatvector.evaluate.records import marked_of, read_lines, rider_marked_of
from chatvector.evaluate.request import Job, Request
from chatvector.evaluate.results import FigureRow, Results, read_results
from chatvector.evaluate.run import Evaluation, evaluate
from chatvector.evaluate.statistics import bootstrap
from chatvector.evaluate.statistics.paired import newcombe, sign_flip
from chatvector.evaluate.statistics.rates import clustered_rate
from chatvector.evaluate.summary import without_folder
from chatvector.evaluate.task import Item, Services
from chatvector.runtime.backend import Prompt
from small_tasks import CAPITALS, Capitals, Reading, Scripted, Shouting, Surprise, knows, model

BASE = Scripted("base", knows("France"))
MERGED = Scripted("merged", knows("France", "Japan", "Korea", "Peru", otherwise="PLEASE"))
CHAT = Reading("chat", knows(*CAPITALS))


def request(*backends: Scripted, **more: Any) -> Request:
    jobs = (Job(Capitals(), "en"), Job(Surprise(), "en"))
    return Request(tuple(map(model, backends)), jobs, **{"riders": (Shouting(),), **more})


@pytest.fixture(scope="module")
def found() -> Evaluation:
    return evaluate(request(BASE, MERGED, CHAT, true_chat="chat"))


def figure(results: Results, task: str, metric: str, model: str, facet_value: str | None = None) -> FigureRow:
    (row,) = [
        row
        for row in results.figures
        if (row.task, row.metric, row.model, row.facet_value) == (task, metric, model, facet_value)
    ]
    return row


def test_figures_by_hand(found: Evaluation) -> None:
    row = figure(found.results, "capitals", "accuracy", "merged")
    outcomes = [country in ("France", "Japan", "Korea", "Peru") for country in CAPITALS for _ in range(2)]
    wanted = clustered_rate(outcomes, [country for country in CAPITALS for _ in range(2)])
    assert (row.value, row.low, row.high) == pytest.approx((8 / 12, wanted.low, wanted.high), abs=1e-6)
    assert (row.n, row.clusters, row.left_out, row.failed) == (12, 6, 0, 0)
    assert figure(found.results, "capitals", "accuracy", "merged", "9").n == 6
    assert figure(found.results, "capitals", "balanced", "base").value == pytest.approx(1 / 6, abs=1e-6)
    assert figure(found.results, "capitals", "characters", "chat").value == pytest.approx(29 / 6, abs=1e-6)


def test_facets_are_in_order_of_size(found: Evaluation) -> None:
    values = [row.facet_value for row in found.results.figures if row.metric == "accuracy" and row.model == "base"]
    assert values == [None, "9", "10"]


def test_a_mark_that_does_not_apply_is_left_out_and_counted() -> None:
    silent = Scripted("silent", knows("France", otherwise=""))
    row = figure(evaluate(request(silent)).results, "capitals", "polite", "silent")
    assert (row.value, row.n, row.left_out) == (0.0, 2, 10)


def test_riders_have_rows_by_task(found: Evaluation) -> None:
    row = figure(found.results, "shouting", "loud", "merged")
    assert (row.value, row.n, row.clusters) == (pytest.approx(4 / 12, abs=1e-6), 12, 6)
    assert figure(found.results, "shouting", "loud", "merged", "capitals").value == row.value
    (task,) = [task for task in found.results.tasks if task.name == "shouting"]
    assert task.rider
    assert task.items_file is None


def test_differences_are_paired_by_cluster_and_corrected(found: Evaluation) -> None:
    rows = {(row.task, row.metric, row.model): row for row in found.results.differences}
    row = rows["capitals", "accuracy", "merged"]
    assert (row.value, row.n, row.clusters, row.discordant) == (0.5, 12, 6, 0.5)
    assert row.p == sign_flip([2, 2, 2], seed=0) == 0.25
    assert row.p_holm is not None
    assert row.p_holm >= row.p
    assert rows["capitals", "balanced", "merged"].p_holm is None, "not primary"
    assert ("capitals", "characters", "merged") not in rows, "neither way is good"
    assert {row.model for row in found.results.differences} == {"merged", "chat"}


def test_holm_is_over_the_declared_family(found: Evaluation) -> None:
    inside = [row for row in found.results.differences if row.p_holm is not None]
    assert {(row.task, row.metric) for row in inside} == {("capitals", "accuracy"), ("shouting", "loud")}
    smallest = min(inside, key=lambda row: row.p)
    assert smallest.p_holm == pytest.approx(min(1.0, len(inside) * smallest.p), abs=1e-6)


def test_of_few_clusters_no_share_is_claimed(found: Evaluation) -> None:
    (row,) = [row for row in found.results.recovery if row.task == "capitals"]
    assert (row.gain, row.value, row.low) == (pytest.approx(10 / 12, abs=1e-6), None, None)
    assert figure(found.results, "capitals", "balanced", "base").method == "none: 6 clusters, 8 are needed"


def test_recovery(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "FEWEST", 6)  # countries
    found = evaluate(request(BASE, MERGED, CHAT, true_chat="chat"))
    (row,) = [row for row in found.results.recovery if row.task == "capitals"]
    assert (row.model, row.n, row.gain) == ("merged", 12, pytest.approx(10 / 12, abs=1e-6))
    assert row.value == pytest.approx(0.6)
    assert row.low is not None
    assert row.high is not None
    assert row.low < 0.6 < row.high


def test_parts(found: Evaluation) -> None:
    assert [(row.name, row.part) for row in found.results.models] == [
        ("base", "reference"),
        ("merged", "candidate"),
        ("chat", "true chat"),
    ]


def test_what_a_model_cannot_be_asked_is_absent_and_no_miss(found: Evaluation) -> None:
    assert [(row.task, row.model) for row in found.results.absent] == [("surprise", "base"), ("surprise", "merged")]
    assert "likelihoods" in found.results.absent[0].why
    assert figure(found.results, "surprise", "nats", "chat").value == -1
    assert not [row for row in found.results.figures if row.task == "surprise" and row.model == "base"]


def test_few_items_are_said_to_be_few(found: Evaluation) -> None:
    assert any("capitals (en): independent items: 6" in line and "51 points" in line for line in found.results.warnings)
    one = evaluate(Request((model(BASE),), (Job(Capitals(), "en", 2),))).results.warnings
    assert any(line.endswith("independent items: 1; if two models differ in 20 %, no difference shows") for line in one)


def test_a_context_too_short_is_a_failure_not_a_miss() -> None:
    def short(prompt: Prompt) -> str | None:
        text = prompt.messages[-1][1]
        return None if "Peru" in text else knows(*CAPITALS)(prompt)

    results = evaluate(request(BASE, Scripted("short", short))).results
    row = figure(results, "capitals", "accuracy", "short")
    assert (row.value, row.n, row.failed) == (1.0, 10, 2)
    assert [(one.model, one.why, one.count) for one in results.failures] == [("short", "context", 2)]
    assert any("not counted as misses" in line for line in results.warnings)
    (difference,) = [row for row in results.differences if (row.task, row.metric) == ("capitals", "accuracy")]
    assert difference.n == 10, "pairs that one model lacks are left out for both"


def test_one_model_is_open_at_a_time_and_asked_once(tmp_path: Path) -> None:
    opened: list[str] = []
    first, second = Scripted("first", knows("France")), Scripted("second", knows("Peru"))
    asked = replace(request(first), models=(model(first, opened), model(second, opened)))
    with Cache(tmp_path / "cache.jsonl") as cache:
        one = evaluate(asked, cache=cache)
        assert opened == ["first", "second"]
        assert (len(first.asked), one.results.run["replies"]) == (12, {"generated": 24, "from_cache": 0})
        again = evaluate(asked, cache=cache)
    assert len(first.asked) == 12, "marking again asks no model"
    assert again.results.run["replies"] == {"generated": 0, "from_cache": 24}
    assert again.results.model_copy(update={"run": {}}).text() == one.results.model_copy(update={"run": {}}).text()
    assert again.items == one.items


def test_marking_again_needs_no_replies_again(tmp_path: Path) -> None:
    """Another version of the marking over the same cache: new figures, no generation."""

    @dataclass(frozen=True)
    class Lenient(Capitals):
        version: str = "2"

        def mark(self, answers: Any, services: Services) -> list[Any]:
            return [{**marks, "right": True} for marks in super().mark(answers, services)]

    backend = Scripted("first", knows("France"))
    with Cache(tmp_path / "cache.jsonl") as cache:
        evaluate(Request((model(backend),), (Job(Capitals(), "en"),)), cache=cache)
        results = evaluate(Request((model(backend),), (Job(Lenient(), "en"),)), cache=cache).results
    assert len(backend.asked) == 12
    assert figure(results, "capitals", "accuracy", "first").value == 1


def test_a_run_that_broke_off_goes_on_and_gives_the_same_bytes(tmp_path: Path) -> None:
    def gone(_prompt: Prompt) -> str:
        raise HubError("the server does not answer")

    first, second = Scripted("first", knows("France")), Scripted("second", gone)
    asked = replace(request(first, second), jobs=(Job(Capitals(), "en"),))
    with Cache(tmp_path / "cache.jsonl") as cache, pytest.raises(HubError, match="does not answer"):
        evaluate(asked, cache=cache)
    second.say = knows("Peru")
    with Cache(tmp_path / "cache.jsonl") as cache:
        went_on = evaluate(asked, cache=cache)
    assert len(first.asked) == 12
    whole = evaluate(asked)
    for one in (went_on, whole):
        assert one.results.model_copy(update={"run": {}}).text() == whole.results.model_copy(update={"run": {}}).text()
        assert one.items == whole.items


def test_a_changed_model_never_meets_an_old_reply(tmp_path: Path) -> None:
    with Cache(tmp_path / "cache.jsonl") as cache:
        evaluate(request(Scripted("before", knows())), cache=cache)
        after = Scripted("after", knows(*CAPITALS))
        results = evaluate(request(after), cache=cache).results
    assert len(after.asked) == 12
    assert figure(results, "capitals", "accuracy", "after").value == 1


def test_missing_libraries_are_named_before_anything_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    silent = Scripted("silent", knows())
    monkeypatch.setattr(run, "find_spec", lambda name: None if name == "lingua" else object())
    with pytest.raises(MissingExtra, match=r"An evaluation needs an optional part: pip install 'chatvector\[eval\]'"):
        evaluate(request(silent))
    assert not silent.asked


def test_progress_counts_every_reply() -> None:
    class Heard:
        total = done = 0

        def start(self, total: int) -> None:
            self.total = total

        def advance(self, count: int) -> None:
            self.done += count

    heard = Heard()
    evaluate(request(BASE, CHAT), progress=heard)
    assert heard.total == heard.done == 2 * (12 + 6)


def test_samples_are_drawn_and_split() -> None:
    drawn = Scripted("drawn", lambda prompt: CAPITALS["France"] if prompt.sample % 2 else "no")
    results = evaluate(replace(request(drawn), samples=4)).results
    (task,) = [task for task in results.tasks if task.name == "capitals"]
    assert (task.samples, task.sampling["temperature"]) == (4, 0.7)
    row = figure(results, "capitals", "accuracy", "drawn")
    assert (row.n, row.clusters) == (48, 6)
    (spread,) = [row for row in results.spread if row.metric == "accuracy"]
    # France: 0 1 0 1 twice, others all wrong: within = 2·(4·0.25)/(12·3)
    assert spread.within_item == pytest.approx(2 / 36, abs=1e-6)
    assert spread.of_sample_means is not None
    assert spread.of_sample_means > 0


def test_sampling_can_be_overridden_and_is_recorded() -> None:
    arguments = (("enable_thinking", False),)
    overrides = {"max_new_tokens": 3, "template_arguments": arguments}
    results = evaluate(request(BASE, overrides=overrides, seed=5)).results
    sampling = results.tasks[0].sampling
    assert (sampling["max_new_tokens"], sampling["seed"]) == (3, 5)
    assert sampling["template_arguments"] == {"enable_thinking": False}


def test_different_prompt_forms_are_pointed_out() -> None:
    raw = Scripted("raw", knows(), prompt_form="template of chat")
    assert any("different prompt forms" in line for line in evaluate(request(BASE, raw)).results.warnings)


def test_results_are_read_as_they_were_written(found: Evaluation, tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(found.results.text(), "utf-8")
    assert read_results(tmp_path) == found.results
    assert read_results(tmp_path / "results.json").text() == found.results.text()
    assert json.loads(found.results.text())["format"] == "chatvector-results/1"


def test_items_are_read_as_they_were_written(found: Evaluation, tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text(found.items["items/capitals.en.jsonl"], "utf-8")
    records = read_lines(path)
    assert len(records) == 12
    assert [one["model"] for one in records[0]["answers"]] == ["base", "merged", "chat"]
    marked = marked_of(records, "merged")
    assert sum(bool(one.marks["right"]) for one in marked) == 8
    assert marked[0].answer.item == Capitals().items("en", limit=1, seed=0)[0]
    ridden = rider_marked_of(records, "merged", "shouting", "capitals")
    assert sum(bool(one.marks["loud"]) for one in ridden) == 4
    assert ridden[0].answer.item.cluster == "capitals/France"


def test_sensitive_items_are_flagged_and_whole() -> None:
    @dataclass(frozen=True)
    class Harsh(Capitals):
        def items(self, language: str, *, limit: int | None, seed: int) -> list[Item]:
            return [replace(item, sensitive=True) for item in super().items(language, limit=limit, seed=seed)]

    written = evaluate(Request((model(BASE),), (Job(Harsh(), "en"),))).items["items/capitals.en.jsonl"]
    first = json.loads(written.splitlines()[0])
    assert first["item"]["sensitive"] is True
    assert first["answers"][0]["replies"][0]["text"] == "Paris"


def test_half_a_surrogate_pair_is_written_and_read(tmp_path: Path) -> None:
    odd = Scripted("odd", lambda _: "\ud83d")
    path = tmp_path / "items.jsonl"
    path.write_text(
        evaluate(Request((model(odd),), (Job(Capitals(), "en"),))).items["items/capitals.en.jsonl"], "utf-8"
    )
    assert marked_of(read_lines(path), "odd")[0].answer.replies[0].text == "\ud83d"


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"models": ()}, UsageError, "nothing to evaluate"),
        ({"models": (model(BASE), model(BASE))}, UsageError, "two models are called base: name them apart"),
        ({"reference": "other"}, UsageError, "--reference other: no such model here; the models are base"),
        ({"true_chat": "base", "reference": "base"}, UsageError, "both reference and true chat"),
        ({"jobs": (Job(Capitals(services=("judge",)), "en"),)}, UsageError, "capitals needs a judge: give --judge"),
        ({"jobs": (Job(Capitals(), "ja"),)}, UsageError, "no items in 'ja'; it has en, ko"),
        ({"jobs": (Job(Capitals(), "en", 0),)}, InputError, "capitals .en.: no items"),
    ],
)
def test_bad_requests(change: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        evaluate(replace(request(BASE), **change))


def test_what_came_with_a_suite_and_lacks_a_service_is_absent() -> None:
    judged = Job(Capitals(name="judged", services=("judge",)), "en", asked_for=False)
    results = evaluate(replace(request(BASE, MERGED), jobs=(judged, Job(Capitals(), "en")))).results
    assert [(row.task, row.model, row.why) for row in results.absent] == [
        ("judged", "base", "needs a judge: give --judge"),
        ("judged", "merged", "needs a judge: give --judge"),
    ]
    assert [task.name for task in results.tasks] == ["capitals", "shouting"]
    with pytest.raises(UsageError, match="nothing to evaluate: judged needs a judge: give --judge"):
        evaluate(replace(request(BASE), jobs=(judged,)))


def test_items_with_the_same_id_are_refused() -> None:
    @dataclass(frozen=True)
    class Twice(Capitals):
        def items(self, language: str, *, limit: int | None, seed: int) -> list[Item]:
            return super().items(language, limit=limit, seed=seed)[:1] * 2

    with pytest.raises(InputError, match=r", capitals\.en: ids that occur twice \(1\): France/10; give each"):
        evaluate(Request((model(BASE),), (Job(Twice(), "en"),)))


def test_a_mark_of_the_wrong_kind_is_refused() -> None:
    @dataclass(frozen=True)
    class Vague(Capitals):
        def mark(self, answers: Any, services: Services) -> list[Any]:
            return [{**marks, "right": 0.5} for marks in super().mark(answers, services)]

    with pytest.raises(InputError, match=r"mark 'right' is 0\.5, metric 'accuracy' wants true or false"):
        evaluate(Request((model(BASE),), (Job(Vague(), "en"),)))


@pytest.mark.parametrize(
    ("content", "error", "text"),
    [
        (None, MissingInput, "no results there"),
        ("{", DamagedFile, "not JSON"),
        ("[]", UnsupportedFormat, "format None"),
        ('{"format": "chatvector-results/9"}', UnsupportedFormat, "this version reads 'chatvector-results/1'"),
        ('{"format": "chatvector-results/1"}', DamagedFile, r"faults \(\d+\), the first at chatvector: Field required"),
    ],
)
def test_bad_results_files(tmp_path: Path, content: str | None, error: type[Exception], text: str) -> None:
    if content is not None:
        (tmp_path / "results.json").write_text(content, "utf-8")
    with pytest.raises(error, match=text):
        read_results(tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", '{"item": 1}', "7"])
def test_bad_items_files(tmp_path: Path, content: str) -> None:
    (item,) = Capitals().items("en", limit=1, seed=0)
    whole = json.dumps({"item": asdict(item), "answers": []})
    (tmp_path / "items.jsonl").write_text(f"{whole}\n{content}\n", "utf-8")
    with pytest.raises(DamagedFile, match=r"items.jsonl:2: not a line of an items file"):
        read_lines(tmp_path / "items.jsonl")


def test_names_without_folders() -> None:
    assert without_folder("/data/models/merged") == "merged"
    assert without_folder("org/name") == "org/name"
    assert without_folder("demo:chat") == "demo:chat"
    assert without_folder("./here/model/") == "model"
    assert without_folder("http://localhost:8000/v1") == "http://localhost:8000/v1"
    assert without_folder("template of /a/b/chat") == "template of chat"
    assert without_folder("template of org/chat") == "template of org/chat"
    assert without_folder("own template") == "own template"


def test_paired_rates_of_single_items_use_the_exact_test() -> None:
    @dataclass(frozen=True)
    class Single(Capitals):
        def items(self, language: str, *, limit: int | None, seed: int) -> list[Item]:
            return [replace(item, cluster="") for item in super().items(language, limit=limit, seed=seed)]

    asked = Request((model(BASE), model(MERGED)), (Job(Single(), "en"),))
    (row,) = [row for row in evaluate(asked).results.differences if row.metric == "accuracy"]
    assert row.test == "exact McNemar"
    assert row.p == pytest.approx(2 / 64)
    assert (row.low, row.high) == pytest.approx(newcombe(2, 0, 6, 4), abs=1e-6)
    assert row.not_worse == "not worse"
