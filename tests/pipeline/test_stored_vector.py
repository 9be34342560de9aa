# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501  (a table: one fault a row)
"""A vector on disk: self-sufficient, the same bytes from fp32, and an honest account of what bf16 loses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from builders import BASE_SPECIAL, WORDS, load_weights, write_model
from chatvector.cli.main import app
from chatvector.errors import DamagedFile, InputError, MissingInput, OutputRefused, UsageError
from chatvector.extraction import extract
from chatvector.pipeline import Result, apply
from chatvector.recipe import Recipe
from reference import BF16, FLOATS, Part, merged
from trios import VOCABULARY, Trio, Vector, chat_member, expected, member, trios


def tree(path: Path) -> dict[str, bytes]:
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def weights_and_side_files(path: Path) -> dict[str, bytes]:
    return {name: data for name, data in tree(path).items() if name not in ("chat_vector.json", "README.md")}


def merge(target: str, output: Path, *vectors: dict[str, object], **settings: object) -> Result:
    return apply(Recipe.from_mapping({"target": target, "vectors": vectors, "output": str(output), **settings}))


@given(st.data())
@settings(max_examples=12)
def test_fp32_of_16_bit_parents_gives_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    trio = data.draw(trios())
    pair = trio.vectors[0]
    for parent in (pair.base, pair.chat):
        for number, (name, values) in enumerate(parent.spec.weights.items()):
            parent.spec.weights[name] = values.astype((BF16, np.float16)[number % 2])
    folder = tmp_path_factory.mktemp("vector")
    target, ((base, chat),) = trio.write(folder)
    manifest = extract(base, chat, str(folder / "vec"), threads=data.draw(st.integers(1, 3))).manifest
    assert manifest["loss"] == {"elements": manifest["loss"]["elements"], "inexact": 0, "share": 0.0}
    scale = data.draw(st.sampled_from([1.0, 0.8, -1.5, 0.0]))
    direct = merge(target, folder / "direct", {"base": base, "chat": chat, "scale": scale})
    for parent in (base, chat):
        shutil.rmtree(parent)  # the vector stands for both
    stored = merge(target, folder / "stored", {"vector": str(folder / "vec"), "scale": scale})
    assert weights_and_side_files(folder / "direct") == weights_and_side_files(folder / "stored")
    assert direct.manifest["vocabulary"] == stored.manifest["vocabulary"]


def by_hand() -> Trio:
    base = member(WORDS, BASE_SPECIAL, seed=1, dtypes=("BF16",), shards=2)
    chat = chat_member(WORDS[::-1], seed=2, dtypes=("BF16",), shards=2, parent=base)
    target = member([*WORDS, "새"], BASE_SPECIAL, seed=3, dtypes=("BF16",), parent=base)
    return Trio(target, [Vector(base, chat)])


def test_what_bf16_loses_is_counted_exactly(tmp_path: Path) -> None:
    trio = by_hand()
    _, ((base, chat),) = trio.write(tmp_path)
    manifest = extract(base, chat, str(tmp_path / "vec"), dtype="bf16").manifest
    stored = load_weights(tmp_path / "vec")
    pair, inexact, elements = trio.vectors[0], 0, 0
    for name, tuned in pair.chat.spec.weights.items():
        origin = pair.base.spec.weights[name]
        if name in VOCABULARY:
            rows = [pair.base.tokens.index(token) if token in pair.base.tokens else -1 for token in pair.chat.tokens]
            known = np.array(rows) >= 0
            exact = np.where(known[:, None], tuned.astype(np.float64) - origin[rows].astype(np.float64), 0)
        else:
            exact = tuned.astype(np.float64) - origin.astype(np.float64)
        elements += exact.size
        once = exact.astype(np.float32).astype(BF16)
        inexact += int((once.astype(np.float64) != exact).sum())
        assert stored[name].tobytes() == once.tobytes() if name not in VOCABULARY else True
    assert inexact > 0
    assert manifest["loss"] == {"elements": elements, "inexact": inexact, "share": inexact / elements}


def test_fp32_says_what_it_rounds_and_where_that_shows(tmp_path: Path) -> None:
    """0.0123 − 1e-9 has more digits than float32. A merge in 16 bits computes in float32, one in F32 in float64."""
    name, rounded, answers = "model.layers.0.mlp.up_proj.weight", 7, {}
    for case, dtypes in (("exact", "BF16"), ("narrow", "BF16"), ("wide", "F32")):
        trio, folder = by_hand(), tmp_path / case
        pair = trio.vectors[0]
        for parent, small in ((pair.base, 1e-9), (pair.chat, 0.0123)):
            for tensor, values in parent.spec.weights.items():
                coarse = np.round(values.astype(np.float64), 2).astype(BF16)
                coarse.reshape(-1)[:rounded] = small if tensor == name and case != "exact" else 0.5
                parent.spec.weights[tensor] = coarse.astype(FLOATS[dtypes])
        _, ((base, chat),) = trio.write(folder)
        answers[case] = CliRunner().invoke(app, ["extract", base, chat, "-o", str(folder / "vec"), "-q"]).stdout
        manifest = json.loads((folder / "vec/chat_vector.json").read_text())
        assert manifest["loss"]["inexact"] == (0 if case == "exact" else rounded)
        for kind in ("BF16", "F32"):
            trio.target.spec.weights = {key: v.astype(FLOATS[kind]) for key, v in trio.target.spec.weights.items()}
            target = str(write_model(folder / f"target-{kind}", trio.target.spec))
            direct, stored = folder / f"direct-{kind}", folder / f"stored-{kind}"
            merge(target, direct, {"base": base, "chat": chat, "scale": 0.7})
            merge(target, stored, {"vector": str(folder / "vec"), "scale": 0.7})
            if case == "exact" or (case, kind) == ("narrow", "BF16"):
                assert weights_and_side_files(direct) == weights_and_side_files(stored)
            else:
                one, other = load_weights(direct), load_weights(stored)
                assert sum(int((one[key] != other[key]).sum()) for key in one) <= rounded
    assert "applying it gives the same bytes as --base --chat" in answers["exact"]
    assert "fp32 rounds 7 of" in answers["narrow"]
    assert "fp32 rounds 7 of" in answers["wide"]
    assert "to a 16-bit target gives the same bytes" in answers["narrow"]
    assert "16-bit" not in answers["wide"]


def test_a_bf16_vector_is_added_as_it_is_stored(tmp_path: Path) -> None:
    """Promise 2 reads `target + s·v`: with the parents' working format."""
    trio = by_hand()
    target, ((base, chat),) = trio.write(tmp_path)
    extract(base, chat, str(tmp_path / "vec"), dtype="bf16")
    merge(target, tmp_path / "out", {"vector": str(tmp_path / "vec"), "scale": 0.8})
    found, vector = load_weights(tmp_path / "out"), load_weights(tmp_path / "vec")
    for name, own in trio.target.spec.weights.items():
        if name not in VOCABULARY:
            assert found[name].tobytes() == merged(own, [Part(vector[name], None, 0.8)]).tobytes()


def test_a_vector_and_a_pair_together(tmp_path: Path) -> None:
    trio = by_hand()
    trio.vectors.append(trio.vectors[0])
    trio.vectors[0].scale_of = lambda _: 0.5
    target, _ = by_hand().write(tmp_path)
    base, chat = str(tmp_path / "base-0"), str(tmp_path / "chat-0")
    extract(base, chat, str(tmp_path / "vec"))
    vectors = ({"vector": str(tmp_path / "vec"), "scale": 0.5}, {"base": base, "chat": chat, "scale": 0.5})
    result = merge(target, tmp_path / "out", *vectors, chat_format="vector:1")
    lines = result.manifest["vocabulary"]["template_tokens"]
    wanted = expected(trio, [one["token"] for one in lines if one["done"] == "transplanted"])
    found = load_weights(tmp_path / "out")
    assert {name: value.tobytes() for name, value in found.items()} == {
        name: value.tobytes() for name, value in wanted.items()
    }


def test_the_same_parents_give_the_same_vector(tmp_path: Path) -> None:
    _, ((base, chat),) = by_hand().write(tmp_path)
    extract(base, chat, str(tmp_path / "one"), threads=1, memory=4 << 20)
    extract(base, chat, str(tmp_path / "two"), threads=2)
    one, two = tree(tmp_path / "one"), tree(tmp_path / "two")
    manifests = [json.loads(found.pop("chat_vector.json")) for found in (one, two)]
    assert one == two
    assert [manifest.pop("run")["threads"] for manifest in manifests] == [1, 2]
    assert manifests[0] == manifests[1]


@pytest.mark.parametrize("name", ["vector-00002-of-00002.safetensors", "chat/tokenizer.json", "chat_vector.json"])
def test_a_vector_with_a_part_missing(tmp_path: Path, name: str) -> None:
    target, ((base, chat),) = by_hand().write(tmp_path)
    extract(base, chat, str(tmp_path / "vec"))
    (tmp_path / "vec" / name).unlink()
    with pytest.raises((MissingInput, InputError), match=r"vec") as raised:
        merge(target, tmp_path / "out", {"vector": str(tmp_path / "vec")})
    assert raised.value.exit_code == 3
    assert not list(tmp_path.glob("*out*"))


@pytest.mark.parametrize(
    "name", ["vector-00001-of-00002.safetensors", "chat_vector.json", "chat/config.json", "chat_rows.safetensors"]
)
def test_a_vector_with_a_part_cut(tmp_path: Path, name: str) -> None:
    target, ((base, chat),) = by_hand().write(tmp_path)
    extract(base, chat, str(tmp_path / "vec"))
    path = tmp_path / "vec" / name
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DamagedFile, match=r"vec") as raised:
        merge(target, tmp_path / "out", {"vector": str(tmp_path / "vec")})
    assert "\n" not in str(raised.value)


LIES = {
    "no facts": (lambda manifest: manifest.pop("vector"), r"chat_vector\.json: rows: Field required"),
    "rows as text": (lambda manifest: manifest["vector"].update(rows="many"), r"chat_vector\.json: rows: "),
    "more rows than the file": (lambda m: m["vector"]["rows"].__setitem__(1, 10**6), "says 1000000 rows of chat's embedding"),
    "an unknown dtype": (lambda m: m["vector"]["parent_dtypes"].update({"*": ["BF16", "X9"]}), "parent_dtypes: .*dtypes"),
    "more raw rows than the file": (lambda m: m["vector"]["chat_row_ids"].append(5), r"chat_rows.safetensors: .*names \d+ rows"),
    "a verdict without a row": (lambda m: m["vector"]["row_health"][0].pop("row"), r"row_health\.0\.row: "),
    "licences as numbers": (lambda m: m["origins"]["base"].update(licences=[5]), r"origins\.base\.licences\.0: "),
}  # fmt: skip


@pytest.mark.parametrize("case", LIES)
def test_a_vector_whose_manifest_lies(tmp_path: Path, case: str) -> None:
    """Told when the vector is opened, not by a reader in the middle of its work."""
    lie, message = LIES[case]
    target, ((base, chat),) = by_hand().write(tmp_path)
    extract(base, chat, str(tmp_path / "vec"))
    path = tmp_path / "vec" / "chat_vector.json"
    manifest = json.loads(path.read_text("utf-8"))
    lie(manifest)
    path.write_text(json.dumps(manifest), "utf-8")
    with pytest.raises(DamagedFile, match=message) as raised:
        merge(target, tmp_path / "out", {"vector": str(tmp_path / "vec")})
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.glob("*out*"))


def test_a_model_where_a_vector_belongs_and_the_other_way_round(tmp_path: Path) -> None:
    target, ((base, chat),) = by_hand().write(tmp_path)
    extract(base, chat, str(tmp_path / "vec"))
    with pytest.raises(InputError, match=r"target.*(no such manifest|is a model)"):
        merge(target, tmp_path / "out", {"vector": target})
    merge(target, tmp_path / "merged", {"base": base, "chat": chat})
    with pytest.raises(InputError, match=r"merged: is a merged model, not a chat vector"):
        merge(target, tmp_path / "out", {"vector": str(tmp_path / "merged")})
    with pytest.raises(InputError, match=r"vec: .*vector"):
        merge(str(tmp_path / "vec"), tmp_path / "out", {"base": base, "chat": chat})


def test_the_output_of_extract_is_guarded_like_any_other(tmp_path: Path) -> None:
    _, ((base, chat),) = by_hand().write(tmp_path)
    for place in (Path(base), Path(chat) / "vec", tmp_path):
        with pytest.raises(OutputRefused, match=r"exists already|overlaps the input"):
            extract(base, chat, str(place))
    assert not (Path(chat) / "vec").exists()


def test_a_vector_without_a_chat_format(tmp_path: Path) -> None:
    """A chat model without a template gives a vector without one: only the user can say which it shall be."""
    trio = by_hand()
    trio.vectors[0].chat.spec.tokenizer_config.pop("chat_template")
    target, ((base, chat),) = trio.write(tmp_path)
    extract(base, chat, str(tmp_path / "vec"))
    with pytest.raises(UsageError, match=r"no chat template"):
        merge(target, tmp_path / "out", {"vector": str(tmp_path / "vec")})
