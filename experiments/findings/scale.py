# SPDX-License-Identifier: Apache-2.0
"""How the merge changes with the scale, below 0 and beyond 1. Reference: scale 0, the target with the chat format.

python -m experiments.findings.scale [--items 20] [--out scale.json]
"""

from __future__ import annotations

from experiments.findings.bench import Variant, main

from chatvector.arithmetic.scales import ScaleRules

SCALES = (0.0, -0.5, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)

if __name__ == "__main__":
    main(__doc__, "scale", lambda _: [Variant(f"{scale:g}", ScaleRules(scale)) for scale in SCALES])
