# SPDX-License-Identifier: Apache-2.0
"""How far base and target may drift apart before the vector no longer carries over, and whether lineage figures tell.

    python -m experiments.findings.drift [--scale 0.75] [--items 20] [--trained 2 4] [--out drift.json]

Two ways to drift without training: along the target's own path, base + k·(target − base), and in a random direction
of the same shape, target + noise whose norm in each tensor is k times that of target − base. And with --trained, base
pre-trained on Korean anew, k times as long as the target was (minutes each). For each the drifted target alone (scale
0, chat format) and with τ. `distance`: ‖target − base‖ / ‖base‖ over all weights. `cosine`: of τ with target − base, of
`chatvector check`. Reference: the target as it is, with τ.
"""

from __future__ import annotations

import tempfile
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.findings.bench import TRIO, Variant, parser, run
from experiments.findings.further import further

from chatvector.arithmetic.scales import ScaleRules
from chatvector.checkpoint.names import resolve
from chatvector.lab.examples import plain_examples
from chatvector.lab.loop import Example
from chatvector.lab.recipe import FamilyRecipe
from chatvector.lab.world.documents import Mixture

if TYPE_CHECKING:
    from tokenizers import Tokenizer

ALONG = (0.5, 2.0, 3.0, 4.0, 6.0)
NOISE = (0.5, 1.0, 2.0, 3.0)
SEED = 700_000
"""Added to the recipe's, for text that no stage of the family reads."""
Weights = dict[str, Any]


def weights(name: str) -> Weights:
    """fp32, by name."""
    from safetensors.torch import load_file

    path = resolve(name).path
    assert path is not None
    return {key: one.float() for key, one in load_file(path / "model.safetensors").items()}


def drifted(place: Path, target: str, change: Any) -> str:
    """A copy of the target whose weights are `change(name, base, target)`, rounded to bf16."""
    import shutil

    import torch
    from safetensors.torch import save_file

    path = resolve(target).path
    assert path is not None
    shutil.copytree(path, place)
    base, own = weights(TRIO["base"]), weights(target)
    made = {name: change(name, base.get(name), one).to(torch.bfloat16).contiguous() for name, one in own.items()}
    save_file(made, place / "model.safetensors", metadata={"format": "pt"})
    return str(place)


def trained(place: Path, times: int) -> str:
    """Base after so many times the target's pre-training, as the family's target is made."""
    recipe = FamilyRecipe()

    def read(tokenizer: Tokenizer) -> Iterator[Example]:
        return plain_examples(tokenizer, recipe.seed + SEED, Mixture.only("ko"), ("ko",), recipe.drill_share)

    return str(further(place, replace(recipe.target, steps=times * recipe.target.steps), read, chat=False))


def facts(target: str) -> dict[str, str]:
    """Distance of the target from base, and the cosine of that with τ; over tensors of equal shapes."""
    base, chat, own = weights(TRIO["base"]), weights(TRIO["chat"]), weights(target)
    names = [name for name in base if name in own and own[name].shape == base[name].shape]
    delta = {name: own[name] - base[name] for name in names}
    tau = {name: chat[name] - base[name] for name in names}

    def product(left: Weights, right: Weights) -> float:
        return float(sum((left[name].double() * right[name].double()).sum() for name in names))

    far = product(delta, delta) ** 0.5
    cosine = product(delta, tau) / max(far * product(tau, tau) ** 0.5, 1e-30)
    return {"distance": f"{100 * far / product(base, base) ** 0.5:.1f} %", "cosine": f"{cosine:+.3f}"}


def main() -> None:
    """Write the drifted targets, measure, ask."""
    flags = parser(__doc__)
    flags.add_argument("--trained", type=int, nargs="*", default=(), help="multiples of the target's own training")
    options = flags.parse_args()
    with tempfile.TemporaryDirectory(prefix="chatvector-findings-") as scratch:
        run("drift", variants(options, Path(scratch)), options)


def variants(options: Namespace, place: Path) -> list[Variant]:
    """With τ and without, for each drift."""
    import torch

    made = {"as it is": options.target}
    for k in ALONG:
        made[f"{k:g} times as far"] = drifted(
            place / f"along-{k:g}",
            options.target,
            lambda _name, base, own, k=k: own if base is None or base.shape != own.shape else base + k * (own - base),
        )
    for k in NOISE:
        draw = torch.Generator().manual_seed(options.seed)

        def noisy(_name: str, base: Any, own: Any, k: float = k, draw: Any = draw) -> Any:
            if base is None or base.shape != own.shape:
                return own
            noise = torch.randn(own.shape, generator=draw)
            return own + k * noise * (own - base).norm() / noise.norm()

        made[f"noise of {k:g} times its way"] = drifted(place / f"noise-{k:g}", options.target, noisy)
    for times in options.trained:
        made[f"trained {times} times as long"] = trained(place / f"trained-{times}", times)
    found = []
    for name, target in made.items():
        told = facts(target)
        found.append(Variant(f"{name}, with τ", ScaleRules(options.scale), {"target": target}, facts=told))
        found.append(Variant(f"{name}, alone", ScaleRules(0.0), {"target": target}, facts=told))
    return found


if __name__ == "__main__":
    main()
