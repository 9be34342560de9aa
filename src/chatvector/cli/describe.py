# SPDX-License-Identifier: Apache-2.0
"""Jobs and manifests as text for people and as documents for `--json`."""

from __future__ import annotations

import io
import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from chatvector.checkpoint.names import is_store
from chatvector.provenance.manifest import OF_THE_VOCABULARY, adds_to_rows
from chatvector.sizes import disk_size, memory_size
from chatvector.vocabulary.choice import describe as describe_choice

if TYPE_CHECKING:
    from chatvector.checkpoint.remote import Transfer
    from chatvector.preparation import Job
    from chatvector.provenance.licences import Verdict

WIDTH = 110
GAP = "   "


def job_document(job: Job, threads: int, licences: Verdict) -> dict[str, Any]:
    """The plan as data: schema in docs/manifest.md."""
    from chatvector.preparation import transfers
    from chatvector.record import effective_scales

    return {
        "plan": job.plan.hash,
        "recipe": job.recipe.model_dump(mode="json", exclude_defaults=True),
        "parents": dict(job.fingerprints),
        "tensors": len(job.plan.tensors),
        "bytes_read": job.plan.bytes_read,
        "bytes_written": job.plan.bytes_written,
        "buffer_bytes": job.plan.thread_bytes * threads,
        "threads": threads,
        "transfers": [
            {"name": one.name, "bytes": one.nbytes, "cached": one.nbytes_cached, "missing": one.nbytes_missing}
            for one in transfers(job)
        ],
        "shards": {shard.file: shard.size for shard in job.plan.shards},
        "chat_format": describe_choice(job.choice),
        "vocabulary": job.vocabulary.report.as_dict(),
        "scales": effective_scales(job),
        "lineage": [None if verdict is None else verdict.summary() for verdict in job.lineage],
        "licences": licences.as_dict(),
        "warnings": list(job.warnings),
    }


def job_text(job: Job, threads: int, licences: Verdict) -> str:
    """The plan for people."""
    lines = [
        f"plan {job.plan.hash}: {len(job.plan.tensors)} tensors, reads {disk_size(job.plan.bytes_read)},"
        f" writes {disk_size(job.plan.bytes_written)} in {len(job.plan.shards)} file(s),"
        f" buffers {memory_size(job.plan.thread_bytes * threads)} on {threads} thread(s)",
        f"target {job.target.name}",
    ]
    for number, (vector, scales) in enumerate(zip(job.vectors, _rules(job), strict=True), 1):
        lines.append(f"vector {number}: {vector.name}; {scales}")
    for number, verdict in enumerate(job.lineage, 1):
        if verdict is not None:
            lines.append(f"lineage {number}: {lineage_text(verdict.summary())}")
    from chatvector.preparation import transfers

    lines += [transfer_text(one, stream=job.recipe.stream) for one in transfers(job)]
    lines.append(format_text(describe_choice(job.choice), job.recipe.system_prompt))
    added = any(tensor.terms for tensor in job.plan.tensors if tensor.role in OF_THE_VOCABULARY)
    lines.append(vocabulary_text(job.vocabulary.report.as_dict(), added=added))
    lines.append(licences_text(licences))
    lines += _probe_hint(job)
    return "\n".join(line for line in lines if line)


def _probe_hint(job: Job) -> list[str]:
    """How to measure whether the vector carries over, where that can be: not for vectors on disk or several of them."""
    from importlib.util import find_spec

    specs = job.recipe.vectors
    if len(specs) != 1 or specs[0].base is None or specs[0].chat is None:
        return []
    if any(find_spec(name) is None for name in ("torch", "transformers")):
        return []
    models = shlex.join([specs[0].base, specs[0].chat, job.recipe.target])
    return [f"will the vector carry over: chatvector check {models} --probe"]


def licences_text(licences: Verdict) -> str:
    """The output's licence and what publishing asks for; conflicts are said apart."""
    lines = [f"licence of the output: {licences.output or 'not determined'}"]
    lines += [
        f"  {licence.id} asks for a name that begins with {text!r}, or push refuses"
        for licence, text in licences.rules("name")
    ]
    lines += [f"  {licence.id} asks to show {text!r}" for licence, text in licences.rules("display")]
    lines += [f"  not to be shared: {line}" for line in licences.forbidden]
    return "\n".join(lines)


def transfer_text(one: Transfer, *, stream: bool) -> str:
    """What will move over the network for a parent."""
    cached = f", {disk_size(one.nbytes_cached)} are in the cache" if one.nbytes_cached else ""
    if one.by_range_only or stream:
        return f"network: {one.name}: reads {disk_size(one.nbytes_missing)} by range{cached}; nothing lands on disk"
    return (
        f"network: {one.name}: downloads {disk_size(one.nbytes_missing)}{cached}; --stream reads it by range instead,"
        " without the disk"
    )


def lineage_text(found: Mapping[str, Any]) -> str:
    """Verdict and main figures of one pair of parents, from a manifest."""
    held, error = found["chat_in_target"], found["chat_in_target_error"]
    figures = [] if held is None else [f"share of the chat vector in the target {held:+.2f} ± {error:.2f}"]
    if found["drift_over_tau"] is not None:
        figures.append(f"drift/τ {found['drift_over_tau']:.2f}")
    if found["tau_over_base"] is not None:
        figures.append(f"τ/base {found['tau_over_base']:.3f}")
    return "; ".join([found["verdict"], *([", ".join(figures)] if figures else [])])


def format_text(chat_format: Mapping[str, Any], system_prompt: str) -> str:
    """Whose chat format, how a reply ends, and what becomes of the words that the template injects.

    `system_prompt`: the recipe's wish, `keep`, `none` or a text.
    """
    if chat_format.get("templates") is None:
        return f"chat format: {chat_format['source']}, none"
    stops = " ".join(chat_format["stop_tokens"])
    lines = [f"chat format: from {chat_format['source']}; a reply ends with {stops or 'nothing'}"]
    injected = chat_format["injected_system_prompt"]
    if injected and system_prompt == "keep":
        lines.append(f"  the template injects {injected!r}; --system-prompt none or TEXT replaces it")
    elif injected and system_prompt == "none":
        lines.append(f"  the chat model's template injects {injected!r}; that is taken out")
    elif system_prompt not in ("keep", "none"):
        lines.append(f"  where a conversation has no system message, it is {system_prompt!r}")
    return "\n".join(lines)


def vocabulary_text(report: Mapping[str, Any], *, added: bool) -> str:
    """Counts of rows, and the table of template tokens; `added`: embedding or head has a scale that is not 0."""
    from chatvector.provenance.card import done_to

    text = (
        f"vocabulary ({report['policy']}): {report['rows']} rows, shared {', '.join(map(str, report['rows_shared']))},"
        f" transplanted {report['rows_transplanted']}, kept {report['rows_kept']}, padding {report['rows_padding']};"
        f" {report['tokens_added']} tokens added"
    )
    if any(report["rows_shared"]) and not added:
        text += "; none of the shared get a difference, as embedding and head have scale 0"
    rows = [
        [
            entry["token"],
            *("–" if entry[side] is None else str(entry[side]) for side in ("chat", "base", "target", "out")),
            done_to(entry, added=added),
            entry["why"],
        ]
        for entry in report["template_tokens"]
    ]
    if not rows:
        return text
    return text + "\n" + table(["token", "chat", "base", "target", "out", "row", "why"], rows)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A plain table, columns aligned also where letters are two cells wide; long cells are folded."""
    return _narrow_table([header, *rows]) or _folded_table(header, rows)


def _narrow_table(rows: Sequence[Sequence[str]]) -> str | None:
    """The table as rich would print it, where nothing has to be folded: rich's tables cost 25 ms of start-up."""
    from rich.cells import cell_len

    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    total = sum(widths) + len(GAP) * (len(widths) - 1)
    if total > WIDTH or any("\n" in cell for row in rows for cell in row):
        return None
    lines = [
        GAP.join(cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([lines[0], "─" * total, *lines[1:]])


def _folded_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for title in header:
        grid.add_column(title, overflow="fold")
    for row in rows:
        grid.add_row(*(Text(cell) for cell in row))
    buffer = io.StringIO()
    Console(file=buffer, width=WIDTH, no_color=True).print(grid)
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines())


# What did the arithmetic, for people.
KERNELS = {"native": "compiled kernel", "numpy": "numpy kernels, which are slower"}


def result_text(manifest: Mapping[str, Any], output: str) -> str:
    """What a finished merge prints."""
    run = manifest["run"]
    rate = (run["bytes_read"] + run["bytes_written"]) / max(run["seconds"], 1e-9)
    norms = manifest["statistics"]["roles"]
    lines = [
        f"{output}: {disk_size(run['bytes_written'])} in {run['seconds']:.1f} s ({disk_size(rate)}/s),"
        f" peak memory {memory_size(run['peak_memory_bytes'])}, {KERNELS[run['engine']]}",
        "norm of the vector by role, unscaled, without tensors of scale 0: "
        + ", ".join(
            f"{role} {' + '.join(f'{norm:.3g}' for norm in figures['tau_norm'])}" for role, figures in norms.items()
        ),
        *(
            f"lineage {number}: {lineage_text(found)}"
            for number, found in enumerate(manifest["lineage"], 1)
            if found is not None
        ),
        format_text(manifest["chat_format"], manifest["recipe"]["system_prompt"]),
        vocabulary_text(manifest["vocabulary"], added=adds_to_rows(manifest)),
    ]
    vectors = manifest["recipe"]["vectors"]
    if {vector["scale"] for vector in vectors} == {1.0}:
        lines.append("scale 1.0 is the paper's value, not a recommendation: try --scale 0.5 and 0.75 beside it")
    if len(vectors) == 1:
        lines.append(f"which scale is best: {_sweep_command(run['recipe'])}")
    lines.append(f"again: {_again_command(output)}")
    return "\n".join(lines)


def _again_command(output: str) -> str:
    """Makes the same bytes again."""
    return (
        f"chatvector run {shlex.quote(output.rstrip('/') if is_store(output) else output)}/chat_vector.json -o ANOTHER"
    )


def _sweep_command(recipe: Mapping[str, Any]) -> str:
    """Measures along the scale; the embedded trio has a suite with a language of its own."""
    target, (vector,) = recipe["target"], recipe["vectors"]
    parents = (
        ["--vector", vector["vector"]] if vector.get("vector") else ["--base", vector["base"], "--chat", vector["chat"]]
    )
    language = "" if target.startswith("demo:") else " --language LANGUAGE"
    return shlex.join(["chatvector", "sweep", target, *parents]) + language


def _rules(job: Job) -> list[str]:
    from chatvector.record import effective_scales

    return [
        ", ".join(f"{rule} on {count}" for rule, count in found["rules"].items()) or "touches no tensor"
        for found in effective_scales(job)
    ]
