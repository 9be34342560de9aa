# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from chatvector.errors import IncompatibleParents, InputError, UsageError
from chatvector.vocabulary.chat_format import ChatFormat
from chatvector.vocabulary.choice import Choice
from chatvector.vocabulary.rows import RowMap, VectorTables, VocabularyPlan, plan_vocabulary, rows_needed
from chatvector.vocabulary.tokens import AddedToken, TokenTable
from chatvector.vocabulary.untrained import RowHealth


def table(ids: Mapping[str, int]) -> TokenTable:
    added = {token: AddedToken(token, special=True) for token in ids if token.startswith("<")}
    return TokenTable(dict(ids), added, "tokenizer.json", max(ids.values()) + 1)


def listed(*tokens: str) -> TokenTable:
    return table({token: row for row, token in enumerate(tokens)})


def moving(*tokens: str, vector: int = 0) -> Choice:
    found = ChatFormat(
        templates={"default": ""},
        special_tokens={},
        template_tokens=tokens,
        stop_tokens=tokens[-1:],
        generation_config={},
        uses_jinja_file=False,
        injected_system_prompt=None,
    )
    return Choice(found, moves=True, vector=vector, source="vector")


def vector(base: TokenTable, chat: TokenTable, padding: int = 0, name: str = "vector") -> VectorTables:
    return VectorTables(base, chat, base.size + padding, chat.size + padding, name)


def apply(
    plan: VocabularyPlan, target: NDArray[Any], parents: list[tuple[NDArray[Any], NDArray[Any]]]
) -> NDArray[np.float64]:
    """What the row maps mean, one row after the other, at scale 1."""
    out = np.zeros((plan.rows, target.shape[1]))
    for row in range(plan.rows):
        if plan.row_maps[0].target[row] >= 0:
            out[row] = target[plan.row_maps[0].target[row]]
        for maps, (base, chat) in zip(plan.row_maps, parents, strict=True):
            if maps.transplant[row] >= 0:
                out[row] = chat[maps.transplant[row]]
            elif maps.base[row] >= 0:
                out[row] += chat[maps.chat[row]] - base[maps.base[row]]
    return out


def done(plan: VocabularyPlan) -> dict[str, str]:
    return {each.token: each.done for each in plan.report.tokens}


def test_rows_by_hand() -> None:
    target = listed("b", "가", "a", "<end>")  # reordered and extended; 2 rows of padding behind
    base, chat = listed("a", "b", "<end>"), listed("<end>", "<turn>", "a", "b")
    plan = plan_vocabulary(target, 6, [vector(base, chat)], choice=moving("<turn>", "<end>"))
    maps = plan.row_maps[0]
    assert plan.rows == 6
    assert plan.added == (("<turn>", 4),)
    assert maps.base.tolist() == [1, -1, 0, 2, -1, -1]
    assert maps.chat.tolist() == [3, -1, 2, 0, -1, -1]
    assert maps.transplant.tolist() == [-1, -1, -1, -1, 1, -1]
    assert maps.target.tolist() == [0, 1, 2, 3, 4, 5]
    assert all(array.dtype == np.int64 for array in (maps.base, maps.chat, maps.transplant, maps.target))
    assert done(plan) == {"<turn>": "transplanted", "<end>": "difference added"}
    assert (plan.id_of("<turn>"), plan.id_of("가"), plan.id_of("?")) == (4, 1, None)


def test_a_token_that_base_holds_untrained_is_transplanted() -> None:
    tokens = listed("a", "<end>")
    health = {"<end>": RowHealth("<end>", 1, True, "near zero", 0.0123)}
    plan = plan_vocabulary(tokens, 2, [vector(tokens, tokens)], choice=moving("<end>"), health=health)
    assert plan.row_maps[0].transplant.tolist() == [-1, 1]
    assert plan.row_maps[0].base.tolist() == [0, -1]
    assert plan.report.tokens[0].why == "untrained in base: near zero (0.0123)"
    trained = {"<end>": RowHealth("<end>", 1, False, "trained", 0.9)}
    plan = plan_vocabulary(tokens, 2, [vector(tokens, tokens)], choice=moving("<end>"), health=trained)
    assert plan.row_maps[0].transplant.tolist() == [-1, -1]


def test_a_trained_token_that_the_target_lacks_is_transplanted_too() -> None:
    both = listed("a", "<end>")
    plan = plan_vocabulary(listed("a"), 1, [vector(both, both)], choice=moving("<end>"))
    assert plan.rows == 2
    assert plan.row_maps[0].transplant.tolist() == [-1, 1]
    assert plan.row_maps[0].target.tolist() == [0, -1]


def test_nothing_is_transplanted_where_the_format_stays() -> None:
    chat = listed("a", "<end>")
    for choice in (None, Choice(moving("<end>").format, moves=False, vector=None, source="target")):
        plan = plan_vocabulary(listed("a"), 4, [vector(listed("a"), chat)], choice=choice)
        assert plan.added == ()
        assert (plan.row_maps[0].transplant == -1).all()


def test_skip_adds_no_difference_but_transplants() -> None:
    target, base, chat = listed("a", "b"), listed("a", "b", "<x>"), listed("a", "b", "<end>", "<x>")
    plan = plan_vocabulary(target, 8, [vector(base, chat)], choice=moving("<end>", "<x>"), policy="skip")
    maps = plan.row_maps[0]
    assert (maps.base == -1).all()
    assert (maps.chat == -1).all()
    assert maps.transplant.tolist() == [-1, -1, 2, 3, -1, -1, -1, -1]
    kept = plan_vocabulary(base, 8, [vector(base, chat)], choice=moving("<x>"), policy="skip")
    assert kept.report.tokens[0].done == "kept"
    assert kept.report.tokens[0].why == "trained in base; --vocabulary skip"


def test_two_vectors_and_the_one_that_gives_the_format() -> None:
    base, first = listed("a", "<end>"), listed("<end>", "a")
    second = listed("a", "<turn>", "<end>")
    health = {"<end>": RowHealth("<end>", 1, True, "near zero", 0.0)}
    plan = plan_vocabulary(
        base, 4, [vector(base, first), vector(base, second)], choice=moving("<turn>", "<end>", vector=1), health=health
    )
    one, two = plan.row_maps
    assert one.base.tolist() == [0, -1, -1, -1]  # the first vector leaves transplanted rows alone
    assert one.transplant.tolist() == [-1, -1, -1, -1]
    assert two.transplant.tolist() == [-1, 2, 1, -1]
    assert plan.report.rows_shared == (1, 1)


def test_strict_wants_equal_ids() -> None:
    same = listed("a", "b", "c")
    assert plan_vocabulary(same, 3, [vector(same, listed("a", "b", "c"))], policy="strict").rows == 3
    other = listed("a", "c", "b", "d")
    words = (
        r"^--vocabulary strict: 3 tokens of target and of chat of tau have different ids: 'b' \(1 in target, 2 in "
        r"chat\), 'c' \(2 in target, 1 in chat\), 'd' \(none in target, 3 in chat\); use --vocabulary shared"
    )
    with pytest.raises(IncompatibleParents, match=words):
        plan_vocabulary(same, 3, [vector(same, other, name="tau")], policy="strict")


def test_an_unknown_policy() -> None:
    with pytest.raises(UsageError, match="--vocabulary union: choose one of shared, skip, strict"):
        plan_vocabulary(listed("a"), 1, [], policy="union")


@pytest.mark.parametrize("which", ["target", "base of tau", "chat of tau"])
def test_a_tokenizer_larger_than_its_embedding(which: str) -> None:
    tokens = listed("a", "b", *(f"<{row}>" for row in range(6)))
    rows = {name: 2 if name == which else 8 for name in ("target", "base of tau", "chat of tau")}
    words = (
        rf"^{which}: the tokenizer \(tokenizer.json\) is larger than the embedding: 6 tokens have no row among its 2: "
        r"'<0>' \(id 2\), .* \(1 more\); use the tokenizer that belongs to these weights"
    )
    pair = VectorTables(tokens, tokens, rows["base of tau"], rows["chat of tau"], "tau")
    with pytest.raises(InputError, match=words) as caught:
        plan_vocabulary(tokens, rows["target"], [pair])
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("rows", "tokens", "needed"),
    [
        (152_064, 151_665, 152_064),  # padding to spare
        (128_256, 128_256, 128_256),
        (32_000, 32_001, 32_128),
        (32_064, 32_066, 32_128),
        (1536, 1538, 1664),
        (32_001, 32_002, 32_002),  # an odd size was never padded
        (50_258, 50_259, 50_260),
    ],
)
def test_rows_are_added_to_the_targets_own_multiple(rows: int, tokens: int, needed: int) -> None:
    assert rows_needed(rows, tokens) == needed


def test_padding_is_used_up_before_rows_are_added() -> None:
    target, chat = listed(*"abcdef"), listed(*"abcdef", "<1>", "<2>", "<3>")
    plan = plan_vocabulary(target, 8, [vector(target, chat)], choice=moving("<1>", "<2>", "<3>"))
    assert plan.rows == 16
    assert plan.added == (("<1>", 6), ("<2>", 7), ("<3>", 8))
    assert plan.row_maps[0].transplant[6:10].tolist() == [6, 7, 8, -1]
    assert plan.row_maps[0].target[6:10].tolist() == [6, 7, -1, -1]
    report = plan.report
    assert (report.tokens_added, report.padding_used, report.rows_added, report.rows_padding) == (3, 2, 8, 7)


def test_rows_with_two_names_match_by_either() -> None:
    target = TokenTable({"[UNUSED_1]": 0, "<end>": 0, "a": 1}, {"<end>": AddedToken("<end>")}, "tokenizer.model", 2)
    for name in ("<end>", "[UNUSED_1]"):
        other = listed("a", name)
        maps = plan_vocabulary(target, 2, [vector(other, other)]).row_maps[0]
        assert maps.base.tolist() == [1, 0]


def test_spellings_of_a_space_are_different_tokens() -> None:
    maps = plan_vocabulary(listed("▁the", "Ġa"), 2, [vector(listed("Ġthe", "a"), listed("Ġthe", "a"))]).row_maps[0]
    assert (maps.base == -1).all()


def test_the_report_is_plain_data_and_its_counts_sum_up() -> None:
    target, base, chat = listed("b", "가", "a"), listed("a", "b"), listed("<end>", "a", "b")
    plan = plan_vocabulary(target, 5, [vector(base, chat)], choice=moving("<end>"))
    plain = plan.report.as_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert plain == {
        "policy": "shared",
        "rows": 5,
        "target_rows": 5,
        "rows_shared": [2],
        "rows_transplanted": 1,
        "rows_kept": 1,
        "rows_padding": 1,
        "tokens_added": 1,
        "padding_used": 1,
        "rows_added": 0,
        "template_tokens": [
            {
                "token": "<end>",
                "chat": 0,
                "base": None,
                "target": None,
                "out": 3,
                "done": "transplanted",
                "why": "only the chat model has it",
            }
        ],
    }
    assert plan.report.table() == [("<end>", "0", "–", "–", "3", "transplanted", "only the chat model has it")]


NAMES = [f"t{number}" for number in range(12)] + [f"<s{number}>" for number in range(6)]


@st.composite
def vocabularies(draw: st.DrawFn) -> TokenTable:
    """A random subset in random order, sometimes with gaps."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=len(NAMES), unique=True))
    gaps = draw(st.lists(st.integers(0, 2), min_size=len(names), max_size=len(names)))
    rows = np.cumsum(gaps) + np.arange(len(names))
    return table({name: int(row) for name, row in zip(names, rows, strict=True)})


@given(
    target=vocabularies(),
    pairs=st.lists(st.tuples(vocabularies(), vocabularies()), min_size=1, max_size=3),
    padding=st.integers(0, 5),
    data=st.data(),
)
def test_what_row_maps_promise(
    target: TokenTable, pairs: list[tuple[TokenTable, TokenTable]], padding: int, data: st.DataObject
) -> None:
    giver = data.draw(st.integers(0, len(pairs) - 1))
    base, chat = pairs[giver]
    wanted = data.draw(st.lists(st.sampled_from(sorted(chat.ids)), unique=True))
    bad = {token for token in wanted if token in base.ids and data.draw(st.booleans())}
    health = {t: RowHealth(t, base.ids[t], t in bad, "near zero", 0.0) for t in wanted if t in base.ids}
    policy = data.draw(st.sampled_from(["shared", "skip"]))
    vectors = [vector(*pair, padding=padding) for pair in pairs]
    rows = target.size + padding
    plan = plan_vocabulary(target, rows, vectors, choice=moving(*wanted, vector=giver), policy=policy, health=health)
    random = np.random.default_rng(0)
    weights = random.normal(size=(rows, 3))
    parents = [(random.normal(size=(v.base_rows, 3)), random.normal(size=(v.chat_rows, 3))) for v in vectors]
    out = apply(plan, weights, parents)
    for maps in plan.row_maps:
        check_well_formed(maps, plan)
    names = {row: token for token, row in target.ids.items()} | {row: token for token, row in plan.added}
    for row in range(plan.rows):
        token = names.get(row)
        if token is None:  # padding: the target's, or zeros behind it
            assert (out[row] == (weights[row] if row < rows else 0)).all()
            continue
        raw = token in wanted and (token not in base.ids or token in bad or token not in target.ids)
        if raw:
            assert (out[row] == parents[giver][1][chat.ids[token]]).all()
            continue
        expected = weights[row].copy()
        for (b, c), (base_rows, chat_rows) in zip(pairs, parents, strict=True):
            if policy == "shared" and token in b.ids and token in c.ids:
                expected += chat_rows[c.ids[token]] - base_rows[b.ids[token]]
        assert (out[row] == expected).all()
    assert [row for _token, row in plan.added] == list(range(target.size, target.size + len(plan.added)))
    report = plan.report
    touched = np.zeros(plan.rows, bool)
    for maps in plan.row_maps:
        touched |= (maps.base >= 0) | (maps.transplant >= 0)
    assert report.rows_kept + report.rows_padding + int(touched.sum()) == plan.rows


def check_well_formed(maps: RowMap, plan: VocabularyPlan) -> None:
    for array in (maps.base, maps.chat, maps.transplant, maps.target):
        assert array.shape == (plan.rows,)
    assert ((maps.base >= 0) == (maps.chat >= 0)).all()
    assert not ((maps.base >= 0) & (maps.transplant >= 0)).any()
    assert maps.target.tolist() == [row if row < plan.target_rows else -1 for row in range(plan.rows)]


@given(vocabularies(), st.randoms(use_true_random=False))
def test_permuted_parents_give_the_same_rows(tokens: TokenTable, random: Any) -> None:
    order = list(tokens.ids)
    random.shuffle(order)
    permuted = listed(*order)
    straight = plan_vocabulary(tokens, tokens.size, [vector(tokens, tokens)]).row_maps[0]
    crossed = plan_vocabulary(tokens, tokens.size, [vector(permuted, permuted)]).row_maps[0]
    rows = np.array(sorted(tokens.ids.values()))
    assert straight.base[rows].tolist() == rows.tolist()
    names = {row: token for token, row in tokens.ids.items()}
    assert [order[row] for row in crossed.base[rows]] == [names[row] for row in rows]


def test_a_large_vocabulary() -> None:
    tokens = listed(*(f"t{row}" for row in range(128_000)), *(f"<{row}>" for row in range(256)))
    plan = plan_vocabulary(tokens, 128_256, [vector(tokens, tokens)])
    assert plan.report.rows_shared == (128_256,)
    assert (plan.row_maps[0].base == np.arange(128_256)).all()
