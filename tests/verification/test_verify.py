# SPDX-License-Identifier: Apache-2.0
"""`verify` on whole outputs: what was spoilt is named, what cannot be read ends with 3, a healthy output passes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builders import Trio, trio_specs, write_trio
from chatvector.errors import ChatVectorError, InputError, MissingInput, UsageError
from chatvector.extraction import extract
from chatvector.pipeline import apply
from chatvector.provenance.manifest import MANIFEST, publishable, read_manifest, to_bytes
from chatvector.recipe import Recipe, VectorSpec
from chatvector.verification import Check, Verification, verify
from doctor.patients import Body

DOWN = "model.layers.0.mlp.down_proj.weight"
SUBJECTS = ("files", "weights", "side files", "manifest", "model", "reply")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trio, Path]:
    folder = tmp_path_factory.mktemp("verified")
    specs = trio_specs()
    specs["target"].shards = 2
    trio = write_trio(folder, specs)
    vector = VectorSpec(base=str(trio.base), chat=str(trio.chat), scale=0.8)
    recipe = Recipe(target=str(trio.target), vectors=(vector,), output=str(folder / "out"), sha256=True)
    return trio, apply(recipe).output


@pytest.fixture
def output(made: tuple[Trio, Path], tmp_path: Path) -> Body:
    return Body(made[1]).copy(tmp_path / "out")


def check(found: Verification, name: str) -> Check:
    (one,) = (each for each in found.checks if each.name == name)
    return one


@pytest.mark.parametrize("full", [False, True])
def test_what_apply_wrote_is_verified(output: Body, full: bool) -> None:
    found = verify(str(output.path), full=full, generate=False)
    assert found.ok
    assert found.problems == ()
    assert found.notes == ()
    assert tuple(each.name for each in found.checks) == SUBJECTS
    assert [each.name for each in found.checks if each.ok is None] == ["reply"]
    figures = check(found, "weights").figures
    assert figures["full"] is full
    assert figures["elements"] == figures["of_elements"] > 0
    assert "conversations" in check(found, "model").summary
    assert check(found, "files").figures["digests"] == check(found, "files").figures["files"]
    json.dumps(found.as_dict(), allow_nan=False)


def nan_in_a_weight(body: Body) -> None:
    file = body.path / "model-00001-of-00002.safetensors"
    data = bytearray(file.read_bytes())
    data[-2:] = b"\xc0\x7f"
    file.write_bytes(data)


def stop_id_gone(body: Body) -> None:
    with body.json("generation_config.json") as config:
        config["eos_token_id"] = 1


def shard_gone(body: Body) -> None:
    body.remove("model-00002-of-00002.safetensors")


def shard_truncated(body: Body) -> None:
    file = body.path / "model-00002-of-00002.safetensors"
    file.write_bytes(file.read_bytes()[:-64])


def another_template(body: Body) -> None:
    body.write("chat_template.jinja", "{{ messages[0]['content'] }}")


def manifest_tells_another_scale(body: Body) -> None:
    with body.json(MANIFEST) as manifest:
        manifest["scales"][0]["tensors"][DOWN] = 0.5


def public_recipe_tells_another_scale(body: Body) -> None:
    with body.json(MANIFEST) as manifest:
        manifest["recipe"]["vectors"][0]["scale"] = 0.3


def another_target_is_named(body: Body) -> None:
    with body.json(MANIFEST) as manifest:
        manifest["origins"]["target"]["model"] = "meta-llama/Llama-2-7b-hf"


def told_otherwise(*place: str | int, value: object) -> Callable[[Body], None]:
    """A value of the manifest forged."""

    def spoil(body: Body) -> None:
        with body.json(MANIFEST) as manifest:
            inner: Any = manifest
            for key in place[:-1]:
                inner = inner[key]
            assert inner[place[-1]] != value
            inner[place[-1]] = value

    return spoil


def another_licence_is_named(body: Body) -> None:
    with body.json(MANIFEST) as manifest:
        manifest["licences"]["output"] = "mit"


def an_adapter_is_laid_in(body: Body) -> None:
    body.write("adapter_config.json", '{"base_model_name_or_path": "someone/else", "peft_type": "LORA"}')


def recipe_tells_another_scale(body: Body) -> None:
    with body.json(MANIFEST) as manifest:
        manifest["run"]["recipe"]["vectors"][0]["scale"] = 0.5


@pytest.mark.parametrize(
    ("spoil", "subjects", "words"),
    [
        (nan_in_a_weight, {"files", "weights", "model"}, "1 of 21 tensors differ from the recipe"),
        (stop_id_gone, {"files", "side files", "model"}, "generation_config.json differs in eos_token_id"),
        (shard_gone, {"files", "weights", "model"}, "model-00002-of-00002.safetensors is missing"),
        (shard_truncated, {"files", "weights", "model"}, "truncated"),
        (another_template, {"files", "model"}, "chat_template.jinja was not there when the model was made"),
        (manifest_tells_another_scale, {"manifest"}, "scales is not what the recipe and the parents mean"),
        (public_recipe_tells_another_scale, {"manifest"}, "recipe is not what the recipe and the parents mean"),
        (another_target_is_named, {"manifest"}, "origins is not what the recipe and the parents mean"),
        (another_licence_is_named, {"manifest"}, "licences is not what the recipe and the parents mean"),
        (told_otherwise("lineage", 0, "verdict", value="swapped"), {"manifest"}, "lineage is not what"),
        (told_otherwise("lineage", 0, "drift_over_tau", value=0.5), {"manifest"}, "lineage is not what"),
        (told_otherwise("languages", value=["en"]), {"manifest"}, "README.md names none, the manifest en"),
        (told_otherwise("warnings", value=["x"]), {"manifest"}, "warnings is not what"),
        (told_otherwise("left_behind", value=["x"]), {"manifest"}, "left_behind is not what"),
        (told_otherwise("checks", "weights", "elements", value=999), {"manifest"}, "checks: weights is not what"),
        (told_otherwise("checks", "chat", "stop_ids", value=[]), {"manifest"}, "checks: chat is not what"),
        (told_otherwise("statistics", "total", "tau_norm", value=[1e9]), {"manifest"}, "do not add up: total"),
        (told_otherwise("statistics", "roles", "mlp", "tau_norm", value=[1e9]), {"manifest"}, "add up: roles mlp"),
        (told_otherwise("statistics", "layers", "0", "tau_norm", value=[]), {"manifest"}, "add up: layers 0"),
        (told_otherwise("statistics", "tensors", DOWN, "tau_norm", value=[1e9]), {"manifest"}, "add up: total"),
        (an_adapter_is_laid_in, {"files", "model"}, "adapter_config.json was not there when the model was made"),
        (recipe_tells_another_scale, {"weights", "manifest"}, "tensors differ from the recipe"),
    ],
)
@pytest.mark.parametrize("full", [False, True])
def test_what_was_spoilt_is_named(
    output: Body, spoil: Callable[[Body], None], subjects: set[str], words: str, full: bool
) -> None:
    spoil(output)
    found = verify(str(output.path), full=full, generate=False)
    assert not found.ok
    assert {each.name for each in found.checks if each.ok is False} == subjects
    assert words in "\n".join(found.problems)


def test_languages_that_the_card_of_a_target_names_since_are_told_as_that(tmp_path: Path) -> None:
    trio = write_trio(tmp_path, trio_specs())
    card = "---\nlanguage: [{}]\n---\n"
    (trio.target / "README.md").write_text(card.format("ko"))
    vector = VectorSpec(base=str(trio.base), chat=str(trio.chat))
    made = apply(Recipe(target=str(trio.target), vectors=(vector,), output=str(tmp_path / "out")))
    (trio.target / "README.md").write_text(card.format("ko, en") + "And a text.")
    found = verify(str(made.output), generate=False)
    assert found.problems == (
        "manifest: languages: the target's README.md names ko, en, the manifest ko; one of the two was edited since the"
        " merge, and no weight depends on it",
    )
    (trio.target / "README.md").write_text(card.format("ko") + "And a text.")
    assert verify(str(made.output), generate=False).ok


def test_an_edited_licence_or_notice_is_found(tmp_path: Path) -> None:
    specs = trio_specs()
    specs["target"].extra_files |= {"LICENSE": "Terms of the target.", "NOTICE": "Made by the target's makers."}
    specs["chat"].extra_files["LICENSE"] = "Terms of the chat model."
    trio = write_trio(tmp_path, specs)
    vector = VectorSpec(base=str(trio.base), chat=str(trio.chat))
    made = apply(Recipe(target=str(trio.target), vectors=(vector,), output=str(tmp_path / "out"))).output
    names = sorted(file.relative_to(made).as_posix() for file in made.rglob("*") if file.name in ("LICENSE", "NOTICE"))
    assert names == ["LICENSE", "NOTICE", "licences/chat/LICENSE"]
    for name in names:
        whole = (made / name).read_bytes()
        (made / name).write_bytes(whole.replace(b"T", b"t").replace(b"M", b"m"))
        found = verify(str(made), generate=False)
        assert found.problems == (f"side files: {name} differs from byte 0 on",)
        (made / name).unlink()
        assert f"side files: {name} is missing" in verify(str(made), generate=False).problems
        (made / name).write_bytes(whole)
    assert verify(str(made), generate=False).ok


def test_a_lineage_that_was_overridden_is_told_as_it_was(tmp_path: Path) -> None:
    trio = write_trio(tmp_path, trio_specs())
    swapped = VectorSpec(base=str(trio.chat), chat=str(trio.base), scale=0.8)
    recipe = Recipe(target=str(trio.target), vectors=(swapped,), output=str(tmp_path / "out"), force_lineage=True)
    made = apply(recipe.model_copy(update={"chat_format": "target"}))
    assert made.manifest["warnings"]
    assert check(verify(str(made.output), generate=False), "manifest").problems == ()


def test_all_weights_gone_is_a_difference_and_no_error(output: Body) -> None:
    for file in output.path.glob("*.safetensors*"):
        file.unlink()
    found = verify(str(output.path), generate=False)
    assert {each.name for each in found.checks if each.ok is False} >= {"files", "weights", "model"}


def test_files_that_no_loader_reads_are_notes(made: tuple[Trio, Path], output: Body) -> None:
    output.write("picture.png")
    output.write("README.md", "another card")
    found = verify(str(output.path), generate=False)
    assert found.ok
    assert len(found.notes) == 2
    assert found.notes[0].startswith("README.md has 12 bytes")
    card = (made[1] / "README.md").read_bytes()
    output.write("README.md", bytes(card[:-1]) + b"!")
    assert verify(str(output.path), generate=False).notes[0] == "README.md: its SHA-256 is another one"
    assert found.notes[1] == "picture.png was not there when the model was made; no loader reads it"


def test_a_published_manifest_is_verified_as_far_as_it_goes(output: Body) -> None:
    manifest = read_manifest(output.path / MANIFEST)
    output.write(MANIFEST, to_bytes(publishable(manifest)))
    found = verify(str(output.path), generate=False)
    assert found.ok
    assert [each.name for each in found.checks if each.ok is None] == ["weights", "side files", "manifest", "reply"]
    assert "published without the places of target, vectors.0.base, vectors.0.chat" in check(found, "weights").summary
    assert found.summary.endswith("not checked: weights, side files, manifest, reply")
    output.write("config.json", "{}")
    assert {each.name for each in verify(str(output.path), generate=False).checks if each.ok is False} == {
        "files",
        "model",
    }


def test_a_vector_from_disk_is_verified_too(tmp_path: Path) -> None:
    trio = write_trio(tmp_path)
    extract(str(trio.base), str(trio.chat), str(tmp_path / "vector"), dtype="fp32")
    spec = VectorSpec(vector=str(tmp_path / "vector"), scale=0.8)
    apply(Recipe(target=str(trio.target), vectors=(spec,), output=str(tmp_path / "out")))
    found = verify(str(tmp_path / "out"), full=True, generate=False)
    assert found.ok, found.problems
    with pytest.raises(UsageError, match="is a vector, not a merged model"):
        verify(str(tmp_path / "vector"))


# ---- bad input ------------------------------------------------------------------------------------------------------


def parents_moved(_output: Body, trio: Trio) -> None:
    shutil.move(trio.chat, trio.chat.with_name("elsewhere"))


def parent_changed(_output: Body, trio: Trio) -> None:
    with Body(trio.base).weights() as weights:
        weights[DOWN] = weights[DOWN] + np.ones_like(weights[DOWN])


def parent_s_tokenizer_changed(_output: Body, trio: Trio) -> None:
    with Body(trio.target).json("tokenizer_config.json") as config:
        config["legacy"] = True


def other_version(output: Body, _trio: Trio) -> None:
    with output.json(MANIFEST) as manifest:
        manifest["format"] = 99


def parent_licensed(_output: Body, trio: Trio) -> None:
    Body(trio.base).write("README.md", "---\nlicense: llama3.1\n---\n")


def no_manifest(output: Body, _trio: Trio) -> None:
    output.remove(MANIFEST)


def no_json(output: Body, _trio: Trio) -> None:
    output.write(MANIFEST, "{")


@pytest.mark.parametrize(
    ("spoil", "error", "words"),
    [
        (parents_moved, MissingInput, "its parents cannot be read any more: .*chat: there is no such directory"),
        (parent_licensed, InputError, r"parents are no longer what they were: vectors.0.base \(the licence that its"),
        (parent_changed, InputError, r"1 of 3 parents are no longer what they were: vectors.0.base \(headers|samples"),
        (parent_s_tokenizer_changed, InputError, r"target \(tokenizer_config.json\); verify against the parents"),
        (other_version, InputError, "manifest format 99, this version reads 1"),
        (no_manifest, MissingInput, "has no chat_vector.json, .* `chatvector doctor` examines any model"),
        (no_json, InputError, "chat_vector.json: no valid JSON"),
    ],
)
def test_what_cannot_be_verified_ends_with_three(
    tmp_path: Path, spoil: Callable[[Body, Trio], None], error: type[ChatVectorError], words: str
) -> None:
    trio = write_trio(tmp_path)
    vector = VectorSpec(base=str(trio.base), chat=str(trio.chat))
    output = apply(Recipe(target=str(trio.target), vectors=(vector,), output=str(tmp_path / "out"))).output
    spoil(Body(output), trio)
    with pytest.raises(error, match=words) as caught:
        verify(str(output), generate=False)
    assert caught.value.exit_code == 3


def test_no_such_output(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="there is no such directory"):
        verify(str(tmp_path / "nowhere"))
