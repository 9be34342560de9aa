# SPDX-License-Identifier: Apache-2.0
"""Do the parents fit: configurations key by key, tensors by name and shape, layouts recognised."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatvector.checks.compatibility import Compatibility, compare_configs, compare_tensors
from chatvector.checks.rope import rope_of
from chatvector.errors import IncompatibleParents
from headers import Tensor, llama, tensors

CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "intermediate_size": 128,
    "hidden_act": "silu",
    "max_position_embeddings": 4096,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "vocab_size": 100,
    "attention_bias": False,
    "torch_dtype": "bfloat16",
}
NONE = Compatibility((), ())


def compare(**chat: Any) -> Compatibility:
    """Target and base alike, the chat model with other values."""
    return compare_configs(CONFIG, {"base": CONFIG, "chat": CONFIG | chat})


def test_the_same() -> None:
    assert compare() == NONE
    compare().raise_if_refused()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model_type", "mistral"),
        ("hidden_size", 128),
        ("num_hidden_layers", 8),
        ("num_attention_heads", 4),
        ("num_key_value_heads", 8),
        ("head_dim", 16),
        ("intermediate_size", 256),
        ("hidden_act", "gelu"),
    ],
)
def test_refused(key: str, value: Any) -> None:
    found = compare(**{key: value})
    (line,) = found.refusals
    assert line.startswith(f"{key}: target {CONFIG[key]}, base {CONFIG[key]}, chat {value} (")
    assert found.warnings == ()
    with pytest.raises(IncompatibleParents, match=f"^the parents do not fit together: {key}: target"):
        found.raise_if_refused()


def test_experts_are_refused_under_both_names() -> None:
    found = compare_configs(CONFIG | {"num_experts": 8}, {"chat": CONFIG | {"num_local_experts": 4}})
    assert found.refusals == ("num_experts: target 8, chat 4 (tensors have other shapes)",)


@pytest.mark.parametrize(
    ("key", "value", "start"),
    [
        ("max_position_embeddings", 8192, "max_position_embeddings: target 4096, base 4096, chat 8192"),
        ("rms_norm_eps", 1e-6, "rms_norm_eps: target 1e-05, base 1e-05, chat 1e-06"),
        ("attention_bias", True, "attention_bias: target False, base False, chat True"),
        ("rope_theta", 500000.0, "rope theta: target 10000.0, base 10000.0, chat 500000.0"),
        ("rope_parameters", {"rope_theta": 5e5, "rope_type": "default"}, "rope theta: target 10000.0"),
        ("rope_scaling", {"rope_type": "llama3", "factor": 8.0}, "rope factor: target None, base None, chat 8.0"),
        ("architectures", ["LlamaForSequenceClassification"], "architectures: target LlamaForCausalLM"),
        ("use_sliding_window", True, "use_sliding_window: target False by default, base False by default, chat True"),
        (
            "scale_emb",
            12,
            "1 keys cannot be compared, some files lack them and what that means is not known: scale_emb (not in",
        ),
    ],
)
def test_warned(key: str, value: Any, start: str) -> None:
    found = compare(**{key: value})
    assert found.refusals == ()
    assert found.warnings[0].startswith(start)


@pytest.mark.parametrize(
    "change",
    [
        {"torch_dtype": "float32"},
        {"torch_dtype": None, "dtype": "float16"},
        {"vocab_size": 200},
        {"tie_word_embeddings": True},
        {"eos_token_id": [1, 2]},
        {"transformers_version": "5.0"},
        {"rope_theta": None, "rope_parameters": {"rope_theta": 10000, "rope_type": "default"}},
        {"rope_scaling": None},
        {"rope_scaling": {"type": "default"}},
        {"head_dim": None},
        {"use_sliding_window": False},
        {"use_bidirectional_attention": None},
        {"attention_dropout": 0.1, "use_cache": False, "_name_or_path": "x", "pretraining_tp": 2, "bos_token_id": 5},
        {"architectures": None},
        {"architectures": []},
        {"hidden_act": None, "hidden_activation": "swish"},
    ],
)
def test_what_makes_no_difference(change: dict[str, Any]) -> None:
    assert compare(**change) == NONE


MISTRAL = {"model_type": "mistral", "rope_theta": 1e4}
GEMMA_2 = {"model_type": "gemma2", "rope_theta": 1e4}


@pytest.mark.parametrize(
    ("config", "key", "value", "other", "said"),
    [
        (MISTRAL, "sliding_window", 128, None, "target 128, base 128, chat None ("),
        (MISTRAL, "sliding_window", 128, ..., "target 128, base 128, chat 4096 by default ("),
        (GEMMA_2, "final_logit_softcapping", 30.0, None, "target 30.0, base 30.0, chat None ("),
        (GEMMA_2, "attn_logit_softcapping", 20.0, ..., "target 20.0, base 20.0, chat 50.0 by default ("),
        (CONFIG, "rms_norm_eps", 1e-5, ..., "target 1e-05, base 1e-05, chat 1e-06 by default ("),
        ({"model_type": "granite"}, "residual_multiplier", 0.22, ..., "target 0.22, base 0.22, chat 1.0 by default ("),
        ({"model_type": "x"}, "logits_scaling", 8, 16, "target 8, base 8, chat 16 ("),
        ({"model_type": "x"}, "topk_group", 4, None, "target 4, base 4, chat None ("),
        ({"model_type": "x"}, "mlp_multipliers", [1.0, 1.0], [1.0, 2.0], "target [1.0, 1.0], base [1.0, 1.0], chat"),
        ({"model_type": "x"}, "no_rope_layers", [1, 0], [1, 1], "target [1, 0], base [1, 0], chat [1, 1] ("),
        ({"model_type": "x"}, "layer_magic", 1, 2, "target 1, base 1, chat 2 (no rule knows this key;"),
    ],
)
def test_values_against_nulls_and_absent_keys(
    config: dict[str, Any], key: str, value: Any, other: Any, said: str
) -> None:
    """A null is a value; an absent key is what the class makes of it."""
    one = config | {key: value}
    chat = {name: each for name, each in config.items() if name != key} | ({} if other is ... else {key: other})
    found = compare_configs(one, {"base": one, "chat": chat})
    assert found.refusals == ()
    (line,) = found.warnings
    assert line.startswith(f"{key}: {said}")


@pytest.mark.parametrize(
    ("key", "value", "other"),
    [
        ("rope_interleave", True, False),
        ("use_qk_norm", True, False),
        ("is_causal", None, False),
        ("use_bidirectional_attention", None, True),
    ],
)
def test_other_functions_of_the_same_weights_are_refused(key: str, value: Any, other: Any) -> None:
    config = CONFIG | {key: value}
    (line,) = compare_configs(config, {"base": config, "chat": CONFIG | {key: other}}).refusals
    assert line.startswith(f"{key}: target ")


def test_what_cannot_be_compared_is_said_in_one_line() -> None:
    config = {"model_type": "x", "rms_norm_eps": 1e-5, "sliding_window": 128, "rope_theta": 5e5}
    assert compare_configs(config, {"base": config, "chat": {"model_type": "x", "sliding_window": 128}}).warnings == (
        "2 keys cannot be compared, some files lack them and what that means is not known: rms_norm_eps (not in chat),"
        " rope_theta (not in chat)",
    )


def test_rotation_by_the_class() -> None:
    """Nothing in two files, a theta in the third: it is compared with what Llama's class turns by."""
    silent = {"model_type": "llama"}
    (line,) = compare_configs(silent, {"base": silent, "chat": silent | {"rope_theta": 5e5}}).warnings
    assert line.startswith("rope theta: target 10000.0, base 10000.0, chat 500000.0 (")
    assert compare_configs(silent, {"chat": silent | {"rope_theta": 10000}}) == NONE
    assert rope_of({"model_type": "mixtral", "rope_scaling": None})["theta"] == 1e6


def test_two_thetas_in_one_file() -> None:
    both = CONFIG | {"rope_theta": 5.0, "rope_parameters": {"rope_theta": 1000, "rope_type": "default"}}
    (line,) = compare_configs(both, {"base": both}).warnings[:1]
    assert line.startswith("rope_theta: target 5.0 beside rope_parameters, 1000 in them (the file contradicts itself")
    kinds = {"full_attention": {"rope_theta": 1e6}, "sliding_attention": {"rope_theta": 1e4}}
    one = {"model_type": "x", "rope_theta": 1000000, "rope_parameters": kinds}
    assert compare_configs(one, {"base": one}) == NONE


def test_windows_that_a_flag_switches_off() -> None:
    """Qwen's published files give a window and the depth from which it holds, and do not use them."""
    base = {"model_type": "qwen2", "sliding_window": 131072, "max_window_layers": 28, "use_sliding_window": False}
    saved_again = {"model_type": "qwen2", "sliding_window": None, "max_window_layers": 21, "use_sliding_window": False}
    assert compare_configs(base, {"chat": saved_again}) == NONE
    found = compare_configs(base | {"use_sliding_window": True}, {"chat": saved_again | {"use_sliding_window": True}})
    assert [line.partition(":")[0] for line in found.warnings] == ["sliding_window", "max_window_layers"]


def test_a_number_and_its_digits_are_told_apart() -> None:
    (line,) = compare(hidden_size="64").refusals
    assert line.startswith("hidden_size: target 64, base 64, chat '64' (")


def test_architectures() -> None:
    found = compare(architectures=["MistralForCausalLM"])
    assert found.refusals == (
        "architectures: target LlamaForCausalLM, base LlamaForCausalLM, chat MistralForCausalLM "
        "(the parents are different architectures)",
    )


def test_the_gelu_that_gemma_means() -> None:
    gemma = {"model_type": "gemma", "hidden_act": "gelu"}
    assert compare_configs(gemma, {"chat": {"model_type": "gemma", "hidden_activation": "gelu_pytorch_tanh"}}) == NONE
    bert = {"model_type": "x", "hidden_act": "gelu"}
    assert compare_configs(bert, {"chat": bert | {"hidden_act": "gelu_new"}}).refusals != ()


def test_nested_configurations_in_either_place() -> None:
    nested = {
        "model_type": "qwen2_vl",
        "text_config": {"hidden_size": 64},
        "vision_config": {"depth": 2, "patch_size": 14},
    }
    flat = {"model_type": "qwen2_vl", "hidden_size": 64, "vision_config": {"depth": 2, "patch_size": 14}}
    assert compare_configs(nested, {"chat": flat}) == NONE
    other = nested | {"text_config": {"hidden_size": 32}, "vision_config": {"depth": 3, "patch_size": 14}}
    assert compare_configs(nested, {"chat": other}).refusals == (
        "hidden_size: target 64, chat 32 (tensors have other shapes)",
        "vision_config.depth: target 2, chat 3 (tensors have other shapes)",
    )


def test_an_image_encoder_on_one_side() -> None:
    found = compare(vision_config={"depth": 2})
    assert found.refusals == ("vision_config: in chat, not in target and base (only some have an image encoder)",)


def test_rope_in_both_spellings() -> None:
    v4 = {"rope_theta": 1e6, "rope_scaling": {"type": "yarn", "factor": 4, "original_max_position_embeddings": 32768}}
    v5 = {
        "rope_parameters": {
            "rope_type": "yarn", "rope_theta": 1000000, "factor": 4.0, "original_max_position_embeddings": 32768,
        }
    }  # fmt: skip
    assert rope_of(v4) == rope_of(v5)
    assert rope_of(v4) == {"theta": 1e6, "type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768.0}
    assert rope_of({}) == {}


def test_the_share_of_rotating_dimensions_in_both_spellings() -> None:
    v4 = {"rope_theta": 1e4, "partial_rotary_factor": 0.5}
    v5 = {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.5}}
    assert compare_configs(v4, {"chat": v5}) == NONE
    (line,) = compare_configs(v4 | {"partial_rotary_factor": 0.25}, {"chat": v5}).refusals
    assert line == "partial_rotary_factor: target 0.25, chat 0.5 (other dimensions of the heads rotate)"


def test_rope_of_gemma_3_in_both_spellings() -> None:
    v4 = {"rope_theta": 1e6, "rope_local_base_freq": 1e4, "rope_scaling": {"rope_type": "linear", "factor": 8.0}}
    v5 = {
        "rope_parameters": {
            "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
            "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
        }
    }
    assert rope_of(v4) == rope_of(v5)
    assert rope_of(v4)["sliding_attention.theta"] == 1e4


def test_rope_sections_of_vision_language_models() -> None:
    v4 = {"rope_theta": 1e6, "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]}}
    v5 = {"rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]}}
    assert rope_of(v4) == rope_of(v5)


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["rope_theta", "rope_type", "hidden_size"]), inner, max_size=2)
    ),
    max_leaves=3,
)


@given(st.dictionaries(st.sampled_from([*CONFIG, "text_config", "rope_parameters", "n_embd"]), _values))
def test_a_configuration_agrees_with_itself(config: dict[str, Any]) -> None:
    found = compare_configs(config, {"base": config, "chat": dict(config)})
    assert found.refusals == ()
    assert all("the file contradicts itself" in line for line in found.warnings)


def test_tensors_that_agree() -> None:
    found = compare_tensors(llama(), llama(), llama())
    assert set(found.shared) | set(found.vocabulary) == set(llama())
    assert found.vocabulary["lm_head.weight"] == {"target": 48, "base": 48, "chat": 48}
    assert found.derived == {}


def test_vocabularies_may_differ_in_rows() -> None:
    found = compare_tensors(llama(vocabulary=60), llama(), llama(vocabulary=50))
    assert found.vocabulary["model.embed_tokens.weight"] == {"target": 60, "base": 48, "chat": 50}


def test_heads_may_be_tied_in_some() -> None:
    found = compare_tensors(llama(), llama(head=False), llama(head=False))
    assert found.vocabulary["lm_head.weight"] == {"target": 48, "base": None, "chat": None}
    found = compare_tensors(llama(head=False), llama(), llama())
    assert found.vocabulary["lm_head.weight"] == {"target": None, "base": 48, "chat": 48}


def test_derived_buffers_may_be_anywhere() -> None:
    inv = tensors({"model.layers.0.self_attn.rotary_emb.inv_freq": (4,)}, "F32")
    longer = tensors({"model.layers.0.self_attn.rotary_emb.inv_freq": (8,)}, "F32")
    (name,) = inv
    assert compare_tensors(llama() | inv, llama(), llama()).derived == {name: ("target",)}
    assert compare_tensors(llama(), llama() | inv, llama() | inv).derived == {name: ("base", "chat")}
    assert compare_tensors(llama() | inv, llama() | inv, llama() | longer).derived == {name: ("target", "base", "chat")}
    assert name in compare_tensors(llama() | inv, llama() | inv, llama() | inv).shared


def refused(target: dict[str, Tensor], base: dict[str, Tensor], chat: dict[str, Tensor]) -> str:
    with pytest.raises(IncompatibleParents) as caught:
        compare_tensors(target, base, chat)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_tensor_in_one_parent_only() -> None:
    bias = tensors({"model.layers.0.self_attn.q_proj.bias": (8,)})
    message = refused(llama(), llama(), llama() | bias)
    assert message.startswith(
        "1 tensors are in chat but not in target and base: model.layers.0.self_attn.q_proj.bias; "
    )
    assert message.endswith("the three must be one architecture in one layout")
    assert "are in target but not in base" in refused(llama() | bias, llama(), llama())


def test_missing_layers_are_counted_and_five_named() -> None:
    message = refused(llama(layers=3), llama(layers=3), llama(layers=2))
    assert "9 tensors are in target and base but not in chat: model.layers.2.input_layernorm.weight, " in message
    assert "… (4 more)" in message


def test_shapes() -> None:
    wide = llama() | tensors({"model.layers.1.mlp.up_proj.weight": (32, 8)})
    message = refused(llama(), llama(), wide)
    assert message.startswith(
        "1 tensors differ in shape: model.layers.1.mlp.up_proj.weight (target [16, 8], base [16, 8], chat [32, 8])"
    )


def test_another_width_of_the_vocabulary_tensors_is_refused() -> None:
    assert "model.embed_tokens.weight (target [48, 8], base [48, 8], chat [48, 16])" in refused(
        llama(), llama(), llama() | tensors({"model.embed_tokens.weight": (48, 16), "lm_head.weight": (48, 16)})
    )


def test_a_missing_embedding_is_no_tie() -> None:
    chat = llama()
    del chat["model.embed_tokens.weight"]
    assert "are in target and base but not in chat: model.embed_tokens.weight" in refused(llama(), llama(), chat)


def test_another_prefix_is_recognised() -> None:
    message = refused(llama(prefix="model.language_model."), llama(prefix="language_model.model."), llama())
    assert "they look like the same tensors under another prefix (target: model.language_model." in message
    assert message.endswith(
        "layouts must agree, save all models with one version of transformers (load, save_pretrained)"
    )


def test_fused_experts_are_recognised() -> None:
    apart = {f"model.layers.0.mlp.experts.{e}.{p}_proj.weight": (16, 8) for e in range(2) for p in ("gate", "up")}
    fused: dict[str, tuple[int, ...]] = {"model.layers.0.mlp.experts.gate_up_proj": (2, 32, 8)}
    message = refused(llama() | tensors(apart), llama() | tensors(fused), llama() | tensors(apart))
    assert "experts are apart in target and fused in base: layouts must agree" in message


def test_fused_projections_are_recognised() -> None:
    fused = {n: t for n, t in llama().items() if not any(f".{p}_proj." in n for p in "qkv")}
    fused |= tensors({f"model.layers.{i}.self_attn.qkv_proj.weight": (24, 8) for i in range(2)})
    assert "query, key and value are fused in target and apart in base" in refused(fused, llama(), llama())


@pytest.mark.parametrize("wrapper", ["_orig_mod.", "module.", "base_model.model."])
def test_training_wrappers_are_recognised(wrapper: str) -> None:
    wrapped = {wrapper + name: tensor for name, tensor in llama().items()}
    assert f"chat was saved from inside a training wrapper ({wrapper}*)" in refused(llama(), llama(), wrapped)


@given(st.sets(st.sampled_from(sorted(llama())), max_size=3), st.sampled_from(["target", "base", "chat"]))
def test_only_a_head_may_be_absent(dropped: set[str], role: str) -> None:
    models = {"target": llama(), "base": llama(), "chat": llama()}
    models[role] = {name: tensor for name, tensor in llama().items() if name not in dropped}
    if dropped <= {"lm_head.weight"}:
        compare_tensors(models["target"], models["base"], models["chat"])
    else:
        with pytest.raises(IncompatibleParents, match=f"but not in {role}: "):
            compare_tensors(models["target"], models["base"], models["chat"])
