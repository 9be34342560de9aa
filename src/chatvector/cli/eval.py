# SPDX-License-Identifier: Apache-2.0
"""`chatvector eval`: what models do on tasks, side by side, with intervals."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chatvector.cli import asking, groups, options
from chatvector.cli.console import Console
from chatvector.cli.examples import examples
from chatvector.messages import Say

if TYPE_CHECKING:
    from chatvector.evaluate.gates import Gate
    from chatvector.evaluate.request import Request
    from chatvector.evaluate.results import Results

EPILOG = examples(
    "chatvector eval demo:chat --language ko --task memory --limit 8",
    "chatvector eval before=TARGET after=my-merge --language ko --out results",
    "chatvector eval my-merge -l ko --axis language --require 'language>=0.95'",
    note="Exit code 4 when a --require is not met. What the suites and tasks are, what the figures mean:"
    " docs/evaluation.md. The same command goes on where it was interrupted: replies are kept, with --server-revision"
    " those of a server too.",
)
GROUPS = {
    "What is asked": "language suite axis task limit seed samples",
    "How models are asked": "chat_format_from backend max_new_tokens template_argument dtype device remote_code"
    " server key_variable server_revision server_timeout",
    "What marks the replies": "judge judge_labels judge_itself toxicity toxicity_label toxicity_language"
    " guard guard_format guard_labels force_language",
    "What is compared and required": "reference true_chat require strict_gates",
    "What is kept": "out overwrite cache no_cache",
}


class Backend(StrEnum):
    """How models are asked."""

    auto = "auto"
    transformers = "transformers"
    openai = "openai"
    replay = "replay"


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("eval", epilog=EPILOG, cls=groups.grouped(GROUPS))(evaluate)


def evaluate(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]MODEL...",
            help="A directory, a hub name, demo:chat and the like, a server's URL or URL#MODEL, or a recording"
            " (*.jsonl); the first is the reference that the others are compared with.",
            show_default=False,
        ),
    ],
    language: asking.Languages = None,
    suite: Annotated[
        str | None,
        typer.Option(
            help="quick (default), standard, full, korea, taiwan, sweep, demo, demo-skills.", show_default=False
        ),
    ] = None,
    axis: asking.Axes = None,
    task: asking.Tasks = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Items of each task, at most.", show_default=False)] = None,
    seed: asking.Seed = 0,
    samples: Annotated[
        int | None,
        typer.Option(
            min=1, help="Replies to each item, at temperature 0.7 where a task is greedy.", show_default=False
        ),
    ] = None,
    reference: Annotated[
        str | None, typer.Option(metavar="NAME", help="Compare with this model, not the first.", show_default=False)
    ] = None,
    true_chat: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="A model that was really trained to chat in the language: says how much of its gain the others have.",
            show_default=False,
        ),
    ] = None,
    chat_format_from: asking.ChatFormatFrom = None,
    backend: Annotated[Backend, typer.Option(help="How models are asked; auto decides by their names.")] = Backend.auto,
    max_new_tokens: asking.MaxNewTokens = None,
    template_argument: asking.TemplateArguments = None,
    dtype: asking.Dtype = None,
    device: asking.Device = None,
    remote_code: asking.RemoteCode = False,
    server: Annotated[
        str | None,
        typer.Option(
            metavar="COMMAND",
            help="Serve each model by this command, {model} and {port} in it, instead of loading it here.",
            show_default=False,
        ),
    ] = None,
    key_variable: Annotated[
        str | None, typer.Option(metavar="NAME", help="Environment variable with the key for URLs.", show_default=False)
    ] = None,
    server_revision: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="What you call the weights behind URLs, which cannot be seen: with it their replies are kept for the"
            " next run. Change it with the weights.",
            show_default=False,
        ),
    ] = None,
    server_timeout: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            min=1,
            help="Longest silence of a server before it is asked again, by default 600; a long reply comes at once at"
            " its end.",
            show_default=False,
        ),
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option(
            metavar="URL|MODEL", help="Marks open replies: any chat model (docs/tasks/open.md).", show_default=False
        ),
    ] = None,
    judge_labels: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Labels that people gave to replies: measures how far the judge agrees (docs/tasks/open.md).",
            show_default=False,
        ),
    ] = None,
    judge_itself: Annotated[
        bool, typer.Option("--judge-itself", help="Let a model judge its own replies; recorded.")
    ] = False,
    toxicity: Annotated[
        str | None,
        typer.Option(
            metavar="SCORER",
            help="linear (bundled, English, smoke tests), moderation, perspective, or a classifier: a directory or hub"
            " name (docs/tasks/toxicity.md).",
            show_default=False,
        ),
    ] = None,
    toxicity_label: Annotated[
        list[str] | None,
        typer.Option(metavar="LABEL=ATTRIBUTE", help="What a classifier's labels mean: LABEL_1=toxicity; repeatable."),
    ] = None,
    toxicity_language: Annotated[
        list[str] | None,
        typer.Option(metavar="LANGUAGE", help="A language that a classifier was made for; repeatable."),
    ] = None,
    guard: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Says which replies are unsafe: Qwen3Guard-Gen, Llama Guard, or any chat model as a judge"
            " (docs/tasks/safety.md).",
            show_default=False,
        ),
    ] = None,
    guard_format: Annotated[
        str | None,
        typer.Option(
            metavar="FORMAT",
            help="How its verdicts are read, where its name does not say: qwen3guard, llama-guard or judge.",
            show_default=False,
        ),
    ] = None,
    guard_labels: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Labels that people gave to replies: measures how far the guard agrees (docs/tasks/safety.md).",
            show_default=False,
        ),
    ] = None,
    force_language: Annotated[
        bool,
        typer.Option("--force-language", help="Let scorer and guard mark languages they were not made for; recorded."),
    ] = False,
    require: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME>=VALUE", help="End with exit code 4 unless this holds: language>=0.95; repeatable."),
    ] = None,
    strict_gates: Annotated[
        bool, typer.Option("--strict-gates", help="--require counts the near end of the interval, not the figure.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Write results, items and a report into this new directory.", show_default=False)
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the results in --out.")] = False,
    cache: asking.CacheFile = None,
    no_cache: asking.NoCache = False,
    as_json: Annotated[bool, typer.Option("--json", help="The results on stdout, see docs/evaluation.md.")] = False,
    quiet: options.Quiet = False,
    log_format: options.Log = options.LogFormat.text,
) -> None:
    """Ask models the same questions and say what they are worth, with 95 % intervals and paired differences.

    Without a suite, axis or task the suite quick is asked.
    """
    from chatvector.cli.figures import counted
    from chatvector.cli.pairs import overrides, pairs
    from chatvector.cli.tasks import choose, known
    from chatvector.errors import UsageError, VerificationFailed, first_five
    from chatvector.evaluate.gates import parse_gate, with_gates
    from chatvector.evaluate.harness.brought import at_hand
    from chatvector.evaluate.judge.identity import refuse_judging_itself
    from chatvector.evaluate.judge.labels import read_labels
    from chatvector.evaluate.opening import Kind, Loading, template_from
    from chatvector.evaluate.opening import models as open_models
    from chatvector.evaluate.report import require_plot, write_report
    from chatvector.evaluate.request import Request
    from chatvector.evaluate.run import Evaluation
    from chatvector.evaluate.run import evaluate as run
    from chatvector.evaluate.saving import open_cache, refuse_unwritable, save
    from chatvector.evaluate.scorers.labelled import read_labelled
    from chatvector.evaluate.services import Wanted, open_services

    console = Console(quiet=quiet, log_format=log_format, as_json=as_json)
    registry = known()
    chosen = choose(
        registry, languages=language, suite=suite, axes=axis, tasks=task, limit=limit, usual="quick"
    )  # fmt: skip
    gates = [parse_gate(text) for text in require or ()]
    if out is not None:
        refuse_unwritable(out, overwrite=overwrite)
        require_plot()
    jobs, left_out = at_hand(chosen.jobs, console.say)
    template = None if chat_format_from is None else template_from(chat_format_from, console.say)
    loading = Loading(
        template=template,
        dtype=dtype,
        device=device,
        remote_code=remote_code,
        server=server,
        key_variable=key_variable,
        revision=server_revision,
        timeout=server_timeout,
    )
    urls = any("://" in name for name in (*models, judge or "", guard or ""))
    if server is None and not urls:
        _refuse_without_server(server_revision, server_timeout)
    plain = replace(loading, template=None, server=None)
    if judge_labels is not None and judge is None:
        raise UsageError("--judge-labels: of which judge? give --judge")
    people = None if judge_labels is None else read_labels(judge_labels)
    if guard_labels is not None and (guard is None or len(chosen.languages) > 1):
        raise UsageError("--guard-labels: of which guard, in which language? give --guard, and one --language")
    labelled = None if guard_labels is None else read_labelled(guard_labels)
    wanted = Wanted(
        toxicity=toxicity,
        labels=pairs("--toxicity-label", toxicity_label or []),
        languages=tuple(toxicity_language or ()),
        guard=guard,
        guard_format=guard_format,
        judge=judge,
        judge_itself=judge_itself,
        forced=force_language,
        device=device or "cpu",
    )
    request = Request(
        models=open_models(models, kind=Kind(backend.value), loading=loading, say=console.say),
        jobs=tuple(jobs),
        left_out=tuple(left_out),
        riders=registry.make_riders(),
        seed=seed,
        reference=reference,
        true_chat=true_chat,
        samples=samples,
        judge_labels=people,
        guard_labels=labelled,
        overrides=overrides(max_new_tokens, template_argument or []),
        limit=limit,
        suite=chosen.suite,
    )
    _check_gates(gates, request, console.warn)
    if judge is not None and not judge_itself:
        refuse_judging_itself(judge, models, plain)
    if no_cache:
        console.keeps_less("the same command begins again: --no-cache keeps no replies")
    elif urls and server_revision is None:
        console.keeps_less(
            "the same command asks servers again (their weights have no name: --server-revision) and continues with the"
            " rest"
        )
    with ExitStack() as stack:
        kept = None if no_cache else stack.enter_context(open_cache(cache, console.warn))

        def opened(name: str) -> Any:
            return open_models([name], loading=plain, say=console.say)[0].open()

        request = replace(request, services=open_services(wanted, stack, opened, kept, console.warn))
        for marker in open_models([name for name in (judge, guard) if name], loading=plain, say=console.say):
            marker.check(True)  # without a chat template it is of no use after all that was generated
        meter = stack.enter_context(console.progress("asking", "replies"))
        found = run(request, cache=kept, progress=meter, say=console.say)
    results = with_gates(found.results, gates, strict=strict_gates)
    if out is not None:
        save(Evaluation(results, found.items), out, overwrite=overwrite)
        write_report(out, out)
    console.result(results.model_dump(mode="json"), _text(results, out))
    missed = [row for row in results.gates if not row.passed]
    if missed:
        shown = first_five(f"{row.text} ({row.model}, {row.task}: {counted(row)})" for row in missed)
        raise VerificationFailed(f"required figures missed ({len(missed)}): {shown}")


def _refuse_without_server(revision: str | None, timeout: float | None) -> None:
    """Raise UsageError for a flag about servers, where no model is behind one."""
    from chatvector.errors import UsageError

    for flag, value in (("--server-revision", revision), ("--server-timeout", timeout)):
        if value is not None:
            said = value if isinstance(value, str) else f"{value:g}"
            raise UsageError(f"{flag} {said}: of which server? no URL and no --server is given")


def _check_gates(gates: list[Gate], request: Request, warn: Say) -> None:
    """Refuse before anything is generated what names nothing, and warn of what asks for bad figures. Raises
    UsageError."""
    from chatvector.errors import UsageError
    from chatvector.evaluate.gates import addresses, wrong_way
    from chatvector.evaluate.tally import metric_row

    measured = [*(job.task for job in request.jobs), *request.riders]
    known = [at for one in measured for at in addresses(one.axis, one.name, map(metric_row, one.metrics))]
    names = [model.name for model in request.models]
    for gate in gates:
        line = wrong_way(gate, known)
        if line is not None:
            warn(line)
        if gate.model is not None and gate.model not in names:
            raise UsageError(f"--require {gate.text}: no model {gate.model!r}; there are {', '.join(names)}")


def _text(results: Results, out: Path | None) -> str:
    """Tables for people: the primary figures, differences to the reference, what was recovered, warnings, gates."""
    from chatvector.cli.figures import difference_table, figure_table, gate_lines, recovery_lines

    parts = [figure_table(results)]
    if results.differences:
        parts.append(difference_table(results))
    parts += [recovery_lines(results)] if results.recovery else []
    lines = [f"not asked: {row.model}, {row.task} ({row.language}): {row.why}" for row in results.absent]
    lines += [f"warning: {line}" for line in results.warnings]
    lines += gate_lines(results)
    if out is not None:
        lines.append(f"{out}: report.html, report.md, results.json; prompts, replies and marks in items/")
    return "\n\n".join([*parts, "\n".join(lines)] if lines else parts)
