# SPDX-License-Identifier: Apache-2.0
"""Asks the rungs: the scale is chosen on the development items, and all rungs are compared on the test items.

A rung with τ is a live merge: it has the weights that `apply` would write, without writing them. Every reply is kept in
the ladder's directory, and a rung that was asked before is not loaded again (`late`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from chatvector import __version__
from chatvector.checkpoint.checkpoint import Checkpoint
from chatvector.checkpoint.fingerprint import Sample, fingerprint
from chatvector.evaluate.cache import Cache
from chatvector.evaluate.opening import Loading
from chatvector.evaluate.opening import models as open_models
from chatvector.evaluate.request import Model, Request
from chatvector.evaluate.run import Evaluation, evaluate
from chatvector.evaluate.sweep import Wanted, sweep
from chatvector.evaluate.sweep_report import document
from chatvector.evaluate.task import Services
from chatvector.lab.controls import Control, PlainModel
from chatvector.lab.ladder.asking import Asking, merge_format
from chatvector.lab.ladder.files import RUNGS, write_whole
from chatvector.lab.ladder.late import late
from chatvector.lab.ladder.making import Meters
from chatvector.lab.ladder.recipe import LadderRecipe
from chatvector.lab.ladder.rungs import ModelKey, Rung, RungKey
from chatvector.live_merge import open_live
from chatvector.messages import Say
from chatvector.recipe import Recipe
from chatvector.runtime.backend import Backend

APPLY = ("vocabulary", "chat_format", "system_prompt", "force_lineage")
"""Keys of a merge's recipe that the ladder passes on."""


@dataclass(frozen=True)
class Chosen:
    """A scale, how it was chosen, and the document of the sweep by which it was chosen, if any (`docs/sweep.md`)."""

    scale: float
    how: str
    sweep: Mapping[str, Any] | None = None


class Bench:
    """The models of a ladder with everything that is needed to ask them."""

    def __init__(
        self,
        recipe: LadderRecipe,
        made: Mapping[ModelKey, str],
        out: Path,
        asking: Asking,
        loading: Loading,
        *,
        cache: Cache,
        meters: Meters,
        say: Say,
    ) -> None:
        self._recipe, self._made, self._out, self._asking = recipe, made, out, asking
        self._loading, self._cache, self._meters, self._say = loading, cache, meters, say
        self._digests = {key: _digest_of(name, say) for key, name in made.items()}

    def choose(self, rung: Rung) -> Chosen:
        """Chooses the scale of target + τ or FT + τ: of those asked for, the one with the best merit on the development
        items. Raises what `sweep` raises."""
        scales = self._recipe.scales
        if len(scales) == 1:
            return Chosen(scales[0], "the only one asked for")
        told = self._swept(rung)
        points = [point for point in told["scales"] if point["scale"] in scales]
        best = max(points, key=lambda point: (point["development"]["merit"]["value"], -point["scale"]))
        return Chosen(best["scale"], f"chosen on {told['items']['development']} development items", told)

    def compare(
        self, chosen: Mapping[RungKey, Chosen], controls: tuple[Control, ...], services: Services
    ) -> Evaluation:
        """Asks all rungs and controls the test items and compares them with the first rung, which is the target if it
        is a rung. Raises what `evaluate` raises."""
        recipe = self._recipe
        rungs = {rung.title: rung for rung in recipe.wanted}
        models = [self._model(rung, chosen.get(rung.key)) for rung in rungs.values()]
        if "target" in rungs:
            models += [self._control(rungs["target"], control) for control in controls]
        request = Request(
            models=tuple(models),
            jobs=self._asking.half("test"),
            left_out=self._asking.left_out,
            riders=self._asking.riders,
            seed=recipe.ask.seed,
            reference=next(iter(rungs)) if len(models) > 1 else None,
            true_chat="FT" if "FT" in rungs and next(iter(rungs)) != "FT" else None,
            services=services,
            overrides=self._asking.overrides,
            limit=recipe.ask.limit,
            suite=self._asking.suite,
        )
        with self._meters("test items, all rungs", "replies") as meter:
            return evaluate(request, cache=self._cache, progress=meter, say=self._say)

    def merge(self, rung: Rung, scale: float) -> Recipe:
        """The recipe that `apply` would be given for a rung with τ."""
        told = {key: getattr(self._recipe, key) for key in APPLY}
        told["chat_format"] = merge_format(
            self._recipe, self._made[rung.start], fine_tuned=rung.start == "ft", say=self._say
        )
        vector = {"base": self._made["base"], "chat": self._made["chat"], "scale": scale}
        return Recipe.from_mapping(told | {"target": self._made[rung.start], "vectors": [vector]}, rung.title)

    def _swept(self, rung: Rung) -> Mapping[str, Any]:
        """The document of the rung's sweep: from the file of an earlier run with the same settings, or from a new
        sweep."""
        recipe, asking = self._recipe, self._asking
        jobs = asking.cheap
        wanted = Wanted(
            scales=recipe.scales,
            jobs=jobs,
            riders=asking.riders,
            seed=recipe.ask.seed,
            weights=recipe.weights,
            overrides=asking.overrides,
            limit=recipe.ask.limit,
            suite=asking.suite,
        )
        asked = [[job.task.name, job.task.version, job.language, job.limit] for job in jobs]
        stamp = self._stamp(rung, 1.0, [recipe.scales, asked, wanted.seed, wanted.weights, wanted.overrides])
        path = self._out / RUNGS / f"{rung.key}.sweep.json"
        if (known := _sweep_in(path, stamp)) is not None:
            self._say(f"{rung.title}: sweep found in {path}")
            return known
        merge = self.merge(rung, 1.0)
        with self._live(merge, rung) as live:
            found = sweep(
                live,
                wanted,
                cache=self._cache,
                meters=lambda what: self._meters(f"{rung.title}, {what}", "replies"),
                say=lambda line: self._say(f"{rung.title}: {line}"),
            )
        told = document(found, (rung.title, ""))
        write_whole(path, json.dumps({"stamp": stamp, "sweep": told}, ensure_ascii=False, indent=1) + "\n")
        return told

    def _model(self, rung: Rung, chosen: Chosen | None) -> Model:
        """A rung as a model of the evaluation."""
        if chosen is None:
            return self._late(self._plain(rung), rung.key, self._stamp(rung, None))
        merge = self.merge(rung, chosen.scale)
        opened = Model(rung.title, lambda: self._live(merge, rung))
        return self._late(opened, rung.key, self._stamp(rung, chosen.scale))

    def _control(self, rung: Rung, control: Control) -> Model:
        """The rung's model, asked in a form of plain text. It needs no chat template."""
        plain = self._plain(rung)
        name = f"{rung.title}, {control.title}"

        @contextmanager
        def opened() -> Iterator[Backend]:
            with self._late(plain, rung.key, self._stamp(rung, None)).open() as model:
                yield PlainModel(model, control)

        return Model(name, opened)

    def _plain(self, rung: Rung) -> Model:
        (found,) = open_models([self._made[rung.start]], loading=self._loading, say=self._say)
        return replace(found, name=rung.title)

    def _late(self, model: Model, key: RungKey, stamp: str) -> Model:
        path = self._out / RUNGS / f"{key}.json"
        return Model(model.name, lambda: late(path, stamp, model.open), model.check)

    def _live(self, merge: Recipe, rung: Rung) -> Any:
        return open_live(merge, name=rung.title, dtype=self._recipe.dtype, device=self._recipe.device, say=self._say)

    def _stamp(self, rung: Rung, scale: float | None, more: Any = None) -> str:
        """SHA-256, in hex, of everything that determines a rung: its weights, how they are merged, loaded and asked."""
        keys: tuple[ModelKey, ...] = (rung.start,) if scale is None else (rung.start, "base", "chat")
        template = self._loading.template
        told = {
            "version": __version__,
            "models": [self._digests[key] for key in keys],
            "scale": scale,
            "merge": [getattr(self._recipe, key) for key in (*APPLY, "ft_chat_format")],
            "loading": [self._recipe.dtype, self._recipe.device],
            "template": None if template is None else asdict(template),
            "more": more,
        }
        return hashlib.sha256(json.dumps(told, sort_keys=True, default=dict).encode()).hexdigest()


def _digest_of(name: str, say: Say) -> str:
    with Checkpoint.open(name, say) as model:
        found = fingerprint(model, Sample(model)).as_dict()
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()


def _sweep_in(path: Path, stamp: str) -> Mapping[str, Any] | None:
    try:
        told = json.loads(path.read_text("utf-8"))
        return told["sweep"] if told["stamp"] == stamp else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # missing or damaged: measured again, with replies from the cache
