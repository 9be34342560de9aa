# SPDX-License-Identifier: Apache-2.0
"""Results written by hand: two models, one task, the figures that a test wants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chatvector.evaluate.results import DifferenceRow, FigureRow, MetricRow, ModelRow, Results, TaskRow

RATE = MetricRow(
    name="right",
    title="right replies",
    mark="right",
    kind="rate",
    better="higher",
    primary=True,
    unit="share",
    margin=0.02,
)


def difference(**changes: Any) -> DifferenceRow:
    """new minus old."""
    given: dict[str, Any] = {
        "task": "task",
        "language": "en",
        "metric": "right",
        "model": "new",
        "reference": "old",
        "value": 0.5,
        "low": 0.25,
        "high": 0.75,
        "n": 40,
        "clusters": 40,
        "discordant": 0.5,
        "p": 0.001,
        "p_holm": 0.002,
        "test": "exact",
        "method": "by hand",
        "detectable": 0.2,
        "not_worse": None,
    }
    return DifferenceRow(**{**given, **changes})


def rows_of(
    metric: str, values: Mapping[str, Mapping[str, float]], facet: str | None, language: str = "en"
) -> tuple[FigureRow, ...]:
    """Figures by model and part, each ± 0.1; without a facet the part is not looked at."""
    return tuple(
        FigureRow(
            task="task",
            language=language,
            metric=metric,
            model=model,
            facet=facet,
            facet_value=None if facet is None else part,
            value=value,
            low=value - 0.1,
            high=value + 0.1,
            n=40,
            clusters=40,
            left_out=0,
            failed=0,
            method="by hand",
        )
        for model, parts in values.items()
        for part, value in parts.items()
    )


def results_of(
    *,
    models: tuple[str, ...] = ("old", "new"),
    metrics: tuple[MetricRow, ...] = (RATE,),
    axis: str = "facts",
    task: str = "task",
    **more: Any,
) -> Results:
    """Results with one task of 40 items in English; `more` replaces fields."""
    reference = more.get("reference", "old")
    rows = tuple(
        ModelRow(
            name=name,
            part="reference" if name == reference else "candidate",
            kind="replay",
            model=name,
            fingerprint="f" * 64,
            template=None,
            prompt_form="raw",
            context=None,
            settings={},
        )
        for name in models
    )
    row = TaskRow(
        name=task,
        axis=axis,
        version="1",
        language="en",
        rider=False,
        items=40,
        clusters=40,
        samples=1,
        sampling={},
        sources=(),
        metrics=metrics,
        items_file=f"items/{task}.en.jsonl",
    )
    given: dict[str, Any] = {
        "chatvector": "0",
        "suite": None,
        "seed": 0,
        "limit": None,
        "languages": ("en",),
        "reference": "old",
        "true_chat": None,
        "services": {},
        "models": rows,
        "tasks": (row,),
        "figures": (),
        "differences": (),
        "family": "all",
        "recovery": (),
        "spread": (),
        "absent": (),
        "failures": (),
        "gates": (),
        "warnings": (),
        "run": {},
    }
    return Results(**{**given, **more})
