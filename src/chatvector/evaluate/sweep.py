# SPDX-License-Identifier: Apache-2.0
"""Asks the same items at many scales of one live merge, chooses a scale on one half of the items and measures it on the
other half.

For the evaluation's runner every setting is a model whose `open` sets the scale. Tasks, riders, cache and statistics
are therefore those of `chatvector eval`, and a sweep that was killed goes on from its cache.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Literal, Protocol

from chatvector.arithmetic.scales import LayerRange, ScaleRules, format_layers
from chatvector.errors import UsageError
from chatvector.evaluate.cache import Cache
from chatvector.evaluate.halves import Half, half_of
from chatvector.evaluate.merit import Merits, check_weights, columns, merits
from chatvector.evaluate.request import Job, Model, Request
from chatvector.evaluate.run import Evaluation, evaluate
from chatvector.evaluate.task import Rider
from chatvector.messages import Say, silent
from chatvector.runtime.backend import Backend
from chatvector.runtime.live import LiveBackend
from chatvector.runtime.prompt_form import no_template

MOST_SCALES = 101
LAYER_GROUPS = 4

By = Literal["role", "layers"]


@dataclass(frozen=True)
class Setting:
    """Scales to be tried together.

    Attributes:
        name: name of the setting in the results.
        rules: scales of the vector.
        flags: the flags of `apply` that mean the same.
        group, kind: for a variation by group: the group's name, and `without` or `alone`.
    """

    name: str
    rules: ScaleRules
    flags: str
    group: str | None = None
    kind: str | None = None

    @classmethod
    def at(cls, scale: float) -> Setting:
        """The setting with one scale for all tensors."""
        return cls(f"{scale:g}", ScaleRules(scale), f"--scale {scale:g}")


@dataclass(frozen=True)
class Wanted:
    """What to sweep.

    Attributes:
        scales: scales without repetition; 0, the target with the chat format, is added if it is missing.
        jobs: tasks that need no judge, guard or scorer; a `limit` counts the items of one half.
        by: what to vary one at a time at the chosen scale: roles or groups of layers; None: nothing.
        weights: weights of the parts of the figure of merit.
    """

    scales: tuple[float, ...]
    jobs: tuple[Job, ...]
    riders: tuple[Rider, ...]
    by: By | None = None
    seed: int = 0
    weights: Mapping[str, float] = field(default_factory=dict)
    overrides: Mapping[str, Any] = field(default_factory=dict)
    limit: int | None = None
    suite: str | None = None


@dataclass(frozen=True)
class Measured:
    """Some settings measured on some items."""

    settings: tuple[Setting, ...]
    evaluation: Evaluation
    merits: Merits


@dataclass(frozen=True)
class Sweep:
    """What a sweep found.

    Attributes:
        halves: all scales, measured on the development and on the test items. On the test items the scales are compared
            with the chosen one.
        chosen: index of the scale that was chosen on the development items.
        groups: the variations by group, measured on the test items. The first setting is the target and the second the
            chosen scale. None without `by`, and if the target was chosen.
        seconds: time in seconds that each change of scale took, for the record.
    """

    wanted: Wanted
    halves: Mapping[Half, Measured]
    chosen: int
    groups: Measured | None
    seconds: tuple[float, ...]

    @property
    def settings(self) -> tuple[Setting, ...]:
        """All scales, ascending."""
        return self.halves["development"].settings


class Meters(Protocol):
    """Makes a progress meter for each stage."""

    def __call__(self, what: str, /) -> Any:
        """A context manager that gives a `run.Progress` for the stage `what`."""
        ...


def parse_scales(text: str) -> tuple[float, ...]:
    """The scales, ascending, of `0:1.5:0.25` (first, last, step; the last is included if a step meets it) or
    `0,0.5,0.7`.

    Raises UsageError for anything else, and for more than MOST_SCALES scales.
    """
    try:
        if ":" in text:
            first, last, step = (float(part) for part in text.split(":"))
            if not all(map(math.isfinite, (first, last, step))) or step <= 0 or last < first:
                raise ValueError
            count = math.floor((last - first) / step + 1e-9) + 1
            scales = [round(first + number * step, 10) for number in range(min(count, MOST_SCALES + 1))]
        else:
            scales = [float(part) for part in text.split(",")]
            if not all(map(math.isfinite, scales)):
                raise ValueError
    except ValueError:
        raise UsageError(
            f"--scales {text!r}: write FIRST:LAST:STEP, such as 0:1.5:0.25, or a list such as 0,0.5,0.7"
        ) from None
    found = sorted({one + 0.0 for one in scales})
    if len(found) > MOST_SCALES:
        raise UsageError(f"--scales {text}: more than {MOST_SCALES} scales; take larger steps")
    return tuple(found)


def sweep(
    live: LiveBackend,
    wanted: Wanted,
    *,
    cache: Cache | None,
    meters: Meters,
    say: Say = silent,
) -> Sweep:
    """Measure all scales on both halves, choose on the development half, and vary groups at the scale chosen.

    Raises UsageError for tasks that need a service, if 0 is the only scale, and for weights of unknown parts;
    MissingInput if the live merge has no chat template; and what tasks and the model raise.
    """
    # 1. Settings.
    scales = sorted({0.0, *wanted.scales})
    if len(scales) < 2:
        raise UsageError("--scales: give at least one scale beside 0, which is the target with the chat format")
    settings = tuple(Setting.at(scale) for scale in scales)
    target = scales.index(0.0)
    if wanted.weights:
        check_weights([job.task for job in wanted.jobs], wanted.riders, wanted.weights)
    bench = _Bench(live, wanted, cache, meters, say)
    # 2. All scales on the development items; the best is chosen.
    development = bench.measure("development", settings, target)
    chosen = development.merits.best
    say(f"chosen on the development items: {settings[chosen].name}")
    # 3. All scales on the test items, for the curve; only the one chosen is a result.
    test = bench.measure("test", settings, target, against=chosen)
    # 4. One group at a time.
    groups = None
    if wanted.by is not None and chosen != target:
        varied = variations(live, scales[chosen], wanted.by)
        groups = bench.measure("test", (settings[target], settings[chosen], *varied), 0, against=1, reference=1)
    return Sweep(wanted, {"development": development, "test": test}, chosen, groups, tuple(bench.seconds))


def variations(live: LiveBackend, scale: float, by: By) -> tuple[Setting, ...]:
    """Two settings for each role, or for each quarter of the layers: all but this group at `scale`, and only this
    group.

    Tensors that are left out keep the target's values.
    """
    if by == "role":
        told = [
            (role, ScaleRules(scale, roles={role: 0.0}), ScaleRules(0.0, roles={role: scale})) for role in live.roles
        ]
        flag, names = "--scale-role", list(live.roles)
    else:
        ranges = layer_groups(live.layers)
        told = [
            (f"layers {format_layers(one)}", ScaleRules(scale, layers={one: 0.0}), ScaleRules(0.0, layers={one: scale}))
            for one in ranges
        ]
        flag, names = "--scale-layers", [format_layers(one) for one in ranges]
    found = []
    for (group, without, alone), name in zip(told, names, strict=True):
        flags = f"--scale {scale:g} {flag} {name}=0", f"--scale 0 {flag} {name}={scale:g}"
        found.append(Setting(f"without {group}", without, flags[0], group, "without"))
        found.append(Setting(f"only {group}", alone, flags[1], group, "alone"))
    return tuple(found)


def layer_groups(count: int) -> list[LayerRange]:
    """Split `count` layers into at most LAYER_GROUPS ranges of about the same size."""
    groups = min(LAYER_GROUPS, count)
    edges = [count * number // groups for number in range(groups + 1)] if groups else [0]
    return [(first, last - 1) for first, last in pairwise(edges)]


class _Bench:
    """The live merge, with everything needed to measure settings."""

    def __init__(self, live: LiveBackend, wanted: Wanted, cache: Cache | None, meters: Meters, say: Say) -> None:
        self._live, self._wanted, self._cache, self._meters, self._say = live, wanted, cache, meters, say
        self.seconds: list[float] = []

    def measure(
        self,
        half: Half,
        settings: Sequence[Setting],
        target: int,
        *,
        against: int | None = None,
        reference: int | None = None,
    ) -> Measured:
        """Ask all settings the items of one half and compute their figures of merit.

        `target`, `against` and `reference` are indices of settings: the target; the setting that merits are compared
        with (None: the best); the reference of the evaluation (None: the target).
        """
        wanted = self._wanted
        jobs = tuple(replace(job, task=half_of(job.task, half)) for job in wanted.jobs)
        request = Request(
            models=tuple(Model(one.name, lambda rules=one.rules: self._at(rules), self._check) for one in settings),
            jobs=jobs,
            riders=wanted.riders,
            seed=wanted.seed,
            reference=settings[target if reference is None else reference].name,
            overrides=wanted.overrides,
            limit=wanted.limit,
            suite=wanted.suite,
        )
        with self._meters(f"{half} items") as meter:
            found = evaluate(request, cache=self._cache, progress=meter, say=self._say)
        records = {
            (job.task.name, job.language): [
                json.loads(line)
                for line in found.items[f"items/{job.task.name}.{job.language}.jsonl"].split("\n")
                if line
            ]
            for job in jobs
        }
        names = [one.name for one in settings]
        listed = [(job.task, job.language) for job in jobs]
        made, strata = columns(names, listed, wanted.riders, records)
        figures = merits(made, strata, wanted.weights, seed=wanted.seed, target=target, against=against)
        return Measured(tuple(settings), found, figures)

    def _check(self, conversations: bool) -> None:
        if conversations and self._live.form.template is None:
            raise no_template(self._live.name, ())

    @contextmanager
    def _at(self, rules: ScaleRules) -> Iterator[Backend]:
        with self._live.held_still():
            self.seconds.append(self._live.set_scales([rules]).seconds)
            yield self._live
