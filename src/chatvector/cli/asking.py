# SPDX-License-Identifier: Apache-2.0
"""Options of the verbs that ask models questions or talk to them: which questions, how replies are made and kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Languages = Annotated[
    list[str] | None,
    typer.Option(
        "--language",
        "-l",
        help="Language of the items: en, ko, zh-Hant, zh-Hans or ja; repeatable.",
        show_default=False,
    ),
]
Axes = Annotated[list[str] | None, typer.Option("--axis", help="All tasks of an axis; repeatable.")]
Tasks = Annotated[
    list[str] | None,
    typer.Option(
        "--task", metavar="NAME|FILE.py", help="One task, or a file with your own (docs/own-task.md); repeatable."
    ),
]
Seed = Annotated[int, typer.Option("--seed", help="Seed of items, samples and resampling.")]
MaxNewTokens = Annotated[
    int | None,
    typer.Option(
        "--max-new-tokens", min=1, help="Limit of a reply in tokens, instead of each task's.", show_default=False
    ),
]
Dtype = Annotated[
    str | None,
    typer.Option(
        "--dtype",
        help="How weights are held: fp32, bf16, fp16 or auto, which is fp32 on a CPU and the file's on a GPU.",
        show_default=False,
    ),
]
Device = Annotated[
    str | None,
    typer.Option(
        "--device",
        help="Where models run: cpu, cuda, cuda:1 …; by default a GPU where there is one.",
        show_default=False,
    ),
]
RemoteCode = Annotated[
    bool, typer.Option("--remote-code", help="Run Python code that comes with a model. Read it first.")
]
CacheFile = Annotated[
    Path | None,
    typer.Option(
        "--cache", help="File that keeps replies; by default ~/.cache/chatvector/replies.jsonl.", show_default=False
    ),
]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Keep no replies and use none.")]

# Of the verbs that move one vector.
Vector = Annotated[
    str | None,
    typer.Option("--vector", metavar="VEC", help="A vector that `extract` wrote, instead of --base and --chat."),
]
ChatFormatFrom = Annotated[
    str | None,
    typer.Option(metavar="MODEL|FILE", help="Chat template for models that have none.", show_default=False),
]
TemplateArguments = Annotated[
    list[str] | None,
    typer.Option(metavar="KEY=JSON", help="For the chat template: enable_thinking=false; repeatable."),
]
System = Annotated[str | None, typer.Option(help="System prompt of the conversation.", show_default=False)]
Temperature = Annotated[float, typer.Option(min=0, help="Of the sampling; 0 takes the most likely token.")]
TopP = Annotated[
    float, typer.Option(min=0, max=1, help="Sample only from the likeliest tokens that together have this probability.")
]
DrawSeed = Annotated[
    int, typer.Option("--seed", help="Seed of the sampling: the same conversation gives the same replies.")
]
