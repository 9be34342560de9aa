# SPDX-License-Identifier: Apache-2.0
"""Bits per byte and divergence, against numbers worked out by hand, on models whose probabilities are known."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scripted_backend import ScriptedBackend

from chatvector.errors import InputError, UsageError
from chatvector.evaluate.conversation import ask
from chatvector.evaluate.statistics.clusters import Estimate
from chatvector.evaluate.statistics.decisions import non_inferior
from chatvector.evaluate.statistics.paired import figure_difference
from chatvector.evaluate.tally import compare, estimate
from chatvector.evaluate.task import Answer, Between, Comparing, Item, Marked, Observing, Services, Task
from chatvector.evaluate.tasks.distributions import DistributionBackend
from chatvector.evaluate.tasks.divergence import LINES, DivergenceTask, divergence
from chatvector.evaluate.tasks.knowledge import MARGIN, BitsPerByteTask, bits_per_byte
from chatvector.evaluate.tasks.texts import OTHERS, read_texts, starter
from chatvector.runtime.backend import BackendInfo, Likelihood, Prompt, Reply, Sampling
from chatvector.runtime.transformers_backend import TransformersBackend


@dataclass
class Letters:
    """A model of one token a byte: every token has the same distribution, whatever came before."""

    probabilities: Sequence[float]
    model: str = "letters"
    shift: int = 0

    @property
    def info(self) -> BackendInfo:
        return BackendInfo("live", self.model, self.model, None, "raw")

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Reply]:
        raise NotImplementedError("knowledge is asked for by likelihoods alone")

    def vocabulary(self) -> Mapping[str, int]:
        return {chr(ord("a") + (row + self.shift) % 26): row for row in range(len(self.probabilities))}

    def log_probabilities(self, text: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        ids = np.array([ord(letter) - ord("a") for letter in text], np.int64)
        with np.errstate(divide="ignore"):
            row = np.log(np.array(self.probabilities, np.float32))
        return ids, np.tile(row, (len(ids), 1))

    def loglikelihood(self, pairs: Sequence[tuple[str, str]]) -> list[Likelihood]:
        found = []
        for _, text in pairs:
            ids, rows = self.log_probabilities(text)
            found.append(Likelihood(float(rows[np.arange(len(ids)), ids].sum()), len(ids), greedy=False))
        return found


def marked(task: Task, backend: object, items: list[Item]) -> list[Marked]:
    answers = ask(backend, items, task.sampling)  # type: ignore[arg-type]
    return [Marked(one, marks) for one, marks in zip(answers, task.mark(answers, Services()), strict=True)]


def figure(task: Task, name: str, answers: Sequence[Marked]) -> float | None:
    found = estimate_of(task, name, answers)
    return None if found is None else found.value


def estimate_of(task: Task, name: str, answers: Sequence[Marked]) -> Estimate | None:
    return estimate(next(one for one in task.metrics if one.name == name), answers, seed=0)[0]


def text_item(text: str, kind: str = "target", line: str = "1") -> Item:
    return Item(f"{line}/{kind}", "ko", text=text, mode="likelihood", cluster=line, facets={"text": kind})


def test_bits_per_byte_by_hand() -> None:
    assert bits_per_byte(-math.log(2) * 12, 6) == pytest.approx(2.0)
    task = BitsPerByteTask()
    # p(a) = 1/2, p(b) = 1/8: "aab" costs 1 + 1 + 3 bits in three bytes.
    found = marked(task, Letters([0.5, 0.125, 0.375]), [text_item("aab"), text_item("b", "english")])
    assert found[0].marks["bits_per_byte"] == pytest.approx(5 / 3)
    assert figure(task, "target", found) == pytest.approx(5 / 3)
    assert figure(task, "english", found) == pytest.approx(3)
    assert figure(task, "other", found) is None
    assert figure(task, "all", found) == pytest.approx(8 / 4)  # of all bytes, not the mean of the lines


def test_a_figure_of_one_kind_of_text_counts_that_kind_only() -> None:
    task = BitsPerByteTask()
    items = [text_item("ab", kind, str(line)) for line in range(9) for kind in ("target", "english")]
    found = marked(task, Letters([0.5, 0.5]), [*items, text_item("b", "english", "10")])
    counted = {}
    for name in ("target", "english", "all"):
        one = estimate_of(task, name, found)
        assert one is not None
        counted[name] = (one.count, one.clusters)
    assert counted == {"target": (9, 9), "english": (10, 10), "all": (19, 10)}
    metric = next(one for one in task.metrics if one.name == "target")
    difference = compare(metric, found, found, seed=0)
    assert difference is not None
    assert difference.interval.count == 9


def test_bytes_are_those_of_utf8() -> None:
    found = marked(BitsPerByteTask(), Constant(-math.log(2) * 18), [text_item("얼음이")])
    assert (found[0].marks["bytes"], found[0].marks["bits_per_byte"]) == (9.0, pytest.approx(2.0))


class Constant(Letters):
    def __init__(self, nats: float) -> None:
        super().__init__([1.0])
        self.nats = nats

    def loglikelihood(self, pairs: Sequence[tuple[str, str]]) -> list[Likelihood]:
        return [Likelihood(self.nats, 1, greedy=False) for _ in pairs]


@pytest.fixture(scope="module")
def uniform() -> Iterator[TransformersBackend]:
    """The embedded base model with every logit 0."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    backend = TransformersBackend.load("demo:base")
    with torch.no_grad():
        backend.model.get_output_embeddings().weight.zero_()
    yield backend
    torch.set_num_threads(threads)


def test_a_model_that_knows_nothing_pays_log2_of_its_vocabulary_a_token(uniform: TransformersBackend) -> None:
    task = BitsPerByteTask()
    found = marked(task, uniform, task.items("ko", limit=9, seed=0))
    rows = uniform.model.config.vocab_size
    tokens = sum(float(one.marks["tokens"] or 0) for one in found)
    size = sum(len((one.answer.item.text or "").encode()) for one in found)
    assert figure(task, "all", found) == pytest.approx(math.log2(rows) * tokens / size, rel=1e-5)


def test_divergence_of_real_distributions(uniform: TransformersBackend) -> None:
    base = TransformersBackend.load("demo:base")
    assert isinstance(base, DistributionBackend)
    _, flat = uniform.log_probabilities("a b")
    ids, sharp = base.log_probabilities("a b")
    assert divergence(sharp, sharp) == 0
    # Against a uniform distribution: log2 V minus the entropy.
    p = np.exp(sharp.astype(np.float64))
    entropy = -float((p * np.log2(p)).sum())
    assert divergence(sharp, flat) == pytest.approx(len(ids) * math.log2(flat.shape[1]) - entropy, rel=1e-5)


def test_divergence_by_hand() -> None:
    p, q = np.log([[0.5, 0.5]]), np.log([[0.25, 0.75]])
    assert divergence(p, q) == pytest.approx(0.5 * 1 + 0.5 * math.log2(2 / 3))
    # A further token of the model takes a quarter of its mass: log2(1/0.75) bits.
    assert divergence(np.log([[0.5, 0.5]]), np.log([[0.375, 0.375, 0.25]])) == pytest.approx(math.log2(4 / 3))
    with np.errstate(divide="ignore"):
        assert divergence(np.log([[1.0, 0.0]]), np.log([[0.5, 0.5]])) == pytest.approx(1)
        assert divergence(np.log([[0.5, 0.5]]), np.log([[1.0, 0.0]])) == math.inf
    with pytest.raises(ValueError, match="no divergence"):
        divergence(np.zeros((1, 3)), np.zeros((1, 2)))


@given(st.lists(st.floats(-8, 8), min_size=4, max_size=4), st.lists(st.floats(-8, 8), min_size=4, max_size=4))
def test_divergence_is_never_negative_and_zero_to_itself(first: list[float], second: list[float]) -> None:
    p, q = (np.array([row]) - np.log(np.exp(row).sum()) for row in (first, second))
    assert divergence(p, q) >= 0
    assert divergence(p, p) == 0


def compared(task: DivergenceTask, items: list[Item], *models: Letters | ScriptedBackend) -> list[list[Marked]]:
    answers = {
        one.model: ask(one, items, Sampling())
        if isinstance(one, Letters)
        else [Answer(item, 0, nats=-1.0, tokens=1) for item in items]
        for one in models
    }
    observed = {one.model: task.observe(one, items) for one in models}
    chat = models[2].model if len(models) > 2 else None
    reference = models[0].model if models else None
    marks = task.compare(Between(answers, reference, chat, Services(), observed))
    return [
        [
            Marked(answer, {**own, **between})
            for answer, own, between in zip(given, task.mark(given, Services()), marks[name], strict=True)
        ]
        for name, given in answers.items()
    ]


def test_divergence_per_token_from_both_parents() -> None:
    task = DivergenceTask()
    items = [text_item("ab"), text_item("baaa", "english", "2")]
    target, model, chat = Letters([0.5, 0.5], "target"), Letters([0.25, 0.75], "m"), Letters([0.25, 0.75], "chat")
    base, moved, other = compared(task, items, target, model, chat)
    bits = 0.5 + 0.5 * math.log2(2 / 3)
    assert figure(task, "from_reference", moved) == pytest.approx(bits)
    assert figure(task, "from_reference_target", moved) == pytest.approx(bits)
    assert moved[1].marks["kl_reference"] == pytest.approx(4 * bits)
    assert figure(task, "from_chat", moved) == pytest.approx(0, abs=1e-9)
    assert figure(task, "from_reference", base) is None
    assert figure(task, "from_chat", other) is None
    assert base[0].marks["kl_reference_reason"] is None


def test_what_is_not_comparable_says_why() -> None:
    task = DivergenceTask()
    items = [text_item("ab")]
    target = Letters([0.5, 0.5], "target")
    grown = Letters([0.25, 0.5, 0.25], "grown")
    assert figure(task, "from_reference", compared(task, items, target, grown)[1]) is not None
    reasons = {
        "fewer": (grown, target, "1 of 3 tokens have another id, or none"),
        "moved": (target, Letters([0.5, 0.5], "moved", shift=3), "2 of 2 tokens have another id"),
        "served": (target, ScriptedBackend(lambda _: "", model="served"), "a model tells no distributions"),
    }
    for reference, other, message in reasons.values():
        answer = compared(task, items, reference, other)[1][0]
        assert answer.marks["kl_reference"] is None
        assert message in str(answer.marks["kl_reference_reason"])
        assert str(answer.marks["kl_reference_reason"]).startswith("not comparable: ")


def test_other_tokens_for_the_same_text() -> None:
    class Pairs(Letters):
        def log_probabilities(self, text: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
            ids, rows = super().log_probabilities(text)
            return ids[::2], rows[::2]

    found = compared(DivergenceTask(), [text_item("ab")], Letters([0.5, 0.5], "a"), Pairs([0.5, 0.5], "b"))
    assert "cut the text differently (2 and 1 tokens)" in str(found[1][0].marks["kl_reference_reason"])


@pytest.mark.parametrize("language", list(OTHERS))
def test_starter_texts_are_parallel(language: str) -> None:
    task: Task = BitsPerByteTask()
    items = task.items(language, limit=None, seed=0)
    kinds = 2 if language == "en" else 3
    assert len(items) == 60 * kinds
    assert len({item.cluster for item in items}) == 60
    assert {item.facets["kind"] for item in items} == {"encyclopaedic", "narrative", "news", "everyday"}
    assert len(task.sources(language)) == kinds
    for limit in (1, 7, 10):
        part = task.items(language, limit=limit, seed=0)
        assert len(part) % kinds == 0
        assert len(part) <= max(limit, kinds)
    assert len({item.cluster for item in DivergenceTask().items(language, limit=None, seed=0)}) == LINES


def test_tasks_keep_to_the_contract() -> None:
    assert isinstance(DivergenceTask(), Comparing)
    assert isinstance(DivergenceTask(), Observing)
    assert not isinstance(BitsPerByteTask(), Comparing)
    with pytest.raises(UsageError, match="no texts in 'th'"):
        BitsPerByteTask().items("th", limit=None, seed=0)
    with pytest.raises(UsageError, match="plain texts: none in 'th'"):
        starter("th")


def test_files_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "ntrex.kor.txt").write_text("하나\n\n둘\n", "utf-8")
    (tmp_path / "en.jsonl").write_text('{"text": "one"}\n{"text": "two"}\n', "utf-8")
    texts = read_texts({"target": tmp_path / "ntrex.kor.txt", "english": tmp_path / "en.jsonl"}, "ko")
    task = BitsPerByteTask(texts)
    items = task.items("ko", limit=None, seed=0)
    assert task.name == "bits-per-byte-ntrex.kor"
    assert [(item.id, item.text) for item in items] == [
        ("00001/target", "하나"),
        ("00001/english", "one"),
        ("00002/target", "둘"),
        ("00002/english", "two"),
    ]
    (tmp_path / "en.jsonl").write_text('{"text": "one"}\n', "utf-8")
    uneven = read_texts({"target": tmp_path / "ntrex.kor.txt", "english": tmp_path / "en.jsonl"}, "ko")
    assert len({row.line for row in uneven.rows}) == 3
    (tmp_path / "empty.txt").write_text("\n \n")
    with pytest.raises(InputError, match=r"empty\.txt: has no text"):
        read_texts({"target": tmp_path / "empty.txt"}, "ko")
    with pytest.raises(UsageError, match="at least a file for 'target'"):
        read_texts({"english": tmp_path / "empty.txt"}, "ko")


def test_not_worse_than_the_target_by_more_than_the_margin() -> None:
    """Forty lines, each a little worse: an interval inside the margin says so, one beyond it says the other."""
    task = BitsPerByteTask()
    items = [text_item("ab", line=str(number)) for number in range(40)]
    reference = marked(task, Constant(-math.log(2) * 4.0), items)
    for bits, verdict in ((4.02, "not worse"), (4.2, "worse")):
        worse = marked(task, Constant(-math.log(2) * bits), items)
        metric = task.metrics[0]
        assert metric.aggregate is not None
        assert metric.margin == MARGIN
        found = figure_difference(
            reference, worse, [item.cluster for item in items], metric.aggregate, seed=0, resamples=50
        )
        assert found is not None
        assert found.interval.value == pytest.approx((bits - 4) / 2)
        assert non_inferior(found.interval, MARGIN, better="lower") == verdict
