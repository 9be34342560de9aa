# SPDX-License-Identifier: Apache-2.0
"""Recognise quantised or packed weights by the configuration or the tensors alone, and refuse them by name.

The difference of two quantised tensors is meaningless: codes, scales and zero points belong together and cannot
be added. The marks below are the names and dtypes that each method's own saver writes; a floating-point tensor that
merely has such a name is no mark, and integer tensors without one are buffers and pass.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from chatvector.checkpoint.tensor_info import TensorInfo, is_floating
from chatvector.errors import UnsupportedFormat, first_five

# quant_method in config.json -> the usual name. Other methods are named as config.json writes them.
METHODS = {
    "fp8": "FP8",
    "fbgemm_fp8": "FP8 (FBGEMM)",
    "finegrained_fp8": "FP8 (block scales)",
    "gptq": "GPTQ",
    "awq": "AWQ",
    "bitsandbytes": "bitsandbytes",
    "bitsandbytes_4bit": "bitsandbytes 4-bit",
    "bitsandbytes_8bit": "bitsandbytes 8-bit",
    "compressed-tensors": "compressed-tensors",
    "mxfp4": "MXFP4",
    "hqq": "HQQ",
    "aqlm": "AQLM",
    "eetq": "EETQ",
    "quanto": "quanto",
    "torchao": "torchao",
    "modelopt": "ModelOpt",
    "nvfp4": "NVFP4 (ModelOpt)",
    "quip": "QuIP#",
    "vptq": "VPTQ",
    "higgs": "HIGGS",
    "spqr": "SpQR",
    "bitnet": "BitNet",
    "auto-round": "AutoRound",
    "exl2": "EXL2",
    "exl3": "EXL3",
    "marlin": "Marlin",
}

# Names of side files that only quantisers write -> the method.
MARK_FILES = {
    "hf_quant_config.json": "ModelOpt (FP8 or NVFP4)",
    "quantize_config.json": "GPTQ",
    "quant_config.json": "AWQ",
}


@dataclass(frozen=True)
class Mark:
    """Pattern of tensors that only one method writes."""

    method: str
    name: re.Pattern[str]
    """Pattern that matches the whole tensor name."""
    dtype: Callable[[TensorInfo], bool]
    """Whether a tensor has the dtype that the method writes."""


def _integer(tensor: TensorInfo) -> bool:
    return not is_floating(tensor)


def _low(tensor: TensorInfo) -> bool:
    return tensor.dtype.code.startswith(("F8_", "F6_", "F4"))


def _any(tensor: TensorInfo) -> bool:
    del tensor
    return True


def _mark(method: str, name: str, dtype: Callable[[TensorInfo], bool]) -> Mark:
    return Mark(method, re.compile(name), dtype)


# The first mark that fits gives the method, so specific marks come before general ones.
MARKS = (
    _mark("GPTQ", r".*\.g_idx", _integer),
    _mark("AWQ or GPTQ", r".*\.(qweight|qzeros)", _integer),
    _mark("compressed-tensors", r".*\.weight_packed", _any),
    _mark("bitsandbytes 4-bit", r".*\.(quant_map|nested_quant_map|quant_state\.bitsandbytes__\w+)", _any),
    _mark("bitsandbytes 4-bit", r".*\.(absmax|nested_absmax)", _any),
    _mark("bitsandbytes 8-bit", r".*\.SCB", _any),
    _mark("MXFP4", r".*_(blocks|scales)", lambda t: t.dtype.code in ("U8", "F8_E8M0")),
    _mark("HQQ", r".*\.W_q", _any),
    _mark("AQLM", r".*\.codes", _integer),
    _mark("QuIP#", r".*\.Qidxs(_\d+)?", _integer),
    _mark("EXL2", r".*\.(q_weight|q_perm|q_groups)", _integer),
    _mark("EXL3", r".*\.trellis", _integer),
    _mark("quanto", r".*\.weight\._(data|packed)(\._data)?", _any),
    _mark("torchao", r".*[._:]_?weight_qdata|.*\._weight_(qdata|scale)|.*:_weight_(qdata|scale)", _any),
    _mark("ModelOpt NVFP4", r".*\.weight_scale_2", _any),
    _mark("FP8 (block scales)", r".*\.weight_scale_inv", _any),
    _mark("FP4", r".*", lambda t: t.dtype.code == "F4"),
    _mark("FP6", r".*", lambda t: t.dtype.code.startswith("F6_")),
    _mark("FP8", r".*", _low),
)

# An integer `weight` beside one of these is quantised, but the names do not tell by which of several methods.
_SCALES = ("weight_scale", "weight_scales", "scales", "scale", "weight_zero_point")

# Endings that repositories append to the name of a model that they quantised.
_SUFFIX = re.compile(
    r"[-_.](unsloth[-_])?(bnb[-_]?\d?[-_]?(bit)?|fp8([-_](dynamic|block|kv|static))?|nvfp4|mxfp4|fp4|gptq|awq"
    r"|int[48]|w\d+a\d+\w*|\d[-_]?bits?|quantized|exl[23]|hqq|aqlm|gguf|mlx|marlin|eetq|g\d+|dynamic)$",
    re.IGNORECASE,
)


def refuse_quantised(
    config: Mapping[str, Any],
    tensors: Mapping[str, TensorInfo],
    where: str,
    *,
    files: Collection[str] = (),
) -> None:
    """Raise UnsupportedFormat, naming the method, if the model's weights are quantised or packed.

    `config`: parsed config.json ({} if there is none). `tensors`: all tensors of the headers. `where`: the model's
    name, for the message and for the hint of a BF16 sibling. `files`: names of the side files.
    """
    found = find_marks(tensors)
    declared = _declared(config) or next((MARK_FILES[name] for name in sorted(files) if name in MARK_FILES), None)
    if not found and declared is None:
        return
    if found:
        method, names = found
        evidence = f"{len(names)} tensors: {first_five(names)}"
    else:
        method, evidence = "", "by its configuration"
        if tensors and all(not _is_small(tensor) for tensor in tensors.values()):
            evidence = (
                "by its configuration, though every tensor is plain floating point: delete quantization_config from "
                "config.json if the weights were dequantised"
            )
    raise UnsupportedFormat(
        f"{where}: the weights are quantised ({declared or method}; {evidence}); differences of quantised weights "
        f"have no meaning: use {sibling(where)}"
    )


def find_marks(tensors: Mapping[str, TensorInfo]) -> tuple[str, list[str]] | None:
    """Method and sorted names of quantised tensors, found by names and dtypes alone; None if there are none."""
    for mark in MARKS:
        names = [name for name, tensor in tensors.items() if mark.dtype(tensor) and mark.name.fullmatch(name)]
        if names:
            return mark.method, sorted(names)
    packed = [
        name
        for name, tensor in tensors.items()
        if name.endswith(".weight")
        and not is_floating(tensor)
        and any(f"{name[: -len('weight')]}{scale}" in tensors for scale in _SCALES)
    ]
    return ("integers with scales", sorted(packed)) if packed else None


def sibling(where: str) -> str:
    """A hint at the unquantised model: the name without the ending that quantisers append."""
    name = where.partition("@")[0].rstrip("/")
    while (shorter := _SUFFIX.sub("", name)) != name:
        name = shorter
    if name != where.partition("@")[0].rstrip("/"):
        return f"its BF16 sibling, probably {name}"
    return "its BF16 sibling, the model that was quantised"


def _declared(config: Mapping[str, Any]) -> str | None:
    """The method that config.json names, at the top or in a nested configuration."""
    for part in _with_nested(config):
        for key in ("quantization_config", "compression_config", "quantization"):
            settings = part.get(key)
            if isinstance(settings, Mapping) and settings:
                return _method(settings)
    return None


def _with_nested(config: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    yield config
    for key, value in config.items():
        if key.endswith("_config") and isinstance(value, Mapping) and key != "quantization_config":
            yield value


def _method(settings: Mapping[str, Any]) -> str:
    method = settings.get("quant_method") or settings.get("quant_algo")
    if method is None:
        if settings.get("load_in_4bit") or settings.get("_load_in_4bit"):
            return "bitsandbytes 4-bit"
        if settings.get("load_in_8bit") or settings.get("_load_in_8bit"):
            return "bitsandbytes 8-bit"
        if "group_size" in settings and "bits" in settings:
            return "MLX, or GPTQ without its name"
        return "a method that config.json does not name"
    name = METHODS.get(str(method).lower(), str(method))
    detail = settings.get("quant_algo") or settings.get("format")
    return f"{name}, {detail}" if isinstance(detail, str) and detail != method else name


def _is_small(tensor: TensorInfo) -> bool:
    return tensor.dtype.code not in ("F64", "F32", "F16", "BF16")
