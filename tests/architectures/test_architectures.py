# SPDX-License-Identifier: Apache-2.0
"""Real architectures through the whole pipeline, loaded by transformers and compared with a merge in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import transformers
from family_models import BASE_ROWS, FAMILIES, OUTPUT_ROWS, Family, write_family
from formula import TEMPLATE_TOKENS, Rows, add, add_rows, is_tied, load_tensors, merge_files, read_rows, same_bits
from transformers import AutoTokenizer, PreTrainedModel

from builders import TEMPLATE, Trio
from chatvector.pipeline import Result, apply
from chatvector.recipe import Recipe, VectorSpec

SCALE = 0.7
CHAT = [{"role": "system", "content": "new world"}, {"role": "user", "content": "hello 나는 한국 사람"}]


@dataclass(frozen=True)
class Merged:
    """A family's trio, what `apply` made of it, and where its rows lie."""

    family: Family
    trio: Trio
    result: Result
    rows: Rows

    @property
    def output(self) -> Path:
        """The merged model's directory."""
        return self.result.output


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Sums in one order, and no thread pool for matrices of this size."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", params=FAMILIES, ids=lambda family: family.name)
def merged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Merged:
    family: Family = request.param
    folder = tmp_path_factory.mktemp(family.name)
    trio = write_family(family, folder)
    vector = VectorSpec(base=str(trio.base), chat=str(trio.chat), scale=SCALE)
    result = apply(Recipe(target=str(trio.target), vectors=(vector,), output=str(folder / "out")))
    return Merged(family, trio, result, read_rows(trio, result.output, OUTPUT_ROWS))


def load(family: Family, folder: Path) -> PreTrainedModel:
    """Load a model that lacks, adds and mismatches nothing."""
    model, report = family.auto.from_pretrained(folder, output_loading_info=True)
    for complaint in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
        assert not report[complaint], f"{complaint}: {report[complaint]}"
    assert {parameter.dtype for parameter in model.parameters()} == {family.dtype}
    return model.eval()


def merge_in_memory(merged: Merged) -> PreTrainedModel:
    """The formula over the parameters of three loaded models, the usual way but right: each parameter once."""
    base, chat, model = (
        load(merged.family, folder) for folder in (merged.trio.base, merged.trio.chat, merged.trio.target)
    )
    of_chat, of_base = dict(chat.named_parameters()), dict(base.named_parameters())
    own = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    model.resize_token_embeddings(OUTPUT_ROWS, mean_resizing=False)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.shape == own[name].shape:
                parameter.copy_(add(own[name], of_chat[name], of_base[name], SCALE))
            else:
                parameter.copy_(add_rows(own[name], of_chat[name], of_base[name], SCALE, merged.rows))
    return model


def test_the_option_under_test_is_on(merged: Merged) -> None:
    names = load_tensors(merged.trio.target)
    missing = [part for part in merged.family.holds if not any(part in name for name in names)]
    assert missing == []
    assert [name for name in merged.family.vocabulary if name not in names] == []
    rows = {name: len(tensor) for name, tensor in load_tensors(merged.trio.base).items()}
    assert {rows[name] for name in merged.family.vocabulary} == {BASE_ROWS}


def test_every_tensor_equals_the_formula_bit_for_bit(merged: Merged) -> None:
    expected = merge_files(merged.trio, merged.family.vocabulary, SCALE, merged.rows)
    actual = load_tensors(merged.output)
    assert actual.keys() == expected.keys()
    assert [name for name, tensor in expected.items() if not same_bits(actual[name], tensor)] == []


def test_files_keep_the_shard_layout_of_the_target(merged: Merged) -> None:
    theirs = {file.name for file in merged.trio.target.glob("*.safetensors")}
    assert {file.name for file in merged.output.glob("*.safetensors")} == theirs
    index = "model.safetensors.index.json"
    assert (merged.output / index).exists() == (merged.trio.target / index).exists() == (len(theirs) > 1)
    if len(theirs) > 1:
        maps = [
            json.loads((folder / index).read_text())["weight_map"] for folder in (merged.output, merged.trio.target)
        ]
        assert maps[0] == maps[1]


def test_transformers_loads_it_and_speaks_the_same_logits(merged: Merged) -> None:
    tokenizer = AutoTokenizer.from_pretrained(merged.output)
    ours = load(merged.family, merged.output)
    reference = merge_in_memory(merged)
    prompt = tokenizer.apply_chat_template(CHAT, add_generation_prompt=True, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        left = ours(input_ids=prompt, use_cache=False).logits
        right = reference(input_ids=prompt, use_cache=False).logits
    assert left.shape == (1, prompt.shape[1], OUTPUT_ROWS)
    assert same_bits(left, right)
    # The vector did something, and did not do it twice where head and embedding are one.
    assert is_tied(ours) == merged.family.tied
    with torch.no_grad():
        before = load(merged.family, merged.trio.target)(input_ids=prompt.clamp(max=31), use_cache=False).logits
    assert not torch.equal(left[..., : before.shape[-1]], before)


def test_configuration_agrees_with_the_weights(merged: Merged) -> None:
    config = json.loads((merged.output / "config.json").read_text())
    text = config.get("text_config", config)
    assert text["vocab_size"] == OUTPUT_ROWS
    own = json.loads((merged.trio.target / "config.json").read_text())
    assert config.get("tie_word_embeddings") == own.get("tie_word_embeddings")
    assert "lm_head.weight" not in load_tensors(merged.output) or not merged.family.tied


def test_the_chat_format_moves_as_one(merged: Merged) -> None:
    tokenizer = AutoTokenizer.from_pretrained(merged.output)
    assert tokenizer.chat_template == TEMPLATE
    ids = {token: tokenizer.encode(token, add_special_tokens=False) for token in TEMPLATE_TOKENS}
    assert sorted(row for (row,) in ids.values()) == [38, 39, 40, 41]
    rendered = tokenizer.apply_chat_template(CHAT, tokenize=False, add_generation_prompt=True)
    assert rendered == "<|system|>new world<|end|><|user|>hello 나는 한국 사람<|end|><|assistant|>"
    generation = json.loads((merged.output / "generation_config.json").read_text())
    assert generation["eos_token_id"] == [1, *ids["<|end|>"]]
    assert (generation["temperature"], generation["do_sample"]) == (0.6, True)


def test_generation_stops_at_the_end_of_the_turn(merged: Merged) -> None:
    model = load(merged.family, merged.output)
    end = AutoTokenizer.from_pretrained(merged.output).convert_tokens_to_ids("<|end|>")
    stops = model.generation_config.eos_token_id
    assert isinstance(stops, list)
    assert end in stops


def test_the_report_accounts_for_every_tensor(merged: Merged) -> None:
    manifest = merged.result.manifest
    touched = set(manifest["scales"][0]["tensors"])
    assert touched == set(load_tensors(merged.trio.target))
    assert manifest["copied"] == {"derived_buffers": [], "scale_zero": []}
    assert manifest["vocabulary"]["rows_transplanted"] == len(TEMPLATE_TOKENS)
    frozen = {name for name in touched if any(part in name for part in merged.family.frozen)}
    assert set(manifest["statistics"]["zero_vector"]) == frozen


@pytest.mark.parametrize("merged", [family for family in FAMILIES if family.image], indirect=True, ids=lambda f: f.name)
def test_a_vision_tower_that_chat_tuning_left_alone_is_copied(merged: Merged) -> None:
    own, out = load_tensors(merged.trio.target), load_tensors(merged.output)
    frozen = [name for name in own if any(part in name for part in merged.family.frozen)]
    assert len(frozen) > 10
    assert [name for name in frozen if not same_bits(own[name], out[name])] == []
