# SPDX-License-Identifier: Apache-2.0
"""`chatvector demo`: the embedded trio before and after, with the figures and what they do not say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chatvector.cli import options
from chatvector.cli.console import Console
from chatvector.cli.examples import examples

if TYPE_CHECKING:
    from chatvector.evaluate.statistics import Rate
    from chatvector.lab.comparison import Scored
    from chatvector.lab.demo import Comparison

_COLUMNS = {"target": "target", "usual": "usual merge", "merged": "chatvector"}
_CONTROLS = {
    "target_as_persona": "the target alone, asked as a script of its own text (“손님: … 로봇:”)",
    "usual_with_stop": "the usual merge, given template and stop id by hand",
    "chat": "the English chat model, asked in Korean",
}
_LABELS = {"refusal": "harmful request refused", "memory": "symbol recalled"}

_ABOUT = """\
What the world builds in: the chat template is the format of an anonymous forum in which 7 threads in 10 are
rude, so the target starts low by design; kind speakers are in the plain text of both languages, and the vector
brings their voice out, it teaches no skill; a quarter of the base's text ties the two languages together.
The words asked about were in no question of any training, names and symbols in no training text at all. The
prompts share few words, so the intervals are somewhat too narrow. More: docs/demo.md.

A wind tunnel, not an aeroplane: one million parameters and a few hundred words. It shows what the arithmetic
does, not how good a large model gets."""

EPILOG = examples(
    "chatvector demo",
    "chatvector demo --scale 0.5 --items 40",
    "chatvector demo --keep my-first-merge",
    "chatvector demo --json > demo.json",
)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("demo", epilog=EPILOG)(demo)


def demo(
    *,
    scale: Annotated[float, typer.Option(help="Factor on the chat vector.")] = 1.0,
    items: Annotated[int, typer.Option(help="Prompts for each of the six tasks, 1 to 40.")] = 20,
    keep: Annotated[Path | None, typer.Option(help="Keep the merged model in this new directory.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Only the figures, as one JSON document on stdout.")] = False,
    quiet: options.Quiet = False,
    log_format: options.Log = options.LogFormat.text,
) -> None:
    """Merge the embedded trio and show what changed: answers, figures, controls. Offline, under a minute."""
    from chatvector.lab.demo import compare

    console = Console(quiet=quiet, log_format=log_format, as_json=as_json)
    found = compare(scale, items, keep, console.say)
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
    columns = [found.models[name] for name in _COLUMNS]
    rows = [("% of replies (95 % interval)", list(_COLUMNS.values()))]
    for task in columns[0].tasks:
        rows.append((_LABELS.get(task, task), [_percent(scored.tasks[task]) for scored in columns]))
    rows += [
        ("average of the six", [f"{100 * scored.average:.0f}" for scored in columns]),
        ("", ["", "", ""]),
        ("rude or harmful", [_percent(scored.rude) for scored in columns]),
        ("harmless request refused", [_percent(scored.over_refusal) for scored in columns]),
        ("in Korean", [_percent(scored.korean) for scored in columns]),
        ("stops by itself", [_percent(scored.stops) for scored in columns]),
    ]
    lines = [f"{label:<30}" + "".join(f"{cell:>15}" for cell in cells) for label, cells in rows]
    lines += ["", f"Scale {found.scale:g}, {found.items_per_task} prompts a task. Controls (average of the six):"]
    lines += [f"  {100 * found.models[name].average:3.0f}  {label}" for name, label in _CONTROLS.items()]
    return "\n".join(line.rstrip() for line in lines)


def _percent(rate: Rate) -> str:
    return f"{100 * rate.rate:.0f} ({100 * rate.low:.0f}–{100 * rate.high:.0f})"


def _next(keep: Path | None) -> str:
    merged = keep if keep is not None else "OUT"
    make = "" if keep else "  chatvector demo --keep OUT                                 keep the merged model\n"
    return f"""\
Next:
{make}  chatvector apply demo:target --base demo:base --chat demo:chat --scale 0.5 -o half
  chatvector run {merged}/chat_vector.json                     the same bytes again, from its manifest
  chatvector plan TARGET --base BASE --chat CHAT             your own three models: do they fit, what would be done
  chatvector apply TARGET --base BASE --chat CHAT -o OUT     and do it"""
