# SPDX-License-Identifier: Apache-2.0
"""A healthy merge to plant faults in, and the faults: one function each, with the codes that must be found."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from safetensors.numpy import save_file

from builders import BF16, Shape, Weights, load_weights, trio_specs, write_trio, write_weights
from chatvector.pipeline import apply
from chatvector.recipe import Recipe, VectorSpec

INDEX = "model.safetensors.index.json"
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
LAYERS = 2


def merge(folder: Path, *, shards: int = 1, tied: bool = False) -> Path:
    """A merge by `apply`: Llama of two layers, chat template with four tokens of its own."""
    specs = trio_specs(Shape(vocabulary=64, layers=LAYERS, tied=tied))
    specs["target"].shards = shards
    trio = write_trio(folder, specs)
    vector = VectorSpec(base=str(trio.base), chat=str(trio.chat), scale=0.8)
    return apply(Recipe(target=str(trio.target), vectors=(vector,), output=str(folder / "merged"))).output


@dataclass(frozen=True)
class Body:
    """A model directory to spoil."""

    path: Path

    @contextmanager
    def json(self, name: str) -> Iterator[dict[str, Any]]:
        """A JSON file to change."""
        document = json.loads((self.path / name).read_text("utf-8"))
        yield document
        (self.path / name).write_text(json.dumps(document, indent=2, ensure_ascii=False), "utf-8")

    @contextmanager
    def weights(self) -> Iterator[Weights]:
        """All tensors to change; written into one file."""
        found = load_weights(self.path)
        yield found
        for file in self.path.glob("*.safetensors*"):
            file.unlink()
        write_weights(self.path, found)

    @contextmanager
    def template(self) -> Iterator[list[str]]:
        """The template in a list of one text."""
        with self.json("tokenizer_config.json") as document:
            text = [document["chat_template"]]
            yield text
            document["chat_template"] = text[0]

    def write(self, name: str, content: str | bytes = b"x") -> None:
        (self.path / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    def remove(self, *names: str) -> None:
        for name in names:
            (self.path / name).unlink()

    def ids(self) -> dict[str, int]:
        document = json.loads((self.path / "tokenizer.json").read_text("utf-8"))
        return document["model"]["vocab"] | {entry["content"]: entry["id"] for entry in document["added_tokens"]}

    def copy(self, where: Path) -> Body:
        shutil.copytree(self.path, where)
        return Body(where)


@dataclass(frozen=True)
class Planted:
    """A fault: how it is planted, in which healthy model, what must be found and nothing else."""

    name: str
    plant: Callable[[Body], None]
    codes: frozenset[str]
    model: str
    words: tuple[str, ...]


GRID: list[Planted] = []


def planted(*codes: str, model: str = "single", words: tuple[str, ...] = ()) -> Callable[[Callable[[Body], None]], Any]:
    """Register a fault; `words` must stand in what is said."""

    def register(plant: Callable[[Body], None]) -> Callable[[Body], None]:
        GRID.append(Planted(plant.__name__, plant, frozenset(codes), model, words))
        return plant

    return register


# ---- files of weights -----------------------------------------------------------------------------------------------


@planted("index-damaged", model="sharded", words=("no index",))
def index_is_no_json(body: Body) -> None:
    body.write(INDEX, "{")


@planted("index-stale", words=("model-00001-of-00002.safetensors",))
def index_of_an_earlier_run_beside_a_single_file(body: Body) -> None:
    body.write(INDEX, json.dumps({"metadata": {}, "weight_map": {EMBEDDING: "model-00001-of-00002.safetensors"}}))


@planted("index-stale", "shards-orphaned", model="sharded")
def a_second_run_with_fewer_shards(body: Body) -> None:
    save_file(load_weights(body.path), body.path / "model.safetensors", {"format": "pt"})


@planted("index-missing-files", model="sharded", words=("1 of 3 files", "model-00009"))
def index_names_a_missing_file(body: Body) -> None:
    with body.json(INDEX) as index:
        index["weight_map"]["model.extra.weight"] = "model-00009-of-00009.safetensors"


@planted("index-wrong", model="sharded", words=("1 tensors are in no file", "model.extra.weight"))
def index_names_a_tensor_that_is_in_no_file(body: Body) -> None:
    with body.json(INDEX) as index:
        index["weight_map"]["model.extra.weight"] = "model-00001-of-00002.safetensors"


@planted("index-wrong", model="sharded", words=("lie in another file", EMBEDDING))
def index_names_the_wrong_shard(body: Body) -> None:
    with body.json(INDEX) as index:
        index["weight_map"][EMBEDDING] = "model-00002-of-00002.safetensors"


@planted("index-wrong", model="sharded", words=("not listed", "model.norm.weight"))
def index_leaves_a_tensor_out(body: Body) -> None:
    with body.json(INDEX) as index:
        del index["weight_map"]["model.norm.weight"]


@planted("index-size", model="sharded", words=("total_size 21",))
def index_counts_tensors_instead_of_bytes(body: Body) -> None:
    with body.json(INDEX) as index:
        index["metadata"]["total_size"] = 21


@planted("shards-incomplete", model="sharded", words=("1 of 2 shards", "model-00002-of-00002.safetensors"))
def disk_was_full_after_the_first_shard(body: Body) -> None:
    body.remove(INDEX, "model-00002-of-00002.safetensors")


@planted("shards-incomplete", "tensor-twice", model="sharded", words=("2 sets of shards",))
def shards_of_two_runs(body: Body) -> None:
    body.remove(INDEX)
    for number in (1, 2):
        source = body.path / f"model-0000{number}-of-00002.safetensors"
        shutil.copy(source, body.path / f"model-0000{number}-of-00003.safetensors")


@planted("shards-orphaned", words=("model-00001-of-00002.safetensors",))
def orphans_of_a_killed_run(body: Body) -> None:
    shutil.copy(body.path / "model.safetensors", body.path / "model-00001-of-00002.safetensors")


@planted("weights-damaged", model="sharded", words=("model-00002-of-00002.safetensors", "truncated"))
def truncated_shard(body: Body) -> None:
    file = body.path / "model-00002-of-00002.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


@planted("tensor-twice", model="sharded", words=("model.norm.weight",))
def one_tensor_in_two_shards(body: Body) -> None:
    from safetensors.numpy import load_file

    first = body.path / "model-00001-of-00002.safetensors"
    norm = load_weights(body.path)["model.norm.weight"]
    save_file(load_file(first) | {"model.norm.weight": norm}, first, {"format": "pt"})
    with body.json(INDEX) as index:
        index["weight_map"]["model.norm.weight"] = first.name
        index["metadata"] = {}


@planted("other-weights", words=("pytorch_model.bin",))
def pickle_beside_safetensors(body: Body) -> None:
    body.write("pytorch_model.bin")


@planted("other-weights", words=("consolidated.safetensors",))
def vendor_layout_beside_ours(body: Body) -> None:
    shutil.copy(body.path / "model.safetensors", body.path / "consolidated.safetensors")


@planted("leftovers", words=("model.safetensors.partial", "optimizer.pt"))
def leftovers_of_runs(body: Body) -> None:
    body.write("model.safetensors.partial")
    body.write("optimizer.pt")


# ---- tensors against the configuration ------------------------------------------------------------------------------


@planted("config-missing", words=("config.json is missing",))
def no_config(body: Body) -> None:
    body.remove("config.json")


@planted("config-missing", words=("no JSON",))
def broken_config(body: Body) -> None:
    body.write("config.json", "{,}")


@planted("config-missing", words=("neither model_type nor architectures",))
def empty_config(body: Body) -> None:
    body.write("config.json", "{}")


@planted("embedding-missing")
def no_embedding(body: Body) -> None:
    with body.weights() as weights:
        del weights[EMBEDDING], weights[HEAD]


@planted("layers-missing", words=("1 of 2 layers: 1",))
def a_layer_is_gone(body: Body) -> None:
    with body.weights() as weights:
        for name in [name for name in weights if ".layers.1." in name]:
            del weights[name]


@planted("layers-extra", words=("1 layers", "hold 2"))
def more_layers_than_the_configuration_says(body: Body) -> None:
    with body.json("config.json") as config:
        config["num_hidden_layers"] = 1


@planted("tensors-irregular", words=("self_attn.v_proj.weight in layers 1",))
def one_layer_lost_v_proj(body: Body) -> None:
    with body.weights() as weights:
        del weights["model.layers.1.self_attn.v_proj.weight"]


@planted("biases-dropped", words=("8 tensors", "attention_bias is true", "q_proj.bias"))
def attention_biases_dropped(body: Body) -> None:
    with body.json("config.json") as config:
        config["attention_bias"] = True


@planted("biases-dropped", words=("6 tensors", "mlp_bias is true"))
def mlp_biases_dropped(body: Body) -> None:
    with body.json("config.json") as config:
        config["mlp_bias"] = True


@planted("biases-dropped", words=("6 tensors", "model_type qwen2"))
def biases_that_every_qwen2_has_dropped(body: Body) -> None:
    with body.json("config.json") as config:
        config["model_type"] = "qwen2"


@planted("biases-ignored", words=("attention_bias is false",))
def biases_switched_off(body: Body) -> None:
    with body.json("config.json") as config:
        config["attention_bias"] = False
    with body.weights() as weights:
        for layer in range(LAYERS):
            for part, rows in (("q", 16), ("k", 8), ("v", 8), ("o", 16)):
                weights[f"model.layers.{layer}.self_attn.{part}_proj.bias"] = np.full(rows, 0.1, BF16)


@planted("norms-dropped", words=("4 tensors", "model_type qwen3", "q_norm"))
def query_and_key_norms_dropped(body: Body) -> None:
    with body.json("config.json") as config:
        config["model_type"] = "qwen3"


@planted("norm-missing")
def last_norm_dropped(body: Body) -> None:
    with body.weights() as weights:
        del weights["model.norm.weight"]


@planted("experts-missing", words=("2 layers: layer 0 has 2 of 3",))
def experts_dropped(body: Body) -> None:
    with body.json("config.json") as config:
        config |= {"model_type": "mixtral", "num_local_experts": 3}
    with body.weights() as weights:
        for layer in range(LAYERS):
            for name in [name for name in weights if f".layers.{layer}.mlp." in name]:
                values = weights.pop(name)
                short = {"gate_proj": "w1", "down_proj": "w2", "up_proj": "w3"}[name.split(".")[-2]]
                for expert in range(2):
                    weights[f"model.layers.{layer}.block_sparse_moe.experts.{expert}.{short}.weight"] = values


@planted("experts-fused", words=("2 layers",))
def experts_fused_as_in_memory(body: Body) -> None:
    with body.json("config.json") as config:
        config |= {"model_type": "mixtral", "num_local_experts": 2}
    with body.weights() as weights:
        for layer in range(LAYERS):
            at = f"model.layers.{layer}.mlp"
            gate, up, down = (weights.pop(f"{at}.{part}_proj.weight") for part in ("gate", "up", "down"))
            weights[f"{at}.experts.gate_up_proj"] = np.stack([np.concatenate([gate, up])] * 2)
            weights[f"{at}.experts.down_proj"] = np.stack([down] * 2)


@planted("shapes-differ", words=("6 tensors", "instead of [32, 16]"))
def configuration_of_a_wider_model(body: Body) -> None:
    with body.json("config.json") as config:
        config["intermediate_size"] = 32


@planted("code-missing", words=("modeling_own.py",))
def remote_code_left_behind(body: Body) -> None:
    with body.json("config.json") as config:
        config["auto_map"] = {"AutoModelForCausalLM": "modeling_own.Own", "AutoConfig": "org/other--configuration.Own"}


# ---- vocabulary -----------------------------------------------------------------------------------------------------


@planted("vocab-size", words=("vocab_size 128", "64 rows"))
def vocab_size_of_another_parent(body: Body) -> None:
    with body.json("config.json") as config:
        config["vocab_size"] = 128


@planted("vocab-size", "tokenizer-larger", "ids-beyond-vocab", words=("beyond 12 rows",))
def embedding_cut_to_the_shortest_vocabulary(body: Body) -> None:
    with body.weights() as weights:
        for name in (EMBEDDING, HEAD):
            weights[name] = weights[name][:12].copy()


@planted("head-missing")
def head_dropped(body: Body) -> None:
    with body.weights() as weights:
        del weights[HEAD]


@planted("head-ignored", words=(HEAD,))
def flag_says_tied_head_differs(body: Body) -> None:
    with body.json("config.json") as config:
        config["tie_word_embeddings"] = True


@planted("head-doubled", model="tied")
def tied_head_stored_again(body: Body) -> None:
    with body.weights() as weights:
        weights[HEAD] = weights[EMBEDDING].copy()


@planted("head-rows", words=("48 rows",))
def head_of_another_length(body: Body) -> None:
    with body.weights() as weights:
        weights[HEAD] = weights[HEAD][:48].copy()


@planted("tokenizer-missing")
def tokenizer_lost_because_the_card_failed(body: Body) -> None:
    body.remove("tokenizer.json", "tokenizer_config.json")


@planted("tokenizer-damaged", words=("tokenizer.json",))
def broken_tokenizer(body: Body) -> None:
    body.write("tokenizer.json", "{")


@planted("padding-lost", "vocab-size", words=("multiples of 64",))
def padding_rows_cut(body: Body) -> None:
    with body.json("config.json") as config:
        config |= {"model_type": "phi3", "vocab_size": 64}
    rng = np.random.default_rng(0)
    rows = 1025
    with body.json("tokenizer.json") as tokenizer:
        ids = body.ids()
        tokenizer["model"]["vocab"] |= ids
        for row in sorted(set(range(rows)) - set(ids.values())):
            tokenizer["model"]["vocab"][f"word{row}"] = row
    with body.weights() as weights:
        for name in (EMBEDDING, HEAD):
            extra = (rng.standard_normal((rows - 64, 16)) * 0.05).astype(BF16)
            weights[name] = np.concatenate([weights[name], extra])


@planted("ids-beyond-vocab", "stop-missing", words=("eos_token_id 128009",))
def eos_beyond_the_vocabulary(body: Body) -> None:
    with body.json("generation_config.json") as config:
        config["eos_token_id"] = 128009


@planted("ids-of-another-family", "stop-missing", words=("bos_token_id 4", "eos_token_id 3"))
def ids_of_another_family(body: Body) -> None:
    with body.json("generation_config.json") as config:
        config |= {"bos_token_id": 4, "eos_token_id": 3, "pad_token_id": 3}


@planted("bos-differs", words=("bos_token '<s>'",))
def bos_of_the_configuration_is_another(body: Body) -> None:
    with body.json("generation_config.json") as config:
        config["bos_token_id"] = 1


# ---- chat format ----------------------------------------------------------------------------------------------------

MERGEKIT = """\
merge_method: task_arithmetic
base_model: {root}
models:
  - model: org/ko-base
    parameters: {{weight: {target}}}
  - model: org/llama-chat
    parameters: {{weight: 1.0}}
  - model: org/llama
    parameters: {{weight: {base}}}
dtype: bfloat16
"""


def without_template(body: Body) -> None:
    with body.json("tokenizer_config.json") as config:
        del config["chat_template"]


@planted("template-missing", "mergekit", words=("org/llama-chat is among its parents", "from org/ko-base"))
def mergekit_takes_the_tokenizer_of_the_target(body: Body) -> None:
    without_template(body)
    body.write("mergekit_config.yml", MERGEKIT.format(root="org/ko-base", target=1.0, base=-1.0))


@planted("template-absent", words=("<|end|>",))
def template_lost(body: Body) -> None:
    without_template(body)


@planted("template-damaged", words=("line 1", "no Jinja"))
def template_is_no_jinja(body: Body) -> None:
    with body.template() as text:
        text[0] = "{% for message in messages %}"


@planted("template-damaged", words=("refuses a plain conversation",))
def template_raises(body: Body) -> None:
    with body.template() as text:
        text[0] = "{{ raise_exception('no') }}"


@planted("template-damaged", words=("pad_token",))
def template_writes_an_undefined_token(body: Body) -> None:
    with body.template() as text:
        text[0] = "{{ pad_token }}" + text[0]


@planted("template-damaged", words=("does not take three turns",))
def template_takes_one_turn_only(body: Body) -> None:
    with body.template() as text:
        text[0] = "{% if messages|length > 2 %}{{ raise_exception('no') }}{% endif %}" + text[0]


@planted("templates-differ", words=("chat_template.jinja",))
def two_templates(body: Body) -> None:
    with body.template() as text:
        body.write("chat_template.jinja", "<s>" + text[0])


@planted("template-one-place")
def template_in_the_jinja_file_alone(body: Body) -> None:
    with body.json("tokenizer_config.json") as config:
        body.write("chat_template.jinja", config.pop("chat_template"))


@planted("turn-end-is-text", words=("<|im_end|>",))
def turn_ends_with_a_token_of_another_vocabulary(body: Body) -> None:
    with body.template() as text:
        text[0] = text[0].replace("<|end|>", "<|im_end|>")


@planted("template-tokens-missing", words=("<|think|>",))
def template_names_a_token_of_another_vocabulary(body: Body) -> None:
    with body.template() as text:
        text[0] = text[0].replace("{{ '<|assistant|>' }}", "{{ '<|assistant|><|think|>' }}")


@planted("token-split", words=("<|end|>",))
def end_of_turn_is_not_cut_out(body: Body) -> None:
    # The configuration knows the token, tokenizer.json does not.
    with body.json("tokenizer.json") as tokenizer, body.json("tokenizer_config.json") as config:
        (end,) = (entry for entry in tokenizer["added_tokens"] if entry["content"] == "<|end|>")
        tokenizer["added_tokens"].remove(end)
        config["added_tokens_decoder"] = {str(end.pop("id")): end}


@planted("token-untrained", words=("'<|end|>'", "near zero"))
def end_of_turn_row_is_the_target_s(body: Body) -> None:
    row = body.ids()["<|end|>"]
    with body.weights() as weights:
        weights[EMBEDDING][row] = np.float32(1e-6)


@planted("token-untrained", words=("'<|assistant|>'", "duplicate"))
def turn_token_is_a_copy_of_another(body: Body) -> None:
    ids = body.ids()
    with body.weights() as weights:
        weights[EMBEDDING][ids["<|assistant|>"]] = weights[EMBEDDING][ids["</s>"]]


@planted("tool-token-untrained", words=("'<tool>'",))
def tool_token_untrained(body: Body) -> None:
    with body.json("tokenizer.json") as tokenizer:
        row = max(entry["id"] for entry in tokenizer["added_tokens"]) + 1
        tokenizer["added_tokens"].append({**tokenizer["added_tokens"][-1], "id": row, "content": "<tool>"})
    with body.template() as text:
        text[0] += "{% if tools %}<tool>{% endif %}"
    with body.weights() as weights:
        weights[EMBEDDING][row] = np.float32(1e-6)


@planted("stop-missing", words=("generation_config.json is [1]", "'<|end|>'"))
def generation_config_of_the_target(body: Body) -> None:
    with body.json("generation_config.json") as config:
        config["eos_token_id"] = 1


@planted("side-file-damaged", words=("generation_config.json",))
def broken_generation_config(body: Body) -> None:
    body.write("generation_config.json", "{")


@planted("stop-missing", words=("config.json is [1]",))
def generation_config_lost(body: Body) -> None:
    with body.json("config.json") as config:
        config["eos_token_id"] = 1
    body.remove("generation_config.json")


@planted("stop-unknown")
def nothing_ends_a_turn(body: Body) -> None:
    body.remove("generation_config.json")
    for file in ("config.json", "tokenizer_config.json"):
        with body.json(file) as config:
            for key in ("eos_token_id", "eos_token"):
                config.pop(key, None)
    with body.template() as text:
        text[0] = "{% for message in messages %}{{ message['content'] + ' ' }}{% endfor %}"


@planted("generation-config-missing")
def stops_in_config_json_alone(body: Body) -> None:
    with body.json("config.json") as config:
        config["eos_token_id"] = [1, body.ids()["<|end|>"]]
    body.remove("generation_config.json")


# ---- numbers --------------------------------------------------------------------------------------------------------

DOWN = "model.layers.0.mlp.down_proj.weight"


@planted("non-finite", words=(DOWN,))
def nan_of_a_parent_went_through(body: Body) -> None:
    with body.weights() as weights:
        weights[DOWN][3, 5] = np.nan


@planted("tensor-zero", words=(DOWN,))
def tensor_filled_with_zeros(body: Body) -> None:
    with body.weights() as weights:
        weights[DOWN][:] = 0


@planted("rows-zero", words=("'hello'",))
def row_of_a_word_is_zero(body: Body) -> None:
    row = body.ids()["hello"]
    with body.weights() as weights:
        weights[EMBEDDING][row] = 0


@planted("scales-ignored", words=(DOWN, "root mean square"))
def scales_of_fp8_ignored(body: Body) -> None:
    with body.weights() as weights:
        values = weights[DOWN].astype(np.float32)
        scale = np.abs(values).max() / 448
        weights[DOWN] = (values / scale).astype(ml_dtypes.float8_e4m3fn).astype(BF16)


@planted("quantised-unsaid", words=("FP8", "weight_scale_inv"))
def fp8_scales_without_a_configuration(body: Body) -> None:
    with body.weights() as weights:
        weights["model.layers.0.mlp.down_proj.weight_scale_inv"] = np.ones((1, 1), np.float32)
        weights["model.layers.1.mlp.down_proj.weight_scale_inv"] = np.ones((1, 1), np.float32)


@planted("quantised-stale")
def quantisation_config_beside_plain_weights(body: Body) -> None:
    with body.json("config.json") as config:
        config["quantization_config"] = {"quant_method": "fp8"}


@planted("quantised", words=("FP8",))
def a_quantised_model_that_says_so(body: Body) -> None:
    quantisation_config_beside_plain_weights(body)
    fp8_scales_without_a_configuration(body)


@planted("dtype-differs", words=("BF16", "F32"))
def silently_float32(body: Body) -> None:
    with body.weights() as weights:
        for name in weights:
            weights[name] = weights[name].astype(np.float32)


# ---- where it comes from --------------------------------------------------------------------------------------------


@planted("mergekit", "tokenizer-parent", words=("org/llama is subtracted",))
def rearranged_recipe_rooted_at_the_english_base(body: Body) -> None:
    body.write("mergekit_config.yml", MERGEKIT.format(root="org/llama", target=1.0, base=0.0))


@planted("mergekit", "not-a-chat-vector", words=("no model is subtracted",))
def recipe_that_moves_to_the_chat_model(body: Body) -> None:
    recipe = "merge_method: task_arithmetic\nbase_model: org/ko-base\nmodels:\n"
    body.write("mergekit_config.yml", recipe + "  - model: org/llama-chat\n    parameters: {weight: 1.0}\n")


@planted("mergekit", words=("tags of README.md",))
def tags_of_the_card(body: Body) -> None:
    body.write("README.md", "---\nbase_model: [org/a, org/b]\ntags: [mergekit, merge]\n---\n# merge\n")


@planted("mergekit", "readme-base", words=("org/llama-unrelated",))
def card_names_an_unrelated_repository(body: Body) -> None:
    body.write("mergekit_config.yml", MERGEKIT.format(root="org/ko-base", target=1.0, base=-1.0))
    body.write("README.md", "---\nbase_model:\n- org/ko-base\n- org/llama-unrelated\n---\n")


@planted("tokenizer-class")
def tokenizer_class_of_transformers_5(body: Body) -> None:
    with body.json("tokenizer_config.json") as config:
        config["tokenizer_class"] = "TokenizersBackend"


@planted("config-leak", words=("is_local, local_files_only",))
def keys_of_the_machine(body: Body) -> None:
    with body.json("tokenizer_config.json") as config:
        config |= {"is_local": True, "local_files_only": False}
