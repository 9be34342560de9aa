# SPDX-License-Identifier: Apache-2.0
"""`--plan`: hours, disk and judge calls of a ladder, before any of it is spent.

Sizes come from headers (hub models are read by byte range, nothing is downloaded), numbers of replies from the tasks
themselves, speeds from about a second of measuring on this machine. Times are upper bounds: every reply is taken to
have its largest length. What cannot be known is listed as unknown and left out of the sums, which are then lower
bounds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chatvector.checkpoint.checkpoint import Checkpoint
from chatvector.checkpoint.names import classify
from chatvector.checkpoint.staging import free_bytes
from chatvector.errors import HubError, NotEnoughSpace, brief
from chatvector.evaluate.registry import Registry
from chatvector.evaluate.request import Job
from chatvector.evaluate.task import Comparing
from chatvector.lab.controls import controls_of
from chatvector.lab.ladder import speed, world
from chatvector.lab.ladder.asking import Asking, asking_of
from chatvector.lab.ladder.files import MODELS as MADE
from chatvector.lab.ladder.making import Stage, stages_of
from chatvector.lab.ladder.recipe import LadderRecipe
from chatvector.lab.ladder.rungs import MODELS, ModelKey
from chatvector.lab.ladder.speed import Size, Speed
from chatvector.messages import Say, silent
from chatvector.sizes import disk_size
from chatvector.training.limits import ADAM_BYTES, CHECKPOINTS

NOWHERE = Speed(1.0, 1.0, "no machine")
"""A speed for plans of which only the disk is needed."""


@dataclass(frozen=True)
class Step:
    """One line of the plan.

    Attributes:
        what: what the step does.
        seconds: largest time that it takes; None if not known.
        disk: bytes on disk that remain after the step.
        passing: further bytes on disk that are freed when the step is done.
        replies: number of replies that models give.
        why: why the time is not known.
    """

    what: str
    seconds: float | None
    disk: int = 0
    passing: int = 0
    replies: int = 0
    why: str = ""


@dataclass(frozen=True)
class Estimate:
    """The plan of a ladder.

    Attributes:
        steps: its steps, in order.
        calls: service → number of calls.
        free: free bytes at the output.
        speed: measured speed of this machine.
        download: bytes of the models that the hub's cache still lacks.
        unknown: what is not known, as lines for people.
    """

    steps: tuple[Step, ...]
    calls: Mapping[str, int]
    free: int
    speed: Speed
    download: int = 0
    unknown: tuple[str, ...] = field(default=())

    @property
    def seconds(self) -> float:
        """Sum over the steps whose time is known."""
        return sum(step.seconds or 0.0 for step in self.steps)

    @property
    def disk(self) -> int:
        """Bytes needed at the worst moment."""
        stays = sum(step.disk for step in self.steps)
        return stays + max((step.passing for step in self.steps), default=0)

    def as_json(self) -> dict[str, Any]:
        """The documented schema of `--plan --json`."""
        return {
            "format": "chatvector-ladder-plan/1",
            "steps": [vars(step) for step in self.steps],
            "seconds_at_most": round(self.seconds, 1),
            "disk_bytes": self.disk,
            "free_bytes": self.free,
            "download_bytes": self.download,
            "calls": dict(self.calls),
            "unknown": list(self.unknown),
            "speed": vars(self.speed),
        }

    def text(self) -> str:
        """The plan as text for people."""
        width = max(len(step.what) for step in self.steps)
        lines = [f"{'step':{width}}  {'at most':>9}  {'disk':>9}  {'replies':>8}"]
        for step in self.steps:
            time = "unknown" if step.seconds is None else speed.duration(step.seconds)
            disk = disk_size(step.disk) if step.disk else ""
            lines.append(f"{step.what:{width}}  {time:>9}  {disk:>9}  {step.replies or '':>8}".rstrip())
        calls = ", ".join(f"{count} of the {name}" for name, count in self.calls.items() if count)
        least = " and what is unknown" if self.unknown else ""
        time = f"at most {speed.duration(self.seconds)}{least}" if self.seconds else "unknown"
        lines += [
            "",
            f"time: {time}; measured here: {self.speed}",
            f"disk: {disk_size(self.disk)} at the worst moment{least}, {disk_size(self.free)} free",
            *([f"downloads: {disk_size(self.download)} into the hub's cache{least}"] if self.download else []),
            f"calls: {calls or 'none of judge, guard or scorer'}",
            *(f"unknown: {line}" for line in self.unknown),
        ]
        return "\n".join(lines)


def estimate(recipe: LadderRecipe, registry: Registry, *, say: Say = silent, at: Speed | None = None) -> Estimate:
    """The plan of a recipe. Raises what a wrong recipe raises. If the hub does not answer, sizes are unknown; this is
    not an error.

    `at` is a speed to use instead of this machine's.
    """
    asking, public = asking_of(recipe, registry).without_public()
    fast = speed.measure(recipe.device) if at is None else at
    unknown = [f"items of {name}: a public set, which a plan does not fetch" for name in public]
    downloads: dict[str, int] = {}
    sizes = dict(_sizes(recipe, downloads, unknown, say))
    steps = [
        _training(stage, sizes.get(stage.key), fast, unknown)
        for key in recipe.needed
        for stage in stages_of(recipe, key)
    ]
    steps += _asking(recipe, asking, sizes, fast)
    out = Path(recipe.place()).expanduser()
    calls, download = _calls(recipe, asking), sum(downloads.values())
    return Estimate(tuple(steps), calls, free_bytes(out), fast, download, tuple(dict.fromkeys(unknown)))


def refuse_small_disk(recipe: LadderRecipe, out: Path, say: Say = silent) -> None:
    """Raises NotEnoughSpace if the trainings that are not done yet need more disk space than is free."""
    stages = [one for key in recipe.needed for one in stages_of(recipe, key) if not (out / MADE / one.name).exists()]
    if not stages:
        return
    sizes = dict(_sizes(recipe, {}, [], say))
    steps = [_training(one, sizes.get(one.key), NOWHERE, []) for one in stages]
    needed, free = sum(step.disk for step in steps) + max(step.passing for step in steps), free_bytes(out)
    if needed > free:
        raise NotEnoughSpace(
            f"{out}: the ladder's trainings need {disk_size(needed)}, {disk_size(free)} are free; free space,"
            " train with lora, or choose another disk"
        )


def _sizes(
    recipe: LadderRecipe, downloads: dict[str, int], unknown: list[str], say: Say
) -> Iterator[tuple[ModelKey, Size]]:
    """(Key, size) of every model that is needed and whose size is known. A trained model is as large as the one that it
    starts from."""
    found: dict[ModelKey, Size] = {}
    for key in recipe.needed:
        start = recipe.start(key)
        size = found.get(start) if start in MODELS else _size_of(str(start), downloads, unknown, say)  # type: ignore[arg-type]
        if size is not None:
            found[key] = size
            yield key, size


def _size_of(name: str, downloads: dict[str, int], unknown: list[str], say: Say) -> Size | None:
    classify(name)  # a name that no model can have is an error even if the hub does not answer
    try:
        with Checkpoint.open(name, say, stream=True) as model:
            parameters = sum(ref.elements for ref in model.tensors.values())
            layers = model.config.get("num_hidden_layers")
            if model.transfer is not None:
                downloads[name] = model.transfer.nbytes_missing
            return Size(parameters, model.nbytes, layers if isinstance(layers, int) else 32)
    except HubError as error:
        unknown.append(f"size of {brief(error, 160)}")
        return None


def _training(stage: Stage, size: Size | None, fast: Speed, unknown: list[str]) -> Step:
    """The step of a training. Its time is by 6·N operations per token (Kaplan et al., 2001.08361, section 2.1), its
    disk space as `train` checks it."""
    recipe, what = stage.recipe, f"train {stage.name}"
    if size is None:
        return Step(what, None, why="size unknown")
    weight = 2 if recipe.precision == "bf16" else 4
    trained = size.parameters if recipe.lora is None else round(0.01 * size.parameters)
    passing = CHECKPOINTS * trained * (weight + ADAM_BYTES)
    sequences = _sequences(recipe.data, recipe.epochs) if recipe.steps is None else None
    if recipe.steps is not None:
        sequences = recipe.steps * recipe.batch_size * recipe.accumulate
    if sequences is None:
        unknown.append(f"rows of {', '.join(recipe.data)}: not here, so the time of {stage.name} is not known")
        return Step(what, None, size.nbytes, passing, why="data not here")
    tokens = sequences * recipe.max_length * (2 if recipe.stage == "dpo" else 1)
    passes = 6 + (2 if recipe.gradient_checkpointing else 0) + (2 if recipe.stage == "dpo" else 0)
    passes -= 2 if recipe.lora is not None else 0
    steps = max(sequences // recipe.batch_size, 1)
    return Step(what, fast.training(size, passes, tokens, steps), size.nbytes, passing)


def _sequences(names: Sequence[str], epochs: float) -> int | None:
    """Number of rows of the data in all epochs; None if not all data is on this machine."""
    rows = 0
    for name in names:
        if world.is_ours(name):
            rows += world.parse(name)[1]
            continue
        path = Path(name).expanduser()
        if not path.is_file():
            return None
        if path.suffix.lower() == ".parquet":
            try:
                from pyarrow import parquet
            except ImportError:
                return None
            rows += parquet.ParquetFile(path).metadata.num_rows
        else:
            with open(path, "rb") as file:
                rows += sum(1 for line in file if line.strip())
    return round(rows * epochs)


def _asking(recipe: LadderRecipe, asking: Asking, sizes: Mapping[ModelKey, Size], fast: Speed) -> list[Step]:
    test, development = asking.half("test"), asking.half("development")
    cheap = {(job.task.name, job.language) for job in asking.cheap}
    steps: list[Step] = []
    for rung in recipe.wanted:
        size = sizes.get(rung.start)
        if rung.vector and rung.chosen and len(recipe.scales) > 1:
            jobs = [job for job in (*development, *test) if (job.task.name, job.language) in cheap]
            count = len(recipe.scales) + 1
            steps.append(_replies(f"choose the scale of {rung.title}", jobs, count, recipe, size, fast))
            # The replies at the chosen scale are there already.
            left = [job for job in test if (job.task.name, job.language) not in cheap]
        else:
            left = list(test)
        steps.append(_replies(f"ask {rung.title}", left, 1, recipe, size, fast))
    controls = controls_of(asking.jobs) if "target" in {rung.key for rung in recipe.wanted} else ()
    if controls:
        steps.append(_replies("ask the controls", list(test), len(controls), recipe, sizes.get("target"), fast))
    return steps


def _replies(what: str, jobs: Sequence[Job], models: int, recipe: LadderRecipe, size: Size | None, fast: Speed) -> Step:
    seconds, replies = 0.0, 0
    for job in jobs:
        items = job.task.items(job.language, limit=job.limit, seed=recipe.ask.seed)
        count = models * sum(item.samples * item.requests for item in items)
        written = any(item.mode != "likelihood" for item in items)
        length = (recipe.ask.max_new_tokens or job.task.sampling.max_new_tokens) if written else 1
        replies += count
        if size is not None:
            # Models are asked one at a time, each in its own batches.
            seconds += models * fast.writing(size, count // models, length)
    return Step(what, None if size is None else seconds, 0, 0, replies, "" if size is not None else "size unknown")


def _calls(recipe: LadderRecipe, asking: Asking) -> dict[str, int]:
    """Number of calls of judge, scorer and guard: one per reply; for pairs, two (both orders) per reply of each model
    but the reference."""
    services = {"judge": recipe.ask.judge, "toxicity": recipe.ask.toxicity, "guard": recipe.ask.guard}
    models = len(recipe.wanted) + len(controls_of(asking.jobs))
    found = dict.fromkeys(services, 0)
    for job in asking.half("test"):
        for name in job.task.needs() or (("guard",) if job.task.axis == "safety" else ()):
            if services.get(name) is not None:
                items = job.task.items(job.language, limit=job.limit, seed=recipe.ask.seed)
                replies = sum(item.samples for item in items)
                found[name] += 2 * replies * (models - 1) if isinstance(job.task, Comparing) else replies * models
    return found
