# SPDX-License-Identifier: Apache-2.0
"""Closed tasks: prompts, items, marks, figures computed by hand, users' files, and the variant by likelihood."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest

from chatvector.errors import InputError, UsageError
from chatvector.evaluate.task import Answer, Item, Marked, Metric, Services, Task
from chatvector.evaluate.tasks.closed import ClosedTask, closed_from_file
from chatvector.evaluate.tasks.closed_likelihood import ClosedLikelihoodTask
from chatvector.evaluate.tasks.closed_wordings import PROMPTS, WORDINGS, ask
from chatvector.evaluate.tasks.label_words import LABELS
from chatvector.runtime.backend import Reply
from public_data import public_data

LANGUAGES = ("en", "ko", "zh-Hant", "zh-Hans", "ja")
TOPIC, SENTIMENT = ClosedTask("topic"), ClosedTask("sentiment")


def marked(task: Task, items: list[Item], reply: Callable[[Item], str]) -> list[Marked]:
    answers = [Answer(item, 0, (Reply(reply(item), stopped=True),)) for item in items]
    return [Marked(*pair) for pair in zip(answers, task.mark(answers, Services()), strict=True)]


def figure(task: Task, name: str, results: list[Marked]) -> float | None:
    metric = next(metric for metric in task.metrics if metric.name == name)
    if metric.aggregate:
        return metric.aggregate(results)
    values = [float(value) for one in results if isinstance(value := one.marks[metric.mark or ""], bool)]
    return sum(values) / len(values) if values else None


def right_name(task: ClosedTask) -> Callable[[Item], str]:
    return lambda item: task.label_names(item.language)[item.expect["label"]]


@pytest.mark.parametrize("kind", ["topic", "sentiment"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_model_that_knows_scores_one_and_an_echo_nothing(kind: str, language: str) -> None:
    task: Task = ClosedTask(kind)
    items = task.items(language, limit=None, seed=0)
    knows = marked(task, items, right_name(ClosedTask(kind)))
    assert [figure(task, name, knows) for name in ("accuracy", "macro_f1", "parsed")] == [1, 1, 1]
    assert figure(task, "wording_spread", knows) == 0
    assert figure(task, "english_label", knows) in (0, None)
    echoes = marked(task, items, lambda item: item.turns[0].user)
    assert [figure(task, name, echoes) for name in ("accuracy", "parsed")] == [0, 0]
    assert figure(task, "macro_f1", echoes) is None


@pytest.mark.parametrize("language", LANGUAGES[1:])
def test_english_labels_are_read_and_counted(language: str) -> None:
    results = marked(TOPIC, TOPIC.items(language, limit=None, seed=0), lambda item: f"{item.expect['label']}.")
    assert figure(TOPIC, "accuracy", results) == 1
    assert figure(TOPIC, "english_label", results) == 1


@pytest.mark.parametrize("kind", ["topic", "sentiment"])
def test_items_are_the_same_each_time_balanced_and_paired(kind: str) -> None:
    task = ClosedTask(kind)
    assert task.languages == tuple(PROMPTS[kind])
    for language in task.languages:
        items = task.items(language, limit=None, seed=3)
        assert items == task.items(language, limit=None, seed=3)
        assert len(items) >= 100
        assert len({item.id for item in items}) == len(items)
        assert {item.id for item in items} == {item.id for item in task.items("en", limit=None, seed=3)}
        assert Counter(Counter(item.cluster for item in items).values()) == {3: len(items) // 3}
        few = task.items(language, limit=3 * len(LABELS[kind]["en"]), seed=3)
        assert few == items[: len(few)]
        assert set(Counter(item.expect["label"] for item in few).values()) == {3}


def test_no_label_gains_by_its_place_in_the_prompt() -> None:
    for language in LANGUAGES:
        items = [item for item in TOPIC.items(language, limit=None, seed=0) if item.facets["wording"] == "form"]
        first = Counter()
        for item in items:
            names = TOPIC.label_names(language)
            row = item.turns[0].user.splitlines()[2]
            order = sorted(names, key=lambda key, row=row, names=names: row.index(names[key]))
            first[order[0], item.expect["label"] == order[0]] += 1
        places = Counter({key: first[key, True] + first[key, False] for key in LABELS["topic"]["en"]})
        assert max(places.values()) - min(places.values()) <= 6, "rounds of six texts with one order each"


@pytest.mark.parametrize(("kind", "language"), [(kind, language) for kind in PROMPTS for language in PROMPTS[kind]])
def test_prompts(kind: str, language: str) -> None:
    names = [label.name for label in LABELS[kind][language].values()]
    fields = {"text": "{labels} 文 글 {0}", "hypothesis": "{text}"} if kind == "nli" else {"text": "{labels} 文 글 {0}"}
    prompts = [ask(kind, language, number, names, **fields) for number in range(len(WORDINGS))]
    for prompt in prompts:
        assert prompt.count("{labels} 文 글 {0}") == 1, "braces in a text are text"
        assert all(name in prompt.replace(fields["text"], "") for name in names)
    for one, other in combinations(prompts, 2):
        assert one != other
    for other in set(PROMPTS[kind]) - {language}:
        assert not set(PROMPTS[kind][other]) & set(PROMPTS[kind][language])


def test_macro_f1_spread_and_majority_by_hand() -> None:
    items = SENTIMENT.items("ko", limit=12, seed=0)  # two positive and two negative texts, three wordings
    results = marked(SENTIMENT, items, lambda item: "긍정" if item.facets["wording"] != "form" else "모르겠어요")
    # 8 parsed, all positive: 4 right. F1 of positive 2·4/(8+4), of negative 0.
    assert figure(SENTIMENT, "macro_f1", results) == pytest.approx((8 / 12 + 0) / 2)
    assert figure(SENTIMENT, "accuracy", results) == pytest.approx(4 / 12)
    assert figure(SENTIMENT, "parsed", results) == pytest.approx(8 / 12)
    assert figure(SENTIMENT, "wording_spread", results) == pytest.approx(0.5)
    assert figure(SENTIMENT, "majority", results) == 0.5
    assert [one.marks["why"] for one in results[:3]] == [None, None, "no label"]


def test_aggregates_take_any_resample() -> None:
    results = marked(SENTIMENT, SENTIMENT.items("ja", limit=None, seed=0), lambda _: "ポジティブ")
    for metric in SENTIMENT.metrics:
        if metric.aggregate:
            assert metric.aggregate([]) is None
            assert (metric.aggregate(results[:1] * 5) is None) == (metric.name == "wording_spread")
            assert metric.aggregate(results[3:6] * 2) is not None


def test_languages_that_are_not_there() -> None:
    with pytest.raises(UsageError, match=r"closed-topic: has no items in 'th'; it has en, ko"):
        TOPIC.items("th", limit=None, seed=0)
    with pytest.raises(UsageError, match="closed-nli: has no items in 'ko'; it has a file of yours only"):
        ClosedTask("nli").sources("ko")
    with pytest.raises(UsageError, match=r"closed-nli in 'ja': there are no prompts for that; there are topic \(en"):
        closed_from_file("nli", "x.tsv", "ja")


def test_sources_and_version_travel() -> None:
    (source,) = TOPIC.sources("ko")
    assert source.name == "chatvector topic.ko"
    assert TOPIC.name == "closed-topic"
    assert TOPIC.needs() == ()


# --- users' files


def test_nsmc_as_it_is_published(tmp_path: Path) -> None:
    path = tmp_path / "ratings.txt"
    path.write_text('id\tdocument\tlabel\n1\t재밌다 정말\t1\n2\t별로네 "진짜"\t0\n3\t최고\t1\n', "utf-8")
    task = closed_from_file("sentiment", path, "ko", licence="CC0-1.0")
    assert task.name == "closed-sentiment-ratings"
    assert task.languages == ("ko",)
    assert task.sources("ko")[0].licence == "CC0-1.0"
    items = task.items("ko", limit=6, seed=0)
    assert Counter(item.expect["label"] for item in items) == {"negative": 3, "positive": 3}
    assert figure(task, "accuracy", marked(task, items, right_name(task))) == 1
    assert task.items("ko", limit=None, seed=0) != task.items("ko", limit=None, seed=1)


def test_a_topic_file_with_labels_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "news.jsonl"
    rows = [
        {"text": f"기사 {number}", "label": label} for number, label in enumerate(["IT과학", "생활문화", "정치"] * 2)
    ]
    path.write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    task = closed_from_file("topic", path, "ko")
    items = task.items("ko", limit=None, seed=0)
    assert "IT과학, 생활문화, 정치" in items[0].turns[0].user
    results = marked(task, items, lambda item: f"정답은 {item.expect['label']}입니다.")
    assert figure(task, "accuracy", results) == 1
    assert figure(task, "english_label", results) is None


def test_labels_in_the_language_itself(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\n很好吃,正面\n難吃,Negative\n", "utf-8")
    task = closed_from_file("sentiment", path, "zh-Hant")
    assert {item.expect["label"] for item in task.items("zh-Hant", limit=None, seed=0)} == {"positive", "negative"}


@pytest.mark.parametrize(
    ("kind", "content", "says"),
    [
        (
            "sentiment",
            "text,label\na,joy\nb,fear\n",
            r"2 labels are not of sentiment: fear, joy; use positive, negative",
        ),
        ("sentiment", "review,label\na,1\n", r"column 'text' \(or 'document', 'sentence'\) is missing"),
        ("sentiment", "text,label\n", "has no records"),
        (
            "topic",
            "text,label\na,17\nb,18\n",
            r"2 different labels \(17, 18\); a closed question needs 2 to 30, in words",
        ),
        ("topic", "text,label\na,politics\n", "1 different labels"),
        ("nli", "sentence1,sentence2\na,b\n", "column 'label'"),
    ],
)
def test_files_that_will_not_do_for_a_closed_question(tmp_path: Path, kind: str, content: str, says: str) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(content, "utf-8")
    with pytest.raises(InputError, match=says):
        closed_from_file(kind, path, "ko")


def test_public_nsmc() -> None:
    task = closed_from_file("sentiment", public_data("sentiment/nsmc.ko.test.jsonl"), "ko")
    items = task.items("ko", limit=300, seed=0)
    assert Counter(item.expect["label"] for item in items) == {"negative": 150, "positive": 150}
    assert figure(task, "accuracy", marked(task, items, right_name(task))) == 1
    assert figure(task, "parsed", marked(task, items, lambda item: item.turns[0].user)) == 0


def test_public_xnli() -> None:
    task = closed_from_file("nli", public_data("retention/xnli.dev.ko.tsv"), "ko", licence="CC-BY-SA-4.0")
    items = task.items("ko", limit=None, seed=0)
    assert len(items) == 3 * 2490
    assert max(Counter(item.cluster for item in items).values()) >= 9, "three hypotheses to a premise are one cluster"
    assert figure(task, "accuracy", marked(task, items[:300], right_name(task))) == 1


# --- by likelihood


def likelihoods(task: ClosedLikelihoodTask, items: list[Item], nats: Callable[[Item], float]) -> list[Marked]:
    answers = [Answer(item, 0, nats=nats(item), tokens=1) for item in items]
    return [Marked(*pair) for pair in zip(answers, task.mark(answers, Services()), strict=True)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_likelihood_items(language: str) -> None:
    task: Task = ClosedLikelihoodTask(SENTIMENT)
    items = task.items(language, limit=None, seed=0)
    assert len(items) == 3 * 60
    for prompt, *labelled in zip(*[iter(items)] * 3, strict=True):
        assert prompt.expect["given"] == ""
        for item in labelled:
            assert item.text is not None
            assert prompt.text is not None
            assert item.text.startswith(prompt.text)
            added = item.text.removeprefix(prompt.text).strip()
            assert added == SENTIMENT.label_names(language)[str(item.expect["given"])]
    assert len(task.items(language, limit=7, seed=0)) == 6


def test_likelihood_marks_by_hand() -> None:
    task = ClosedLikelihoodTask(SENTIMENT)
    items = task.items("en", limit=6, seed=0)  # a positive and a negative text
    nats = {"": -10.0, "positive": -14.0, "negative": -13.0}
    results = likelihoods(task, items, lambda item: nats[str(item.expect["given"])])
    # The most likely label is "negative" for both; both names have 8 bytes.
    assert [one.marks["correct"] for one in results] == [None, False, None, None, None, True]
    assert [one.marks["correct_bytes"] for one in results] == [None, False, None, None, None, True]
    assert figure(task, "accuracy", results) == 0.5
    assert all(metric.of_some for metric in task.metrics), "the items of the other labels are not lost"


def test_likelihood_a_byte_by_hand() -> None:
    task = ClosedLikelihoodTask(TOPIC)
    items = task.items("en", limit=7, seed=0)  # one text about sport
    # "sport" adds −5 over 5 bytes, "culture" −6 over 7 bytes, "food" −4 over 4.
    added = {"": 0.0, "sport": -5.0, "culture": -6.0, "food": -4.0, "economy": -9.0, "science": -9.0, "travel": -9.0}
    results = likelihoods(task, items, lambda item: -20 + added[str(item.expect["given"])])
    right = next(one for one in results if one.marks["correct"] is not None)
    assert (right.answer.item.expect["label"], right.marks["correct"], right.marks["correct_bytes"]) == (
        "sport",
        False,
        False,
    )
    knows = likelihoods(task, items, lambda item: -1.0 if item.expect["given"] == item.expect["label"] else -9.0)
    assert figure(task, "accuracy", knows) == 1


def test_a_tie_is_no_answer_and_a_missing_label_no_mark() -> None:
    task = ClosedLikelihoodTask(SENTIMENT)
    items = task.items("ko", limit=3, seed=0)
    assert figure(task, "accuracy", likelihoods(task, items, lambda _: -3.0)) == 0
    assert figure(task, "accuracy", likelihoods(task, items[:2], lambda _: -3.0)) is None
    assert figure(task, "accuracy", likelihoods(task, items, lambda _: float("-inf"))) == 0


def test_names_keep_apart() -> None:
    tasks = [TOPIC, SENTIMENT, ClosedLikelihoodTask(TOPIC), ClosedLikelihoodTask(SENTIMENT)]
    assert len({task.name for task in tasks}) == 4
    assert replace(TOPIC, version="another") != TOPIC
    assert all(isinstance(metric, Metric) for task in tasks for metric in task.metrics)
