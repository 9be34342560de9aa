# SPDX-License-Identifier: Apache-2.0
"""Safety and over-refusal: pairs of items, marks by hand, both detectors, and the published sets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from scripted_backend import ScriptedBackend

from chatvector.errors import DamagedFile, InputError, MissingInput, UsageError
from chatvector.evaluate.redaction import redact, shown
from chatvector.evaluate.scorers.guard import FORMATS, GenerativeGuard
from chatvector.evaluate.task import Answer, Item, Marked, Marks, Services
from chatvector.evaluate.tasks import safety_data
from chatvector.evaluate.tasks.safety import SafetyTask, safety_from_file
from chatvector.runtime.backend import Prompt, Reply
from public_data import public_data

REFUSES = {
    "en": "I'm sorry, but I can't help with that.",
    "ko": "죄송하지만 그 요청은 도와드릴 수 없습니다.",
    "zh-Hant": "抱歉，我無法協助這個請求。",
    "zh-Hans": "抱歉，我无法协助这个请求。",
    "ja": "申し訳ありませんが、お手伝いできません。",
}
ANSWERS = {
    "en": "Here is what you asked for.",
    "ko": "네, 순서는 다음과 같습니다.",
    "zh-Hant": "好的，順序如下。",
    "zh-Hans": "好的，顺序如下。",
    "ja": "はい、順番は次のとおりです。",
}


def guard(text: str) -> GenerativeGuard:
    """Says the same of every reply; `text` may be a function of the reply."""
    return GenerativeGuard(ScriptedBackend(lambda _: text, "Qwen3Guard-Gen-0.6B"), FORMATS["qwen3guard"])


def mark(kind: str, reply: str, language: str = "en", services: Services | None = None) -> Marks:
    task = SafetyTask()
    item = next(item for item in task.items(language, limit=None, seed=0) if item.expect["kind"] == kind)
    return task.mark([Answer(item, 0, (Reply(reply, True),))], services or Services())[0]


@pytest.mark.parametrize("language", sorted(REFUSES))
def test_starter_items_come_in_pairs(language: str) -> None:
    task = SafetyTask()
    items = task.items(language, limit=None, seed=0)
    assert len(items) == 80
    asked = {item.id: item for item in items if item.facets["kind"] == "unsafe"}
    for unsafe, safe in zip(items[::2], items[1::2], strict=True):
        assert (unsafe.facets["kind"], safe.facets["kind"]) == ("unsafe", "safe")
        assert unsafe.cluster == unsafe.id
        if safe.cluster:
            assert asked[safe.cluster].facets["category"] == safe.facets["category"]
    assert sum(item.facets["kind"] == "safe" and not item.cluster for item in items) == 1
    assert all(item.sensitive for item in items)
    assert task.items(language, limit=6, seed=9) == items[:6]
    assert [source.name for source in task.sources(language)] == [
        f"chatvector unsafe.{language}",
        f"chatvector borderline.{language}",
    ]


@pytest.mark.parametrize("language", sorted(REFUSES))
def test_patterns_alone(language: str) -> None:
    declined, over = mark("unsafe", REFUSES[language], language), mark("safe", REFUSES[language], language)
    assert (declined["declined"], declined["over"]) == (True, None)
    assert (over["declined"], over["over"]) == (None, True)
    assert declined["other_language"] is False
    answered = mark("safe", ANSWERS[language], language)
    assert (answered["over"], answered["partial"], answered["other_language"]) == (False, None, None)
    # Without a guard nothing is said of safety, and nothing is made up.
    for name in ("unsafe", "safety", "guard_refused", "agree", "guard_read", "doubtful", "unsafe_of_safe"):
        assert declined[name] is None


def test_refusals_in_another_language() -> None:
    for language in ("ko", "zh-Hant", "zh-Hans", "ja"):
        assert mark("unsafe", REFUSES["en"], language)["other_language"] is True
    assert mark("unsafe", REFUSES["ko"], "en")["other_language"] is True
    assert mark("unsafe", REFUSES["zh-Hans"], "zh-Hant")["other_language"] is True
    assert mark("unsafe", REFUSES["zh-Hant"], "zh-Hans")["other_language"] is True
    # Nothing in it that only one side writes.
    assert mark("unsafe", "抱歉，我不能回答。", "zh-Hant")["other_language"] is False


def test_guard_and_patterns_side_by_side() -> None:
    unsafe = Services(guard=guard("Safety: Unsafe\nCategories: Violent\nRefusal: No"))
    marks = mark("unsafe", ANSWERS["en"], services=unsafe)
    assert (marks["unsafe"], marks["doubtful"], marks["declined"], marks["guard_declined"]) == (
        True,
        True,
        False,
        False,
    )
    assert marks["agree"] is True
    marks = mark("safe", REFUSES["en"], services=unsafe)
    assert (marks["unsafe"], marks["unsafe_of_safe"], marks["over"], marks["guard_over"]) == (None, True, True, False)
    assert marks["agree"] is False
    doubtful = Services(guard=guard("Safety: Controversial\nCategories: PII\nRefusal: No"))
    marks = mark("unsafe", ANSWERS["en"], services=doubtful)
    assert (marks["unsafe"], marks["doubtful"]) == (False, True)
    nonsense = Services(guard=guard("I cannot say."))
    marks = mark("unsafe", ANSWERS["en"], services=nonsense)
    assert (marks["unsafe"], marks["doubtful"], marks["guard_read"], marks["agree"]) == (None, None, False, None)
    assert "no line Safety" in str(marks["guard_reason"])


def test_kappa_of_the_detectors() -> None:
    task = SafetyTask()
    items = task.items("en", limit=4, seed=0)

    def verdict(prompt: Prompt) -> str:
        said = prompt.messages[-1][1]
        return f"Safety: Safe\nCategories: None\nRefusal: {'Yes' if 'no way' in said else 'No'}"

    services = Services(guard=GenerativeGuard(ScriptedBackend(verdict), FORMATS["qwen3guard"]))
    # patterns: yes yes no no; guard: yes no no no → agree 3/4, chance 1/2·1/4 + 1/2·3/4 = 1/2, κ = 1/2
    texts = ["no way, I can't help with that.", REFUSES["en"], ANSWERS["en"], ANSWERS["en"]]
    answers = [Answer(item, 0, (Reply(text, True),)) for item, text in zip(items, texts, strict=True)]
    marked = [Marked(answer, marks) for answer, marks in zip(answers, task.mark(answers, services), strict=True)]
    kappa = next(metric for metric in task.metrics if metric.name == "kappa")
    assert kappa.aggregate is not None
    assert kappa.aggregate(marked) == pytest.approx(0.5)
    assert kappa.aggregate([Marked(answers[0], task.mark(answers[:1], Services())[0])]) is None


def test_every_metric_has_its_mark() -> None:
    """On two replies, every mark that a metric averages is there, and a boolean where it is said."""
    task = SafetyTask()
    marks = mark(
        "unsafe", REFUSES["en"], services=Services(guard=guard("Safety: Safe\nCategories: None\nRefusal: Yes"))
    )
    for metric in task.metrics:
        if metric.mark is not None:
            assert metric.mark in marks
            assert marks[metric.mark] is None or isinstance(marks[metric.mark], bool)
    assert [metric.name for metric in task.metrics if metric.primary] == ["unsafe", "over_refusal"]


def test_needs() -> None:
    assert SafetyTask().needs() == ()
    assert SafetyTask(guard_needed=True).needs() == ("guard",)
    with pytest.raises(UsageError, match="has no items in 'th'"):
        SafetyTask().items("th", limit=None, seed=0)


# --- published sets --------------------------------------------------------------------------------------------------


def written(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8-sig")
    return path


def test_multijail(tmp_path: Path) -> None:
    path = written(tmp_path, "m.csv", "id,source,tags,en,zh,ko\n0,a,\"['Theft', 'Violence']\",one,一,하나\n")
    rows = safety_data.read_multijail(path, "ko").rows
    assert rows == (safety_data.Request("multijail-0", "하나", "unsafe", "Theft"),)
    assert safety_data.read_multijail(path, "zh-Hans").rows[0].prompt == "一"
    with pytest.raises(UsageError, match="no column for 'zh-Hant'; it has en, zh, ko"):
        safety_data.read_multijail(path, "zh-Hant")
    bad = written(tmp_path, "bad.csv", "id,source,tags,en\n0,a,none of it,one\n")
    with pytest.raises(DamagedFile, match="tags are no list"):
        safety_data.read_multijail(bad, "en")


def test_xsafety(tmp_path: Path) -> None:
    folder = tmp_path / "en"
    folder.mkdir()
    written(folder, "Mental_Health.csv", '"a, b"\nc, d\n\n "e ""f"""\n')
    written(folder, "Insult.csv", "x\n")
    requests = safety_data.read_xsafety(folder, "en")
    assert [(row.prompt, row.category) for row in requests.rows] == [
        ("x", "insult"),
        ("a, b", "mental health"),
        ("c, d", "mental health"),
        ('"e ""f"""', "mental health"),
    ]
    assert requests.source.name == "en"
    assert len(safety_data.read_xsafety(folder / "Insult.csv", "en").rows) == 1
    with pytest.raises(MissingInput, match=r"has no \.csv files"):
        safety_data.read_xsafety(tmp_path, "en")


def test_xstest(tmp_path: Path) -> None:
    second = written(tmp_path, "x.csv", "id,prompt,type,label\n1,How?,homonyms,safe\n2,Why?,contrast_x,unsafe\n")
    assert [(row.kind, row.category) for row in safety_data.read_xstest(second).rows] == [
        ("safe", "homonyms"),
        ("unsafe", "x"),
    ]
    first = written(tmp_path, "y.csv", "id_v2,prompt,type\nv2-1,How?,homonyms\nv2-2,Why?,contrast_x\n")
    assert [row.kind for row in safety_data.read_xstest(first).rows] == ["safe", "unsafe"]
    with pytest.raises(UsageError, match="XSTest is English"):
        safety_from_file(second, "ko", form="xstest")


def test_safety_prompts(tmp_path: Path) -> None:
    content = {"Insult": [{"prompt": "一", "type": "Insult", "response": "二"}], "Mental_Health": [{"prompt": "三"}]}
    path = written(tmp_path, "typical.json", json.dumps(content))
    rows = safety_data.read_safety_prompts(path).rows
    assert [(row.prompt, row.category, row.kind) for row in rows] == [
        ("一", "insult", "scenario"),
        ("三", "mental health", "scenario"),
    ]
    task = safety_from_file(path, "zh-Hans", form="safety-prompts")
    item = task.items("zh-Hans", limit=1, seed=0)[0]
    services = Services(guard=guard("Safety: Unsafe\nCategories: None\nRefusal: No"))
    marks = task.mark([Answer(item, 0, (Reply("好的。", True),))], services)[0]
    assert (marks["unsafe_scenario"], marks["unsafe"], marks["over"], marks["declined"]) == (True, None, None, None)


@pytest.mark.parametrize("content", ["[]", "{", '{"a": 1}', '{"a": [{"x": 1}]}', '{"a": [{"prompt": " "}]}'])
def test_safety_prompts_that_are_none(tmp_path: Path, content: str) -> None:
    with pytest.raises(DamagedFile):
        safety_data.read_safety_prompts(written(tmp_path, "x.json", content))
    with pytest.raises(InputError, match="has no requests"):
        safety_data.read_safety_prompts(written(tmp_path, "y.json", "{}"))


def test_ones_own(tmp_path: Path) -> None:
    path = written(tmp_path, "own.csv", "id,prompt,label,category\na,하나,unsafe,x\nb,둘,Safe,\n")
    task = safety_from_file(path, "ko", guard_needed=True)
    assert task.name == "safety-own"
    assert {
        (item.id, item.facets["kind"], item.facets["category"]) for item in task.items("ko", limit=None, seed=0)
    } == {
        ("a", "unsafe", "x"),
        ("b", "safe", "all"),
    }
    for content, message in [
        ("prompt,label\na,odd\n", "label is 'odd'"),
        ("id,prompt,label\na,x,safe\na,y,safe\n", "1 ids come twice: a"),
        ("prompt\nx\n", "column 'label'"),
    ]:
        with pytest.raises(InputError, match=message):
            safety_data.read_requests(written(tmp_path, "bad.csv", content), "ko")
    with pytest.raises(UsageError, match="safety data 'x'"):
        safety_from_file(path, "ko", form="x")


@pytest.mark.parametrize(
    ("name", "language", "form", "count", "kinds"),
    [
        ("safety/multijail.csv", "ko", "multijail", 315, {"unsafe"}),
        ("safety/multijail.csv", "zh-Hans", "multijail", 315, {"unsafe"}),
        ("safety/xsafety/en", "en", "xsafety", 1400, {"scenario"}),
        ("safety/xsafety/zh", "zh-Hans", "xsafety", 1400, {"scenario"}),
        ("safety/xsafety/ja", "ja", "xsafety", 1400, {"scenario"}),
        ("safety/xstest_prompts.csv", "en", "xstest", 450, {"safe", "unsafe"}),
    ],
)
def test_the_published_files(name: str, language: str, form: str, count: int, kinds: set[str]) -> None:
    task = safety_from_file(public_data(name), language, form=form)
    items = task.items(language, limit=None, seed=0)
    assert len(items) == count
    assert {item.facets["kind"] for item in items} == kinds
    first = task.items(language, limit=40, seed=0)
    categories = [item.facets["category"] for item in first]
    assert max(map(categories.count, categories)) <= 40 // len(set(categories)) + 1 + 2 * (form == "xstest")


# --- redaction -------------------------------------------------------------------------------------------------------


def item(**settings: Any) -> Item:
    return Item(id="i", language="en", text="x", mode="continue", **settings)


def test_redaction() -> None:
    assert redact("harm") == "[redacted: 4 characters, af3ce03f]"
    assert shown("harm", item()) == "harm"
    assert shown("harm", item(sensitive=True)) == redact("harm")
    assert shown("harm", item(sensitive=True), reveal=True) == "harm"
    assert shown("", item(sensitive=True)) == ""
