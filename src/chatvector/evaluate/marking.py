# SPDX-License-Identifier: Apache-2.0
"""Marks what models said: by each task, between models, and by the riders on every reply."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from chatvector.evaluate.records import Riders, rider_answers
from chatvector.evaluate.request import Asked, Request
from chatvector.evaluate.tally import Block
from chatvector.evaluate.task import Answer, Between, Comparing, Marked, Marks, Rider


def mark(request: Request, asked: Asked, answers: Mapping[str, list[Answer]], observed: Mapping[str, Any]) -> Block:
    """Mark the answers of one job and return them as a block.

    Args:
        answers: model → its answers; a model that could not be asked is missing.
        observed: model → what the task observed of it while it was open (`Observing`).
    """
    task = asked.job.task
    marked: dict[str, list[Marked]] = {}
    failed: dict[str, list[Answer]] = {}
    for model in request.models:
        given = answers.get(model.name)
        if given is None:
            continue
        fit = [answer for answer in given if answer.failed is None]
        failed[model.name] = [answer for answer in given if answer.failed is not None]
        marks = task.mark(fit, request.services) if fit else []
        marked[model.name] = [Marked(answer, one) for answer, one in zip(fit, marks, strict=True)]
    if isinstance(task, Comparing):
        marked = _compare(task, request, marked, observed)
    language = asked.job.language
    return Block(task.name, task.axis, task.version, language, task.metrics, asked.items, marked, failed)


def _compare(
    task: Comparing, request: Request, marked: Mapping[str, list[Marked]], observed: Mapping[str, Any]
) -> dict[str, list[Marked]]:
    """The marks, with those made between models added."""
    answers = {name: [one.answer for one in listed] for name, listed in marked.items()}
    between = Between(answers, request.compared_with, request.true_chat, request.services, observed)
    further = task.compare(between)
    return {
        name: [Marked(one.answer, {**one.marks, **more}) for one, more in zip(listed, further[name], strict=True)]
        for name, listed in marked.items()
    }


def ride(request: Request, block: Block) -> Riders:
    """Every rider's marks of every reply to a chat item."""
    found: dict[tuple[str, str, int], dict[str, list[Marks | None]]] = {}
    for model, listed in block.marked.items():
        for answer in [*(one.answer for one in listed), *block.failed[model]]:
            if answer.item.mode == "chat":
                found[model, answer.item.id, answer.sample] = {
                    rider.name: [None if reply.failure else rider.marks(reply, answer.item) for reply in answer.replies]
                    for rider in request.riders
                }
    return found


def rider_blocks(request: Request, blocks: Sequence[Block], ridden: Mapping[tuple[str, str], Riders]) -> list[Block]:
    """One block for each rider and language, over the replies to all chat tasks in that language. `ridden`: (task,
    language) → what `ride` gave."""
    found: list[Block] = []
    for rider in request.riders:
        for language in dict.fromkeys(block.language for block in blocks):
            marked: dict[str, list[Marked]] = {}
            for block in blocks:
                if block.language == language and (block.task, language) in ridden:
                    for model, replies in _ridden_by(rider, block, ridden[block.task, language]):
                        marked.setdefault(model, []).extend(replies)
            if any(marked.values()):
                items = {one.answer.item.id: one.answer.item for listed in marked.values() for one in listed}
                metrics = tuple(replace(one, by=(*dict.fromkeys((*one.by, "task")),)) for one in rider.metrics)
                block = Block(rider.name, rider.axis, rider.version, language, metrics, tuple(items.values()), marked)
                found.append(replace(block, rider=True))
    return found


def _ridden_by(rider: Rider, block: Block, riders: Riders) -> Iterator[tuple[str, list[Marked]]]:
    """(model, marked replies) for every answer of a block that the rider marked."""
    for model, listed in block.marked.items():
        for answer in [*(one.answer for one in listed), *block.failed[model]]:
            marks = riders.get((model, answer.item.id, answer.sample))
            if marks is not None:
                yield model, rider_answers(block.task, answer, marks[rider.name])
