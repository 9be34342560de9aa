# SPDX-License-Identifier: Apache-2.0
"""Which part of τ does what: instruction tuning alone, preference tuning alone, both.

    python -m experiments.findings.stages [--sft demo:sft] [--scale 0.75] [--items 20] [--out stages.json]

τ = chat − base is the sum of sft − base and chat − sft; each is added by itself. In sft the end-of-turn row is
trained, so `apply` takes it for an ordinary row of preference tuning and does not carry it over; the variant with the
row has the chat model's. `norm`: ‖vector‖ / ‖base‖. Reference: both.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from experiments.findings.bench import TRIO, Variant, parser, run, write_merge
from experiments.findings.drift import Weights, weights
from experiments.findings.rows import Rows, edited, embedding

from chatvector.arithmetic.scales import ScaleRules
from chatvector.checkpoint.names import resolve


def length(part: Weights) -> float:
    """Over all tensors."""
    return float(sum((one.double() ** 2).sum() for one in part.values()) ** 0.5)


def norm(after: str, before: str) -> dict[str, str]:
    """Of a difference, beside the base's."""
    first, second, base = weights(after), weights(before), weights(TRIO["base"])
    difference = {name: one - second[name] for name, one in first.items()}
    return {"norm": f"{100 * length(difference) / length(base):.2g} %"}


def main() -> None:
    """Merge each part, ask."""
    options = parser(__doc__)
    options.add_argument("--sft", default="demo:sft", help="the model between base and chat (default demo:sft)")
    told = options.parse_args()
    resolve(told.sft)  # one line if it is not there
    base, chat = TRIO["base"], TRIO["chat"]
    rules, preferences = ScaleRules(told.scale), {"base": told.sft, "chat": chat}
    with tempfile.TemporaryDirectory(prefix="chatvector-findings-") as scratch:
        place = Path(scratch)
        merge = write_merge(place / "preferences", told.scale, target=told.target, **preferences)
        ours, theirs, start = embedding(chat), embedding(told.target), embedding(base)
        # Rows that base and target hold alike, near zero, and the chat model does not: those of its format.
        short = (start.norm(dim=1) < start.norm(dim=1).median() / 10) & (ours.norm(dim=1) > start.norm(dim=1) * 10)

        def carry(rows: Rows) -> None:
            rows[: len(ours)][short] = ours[short]

        print(f"rows of the format: {int(short.sum())} of {len(theirs)}")
        variants = [
            Variant("both: chat − base", rules, facts=norm(chat, base)),
            Variant("instructions: sft − base", rules, {"chat": told.sft}, facts=norm(told.sft, base)),
            Variant("preferences: chat − sft", rules, preferences, facts=norm(chat, told.sft)),
            Variant(
                "preferences, with the end-of-turn row",
                model=edited(place / "carried", merge, carry),
                facts=norm(chat, told.sft),
            ),
            Variant("none of τ", ScaleRules(0.0), facts={"norm": ""}),
        ]
        run("part of τ", variants, told)


if __name__ == "__main__":
    main()
