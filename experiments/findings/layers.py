# SPDX-License-Identifier: Apache-2.0
"""Which layers carry τ: without each, each alone, and the first or both ends at half scale. Reference: all of τ.

python -m experiments.findings.layers [--scale 0.75] [--items 20] [--out layers.json]
"""

from __future__ import annotations

from argparse import Namespace

from experiments.findings.bench import Variant, main

from chatvector.arithmetic.scales import ScaleRules
from chatvector.checkpoint.checkpoint import Checkpoint


def variants(options: Namespace) -> list[Variant]:
    """One variant a layer and kind."""
    with Checkpoint.open(options.target) as model:
        count = int(model.config["num_hidden_layers"])
    scale = options.scale
    ends = {(0, 0): scale / 2, (count - 1, count - 1): scale / 2}
    return [
        Variant("all of τ", ScaleRules(scale)),
        *(Variant(f"without layer {one}", ScaleRules(scale, layers={(one, one): 0.0})) for one in range(count)),
        *(Variant(f"layer {one} alone", ScaleRules(0.0, layers={(one, one): scale})) for one in range(count)),
        Variant("first layer at half", ScaleRules(scale, layers={(0, 0): scale / 2})),
        Variant("first and last layer at half", ScaleRules(scale, layers=ends)),
        Variant("none of τ", ScaleRules(0.0)),
    ]


if __name__ == "__main__":
    main(__doc__, "layers", variants)
