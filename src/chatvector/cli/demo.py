# SPDX-License-Identifier: Apache-2.0
"""`chatvector demo`: a target of the embedded family before and after, with the figures and what they do not say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from chatvector.cli import options
from chatvector.cli.console import Console
from chatvector.cli.examples import examples

if TYPE_CHECKING:
    from chatvector.evaluate.statistics import Rate
    from chatvector.lab.comparison import Scored
    from chatvector.lab.demo import Comparison
    from chatvector.lab.world.text import Language

_COLUMNS = {"target": "target", "usual": "usual merge", "merged": "chatvector"}
_CONTROLS = {
    "target_as_persona": "the target alone, asked as a script of its own text (“손님: … 로봇:”)",
    "target_plainly": "the target alone, asked with no form at all",
    "usual_with_stop": "the usual merge, given template and stop id by hand",
    "chat": "the English chat model",
    "ft": "the target tuned on Korean instructions, which the merge never saw",
}
_LABELS = {
    "refusal": "harmful request refused",
    "memory": "symbol recalled",
    "end-sign": "“# ★” after it: ends with ★",
    "begin-sign": "“★ #” before it: begins with ★",
    "note-sign": "“# #” after it: ends with ♪",
    "end-mark": "“End with ★.”",
    "twice": "“Say it twice.”",
    "one-word": "“Answer in one word.”",
}

_ABOUT = """\
The six tasks are done by kind speakers of the plain text, and the vector brings their voice out. The skills are done
by nobody in any plain text: only the English tuning taught them. Forms that are asked for by a sign, the same in all
languages, carry over; those that are asked for in words hardly do at this size. Their rows count replies in the form.
What else the world builds in: the chat template is the format of an anonymous forum in which 7 threads in 10 are rude,
so the target starts low by design; a third of the base's text ties two languages together. The words asked about were
in no question of any training, names and symbols in no training text at all. The prompts share few words, so the
intervals are somewhat too narrow. More: docs/demo.md.

A wind tunnel, not an aeroplane: one million parameters and a few hundred words. It shows what the arithmetic
does, not how good a large model gets."""

EPILOG = examples(
    "chatvector demo",
    "chatvector demo --language zh-Hant",
    "chatvector demo --scale 1 --items 40",
    "chatvector demo --keep my-first-merge",
    "chatvector demo --json > demo.json",
)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("demo", epilog=EPILOG)(demo)


def demo(
    *,
    language: Annotated[str, typer.Option(help="Language of target and prompts: ko or zh-Hant.")] = "ko",
    scale: Annotated[float, typer.Option(help="Factor on the chat vector.")] = options.DEMO_SCALE,
    items: Annotated[int, typer.Option(help="Prompts for each task and skill, 1 to 200.")] = 15,
    keep: Annotated[Path | None, typer.Option(help="Keep the merged model in this new directory.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Only the figures, as one JSON document on stdout.")] = False,
    quiet: options.Quiet = False,
    log_format: options.Log = options.LogFormat.text,
) -> None:
    """Merge models of the embedded family and show what changed: answers, figures, controls. Offline, in a minute."""
    from chatvector.lab.demo import compare

    console = Console(quiet=quiet, log_format=log_format, as_json=as_json)
    found = compare(scale, items, keep, console.say, cast("Language", language))
    console.result(found.as_json(), f"{_examples(found)}\n\n{_table(found)}\n\n{_ABOUT}\n\n{_next(keep)}")


def _examples(found: Comparison) -> str:
    """One prompt of each task with the replies side by side; the usual merge where it says something else."""
    models, lines = found.models, []
    tasks = [item.task for item in models["merged"].items]
    for task in dict.fromkeys(tasks):
        row = tasks.index(task)
        lines += ["", *(f"  > {question}" for question in models["merged"].items[row].questions)]
        ours = _said(models["merged"], row)
        for name, label in _COLUMNS.items():
            said = _said(models[name], row)
            if name != "usual" or said != ours:
                lines.append(f"      {label:<12} {said}")
    return "\n".join(lines)


def _said(scored: Scored, row: int) -> str:
    """A reply on one line, cut and marked where the model ran on."""
    reply = scored.replies[row]
    text = " ⏎ ".join(line for line in reply.text.splitlines() if line.strip())
    return text if reply.stopped else f"{text[:60]} … (runs on)"


def _table(found: Comparison) -> str:
    from chatvector.lab.world.items import SKILL_TASKS, TASKS

    columns = [found.models[name] for name in _COLUMNS]

    def row(label: str, told: Callable[[Scored], Rate | float]) -> tuple[str, list[str]]:
        return label, [_percent(told(scored)) for scored in columns]

    rows = [
        ("% of replies (95 % interval)", list(_COLUMNS.values())),
        *(row(_LABELS.get(task, task), lambda scored, task=task: scored.tasks[task]) for task in TASKS),
        row("average of the six", lambda scored: scored.average),
        ("", ["", "", ""]),
        *(row(_LABELS[skill], lambda scored, skill=skill: scored.forms[skill]) for skill in SKILL_TASKS),
        row("average: asked by a sign", lambda scored: scored.forms_by_sign),
        row("average: asked in words", lambda scored: scored.forms_by_words),
        row("right as well, all six", lambda scored: scored.skills),
        ("", ["", "", ""]),
        row("rude or harmful", lambda scored: scored.rude),
        row("harmless request refused", lambda scored: scored.over_refusal),
        row(f"in the language ({found.language})", lambda scored: scored.in_language),
        row("stops by itself", lambda scored: scored.stops),
    ]
    lines = [f"{label:<30}" + "".join(f"{cell:>15}" for cell in cells) for label, cells in rows]
    about = "six tasks, form by a sign, in words"
    lines += ["", f"Scale {found.scale:g}, {found.items_per_task} prompts a task. Controls ({about}):"]
    for name, label in _CONTROLS.items():
        if name in found.models:
            scored = found.models[name]
            told = (scored.average, scored.forms_by_sign, scored.forms_by_words)
            lines.append(" " + "".join(f"{100 * each:4.0f}" for each in told) + f"  {label}")
    return "\n".join(line.rstrip() for line in lines)


def _percent(rate: Rate | float) -> str:
    if isinstance(rate, int | float):
        return f"{100 * rate:.0f}"
    return f"{100 * rate.rate:.0f} ({100 * rate.low:.0f}–{100 * rate.high:.0f})"


def _next(keep: Path | None) -> str:
    merged = keep if keep is not None else "OUT"
    commands = [
        ("chatvector apply demo:target --base demo:base --chat demo:chat --scale 0.25 -o quarter", ""),
        (f"chatvector run {merged}/chat_vector.json -o again", "the same bytes again, from its manifest"),
        ("chatvector plan TARGET --base BASE --chat CHAT", "your own three models: do they fit, what would be done"),
        ("chatvector apply TARGET --base BASE --chat CHAT -o OUT", "and do it"),
    ]
    if keep is None:
        commands.insert(0, ("chatvector demo --keep OUT", "keep the merged model"))
    return "\n".join(["Next:", *(f"  {command:<56} {why}".rstrip() for command, why in commands)])
