# SPDX-License-Identifier: Apache-2.0
"""Models that are loaded: how they are told apart, and what is said of those that cannot be."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers.utils import logging

from chatvector.errors import (
    DamagedFile,
    InputError,
    MissingExtra,
    MissingInput,
    UnsupportedFormat,
    UsageError,
)
from chatvector.runtime.loading import quiet_transformers
from chatvector.runtime.transformers_backend import TransformersBackend
from counting import CONTEXT, TEMPLATE, counting_model, load, set_template, write
from hub_server import HubServer, posing_as_the_hub


@pytest.fixture
def counting(tmp_path: Path) -> Path:
    return counting_model(tmp_path / "counting")


# ---- identity -------------------------------------------------------------------------------------------------------


def test_info_tells_models_apart(counting: Path, tmp_path: Path) -> None:
    one = load(counting).info
    assert (one.kind, one.context, one.settings["dtype"]) == ("transformers", CONTEXT, "float32")
    copy = counting_model(tmp_path / "copy")
    assert load(copy).info.digest == one.digest  # what it is called does not count
    assert load(copy, dtype="bf16").info.digest != one.digest
    assert load(copy, stop_tokens=("g",)).info.digest != one.digest
    weights = load_file(copy / "model.safetensors")
    weights["lm_head.weight"][5, 4] = 1.0625
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    changed = load(copy).info
    assert changed.digest != one.digest
    set_template(copy, TEMPLATE + " ")
    assert load(copy).info.digest != changed.digest


def test_a_live_model_is_known_by_what_it_holds_now(counting: Path) -> None:
    loaded = load(counting)
    live = TransformersBackend(loaded.model, loaded.tokenizer, name="τ × 0.5")
    before = live.info
    assert (before.kind, before.model) == ("live", "τ × 0.5")
    assert live.info.digest == before.digest
    with torch.no_grad():
        live.model.get_parameter("lm_head.weight").mul_(0.5)
    assert live.info.digest != before.digest
    told = TransformersBackend(loaded.model, loaded.tokenizer, name="x", fingerprint=lambda: "recipe")
    assert told.info.fingerprint == "recipe"


def test_a_hub_name_is_downloaded_and_known_by_its_files(
    counting: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with HubServer() as hub, posing_as_the_hub(hub, monkeypatch, tmp_path / "cache"):
        hub.add_folder("org/counting", counting)
        backend = load("org/counting")  # pyright: ignore[reportArgumentType]
        assert write(backend, "j").text == "k l"
        assert (backend.info.model, backend.info.digest) == ("org/counting", load(counting).info.digest)


# ---- what cannot be loaded ------------------------------------------------------------------------------------------


def test_missing_weights_are_refused(counting: Path) -> None:
    weights = load_file(counting / "model.safetensors")
    del weights["model.norm.weight"]
    save_file(weights, counting / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DamagedFile, match=r"1 missing keys, the first is model\.norm\.weight"):
        load(counting)


def test_left_over_weights_are_refused(counting: Path) -> None:
    weights = load_file(counting / "model.safetensors")
    weights["model.extra.weight"] = torch.zeros(2)
    save_file(weights, counting / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DamagedFile, match=r"1 unexpected keys, the first is model\.extra\.weight"):
        load(counting)


def test_pickled_weights_are_refused(counting: Path) -> None:
    torch.save(load_file(counting / "model.safetensors"), counting / "pytorch_model.bin")
    (counting / "model.safetensors").unlink()
    with pytest.raises(UnsupportedFormat, match=r"the weights are pickles \(pytorch_model\.bin\), which are never"):
        load(counting)


def test_an_architecture_that_transformers_does_not_know(counting: Path) -> None:
    config = json.loads((counting / "config.json").read_text())
    (counting / "config.json").write_text(json.dumps({**config, "model_type": "unheard-of"}))
    with pytest.raises(InputError, match=r"transformers does not load it .*unheard-of"):
        load(counting)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"pad_token_id": 9999}, r"Padding_idx must be within num_embeddings"),
        ({"pad_token_id": [1, 2]}, r"Validation error for field 'pad_token_id'"),
        ({"rope_parameters": {"rope_type": "yarn"}}, r"Missing required keys in `rope_parameters`"),
        ({"dtype": "bfloat17"}, r"bfloat17"),
    ],
)
def test_values_that_make_transformers_raise_anything(counting: Path, values: dict[str, object], words: str) -> None:
    config = json.loads((counting / "config.json").read_text())
    (counting / "config.json").write_text(json.dumps({**config, **values}))
    said = rf"^{counting}: transformers does not load it \(.*{words}.*\); chatvector doctor looks for the cause$"
    with pytest.raises(InputError, match=said):
        load(counting, dtype="auto")


def test_missing_directory_or_tokenizer(counting: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="nowhere: there is no such directory"):
        load(tmp_path / "nowhere")
    for name in ("tokenizer_config.json", "tokenizer.json"):
        (counting / name).unlink()
    with pytest.raises(MissingInput, match="no tokenizer at"):
        load(counting)
    (counting / "config.json").unlink()
    with pytest.raises(MissingInput, match=r"no model at .*config\.json is not there"):
        load(counting)


def test_unknown_dtype(counting: Path) -> None:
    with pytest.raises(UsageError, match="dtype int4: choose one of auto, fp32, bf16, fp16"):
        load(counting, dtype="int4")


def test_missing_extra_names_the_install(counting: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtra, match=r"pip install 'chatvector\[local\]'") as caught:
        load(counting)
    assert caught.value.exit_code == 7


def test_quiet_puts_everything_back() -> None:
    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    with quiet_transformers():
        assert logging.get_verbosity() == 40  # logging.ERROR of the standard library
        assert not logging.is_progress_bar_enabled()
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before


def test_one_weight_that_no_sample_holds_makes_another_model(tmp_path: Path) -> None:
    """The cache of replies goes by the whole weights, a manifest by a sample of them."""
    from chatvector.checkpoint.checkpoint import Checkpoint
    from chatvector.checkpoint.fingerprint import Sample
    from chatvector.checkpoint.storage import LocalDirectory
    from chatvector.runtime.loading import checkpoint_digest

    folders, samples, digests = (tmp_path / "one", tmp_path / "other"), [], []
    for folder in folders:
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        weights = torch.zeros(1 << 16)
        weights[300] = float(folder.name == "other")  # blocks of 256 lie 1,036 apart
        save_file({"w": weights}, folder / "model.safetensors", metadata={"format": "pt"})
        with Checkpoint(LocalDirectory(folder, folder.name), folder.name) as checkpoint:
            samples.append(Sample(checkpoint).digest())
            digests.append(checkpoint_digest(checkpoint))
    assert samples[0] == samples[1], "a test that could not fail"
    assert digests[0] != digests[1]
