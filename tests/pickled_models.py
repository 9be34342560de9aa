# SPDX-License-Identifier: Apache-2.0
"""Model directories whose weights torch.save wrote."""

from __future__ import annotations

import json
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch

from builders import load_weights


def as_pickles(folder: Path, *, shards: int = 1, zip_layout: bool = True) -> None:
    """Turn the weights of a model directory into .bin files."""
    weights = {
        name: torch.from_numpy(values.view(np.uint16).astype(np.int32)).to(torch.int16).view(torch.bfloat16)
        for name, values in load_weights(folder).items()
    }
    for file in folder.glob("model*.safetensors*"):
        file.unlink()
    names = list(weights)
    index: dict[str, str] = {}
    for number in range(shards):
        file = "pytorch_model.bin" if shards == 1 else f"pytorch_model-{number + 1:05}-of-{shards:05}.bin"
        part = names[number * len(names) // shards : (number + 1) * len(names) // shards]
        state = OrderedDict((name, weights[name]) for name in part)
        torch.save(state, folder / file, _use_new_zipfile_serialization=zip_layout)
        index |= dict.fromkeys(part, file)
    if shards > 1:
        (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
