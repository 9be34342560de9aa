# SPDX-License-Identifier: Apache-2.0
"""lm-evaluation-harness and we, on the same items, with the same model: the same marks, document by document."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scripted_backend import ScriptedBackend

pytest.importorskip("lm_eval")

from chatvector.errors import HubError, InputError, UsageError
from chatvector.evaluate.conversation import ask
from chatvector.evaluate.harness.adapter import HarnessModel, cut, sampling_of
from chatvector.evaluate.harness.group import HarnessGroup
from chatvector.evaluate.harness.library import load_task, task_names
from chatvector.evaluate.harness.samples import compare_samples, read_samples, sample_lines, sample_metrics
from chatvector.evaluate.harness.sets import SETS, language_of
from chatvector.evaluate.harness.task import HarnessTask, document_hash
from chatvector.evaluate.records import read_lines
from chatvector.evaluate.registry import Registry
from chatvector.evaluate.request import Job, Model, Request
from chatvector.evaluate.run import evaluate
from chatvector.evaluate.saving import save
from chatvector.evaluate.statistics.paired import mcnemar
from chatvector.evaluate.task import Item, Marked, Services
from chatvector.evaluate.tasks.knowledge import BitsPerByteTask
from chatvector.evaluate.tasks.texts import read_texts
from chatvector.runtime.backend import Prompt, Reply, Sampling
from chatvector.runtime.transformers_backend import TransformersBackend

pytestmark = pytest.mark.filterwarnings("default")
"""The harness and its libraries warn of their own."""

ROWS = [
    {
        "text": "비가 오면 우산을 씁니다.",
        "question": f"우산을 {count}개 씁니까?",
        "choices": ["예", "아니요, 하나면 됩니다"],
    }
    for count in range(1, 9)
]

CHOICE = """
task: local_choice
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{text}}}} {{{{question}}}} 답:"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: "{{{{label}}}}"
metric_list:
  - {{metric: acc, aggregation: mean, higher_is_better: true}}
  - {{metric: acc_norm, aggregation: mean, higher_is_better: true}}
metadata: {{version: 3.0}}
"""
GENERATE = """
task: local_generate
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{answer}}}}"
generation_kwargs: {{until: ["\\n", "!"], max_gen_toks: 12, do_sample: false}}
filter_list:
  - {{name: whole, filter: [{{function: take_first}}]}}
  - {{name: word, filter: [{{function: regex, regex_pattern: "([가-힣]+)"}}, {{function: take_first}}]}}
metric_list:
  - {{metric: exact_match, aggregation: mean, higher_is_better: true}}
"""
ROLLING = """
task: local_rolling
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{{{text}}}}"
metric_list:
  - {{metric: bits_per_byte, aggregation: bits_per_byte, higher_is_better: false}}
"""


@pytest.fixture(scope="module")
def backend() -> Iterator[TransformersBackend]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield TransformersBackend.load("demo:chat")
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from datasets import config

    monkeypatch.setattr(config, "HF_DATASETS_CACHE", str(tmp_path / "datasets"))
    monkeypatch.setattr(config, "HF_HUB_OFFLINE", True)


def written(folder: Path, yaml: str, rows: Sequence[dict[str, Any]]) -> str:
    data = folder / "data.jsonl"
    data.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    path = folder / "task.yaml"
    path.write_text(yaml.format(data=data), "utf-8")
    return str(path)


def harness_run(path: str, backend: Any, **options: Any) -> dict[str, Any]:
    """The harness's own evaluation of one task, by its own code."""
    from lm_eval.evaluator import simple_evaluate
    from lm_eval.tasks import TaskManager

    found: Any = simple_evaluate(
        model=HarnessModel(backend),
        tasks=[path],
        task_manager=TaskManager(include_defaults=False),
        bootstrap_iters=0,
        **options,
    )
    return found


def our_run(task: HarnessTask, backend: Any, limit: int | None = None) -> list[Marked]:
    items = task.items("ko", limit=limit, seed=0)
    answers = ask(backend, items, task.sampling)
    return [Marked(one, marks) for one, marks in zip(answers, task.mark(answers, Services()), strict=True)]


def figure(task: HarnessTask, name: str, marked: Sequence[Marked]) -> float:
    metric = next(one for one in task.metrics if one.name == name)
    if metric.aggregate is not None:
        return float(metric.aggregate(marked) or 0)
    values = [float(one.marks[name]) for one in marked if one.marks[name] is not None]  # type: ignore[arg-type]
    return sum(values) / len(values)


def test_choices_by_likelihood_are_the_same_three_ways(tmp_path: Path, backend: TransformersBackend) -> None:
    rows = [{**row, "label": number % 2} for number, row in enumerate(ROWS)]
    path = written(tmp_path, CHOICE, rows)
    theirs = harness_run(path, backend)["samples"]["local_choice"]
    task = HarnessTask(path)
    ours = our_run(task, backend)
    assert {one["doc_hash"]: (bool(one["acc"]), bool(one["acc_norm"])) for one in theirs} == {
        one.answer.item.id: (one.marks["acc"], one.marks["acc_norm"]) for one in ours
    }
    # And by a scorer of our own, from the numbers alone.
    items = [
        Item(str(n), "ko", text=f"{row['text']} {row['question']} 답:", mode="likelihood",
             continuations=tuple(f" {choice}" for choice in row["choices"]))
        for n, row in enumerate(rows)
    ]  # fmt: skip
    for row, answer, sample in zip(rows, ask(backend, items, Sampling()), theirs, strict=True):
        nats = [one.nats for one in answer.likelihoods]
        assert [one[0][0] for one in sample["resps"]] == nats
        assert bool(sample["acc"]) == (nats.index(max(nats)) == row["label"])
        a_letter = [value / len(choice) for value, choice in zip(nats, row["choices"], strict=True)]
        assert bool(sample["acc_norm"]) == (a_letter.index(max(a_letter)) == row["label"])
    assert len({one.marks["acc"] for one in ours}) == 2, "a test that could not fail"
    assert task.version.endswith(" 3.0")


def test_replies_are_the_same(tmp_path: Path, backend: TransformersBackend) -> None:
    rows = [{"question": row["question"], "answer": "예"} for row in ROWS]
    said = ask(backend, [Item("q", "ko", text=rows[0]["question"], mode="continue")], Sampling(12))[0].replies[0].text
    rows[0]["answer"] = cut(said, ["\n", "!"])
    path = written(tmp_path, GENERATE, rows)
    theirs = harness_run(path, backend)["samples"]["local_generate"]
    task = HarnessTask(path)
    ours = {one.answer.item.id: one.marks for one in our_run(task, backend)}
    assert [metric.name for metric in task.metrics] == ["exact_match-whole", "exact_match-word"]
    assert len(theirs) == 2 * len(rows)
    for sample in theirs:
        assert ours[sample["doc_hash"]][f"exact_match-{sample['filter']}"] == bool(sample["exact_match"])
    assert sum(bool(marks["exact_match-whole"]) for marks in ours.values()) >= 1


def test_chat_form_is_the_backends_own(tmp_path: Path, backend: TransformersBackend) -> None:
    path = written(tmp_path, GENERATE, [{"question": row["question"], "answer": "예"} for row in ROWS[:3]])
    theirs = harness_run(path, backend, apply_chat_template=True)["samples"]["local_generate"]
    task = HarnessTask(path, chat=True)
    assert task.name == "lm-eval-local_generate-chat"
    prompts = [Prompt(messages=(("user", row["question"]),)) for row in ROWS[:3]]
    replies = [cut(one.text, ["\n", "!"]) for one in backend.generate(prompts, Sampling(12))]
    assert [one["resps"][0][0] for one in theirs if one["filter"] == "whole"] == replies
    assert [cut(one.answer.replies[0].text, ["\n", "!"]) for one in our_run(task, backend)] == replies


def test_bits_per_byte_are_the_same(tmp_path: Path, backend: TransformersBackend) -> None:
    rows = [{"text": f"{row['text']} {row['question']}"} for row in ROWS]
    path = written(tmp_path, ROLLING, rows)
    theirs = harness_run(path, backend)["results"]["local_rolling"]["bits_per_byte,none"]
    task = HarnessTask(path)
    assert figure(task, "bits_per_byte", our_run(task, backend)) == pytest.approx(theirs, rel=1e-12)
    own = BitsPerByteTask(read_texts({"target": tmp_path / "data.jsonl"}, "ko"))
    answers = ask(backend, own.items("ko", limit=None, seed=0), Sampling())
    marked = [Marked(one, marks) for one, marks in zip(answers, own.mark(answers, Services()), strict=True)]
    assert own.metrics[0].aggregate is not None
    assert own.metrics[0].aggregate(marked) == pytest.approx(theirs, rel=1e-12)


def test_a_run_of_ours_pairs_with_a_file_of_theirs(tmp_path: Path, backend: TransformersBackend) -> None:
    rows = [{**row, "label": number % 2} for number, row in enumerate(ROWS)]
    path = written(tmp_path, CHOICE, rows)
    task = HarnessTask(path)
    found = evaluate(Request((Model("ours", lambda: _open(backend)),), (Job(task, "ko"),)))
    save(found, tmp_path / "out", overwrite=False)
    (file,) = (tmp_path / "out" / "items").iterdir()
    ours = tmp_path / "samples_ours.jsonl"
    ours.write_text("".join(sample_lines(read_lines(file), "ours")), "utf-8")
    theirs = tmp_path / "samples_theirs.jsonl"
    samples = harness_run(path, backend)["samples"]["local_choice"]
    theirs.write_text("".join(json.dumps(one, default=str) + "\n" for one in samples), "utf-8")
    both = read_samples(ours), read_samples(theirs)
    assert sample_metrics(both[0]) == sample_metrics(both[1]) == ("acc", "acc_norm")
    for metric in ("acc", "acc_norm"):
        same = compare_samples(both[0], both[1], metric)
        assert (same.interval.value, same.discordant, same.interval.count) == (0.0, 0.0, len(rows))


class _open:
    def __init__(self, backend: Any) -> None:
        self.backend = backend

    def __enter__(self) -> Any:
        return self.backend

    def __exit__(self, *_: object) -> None:
        pass


def lines(path: Path, values: Sequence[float | bool], metric: str = "acc", names: Sequence[str] = ()) -> Path:
    rows = [
        {"doc_hash": name, "filter": "none", "metrics": [metric], metric: value}
        for name, value in zip(names or [f"d{n}" for n in range(len(values))], values, strict=True)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def test_two_sample_files_are_compared_by_document(tmp_path: Path) -> None:
    first = read_samples(lines(tmp_path / "a.jsonl", [0.0] * 8 + [1.0] * 12))
    second = read_samples(lines(tmp_path / "b.jsonl", [1.0] * 20))
    found = compare_samples(first, second, "acc")
    assert found.interval.value == 0.4
    assert (found.test, found.p) == ("exact McNemar", mcnemar(0, 8))
    means = [read_samples(lines(tmp_path / f"{n}.jsonl", [0.5 + n, 0.25], "f")) for n in range(2)]
    assert compare_samples(means[0], means[1], "f").interval.value == 0.5
    with pytest.raises(InputError, match="no metric 'acc' in both files; there are f"):
        compare_samples(means[0], means[1], "acc")
    strangers = read_samples(lines(tmp_path / "c.jsonl", [1.0], names=["x"]))
    with pytest.raises(InputError, match="no document in common"):
        compare_samples(first, strangers, "acc")


def test_several_filters_are_a_choice(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    rows = [{"doc_hash": "d", "filter": name, "acc": 1.0} for name in ("strict", "flexible")]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(InputError, match="has 2 filters; choose one: strict, flexible"):
        read_samples(path)
    with pytest.raises(InputError, match="no line of filter 'none'"):
        read_samples(path, filter_name="none")
    assert len(read_samples(path, filter_name="strict")) == 1


def test_limit_counts_documents_and_equal_ones_are_told_apart(tmp_path: Path, backend: TransformersBackend) -> None:
    rows = [{**ROWS[0], "label": 0}] * 3
    task = HarnessTask(written(tmp_path, CHOICE, rows))
    few = task.items("ko", limit=2, seed=0)
    assert len(few) == 2
    all_of_them = task.items("ko", limit=None, seed=0)
    assert all_of_them[:2] == few
    name = document_hash(rows[0])
    assert [item.id for item in all_of_them] == [name, f"{name}+", f"{name}++"]
    assert len(our_run(task, backend, limit=1)) == 1


def test_what_is_not_at_hand_is_one_line() -> None:
    with pytest.raises(
        HubError, match=r"^lm-eval:kobest_boolq: its data is not on this machine .* with network"
    ) as found:
        load_task("kobest_boolq")
    assert "\n" not in str(found.value)
    assert found.value.exit_code == 6


def test_names_of_the_harness() -> None:
    assert "kobest_boolq" in task_names("kobest")
    assert task_names("kobest_boolq") == ("kobest_boolq",)
    assert {language_of(name) for name in SETS["korea"].tasks} == {"ko"}
    assert {language_of(name) for name in SETS["taiwan"].tasks} == {"zh-Hant"}
    assert language_of("hellaswag") is None
    assert [len(task_names(name)) for name in ("kobest", "haerae", "kmmlu", "tmmluplus")] == [5, 5, 45, 67]
    names = [one.name for one in Registry().by_name("lm-eval:korea")]
    assert names == ["lm-eval-kobest", "lm-eval-haerae", "lm-eval-kmmlu"]
    assert [one.languages for one in Registry().by_name("lm-eval:taiwan")] == [("zh-Hant",)]
    assert Registry().by_name("lm-eval:kobest_copa") == [HarnessTask("kobest_copa")]
    with pytest.raises(UsageError, match="no such task; there are kobest"):
        Registry().by_name("lm-eval:kobest_nothing")


def test_a_group_is_its_tasks_together(tmp_path: Path, backend: TransformersBackend) -> None:
    members = []
    for number, size in enumerate((5, 3)):
        folder = tmp_path / str(number)
        folder.mkdir()
        members.append(HarnessTask(written(folder, CHOICE, [{**row, "label": number} for row in ROWS[:size]])))
    group = HarnessGroup("pair", tuple(members))
    assert [(one.name, one.primary, one.by) for one in group.metrics] == [
        ("acc", True, ("task",)),
        ("acc_norm", False, ("task",)),
    ]
    items = group.items("ko", limit=None, seed=0)
    assert [item.facets["task"] for item in items] == [members[place].task for place in (0, 1, 0, 1, 0, 1, 0, 0)]
    assert group.items("ko", limit=3, seed=0) == items[:3]
    answers = ask(backend, items, group.sampling)
    marks = group.mark(answers, Services())
    apart = [one.marks["acc"] for member in members for one in our_run(member, backend)]
    assert sorted(bool(one["acc"]) for one in marks) == sorted(bool(one) for one in apart)
    assert len(group.sources("ko")) == 2


def test_settings_of_generation() -> None:
    assert sampling_of({"until": ["."], "max_gen_toks": 7}) == Sampling(7)
    assert sampling_of({"do_sample": True, "temperature": 0.5, "top_p": 0.9}) == Sampling(256, 0.5, 0.9)
    assert sampling_of({"temperature": 0.9, "top_k": 5}) == Sampling(256)  # greedy unless it says to draw
    with pytest.raises(UsageError, match="not supported: top_k"):
        sampling_of({"do_sample": True, "temperature": 1.0, "top_k": 5})
    with pytest.raises(UsageError, match="not supported: repetition_penalty"):
        sampling_of({"repetition_penalty": 1.1})


@given(st.text(), st.lists(st.text(min_size=1), max_size=3))
def test_a_reply_ends_before_the_first_stop(text: str, until: list[str]) -> None:
    kept = cut(text, until)
    assert text.startswith(kept)
    assert not any(end in kept for end in until)


def request(context: str, *more: Any) -> Any:
    return SimpleNamespace(args=(context, *more))


def test_the_adapter_says_what_it_cannot_do() -> None:
    scripted = ScriptedBackend(lambda _: Reply("", False, failure="context"))
    model = HarnessModel(scripted)
    with pytest.raises(InputError, match=r"1 of 1 requests failed \(context\)"):
        model.generate_until([request("a", {"until": []})])
    with pytest.raises(UsageError, match="tells no probabilities"):
        model.loglikelihood([request("a", "b")])
    with pytest.raises(UsageError, match="gen_prefix"):
        model.apply_chat_template([{"role": "user", "content": "a"}], add_generation_prompt=False)
    with pytest.raises(UsageError, match="one template"):
        model.chat_template("other")
    with pytest.raises(UsageError, match="pretrained=MODEL"):
        HarnessModel.create_from_arg_string("model=x")


def test_a_conversation_reaches_a_server_as_one() -> None:
    backend = ScriptedBackend(lambda _: "<think>hm</think> one. two")
    model = HarnessModel(backend)
    history = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "a"}]
    text = model.apply_chat_template(history)
    assert model.generate_until([request(text, {"until": ["."]}), request("raw", {"until": []})]) == ["one", "one. two"]
    assert [prompt.messages for prompt, _ in backend.asked] == [(("system", "be brief"), ("user", "a")), ()]
    assert model.tokenizer_name.startswith("chatvector-")


def test_the_harness_makes_the_model_from_its_arguments() -> None:
    from lm_eval.api.registry import get_model

    model = get_model("chatvector").create_from_arg_string("pretrained=demo:chat", {"batch_size": 1, "device": None})
    assert model.loglikelihood([request("비가", " 온다")])[0][0] < 0
