# SPDX-License-Identifier: Apache-2.0
"""What the precision of a stored vector costs: fp32 and bf16 vectors, and the usual script in bf16.

    python -m experiments.findings.precision [--scale 0.75] [--items 20] [--out precision.json]

The column `differ` is the share of the merged weights whose bits are not those of the merge from base and chat. The
usual script subtracts and adds in bf16 and moves no chat format; it is asked in the chat model's template, with its
stop ids, so that only the weights differ. Reference: base and chat themselves.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from experiments.findings.bench import TRIO, Variant, parser, run, write_merge
from numpy.typing import NDArray

from chatvector import extract
from chatvector.arithmetic.scales import ScaleRules
from chatvector.checkpoint.names import resolve
from chatvector.lab.usual import usual_merge


def bits(folder: Path) -> dict[str, NDArray[np.uint16]]:
    """The 16-bit words of all tensors of a merge."""
    import torch
    from safetensors import safe_open

    with safe_open(folder / "model.safetensors", "pt") as file:
        return {name: file.get_tensor(name).view(torch.uint16).numpy() for name in list(file.keys())}


def differ(ours: Path, theirs: Path) -> str:
    """Share of elements with other bits, in percent."""
    first, second = bits(ours), bits(theirs)
    count = sum(int((first[name] != second[name]).sum()) for name in first)
    return f"{100 * count / sum(array.size for array in first.values()):.3g} %"


def main() -> None:
    """Write the merges, count, ask."""
    options = parser(__doc__).parse_args()
    with tempfile.TemporaryDirectory(prefix="chatvector-findings-") as scratch:
        place = Path(scratch)
        exact = write_merge(place / "exact", options.scale, target=options.target)
        variants = [Variant("base and chat", ScaleRules(options.scale), facts={"differ": ""})]
        for dtype in ("fp32", "bf16"):
            vector = str(place / f"vector-{dtype}")
            extract(TRIO["base"], TRIO["chat"], vector, dtype=dtype)
            made = write_merge(place / dtype, options.scale, target=options.target, vector=vector)
            told = {"differ": differ(exact, made)}
            variants.append(Variant(f"vector in {dtype}", ScaleRules(options.scale), {"vector": vector}, facts=told))
        parents = [resolve(TRIO[key] if key != "target" else options.target).path for key in ("base", "chat", "target")]
        base, chat, target = (path for path in parents if path is not None)
        usual_merge(base, chat, target, place / "usual", options.scale)
        told = {"differ": differ(exact, place / "usual")}
        variants.append(Variant("the usual script, bf16", model=str(place / "usual"), facts=told))
        run("vector", variants, options)


if __name__ == "__main__":
    main()
