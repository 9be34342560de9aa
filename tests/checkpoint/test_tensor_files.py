# SPDX-License-Identifier: Apache-2.0
"""Tensors over several files, read by range, by row and from several threads."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from builders import BF16, F32, Shape, Spec, Weights, llama_config, llama_weights, tokenizer_json, write_model
from chatvector.checkpoint.checkpoint import Checkpoint
from chatvector.checkpoint.storage import LocalDirectory
from chatvector.checkpoint.tensor_files import TensorFiles
from chatvector.errors import DamagedFile, MissingInput


def model(tmp_path: Path, *, shards: int = 1) -> tuple[Path, Weights]:
    shape = Shape()
    weights = llama_weights(shape)
    path = write_model(tmp_path / "m", Spec(weights, llama_config(shape), tokenizer_json(["a"]), shards=shards))
    return path, weights


@pytest.mark.parametrize("shards", [1, 3])
def test_every_tensor_is_found_whatever_the_shards(tmp_path: Path, shards: int) -> None:
    path, weights = model(tmp_path, shards=shards)
    with Checkpoint.open(str(path)) as opened:
        assert set(opened.tensors) == set(weights)
        assert opened.nbytes == sum(values.nbytes for values in weights.values())
        assert len(opened.headers) == shards
        for name, values in weights.items():
            ref = opened.tensors[name]
            assert (ref.dtype.code, ref.shape, ref.elements) == ("BF16", values.shape, values.size)
            assert opened.read_array(name).tobytes() == values.tobytes()
            assert opened.read_array(name, 3, 11).tobytes() == values.ravel()[3:11].tobytes()


def test_rows_come_as_float32_in_the_order_asked_for(tmp_path: Path) -> None:
    path, weights = model(tmp_path)
    rows = np.array([5, 0, 5, 63], np.int64)
    with Checkpoint.open(str(path)) as opened:
        found = opened.read_rows("model.embed_tokens.weight", rows)
    assert found.dtype == F32
    np.testing.assert_array_equal(found, weights["model.embed_tokens.weight"][rows].astype(F32))


def test_several_threads_read_at_once(tmp_path: Path) -> None:
    path, weights = model(tmp_path, shards=3)
    with Checkpoint.open(str(path)) as opened, ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda name: (name, opened.read_array(name).tobytes()), [*weights] * 20))
    assert all(weights[name].tobytes() == data for name, data in found)


def test_a_tensor_in_two_files_is_damaged(tmp_path: Path) -> None:
    for file in ("x.safetensors", "y.safetensors"):
        save_file({"a": np.zeros(2, F32)}, tmp_path / file)
    with pytest.raises(DamagedFile, match=r"^m: tensor 'a' is in x.safetensors and again in y.safetensors$"):
        TensorFiles(LocalDirectory(tmp_path), ("x.safetensors", "y.safetensors"), "m")


def test_files_without_a_tensor_are_damaged(tmp_path: Path) -> None:
    save_file({}, tmp_path / "x.safetensors")
    with pytest.raises(DamagedFile, match=r"^m: the .* files hold no tensor$"):
        TensorFiles(LocalDirectory(tmp_path), ("x.safetensors",), "m")


def test_scalars_and_empty_tensors(tmp_path: Path) -> None:
    save_file({"one": np.array(3.5, BF16), "none": np.zeros((0, 7), F32)}, tmp_path / "x.safetensors")
    with TensorFiles(LocalDirectory(tmp_path), ("x.safetensors",), "m") as files:
        assert (files.tensors["one"].elements, files.tensors["one"].row_elements) == (1, 1)
        assert (files.tensors["none"].elements, files.tensors["none"].row_elements) == (0, 7)
        assert files.read_array("one").tolist() == [3.5]
        assert files.read_array("none").tolist() == []


def rewrite_index(path: Path, **changes: str | None) -> None:
    index = path / "model.safetensors.index.json"
    document = json.loads(index.read_text())
    for name, file in changes.items():
        if file is None:
            del document["weight_map"][name]
        else:
            document["weight_map"][name] = file
    index.write_text(json.dumps(document))


def test_an_index_and_its_files_must_agree(tmp_path: Path) -> None:
    path, _ = model(tmp_path, shards=2)
    rewrite_index(path, **{"lm_head.weight": "model-00001-of-00002.safetensors"})
    with pytest.raises(DamagedFile, match=r"1 tensors are not in the file it names: lm_head.weight$"):
        Checkpoint.open(str(path))
    rewrite_index(path, **{"lm_head.weight": None})
    with pytest.raises(DamagedFile, match=r"1 tensors are not listed: lm_head.weight$"):
        Checkpoint.open(str(path))
    rewrite_index(
        path, **{"lm_head.weight": "model-00002-of-00002.safetensors", "extra": "model-00002-of-00002.safetensors"}
    )
    with pytest.raises(DamagedFile, match=r"1 tensors are not in the file it names: extra$"):
        Checkpoint.open(str(path))


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    path, _ = model(tmp_path, shards=3)
    (path / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(MissingInput, match=r"names 3 files, 1 are not there: model-00002-of-00003.safetensors"):
        Checkpoint.open(str(path))


BROKEN_CONFIGS = {
    "cut": b'{"a": ',
    "empty": b"",
    "a list": b"[]",
    "a number": b"3",
    "null": b"null",
    "no UTF-8": b'{"a": "\xff"}',
    "nested 100,000 deep": b'{"a":' * 100_000,
}


@pytest.mark.parametrize("case", BROKEN_CONFIGS)
def test_a_broken_config_is_damaged(tmp_path: Path, case: str) -> None:
    path, _ = model(tmp_path)
    (path / "config.json").write_bytes(BROKEN_CONFIGS[case])
    with (
        Checkpoint.open(str(path)) as opened,
        pytest.raises(DamagedFile, match=r"m/config.json: (no valid JSON|must be a JSON object)") as raised,
    ):
        _ = opened.config
    assert "\n" not in str(raised.value)


def test_a_missing_config_is_named(tmp_path: Path) -> None:
    path, _ = model(tmp_path)
    (path / "config.json").unlink()
    with Checkpoint.open(str(path)) as opened, pytest.raises(MissingInput, match=r"config.json is missing"):
        _ = opened.config
