# SPDX-License-Identifier: Apache-2.0
"""Generated prompts: enough of them, all different, none that contradicts itself, and rules that can tell."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import pytest
from compliant import broken, reply
from hypothesis import given, settings
from hypothesis import strategies as st

from chatvector.errors import UsageError
from chatvector.evaluate.languages.known import SCRIPTS
from chatvector.evaluate.task import Answer, Services, Task
from chatvector.evaluate.tasks.verifiable.generate import MOST, Prompt, checked, generate, kinds_of
from chatvector.evaluate.tasks.verifiable.kinds import GROUPS, KINDS
from chatvector.evaluate.tasks.verifiable.material import languages, material
from chatvector.evaluate.tasks.verifiable.task import PROMPTS, VerifiableTask
from chatvector.runtime.backend import Reply

LANGUAGES = ("en", "ja", "ko", "zh-Hans", "zh-Hant")


def failing(prompt: Prompt, text: str) -> list[str]:
    return [one.kind for one in prompt.instructions if not checked(one, text)]


def test_there_is_material_in_five_languages() -> None:
    assert languages() == LANGUAGES


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_prompt_contradicts_itself(language: str) -> None:
    """A reply that follows all its instructions exists for each of the prompts of three seeds."""
    for seed in range(3):
        for prompt in generate(language, PROMPTS, seed):
            text = reply(prompt)
            assert failing(prompt, text) == [], f"{prompt.text}\n---\n{text}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_rule_sees_its_instruction_broken(language: str) -> None:
    for prompt in generate(language, PROMPTS, 0):
        for one in prompt.instructions:
            text = broken(prompt, one)
            assert one.kind in failing(prompt, text), f"{prompt.text}\n---\n{text}"


@settings(max_examples=15)
@given(st.sampled_from(LANGUAGES), st.integers(0, 10**9))
def test_no_seed_makes_a_contradiction(language: str, seed: int) -> None:
    for prompt in generate(language, 12, seed):
        assert failing(prompt, reply(prompt)) == [], prompt.text
        assert all(a.goes_with(b) for a, b in combinations([KINDS[one.kind] for one in prompt.instructions], 2))


@pytest.mark.parametrize("language", LANGUAGES)
def test_prompts_are_many_different_and_the_same_each_time(language: str) -> None:
    prompts = generate(language, PROMPTS, 0)
    assert len(prompts) == len({prompt.text for prompt in prompts}) >= 150
    assert prompts == generate(language, PROMPTS, 0)
    assert prompts[:40] == generate(language, 40, 0), "a limit takes the first ones"
    assert {p.text for p in prompts} != {p.text for p in generate(language, PROMPTS, 1)}
    used = Counter(one.kind for prompt in prompts for one in prompt.instructions)
    assert used.keys() == {kind.name for kind in kinds_of(language)}, "every kind comes"
    assert min(used.values()) >= 3
    sizes = Counter(len(prompt.instructions) for prompt in prompts)
    assert set(sizes) == set(range(1, MOST + 1))
    assert min(sizes.values()) >= PROMPTS // 4
    assert not [prompt.text for prompt in prompts if "{" in prompt.text or "  " in prompt.text]
    assert all(prompt.reply_language in SCRIPTS for prompt in prompts)


def test_at_least_twenty_neutral_kinds_and_those_of_single_languages() -> None:
    neutral = [kind.name for kind in KINDS.values() if len(kind.languages) == len(LANGUAGES)]
    assert len(neutral) >= 20
    for language, own in {"ko": 3, "zh-Hant": 3, "zh-Hans": 3, "ja": 4, "en": 2}.items():
        assert sum(kind.languages != KINDS["json"].languages for kind in kinds_of(language)) >= own
    assert {kind.group for kind in KINDS.values()} == set(GROUPS)


@pytest.mark.parametrize("language", LANGUAGES)
def test_material_is_whole(language: str) -> None:
    words = material(language)
    assert len(words.subjects) >= 20
    for subject in words.subjects:
        assert len(set(subject.words)) == 3
    commas = [phrase for phrase in (*words.starts, *words.ends) for mark in ",、，" if mark in phrase]
    assert commas == [], "a phrase with a comma contradicts no_comma"
    if language == "ko":
        # A one-syllable word is found inside others: 비 in 준비.
        short = [word for subject in words.subjects for word in subject.words if len(word) < 2]
        assert short == []
    assert not set(words.languages) - set(SCRIPTS)


def marks(task: Task, items_language: str, text_of: object, limit: int = 30) -> list[dict[str, object]]:
    items = task.items(items_language, limit=limit, seed=0)
    prompts = generate(items_language, limit, 0)
    texts = [text_of(prompt) for prompt in prompts]  # type: ignore[operator]
    answers = [Answer(item, 0, (Reply(text, stopped=True),)) for item, text in zip(items, texts, strict=True)]
    return [dict(one) for one in task.mark(answers, Services())]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_task_marks_a_follower_and_an_empty_reply(language: str) -> None:
    task: Task = VerifiableTask()
    assert all(one["prompt_strict"] for one in marks(task, language, reply))
    nothing = marks(task, language, lambda _: "")
    assert not any(one["prompt_strict"] or one["prompt_loose"] for one in nothing)


def test_a_preamble_is_forgiven_by_the_loose_figure_only() -> None:
    task = VerifiableTask()
    found = marks(task, "en", lambda prompt: "Sure! Here, it is:\n" + reply(prompt), limit=PROMPTS)
    strict, loose = (sum(bool(one[name]) for one in found) for name in ("prompt_strict", "prompt_loose"))
    assert strict < PROMPTS // 2
    assert loose == PROMPTS


def test_thinking_is_not_the_answer() -> None:
    task = VerifiableTask()
    assert all(one["prompt_strict"] for one in marks(task, "ko", lambda p: f"<think>hm, {p.text}</think>{reply(p)}"))


def test_the_task_says_what_it_has() -> None:
    task = VerifiableTask()
    assert [source.name for source in task.sources("zh-Hant")] == [
        "chatvector verifiable prompts/zh-Hant.toml",
        "chatvector verifiable sides.tsv",
        "chatvector verifiable idioms.txt",
    ]
    assert len(task.items("ko", limit=None, seed=0)) == PROMPTS
    with pytest.raises(UsageError, match="verifiable: has no prompts in 'th'; it has en, ja, ko, zh-Hans, zh-Hant"):
        task.items("th", limit=None, seed=0)
