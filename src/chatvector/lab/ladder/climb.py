# SPDX-License-Identifier: Apache-2.0
"""Runs a ladder from its recipe to its report, in numbered steps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from chatvector import __version__
from chatvector.errors import MissingExtra
from chatvector.evaluate.gates import with_thin_figures
from chatvector.evaluate.merit import Merits as MeritFigures
from chatvector.evaluate.registry import Registry
from chatvector.evaluate.report import require_plot
from chatvector.evaluate.report.writing import read_items
from chatvector.evaluate.results import RESULTS
from chatvector.evaluate.run import Evaluation, require_evaluation
from chatvector.evaluate.saving import open_cache
from chatvector.evaluate.sweep_report import ITEMS
from chatvector.lab.controls import controls_of
from chatvector.lab.demo import one_thread
from chatvector.lab.ladder import quoted, report
from chatvector.lab.ladder.asking import Asking, asking_of, check_device, loading_of, refuse_own_judge, services_of
from chatvector.lab.ladder.estimate import refuse_small_disk
from chatvector.lab.ladder.files import LADDER, RECIPE, REPLIES, refuse_foreign, write_whole
from chatvector.lab.ladder.making import Meters, make, stages_of
from chatvector.lab.ladder.measuring import Bench, Chosen
from chatvector.lab.ladder.pairs import FAMILY, Merits, Pair, findings, pairs_of
from chatvector.lab.ladder.recipe import LadderRecipe
from chatvector.lab.ladder.rungs import RungKey
from chatvector.messages import Say, silent
from chatvector.runtime.loading import require_extra

FORMAT = "chatvector-ladder/1"


def climb(
    recipe: LadderRecipe,
    registry: Registry,
    *,
    restart: bool = False,
    notes: Mapping[str, str] | None = None,
    meters: Meters,
    say: Say = silent,
    warn: Say = silent,
) -> dict[str, Any]:
    """Builds and asks all rungs and writes the report into `recipe.output`. Returns the content of `ladder.json`.

    The same command continues after an interruption: finished trainings, sweeps and replies are kept in the output
    directory.

    Args:
        notes: title → reason, for rungs that are left out for a reason that the recipe does not show.

    Raises what `check` raises before anything is done, and what training, merging and asking raise.
    """
    # 1. What can be refused before anything is trained, loaded or asked.
    asking, out = check(recipe, registry)
    refuse_small_disk(recipe, out, say)
    write_whole(out / RECIPE, recipe.to_yaml())
    asking = asking.fetched(say)
    with ExitStack() as stack:
        if all(name.startswith("demo:") for name in _taken(recipe)):
            stack.enter_context(one_thread())
        # 2. Models.
        made = make(recipe, out, restart=restart, meters=meters, say=say)
        loading = loading_of(recipe, made.get("chat", ""), say)
        cache = stack.enter_context(open_cache(out / REPLIES, warn))
        services = services_of(recipe, stack, cache, say)
        bench = Bench(recipe, made, out, asking, loading, cache=cache, meters=meters, say=say)
        # 3. The scale of each rung with τ, on the development items.
        chosen: dict[RungKey, Chosen] = {}
        for rung in recipe.wanted:
            if rung.vector and rung.chosen:
                chosen[rung.key] = bench.choose(rung)
                say(f"{rung.title}: scale {chosen[rung.key].scale:g}, {chosen[rung.key].how}")
        for rung in recipe.wanted:
            if rung.vector and not rung.chosen:
                model = chosen.get("target+tau")
                how = "that of target + τ" if model else "the largest asked for"
                chosen[rung.key] = Chosen(model.scale if model else recipe.scales[-1], how)
        # 4. All rungs, and the controls, on the test items.
        controls = controls_of(asking.jobs)
        found = bench.compare(chosen, controls, services)
    # 5. Results, rung against rung, and the report.
    found = replace(found, results=with_thin_figures(found.results))  # the merit and the sentences rest on them
    for name, content in {**found.items, RESULTS: found.results.text()}.items():
        write_whole(out / name, content)
    pairs = pairs_of(recipe, found.results, out, asking, recipe.ask.seed)
    told = _document(recipe, found, chosen, pairs, Merits(found, asking, recipe), notes or {})
    write_whole(out / LADDER, json.dumps(told, ensure_ascii=False, indent=1, allow_nan=False) + "\n")
    records = read_items(found.results, out)
    for name, content in report.files(told, found.results, records).items():
        write_whole(out / name, content)
    return told


def check(recipe: LadderRecipe, registry: Registry) -> tuple[Asking, Path]:
    """What the rungs are asked, and the output directory. Raises RecipeError, UsageError, OutputRefused and
    MissingExtra, before anything is written."""
    out = Path(recipe.place()).expanduser()
    asking = asking_of(recipe, registry)
    refuse_foreign(out)
    require_evaluation("A ladder")
    require_extra("A ladder")
    require_plot()
    if any(recipe.stages(key) for key in recipe.needed):
        require_training()
    check_device(recipe)
    refuse_own_judge(recipe)
    return asking, out


def require_training() -> None:
    """Raises MissingExtra if `[train]` is not installed."""
    if not can_train():
        raise MissingExtra("train", "A ladder that trains")


def can_train() -> bool:
    """Whether `[train]` is installed."""
    from importlib.util import find_spec

    from chatvector.training.run import NEEDED

    return all(find_spec(name) is not None for name in NEEDED)


def _taken(recipe: LadderRecipe) -> list[str]:
    """Names of the models that the recipe takes or that its trainings start from."""
    return [str(source.model) for key in recipe.needed if (source := recipe.source(key)) and source.model is not None]


def _document(
    recipe: LadderRecipe,
    found: Evaluation,
    chosen: Mapping[RungKey, Chosen],
    pairs: tuple[Pair, ...],
    board: Merits,
    notes: Mapping[str, str],
) -> dict[str, Any]:
    """The content of `ladder.json`, which is the same for the same models and items."""
    results = found.results
    merit = board.against(board.names[0]) if board else None
    counted = board.counted()
    rungs: dict[str, dict[str, Any]] = {}
    for rung in recipe.wanted:
        scale = chosen.get(rung.key)
        rungs[rung.title] = {
            "key": rung.key,
            "title": rung.title,
            "made": _made(recipe, rung.start) + (" + scale · (chat − base)" if rung.vector else ""),
            "scale": None if scale is None else scale.scale,
            "how": None if scale is None else scale.how,
        }
    listed = []
    for number, model in enumerate(results.models):
        row = rungs.get(model.name, {"key": "control", "title": model.name, "scale": None, "how": None})
        row.setdefault("made", f"control: {model.prompt_form}")
        listed.append(row | {"merit": None if merit is None else _merit(merit, counted, number)})
    titles = {rung.key: rung.title for rung in recipe.wanted}
    told: dict[str, Any] = {
        "format": FORMAT,
        "chatvector": __version__,
        "recipe": recipe.model_dump(mode="json", exclude={"output"}, exclude_defaults=True),
        "languages": list(results.languages),
        "items": {"test": sum(row.items for row in results.tasks if not row.rider)},
        "weights": {} if merit is None else {part: recipe.weights.get(part, 1.0) for part in merit.parts},
        "rungs": listed,
        "left_out": {**recipe.left_out, **notes},
        "curves": {titles[key]: [] if one.sweep is None else one.sweep["scales"] for key, one in chosen.items()},
        "answers": {titles[key]: one.sweep["answer"] for key, one in chosen.items() if one.sweep is not None},
        "family": FAMILY,
        "pairs": [
            {
                "first": pair.first,
                "second": pair.second,
                "about": pair.about,
                "merit": board.difference(pair.first, pair.second).as_json() if board else None,
                "sentences": list(pair.sentences),
                "differences": [row.model_dump(mode="json") for row in pair.rows],
                "findings": findings(pair, results),
            }
            for pair in pairs
        ],
        "quoted": quoted.as_json(),
        "warnings": [*results.warnings, *_of_choosing({titles[key]: one for key, one in chosen.items()})],
    }
    return told | {"sentences": _sentences(told)}


def _made(recipe: LadderRecipe, key: Any) -> str:
    """How a model was made: its name, followed by the stages of its training if there are any."""
    stages = stages_of(recipe, key)
    if not stages:
        return str(recipe.start(key))
    return " → ".join([str(recipe.start(key)), *(stage.recipe.stage for stage in stages)]) + ", trained here"


def _merit(merit: MeritFigures, counted: Mapping[str, list[int]], number: int) -> dict[str, Any]:
    return {
        "merit": merit.merit[number].as_json(),
        "parts": {
            part: values[number].as_json() | {"n": counted[part][number]} for part, values in merit.parts.items()
        },
    }


def _of_choosing(chosen: Mapping[str, Chosen]) -> list[str]:
    """Warnings about the items that a scale was chosen on. Those about the test items are in the results."""
    return [
        f"scale of {title}: {line}"
        for title, one in chosen.items()
        for line in (() if one.sweep is None else one.sweep["warnings"])
        if line.startswith(ITEMS["development"])
    ]


def _sentences(told: Mapping[str, Any]) -> list[str]:
    """Sentences that the figures support. Each rests on figures with intervals; differences are corrected for all
    pairs."""
    lines = [f"Scale of {title}, on the development items: {answer}" for title, answer in told["answers"].items()]
    rungs = [rung for rung in told["rungs"] if rung["key"] != "control"]
    if told["weights"]:
        lines.append(f"Merit on the test items, %: {report.merit_words(rungs)}.")
    controls = [rung for rung in told["rungs"] if rung["key"] == "control"]
    if controls and told["weights"]:
        lines.append(
            f"Controls, without chat format: {report.merit_words(controls)}. What a control can do the target could"
            " before τ, if the prompt picks the voice."
        )
    for pair in told["pairs"]:
        lines += [report.merit_sentence(pair)] if pair["merit"] is not None else []
        lines += pair["sentences"]
    return lines
