# SPDX-License-Identifier: Apache-2.0
"""The paper's own figures, to be shown beside measured ones. They are quoted, not measured, and unverified.

The paper is Chat Vector, arXiv 2310.04799. Its tables could not be read; the figures are those that reviews of the
first version quote (ICLR 2024 submission 6SNyuiph3F), most of them once. They are of other models, other items and
another judge, so figures of a report must not be subtracted from them.
"""

from __future__ import annotations

from chatvector.evaluate.report.blocks import Block, Table, Text
from chatvector.evaluate.report.wording import NONE

SOURCE = (
    "As quoted by reviews of the first version (arXiv 2310.04799v1; ICLR 2024 submission 6SNyuiph3F), unverified. Llama"
    " 2, translated Vicuna questions, GPT-4 as judge, without intervals: shown for the shape of the comparison; figures"
    " of this report cannot be subtracted from them."
)

TABLE_1 = (
    ("Traditional Chinese 13B, with system prompt", NONE, "7.03", "7.90", "8.01", "7.58"),
    ("Traditional Chinese 13B, probably without", "1.90", NONE, "6.32", NONE, NONE),
    ("Korean 7B (llama-2-ko)", "1.57", "5.88", "4.10", "6.97", NONE),
    ("Chinese-LLaMA 13B (FT: Chinese-Alpaca)", NONE, "5.75", NONE, "6.73", NONE),
)
OTHERS = (
    ("toxicity (table 2)", "Traditional Chinese 13B", "target 11.0 %, target + τ 2.4 %"),
    ("unsafe, crimes (table 3)", "Traditional Chinese 13B", "target 72.0 %, target + τ 9.5 %"),
    ("in the target language (table 4)", "Traditional Chinese 13B, Vicuna", "FT + τ 97.5 %, target + τ 79.2 %"),
    ("in English (table 4)", "Chinese-LLaMA, Vicuna and safety", "+ τ 91 and 46 %, + 0.5 τ 82 and 37 %"),
)


def blocks() -> tuple[Block, ...]:
    """The figures as blocks of the report."""
    columns = (
        "open questions, judge's score of 10 (table 1)",
        "target",
        "FT",
        "target + τ",
        "FT + τ",
        "chat → CP → FT",
    )
    return (
        Text(SOURCE),
        Table("The paper's table 1, as quoted", columns, TABLE_1),
        Table("Of its other tables, as quoted", ("figure", "models", "quoted"), OTHERS, labels=2),
    )


def as_json() -> dict[str, object]:
    """The figures as part of `ladder.json`."""
    return {"source": SOURCE, "table 1": [list(row) for row in TABLE_1], "others": [list(row) for row in OTHERS]}
