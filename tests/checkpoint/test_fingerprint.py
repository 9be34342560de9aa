# SPDX-License-Identifier: Apache-2.0
"""The sample: which blocks, how many bytes, and what a fingerprint tells apart."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import BF16, F32, Shape, Spec, Weights, llama_config, tokenizer_json, write_model
from chatvector.checkpoint.checkpoint import Checkpoint
from chatvector.checkpoint.fingerprint import Fingerprint, Grid, Sample, blocks_of, fingerprint, grid_for


@given(st.integers(0, 1 << 40), st.integers(2, 64), st.integers(1, 256))
def test_blocks_are_apart_inside_and_as_many_as_promised(elements: int, blocks: int, length: int) -> None:
    found = blocks_of(elements, Grid(blocks, length))
    assert sum(count for _, count in found) == min(elements, blocks * length)
    assert found[0][0] == 0
    assert found[-1][0] + found[-1][1] == elements
    assert all(start + count <= after for (start, count), (after, _) in itertools.pairwise(found))


@pytest.mark.parametrize("tensors", [1, 291, 723, 4096, 12_000, 16_384])
def test_a_sample_of_16_and_32_bit_weights_stays_under_32_mib(tensors: int) -> None:
    grid = grid_for(tensors)
    assert grid.blocks * grid.elements * tensors * 4 <= 32 << 20
    assert grid.blocks * tensors <= 66_000
    assert grid.blocks == 64 or tensors > 1024


def write(tmp_path: Path, name: str, weights: Weights, **arguments: object) -> Path:
    shape = Shape()
    return write_model(tmp_path / name, Spec(weights, llama_config(shape), tokenizer_json(["a"]), **arguments))  # type: ignore[arg-type]


def fingerprint_of(path: Path) -> Fingerprint:
    with Checkpoint.open(str(path)) as model:
        return fingerprint(model, Sample(model))


def weights() -> Weights:
    rng = np.random.default_rng(0)
    return {
        "big": rng.standard_normal((300, 200)).astype(BF16),
        "small": np.ones(5, F32),
        "none": np.zeros((0, 3), F32),
    }


def test_the_name_of_the_directory_is_no_part_of_it(tmp_path: Path) -> None:
    assert fingerprint_of(write(tmp_path, "a", weights())) == fingerprint_of(write(tmp_path, "b", weights()))


def test_what_changes_it(tmp_path: Path) -> None:
    first = fingerprint_of(write(tmp_path, "a", weights()))
    small = weights()
    small["small"][4] = 2
    second = fingerprint_of(write(tmp_path, "b", small))
    assert first.samples != second.samples
    assert (first.headers, first.side_files) == (second.headers, second.side_files)
    sharded = fingerprint_of(write(tmp_path, "c", weights(), shards=2))
    assert sharded.headers != first.headers
    assert sharded.samples == first.samples
    other = fingerprint_of(write(tmp_path, "d", weights(), generation_config={"eos_token_id": 7}))
    assert {name for name in first.side_files if first.side_files[name] != other.side_files[name]} == {
        "generation_config.json"
    }
    assert (other.headers, other.samples) == (first.headers, first.samples)


def test_a_training_step_anywhere_shows_but_one_unsampled_weight_does_not(tmp_path: Path) -> None:
    """The fingerprint's own limit, written down: it is a sample."""
    first = fingerprint_of(write(tmp_path, "a", weights()))
    start, count = blocks_of(300 * 200, grid_for(3))[0]
    single = weights()
    single["big"].reshape(-1)[start + count] += 1  # the first weight behind the first block
    assert fingerprint_of(write(tmp_path, "b", single)) == first
    step = weights()
    step["big"] = (step["big"].astype(F32) * 1.01).astype(BF16)
    assert fingerprint_of(write(tmp_path, "c", step)).samples != first.samples


def test_the_sample_is_what_the_blocks_say(tmp_path: Path) -> None:
    made = weights()
    with Checkpoint.open(str(write(tmp_path, "a", made, shards=2))) as model:
        sample = Sample(model)
    assert list(sample.blocks) == sorted(made)
    for name, values in made.items():
        flat = values.ravel()
        expected = [flat[start : start + count] for start, count in blocks_of(flat.size, sample.grid)]
        assert sample.blocks[name].tobytes() == np.concatenate(expected).tobytes()
