# SPDX-License-Identifier: Apache-2.0
"""Parents on the hub: read again by range, pinned to the commits of the manifest, also of a published one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import constants

from builders import TEMPLATE, Shape, trio_specs, write_trio
from chatvector.checkpoint.remote_hub import HubStorage
from chatvector.errors import HubError, NotEnoughSpace, UsageError
from chatvector.pipeline import apply
from chatvector.provenance.manifest import MANIFEST, publishable, to_bytes
from chatvector.recipe import Recipe, VectorSpec
from chatvector.rerun import load_from_afar, load_recipe, model_of_manifest
from chatvector.verification import Check, Verification, reply, verify
from doctor.patients import Body
from hub_server import Fault, HubServer

NAMES = {"base": "meta/base", "chat": "meta/chat", "target": "org/ko"}


@pytest.fixture
def output(tmp_path: Path, hub: HubServer) -> Body:
    """A merge of some megabytes of models on the hub, whose downloads are gone again."""
    written = write_trio(tmp_path / "trio", trio_specs(Shape(vocabulary=8192, hidden=64, mlp=256)))
    for role, name in NAMES.items():
        folder: Path = getattr(written, role)
        hub.add_folder(name, folder)
    vector = VectorSpec(base=NAMES["base"], chat=NAMES["chat"], scale=0.5)
    made = apply(Recipe(target=NAMES["target"], vectors=(vector,), output=str(tmp_path / "out"))).output
    shutil.rmtree(constants.HF_HUB_CACHE)
    return Body(made)


def check(found: Verification, name: str) -> Check:
    return next(each for each in found.checks if each.name == name)


def weights_that_landed() -> list[Path]:
    return list(Path(constants.HF_HUB_CACHE).rglob("*.safetensors"))


def test_a_sample_is_read_by_range(hub: HubServer, output: Body) -> None:
    hub.log.clear()
    found = verify(str(output.path), generate=False)
    assert found.ok, found.problems
    assert check(found, "weights").ok is True
    assert check(found, "side files").ok is True
    assert not weights_that_landed()
    asked = [each for each in hub.log if each.path.endswith(".safetensors") and each.method == "GET"]
    assert asked
    assert all("range" in {key.lower() for key in each.headers} for each in asked)


def test_the_commits_of_the_manifest_count(hub: HubServer, output: Body) -> None:
    hub.add("org/ko", {"config.json": b"{}", "model.safetensors": b"moved on"})
    assert verify(str(output.path), generate=False).ok


def test_a_difference_in_the_sample_is_found(output: Body) -> None:
    with output.weights() as weights:
        name = "model.layers.1.mlp.down_proj.weight"
        weights[name].reshape(-1)[-1] += np.asarray(1, weights[name].dtype)
    found = verify(str(output.path), generate=False)
    assert not found.ok
    assert any(name in problem for problem in found.problems)


def test_everything_is_downloaded_once(output: Body) -> None:
    found = verify(str(output.path), generate=False, full=True)
    assert found.ok, found.problems
    assert len(weights_that_landed()) == 3


@pytest.fixture
def published(output: Body) -> Body:
    """With the manifest that `push` sends."""
    output.write(MANIFEST, to_bytes(publishable(json.loads((output.path / MANIFEST).read_text("utf-8")))))
    return output


def test_a_published_output_is_verified_against_the_hub(published: Body) -> None:
    found = verify(str(published.path), generate=False)
    assert found.ok, found.problems
    assert [each.name for each in found.checks if each.ok is None] == ["reply"]
    assert not weights_that_landed()


@pytest.mark.usefixtures("output")
def test_a_template_file_is_not_published_and_no_other_is_taken_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = tmp_path / "elsewhere" / "t.jinja"
    template.parent.mkdir()
    template.write_text(TEMPLATE)
    vector = VectorSpec(base=NAMES["base"], chat=NAMES["chat"], scale=0.5)
    recipe = Recipe(target=NAMES["target"], vectors=(vector,), chat_format=str(template), stream=True)
    made = Body(apply(recipe.model_copy(update={"output": str(tmp_path / "own")})).output)
    made.write(MANIFEST, to_bytes(publishable(json.loads((made.path / MANIFEST).read_text("utf-8")))))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.jinja").write_text("another one")
    found = verify(str(made.path), generate=False)
    assert found.ok
    assert [each.name for each in found.checks if each.ok is None] == ["weights", "side files", "manifest", "reply"]
    assert "its chat format came from the file t.jinja, which is not part of the" in check(found, "weights").summary
    with pytest.raises(UsageError, match=r"name the file by --set chat_format=FILE$"):
        load_recipe(made.path / MANIFEST, [], "again")
    again = load_recipe(made.path / MANIFEST, [f"chat_format={template}"], str(tmp_path / "again"))
    weights = apply(again.recipe).output / "model.safetensors"
    assert weights.read_bytes() == (made.path / "model.safetensors").read_bytes()


def test_a_published_output_is_made_again_by_name(hub: HubServer, published: Body, tmp_path: Path) -> None:
    hub.add_folder("org/out", published.path)
    assert model_of_manifest(f"org/out@main/{MANIFEST}") == "org/out@main"
    model = model_of_manifest(f"org/out/{MANIFEST}")
    assert model == "org/out"
    again = apply(load_from_afar(model, [], str(tmp_path / "again"), print).recipe).output
    assert (again / "model.safetensors").read_bytes() == (published.path / "model.safetensors").read_bytes()


def test_a_manifest_on_this_machine_is_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org" / "out").mkdir(parents=True)
    for name in (f"org/out/{MANIFEST}", f"org/missing/{MANIFEST}", MANIFEST, f"./a/b/{MANIFEST}", "org/recipe.yaml"):
        assert model_of_manifest(name) is None


def test_without_a_hub_a_published_output_is_verified_by_itself(hub: HubServer, published: Body) -> None:
    hub.faults += [Fault("GET", "/", status=503), Fault("HEAD", "/", status=503)]
    found = verify(str(published.path), generate=False)
    assert found.ok
    assert [each.name for each in found.checks if each.ok is None] == ["weights", "side files", "manifest", "reply"]
    assert "the parents on the hub cannot be read" in check(found, "weights").summary


def test_without_a_hub_an_output_with_its_places_cannot_be_verified(hub: HubServer, output: Body) -> None:
    hub.faults += [Fault("GET", "/", status=503), Fault("HEAD", "/", status=503)]
    with pytest.raises(HubError):
        verify(str(output.path), generate=False)


@pytest.fixture(scope="module")
def demo_merge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    vector = VectorSpec(base="demo:base", chat="demo:chat", scale=0.75)
    place = tmp_path_factory.mktemp("demo") / "out"
    return apply(Recipe(target="demo:target", vectors=(vector,), output=str(place))).output


@pytest.fixture
def by_name(hub: HubServer, demo_merge: Path) -> str:
    """A merge that speaks, on the hub only."""
    files = {p.relative_to(demo_merge).as_posix(): p.read_bytes() for p in demo_merge.rglob("*") if p.is_file()}
    hub.add("org/ko-chat", files)
    return "org/ko-chat"


def test_a_model_by_name_is_downloaded_for_its_reply(by_name: str) -> None:
    said: list[str] = []
    found = verify(by_name, say=said.append)
    assert found.ok, found.problems
    assert check(found, "reply").figures["stopped"] > 0
    assert [path.name for path in weights_that_landed()] == ["model.safetensors"]
    assert any("downloading" in line for line in said)


def test_a_model_by_name_that_is_large_is_downloaded_only_when_asked(
    by_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reply, "DOWNLOAD_BYTES", 1000)
    found = verify(by_name)
    assert check(found, "reply").ok is None
    assert check(found, "reply").summary.endswith("MB of weights; --generate downloads and loads them")
    assert not weights_that_landed()
    assert check(verify(by_name, generate=True), "reply").ok is True


def test_a_download_that_fails_leaves_the_reply_out_unless_it_was_asked_for(
    by_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> Path:
        raise NotEnoughSpace("the disk is full")

    monkeypatch.setattr(HubStorage, "download", full)
    assert check(verify(by_name), "reply").summary == "the model could not be downloaded (the disk is full)"
    with pytest.raises(NotEnoughSpace, match="the disk is full"):
        verify(by_name, generate=True)
