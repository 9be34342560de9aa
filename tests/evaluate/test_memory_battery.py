# SPDX-License-Identifier: Apache-2.0
"""The memory battery: its design, its texts, and what simple minds score on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from random import Random

import pytest

from chatvector.errors import UsageError
from chatvector.evaluate.conversation import ask
from chatvector.evaluate.languages import reply_language
from chatvector.evaluate.scorers import recall
from chatvector.evaluate.scorers.abstention import abstains
from chatvector.evaluate.task import Answer, Between, Item, Marks, Services
from chatvector.evaluate.tasks.memory import Memory, found_in, marks_of, unreadable_symbols
from chatvector.evaluate.tasks.memory_dialogues import DISTANCES, VARIANTS, cells
from chatvector.evaluate.tasks.memory_material import KINDS, material
from chatvector.runtime.backend import BackendInfo, Prompt, Reply, Sampling

LANGUAGES = ("en", "ja", "ko", "zh-Hans", "zh-Hant")
MEMORY = Memory()

# One way to say what was recalled, with the particles and marks that replies have, and one to say that nothing was.
SAID = {
    "en": ("You picked {list}.", "You haven't told me that yet."),
    "ko": ("네, ‘{list}’이라고 말씀하셨어요.", "그건 아직 말씀하신 적이 없습니다."),
    "zh-Hant": ("你說的是「{list}」喔。", "你還沒有告訴我這件事。"),
    "zh-Hans": ("你说的是“{list}”。", "你还没有告诉我这件事。"),
    "ja": ("はい、「{list}」とおっしゃいました。", "それはまだ伺っていません。"),
}

Mind = Callable[[Item, list[str]], str]
"""From an item and the user's messages so far to a reply."""


def converse(item: Item, mind: Mind) -> Answer:
    """What the runner does, for a mind without a template."""
    heard: list[str] = []
    replies = []
    for turn in item.turns:
        heard.append(turn.user)
        if turn.canned is None:
            replies.append(Reply(mind(item, heard), stopped=True, prompt_tokens=len(heard)))
    return Answer(item, 0, tuple(replies))


def oracle(item: Item, heard: list[str]) -> str:
    if len(heard) < len(item.turns):
        return "OK."
    told, nothing = SAID[item.language]
    answer = item.expect["answer"]
    return told.format(list=material(item.language).comma.join(answer)) if answer else nothing


def echo(item: Item, heard: list[str]) -> str:  # noqa: ARG001
    return heard[-1]


def parrot(item: Item, heard: list[str]) -> str:  # noqa: ARG001
    """Says all it was ever told: the right thing is always in it."""
    return " ".join(heard)


def everything(item: Item, heard: list[str]) -> str:
    """Lists all that could have been meant, of every kind."""
    if len(heard) < len(item.turns):
        return "OK."
    known = material(item.language)
    things = [thing for pool in known.pools.values() for thing in pool]
    return " ".join([*things, *map(str, range(1000, 1400))])


class MindBackend:
    """A mind as a model: what it is told are messages, with its own replies among them."""

    info = BackendInfo(kind="test", model="mind", fingerprint="0", template=None, prompt_form="own template")

    def __init__(self, items: Sequence[Item], mind: Mind) -> None:
        # No dialogue is the beginning of another, and own and canned twins have one answer.
        said = [(tuple(turn.user for turn in item.turns), item) for item in items]
        self.items = {users[:count]: item for users, item in said for count in range(1, len(users) + 1)}
        self.mind = mind

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Reply]:  # noqa: ARG002
        replies = []
        for prompt in prompts:
            heard = tuple(content for role, content in prompt.messages if role == "user")
            replies.append(Reply(self.mind(self.items[heard], list(heard)), stopped=True))
        return replies


def scores(language: str, mind: Mind) -> dict[str, float]:
    """Share of true marks, by mark, of the mind as a backend."""
    items = MEMORY.items(language, limit=None, seed=0)
    marks = MEMORY.mark(ask(MindBackend(items, mind), items, MEMORY.sampling), Services())
    names = {name for each in marks for name in each}
    found = {name: [each[name] for each in marks if each.get(name) is not None] for name in names}
    return {name: sum(map(float, values)) / len(values) for name, values in found.items() if values}  # type: ignore[arg-type]


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_oracle_has_all(language: str) -> None:
    found = scores(language, oracle)
    assert {name: found[name] for name in ("recalled", "recalled_canned", "abstained", "abstained_canned")} == {
        "recalled": 1.0,
        "recalled_canned": 1.0,
        "abstained": 1.0,
        "abstained_canned": 1.0,
    }
    assert (found["named"], found["ordered"], found["stale"], found["mixed_up"], found["invented"]) == (1, 1, 0, 0, 0)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("mind", [echo, everything, lambda *_: ""], ids=["echo", "everything", "silence"])
def test_an_echo_a_list_of_everything_and_silence_have_nothing(language: str, mind: Mind) -> None:
    found = scores(language, mind)
    for mark in ("recalled", "recalled_canned", "abstained", "abstained_canned"):
        assert found[mark] == 0.0, mark


@pytest.mark.parametrize("language", LANGUAGES)
def test_all_symbols_have_nothing_on_symbols(language: str) -> None:
    symbols = " ".join(material(language).pools["symbol"])
    items = [item for item in MEMORY.items(language, limit=None, seed=0) if item.facets["kind"] == "symbol"]
    for item in items:
        marks = marks_of(converse(item, lambda *_: symbols))
        assert not any(marks.get(name) for name in ("recalled", "recalled_canned", "abstained", "abstained_canned"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_parrot_recalls_only_where_nothing_else_was_told(language: str) -> None:
    """All that was told, in order, is the right answer to a plain question, and to no other."""
    for item in MEMORY.items(language, limit=None, seed=0):
        recalled = marks_of(converse(item, parrot)).get("recalled")
        if recalled is not None:
            plain = item.facets["variant"] == "recall" and not item.expect["old"]
            assert recalled is plain, item.id


def test_the_one_who_never_knows_has_only_abstentions() -> None:
    found = scores("ko", lambda *_: SAID["ko"][1])
    assert (found["recalled"], found["abstained"]) == (0.0, 1.0)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_design_is_full_and_paired(language: str) -> None:
    items = MEMORY.items(language, limit=None, seed=0)
    assert len(items) == 640
    assert len({item.id for item in items}) == 640
    design = Counter(tuple(sorted(item.facets.items())) for item in items)
    assert len(design) == 4 * 5 * 2 * 4 * 2
    assert set(design.values()) == {2}
    for own, canned in zip(items[::2], items[1::2], strict=True):
        assert own.cluster == canned.cluster != ""
        assert [turn.user for turn in own.turns] == [turn.user for turn in canned.turns]
        assert all(turn.canned is None for turn in own.turns)
        assert [turn.canned is None for turn in canned.turns] == [False] * (len(canned.turns) - 1) + [True]


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_any_beginning_is_balanced(seed: int) -> None:
    listed = list(cells(seed))
    for start in range(0, len(listed), 20):
        part = listed[start : start + 20]
        assert {(cell.kind, cell.distance) for cell in part} == {(k, d) for k in KINDS for d in DISTANCES}
        assert {cell.variant for cell in part} == set(VARIANTS)
        assert all(2 <= count <= 3 for count in Counter((cell.variant, cell.count) for cell in part).values())


def test_items_are_the_same_again_and_parallel_across_languages() -> None:
    first = MEMORY.items("ko", limit=None, seed=3)
    assert first == MEMORY.items("ko", limit=None, seed=3)
    assert first[:40] == MEMORY.items("ko", limit=40, seed=3)
    assert first != MEMORY.items("ko", limit=None, seed=4)
    for korean, english in zip(first, MEMORY.items("en", limit=None, seed=3), strict=True):
        assert korean.id == english.id
        if korean.facets["kind"] in ("symbol", "number"):
            assert korean.expect == english.expect
    with pytest.raises(UsageError, match=r"'memory': none in 'th'; it is there in en, ja, ko, zh-Hans, zh-Hant"):
        MEMORY.items("th", limit=1, seed=0)


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_to_recall_stands_in_question_or_canned_reply(language: str) -> None:
    """Else an echo could be right, and a canned reply would remind the model."""
    known = material(language)
    texts = [text for pair in known.distractors for text in pair]
    texts += [*known.acknowledgements, known.request, known.change, known.correction, *known.friends, *known.relatives]
    for item in MEMORY.items(language, limit=None, seed=0):
        texts.append(item.turns[-1].user)
    for text in texts:
        assert all(found_in(text, kind, known) == [] for kind in KINDS), text
        assert not abstains(text, language), text


@pytest.mark.parametrize("language", LANGUAGES)
def test_texts_are_in_their_language(language: str) -> None:
    for item in MEMORY.items(language, limit=80, seed=1):
        for turn in item.turns:
            for text in (turn.user, turn.canned or ""):
                reading = reply_language(text, language)
                # The odd short line of Chinese has no character of one side; two dishes of a pool have none either.
                assert reading.pass_line in (True, None), text
                assert reading.pass_word, text


@pytest.mark.parametrize("language", LANGUAGES)
def test_things_are_told_apart(language: str) -> None:
    known = material(language)
    for kind, pool in known.pools.items():
        assert len(set(pool)) == len(pool)
        for thing in pool:
            assert found_in(thing, kind, known) == [thing]
    for thing, other in known.also.items():
        kind = "word" if thing in known.pools["word"] else "fact"
        assert found_in(other, kind, known) == [thing]


def test_a_symbol_that_a_tokenizer_loses_is_named() -> None:
    assert unreadable_symbols("ko", lambda text: text) == frozenset()
    lost = unreadable_symbols("ko", lambda text: text.replace("⚡", ""))
    assert lost == {"⚡"}


class Losing(MindBackend):
    """Its tokenizer has no token for one symbol."""

    def round_trip(self, text: str) -> str:
        return text.replace("⚡", "")


def test_what_a_tokenizer_loses_is_counted_and_left_out_of_the_recall_of_what_it_keeps() -> None:
    items = MEMORY.items("ko", limit=None, seed=0)

    def forgetful(item: Item, heard: list[str]) -> str:
        """Recalls all but what it cannot read."""
        return "?" if "⚡" in item.expect["answer"] else oracle(item, heard)

    minds = {"reads": MindBackend(items, oracle), "loses": Losing(items, forgetful)}
    answers = {name: ask(mind, items, MEMORY.sampling) for name, mind in minds.items()}
    seen = {name: MEMORY.observe(mind, items) for name, mind in minds.items()}
    assert seen == {"reads": None, "loses": {"⚡"}}
    marks = MEMORY.compare(Between(answers, None, None, Services(), seen))
    assert {value for one in marks["reads"] for value in one.values()} == {None}, "no tokenizer was seen"
    plain = MEMORY.mark(answers["loses"], Services())
    for item, one, own in zip(items, marks["loses"], plain, strict=True):
        told = [*item.expect["answer"], *item.expect["old"]]
        readable = "⚡" not in told if item.facets["kind"] == "symbol" else None
        assert one["readable"] == readable
        assert one["recalled_readable"] == (own.get("recalled") if readable else None)
    kept = [one["recalled_readable"] for one in marks["loses"] if one["recalled_readable"] is not None]
    assert kept
    assert all(kept), "what it can read it recalls"
    assert {own.get("recalled") for own in plain} == {True, False, None}


@pytest.mark.parametrize(
    ("text", "kind", "found"),
    [
        ("⚡\ufe0f입니다! ⚡", "symbol", ["⚡"]),
        ("✅ 정답: **⚡** 😊", "symbol", ["⚡"]),
        ("⚡가 아니라 ☂였어요", "symbol", ["⚡", "☂"]),
        ("⚡, ⚙, ⛵", "symbol", ["⚡", "⚙", "⛵"]),
        ("５,８３１이었습니다", "number", ["5831"]),
        ("1) 4309 2) 5791, 6004.", "number", ["4309", "5791", "6004"]),
        ("4309,5791", "number", ["4309", "5791"]),
        ("43", "number", []),
        ("‘등대’였습니다.", "word", ["등대"]),
        ("\u1103\u1173\u11bc\u1103\u1162", "word", ["등대"]),
        ("순두부찌개를 가장 좋아하신대요", "fact", ["순두부찌개"]),
    ],
)
def test_candidates_in_korean_replies(text: str, kind: str, found: list[str]) -> None:
    assert found_in(text, kind, material("ko")) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It was LIGHTHOUSES, I think.", ["lighthouse"]),
        ("A lighthousekeeper", []),
        ("mirrored", []),
        ("compass and compasses", ["compass"]),
    ],
)
def test_candidates_in_english_replies(text: str, found: list[str]) -> None:
    assert found_in(text, "word", material("en")) == found


def test_the_other_side_spelling_counts_as_remembered() -> None:
    assert found_in("你选的是灯塔。", "word", material("zh-Hant")) == ["燈塔"]
    assert found_in("是擔擔麵吧", "fact", material("zh-Hans")) == ["担担面"]


def only(marks: Marks) -> dict[str, object]:
    return {name: value for name, value in marks.items() if value is not None and name != "prompt_tokens"}


def asked(variant: str, kind: str = "symbol", count: str = "1") -> Item:
    wanted = {"variant": variant, "kind": kind, "items": count, "replies": "own"}
    items = MEMORY.items("ko", limit=None, seed=0)
    return next(item for item in items if wanted.items() <= item.facets.items())


def test_old_and_new_together_are_no_answer() -> None:
    item = asked("overwrite")
    old, new = item.expect["old"][0], item.expect["answer"][0]
    assert only(marks_of(converse(item, lambda *_: f"{old}에서 {new}로 바꾸셨어요."))) == {
        "recalled": False,
        "named": True,
        "stale": False,
    }
    assert only(marks_of(converse(item, lambda *_: old))) == {"recalled": False, "named": False, "stale": True}
    assert only(marks_of(converse(item, lambda *_: new))) == {"recalled": True, "named": True, "stale": False}


def test_the_other_speakers_is_told_from_a_miss() -> None:
    item = asked("two-speakers", "number")
    assert only(marks_of(converse(item, lambda *_: item.expect["old"][0])))["mixed_up"] is True
    assert only(marks_of(converse(item, lambda *_: "모르겠습니다")))["mixed_up"] is False


def test_order_counts_where_all_are_there() -> None:
    item = asked("recall", "word", "3")
    first, second, third = item.expect["answer"]
    assert only(marks_of(converse(item, lambda *_: f"{second}, {first}, {third}"))) == {
        "recalled": False,
        "named": True,
        "ordered": False,
    }
    assert "ordered" not in only(marks_of(converse(item, lambda *_: f"{first}, {second}")))


def test_naming_what_others_like_is_no_invention() -> None:
    item = asked("absent", "fact", "3")
    told = item.expect["old"][0]
    invented = next(dish for dish in material("ko").pools["fact"] if dish not in item.expect["old"])
    honest = f"다른 분은 {told}라고 하셨지만, 그분은 말씀하신 적이 없어요."
    assert only(marks_of(converse(item, lambda *_: honest))) == {"abstained": True, "invented": False}
    hedged = f"말씀하신 적이 없지만 아마 {invented}일 거예요."
    assert only(marks_of(converse(item, lambda *_: hedged))) == {"abstained": False, "invented": True}


def test_only_the_answer_counts_not_the_thinking() -> None:
    item = asked("recall")
    answer, *_ = item.expect["answer"]
    thought = f"<think>☂인가? 아니면 ♞? {answer}였지.</think>\n{answer}입니다."
    assert only(marks_of(converse(item, lambda *_: thought)))["recalled"] is True
    assert only(marks_of(converse(item, lambda *_: f"<think>{answer}였지.</think>모르겠어요.")))["recalled"] is False


def test_guessing_has_hardly_a_chance() -> None:
    rng = Random(0)
    found = scores("en", lambda *_: rng.choice(material("en").pools["symbol"]))
    assert found["recalled"] < 0.05


def test_normalisation_leaves_a_list_of_numbers_a_list() -> None:
    assert recall.numbers("1234,567 1,234") == ["1234567", "1234"]
