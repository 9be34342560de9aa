# SPDX-License-Identifier: Apache-2.0
"""Norms, shares, cosines against the same numbers computed at once in memory, and by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builders import BASE_SPECIAL, F32, WORDS, Shape, Spec, tokenizer_json, trio_specs, write_model
from chatvector.arithmetic.stored import StoredVector
from chatvector.checkpoint.checkpoint import Checkpoint
from chatvector.errors import IncompatibleParents, UsageError
from chatvector.extraction import extract
from chatvector.inspection import survey as module
from chatvector.inspection.subject import of_checkpoint, of_pair, of_vector
from chatvector.inspection.survey import add, bytes_to_read, survey

TOKENS = len(BASE_SPECIAL) + 1 + len(WORDS)
"""Tokens of the builders' base: special ones, the unknown one, words."""


def pair_specs(shape: Shape | None = None, *, tokens: bool = False) -> tuple[Spec, Spec]:
    """Base and chat with one tokenizer (or, with `tokens`, two), as float32."""
    specs = trio_specs(shape or Shape(vocabulary=64 if tokens else TOKENS), F32)
    if not tokens:
        specs["chat"].tokenizer = specs["base"].tokenizer
    return specs["base"], specs["chat"]


def write_pair(folder: Path, base: Spec, chat: Spec) -> tuple[Checkpoint, Checkpoint]:
    return tuple(Checkpoint.open(str(write_model(folder / n, s))) for n, s in (("base", base), ("chat", chat)))  # type: ignore[return-value]


def test_a_pair_by_numpy(tmp_path: Path) -> None:
    base, chat = pair_specs()
    frozen = "model.layers.1.mlp.up_proj.weight"
    chat.weights[frozen] = base.weights[frozen]
    found = survey(of_pair(*write_pair(tmp_path, base, chat)))
    document = found.as_dict()
    for name, before in base.weights.items():
        after, tensor = chat.weights[name].astype(np.float64), document["tensors"][name]
        tau = after - before
        assert tensor["norm"] == pytest.approx(np.linalg.norm(tau), rel=1e-12)
        assert tensor["base_norm"] == pytest.approx(np.linalg.norm(before.astype(np.float64)), rel=1e-12)
        assert tensor["changed"] == np.count_nonzero(tau) / tau.size
    assert document["tensors"][frozen]["relative"] == 0
    mlp = [name for name in base.weights if ".1.mlp." in name]
    squares = sum(np.sum((chat.weights[n].astype(np.float64) - base.weights[n]) ** 2) for n in mlp)
    assert document["layers"]["1"]["roles"]["mlp"]["norm"] == pytest.approx(np.sqrt(squares), rel=1e-12)
    assert document["total"]["tensors"] == len(base.weights)
    assert document["total"]["elements"] == sum(values.size for values in base.weights.values())


def test_cosines_between_layers_by_numpy(tmp_path: Path) -> None:
    base, chat = pair_specs(Shape(layers=3))
    # Layers 0 and 2 move alike, layer 1 the other way.
    for name in base.weights:
        if ".layers." in name:
            sign = {"0": 1, "1": -1, "2": 1}[name.split(".")[2]]
            like = name.replace(f".{name.split('.')[2]}.", ".0.")
            step = np.random.default_rng(len(like)).standard_normal(base.weights[name].shape)
            chat.weights[name] = (base.weights[name] + sign * step).astype(F32)
    found = survey(of_pair(*write_pair(tmp_path, base, chat)))
    expected = np.array([[1, -1, 1], [-1, 1, -1], [1, -1, 1]])
    for role in (None, "mlp", "attention"):
        assert found.cosines(role) == pytest.approx(expected, abs=1e-4)  # type: ignore[arg-type]
    assert found.as_dict()["layer_cosines"]["layers"] == [0, 1, 2]


def test_the_size_of_parts_changes_nothing_but_rounding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base, chat = write_pair(tmp_path, *pair_specs(tokens=True))
    whole = survey(of_pair(base, chat)).as_dict()
    monkeypatch.setattr(module, "PART_ELEMENTS", 7)
    parts = survey(of_pair(base, chat)).as_dict()
    for name, figures in whole["tensors"].items():
        assert parts["tensors"][name]["norm"] == pytest.approx(figures["norm"], rel=1e-12)
        assert parts["tensors"][name]["changed"] == figures["changed"]
    assert parts["layer_cosines"]["all"] == pytest.approx(np.array(whole["layer_cosines"]["all"]), abs=1e-6)


def test_rows_are_compared_by_token(tmp_path: Path) -> None:
    """Chat has four more tokens before the words, so ids of words differ by four; only shared tokens count."""
    base, chat = pair_specs(tokens=True)
    embedding = "model.embed_tokens.weight"
    for row in range(64):
        base.weights[embedding][row] = row
        chat.weights[embedding][row] = row - 4 if row >= 6 else row  # what a word's row is in base
    found = survey(of_pair(*write_pair(tmp_path, base, chat)))
    figures = found.as_dict()["tensors"][embedding]
    assert figures["shape"] == [TOKENS, 16]
    assert figures["norm"] == 0
    assert any(f"over the {TOKENS} tokens that both have" in note for note in found.subject.notes)


def test_a_checkpoint(tmp_path: Path) -> None:
    base, _ = pair_specs()
    base.weights["model.layers.0.self_attn.rotary_emb.inv_freq"] = np.ones(2, np.float32)
    base.weights["counts"] = np.arange(3)
    base.weights["model.norm.weight"] = np.array([3, 4] + [0] * 14, np.float32)
    with Checkpoint.open(str(write_model(tmp_path / "base", base))) as model:
        document = survey(of_checkpoint(model)).as_dict()
    norm = document["tensors"]["model.norm.weight"]
    assert (norm["norm"], norm["rms"], norm["changed"], norm["relative"]) == (5, 1.25, 2 / 16, None)
    assert document["tensors"]["counts"]["measured"] is False
    assert document["tensors"]["model.layers.0.self_attn.rotary_emb.inv_freq"]["measured"] is False
    assert document["layer_cosines"]["all"] is None


def test_numbers_that_are_none_are_counted_and_left_out(tmp_path: Path) -> None:
    base, chat = pair_specs()
    gain = "model.norm.weight"
    base.weights[gain][:] = 1
    chat.weights[gain][:] = 1
    chat.weights[gain][:4] = [np.nan, np.inf, 4, 5]
    figures = survey(of_pair(*write_pair(tmp_path, base, chat))).as_dict()["tensors"][gain]
    assert (figures["non_finite"], figures["norm"], figures["changed"]) == (2, 5, 4 / 16)


def test_a_stored_vector_measures_as_its_pair(tmp_path: Path) -> None:
    models = write_pair(tmp_path, *pair_specs(tokens=True))
    pair = survey(of_pair(*models), rank=2)
    extract(models[0].name, models[1].name, str(tmp_path / "vector"))
    stored = StoredVector(tmp_path / "vector", "vector")
    vector = survey(of_vector(stored), rank=2)
    stored.close()
    assert vector.sums.keys() == pair.sums.keys()
    for name, sums in vector.sums.items():
        assert sums.norm == pytest.approx(pair.sums[name].norm, rel=1e-6)
        assert sums.relative is None
    for name, energy in vector.energies.items():
        assert energy.low == pytest.approx(pair.energies[name].low, rel=1e-6)


def test_energy_of_roles_is_weighed_by_squares(tmp_path: Path) -> None:
    base, chat = pair_specs(Shape(layers=1))
    for name, values in base.weights.items():
        chat.weights[name] = values.copy()
    # gate: singular values 4 and 3; up: one singular value 5. Rank 1 holds 16 + 25 of 50.
    zero = np.zeros_like(base.weights["model.layers.0.mlp.gate_proj.weight"])
    for name, diagonal in (("gate", (4, 3)), ("up", (5, 0))):
        step = zero.copy()
        step[0, 0], step[1, 1] = diagonal
        base.weights[f"model.layers.0.mlp.{name}_proj.weight"] = zero
        chat.weights[f"model.layers.0.mlp.{name}_proj.weight"] = step
    found = survey(of_pair(*write_pair(tmp_path, base, chat)), rank=1)
    energy = found.energy("mlp")
    assert energy is not None
    assert energy.low == energy.high == pytest.approx(41 / 50, rel=1e-12)
    assert found.energy("attention") is None
    assert not any(name.endswith(("embed_tokens.weight", "lm_head.weight")) for name in found.energies)


def test_a_sample_estimates_and_reads_little(tmp_path: Path) -> None:
    base, chat = pair_specs(Shape(vocabulary=512, hidden=256, mlp=768))
    models = write_pair(tmp_path, base, chat)
    subject, told = of_pair(*models), []
    whole, some = survey(subject), survey(subject, sample=True, advance=told.append)
    assert some.sampled
    assert sum(told) < 0.5 * bytes_to_read(subject)
    for name, sums in whole.sums.items():
        assert some.sums[name].norm == pytest.approx(sums.norm, rel=0.05)


def test_rows_of_a_sample_are_whole_rows(tmp_path: Path) -> None:
    shape = Shape(vocabulary=2048)
    base, chat = pair_specs(shape)
    base.tokenizer = tokenizer_json([f"w{n}" for n in range(1500)], BASE_SPECIAL)
    chat.tokenizer = tokenizer_json([f"w{n}" for n in range(1600)], BASE_SPECIAL)
    models = write_pair(tmp_path, base, chat)
    some, whole = survey(of_pair(*models), sample=True), survey(of_pair(*models))
    name = "model.embed_tokens.weight"
    assert some.sums[name].elements == 1503 * 16
    assert some.sums[name].norm == pytest.approx(whole.sums[name].norm, rel=0.1)


def test_progress_tells_every_byte_once(tmp_path: Path) -> None:
    subject, told = of_pair(*write_pair(tmp_path, *pair_specs())), []
    survey(subject, advance=told.append)
    assert sum(told) == bytes_to_read(subject)


def test_what_only_one_has_is_a_note_and_other_shapes_are_refused(tmp_path: Path) -> None:
    base, chat = pair_specs()
    chat.weights["extra"] = np.ones(3, np.float32)
    models = write_pair(tmp_path / "a", base, chat)
    assert any("1 tensors are only in" in note and "extra" in note for note in of_pair(*models).notes)
    chat.weights["model.norm.weight"] = np.ones(17, np.float32)
    models = write_pair(tmp_path / "b", base, chat)
    with pytest.raises(IncompatibleParents, match=r"1 tensors differ in shape: model\.norm\.weight"):
        of_pair(*models)


@pytest.mark.parametrize(("settings", "message"), [({"rank": 0}, "at least 1"), ({"rank": 1, "sample": True}, "whole")])
def test_ranks_that_make_no_sense(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    base, _ = pair_specs()
    model = Checkpoint.open(str(write_model(tmp_path / "base", base)))
    with model, pytest.raises(UsageError, match=message):
        survey(of_checkpoint(model), **settings)


def test_sums_of_nothing() -> None:
    empty = add([])
    assert (empty.norm, empty.base, empty.relative, empty.tensors) == (0, None, None, 0)
