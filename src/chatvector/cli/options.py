# SPDX-License-Identifier: Apache-2.0
"""The flags that several verbs share, each written down once, and the recipe they make."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from chatvector.errors import UsageError

if TYPE_CHECKING:
    from chatvector.recipe import Recipe

DEMO_SCALE = 0.75
"""For the embedded family: of 0.5, 0.75 and 1 what did best on development items, tasks and forms asked for by a sign
together, in both languages."""
MODEL = "A directory, a hub name org/name[@revision], or demo:target and the like."


class Policy(StrEnum):
    """What happens to embedding and head."""

    shared = "shared"
    skip = "skip"
    strict = "strict"


class Stats(StrEnum):
    """How much is measured on the way."""

    basic = "basic"
    full = "full"


class LogFormat(StrEnum):
    """How messages and progress are written to stderr."""

    text = "text"
    json = "json"


Target = Annotated[str, typer.Argument(help="The continually pre-trained model. " + MODEL, show_default=False)]
Models = Annotated[
    list[str],
    typer.Argument(
        metavar="TARGET | BASE CHAT TARGET",
        help="The continually pre-trained model; or all three, in the order of `check`, instead of --base and --chat. "
        + MODEL,
        show_default=False,
    ),
]
BaseModel = Annotated[str, typer.Argument(help="The model that CHAT was tuned from. " + MODEL, show_default=False)]
ChatModel = Annotated[str, typer.Argument(help="The chat model.", show_default=False)]
Base = Annotated[str | None, typer.Option("--base", help="The model that CHAT was tuned from.", show_default=False)]
Chat = Annotated[str | None, typer.Option("--chat", help="The chat model.", show_default=False)]
Vectors = Annotated[
    list[str] | None,
    typer.Option(
        "--vector",
        metavar="VEC[=SCALE]",
        help="A vector that `extract` wrote, instead of --base and --chat; repeatable.",
    ),
]
Output = Annotated[
    str | None, typer.Option("-o", "--output", help="Directory to write; must be new or empty.", show_default=False)
]
RequiredOutput = Annotated[
    str, typer.Option("-o", "--output", help="Directory to write; must be new or empty.", show_default=False)
]
Scale = Annotated[float, typer.Option("--scale", help="Factor on the vector; 1.0 is the paper's, not advice.")]
ScaleRole = Annotated[
    list[str] | None,
    typer.Option("--scale-role", metavar="ROLE=S", help="Factor for a role instead of --scale (norm=0); repeatable."),
]
ScaleLayers = Annotated[
    list[str] | None,
    typer.Option(
        "--scale-layers",
        metavar="A-B=S",
        help="Factor for layers A to B, counted from 0, both included, instead of --scale; repeatable.",
    ),
]
ScaleTensors = Annotated[
    list[str] | None,
    typer.Option(
        "--scale-tensors",
        metavar="GLOB=S",
        help="Factor for tensors whose names match; stronger than the other rules; repeatable.",
    ),
]
Vocabulary = Annotated[
    Policy,
    typer.Option(
        "--vocabulary",
        help="Which rows get the difference: shared, those of tokens that base and chat both have; skip, none; strict,"
        " all, and unequal ids are refused.",
    ),
]
ChatFormat = Annotated[
    str,
    typer.Option(
        "--chat-format",
        help="Whose chat format the output gets: auto, target, vector, vector:N, or a template FILE.",
        metavar="WHOSE|FILE",
    ),
]
SystemPrompt = Annotated[
    str,
    typer.Option(
        "--system-prompt",
        help="What becomes of a system prompt that the template writes by itself: keep, none, or a TEXT in its place.",
    ),
]
ForceLineage = Annotated[
    bool, typer.Option("--force-lineage", help="Go on although the lineage is a reason to refuse, see docs/lineage.md.")
]
Memory = Annotated[str, typer.Option("--memory", help="Limit for all buffers together.")]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        min=1,
        help="Threads at most; by default as many as cores, eight for parents that are read by range.",
        show_default=False,
    ),
]
StatsLevel = Annotated[Stats, typer.Option("--stats", help="full: also norms and cosines of all parents, per tensor.")]
Sha256 = Annotated[bool, typer.Option("--sha256", help="Record the SHA-256 of every output file (reads it once more).")]
Stream = Annotated[
    bool, typer.Option("--stream", help="Read hub models by byte range: nothing is downloaded, see docs/remote.md.")
]
Restart = Annotated[bool, typer.Option("--restart", help="Discard what an interrupted run left.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the plan and write nothing.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, see docs/manifest.md.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No messages and no progress; errors still show.")]


def _for_errors_too(log_format: LogFormat) -> LogFormat:
    """The one line of an error is written by `main`, outside of any verb: it has to know the format."""
    from chatvector.cli import console

    console.errors_as_json = log_format is LogFormat.json
    return log_format


Log = Annotated[
    LogFormat,
    typer.Option(
        "--log-format",
        callback=_for_errors_too,
        is_eager=True,
        help="Messages, progress and errors on stderr as text or JSON lines.",
    ),
]


def parse_vector(text: str, scale: float) -> tuple[str, float]:
    """Split `VEC[=SCALE]`; a path that exists as written is a path, whatever signs are in it."""
    head, equals, tail = text.rpartition("=")
    if not equals or Path(text).exists():
        return text, scale
    try:
        return head, float(tail)
    except ValueError:
        raise UsageError(f"--vector {text}: {tail!r} is no scale; write VEC=0.5, or a path that exists") from None


def recipe_from_flags(
    target: Target,
    base: Base = None,
    chat: Chat = None,
    vector: Vectors = None,
    output: Output = None,
    scale: Scale = 1.0,
    scale_role: ScaleRole = None,
    scale_layers: ScaleLayers = None,
    scale_tensors: ScaleTensors = None,
    vocabulary: Vocabulary = Policy.shared,
    chat_format: ChatFormat = "auto",
    system_prompt: SystemPrompt = "keep",
    force_lineage: ForceLineage = False,
    memory: Memory = "128MiB",
    threads: Threads = None,
    stats: StatsLevel = Stats.basic,
    sha256: Sha256 = False,
    stream: Stream = False,
) -> Recipe:
    """The recipe that the flags mean; its signature is the one list of them. Raises UsageError or RecipeError."""
    from chatvector.arithmetic.scales import ScaleRules, format_layers
    from chatvector.recipe import Recipe

    parsed = ScaleRules.parse(scale, roles=scale_role or (), layers=scale_layers or (), tensors=scale_tensors or ())
    rules = {
        "scale_role": parsed.roles,
        "scale_layers": {format_layers(layers): factor for layers, factor in parsed.layers.items()},
        "scale_tensors": parsed.tensors,
    }
    specs: list[dict[str, object]] = []
    if (base is None) != (chat is None):
        raise UsageError(f"{'--chat' if base else '--base'} is missing: a chat vector needs both parents")
    if base is not None:
        specs.append({"base": base, "chat": chat, "scale": scale, **rules})
    for text in vector or ():
        path, own = parse_vector(text, scale)
        specs.append({"vector": path, "scale": own, **rules})
    if not specs:
        raise UsageError("no chat vector given: name --base and --chat, or --vector")
    document = {
        "target": target,
        "vectors": specs,
        "output": output,
        "vocabulary": vocabulary.value,
        "chat_format": chat_format,
        "system_prompt": system_prompt,
        "force_lineage": force_lineage,
        "memory": memory,
        "threads": threads,
        "stats": stats.value,
        "sha256": sha256,
        "stream": stream,
    }
    return Recipe.from_mapping(document, "flags")


def recipe_from_models(models: Models, **flags: Any) -> Recipe:
    """As `recipe_from_flags`, of one model or of three. Raises UsageError or RecipeError."""
    if len(models) == 1:
        return recipe_from_flags(models[0], **flags)
    if len(models) != 3:
        raise UsageError(f"{len(models)} models named: write TARGET --base BASE --chat CHAT, or BASE CHAT TARGET")
    base, chat, target = models
    for flag in ("base", "chat"):
        if flags[flag] is not None:
            raise UsageError(f"--{flag}: {base} {chat} {target} name base, chat and target already; leave one out")
    return recipe_from_flags(target, **{**flags, "base": base, "chat": chat})


def takes_recipe(function: Callable[..., None]) -> Callable[..., None]:
    """Give a verb whose first parameter is `recipe` all the flags of `recipe_from_flags` instead of it."""
    return _takes_flags(function, "target", recipe_from_flags)


def takes_recipe_or_trio(function: Callable[..., None]) -> Callable[..., None]:
    """As `takes_recipe`; the three models may also stand beside each other, without flags."""
    return _takes_flags(function, "models", recipe_from_models)


def _takes_flags(
    function: Callable[..., None], positional: str, make_recipe: Callable[..., Recipe]
) -> Callable[..., None]:
    hints: dict[str, Any] = {}
    for one in (recipe_from_flags, make_recipe, function):
        hints |= get_type_hints(one, {**function.__globals__, **globals(), "Recipe": object}, include_extras=True)
    flags = list(inspect.signature(recipe_from_flags).parameters.values())
    shared = [flags[0].replace(name=positional), *flags[1:]]
    own = [value for name, value in inspect.signature(function).parameters.items() if name != "recipe"]

    def verb(**values: Any) -> None:
        recipe = make_recipe(**{value.name: values.pop(value.name) for value in shared})
        function(recipe, **values)

    parameters = [
        value.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[value.name]) for value in (*shared, *own)
    ]
    verb.__name__, verb.__doc__ = function.__name__, function.__doc__
    verb.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    verb.__annotations__ = {value.name: value.annotation for value in parameters}
    return verb
