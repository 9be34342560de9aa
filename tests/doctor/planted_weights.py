# SPDX-License-Identifier: Apache-2.0
"""Faults in weights: files and index, tensors against the configuration."""

from __future__ import annotations

import json
import shutil

import numpy as np
from safetensors.numpy import save_file

from builders import BF16, load_weights
from doctor.patients import EMBEDDING, HEAD, INDEX, LAYERS, Body, planted
from pickled_models import as_pickles

# ---- files that cannot be read -------------------------------------------------------------------------------------


@planted("file-unreadable", words=("1 files: config.json (a link that leads nowhere: config.json)",))
def config_is_a_link_to_itself(body: Body) -> None:
    body.link("config.json", "config.json")


@planted("file-unreadable", words=("tokenizer.json (a link that leads nowhere: /nowhere/tokenizer.json)",))
def tokenizer_is_a_dangling_link(body: Body) -> None:
    body.link("tokenizer.json", "/nowhere/tokenizer.json")


@planted("file-unreadable", words=("model.safetensors (a link",))
def weights_are_a_dangling_link(body: Body) -> None:
    body.link("model.safetensors", "../blobs/0")


@planted("file-unreadable", model="sharded", words=("2 files: ", "model-00002-of-00002.safetensors (a link"))
def shard_and_index_are_dangling_links(body: Body) -> None:
    for name in ("model-00002-of-00002.safetensors", INDEX):
        body.link(name, "../blobs/0")


# ---- files of weights -----------------------------------------------------------------------------------------------


@planted("index-damaged", model="sharded", words=("no index",))
def index_is_no_json(body: Body) -> None:
    body.write(INDEX, "{")


@planted("index-missing", model="sharded", words=("2 shards and no model.safetensors.index.json",))
def shards_without_an_index(body: Body) -> None:
    body.remove(INDEX)


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


@planted("index-wrong", model="sharded", words=("1 tensors are said to be in files without weights: config.json",))
def index_names_a_file_without_weights(body: Body) -> None:
    with body.json(INDEX) as index:
        index["weight_map"]["model.norm.weight"] = "config.json"


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


@planted("weights-damaged", words=("model.safetensors", "truncated"))
def truncated_single_file(body: Body) -> None:
    file = body.path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


@planted("weights-damaged", words=("model.safetensors",))
def single_file_of_no_bytes(body: Body) -> None:
    body.write("model.safetensors", b"")


@planted("weights-damaged", "tokenizer-missing", words=("model.safetensors: holds no tensor",))
def single_file_without_tensors(body: Body) -> None:
    save_file({}, body.path / "model.safetensors", {"format": "pt"})
    body.remove("tokenizer.json", "tokenizer_config.json")


@planted("tensor-twice", model="sharded", words=("model.norm.weight",))
def one_tensor_in_two_shards(body: Body) -> None:
    from safetensors.numpy import load_file

    first = body.path / "model-00001-of-00002.safetensors"
    norm = load_weights(body.path)["model.norm.weight"]
    save_file(load_file(first) | {"model.norm.weight": norm}, first, {"format": "pt"})
    with body.json(INDEX) as index:
        index["weight_map"]["model.norm.weight"] = first.name
        index["metadata"] = {}


@planted("weights-pickled", words=("pytorch_model.bin",))
def weights_are_one_pickle(body: Body) -> None:
    as_pickles(body.path)


@planted("weights-pickled", model="sharded", words=("2 files",))
def weights_are_pickles_of_the_older_layout(body: Body) -> None:
    as_pickles(body.path, shards=2, zip_layout=False)


@planted("other-weights", words=("pytorch_model.bin",))
def pickle_beside_safetensors(body: Body) -> None:
    body.write("pytorch_model.bin")


@planted("other-weights", words=("consolidated.safetensors",))
def vendor_layout_beside_ours(body: Body) -> None:
    shutil.copy(body.path / "model.safetensors", body.path / "consolidated.safetensors")


@planted("adapter", words=("adapter_config.json",))
def an_adapter_laid_in(body: Body) -> None:
    body.write("adapter_config.json", '{"base_model_name_or_path": "someone/else", "peft_type": "LORA"}')


@planted("leftovers", words=("model.safetensors.partial", "optimizer.pt"))
def leftovers_of_runs(body: Body) -> None:
    body.write("model.safetensors.partial")
    body.write("optimizer.pt")


# ---- tensors against the configuration ------------------------------------------------------------------------------


@planted("config-missing", words=("config.json is missing",))
def no_config(body: Body) -> None:
    body.remove("config.json")


@planted("config-damaged", words=("no JSON",))
def broken_config(body: Body) -> None:
    body.write("config.json", "{,}")


@planted("config-missing", words=("neither model_type nor architectures",))
def empty_config(body: Body) -> None:
    body.write("config.json", "{}")


@planted(
    "config-values", words=("num_hidden_layers is 'four' instead of a whole number above 0", "hidden_size is '16'")
)
def sizes_in_words(body: Body) -> None:
    with body.json("config.json") as config:
        config |= {"num_hidden_layers": "four", "hidden_size": "16"}


@planted("config-values", words=("num_attention_heads is 0", "intermediate_size is [32]", "vocab_size is nan"))
def sizes_that_are_none(body: Body) -> None:
    with body.json("config.json") as config:
        config |= {"num_attention_heads": 0, "intermediate_size": [32], "vocab_size": float("nan")}


@planted("config-values", words=("rms_norm_eps is 1e+300 instead of a small number",))
def epsilon_is_huge(body: Body) -> None:
    with body.json("config.json") as config:
        config["rms_norm_eps"] = 1e300


@planted("config-values", words=("rms_norm_eps is -1.0 instead of a small number",))
def epsilon_is_negative(body: Body) -> None:
    with body.json("config.json") as config:
        config["rms_norm_eps"] = -1.0


@planted("config-values", words=("rope_scaling is {'type': 'yarn'} instead of a table with factor",))
def yarn_without_a_factor(body: Body) -> None:
    with body.json("config.json") as config:
        config["rope_scaling"] = {"type": "yarn"}


@planted("config-values", words=("whose rope_type is one of default, ",))
def positions_turned_in_an_unknown_way(body: Body) -> None:
    with body.json("config.json") as config:
        config["rope_parameters"] = {"sliding_attention": {"rope_type": "default"}, "full_attention": {"rope_type": []}}


@planted("config-values", words=("torch_dtype is 'bfloat17' instead of a type of torch",))
def dtype_that_torch_does_not_have(body: Body) -> None:
    with body.json("config.json") as config:
        config["torch_dtype"] = "bfloat17"


@planted(
    "config-values",
    words=("pad_token_id is '1' instead of a whole number", "eos_token_id is [1, '17'] instead of a whole number or"),
)
def ids_in_quotes(body: Body) -> None:
    with body.json("config.json") as config:
        config |= {"pad_token_id": "1", "eos_token_id": [1, "17"]}


@planted("config-values", words=("rms_norm_eps is nan instead of a finite number",))
def epsilon_is_no_number(body: Body) -> None:
    with body.json("config.json") as config:
        config["rms_norm_eps"] = float("nan")


@planted("config-values", words=("model_type is ['llama'] instead of a name",))
def model_type_is_a_list(body: Body) -> None:
    with body.json("config.json") as config:
        config["model_type"] = ["llama"]


@planted("config-values", words=("model_type is null",))
def model_type_is_null(body: Body) -> None:
    with body.json("config.json") as config:
        config["model_type"] = None


@planted("config-damaged", words=("Unexpected UTF-8 BOM",))
def config_begins_with_a_byte_order_mark(body: Body) -> None:
    body.write("config.json", b"\xef\xbb\xbf" + (body.path / "config.json").read_bytes())


@planted("embedding-missing")
def no_embedding(body: Body) -> None:
    with body.weights() as weights:
        del weights[EMBEDDING], weights[HEAD]


@planted("layers-missing", words=("1 of 2 layers: 1",))
def a_layer_is_gone(body: Body) -> None:
    with body.weights() as weights:
        for name in [name for name in weights if ".layers.1." in name]:
            del weights[name]


@planted("layers-missing", words=("999999999999999998 of 1000000000000000000 layers: 2, 3, 4, 5, 6, … (",))
def more_layers_than_there_is_memory(body: Body) -> None:
    with body.json("config.json") as config:
        config["num_hidden_layers"] = 10**18


@planted("layers-extra", words=("1 layers", "hold 2"))
def more_layers_than_the_configuration_says(body: Body) -> None:
    with body.json("config.json") as config:
        config["num_hidden_layers"] = 1


@planted("tensors-irregular", words=("self_attn.v_proj.weight in layers 1",))
def one_layer_lost_v_proj(body: Body) -> None:
    with body.weights() as weights:
        del weights["model.layers.1.self_attn.v_proj.weight"]


def without(body: Body, *parts: str, model_type: str = "llama") -> None:
    """Drop what has one of `parts` in its name from every layer."""
    with body.json("config.json") as config:
        config["model_type"] = model_type
    with body.weights() as weights:
        for name in [name for name in weights if any(part in name for part in parts)]:
            del weights[name]


@planted("tensors-missing", words=("model_type llama: self_attn.v_proj in 2 of 2 layers",))
def every_layer_lost_v_proj(body: Body) -> None:
    without(body, ".v_proj.")


@planted("tensors-missing", words=("mlp.down_proj in", "mlp.gate_proj in", "mlp.up_proj in"))
def every_layer_lost_its_mlp(body: Body) -> None:
    without(body, ".mlp.")


@planted("tensors-missing", words=("self_attn.k_proj in", "self_attn.o_proj in", "self_attn.q_proj in"))
def every_layer_lost_its_attention(body: Body) -> None:
    without(body, ".self_attn.", model_type="qwen3")


@planted("tensors-missing", words=("input_layernorm in 2 of 2 layers", "post_attention_layernorm in"))
def every_layer_lost_its_norms(body: Body) -> None:
    without(body, ".input_layernorm.", ".post_attention_layernorm.", model_type="mistral")


@planted("tensors-missing", words=("self_attn.o_proj in 1 of 2 layers", "mlp.down_proj in 1 of 2 layers"))
def one_layer_kept_its_norms_only(body: Body) -> None:
    without(body, ".layers.1.self_attn.", ".layers.1.mlp.")


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
            weights[f"model.layers.{layer}.block_sparse_moe.gate.weight"] = np.full((3, 16), 0.1, BF16)
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
            weights[f"{at}.gate.weight"] = np.full((2, 16), 0.1, BF16)
            gate, up, down = (weights.pop(f"{at}.{part}_proj.weight") for part in ("gate", "up", "down"))
            weights[f"{at}.experts.gate_up_proj"] = np.stack([np.concatenate([gate, up])] * 2)
            weights[f"{at}.experts.down_proj"] = np.stack([down] * 2)


@planted("shapes-differ", words=("6 tensors", "instead of [32, 16]"))
def configuration_of_a_wider_model(body: Body) -> None:
    with body.json("config.json") as config:
        config["intermediate_size"] = 32


@planted("shapes-differ", words=("q_proj.weight [16, 16] instead of [32, 16] by the heads", "8 tensors"))
def heads_of_another_width(body: Body) -> None:
    with body.json("config.json") as config:
        config["head_dim"] = 8


@planted("shapes-differ", words=("4 tensors", "k_proj.weight [8, 16] instead of [4, 16]"))
def fewer_key_and_value_heads(body: Body) -> None:
    with body.json("config.json") as config:
        config["num_key_value_heads"] = 1


@planted("shapes-differ", words=("8 tensors", "o_proj.weight [16, 16] instead of [16, 15]"))
def heads_that_do_not_divide_the_width(body: Body) -> None:
    with body.json("config.json") as config:
        config["num_attention_heads"] = 3


@planted("shapes-differ", words=("model.norm.weight holds no number",))
def last_norm_is_empty(body: Body) -> None:
    with body.weights() as weights:
        weights["model.norm.weight"] = np.zeros(0, BF16)


@planted("code-missing", words=("modeling_own.py",))
def remote_code_left_behind(body: Body) -> None:
    with body.json("config.json") as config:
        config["auto_map"] = {"AutoModelForCausalLM": "modeling_own.Own", "AutoConfig": "org/other--configuration.Own"}
