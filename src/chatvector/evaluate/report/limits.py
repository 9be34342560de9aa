# SPDX-License-Identifier: Apache-2.0
"""What a reader has to know before believing a figure: how models were asked, what marked replies, what is missing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from chatvector.evaluate.report.blocks import Block, Lines, Table, Text
from chatvector.evaluate.report.view import View, label
from chatvector.evaluate.report.wording import NONE

UNREAD = ("parsed", "supported", "scored", "guard_read", "undetermined", "unclosed", "readable")
"""Names of metrics that say how many replies or verdicts could be read, or how much of the questions models could
read."""
DIGITS = 12
"""Digits of a hash that are shown: enough to tell hashes apart, and to find them in results.json."""

GENERAL = (
    "Intervals are about other items of the same kind, asked of the same models: they say nothing of other kinds of"
    " questions, and nothing of what rules, classifiers and judges cannot see.",
    "Whether a model has seen these items in training is not known. Items generated with a seed (memory, instructions"
    " checked by rule) are unlikely to have been; public sets may well have been.",
    "No difference found is not the same as no difference: the column “would show” says which difference so many"
    " pairs show with 80 % power.",
)


def how_asked(view: View) -> Table:
    """A table of each model's prompt form and whatever else decides its replies."""
    rows = [
        (
            model.name,
            model.part,
            model.model,
            model.kind,
            model.prompt_form,
            (model.template or NONE)[:DIGITS],
            NONE if model.context is None else str(model.context),
            model.fingerprint[:DIGITS],
            _plain(model.settings),
        )
        for model in view.results.models
    ]
    columns = ("name", "part", "model", "kind", "asked in", "template", "context", "fingerprint", "settings")
    return Table("The models, and how they were asked", columns, tuple(rows))


def services(view: View) -> list[Block]:
    """The services that marked replies, apart from rules: their identity, and how far they were checked."""
    found: list[Block] = []
    lines: list[str] = []
    for name, said in view.results.services.items():
        if said is None:
            lines.append(f"{name}: none was given")
        elif name == "judge":
            lines.append(f"judge: {_judge(said)}")
        else:
            lines.append(f"{name}: {_scorer(said)}")
    if lines:
        found.append(Lines(tuple(lines)))
    for name, said in view.results.services.items():
        if said is not None:
            rows = tuple((key, _plain(value)) for key, value in said.items())
            found.append(Table(f"What the {name} says of itself", ("key", "value"), rows, folded=True))
    return found


def _judge(said: Mapping[str, Any]) -> str:
    """The judge's identity, and its agreement with people's labels or `unvalidated`."""
    checked = said.get("validated")
    status = f"agreement with people's labels: {_plain(checked)}" if checked else "unvalidated"
    if said.get("kind") == "rules":
        status = "rules, no judgement: for tests"
    return f"{said.get('model', 'unnamed')}, fingerprint {str(said.get('fingerprint', NONE))[:DIGITS]}; {status}"


def _scorer(said: Mapping[str, Any]) -> str:
    """A scorer's or guard's name, and its card: what it is for, and the measured figures."""
    name = " ".join(str(said[key]) for key in ("name", "model", "version") if said.get(key))
    forced = "; FORCED upon languages that it was not made for" if said.get("forced") else ""
    card = said.get("card")
    if not isinstance(card, Mapping):
        checked = said.get("validated")
        status = f"agreement with given labels: {_plain(checked)}" if checked else "not validated here"
        return f"{name or 'unnamed'}; {status}{forced}"
    measured = _plain(card["measured"]) if card.get("measured") else "not measured by us"
    on = f" on {card['on']}" if card.get("measured") and card.get("on") else ""
    return (
        f"{name or 'unnamed'}; {card.get('use', '')} Validation: {measured}{on}. Licence: {card.get('licence')}{forced}"
    )


def unread(view: View) -> list[Block]:
    """Replies and verdicts that could not be read, answers that failed, and what was not asked."""
    rows = [
        (label(task), metric.title, *(view.cell(task, metric, name) for name in view.names), view.count(task, metric))
        for task in view.results.tasks
        for metric in task.metrics
        if metric.name in UNREAD and any(view.figure(task, metric.name, name) for name in view.names)
    ]
    found: list[Block] = []
    if rows:
        columns = ("task", "share, %", *view.names, "n")
        found.append(Table("How much could be read", columns, tuple(rows), labels=2))
    left_out = [
        (
            label(task),
            metric.title,
            *(str(row.left_out) if (row := view.asked(task, metric.name, name)) else NONE for name in view.names),
        )
        for task, metric in view.headline()
        if not metric.of_some
        and any((row := view.asked(task, metric.name, name)) and row.left_out for name in view.names)
    ]
    if left_out:
        columns = ("task", "figure", *view.names)
        caption = "Replies that a primary figure does not apply to, and leaves out"
        found.append(Table(caption, columns, tuple(left_out), labels=2))
    lines = [
        f"failed answers, not counted as misses: {row.model}, {row.task} ({row.language}): {row.count}, {row.why}"
        for row in view.results.failures
    ]
    lines += [f"not asked: {row.model}, {row.task} ({row.language}): {row.why}" for row in view.results.absent]
    if not view.results.failures:
        lines.append("failed answers: none")
    return [*found, Lines(tuple(lines))]


def data(view: View) -> list[Block]:
    """Where items come from, with their licences."""
    rows = [
        (label(task), source.name, source.licence, source.version or NONE, source.sha256[:DIGITS])
        for task in view.results.tasks
        for source in task.sources
    ]
    own = [label(task) for task in view.results.tasks if not task.rider and not task.sources]
    found: list[Block] = []
    if rows:
        columns = ("task", "data", "licence", "version", "sha256")
        found.append(Table("Data and licences", columns, tuple(rows)))
    if own:
        found.append(Text(f"Made by the tasks themselves, from no file: {', '.join(own)}."))
    return found


def limits(view: View) -> list[Block]:
    """All blocks of the section on limits."""
    found: list[Block] = []
    if view.results.warnings:
        found.append(Lines(tuple(view.results.warnings)))
    found += [how_asked(view), *services(view), *unread(view), *data(view), Lines(GENERAL)]
    if view.results.differences:
        found.append(Text(f"p values are corrected together (Holm) for: {view.results.family}."))
    return found


def run_record(view: View) -> list[Block]:
    """Date, machine, versions, times. Paths on the machine are left out, because reports are passed on."""
    results = view.results
    rows = [
        ("chatvector", results.chatvector),
        ("suite", results.suite or NONE),
        ("languages", ", ".join(results.languages)),
        ("seed", str(results.seed)),
        ("limit", "none" if results.limit is None else str(results.limit)),
    ]
    rows += [(key.replace("_", " "), _plain(value)) for key, value in results.run.items() if key != "models"]
    tasks = [
        (label(task), task.version, str(task.items), str(task.clusters), str(task.samples), _plain(task.sampling))
        for task in results.tasks
        if not task.rider
    ]
    columns = ("task", "version", "items", "independent groups", "samples", "sampling")
    return [
        Table("The run", ("", ""), tuple(rows)),
        Table("The tasks, and how replies were drawn", columns, tuple(tasks), folded=True),
    ]


def _plain(value: Any) -> str:
    """A JSON value as plain words: `dtype float32, torch 2`."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(one)}" for key, one in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value)) or "none"
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
