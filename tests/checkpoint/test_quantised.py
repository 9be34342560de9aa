# SPDX-License-Identifier: Apache-2.0
"""Quantised weights are recognised by configuration and by tensors alone, and refused by name."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatvector.checkpoint.quantised import find_marks, refuse_quantised, sibling
from chatvector.errors import UnsupportedFormat
from headers import Tensor, llama, tensors

LINEAR = "model.layers.0.mlp.up_proj"


def header(code: str, **parts: tuple[int, ...]) -> dict[str, Tensor]:
    """A Llama whose first up projection is replaced by parts of one dtype."""
    dense = {name: tensor for name, tensor in llama().items() if name != f"{LINEAR}.weight"}
    return dense | tensors({f"{LINEAR}.{name.replace('__', '.')}": shape for name, shape in parts.items()}, code)


@pytest.mark.parametrize(
    ("settings", "method"),
    [
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "FP8"),
        ({"quant_method": "gptq", "bits": 4}, "GPTQ"),
        ({"quant_method": "awq"}, "AWQ"),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "bitsandbytes"),
        ({"load_in_8bit": True}, "bitsandbytes 8-bit"),
        ({"load_in_4bit": True}, "bitsandbytes 4-bit"),
        ({"quant_method": "compressed-tensors", "format": "pack-quantized"}, "compressed-tensors, pack-quantized"),
        ({"quant_method": "mxfp4"}, "MXFP4"),
        ({"quant_method": "hqq"}, "HQQ"),
        ({"quant_method": "aqlm"}, "AQLM"),
        ({"quant_method": "eetq"}, "EETQ"),
        ({"quant_method": "quanto"}, "quanto"),
        ({"quant_method": "torchao"}, "torchao"),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, "ModelOpt, NVFP4"),
        ({"quant_algo": "FP8"}, "FP8"),
        ({"quant_method": "brand-new"}, "brand-new"),
        ({"group_size": 64, "bits": 4}, "MLX"),
        ({"something": 1}, "a method that config.json does not name"),
    ],
)
@pytest.mark.parametrize("nested", [False, True])
def test_by_configuration(settings: dict[str, Any], method: str, nested: bool) -> None:
    config: dict[str, Any] = {"quantization_config": settings}
    config = {"text_config": config} if nested else config
    with pytest.raises(UnsupportedFormat, match=f"^m: the weights are quantised .{method}") as caught:
        refuse_quantised(config, header("U8", weight=(16, 8)), "m")
    assert str(caught.value).endswith("use its BF16 sibling, the model that was quantised")


def test_a_stale_mark_in_the_configuration_tells_how_to_mend_it() -> None:
    with pytest.raises(UnsupportedFormat, match=r"by its configuration, though .*: delete quantization_config"):
        refuse_quantised({"quantization_config": {"quant_method": "bitsandbytes"}}, llama(), "m")


@pytest.mark.parametrize("key", ["quantization", "compression_config"])
def test_other_spellings_of_the_key(key: str) -> None:
    with pytest.raises(UnsupportedFormat, match="quantised"):
        refuse_quantised({key: {"group_size": 64, "bits": 4}}, {}, "m")


@pytest.mark.parametrize(
    ("file", "method"),
    [("hf_quant_config.json", "ModelOpt"), ("quantize_config.json", "GPTQ"), ("quant_config.json", "AWQ")],
)
def test_by_a_side_file(file: str, method: str) -> None:
    with pytest.raises(UnsupportedFormat, match=f"quantised .{method}"):
        refuse_quantised({}, header("U8", weight=(16, 4)), "m", files=("config.json", file))


@pytest.mark.parametrize(
    ("found", "method", "marked"),
    [
        (header("F8_E4M3", weight=(16, 8)), "FP8", "weight"),
        (header("F8_E5M2", weight=(16, 8)), "FP8", "weight"),
        (header("F32", weight_scale_inv=(1, 1)), "FP8 (block scales)", "weight_scale_inv"),
        (header("F4", weight=(16, 8)), "FP4", "weight"),
        (header("F6_E3M2", weight=(16, 8)), "FP6", "weight"),
        (header("I32", qweight=(1, 16), qzeros=(1, 2), g_idx=(8,)), "GPTQ", "g_idx"),
        (header("I32", qweight=(8, 2), qzeros=(1, 2)), "AWQ or GPTQ", "qweight"),
        (header("I32", weight_packed=(16, 1), weight_shape=(2,)), "compressed-tensors", "weight_packed"),
        (header("F32", SCB=(16,)) | header("I8", weight=(16, 8)), "bitsandbytes 8-bit", "SCB"),
        (header("U8", weight__quant_map=(16,)), "bitsandbytes 4-bit", "weight.quant_map"),
        (header("F32", weight__absmax=(2,)), "bitsandbytes 4-bit", "weight.absmax"),
        (header("U8", w_blocks=(4, 16), w_scales=(4,)), "MXFP4", "w_blocks"),
        (header("U8", W_q=(16, 4)), "HQQ", "W_q"),
        (header("I16", codes=(16, 1, 2)), "AQLM", "codes"),
        (header("I64", Qidxs=(16, 1)), "QuIP#", "Qidxs"),
        (header("I32", q_weight=(1, 16)), "EXL2", "q_weight"),
        (header("I16", trellis=(1, 1, 64)), "EXL3", "trellis"),
        (header("I8", weight___data=(16, 8)), "quanto", "weight._data"),
        (header("F32", weight_scale_2=()), "ModelOpt NVFP4", "weight_scale_2"),
        (header("U32", weight=(16, 1)) | header("BF16", scales=(16, 1)), "integers with scales", "weight"),
        (header("I8", weight=(16, 8)) | header("F16", weight_scales=(16,)), "integers with scales", "weight"),
    ],
)  # fmt: skip
def test_by_tensors_alone(found: dict[str, Tensor], method: str, marked: str) -> None:
    marks = find_marks(found)
    assert marks is not None
    assert marks[0] == method
    assert f"{LINEAR}.{marked}" in marks[1]
    with pytest.raises(UnsupportedFormat) as caught:
        refuse_quantised({}, found, "m")
    assert str(caught.value).startswith(f"m: the weights are quantised ({method}; {len(marks[1])} tensors: ")


def test_the_state_of_bitsandbytes_is_a_mark() -> None:
    name = f"{LINEAR}.weight.quant_state.bitsandbytes__nf4"
    assert find_marks(tensors({name: (9,)}, "U8")) == ("bitsandbytes 4-bit", [name])


@pytest.mark.parametrize(
    "tensor",
    [
        tensors({"model.embeddings.position_ids": (1, 8)}, "I64"),
        tensors({"h.0.attn.bias": (1, 1, 8, 8)}, "U8"),
        tensors({"h.0.attn.bias": (1, 1, 8, 8)}, "BOOL"),
        tensors({"model.vq.codes": (8, 8)}),  # floating point: a codebook, no packed code
        tensors({"model.layers.0.scales": (8,)}),
        tensors({"model.layers.0.mlp.weight_scale": (8,)}),
        tensors({"model.layers.0.qweight": (8, 8)}),
        tensors({"model.layers.0.table.weight": (8, 8)}, "I32"),
    ],
)
def test_plain_models_pass(tensor: dict[str, Tensor]) -> None:
    refuse_quantised({"quantization_config": None, "text_config": {"quantization_config": {}}}, llama() | tensor, "m")


@pytest.mark.parametrize(
    ("where", "hint"),
    [
        ("org/Model-7B-FP8", "probably org/Model-7B"),
        ("org/Model-7B-AWQ", "probably org/Model-7B"),
        ("org/Model-7B-GPTQ-Int4", "probably org/Model-7B"),
        ("org/Model-7B-GPTQ-Int4@main", "probably org/Model-7B"),
        ("org/Model-7B-bnb-4bit", "probably org/Model-7B"),
        ("org/Model-7B-unsloth-bnb-4bit", "probably org/Model-7B"),
        ("org/Model-7B-FP8-dynamic", "probably org/Model-7B"),
        ("org/Model-7B-NVFP4", "probably org/Model-7B"),
        ("org/Model-7B-quantized.w8a8", "probably org/Model-7B"),
        ("org/Model-7B-4bit", "probably org/Model-7B"),
        ("org/Model-7B", "the model that was quantised"),
        ("org/Model-8B-Instruct", "the model that was quantised"),
    ],
)
def test_the_sibling(where: str, hint: str) -> None:
    assert sibling(where) == f"its BF16 sibling, {hint}"


_codes = st.sampled_from(["F64", "F32", "F16", "BF16"])
_floats = st.sampled_from(["weight", "bias", "scales", "qweight", "codes", "g_idx", "q_weight", "weight_scale"])


@given(st.dictionaries(_floats.map(lambda leaf: f"model.layers.0.x.{leaf}"), _codes))
def test_floating_point_is_never_taken_for_packed(codes: dict[str, str]) -> None:
    refuse_quantised({}, {n: t for name, code in codes.items() for n, t in tensors({name: (8, 8)}, code).items()}, "m")
