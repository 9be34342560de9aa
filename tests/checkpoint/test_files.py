# SPDX-License-Identifier: Apache-2.0
"""Which files are a model."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatvector.checkpoint.files import INDEX, ModelFiles, choose_files, is_side_file
from chatvector.errors import DamagedFile, InputError, MissingInput, UnsupportedFormat


def choose(*names: str, **contents: bytes) -> ModelFiles:
    return choose_from(dict.fromkeys(names, b"x" * 2000) | contents)


def choose_from(files: Mapping[str, bytes]) -> ModelFiles:
    return choose_files({n: len(c) for n, c in files.items()}, lambda name: files[name], "m")


def index(*files: str) -> dict[str, bytes]:
    return {INDEX: json.dumps({"weight_map": {f"t{i}": f for i, f in enumerate(files)}}).encode()}


def shard(number: int, total: int) -> str:
    return f"model-{number:05d}-of-{total:05d}.safetensors"


def test_a_single_file() -> None:
    files = choose("config.json", "model.safetensors", "README.md", ".gitattributes", "trainer_state.json")
    assert files == ModelFiles(("model.safetensors",), None, ("config.json",))
    assert files.needed == ("config.json", "model.safetensors")


def test_the_index_decides_and_leftovers_are_listed() -> None:
    weights = dict.fromkeys((shard(1, 2), shard(2, 2), shard(1, 3), "consolidated.safetensors"), b"x" * 2000)
    files = choose_from(index(shard(1, 2), shard(2, 2)) | weights)
    assert files.shards == (shard(1, 2), shard(2, 2))
    assert files.index == INDEX
    assert files.left_aside == ("consolidated.safetensors", shard(1, 3))
    assert files.needed == (shard(1, 2), shard(2, 2), INDEX)


def test_an_index_of_free_names_and_folders() -> None:
    files = choose_from({**index("b.safetensors", "sub/a.safetensors"), "b.safetensors": b"", "sub/a.safetensors": b""})
    assert files.shards == ("b.safetensors", "sub/a.safetensors")


def test_an_index_that_names_the_single_file() -> None:
    assert choose_from({**index("model.safetensors"), "model.safetensors": b""}).shards == ("model.safetensors",)


def test_a_complete_set_without_index() -> None:
    assert choose(shard(2, 2), shard(1, 2)).shards == (shard(1, 2), shard(2, 2))
    assert choose(shard(0, 2), shard(1, 2)).shards == (shard(0, 2), shard(1, 2))


def test_a_number_of_shards_beyond_all_bounds_is_no_set() -> None:
    """A hostile name must not become a list of a million million gaps."""
    with pytest.raises(MissingInput, match=r"no model-.*but model-00001-of-999999999999"):
        choose("model-00001-of-999999999999.safetensors")


def test_the_single_file_comes_before_a_set() -> None:
    files = choose("model.safetensors", shard(1, 2))
    assert files.shards == ("model.safetensors",)
    assert files.left_aside == (shard(1, 2),)


def test_never_pickles_adapters_or_optimizer_state_beside_a_model() -> None:
    files = choose(
        "model.safetensors", "pytorch_model.bin", "adapter_model.safetensors", "optimizer.pt", "training_args.bin"
    )
    assert files.shards == ("model.safetensors",)
    assert files.side_files == ()


@pytest.mark.parametrize(
    ("names", "error", "message"),
    [
        (["config.json"], MissingInput, "m: there are no weights .*; it holds config.json"),
        ([], MissingInput, "m: there are no weights .*; it is empty"),
        ([shard(1, 3), shard(3, 3)], MissingInput, "m: 1 of 3 shards are not there: " + shard(2, 3)),
        ([shard(1, 1), shard(1, 2), shard(2, 2)], DamagedFile, "m: 2 sets of shards and no index"),
        ([shard(1, 2), shard(2, 2), shard(3, 2)], DamagedFile, "numbered beyond the 2 shards"),
        (
            ["adapter_model.safetensors"],
            UnsupportedFormat,
            "m: is an adapter .LoRA., not a model: merge it into its base",
        ),
        (
            ["weights.bin", "config.json"],
            UnsupportedFormat,
            "m: the only weights are a pickle, which is never executed",
        ),
        (["consolidated.00.pth"], UnsupportedFormat, "only the vendor's own layout"),
        (["consolidated.safetensors", "params.json"], UnsupportedFormat, "only the vendor's own layout"),
        (["q4.gguf"], UnsupportedFormat, "m: the only weights are GGUF"),
        (["flax_model.msgpack"], UnsupportedFormat, "Flax"),
        (["my.safetensors"], MissingInput, "but my.safetensors: rename a whole model's file to model.safetensors"),
        (["model-1.safetensors"], MissingInput, "but model-1.safetensors: parts of a model, .*: merge again"),
        (["x-00001-of-00002.safetensors"], MissingInput, "x-00001-of-00002.safetensors: parts of a model"),
        (["vector.safetensors", "chat_rows.safetensors"], UnsupportedFormat, "m: is a vector, not a model"),
        (["vector.safetensors.index.json", "vector-00001-of-00002.safetensors"], UnsupportedFormat, "m: is a vector"),
        (["ckpt-5/model.safetensors"], MissingInput, "m: holds no weights itself, but these folders do: ckpt-5"),
        (["optimizer.pt", "training_args.bin", "rng_state.pth"], MissingInput, "there are no weights"),
    ],
)
def test_what_is_no_model(names: list[str], error: type[InputError], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        choose(*names)
    assert type(caught.value) is error
    assert "\n" not in str(caught.value)


def test_an_adapter_names_its_base() -> None:
    files = {"adapter_config.json": b'{"base_model_name_or_path": "org/base"}', "adapter_model.safetensors": b""}
    with pytest.raises(UnsupportedFormat, match=r"is an adapter \(LoRA\) of org/base, not a model: merge it"):
        choose_from(files)
    with pytest.raises(UnsupportedFormat, match=r"is an adapter \(LoRA\), not a model"):
        choose_from(files | {"adapter_config.json": b"[broken"})


def test_a_stale_index_beside_a_single_file() -> None:
    with pytest.raises(
        DamagedFile, match=r"lies beside model.safetensors but names 2 other files .*one of the two is stale"
    ):
        choose_from({**index(shard(1, 2), shard(2, 2)), "model.safetensors": b""})


def test_an_index_that_names_a_missing_file() -> None:
    with pytest.raises(MissingInput, match=f"names 2 files, 1 are not there: {shard(2, 2)}: download"):
        choose_from({**index(shard(1, 2), shard(2, 2)), shard(1, 2): b""})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "is no index .not JSON."),
        (b"{", "is no index .not JSON."),
        (b"\xff\xfe", "is no index .not JSON."),
        (b"[]", "is no index .weight_map is no table of file names."),
        (b"{}", "is no index .no key 'weight_map'."),
        (b'{"weight_map": []}', "is no index"),
        (b'{"weight_map": {"a": ["b"]}}', "is no index"),
        (b'{"weight_map": {}}', "names no file"),
        (b'{"weight_map": {"a": 5}}', "names 1 files that are no safetensors file inside the directory .*: 5"),
        (b'{"weight_map": {"a": 5, "b": "c"}}', "is no index .weight_map is no table"),
        (b'{"weight_map": {"a": "../x.safetensors"}}', "no safetensors file inside the directory .*: ../x.safetensors"),
        (b'{"weight_map": {"a": "/etc/x.safetensors"}}', "inside the directory .*: /etc/x.safetensors"),
        (b'{"weight_map": {"a": "x.bin"}}', "no safetensors file inside the directory .*: x.bin"),
        (b'{"weight_map": {"a": "x/y/z.safetensors"}}', "not hidden.: x/y/z.safetensors"),
        (b'{"weight_map": {"a": ".x/z.safetensors"}}', "not hidden.: .x/z.safetensors"),
        (b'{"weight_map": {"a": "./z.safetensors"}}', "not hidden.: ./z.safetensors"),
        (b"[" * 100_000, "is no index .not JSON."),
    ],
)
def test_a_broken_index(text: bytes, message: str) -> None:
    with pytest.raises(DamagedFile, match=message):
        choose_from({INDEX: text})


def test_a_git_lfs_pointer_is_no_weight() -> None:
    with pytest.raises(MissingInput, match=r"1 of 1 weight files are Git LFS pointers.*git lfs pull"):
        choose_from({"model.safetensors": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"})


@pytest.mark.parametrize(
    "name",
    [
        "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "tokenizer.model",
        "tokenizer.model.v3", "special_tokens_map.json", "added_tokens.json", "vocab.json", "vocab.txt", "merges.txt",
        "spiece.model", "sentencepiece.bpe.model", "tekken.json", "qwen.tiktoken", "preprocessor_config.json",
        "processor_config.json", "video_preprocessor_config.json", "chat_template.json", "chat_template.jinja",
        "additional_chat_templates/tool_use.jinja", "modeling_x.py", "LICENSE", "LICENCE.txt", "Gemma_License.md",
        "NOTICE", "USE_POLICY.md", "COPYING", "hf_quant_config.json",
    ],
)  # fmt: skip
def test_side_files(name: str) -> None:
    assert is_side_file(name)


@pytest.mark.parametrize(
    "name",
    [
        "README.md", INDEX, "pytorch_model.bin.index.json", "model.safetensors", "adapter_config.json",
        "trainer_state.json", "training_args.bin", "tokenizer.bin", "chat_vector.json", "onnx/config.json",
        ".gitattributes",
        "all_results.json", "original/tokenizer.model", "additional_chat_templates/deep/x.jinja", "plot.png",
        "additional_chat_templates/x.py",
    ],
)  # fmt: skip
def test_no_side_files(name: str) -> None:
    assert not is_side_file(name)


@given(st.sets(st.integers(1, 6), min_size=1), st.integers(1, 6))
def test_a_set_is_taken_whole_or_refused(present: set[int], total: int) -> None:
    names = [shard(number, total) for number in present]
    if present == set(range(1, total + 1)):
        assert choose(*names).shards == tuple(sorted(names))
    else:
        with pytest.raises((MissingInput, DamagedFile)):
            choose(*names)
