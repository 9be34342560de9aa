# SPDX-License-Identifier: Apache-2.0
"""`chatvector check`: do three models fit, and is their lineage what the user thinks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chatvector.cli import options
from chatvector.cli.console import Console
from chatvector.cli.examples import examples

if TYPE_CHECKING:
    from chatvector.checking import Check
    from chatvector.checks.connectivity import Connectivity, LossPath
    from chatvector.checks.geometry import Products
    from chatvector.runtime.texts import ProbeTexts

EPILOG = examples(
    "chatvector check demo:base demo:chat demo:target",
    "chatvector check meta-llama/Llama-2-7b-hf meta-llama/Llama-2-7b-chat-hf beomi/llama-2-ko-7b --json",
    "chatvector check demo:base demo:chat demo:target --probe",
    "chatvector check meta-llama/Llama-2-7b-hf meta-llama/Llama-2-7b-chat-hf beomi/llama-2-ko-7b --probe --language ko",
    note="Exit code 3 where apply would refuse, 4 where the probe says no-go. docs/lineage.md explains every figure of"
    " the lineage, docs/probe.md those of the probe.",
)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("check", epilog=EPILOG)(check)


def check(
    base: options.BaseModel,
    chat: options.ChatModel,
    target: Annotated[str, typer.Argument(help="The continually pre-trained model.", show_default=False)],
    probe: Annotated[
        bool,
        typer.Option(
            "--probe",
            help="Measure also the losses of target + s·τ on the target's text and on chat replies: go or no-go. Merges"
            " eight times into a temporary directory; needs chatvector[local].",
        ),
    ] = False,
    language: Annotated[
        str | None,
        typer.Option(
            help="Probe with the package's own small texts: ja, ko or zh-Hant.", metavar="LANGUAGE", show_default=False
        ),
    ] = None,
    target_text: Annotated[
        Path | None,
        typer.Option(
            help="Probe with this UTF-8 text in the target's language, documents parted by empty lines.",
            show_default=False,
        ),
    ] = None,
    chat_text: Annotated[
        Path | None,
        typer.Option(
            help='Probe with the replies in this file, {"messages": […]} a line, in the language wanted.',
            show_default=False,
        ),
    ] = None,
    chat_format: Annotated[
        str,
        typer.Option(help="Probe in this chat format: auto, target, vector, or a template FILE.", metavar="WHOSE|FILE"),
    ] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout, see docs/lineage.md.")] = False,
    quiet: options.Quiet = False,
    log_format: options.Log = options.LogFormat.text,
) -> None:
    """Say whether BASE, CHAT and TARGET fit, and whether base is the ancestor of the other two.

    Reads headers, configurations, templates and a sample of at most 32 MiB a model; writes nothing. The probe reads the
    models whole, several times.
    """
    from contextlib import ExitStack

    from chatvector.checking import check_models
    from chatvector.errors import ChatVectorError, UsageError
    from chatvector.preparation import open_model

    console = Console(quiet=quiet, log_format=log_format, as_json=as_json)
    if not probe and (language, target_text, chat_text) != (None, None, None):
        raise UsageError("--language, --target-text and --chat-text say what --probe measures on; give --probe as well")
    texts = _texts((base, chat, target), language, target_text, chat_text) if probe else None
    with ExitStack() as stack:
        models = (open_model(name, stack, console.say, stream=True) for name in (base, chat, target))
        found = check_models(*models, chat_format=chat_format)
    document, lines = found.as_dict(), text(found)
    answer, problem = None, None
    if texts is not None and not found.fit.refusals:
        from chatvector.probe import probe as run

        try:
            measured = run(base, chat, target, texts, chat_format=chat_format, say=console.say)
        except ChatVectorError as error:
            problem = error
            document |= {"probe": {"problem": str(error)}}
            lines += f"\n\nprobe: not measured ({error})"
        else:
            answer = measured.answer
            document |= {"probe": {**measured.as_dict(), "texts": texts.source}}
            lines += f"\n\n{_probe_text(measured, texts)}"
    console.result(document, lines)
    if found.refused or answer == "no-go":
        raise typer.Exit(3 if found.refused else 4)
    if problem is not None:
        raise problem


def _texts(
    names: tuple[str, str, str], language: str | None, target_text: Path | None, chat_text: Path | None
) -> ProbeTexts:
    """What the probe reads: the user's files, the package's texts, or for the embedded trio its own world."""
    from chatvector.checkpoint.names import DEMO_PREFIX
    from chatvector.errors import UsageError
    from chatvector.runtime.loading import require_extra
    from chatvector.runtime.texts import LANGUAGES, ProbeTexts, packaged, read_conversations, read_documents

    require_extra("The probe")
    rest: ProbeTexts | None = None
    if language is not None:
        rest = packaged(language)
    elif all(name.startswith(DEMO_PREFIX) for name in names):
        from chatvector.lab.probe_texts import world_texts

        rest = world_texts()
    elif target_text is None or chat_text is None:
        raise UsageError(
            f"--probe: say what to measure on: --language {'|'.join(LANGUAGES)}, or --target-text FILE and --chat-text"
            " FILE.jsonl"
        )
    plain = rest.documents if target_text is None and rest is not None else read_documents(Path(str(target_text)))
    talk = rest.conversations if chat_text is None and rest is not None else read_conversations(Path(str(chat_text)))
    own = [str(file) for file in (target_text, chat_text) if file is not None]
    sources = own + ([rest.source] if rest is not None and len(own) < 2 else [])
    return ProbeTexts(plain, talk, " and ".join(sources))


def _probe_text(found: Connectivity, texts: ProbeTexts) -> str:
    """Go or no-go for people: the answer, its reasons, the losses along the scale."""
    from chatvector.cli.describe import table

    lines = [f"probe: {found.answer}", *(f"  {reason}" for reason in found.reasons)]
    lines.append(
        f"  on {texts.source}: {found.target.documents} documents ({found.target.nbytes} bytes), replies of"
        f" {found.chat.documents} conversations ({found.chat.nbytes} bytes)"
    )
    for name, path in (("target's text", found.target), ("chat replies", found.chat)):
        said = {True: "connected", False: "not connected", None: "not sure"}[path.connected]
        if path.barrier is not None:
            lines.append(
                f"  {name}: {said}, barrier {path.barrier.value:+.4f} ± {path.barrier.error:.4f} at {path.barrier_at:g}"
            )
    rows = [["chat model", f"{found.chat_model_loss:.3f}", "", "–" if found.kept[0] is None else "0%", "", ""]]
    for place, scale in enumerate(found.scales):
        share = found.kept[place]
        rows.append(
            [
                f"{scale:g}",
                *_changed(found.target, place),
                "–" if share is None else f"{share:.0%}",
                *_changed(found.chat, place),
            ]
        )
    header = ["scale", "target's text", "change", "advantage kept", "chat replies", "change"]
    return "\n".join(lines) + "\n\nbits per byte\n" + table(header, rows)


def _changed(path: LossPath, place: int) -> tuple[str, str]:
    change = path.change[place]
    return f"{path.loss[place]:.3f}", f"{change.value:+.3f} ± {change.error:.3f}"


def text(found: Check) -> str:
    """The verdict for people: one line, the reasons, the figures."""
    from chatvector.checks.lineage import EXCLUDED
    from chatvector.cli.describe import table

    lineage = found.lineage
    state = "refused" if found.refused else "warning" if found.warnings else "fine"
    if state == "fine" and lineage is not None and lineage.verdict == "undecided":
        state = "nothing found"
    lines = [f"{state}: {_headline(found)}"]
    lines += [f"  refused: {line}" for line in found.refusals]
    lines += [f"  warning: {line}" for line in found.warnings]
    if lineage is None:
        return "\n".join(lines)
    geometry = lineage.geometry
    held = geometry.chat_in_target
    # A target that moved far drowns the vector: an `ok` says less then, and nobody should take it for more.
    open_question = held is not None and not lineage.refused and held.above(1) > -EXCLUDED
    unsure = "; a whole vector is not excluded" if open_question else ""
    near = ", ".join(f"{pair.replace(' ', '–')} {cosine:.3f}" for pair, cosine in geometry.similarity().items())
    lines += [
        "",
        f"share of the chat vector in the target  {held or '–'}   (0: child of base, 1: of chat{unsure})",
        f"share of the target's step in chat      {geometry.target_in_chat or '–'}   (1: the paths part at the target)",
        f"cosines of the weights                  {near or '–'}   (near 0: strangers)",
        f"sample                                  {geometry.total.elements} weights of {geometry.tensors} tensors",
        "",
    ]
    rows = [("all that count", geometry.total), *geometry.roles.items()]
    rows += [(f"layer {layer}", products) for layer, products in geometry.layers.items()]
    cells = [
        [name, *("–" if value is None else form.format(value) for value, form in zip(_figures(p), _FORMS, strict=True))]
        for name, p in rows
    ]
    header = ["", "|chat − base| / |base|", "|target − base| / |base|", "cosine", "projection"]
    return "\n".join(lines) + "\n" + table(header, cells)


_FORMS = ("{:.4f}", "{:.4f}", "{:+.3f}", "{:+.3f}")


def _figures(products: Products) -> list[float | None]:
    figures = products.as_dict()
    return [figures[key] for key in ("tau_over_base", "drift_over_base", "cosine", "projection")]


def _headline(found: Check) -> str:
    names = found.names
    trio = f"base {names['base']}, chat {names['chat']}, target {names['target']}"
    if found.lineage is None:
        return f"the models do not fit together ({trio})"
    if found.fit.refusals:
        return f"the output would be no chat model; lineage {found.lineage.verdict} ({trio})"
    return f"{found.lineage.verdict} ({trio})"
