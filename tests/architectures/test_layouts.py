# SPDX-License-Identifier: Apache-2.0
"""One architecture in two layouts, two architectures, and parents that tie differently: refused clearly, or right."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from family_models import FAMILIES, OUTPUT_ROWS, Family, nudge, save, write_family
from formula import Rows, add_rows, is_tied, load_tensors, read_rows, same_bits

from builders import BASE_SPECIAL, WORDS, Trio
from chatvector.errors import IncompatibleParents
from chatvector.pipeline import Result, apply
from chatvector.recipe import Recipe, VectorSpec

KNOWN_FAMILIES = {family.name: family for family in FAMILIES}
SCALE = 0.7


@pytest.fixture(autouse=True)
def quiet() -> None:
    transformers.utils.logging.disable_progress_bar()


def family_trio(name: str, folder: Path) -> tuple[Family, Trio]:
    return KNOWN_FAMILIES[name], write_family(KNOWN_FAMILIES[name], folder / name)


def in_memory_layout(family: Family, model: Path) -> Path:
    """The same model saved again under the names that transformers uses in memory."""
    again = model.with_name(f"{model.name}-in-memory")
    shutil.copytree(model, again, ignore=shutil.ignore_patterns("*.safetensors*"))
    family.auto.from_pretrained(model).save_pretrained(again, save_original_format=False)
    assert load_tensors(again).keys() != load_tensors(model).keys()
    return again


def run(target: Path, base: Path, chat: Path, output: Path) -> Result:
    vector = VectorSpec(base=str(base), chat=str(chat), scale=SCALE)
    return apply(Recipe(target=str(target), vectors=(vector,), output=str(output)))


@pytest.mark.parametrize("odd", ["target", "base", "chat"])
@pytest.mark.parametrize("name", ["qwen3-moe", "mixtral"])
def test_fused_experts_beside_single_ones_are_refused(name: str, odd: str, tmp_path: Path) -> None:
    family, trio = family_trio(name, tmp_path)
    setattr(trio, odd, in_memory_layout(family, getattr(trio, odd)))
    others = " and ".join(role for role in ("target", "base", "chat") if role != odd)
    fused = f"but not in {odd}: .*experts are (fused in {odd} and apart|apart in .* and fused in {odd})"
    with pytest.raises(IncompatibleParents, match=rf"tensors are in {others} {fused}.*layouts must agree"):
        run(trio.target, trio.base, trio.chat, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert list(tmp_path.glob(".*")) == []


@pytest.mark.parametrize("name", ["llava", "gemma3-vision"])
def test_another_prefix_is_refused_by_its_name(name: str, tmp_path: Path) -> None:
    family, trio = family_trio(name, tmp_path)
    trio.target = in_memory_layout(family, trio.target)
    with pytest.raises(
        IncompatibleParents, match=r"the same tensors under another prefix .*layouts must agree"
    ) as found:
        run(trio.target, trio.base, trio.chat, tmp_path / "out")
    # Each side is named once, the same in every run: sets of strings have another order in each process.
    text = str(found.value)
    assert re.findall(r"\d+ tensors are in (.*?) but not in (.*?):", text) in (
        [("base and chat", "target"), ("target", "base and chat")],
        [("target", "base and chat"), ("base and chat", "target")],
    )
    assert "\n" not in text


def test_the_order_of_a_refusal_is_fixed(tmp_path: Path) -> None:
    _, plain = family_trio("llama", tmp_path)
    _, biased = family_trio("llama-biases", tmp_path)
    with pytest.raises(
        IncompatibleParents, match=r"^14 tensors are in target but not in base and chat: .*bias, … \(9 more\)"
    ):
        run(biased.target, plain.base, plain.chat, tmp_path / "out")


def test_attention_biases_are_never_dropped(tmp_path: Path) -> None:
    _, plain = family_trio("llama", tmp_path)
    _, biased = family_trio("llama-biases", tmp_path)
    with pytest.raises(IncompatibleParents, match=r"14 tensors are in base and chat but not in target: .*proj\.bias"):
        run(plain.target, biased.base, biased.chat, tmp_path / "out")


@pytest.mark.parametrize(
    ("target", "parents", "message"),
    [
        ("mistral-f16", "llama", "architectures: target MistralForCausalLM, base LlamaForCausalLM"),
        ("gemma3-vision", "gemma3-text", "vision_config: in target, not in base and chat"),
        ("gemma3-text", "gemma3-vision", "vision_config: in base and chat, not in target"),
        ("qwen3", "qwen2-tied", "target Qwen3ForCausalLM, base Qwen2ForCausalLM"),
    ],
)
def test_another_architecture_is_refused(target: str, parents: str, message: str, tmp_path: Path) -> None:
    _, own = family_trio(target, tmp_path)
    _, theirs = family_trio(parents, tmp_path)
    with pytest.raises(IncompatibleParents, match=message):
        run(own.target, theirs.base, theirs.chat, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def vocabulary_rows(trio: Trio, output: Path) -> Rows:
    return read_rows(trio, output, OUTPUT_ROWS)


def test_tied_parents_move_the_head_of_an_untied_target_by_their_embedding(tmp_path: Path) -> None:
    _, tied = family_trio("qwen3-tied", tmp_path)
    _, untied = family_trio("qwen3", tmp_path)
    trio = Trio(tied.base, tied.chat, untied.target)
    output = run(trio.target, trio.base, trio.chat, tmp_path / "out").output
    base, chat, target = (load_tensors(model) for model in (trio.base, trio.chat, trio.target))
    embedding = "model.embed_tokens.weight"
    for name in (embedding, "lm_head.weight"):
        expected = add_rows(target[name], chat[embedding], base[embedding], SCALE, vocabulary_rows(trio, output))
        assert same_bits(load_tensors(output)[name], expected)
    model: Any = transformers.AutoModelForCausalLM.from_pretrained(output)
    assert not is_tied(model)


def test_untied_parents_move_a_tied_target_by_their_embedding_only_and_say_so(tmp_path: Path) -> None:
    _, tied = family_trio("qwen3-tied", tmp_path)
    _, untied = family_trio("qwen3", tmp_path)
    trio = Trio(untied.base, untied.chat, tied.target)
    result = run(trio.target, trio.base, trio.chat, tmp_path / "out")
    rows = vocabulary_rows(trio, result.output)
    base, chat, target = (load_tensors(model) for model in (trio.base, trio.chat, trio.target))
    embedding, head = "model.embed_tokens.weight", "lm_head.weight"
    written = load_tensors(result.output)
    assert head not in written
    assert same_bits(written[embedding], add_rows(target[embedding], chat[embedding], base[embedding], SCALE, rows))
    in_chat, in_base = (torch.tensor([pair[place] for pair in rows.shared.values()]) for place in (0, 1))
    lost = (chat[head][in_chat].double() - base[head][in_base].double()).norm().item()
    (warning,) = (text for text in result.manifest["run"]["warnings"] if "ties head and embedding" in text)
    assert "only the embedding's difference is added, the head's is left out" in warning
    assert f"(norm {lost:.4g})" in warning


@pytest.mark.parametrize("holder", ["target", "base", "chat"])
def test_buffers_that_old_files_keep_are_copied_from_the_target_or_left(holder: str, tmp_path: Path) -> None:
    """GPT-NeoX files written by transformers 4 hold the causal mask and the rotary frequencies."""
    _, trio = family_trio("gpt-neox", tmp_path)
    extra: dict[str, torch.Tensor] = {
        "gpt_neox.layers.0.attention.bias": torch.tril(torch.ones(8, 8, dtype=torch.bool)).view(1, 1, 8, 8),
        "gpt_neox.layers.0.attention.masked_bias": torch.tensor(-1e9),
        "gpt_neox.layers.0.attention.rotary_emb.inv_freq": torch.tensor([1.0, 0.1], dtype=torch.float32),
    }
    add_to_file(getattr(trio, holder), extra)
    result = run(trio.target, trio.base, trio.chat, tmp_path / "out")
    written = load_tensors(result.output)
    if holder == "target":
        assert all(same_bits(written[name], tensor) for name, tensor in extra.items())
        assert set(result.manifest["copied"]["derived_buffers"]) == extra.keys()
    else:
        assert not extra.keys() & written.keys()


def add_to_file(model: Path, extra: dict[str, torch.Tensor]) -> None:
    from safetensors.torch import save_file

    save_file({**load_tensors(model), **extra}, model / "model.safetensors", {"format": "pt"})


def test_one_vocabulary_and_no_new_token_change_no_row_count(tmp_path: Path) -> None:
    """The plainest case: all three have the same tokens, and the target keeps its own (absent) chat format."""
    family = KNOWN_FAMILIES["llama"]
    for role, seed in (("base", 0), ("chat", 1), ("target", 2)):
        model: Any = family.make()
        if seed:
            nudge(model, seed, 0.01 * seed)
        save(model, tmp_path / role, BASE_SPECIAL, WORDS)
    vector = VectorSpec(base=str(tmp_path / "base"), chat=str(tmp_path / "chat"), scale=SCALE)
    recipe = Recipe(
        target=str(tmp_path / "target"), vectors=(vector,), output=str(tmp_path / "out"), chat_format="target"
    )
    output = apply(recipe).output
    for name in ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"):
        assert (output / name).read_bytes() == (tmp_path / "target" / name).read_bytes()
    own, written = load_tensors(tmp_path / "target"), load_tensors(output)
    assert {name: tensor.shape for name, tensor in own.items()} == {name: t.shape for name, t in written.items()}
