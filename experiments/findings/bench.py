# SPDX-License-Identifier: Apache-2.0
"""Asks variants of a merge the same items, and prints one table: merit, its parts, and the difference to a reference.

`forms` is beside the merit: of as many items of each skill that only tuning teaches and a sign asks for, the share of
replies in the form asked for.

A variant is a merge of the embedded family at some scales, live and on no disk, or a model in a directory. Merit is
that of a sweep (docs/sweep.md): the mean of parts, each the mean of shares turned so that more is better. Differences
to the reference are paired, with 95 % intervals that hold for all variants together. Nothing is chosen here, so all
items are used; what was chosen elsewhere must have been chosen on other items.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean
from typing import Any

from chatvector.arithmetic.scales import ScaleRules
from chatvector.checkpoint.checkpoint import Checkpoint
from chatvector.checkpoint.fingerprint import Sample, fingerprint
from chatvector.cli.describe import table
from chatvector.cli.tasks import known
from chatvector.evaluate.cache import Cache
from chatvector.evaluate.merit import Merits, columns, merits
from chatvector.evaluate.opening import Loading, template_from
from chatvector.evaluate.opening import models as open_models
from chatvector.evaluate.report.wording import shown
from chatvector.evaluate.request import Model, Request
from chatvector.evaluate.run import evaluate
from chatvector.evaluate.saving import open_cache
from chatvector.lab.demo import one_thread
from chatvector.lab.world.items import SIGN_TASKS
from chatvector.live_merge import open_live
from chatvector.pipeline import apply
from chatvector.recipe import Recipe
from chatvector.runtime.backend import Backend
from chatvector.runtime.live import LiveBackend

TRIO: dict[str, Any] = {"target": "demo:target", "base": "demo:base", "chat": "demo:chat"}


@dataclass(frozen=True)
class Variant:
    """One row of the table.

    Attributes:
        rules: of the only vector.
        merge: what differs from the plain merge of the trio: target, base, chat, vocabulary, chat_format; or a `vector`
            on disk instead of base and chat.
        model: a directory or name to ask instead of a merge.
        facts: further columns, measured by the script.
    """

    name: str
    rules: ScaleRules = field(default_factory=lambda: ScaleRules(1.0))
    merge: dict[str, Any] = field(default_factory=dict)
    model: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)


def parser(about: str | None) -> argparse.ArgumentParser:
    """The flags that all scripts have."""
    made = argparse.ArgumentParser(description=(about or "").partition("\n")[0])
    made.add_argument("--items", type=int, default=20, help="prompts a task (default 20)")
    made.add_argument("--seed", type=int, default=0, help="of items and resampling (default 0)")
    made.add_argument("--language", default="ko")
    made.add_argument("--target", default=TRIO["target"])
    made.add_argument("--scale", type=float, default=0.75, help="where a script does not vary it (default 0.75)")
    made.add_argument("--cache", type=Path, default=Path("build/findings.jsonl"), help="keeps replies from run to run")
    made.add_argument("--out", type=Path, help="write the table as JSON")
    return made


def run(title: str, variants: Sequence[Variant], options: argparse.Namespace, *, reference: int = 0) -> Merits:
    """Ask all variants, print the table, and write it where --out says."""
    began = time.monotonic()
    jobs = known().choose([options.language], suite="demo", limit=options.items)
    riders = known().make_riders()
    with one_thread(), open_cache(options.cache, print) as cache, ExitStack() as stack:
        live = _Live(options.target, stack)
        loading = Loading(template=template_from(TRIO["chat"], lambda _: None), device="cpu")
        request = Request(
            models=tuple(_model(one, live, loading) for one in variants),
            jobs=tuple(jobs),
            riders=riders,
            seed=options.seed,
            reference=variants[reference].name if len(variants) > 1 else None,
            limit=options.items,
            suite="demo",
        )
        found = evaluate(request, cache=cache)
        forms = _forms(request, options, cache)
    names = [one.name for one in variants]
    records = {
        (job.task.name, job.language): [
            json.loads(line) for line in found.items[f"items/{job.task.name}.{job.language}.jsonl"].splitlines() if line
        ]
        for job in jobs
    }
    made, strata = columns(names, [(job.task, job.language) for job in jobs], riders, records)
    figures = merits(made, strata, {}, seed=options.seed, target=reference, against=reference)
    rows = [_row(one, number, figures, reference, forms[one.name]) for number, one in enumerate(variants)]
    parts = list(figures.parts)
    header = [title, *(variants[0].facts), "merit", f"minus {names[reference]}", *parts, "forms"]
    items = sum(row.items for row in found.results.tasks if not row.rider)
    print(f"\n{items} items in {options.language}, seed {options.seed}; % (95 % intervals); {family()}\n")
    print(table(header, [_cells(row) for row in rows]))
    print(f"\n{time.monotonic() - began:.0f} s")
    if options.out is not None:
        told = {"title": title, "items": items, "family": family(), "parts": parts, "rows": rows}
        options.out.write_text(json.dumps(told, ensure_ascii=False, indent=1) + "\n", "utf-8")
    return figures


def _forms(request: Request, options: argparse.Namespace, cache: Cache) -> dict[str, float]:
    """By variant."""
    tasks = [f"demo-{skill}" for skill in SIGN_TASKS]
    jobs = known().choose([options.language], task=tasks, limit=options.items)
    found = evaluate(replace(request, jobs=tuple(jobs), riders=(), suite=None), cache=cache)
    kept = [row for row in found.results.figures if row.metric == "kept" and row.facet is None]
    return {
        one.name: mean(row.value for row in kept if row.model == one.name and row.value is not None)
        for one in request.models
    }


def family() -> str:
    """Which trio: the first digits of each model's fingerprint."""
    told = []
    for name in TRIO.values():
        with Checkpoint.open(name) as model:
            told.append(f"{name} {fingerprint(model, Sample(model)).samples[:8]}")
    return ", ".join(told)


def write_merge(out: Path, scale: float, **changes: Any) -> Path:
    """The merge of the trio at one scale, on disk; `changes` as those of a variant. What is there is kept."""
    if not out.exists():
        told = TRIO | changes
        pair = {key: told.pop(key) for key in ("base", "chat")} | {"scale": scale}
        if "vector" in told:
            pair = {"vector": told.pop("vector"), "scale": scale}
        apply(Recipe.from_mapping({**told, "vectors": [pair], "output": str(out)}, out.name))
    return out


def _row(one: Variant, number: int, figures: Merits, reference: int, forms: float) -> dict[str, Any]:
    merit, minus = figures.merit[number], figures.differences[number]
    return {
        "name": one.name,
        "facts": one.facts,
        "merit": shown(merit.value, merit.low, merit.high, "share"),
        "minus": "" if number == reference else shown(minus.value, minus.low, minus.high, "share", signed=True),
        "parts": [f"{100 * values[number].value:.0f}" for values in figures.parts.values()],
        "figures": {part: values[number].as_json() for part, values in figures.parts.items()},
        "merit_figure": merit.as_json(),
        "difference": minus.as_json(),
        "forms": forms,
    }


def _cells(row: dict[str, Any]) -> list[str]:
    facts = map(str, row["facts"].values())
    return [row["name"], *facts, row["merit"], row["minus"], *row["parts"], f"{100 * row['forms']:.0f}"]


class _Live:
    """The live merge that was asked last stays open: variants in a row often differ in their scales alone."""

    def __init__(self, target: str, stack: ExitStack) -> None:
        self._target, self._stack = target, stack
        self._open: tuple[Recipe, LiveBackend] | None = None

    def at(self, one: Variant) -> LiveBackend:
        """The merge of a variant, at its scales."""
        told = TRIO | {"target": self._target} | one.merge
        pair = {key: told.pop(key) for key in ("base", "chat")}
        if "vector" in told:
            pair = {"vector": told.pop("vector")}
        recipe = Recipe.from_mapping({**told, "vectors": [pair]}, one.name)
        if self._open is None or self._open[0] != recipe:
            self._stack.close()
            self._open = recipe, self._stack.enter_context(open_live(recipe, device="cpu"))
        live = self._open[1]
        live.set_scales([one.rules])
        return live


def _model(one: Variant, live: _Live, loading: Loading) -> Model:
    if one.model is not None:
        (found,) = open_models([one.model], loading=loading)
        return Model(one.name, found.open, found.check)

    @contextmanager
    def opened() -> Iterator[Backend]:
        yield live.at(one)

    return Model(one.name, opened)


def main(about: str | None, title: str, variants: Callable[[argparse.Namespace], Sequence[Variant]]) -> None:
    """A script whose variants need nothing but the options; the first is the reference."""
    options = parser(about).parse_args()
    run(title, variants(options), options)
