# SPDX-License-Identifier: Apache-2.0
"""The verdict: its rules one by one, the embedded trio in all six orders, and generated families."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace

import numpy as np
import pytest

from chatvector.checking import Check, check_models
from chatvector.checkpoint.checkpoint import Checkpoint
from chatvector.checkpoint.fingerprint import Grid
from chatvector.checks.compatibility import Compatibility
from chatvector.checks.geometry import Geometry, Products, Share, measure
from chatvector.checks.lineage import Lineage, alarming, judge
from chatvector.checks.signs import RowSigns, Signs
from chatvector.errors import LineageError
from checks.lineage_cases import FAR_BASES, KINDS, RIGHT, Blocks, Kind, confusion

CASES = 20


def geometry(
    held: Share | None = None,
    taken: Share | None = None,
    *,
    tau: float = 0.0009,
    drift: float = 0.01,
    still: float | None = None,
) -> Geometry:
    """Relatives: base of norm 1, τ of 3 %, drift of 10 %, at right angles."""
    total = Products(tau, drift, tau + drift, 0.0, 1.0, 1.0, 1.0, 1000)
    return Geometry(total, {}, {}, held or Share(0.0, 0.05), taken or Share(0.0, 0.3), 20, {}, still)


def verdict(found: Geometry, **signs: object) -> tuple[str, bool]:
    lineage = judge(found, Signs(**signs))  # type: ignore[arg-type]
    return lineage.verdict, lineage.refused


WHOLE = Share(1.0, 0.1)


def test_honest_parents_need_no_word() -> None:
    lineage = judge(geometry(), Signs(templates=("chat",)))
    assert (lineage.verdict, lineage.refused, lineage.reasons) == ("ok", False, ())


@pytest.mark.parametrize(
    ("templates", "expected"),
    [
        (("base",), "swapped"),
        (("base", "target"), "swapped"),
        (("chat",), "holds the vector"),
        (("chat", "target"), "holds the vector"),
        (("base", "chat"), "swapped or holds the vector"),
        ((), "swapped or holds the vector"),
        (("target",), "in another order"),
    ],
)
def test_files_tell_what_a_whole_vector_in_the_target_means(templates: tuple[str, ...], expected: str) -> None:
    assert verdict(geometry(WHOLE), templates=templates) == (expected, True)


@pytest.mark.parametrize(("untrained", "expected"), [(("chat",), "swapped"), (("base",), "holds the vector")])
def test_untrained_rows_outweigh_templates_that_both_have(untrained: tuple[str, ...], expected: str) -> None:
    assert verdict(geometry(WHOLE), templates=("base", "chat"), untrained=untrained) == (expected, True)


def test_an_uncertain_share_refuses_only_with_the_files_agreeing() -> None:
    unsure = Share(1.0, 0.5)
    assert verdict(geometry(unsure), templates=("chat",)) == ("undecided", False)
    assert verdict(geometry(unsure), templates=("base",)) == ("swapped", True)
    like_chat = RowSigns(moved=4, like_chat=4, like_base=0)
    assert verdict(geometry(unsure), templates=("chat",), rows=like_chat) == ("holds the vector", True)
    like_base = RowSigns(moved=4, like_chat=0, like_base=4)
    assert verdict(geometry(unsure), templates=("base",), rows=like_base) == ("swapped", False)


def test_a_share_is_measured_against_none_which_is_what_an_honest_target_holds() -> None:
    assert verdict(geometry(Share(1.0, 0.39)), templates=("chat",)) == ("holds the vector", True)
    assert verdict(geometry(Share(1.0, 0.41)), templates=("chat",)) == ("undecided", False)
    assert verdict(geometry(Share(0.7, 0.25)), templates=("chat",)) == ("holds the vector", True)
    like_base = RowSigns(moved=4, like_chat=0, like_base=4)
    assert verdict(geometry(Share(1.0, 0.26)), templates=("chat",), rows=like_base) == ("ok", False)
    assert verdict(geometry(Share(1.0, 0.24)), templates=("chat",), rows=like_base) == ("holds the vector", True)


def test_more_than_a_whole_vector_is_no_surer_than_one() -> None:
    """Seen with the family's preference vector, a twentieth as long as the target's step: +2.87 ± 1.09 of it."""
    assert verdict(geometry(Share(2.87, 1.09))) == ("undecided", False)
    assert verdict(geometry(Share(2.0, 0.39)), templates=("chat",)) == ("holds the vector", True)
    assert verdict(geometry(Share(2.0, 0.41)), templates=("chat",)) == ("undecided", False)


def test_files_that_look_swapped_warn_where_the_weights_cannot_tell() -> None:
    assert verdict(geometry(Share(0.3, 0.4)), templates=("base",)) == ("swapped", False)
    assert verdict(geometry(Share(0.0, 0.1)), templates=("base",)) == ("ok", False)


def test_what_is_neither_seen_nor_excluded_is_undecided_and_needs_no_word() -> None:
    assert verdict(geometry(Share(0.0, 0.55)), templates=("chat",)) == ("ok", False)
    lineage = judge(geometry(Share(0.0, 0.56)), Signs(templates=("chat",)))
    assert (lineage.verdict, lineage.refused, lineage.reasons) == ("undecided", False, ())
    like_base = RowSigns(moved=4, like_chat=0, like_base=4)
    assert verdict(geometry(Share(0.0, 0.56)), templates=("chat",), rows=like_base) == ("ok", False)
    neither = RowSigns(moved=4, like_chat=0, like_base=0)
    assert verdict(geometry(Share(0.0, 0.56)), templates=("chat",), rows=neither) == ("undecided", False)


@pytest.mark.parametrize(("templates", "odds"), [(("chat",), 5), ((), 10), (("base", "chat"), 10)])
@pytest.mark.parametrize("error", [0.4, 0.6])
def test_none_must_be_so_many_times_as_likely_as_a_whole_vector(
    templates: tuple[str, ...], odds: float, error: float
) -> None:
    def times(value: float) -> float:
        """The density of a share of 0 over that of a share of 1, from the definition."""
        return math.exp(-((value / error) ** 2) / 2) / math.exp(-(((value - 1) / error) ** 2) / 2)

    values = np.linspace(-0.5, 0.29, 80)
    verdicts = {value: verdict(geometry(Share(value, error)), templates=templates) for value in values}
    expected = {value: ("ok" if times(value) >= odds or value <= 1 - 3 * error else "undecided") for value in values}
    assert {value: found for value, (found, _refused) in verdicts.items()} == expected
    assert {found for found, _refused in verdicts.values()} == {"ok", "undecided"}


@pytest.mark.parametrize(
    ("templates", "expected"), [(("chat",), "holds the vector"), (("base", "chat"), "swapped or holds the vector")]
)
def test_rows_of_chat_in_the_target_warn_where_the_weights_cannot_tell(
    templates: tuple[str, ...], expected: str
) -> None:
    like_chat = RowSigns(moved=4, like_chat=3, like_base=0)
    lineage = judge(geometry(Share(0.13, 0.35)), Signs(templates=templates, rows=like_chat))
    assert (lineage.verdict, lineage.refused) == (expected, False)
    assert "It moved too far for the weights to tell (it holds +0.13 ± 0.35)" in lineage.reasons[0]
    assert verdict(geometry(Share(0.13, 0.1)), templates=templates, rows=like_chat) == ("ok", False)
    half = RowSigns(moved=4, like_chat=2, like_base=0)
    assert verdict(geometry(Share(0.13, 0.5)), templates=templates, rows=half) == ("undecided", False)


@pytest.mark.parametrize(
    ("held", "taken", "expected"),
    [
        (Share(0.0, 0.05), Share(0.0, 0.3), False),
        (Share(0.4, 0.1), Share(0.0, 0.3), True),
        (Share(0.0, 0.05), Share(0.4, 0.3), True),
        (Share(0.0, 0.35), Share(0.0, 0.3), True),  # a whole vector is not excluded
        (Share(0.0, 0.33), Share(0.0, 0.3), False),
    ],
)
def test_rows_are_looked_at_where_a_share_is_seen_or_a_whole_one_is_not_excluded(
    held: Share, taken: Share, expected: bool
) -> None:
    assert alarming(geometry(held, taken)) is expected


def test_part_of_a_vector_is_a_warning() -> None:
    assert verdict(geometry(Share(0.5, 0.05))) == ("holds part of the vector", False)
    assert verdict(geometry(Share(0.5, 0.25))) == ("undecided", False)
    assert verdict(geometry(Share(0.2, 0.01))) == ("ok", False)


@pytest.mark.parametrize(
    ("templates", "expected"),
    [
        (("chat",), ("target is the ancestor", True)),
        ((), ("target is the ancestor", False)),
        (("base",), ("in another order", True)),
    ],
)
def test_paths_that_part_at_the_target(templates: tuple[str, ...], expected: tuple[str, bool]) -> None:
    assert verdict(geometry(taken=WHOLE), templates=templates) == expected


def test_a_target_on_the_way_to_chat_holds_part() -> None:
    """Half of τ and little drift: chat then goes twice the target's step, or the target's files show a chat model."""
    half = Share(0.5, 0.02)
    assert verdict(geometry(half, Share(1.9, 0.05)), templates=("chat",)) == ("holds part of the vector", False)
    assert verdict(geometry(half, WHOLE), templates=("chat", "target")) == ("holds part of the vector", False)
    assert verdict(geometry(half, WHOLE), templates=("chat",)) == ("target is the ancestor", True)


@pytest.mark.parametrize("held", [0.5, 1.0])
def test_the_line_that_the_tensors_keep_to_decides_where_both_shares_are_seen(held: float) -> None:
    holds = "holds part of the vector" if held < 0.6 else "holds the vector"
    for templates in (("chat",), ("chat", "target")):
        straight, bent = Share(held, 0.02, 0.03), Share(1.0, 0.1, 0.04)
        assert verdict(geometry(straight, bent), templates=templates)[0] == holds
        straight, bent = Share(1.0, 0.1, 0.03), Share(held, 0.02, 0.04)
        assert verdict(geometry(bent, straight), templates=templates) == ("target is the ancestor", True)


def test_the_targets_own_manifest_is_believed_before_anything_else() -> None:
    lineage = judge(geometry(), Signs(merged=(0.5,)))
    assert (lineage.verdict, lineage.refused) == ("doubled", True)
    assert "chat_vector.json" in lineage.reasons[0]
    assert "0.5" in lineage.reasons[0]


@pytest.mark.parametrize(
    ("norm", "differences", "still", "expected"),
    [
        (0.09, (), None, "ok"),
        (0.11, (), None, "other base version"),
        (0.11, (), 0.1, "other base version"),
        (0.11, (), 0.5, "ok"),
        (0.06, ("rope rope_theta",), None, "other base version"),
        (0.04, ("rope rope_theta",), None, "ok"),
    ],
)
def test_a_vector_too_large_for_tuning(
    norm: float, differences: tuple[str, ...], still: float | None, expected: str
) -> None:
    found = geometry(tau=norm**2, still=still)
    assert verdict(found, templates=("chat",), differences=differences) == (expected, False)


@pytest.mark.parametrize(
    ("norm", "signs", "still", "expected"),
    [
        (0.11, {"templates": ("chat",)}, None, "other base version"),
        (0.11, {"templates": ("base", "chat")}, 0.1, "other base version"),
        (0.11, {"templates": ("chat",)}, 0.5, "holds the vector"),
        (0.11, {"templates": ("base",)}, None, "swapped"),
        (0.09, {"templates": ("chat",)}, None, "holds the vector"),
        (0.06, {"templates": ("chat",), "differences": ("rope rope_theta",)}, None, "other base version"),
        (0.06, {"templates": ("chat",), "rows": RowSigns(4, like_chat=0, like_base=4)}, None, "other base version"),
        (0.06, {"templates": ("chat",), "rows": RowSigns(4, like_chat=4, like_base=0)}, None, "holds the vector"),
        (0.04, {"templates": ("chat",), "rows": RowSigns(4, like_chat=0, like_base=4)}, None, "holds the vector"),
    ],
)
def test_a_large_step_that_chat_and_target_share_is_no_vector_in_the_target(
    norm: float, signs: dict[str, object], still: float | None, expected: str
) -> None:
    assert verdict(geometry(WHOLE, tau=norm**2, still=still), **signs) == (expected, True)


def test_what_the_rows_say_stands_beside_a_base_of_another_version() -> None:
    rows = RowSigns(4, like_chat=0, like_base=4)
    lineage = judge(geometry(WHOLE, tau=0.0036), Signs(templates=("chat",), differences=("rope",), rows=rows))
    assert lineage.reasons == (
        "chat differs from base by 6% of its norm, and they differ in rope, more than chat tuning makes, and the target"
        " holds +1.00 ± 0.10 of that step: base is another version than the one that chat and target grew from; name"
        " that one as base. If chat was tuned from this very base, the target descends from chat or had the vector"
        " added: take another target",
        str(rows),
    )


@pytest.mark.parametrize(
    ("held", "taken", "templates", "expected"),
    [
        (WHOLE, None, ("chat",), ("holds the vector", True)),
        (WHOLE, None, (), ("swapped or holds the vector", True)),
        (None, WHOLE, ("chat",), ("target is the ancestor", True)),
        (Share(0.5, 0.05), None, ("chat",), ("holds part of the vector", False)),
    ],
)
def test_both_causes_are_named_where_tuning_may_have_made_the_step_or_not(
    held: Share | None, taken: Share | None, templates: tuple[str, ...], expected: tuple[str, bool]
) -> None:
    other = (
        "another cause of the same figures: base is another version than the one that chat and target grew from"
        " (chat − base is 6% of base's norm, tuning seldom makes more than 5%); then name that one as base"
    )
    lineage = judge(geometry(held, taken, tau=0.0036), Signs(templates=templates))
    assert (lineage.verdict, lineage.refused, lineage.reasons[1:]) == (*expected, (other,))
    for smaller in (geometry(held, taken, tau=0.0016), geometry(held, taken, tau=0.0036, still=0.5)):
        lineage = judge(smaller, Signs(templates=templates))
        assert (lineage.verdict, lineage.refused, lineage.reasons[1:]) == (*expected, ())


def test_only_the_target_talks() -> None:
    assert verdict(geometry(), templates=("target",)) == ("chat and target exchanged", False)


def test_strangers_warn_and_are_named() -> None:
    total = Products(2.0, 2.0, 0.01, 2.0, 1.0, 1.0, 1.0, 1000)
    lineage = judge(replace(geometry(WHOLE), total=total), Signs())
    assert (lineage.verdict, lineage.refused) == ("unrelated", False)
    assert "base and chat, base and target look unrelated" in lineage.reasons[0]


def blocks(*values: float) -> Blocks:
    return Blocks({"w": np.array(values, np.float32)}, Grid(4, 4))


def judged(target: Blocks, base: Blocks, chat: Blocks, **signs: object) -> Lineage:
    return judge(measure(target, base, chat, {"w": "mlp"}), Signs(**signs))  # type: ignore[arg-type]


def test_equal_models() -> None:
    one, other = blocks(1, 2, 3), blocks(1, 2, 3.1)
    assert judged(other, one, one).verdict == "zero vector"
    lineage = judged(one, one, other)
    assert (lineage.verdict, lineage.refused) == ("ok", False)
    assert lineage.reasons == (
        "base and target hold the same sampled weights: nothing was pre-trained on, the sum is base + scale · τ",
    )
    assert judged(other, one, other, templates=("chat",)).verdict == "holds the vector"
    assert judged(other, one, other, templates=("base",)).verdict == "swapped"


def test_nothing_to_compare_and_no_numbers() -> None:
    empty = Blocks({}, Grid(4, 4))
    assert judged(empty, empty, empty).verdict == "unknown"
    assert judged(blocks(1, float("nan")), blocks(1, 2), blocks(2, 2)).verdict == "unknown"


def test_what_is_no_number_is_named_and_no_merge_comes_of_it() -> None:
    good, bad = blocks(1, 2, 3), blocks(1, math.inf, math.nan)
    for names, (target, base, chat) in {
        "target: w": (bad, good, blocks(1, 2, 4)),
        "base: w": (good, bad, good),
    }.items():
        lineage = judged(target, base, chat)
        assert (lineage.verdict, lineage.refused) == ("unknown", False)
        assert lineage.reasons[0].startswith(f"non-finite values (NaN or infinity) in 1 sampled tensors: {names};")
        found = Check({}, Compatibility((), ()), lineage)
        assert (found.refused, found.refusals, found.warnings) == (True, lineage.reasons, ())
        # All of it can be written as JSON, which has no NaN.
        document = json.loads(json.dumps([found.as_dict(), lineage.summary()], allow_nan=False))
        assert document[0]["lineage"]["figures"]["similarity"] == {}
        assert document[1]["cosine"] is document[1]["projection"] is None


def test_the_error_names_the_models_the_verdict_and_the_way_out() -> None:
    lineage = judge(geometry(WHOLE), Signs(templates=("base",)))
    with pytest.raises(LineageError, match=r"lineage of T, B, C .*base and chat are swapped.*--force-lineage"):
        lineage.raise_if_refused(("T", "B", "C"))
    judge(geometry(), Signs()).raise_if_refused(("T", "B", "C"))


TRIO = {
    ("base", "chat", "target"): ("ok", False),
    ("base", "target", "chat"): ("chat and target exchanged", False),
    ("chat", "base", "target"): ("swapped", True),
    ("chat", "target", "base"): ("in another order", True),
    ("target", "base", "chat"): ("in another order", True),
    ("target", "chat", "base"): ("target is the ancestor", True),
}


@pytest.mark.parametrize("order", list(itertools.permutations(("base", "chat", "target"))))
def test_the_embedded_trio_in_all_six_orders(order: tuple[str, str, str]) -> None:
    base, chat, target = (Checkpoint.open(f"demo:{name}") for name in order)
    with base, chat, target:
        lineage = check_models(base, chat, target).lineage
    assert lineage is not None
    assert (lineage.verdict, lineage.refused) == TRIO[order]


@pytest.mark.parametrize("target", ["target", "target-zh", "target-extended", "ft"])
@pytest.mark.parametrize("chat", ["sft", "chat"])
def test_every_pair_of_the_embedded_family_passes(chat: str, target: str) -> None:
    base, tuned, continued = (Checkpoint.open(f"demo:{name}") for name in ("base", chat, target))
    with base, tuned, continued:
        lineage = check_models(base, tuned, continued).lineage
    assert lineage is not None
    assert (lineage.verdict, lineage.refused) == ("ok", False)


def test_generated_families_that_set_no_threshold() -> None:
    """Eleven kinds of trios, the held-out set; docs/lineage.md has the table of a larger run."""
    tables = confusion(CASES, held_out=True)
    assert tables.version["honest"] == tables.version["honest, heavy"] == {"not": CASES}
    for table in (tables.files, tables.alone):
        assert table["honest"] == {"ok": CASES}
        # Nothing is said against a target that moved far, and where a vector could hide in it that is said.
        assert set(table["honest, heavy"]) <= {"ok", "undecided"}
    assert tables.files["honest, heavy"]["ok"] >= 0.95 * CASES
    for kind in KINDS:
        needed = 0.8 if kind.endswith("heavy") else 0.95
        assert sum(tables.files[kind][verdict] for verdict in RIGHT[kind][0]) >= needed * CASES
        # Where a family's files are silent the weights may leave it open, but never accuse the wrong one, and never
        # call a descendant an honest target.
        assert set(tables.files[kind]) <= RIGHT[kind][0] | {"undecided", "holds part of the vector"}
    assert tables.files["unrelated"] == {"unrelated": CASES}
    # The same sides of the triangle, told apart without any file.
    assert tables.alone["half doubled"] == {"holds part of the vector": CASES}
    assert tables.alone["chat from target"] == {"target is the ancestor": CASES}
    # The rule of thumb that the fit replaces refuses honest parents.
    assert tables.projection["honest, heavy"]["refused"] > 0.2 * CASES


def test_a_base_of_another_version_is_named_in_generated_families() -> None:
    """The share alone says that the target holds the vector; a wrong cause would send the user after another target."""
    tables = confusion(CASES, held_out=True, kinds=FAR_BASES)
    for kind in FAR_BASES:
        assert tables.version[kind]["not"] <= (0.1 * CASES if kind == "base off by 5 %" else 0)
    for kind in FAR_BASES[2:]:
        assert tables.version[kind]["the cause"] >= 0.7 * CASES
    assert set(tables.files["base off by 30 %"]) <= {"other base version", "target is the ancestor"}


def test_generated_families_through_a_thin_sample() -> None:
    """What is read of a model on the hub: fewer tensors, and one place in each."""
    kinds: tuple[Kind, ...] = ("honest, heavy", "swapped", "descendant")
    table = confusion(CASES // 2, held_out=True, thin=True, kinds=kinds).files
    assert set(table["honest, heavy"]) <= {"ok", "undecided"}
    assert table["honest, heavy"]["ok"] >= 0.8 * (CASES // 2)
    assert table["swapped"] == {"swapped": CASES // 2}
    assert table["descendant"] == {"holds the vector": CASES // 2}
