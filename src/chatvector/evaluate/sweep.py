# SPDX-License-Identifier: Apache-2.0
"""Along the scale: the same items at every scale of one live merge, chosen on one half, measured on the other.

Every setting is a model to the evaluation's runner, whose `open` moves the scale: tasks, riders, cache and statistics
are those of `chatvector eval`, and a sweep that was killed goes on from its cache.
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
    """Scales to be tried.

    Attributes:
        name: in the results.
        rules: of the vector.
        flags: of `apply`, which mean the same.
        group, kind: of a variation by group: its name, and `without` or `alone`.
    """

    name: str
    rules: ScaleRules
    flags: str
    group: str | None = None
    kind: str | None = None

    @classmethod
    def at(cls, scale: float) -> Setting:
        """One scale for everything."""
        return cls(f"{scale:g}", ScaleRules(scale), f"--scale {scale:g}")


@dataclass(frozen=True)
class Wanted:
    """What to sweep.

    Attributes:
        scales: without repetition; 0, the target with the chat format, is added where it is not among them.
        jobs: tasks that need no judge, guard or scorer; a `limit` counts the items of one half.
        by: also vary one role or one group of layers at a time, at the scale chosen.
        weights: of the parts of the figure of merit.
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
    """Some settings on some items."""

    settings: tuple[Setting, ...]
    evaluation: Evaluation
    merits: Merits


@dataclass(frozen=True)
class Sweep:
    """What a sweep found.

    Attributes:
        halves: development and test items at all scales; the test half is compared with the scale chosen.
        chosen: index of the scale chosen, on the development items.
        groups: the variations by group on the test items, the first setting being the target and the second the scale
            chosen; None without `by`.
        seconds: of every change of scale, for the record.
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
    """Makes a meter for a stage."""

    def __call__(self, what: str, /) -> Any:
        """A context manager that gives a `Progress`."""
        ...


def parse_scales(text: str) -> tuple[float, ...]:
    """`0:1.5:0.25` (first, last, step; the last included where the steps meet it) or `0,0.5,0.7`, ascending.

    Raises UsageError for what is neither, for no or too many scales.
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

    Raises UsageError for tasks that need a service, for a single scale, and for weights of parts that are not there;
    MissingInput where the live merge has no chat template; and what tasks and model raise.
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
    """Every role, or a quarter of the layers each: without it, and with nothing else.

    Without a group its tensors keep the target's values; alone, all other tensors do.
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
    """At most LAYER_GROUPS ranges of layers of about one size."""
    groups = min(LAYER_GROUPS, count)
    edges = [count * number // groups for number in range(groups + 1)] if groups else [0]
    return [(first, last - 1) for first, last in pairwise(edges)]


class _Bench:
    """The live merge with everything that measuring needs."""

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
        """Ask all settings the items of a half; their figures of merit, against the best or against one of them."""
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
