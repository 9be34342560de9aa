# SPDX-License-Identifier: Apache-2.0
"""Write the parts of these pages that the code knows better: flags, exit codes, recipe keys, roles.

`python docs/generate.py` writes them in place, `--check` says what differs and ends with 1. A generated part stands
between two comments, `<!-- generated: NAME -->` and `<!-- end: NAME -->`; everything else is written by people.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import os
import re
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

DOCS = Path(__file__).parent
PAGES = ("cli.md", "recipe.md", "licences.md", "doctor.md", "evaluation.md", "training.md", "ladder.md")
PART = re.compile(r"(<!-- generated: (?P<name>[\w -]+) -->\n).*?(<!-- end: (?P=name) -->)", re.DOTALL)
WIDTH = 80


def main(arguments: list[str]) -> int:
    """Exit code: 1 when `--check` finds a page that is not what the code says."""
    stale = [page for page in PAGES if render(page) != (DOCS / page).read_text("utf-8")]
    if "--check" in arguments:
        for page in stale:
            print(f"docs/{page} is not what the code says; run: make docs", file=sys.stderr)
        return 1 if stale else 0
    for page in stale:
        (DOCS / page).write_text(render(page), "utf-8")
        print(f"docs/{page} written")
    return 0


def render(page: str) -> str:
    """A page with its generated parts made anew. Raises KeyError for a part that nobody makes."""

    def part(match: re.Match[str]) -> str:
        name = match["name"]
        kind, _, rest = name.strip().partition(" ")
        return f"{match[1]}\n{MAKERS[kind](rest)}\n\n{match[3]}"

    return PART.sub(part, (DOCS / page).read_text("utf-8"))


def help_of(verb: str) -> str:
    """`chatvector VERB --help`, 80 columns wide, as a code block."""
    from typer.testing import CliRunner

    from chatvector.cli.main import app

    os.environ |= {"COLUMNS": str(WIDTH), "NO_COLOR": "1", "TERM": "dumb"}
    result = CliRunner().invoke(app, [*verb.split(), "--help"], prog_name="chatvector")
    if result.exit_code != 0:
        raise RuntimeError(f"chatvector {verb} --help ends with {result.exit_code}: {result.output}")
    text = "\n".join(line.rstrip() for line in result.output.strip("\n").splitlines())
    command = " ".join(["chatvector", *verb.split(), "--help"])
    return f"```text\n$ {command}\n{text}\n```"


def exit_codes(_: str) -> str:
    """The table in the docstring of `chatvector.errors`."""
    from chatvector import errors

    rows = [line for line in inspect.cleandoc(errors.__doc__ or "").splitlines() if line.startswith("|")]
    return "\n".join(rows)


def recipe_keys(model: str) -> str:
    """The fields of a recipe model: key, type, default, meaning."""
    from chatvector import recipe
    from chatvector.lab.ladder import recipe as ladder
    from chatvector.training import recipe as training

    cls = next(getattr(module, model) for module in (recipe, training, ladder) if hasattr(module, model))
    meanings = field_docstrings(inspect.getsource(cls))
    lines = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for name, field in cls.model_fields.items():
        default = "required" if field.is_required() else f"`{plain(field.get_default(call_default_factory=True))}`"
        lines.append(f"| `{name}` | {kind_of(field.annotation)} | {default} | {meanings[name]} |")
    return "\n".join(lines)


def roles(_: str) -> str:
    """The table in the docstring of `chatvector.arithmetic.roles`."""
    from chatvector.arithmetic import roles as module

    rows = [line for line in inspect.cleandoc(module.__doc__ or "").splitlines() if line.startswith("|")]
    return "\n".join(re.sub(r" {2,}", " ", re.sub(r"-{4,}", "---", row)) for row in rows)


def licences(_: str) -> str:
    """The table of `chatvector.provenance.licence_rules`, one row a licence."""
    from chatvector.provenance.licence_rules import Clause, table

    lines = [
        "| licence | copy | notice | to show | name begins with | commercial | more | read |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for licence in table().values():
        asked = {rule: clause.text for rule, clause in licence.rules.items()}
        limit = asked.get("commercial", "")
        more = [word for rule, word in MORE.items() if rule in asked]
        cells = (
            f"[{licence.title}]({licence.url})",
            "yes" if "copy" in asked else "",
            "yes" if "notice" in asked else "",
            asked.get("display", ""),
            licence.rules.get("name", Clause()).text,
            f"{int(limit):,}".replace(",", " ") if limit.isdigit() else limit,
            ", ".join(more),
            licence.read,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


MORE = {
    "policy": "rules of use",
    "only_for": "own family only",
    "share_alike": "share-alike",
    "derivatives": "no modified versions",
}


def faults(level: str) -> str:
    """The doctor's faults of one level: code, what follows, cure."""
    from chatvector.checks.doctor.catalogue import TABLE

    lines = ["| code | what follows | cure | `--fix` |", "|---|---|---|---|"]
    for fault in TABLE:
        if fault.level == level:
            mended = "yes" if fault.mended else ""
            lines.append(f"| `{fault.code}` | {fault.consequence} | {fault.cure} | {mended} |")
    return "\n".join(lines)


def tasks(_: str) -> str:
    """The evaluation's tasks: axis, languages, primary figures."""
    from chatvector.cli.tasks import known
    from chatvector.evaluate.registry import LANGUAGES

    lines = ["| task | axis | languages | headline figures |", "|---|---|---|---|"]
    for entry in known().tasks:
        task = entry.make()
        figures = "; ".join(metric.title for metric in task.metrics if metric.primary) or task.metrics[0].title
        languages = ", ".join(one for one in LANGUAGES if one in task.languages)
        lines.append(f"| `{entry.name}` | {entry.axis} | {languages} | {figures} |")
    return "\n".join(lines)


def riders(_: str) -> str:
    """What is measured on every reply."""
    from chatvector.cli.tasks import known

    lines = ["| figure | of | better |", "|---|---|---|"]
    for entry in known().riders:
        for metric in entry.make().metrics:
            lines.append(f"| {metric.title} | `{entry.name}/{metric.name}` | {metric.better} |")
    return "\n".join(lines)


def suites(_: str) -> str:
    """The suites: what for, and how many items of which task."""
    from chatvector.cli.tasks import known

    lines = ["| `--suite` | what for | items |", "|---|---|---|"]
    for name, suite in known().suites.items():
        counts = ", ".join(f"{task} {'all' if count is None else count}" for task, count in suite.tasks.items())
        about = suite.about + (f" ({', '.join(suite.languages)} by default)" if suite.languages else "")
        lines.append(f"| `{name}` | {about} | {counts} |")
    return "\n".join(lines)


def schema(model: str) -> str:
    """The fields of a row of results: key, type, meaning."""
    from chatvector.evaluate import results

    cls = getattr(results, model)
    meanings = field_docstrings(inspect.getsource(cls))
    lines = ["| key | type | meaning |", "|---|---|---|"]
    for name, field in cls.model_fields.items():
        lines.append(f"| `{name}` | {json_kind(field.annotation)} | {meanings[name]} |")
    return "\n".join(lines)


def json_kind(annotation: Any) -> str:
    """A type as JSON has it."""
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(annotation))
    if get_origin(annotation) in (Union, UnionType):
        kinds = [json_kind(one) for one in get_args(annotation)]
        return " or ".join(kinds)
    if get_origin(annotation) is Annotated:
        return json_kind(get_args(annotation)[0])
    text = str(annotation)
    words = (
        (r"NoneType", "null"),
        (r"tuple\[str", "list of texts"),
        (r"tuple", "list"),
        (r"dict", "object"),
        (r"bool", "true or false"),
        (r"float", "number"),
        (r"int", "whole number"),
        (r"str", "text"),
    )
    return next(word for pattern, word in words if re.search(pattern, text))


MAKERS: dict[str, Callable[[str], str]] = {
    "help": help_of,
    "exit-codes": exit_codes,
    "keys": recipe_keys,
    "roles": roles,
    "licences": licences,
    "faults": faults,
    "tasks": tasks,
    "riders": riders,
    "suites": suites,
    "schema": schema,
}


def field_docstrings(source: str) -> dict[str, str]:
    """Names of annotated fields to the strings that follow them, joined into one line."""

    (cls,) = ast.parse(textwrap.dedent(source)).body
    assert isinstance(cls, ast.ClassDef)
    found: dict[str, str] = {}
    for field, text in itertools.pairwise(cls.body):
        if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
            continue
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            found[field.target.id] = " ".join(str(text.value.value).split())
    return found


def kind_of(annotation: Any) -> str:
    """A type as people write it in YAML."""
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(annotation))
    text = str(annotation)
    for pattern, word in (
        (r"VectorSpec", "list of vectors"),
        (r"TrainingRecipe", "list of stages"),
        (r"Source", "name or mapping, see below"),
        (r"LoraSpec|Questions", "mapping, see below"),
        (r"^tuple\[Literal|tuple\[typing.Literal", "list of rungs"),
        (r"^tuple\[.*float", "list of numbers"),
        (r"str \| tuple\[str", "text, or list of texts"),
        (r"^tuple\[str", "list of texts"),
        (r"^dict\[str, str\]", "mapping to texts"),
        (r"^dict\[", "mapping to numbers"),
        (r"bool", "true or false"),
        (r"str \| int", "size"),
        (r"float", "number"),
        (r"int", "whole number"),
        (r"str", "text"),
    ):
        if re.search(pattern, text):
            return word
    raise KeyError(f"no word for the type {text}")


def plain(value: object) -> str:
    """A default as YAML writes it."""
    if isinstance(value, tuple):
        return str(list(value))
    if hasattr(type(value), "model_fields"):
        return "{}"
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
