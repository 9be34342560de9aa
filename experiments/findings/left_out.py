# SPDX-License-Identifier: Apache-2.0
"""The folk rule (leave out embedding, head and norms), taken apart; and what each role does alone.

    python -m experiments.findings.left_out [--scale 0.75] [--items 20] [--out left_out.json]

The rule goes back to a post on a target with an enlarged vocabulary and was never ablated in public. Where head and
embedding are tied, leaving out one is leaving out both. Template rows are transplanted in all variants: the rule is
about τ, not about the format. Reference: all of τ.
"""

from __future__ import annotations

from argparse import Namespace

from experiments.findings.bench import TRIO, Variant, main

from chatvector.arithmetic.roles import Role
from chatvector.arithmetic.scales import ScaleRules
from chatvector.live_merge import open_live
from chatvector.recipe import Recipe

FOLK: tuple[Role, ...] = ("embedding", "head", "norm")


def variants(options: Namespace) -> list[Variant]:
    """Without each role and the folk rule's three together; each role alone."""
    pair = {"base": TRIO["base"], "chat": TRIO["chat"]}
    with open_live(Recipe.from_mapping({"target": options.target, "vectors": [pair]}), device="cpu") as live:
        roles = live.roles
    scale = options.scale
    folk: tuple[Role, ...] = tuple(role for role in roles if role in FOLK)
    without: list[tuple[Role, ...]] = [*((role,) for role in roles), folk]
    return [
        Variant("all of τ", ScaleRules(scale)),
        *(
            Variant(f"without {', '.join(left)}", ScaleRules(scale, roles=dict.fromkeys(left, 0.0)))
            for left in dict.fromkeys(without)
        ),
        *(Variant(f"{role} alone", ScaleRules(0.0, roles={role: scale})) for role in roles),
        Variant("none of τ", ScaleRules(0.0)),
    ]


if __name__ == "__main__":
    main(__doc__, "left out of τ", variants)
