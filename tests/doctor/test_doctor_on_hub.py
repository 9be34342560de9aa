# SPDX-License-Identifier: Apache-2.0
"""Models on the hub: read by byte range, nothing lands on disk, the findings are the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import constants

from builders import Shape, trio_specs, write_trio
from chatvector.checkpoint.checkpoint import Checkpoint
from chatvector.checks.doctor.examine import examine
from chatvector.pipeline import apply
from chatvector.recipe import Recipe, VectorSpec
from chatvector.verification import verify
from doctor.patients import Body
from hub_server import HubServer


@pytest.fixture
def merged(tmp_path: Path) -> Body:
    """A merge of some megabytes, so that reading a part of it is a part."""
    specs = trio_specs(Shape(vocabulary=8192, hidden=128, mlp=512, layers=4))
    specs["target"].shards = 2
    trio = write_trio(tmp_path / "trio", specs)
    vector = VectorSpec(base=str(trio.base), chat=str(trio.chat), scale=0.8)
    return Body(apply(Recipe(target=str(trio.target), vectors=(vector,), output=str(tmp_path / "out"))).output)


def publish(hub: HubServer, body: Body) -> None:
    hub.add_folder("org/merged", body.path)


def bytes_sent(hub: HubServer) -> int:
    ranges = [{key.lower(): value for key, value in each.headers.items()}.get("range") for each in hub.log]
    spans = [text.removeprefix("bytes=").split("-") for text in ranges if text]
    return sum(int(last) - int(first) + 1 for first, last in spans)


def test_a_healthy_model_by_name(hub: HubServer, merged: Body) -> None:
    publish(hub, merged)
    found = examine("org/merged")
    assert found.findings == ()
    assert found.has_manifest
    weights = sum(file.stat().st_size for file in merged.path.glob("*.safetensors"))
    assert 0 < bytes_sent(hub) < weights
    assert not list(Path(constants.HF_HUB_CACHE).rglob("*.safetensors"))


def test_faults_are_found_from_afar(hub: HubServer, merged: Body) -> None:
    merged.remove("chat_vector.json")
    with merged.json("generation_config.json") as config:
        config["eos_token_id"] = 1
    row = merged.ids()["<|end|>"]
    with merged.weights() as weights:
        weights["model.embed_tokens.weight"][row] = 0
        weights["model.layers.1.mlp.down_proj.weight"][:] = 0
    publish(hub, merged)
    assert {each.code for each in examine("org/merged").findings} == {"stop-missing", "token-untrained", "tensor-zero"}


def test_an_output_that_was_downloaded_before_has_its_manifest_fetched(hub: HubServer, merged: Body) -> None:
    publish(hub, merged)
    with Checkpoint.open("org/merged") as model:
        assert "chat_vector.json" not in model.listing
    found = verify("org/merged", generate=False)
    assert found.ok, found.problems
    assert found.notes == ("README.md is missing",)


def test_a_published_output_is_verified_by_name(hub: HubServer, merged: Body) -> None:
    publish(hub, merged)
    found = verify("org/merged", full=True, generate=False)
    assert found.ok, found.problems
    (weights,) = (each for each in found.checks if each.name == "weights")
    assert weights.figures["elements"] == weights.figures["of_elements"]
