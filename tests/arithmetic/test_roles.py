# SPDX-License-Identifier: Apache-2.0
"""Roles by structure: hand-made headers of what names alone get wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatvector.arithmetic.roles import ROLES, assign_roles, find_vocabulary, is_derived, layer_of
from headers import llama, tensors


def role(name: str, shape: tuple[int, ...], *, code: str = "BF16", **config: object) -> str:
    return assign_roles(tensors({name: shape}, code), config)[name]


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("model.layers.11.self_attn.q_proj.weight", 11),
        ("h.0.ln_1.weight", 0),
        ("transformer.h.3.mlp.c_fc.weight", 3),
        ("model.layers.2.mlp.experts.7.up_proj.weight", 2),
        ("model.language_model.layers.5.mlp.up_proj.weight", 5),
        ("language_model.model.layers.5.mlp.up_proj.weight", 5),
        ("transformer.encoder.layers.1.mlp.dense_h_to_4h.weight", 1),
        ("model.norm.weight", None),
        ("lm_head.weight", None),
        ("visual.blocks.3.attn.qkv.weight", None),
        ("vision_tower.vision_model.encoder.layers.3.mlp.fc1.weight", None),
        ("model.mm_projector.0.weight", None),
        ("model.audio_tower.layers.0.fc1.weight", None),
        ("model.layers.x.weight", None),
        ("model.layers.²", None),
    ],
)
def test_layers(name: str, layer: int | None) -> None:
    assert layer_of(name) == layer


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("model.norm.weight", (8,), "norm"),
        ("model.layers.0.self_attn.q_norm.weight", (4,), "norm"),
        ("model.layers.0.self_attn.q_norm.weight", (2, 4), "norm"),  # Cohere: one gain per head
        ("model.layers.0.self_attn.sinks", (4,), "attention"),  # gpt-oss
        ("model.layers.0.linear_attn.A_log", (4,), "attention"),  # Qwen3-Next
        ("model.layers.0.self_attn.q_proj.bias", (8,), "bias"),
        ("model.layers.0.mlp.router.weight", (4, 8), "router"),
        ("model.layers.0.mlp.router.bias", (4,), "router"),
        ("model.layers.0.mlp.gate.e_score_correction_bias", (4,), "router"),
        ("model.layers.0.mlp.shared_expert_gate.weight", (1, 8), "router"),
        ("model.layers.0.mlp.shared_experts.up_proj.weight", (16, 8), "expert"),
        ("model.layers.0.mlp.experts.gate_up_proj", (4, 8, 32), "expert"),
        ("model.layers.0.mlp.experts.gate_up_proj_bias", (4, 32), "expert"),
        ("model.layers.0.block_sparse_moe.input_linear.weight", (4, 32, 8), "expert"),  # Granite
        ("model.layers.0.mlp.gate_proj.weight", (16, 8), "mlp"),
        ("model.layers.0.mixer.in_proj.weight", (16, 8), "other"),  # Mamba
        ("model.vision_tower.encoder.layers.0.norm.weight", (8,), "vision"),
        ("visual.merger.ln_q.weight", (8,), "projector"),
        ("model.multi_modal_projector.linear_1.bias", (8,), "projector"),
        ("mlp1.0.weight", (8,), "projector"),  # InternVL
        ("model.vision_embed_tokens.img_projection.0.weight", (8, 8), "projector"),  # Phi-3-vision
        ("model.audio_tower.layers.0.fc1.weight", (8, 8), "other"),
        ("transformer.h.0.attn.bias", (1, 1, 16, 16), "other"),  # a causal mask
        ("model.rotary_emb.inv_freq", (4,), "other"),
        ("score.weight", (2, 8), "other"),  # a classifier
        ("head.weight", (1, 8), "other"),  # a value head
    ],
)
def test_single_tensors(name: str, shape: tuple[int, ...], expected: str) -> None:
    assert role(name, shape, num_local_experts=4, vocab_size=48, hidden_size=8) == expected


def test_integer_buffers_have_no_part_in_it() -> None:
    assert role("model.layers.0.self_attn.q_proj.weight", (8, 8), code="I64") == "other"


def test_a_router_is_known_by_its_neighbours_without_a_configuration() -> None:
    moe = tensors({"model.layers.0.ff.gate.weight": (4, 8), "model.layers.0.ff.experts.0.w1.weight": (8, 8)})
    assert assign_roles(moe, {}) == {
        "model.layers.0.ff.gate.weight": "router",
        "model.layers.0.ff.experts.0.w1.weight": "expert",
    }


def test_a_bias_belongs_to_its_norm() -> None:
    block = tensors({"h.0.x.weight": (8,), "h.0.x.bias": (8,), "h.0.attn.y.weight": (8, 8), "h.0.attn.y.bias": (8,)})
    assert list(assign_roles(block, {}).values()) == ["norm", "norm", "attention", "bias"]


def test_vocabulary_by_shape_where_names_are_new() -> None:
    found = find_vocabulary(
        tensors(
            {"front.table.weight": (48, 8), "layers.0.w": (48, 8), "other.weight": (16, 8), "back.weight": (48, 8)}
        ),
        {"vocab_size": 48, "hidden_size": 8},
    )
    assert (found.embedding, found.head, found.head_bias, found.others) == (
        "front.table.weight",
        "back.weight",
        None,
        (),
    )


def test_a_padded_embedding_is_found_by_its_name() -> None:
    found = find_vocabulary(llama(vocabulary=64), {"vocab_size": 50, "hidden_size": 8})
    assert found.names == ("model.embed_tokens.weight", "lm_head.weight")


def test_positions_are_no_tokens_however_many() -> None:
    header = tensors({"wpe.weight": (48, 8), "wte.weight": (48, 8), "h.0.attn.c_attn.weight": (8, 24)})
    assert find_vocabulary(header, {"vocab_size": 48, "n_embd": 8}).names == ("wte.weight",)
    assert assign_roles(header, {"vocab_size": 48})["wpe.weight"] == "other"


def test_the_embedding_of_a_prediction_layer_has_the_axis_too() -> None:
    header = llama() | tensors(
        {"model.layers.2.embed_tokens.weight": (48, 8), "model.layers.2.shared_head.head.weight": (48, 8)}
    )
    found = find_vocabulary(header, {"vocab_size": 48})
    assert found.others == ("model.layers.2.embed_tokens.weight", "model.layers.2.shared_head.head.weight")
    roles = assign_roles(header, {"vocab_size": 48})
    assert [roles[name] for name in found.names] == ["embedding", "head", "embedding", "head"]


def test_nested_text_configuration() -> None:
    header = tensors({"a.weight": (48, 8), "b.weight": (9, 8)})
    assert (
        find_vocabulary(header, {"vocab_size": 9, "text_config": {"vocab_size": 48, "hidden_size": 8}}).embedding
        == "a.weight"
    )


def test_nothing_found() -> None:
    assert find_vocabulary({}, {}).names == ()


@pytest.mark.parametrize(
    ("name", "shape", "derived"),
    [
        ("model.layers.0.self_attn.rotary_emb.inv_freq", (4,), True),
        ("model.rotary_emb.inv_freq", (4,), True),
        ("rotary_emb.inv_freq", (4,), True),
        ("transformer.h.0.attn.masked_bias", (), True),
        ("h.0.attn.bias", (1, 1, 8, 8), True),
        ("gpt_neox.layers.0.attention.bias", (1, 1, 8, 8), True),
        ("gpt_neox.layers.0.attention.dense.bias", (8,), False),
        ("model.layers.0.attn.bias", (8,), False),
        ("model.embeddings.position_ids", (1, 8), True),
        ("model.inv_freq.weight", (4,), False),
    ],
)
def test_derived_buffers(name: str, shape: tuple[int, ...], derived: bool) -> None:
    assert is_derived(name, tensors({name: shape})[name]) is derived


_part = st.sampled_from(
    ["model", "layers", "0", "mlp", "experts", "gate", "norm", "weight", "bias", "lm_head", "visual", "x"]
)


@given(
    st.dictionaries(
        st.lists(_part, min_size=1, max_size=6).map(".".join), st.lists(st.integers(0, 9), max_size=4).map(tuple)
    )
)
def test_every_tensor_has_one_role(shapes: dict[str, tuple[int, ...]]) -> None:
    header = tensors(shapes)
    config = {"vocab_size": 4, "num_experts": 4}
    roles = assign_roles(header, config)
    assert list(roles) == list(header)
    assert set(roles.values()) <= set(ROLES)
    assert {n for n, r in roles.items() if r in ("embedding", "head")} == set(find_vocabulary(header, config).names)
