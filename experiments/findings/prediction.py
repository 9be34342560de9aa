# SPDX-License-Identifier: Apache-2.0
"""Can the best scale and the gain be told from weights and 100 lines of text, before anything is asked?

    python -m experiments.findings.prediction --design DIR … --fresh DIR … [--items 40] [--out prediction.json]

A DIR holds a family as `make lab` names its members (base, chat, target, target-zh, target-extended). Each target is a
case. What may be known beforehand: the length of τ and of target − base beside the base's, and the bits per byte of 100
lines of the target's language along the scale, over one live merge. What is to be told: the scale of the highest merit
and the merit gained over scale 0, measured on the world's development items (they only choose, in all of this project).

Every rule has one constant, the median over the cases of --design, and is then judged on those of --fresh:

- scale: the same for all; c / ‖τ‖; where the text costs r more bits than at 0;
- gain: the same for all; in proportion to the bits that the text costs more at scale 0.5.

`regret` is the merit lost by the scale foretold, between measured scales by straight lines.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from statistics import mean, median

import numpy as np
from experiments.findings.drift import Weights, weights
from experiments.findings.stages import length

from chatvector.arithmetic.scales import ScaleRules
from chatvector.cli.describe import table
from chatvector.lab.comparison import ask
from chatvector.lab.demo import one_thread
from chatvector.lab.world.documents import Mixture, documents
from chatvector.lab.world.items import TASKS, held_out_items
from chatvector.lab.world.text import Language
from chatvector.live_merge import open_live
from chatvector.recipe import Recipe
from chatvector.runtime.live import LiveBackend
from chatvector.runtime.loading import quiet_transformers
from chatvector.runtime.loss import bits, document_passages, nbytes

TARGETS: dict[str, Language] = {"target": "ko", "target-zh": "zh-Hant", "target-extended": "ko"}
SCALES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25)
LINES, LINES_SEED, ITEMS_SEED = 100, 900_002, 7


@dataclass(frozen=True)
class Case:
    """One target of a family.

    Attributes:
        vector: ‖τ‖ / ‖base‖ over all tensors but the embedding, where τ is short and a target's step long.
        way: ‖target − base‖ / ‖base‖ over the same.
        text: bits per byte of the lines at each of SCALES.
        merit: at each of SCALES: the mean share of right answers over tasks, of replies that are not rude, that stop.
    """

    name: str
    vector: float
    way: float
    text: tuple[float, ...]
    merit: tuple[float, ...]

    @property
    def best(self) -> float:
        """The scale of the highest merit; of equal ones the lowest."""
        return SCALES[int(np.argmax(self.merit))]

    @property
    def gain(self) -> float:
        """Merit at the best scale, over scale 0."""
        return max(self.merit) - self.merit[0]

    def cost(self, scale: float) -> float:
        """Bits that the text costs more than at scale 0, as a share."""
        return float(np.interp(scale, SCALES, self.text)) / self.text[0] - 1

    def scale_at(self, cost: float) -> float:
        """Where the text costs so much more, within SCALES."""
        fine = np.linspace(SCALES[0], SCALES[-1], 501)
        return float(fine[int(np.argmin([abs(self.cost(scale) - cost) for scale in fine]))])

    def regret(self, scale: float) -> float:
        """Merit lost against the best scale."""
        return max(self.merit) - float(np.interp(scale, SCALES, self.merit))


def _ratio(after: Weights, before: Weights) -> float:
    same = [name for name in before if "embed" not in name]
    return length({name: after[name] - before[name] for name in same}) / length({name: before[name] for name in same})


def measured(family: Path, target: str, items: int) -> Case:
    """All of one case."""
    language, place = TARGETS[target], {name: str(family / name) for name in ("base", "chat", target)}
    base = weights(place["base"])
    lines = list(islice(documents(LINES_SEED, Mixture.only(language)), LINES))
    passages = document_passages(lines)
    total = float(nbytes(passages, LINES).sum())
    pair = {"base": place["base"], "chat": place["chat"]}
    text, merit = [], []
    with open_live(Recipe.from_mapping({"target": place[target], "vectors": [pair]}, target), device="cpu") as live:
        for scale in SCALES:
            live.set_scales([ScaleRules(scale)])
            text.append(float(bits(live, passages, LINES).sum()) / total)
            merit.append(_merit(live, language, items))
    return Case(
        f"{family.name} {target}",
        _ratio(weights(place["chat"]), base),
        _ratio(weights(place[target]), base),
        tuple(text),
        tuple(merit),
    )


def _merit(model: LiveBackend, language: Language, items: int) -> float:
    told = ask(model, held_out_items(items, ITEMS_SEED, language, TASKS, "dev"))
    return mean([*(each.rate for each in told.tasks.values()), 1 - told.rude.rate, told.stops.rate])


def rules(design: Sequence[Case]) -> tuple[dict[str, Callable[[Case], float]], dict[str, Callable[[Case], float]]]:
    """Of the scale and of the gain, their constants taken from the cases of the design."""
    usual, length = median(case.best for case in design), median(case.best * case.vector for case in design)
    costs, gains = median(case.cost(case.best) for case in design), median(case.gain for case in design)
    slope = median(case.gain / case.cost(0.5) for case in design)
    return (
        {
            f"always {usual:.2f}": lambda _: usual,
            f"{length:.3f} / ‖τ‖": lambda case: min(length / case.vector, SCALES[-1]),
            f"text + {100 * costs:.0f} %": lambda case: case.scale_at(costs),
        },
        {
            f"always {100 * gains:.0f} points": lambda _: gains,
            f"{slope:.1f} × cost of text at 0.5": lambda case: slope * case.cost(0.5),
        },
    )


def main() -> None:
    """Measure all cases, fit on some, judge on the others."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--design", type=Path, nargs="+", required=True)
    parser.add_argument("--fresh", type=Path, nargs="+", required=True)
    parser.add_argument("--items", type=int, default=40, help="prompts a task (default 40)")
    parser.add_argument("--out", type=Path, help="write cases and forecasts as JSON")
    options = parser.parse_args()
    cases: dict[str, list[Case]] = {}
    with quiet_transformers(), one_thread():
        for part in ("design", "fresh"):
            families = [(family, name) for family in getattr(options, part) for name in TARGETS]
            cases[part] = [measured(*one, options.items) for one in families if (one[0] / one[1]).exists()]
    scales, gains = rules(cases["design"])
    header = ["case", "‖τ‖", "way", "text at 0.5", "best scale", "gain"]
    told = []
    for case in (*cases["design"], *cases["fresh"]):
        shares = [f"{100 * one:.1f} %" for one in (case.vector, case.way, case.cost(0.5))]
        told.append([case.name, *shares, f"{case.best:g}", f"{100 * case.gain:.0f}"])
    print(table(header, told))
    rows = []
    for name, rule in scales.items():
        foretold = [(rule(case), case) for case in cases["fresh"]]
        errors = [abs(scale - case.best) for scale, case in foretold]
        lost = [100 * case.regret(scale) for scale, case in foretold]
        rows.append([f"scale: {name}", f"{mean(errors):.2f}", f"{mean(lost):.1f} ({max(lost):.1f})"])
    for name, rule in gains.items():
        rows.append([f"gain: {name}", f"{100 * mean(abs(rule(case) - case.gain) for case in cases['fresh']):.1f}", ""])
    print()
    print(table([f"rule, judged on {len(cases['fresh'])} fresh cases", "mean error", "regret, points (largest)"], rows))
    if options.out is not None:
        content = {part: [asdict(case) for case in found] for part, found in cases.items()} | {"rules": rows}
        options.out.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
