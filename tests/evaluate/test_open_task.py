# SPDX-License-Identifier: Apache-2.0
"""Open questions: items, marks by a judge, pairs between models, and the published files."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripted_backend import ScriptedBackend

from chatvector.errors import InputError, UsageError
from chatvector.evaluate.conversation import ask
from chatvector.evaluate.judge.model_judge import ModelJudge
from chatvector.evaluate.judge.rule_judge import RuleJudge
from chatvector.evaluate.task import Answer, Between, Comparing, Item, Marked, Services, Task, Turn
from chatvector.evaluate.tasks.open import OpenTask, open_from_file
from chatvector.evaluate.tasks.open_data import SYSTEM_PROMPTS, read_questions, starter
from chatvector.evaluate.tasks.open_pairs import OpenPairsTask
from chatvector.runtime.backend import Prompt, Reply
from public_data import public_data

LANGUAGES = ("en", "ja", "ko", "zh-Hans", "zh-Hant")
KOREAN = "얼음은 물이 아주 차가워져서 단단하게 언 것입니다."
ENGLISH = "Ice is water that has become so cold that it is hard."


def answer(reply: str, name: str = "q", language: str = "ko", references: tuple[str, ...] = ()) -> Answer:
    item = Item(name, language, (Turn("얼음이 뭐예요?"),), expect={"references": list(references)})
    return Answer(item, 0, (Reply(reply, True),))


def says(score: int) -> Services:
    return Services(judge=ModelJudge(ScriptedBackend(lambda _: f"Rating: [[{score}]]")))


@pytest.mark.parametrize("language", LANGUAGES)
def test_items_of_a_question_stand_together(language: str) -> None:
    task: Task = OpenTask()
    items = task.items(language, limit=None, seed=0)
    rows = starter(language)
    assert len(items) == 2 * sum(len(row.turns) for row in rows)
    assert len({item.id for item in items}) == len(items)
    assert {item.cluster for item in items} == {row.id for row in rows}
    assert [item.facets["turn"] for item in items[:4]] == ["1", "1", "2", "2"]
    for item in items:
        assert len(item.turns) == int(item.facets["turn"]) == len(item.expect["references"])
        assert item.system == (SYSTEM_PROMPTS[language] if item.facets["system"] == "with" else None)
    assert task.needs() == ("judge",)
    assert task.items(language, limit=5, seed=1) == items[:5]


def test_second_turns_meet_the_models_own_first_reply() -> None:
    task = OpenTask(systems=("without",))
    backend = ScriptedBackend(lambda prompt: f"<think>hm</think>reply {len(prompt.messages)}")
    answers = ask(backend, task.items("en", limit=2, seed=0), task.sampling)
    judge = ScriptedBackend(lambda _: "[[7]]")
    task.mark(answers, Services(judge=ModelJudge(judge)))
    prompts = sorted((prompt.messages[0][1] for prompt, _ in judge.asked), key=len)
    assert "reply 1" in prompts[0]
    assert "Assistant: reply 1" in prompts[1]
    assert "reply 3" in prompts[1]
    assert "think" not in "".join(prompts)
    assert len(backend.asked) == 2  # the first turn is asked once for both items


def test_wrong_language_costs_the_root_and_then_everything() -> None:
    marks = OpenTask().mark([answer(KOREAN, "a"), answer(ENGLISH, "b"), answer("42", "c")], says(9))
    assert [(one["raw"], one["root"], one["gated"], one["on_target"]) for one in marks] == [
        (9.0, 9.0, 9.0, True),
        (9.0, 3.0, 1.0, False),
        (9.0, 9.0, 9.0, None),
    ]
    assert [one["characters"] for one in marks] == [float(len(KOREAN)), float(len(ENGLISH)), 2.0]


def test_a_reference_in_another_language_asks_for_that_language() -> None:
    marks = OpenTask().mark([answer(ENGLISH, references=(ENGLISH,))], says(9))
    assert (marks[0]["gated"], marks[0]["on_target"]) == (9.0, None)


def test_what_the_judge_says_and_nobody_can_read_is_no_score() -> None:
    services = Services(judge=ModelJudge(ScriptedBackend(lambda _: "a fine reply")))
    marks = OpenTask().mark([answer(KOREAN)], services)[0]
    assert (marks["raw"], marks["gated"], marks["scored"], marks["judge_reason"]) == (None, None, False, "no verdict")


def test_nothing_said_is_not_shown_to_the_judge() -> None:
    judge = ScriptedBackend(lambda _: "[[10]]")
    marks = OpenTask().mark([answer("<think>so</think>")], Services(judge=ModelJudge(judge)))[0]
    assert (marks["raw"], marks["gated"], marks["scored"]) == (1.0, 1.0, None)
    assert judge.asked == []


def test_length_bias_is_shown() -> None:
    metric = next(one for one in OpenTask().metrics if one.name == "length_bias")
    assert metric.aggregate is not None
    marked = [Marked(answer("x"), {"raw": float(n), "characters": float(10 * n)}) for n in range(1, 6)]
    assert metric.aggregate(marked) == pytest.approx(1)
    assert metric.aggregate(marked[:2]) is None


@pytest.mark.parametrize("language", LANGUAGES)
def test_references_are_in_their_language(language: str) -> None:
    """The gate stands open for the starter set: each reference has full marks from itself."""
    task = OpenTask(systems=("without",))
    items = task.items(language, limit=None, seed=0)
    answers = [Answer(item, 0, tuple(Reply(text, True) for text in item.expect["references"])) for item in items]
    marks = task.mark(answers, Services(judge=RuleJudge()))
    assert {one["gated"] for one in marks} == {10.0}


def preference(prompt: Prompt) -> str:
    """Likes the reply with the word best, wherever it stands."""
    before, after = prompt.messages[0][1].split("답변 B ==")
    return "[[A]]" if "최고" in before else "[[B]]" if "최고" in after else "[[C]]"


def test_pairs_against_the_reference() -> None:
    task = OpenPairsTask()
    assert isinstance(task, Comparing)
    good, plain = f"최고: {KOREAN}", KOREAN
    answers = {
        "target": [answer(plain, "a"), answer(good, "b"), answer(plain, "c"), answer(plain, "d")],
        "merge": [answer(good, "a"), answer(plain, "b"), answer(plain, "c")],
    }
    services = Services(judge=ModelJudge(ScriptedBackend(preference)))
    found = task.compare(Between(answers, "target", None, services))
    assert [one["preferred"] for one in found["merge"]] == [1.0, 0.0, 0.5]
    assert [one["consistent"] for one in found["merge"]] == [True, True, True]
    assert [one["longer"] for one in found["merge"]] == [4.0, -4.0, 0.0]
    assert [one["preferred"] for one in found["target"]] == [None] * 4
    assert [dict(one) for one in task.mark(answers["target"], services)] == [dict(one) for one in found["target"]]


def test_pairs_in_the_wrong_language_lose() -> None:
    first = ModelJudge(ScriptedBackend(lambda prompt: "[[A]]" if "Ice is" in prompt.messages[0][1][-700:] else "[[B]]"))
    task = OpenPairsTask()
    answers = {"ref": [answer(KOREAN, "a"), answer(ENGLISH, "b")], "m": [answer(ENGLISH, "a"), answer(ENGLISH, "b")]}
    marks = task.compare(Between(answers, "ref", None, Services(judge=first)))["m"]
    assert [one["gated"] for one in marks] == [0.0, 0.5]


def test_every_pair_needs_one_prompt_in_each_order() -> None:
    backend = ScriptedBackend(lambda _: "[[A]]")
    answers = {name: [answer(f"{KOREAN} {name}")] for name in ("a", "b", "c")}
    task = OpenPairsTask()
    found = task.compare(Between(answers, "a", None, Services(judge=ModelJudge(backend))))
    assert [found[name][0]["preferred"] for name in "bc"] == [0.5, 0.5]
    assert [found[name][0]["consistent"] for name in "bc"] == [False, False]
    assert len(backend.asked) == 4


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def test_files_of_the_mt_bench_family(tmp_path: Path) -> None:
    path = write(
        tmp_path / "mt.jsonl",
        '{"question_id": 81, "category": "writing", "turns": ["one", "two"], "reference": ["1", "2"]}',
        '{"question_id": 82, "category": "maths", "turns": ["three"]}',
    )
    task = open_from_file(path, "ko", licence="Apache-2.0")
    assert (task.name, task.languages) == ("open-mt", ("ko",))
    items = task.items("ko", limit=None, seed=0)
    assert [item.id for item in items] == ["81/1/without", "81/2/without", "82/1/without"]
    assert [item.expect["references"] for item in items] == [["1"], ["1", "2"], []]
    assert task.sources("ko")[0].licence == "Apache-2.0"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"question_id": 1, "turns": []}', "record 1: turns must be a text or a list of texts"),
        ('{"question_id": 1, "turns": ["a", " "]}', "record 1: turns must be"),
        ('{"question_id": 1, "turns": ["a", "b"], "reference": ["x"]}', "1 references for 2 turns"),
        ('{"question_id": 1, "turns": ["a"]}\n{"question_id": 1, "turns": ["b"]}', "question_id 1 comes 2 times"),
        ('{"question_id": 1}', "column 'turns'"),
    ],
)
def test_files_that_hold_no_questions(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_questions(write(tmp_path / "q.jsonl", line), "ko")


def test_refusals() -> None:
    with pytest.raises(UsageError, match="choose from without, with"):
        OpenTask(systems=("maybe",))
    with pytest.raises(UsageError, match="has no items in 'th'"):
        OpenTask().items("th", limit=None, seed=0)


def test_no_system_prompt_in_a_language_of_the_users(tmp_path: Path) -> None:
    path = write(tmp_path / "q.jsonl", '{"id": 1, "question": "ice?"}')
    with pytest.raises(UsageError, match="no system prompt in 'th'"):
        open_from_file(path, "th", systems=("with",)).items("th", limit=None, seed=0)
    assert len(open_from_file(path, "th").items("th", limit=None, seed=0)) == 1


@pytest.mark.parametrize(
    ("name", "language", "questions", "turns", "referenced"),
    [
        ("vicuna_bench.en", "en", 80, 1, 0),
        ("mt_bench.en", "en", 80, 2, 39),
        ("mt_bench.ko", "ko", 80, 2, 39),
        ("mt_bench.ja", "ja", 60, 2, 0),
    ],
)
def test_published_files(name: str, language: str, questions: int, turns: int, referenced: int) -> None:
    found = read_questions(public_data(f"judged/{name}.jsonl"), language)
    assert len(found.rows) == questions
    assert {len(row.turns) for row in found.rows} == {turns}
    assert sum(bool(row.references) for row in found.rows) == referenced
