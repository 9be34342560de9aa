# SPDX-License-Identifier: Apache-2.0
"""`chatvector push`: an output to the hub, with card, licences and a manifest that names no machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from chatvector.checkpoint.names import require_path
from chatvector.cli import options
from chatvector.cli.console import Console
from chatvector.cli.examples import examples
from chatvector.sizes import disk_size

if TYPE_CHECKING:
    from chatvector.publishing import PushPlan

EPILOG = examples(
    "chatvector push ko-chat org/Llama-3-ko-chat --dry-run",
    "chatvector push ko-chat org/Llama-3-ko-chat --private",
    "chatvector push ko-chat org/Llama-3-ko-chat --update --branch scale-0.6",
)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("push", epilog=EPILOG)(push)


def push(
    output: Annotated[str, typer.Argument(help="A directory that apply or run wrote.", show_default=False)],
    repo: Annotated[str, typer.Argument(help="The hub name, org/name.", show_default=False)],
    private: Annotated[bool, typer.Option("--private", help="Make a private repository.")] = False,
    branch: Annotated[str, typer.Option("--branch", help="Branch to commit to.")] = "main",
    update: Annotated[bool, typer.Option("--update", help="Replace the files of a repository that exists.")] = False,
    licence: Annotated[
        str | None,
        typer.Option(
            "--licence", metavar="ID", help="Licence of the output, where the parents' cards and files do not tell it."
        ),
    ] = None,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Go on although a licence rule is broken; recorded.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be sent, and send nothing.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON document on stdout, see docs/model-cards.md.")
    ] = False,
    quiet: options.Quiet = False,
    log_format: options.Log = options.LogFormat.text,
) -> None:
    """Publish OUT on the hub as REPO: weights first, then everything in one commit.

    The card names the model, the manifest goes without paths and host names. Nothing is sent before licences, files
    and the name are checked; an interrupted push goes on with the same command.
    """
    from chatvector import publishing
    from chatvector.checkpoint.hub import is_offline

    console = Console(quiet=quiet, log_format=log_format, as_json=as_json)
    ask = not dry_run or (publishing.has_token(repo) and not is_offline())
    plan = publishing.plan_push(
        require_path(output, "download the model first and push that directory"),
        repo,
        private=private,
        update=update,
        branch=branch,
        licence=licence,
        accept_licence=accept_licence,
        ask_hub=ask,
        say=console.say,
    )
    for line in plan.publication.warnings:
        console.warn(line)
    document = plan_document(plan)
    if dry_run:
        console.result(document, plan_text(plan))
        return
    console.say(plan_text(plan, card=False))
    done = publishing.push(plan, say=console.say, bars=console.draws_bars)
    result = document | {"token_tried": not plan.is_there, "url": done.url, "commit": done.commit}
    was = ", there already with these files" if plan.is_there else ""
    console.result(result, f"{done.url}: commit {done.commit}{was}\nuse it: vllm serve {repo}")


def plan_document(plan: PushPlan) -> dict[str, Any]:
    """The plan as data: schema in docs/model-cards.md."""
    publication = plan.publication
    return {
        "repo": publication.repo_id,
        "branch": plan.branch,
        "private": plan.private,
        "files": dict(publication.sizes),
        "bytes": publication.nbytes,
        "left_out": list(publication.left_out),
        "deletes": list(plan.deletes),
        "licences": publication.manifest["licences"],
        "warnings": list(publication.warnings),
        "token_tried": False,
        "card": publication.card,
    }


def plan_text(plan: PushPlan, *, card: bool = True) -> str:
    """The plan for people, with the whole card, as for a dry run, unless told otherwise."""
    publication = plan.publication
    state = "the hub was not asked: no token, or HF_HUB_OFFLINE"
    if plan.remote is not None:
        state = "new" if not plan.remote.exists else "empty" if plan.remote.empty else "exists, to be updated"
        state = "is there already, nothing to send" if plan.is_there else state
    lines = [
        f"{publication.repo_id}, branch {plan.branch}, {'private' if plan.private else 'public'} ({state}):"
        f" {len(publication.sizes)} files, {disk_size(publication.nbytes)}"
    ]
    lines += [f"  {size:>14,} {name}".replace(",", " ") for name, size in publication.sizes.items()]
    lines += [f"  stays here: {name}" for name in publication.left_out]
    lines += [f"  deleted there: {name}" for name in plan.deletes]
    lines.append(f"licence: {publication.manifest['licences']['output'] or 'not determined'}")
    if card and plan.remote is not None:
        lines.append("token: not tried for writing; a bad one, or one without the right, may show only in the push")
    return "\n".join(lines + (["", publication.card] if card else []))
