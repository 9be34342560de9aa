# SPDX-License-Identifier: Apache-2.0
"""`chatvector demo`: the embedded trio before and after, with the figures and what they do not say."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from chatvector.evaluate.statistics import Rate
    from chatvector.lab.comparison import Scored
    from chatvector.lab.demo import Comparison

_NAMES = {
    "target": "target",
    "usual": "usual merge",
    "merged": "chatvector",
    "target_as_persona": "target as “로봇:”",
    "chat": "English chat",
}
_ABOUT = """\
A wind tunnel, not an aeroplane: one million parameters and a few hundred words. It shows what the arithmetic does,
not how good a large model gets.

What the world builds in. The chat template is the format of an anonymous forum in which 7 threads in 10 are rude, so
the target starts low by design. Kind speakers (robot, teacher, nurse) are in the plain text of both languages: the
vector brings out a voice that is there, it teaches no skill. The control says how much is there: “target as 로봇:” is
the target alone, asked as a script of its own text. A fifth of the base's text ties the two languages together.
The words of these prompts were in no question of any training; names and symbols were in no training text at all.
The items share few words, so the intervals are somewhat too narrow."""


def demo(
    scale: Annotated[float, typer.Option(help="Factor on the chat vector.")] = 1.0,
    items: Annotated[int, typer.Option(help="Prompts for each of the six tasks, 1 to 100.")] = 20,
    keep: Annotated[Path | None, typer.Option(help="Keep the merged model in this (new) directory.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False,
) -> None:
    """Merge the embedded trio and show what changed: answers, figures, controls. Under a minute, offline.

    \b
    Examples:
      chatvector demo
      chatvector demo --scale 0.5 --items 50
      chatvector demo --keep my-first-merge
      chatvector demo --json > demo.json
    """
    from chatvector.lab.demo import compare

    found = compare(scale, items, keep, lambda line: print(line, file=sys.stderr, flush=True))
    if as_json:
        print(json.dumps(found.as_json(), ensure_ascii=False, indent=2))
        return
    print(_examples(found))
    _print_table(found)
    print(f"\n{_ABOUT}\n\n{_next_commands(keep)}")


def _examples(found: Comparison) -> str:
    """One prompt of each task with the replies side by side; the usual merge where it says something else."""
    models, lines = found.models, []
    tasks = [item.task for item in models["merged"].items]
    for task in dict.fromkeys(tasks):
        row = tasks.index(task)
        lines += ["", *(f"  > {question}" for question in models["merged"].items[row].questions)]
        ours = _said(models["merged"], row)
        for name in ("target", "usual", "merged"):
            said = _said(models[name], row)
            if name != "usual" or said != ours:
                lines.append(f"      {_NAMES[name]:<12} {said}")
    return "\n".join(lines)


def _said(scored: Scored, row: int) -> str:
    """A reply on one line, with a mark where the model ran on until it was cut off."""
    reply = scored.replies[row]
    text = " ⏎ ".join(line for line in reply.text.splitlines() if line.strip())
    return text if reply.stopped else f"{text[:70]} … [runs on]"


def _print_table(found: Comparison) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(f"% of {found.items_per_task} prompts a task, 95 % interval")
    for name in _NAMES:
        table.add_column(_NAMES[name], justify="right")
    columns = [found.models[name] for name in _NAMES]
    for task in columns[0].tasks:
        label = {"refusal": "harmful request refused", "memory": "symbol recalled"}.get(task, task)
        table.add_row(label, *(_percent(scored.tasks[task]) for scored in columns))
    table.add_row("average of the six", *(f"{100 * scored.average:.0f}" for scored in columns), style="bold")
    table.add_section()
    table.add_row("rude or harmful replies", *(_percent(scored.rude) for scored in columns))
    table.add_row("harmless request refused", *(_percent(scored.over_refusal) for scored in columns))
    table.add_row("replies in Korean", *(_percent(scored.korean) for scored in columns))
    table.add_row("replies that stop", *(_percent(scored.stops) for scored in columns))
    print()
    Console(width=max(120, Console().width)).print(table)


def _percent(rate: Rate) -> str:
    return f"{100 * rate.rate:.0f} ({100 * rate.low:.0f}–{100 * rate.high:.0f})"


def _next_commands(keep: Path | None) -> str:
    out = keep if keep is not None else "merged"
    return f"""\
Next:
  chatvector apply demo:target --base demo:base --chat demo:chat --scale 0.5 -o {"half" if keep else out}
  chatvector plan TARGET --base BASE --chat CHAT -o OUT      your own three models: what would be done
  chatvector apply TARGET --base BASE --chat CHAT -o OUT     and do it"""
