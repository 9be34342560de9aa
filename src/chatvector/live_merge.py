# SPDX-License-Identifier: Apache-2.0
"""From a recipe to a live merge: the model of `apply` in memory, whose scale can be changed in place.

with open_live(Recipe(target="demo:target", vectors=(VectorSpec(base="demo:base", chat="demo:chat"),))) as live:
    live.set_scale(0.5)
    live.generate([Prompt(messages=(("user", "안녕하세요"),))], Sampling(max_new_tokens=40))
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from chatvector.arithmetic.merge_plan import plan_merge
from chatvector.arithmetic.plan import TensorPlan
from chatvector.arithmetic.roles import find_vocabulary
from chatvector.arithmetic.scales import ScaleRules
from chatvector.arithmetic.stored import StoredVector
from chatvector.messages import Say, silent
from chatvector.output_files import index_bytes, own_files
from chatvector.pipeline import prepare_whole
from chatvector.preparation import Job, scale_rules
from chatvector.recipe import Recipe
from chatvector.runtime.batches import MOST_ROWS
from chatvector.runtime.live import LiveBackend
from chatvector.runtime.loading import file_hashes, weight_hashes


@contextmanager
def open_live(
    recipe: Recipe,
    *,
    name: str | None = None,
    hold: bool | None = None,
    dtype: str | None = None,
    device: str | None = None,
    remote_code: bool = False,
    batch: int = MOST_ROWS,
    threads: int | None = None,
    say: Say = silent,
) -> Iterator[LiveBackend]:
    """A context manager: the live merge of a recipe, at the recipe's scales. It is freed and closed at the end.

    Args:
        recipe: as for `apply`; `output` is not used.
        name: name of the model; by default `TARGET + live`.
        hold, dtype, device, remote_code, batch, threads: see `LiveBackend.open`.
        say: receives lines for people (downloads, warnings of the plan, the memory it needs).

    Raises what `prepare` and `LiveBackend.open` raise.
    """
    with ExitStack() as stack:
        job = prepare_whole(recipe, stack, say)
        for line in job.warnings:
            say(f"warning: {line}")
        yield LiveBackend.open(
            lambda rules: replan(job, rules),
            [scale_rules(spec) for spec in recipe.vectors],
            _files(job),
            name=name or f"{recipe.target} + live",
            metadata=job.plan.metadata,
            identity=_identity(job),
            hold=hold,
            dtype=dtype,
            device=device,
            remote_code=remote_code,
            batch=batch,
            threads=threads,
            say=say,
        )


def replan(job: Job, rules: Sequence[ScaleRules]) -> tuple[TensorPlan, ...]:
    """The plans of all tensors at other scales. Raises UsageError for rules that match nothing."""
    moved_by = job.choice.vector if job.choice.moves else None
    return plan_merge(job.target, job.vectors, rules, job.vocabulary, moved_by).tensors


def _files(job: Job) -> dict[str, bytes]:
    """The output's side files, without the licences.

    A target may be flagged as tied and still store a head equal to its embedding. Scales that treat the two differently
    make `apply` clear the flag. Here it is cleared from the start: each is its own parameter at every scale.
    """
    axis = find_vocabulary(job.target.tensors, job.target.config)
    both = axis.embedding is not None and axis.head is not None
    files = own_files(job, untie=both and job.target.config.get("tie_word_embeddings") is True)
    return files | index_bytes(job.plan, job.target)


def _identity(job: Job) -> dict[str, object]:
    """Identity of the model apart from its scales: what the plan's hash covers, and hashes of all source weights.

    It is the key of a cache of replies, for which a sample of the weights would not do. Parents that are read by range
    are pinned by the plan already, to a commit or to the tags of their files.
    """
    recipe = dict(job.plan.identity["recipe"])
    recipe["vectors"] = len(job.vectors)
    weights = {"target": weight_hashes(job.target)}
    for number, vector in enumerate(job.vectors):
        if isinstance(vector, StoredVector):
            names = sorted(file.name for file in vector.path.glob("*.safetensors"))
            weights[f"vectors.{number}"] = file_hashes(vector.path, names)
        else:
            weights[f"vectors.{number}.base"] = weight_hashes(vector.base)
            weights[f"vectors.{number}.chat"] = weight_hashes(vector.chat)
    return {**job.plan.identity, "recipe": recipe, "weights": weights}
