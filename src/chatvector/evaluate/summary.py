# SPDX-License-Identifier: Apache-2.0
"""Turns blocks of marked answers into the results document: rows, warnings, and the descriptions of models and
services."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal

from chatvector import __version__
from chatvector.evaluate.request import Asked, Request
from chatvector.evaluate.results import AbsentRow, FailureRow, ModelRow, Results, SourceRow, TaskRow
from chatvector.evaluate.statistics.decisions import DISCORDANT, smallest_detectable_rate
from chatvector.evaluate.tally import FAMILY, Block, cluster_of, differences, figures, metric_row, recovery, spread
from chatvector.runtime.backend import BackendInfo

FEW = 30
"""With fewer clusters than this a task gets a warning."""


def items_file(block: Block) -> str:
    """Path of a task's items file, relative to the results."""
    return f"items/{block.task}.{block.language}.jsonl"


def assemble(
    request: Request,
    asked: Sequence[Asked],
    blocks: Sequence[Block],
    rider_blocks: Sequence[Block],
    infos: Mapping[str, BackendInfo],
    absent: Sequence[AbsentRow],
) -> Results:
    """The results document, all but the gates and the record of the run."""
    names = [model.name for model in request.models]
    reference, chat, seed = request.compared_with, request.true_chat, request.seed
    both = [*blocks, *rider_blocks]
    others = [name for name in names if name not in (reference, chat)]
    failures = _failures(blocks, names)
    return Results(
        chatvector=__version__,
        suite=request.suite,
        seed=seed,
        limit=request.limit,
        languages=tuple(dict.fromkeys(job.language for job in request.jobs)),
        reference=reference,
        true_chat=chat,
        services={name: _service(getattr(request.services, name)) for name in ("judge", "toxicity", "guard")},
        models=tuple(_model_row(name, request.part(name), infos[name]) for name in names),
        tasks=tuple(
            [_task_row(block, one) for block, one in zip(blocks, asked, strict=True)]
            + [_task_row(block, None) for block in rider_blocks]
        ),
        figures=tuple(row for block in both for name in block.marked for row in figures(block, name, seed)),
        differences=() if reference is None else tuple(differences(both, names, reference, seed)),
        family=FAMILY,
        recovery=()
        if reference is None or chat is None
        else tuple(row for block in both for name in others for row in recovery(block, name, reference, chat, seed)),
        spread=tuple(row for block in both for name in block.marked for row in spread(block, name)),
        absent=tuple(absent),
        failures=failures,
        gates=(),
        warnings=tuple(_warnings(both, failures, infos)),
        run={},
    )


def _service(service: Any) -> Any:
    """A service's `info` as JSON values; None without a service."""
    return None if service is None else json.loads(json.dumps(asdict(service.info)))


def _model_row(name: str, part: Literal["reference", "true chat", "candidate"], info: BackendInfo) -> ModelRow:
    return ModelRow(
        name=name,
        part=part,
        kind=info.kind,
        model=without_folder(info.model),
        fingerprint=info.fingerprint,
        template=info.template,
        prompt_form=without_folder(info.prompt_form),
        context=info.context,
        settings=dict(info.settings),
    )


def without_folder(text: str) -> str:
    """A model's name without the folders of a local path. Hub names keep their owner; URLs stay whole."""
    if "://" in text or (text.count("/") == 1 and not text.startswith((".", "/", "~", "template of /"))):
        return text
    head = "template of " if text.startswith("template of ") else ""
    return head + text.rstrip("/").rpartition("/")[2].removeprefix(head)


def _task_row(block: Block, asked: Asked | None) -> TaskRow:
    sources = [] if asked is None else asked.job.task.sources(block.language)
    sampling = (
        {}
        if asked is None
        else {**asdict(asked.sampling), "template_arguments": dict(asked.sampling.template_arguments)}
    )
    return TaskRow(
        name=block.task,
        axis=block.axis,
        version=block.version,
        language=block.language,
        rider=block.rider,
        items=len(block.items),
        clusters=len({item.cluster or item.id for item in block.items}),
        samples=max(item.samples for item in block.items),
        sampling=sampling,
        sources=tuple(SourceRow(**asdict(source)) for source in sources),
        metrics=tuple(metric_row(metric) for metric in block.metrics),
        items_file=None if asked is None else items_file(block),
    )


def _failures(blocks: Sequence[Block], names: Sequence[str]) -> tuple[FailureRow, ...]:
    found = []
    for block in blocks:
        for name in names:
            reasons = [answer.failed for answer in block.failed.get(name, ()) if answer.failed is not None]
            for why in sorted(set(reasons)):
                row = FailureRow(
                    task=block.task, language=block.language, model=name, why=why, count=reasons.count(why)
                )
                found.append(row)
    return tuple(found)


def _warnings(blocks: Sequence[Block], failures: Sequence[FailureRow], infos: Mapping[str, BackendInfo]) -> list[str]:
    found = [
        f"{row.task} ({row.language}), {row.model}: failed answers ({row.count}), {row.why}: not counted as misses"
        for row in failures
    ]
    for block in blocks:
        clusters = len({cluster_of(one) for listed in block.marked.values() for one in listed})
        if 0 < clusters < FEW and not block.rider:
            line = f"{block.task} ({block.language}): independent items: {clusters}"
            if any(metric.primary and metric.kind == "rate" for metric in block.metrics):
                points = 100 * smallest_detectable_rate(clusters)
                shows = f"less than {points:.0f} points do not show" if points < 100 else "no difference shows"
                line += f"; if two models differ in {100 * DISCORDANT:.0f} %, {shows}"
            found.append(line)
    forms = {without_folder(info.prompt_form) for info in infos.values()}
    if len(forms) > 1:
        found.append(f"the models were asked in different prompt forms: {', '.join(sorted(forms))}")
    return found
