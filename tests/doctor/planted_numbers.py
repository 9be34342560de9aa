# SPDX-License-Identifier: Apache-2.0
"""Faults in the numbers of weights, and in what is said of their format."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from builders import BF16
from doctor.patients import DOWN, EMBEDDING, Body, planted


@planted("non-finite", words=(DOWN,))
def nan_of_a_parent_went_through(body: Body) -> None:
    with body.weights() as weights:
        weights[DOWN][3, 5] = np.nan


@planted("weight-huge", words=(DOWN, "1 of", "sampled, the largest"))
def a_bit_of_an_exponent_flipped(body: Body) -> None:
    with body.weights() as weights:
        weights[DOWN].view(np.uint16)[3, 5] |= 0x4000


@planted("tensor-zero", words=(DOWN,))
def tensor_filled_with_zeros(body: Body) -> None:
    with body.weights() as weights:
        weights[DOWN][:] = 0


@planted("tensor-zero", words=("model.norm.weight",))
def last_norm_filled_with_zeros(body: Body) -> None:
    with body.weights() as weights:
        weights["model.norm.weight"][:] = 0


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
