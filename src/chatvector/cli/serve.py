# SPDX-License-Identifier: Apache-2.0
"""`chatvector serve`: a model behind an OpenAI-compatible URL, by `transformers serve`."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chatvector.cli import asking, options
from chatvector.cli.console import Console
from chatvector.cli.examples import examples

if TYPE_CHECKING:
    from chatvector.runtime.transformers_server import TransformersServer

EPILOG = examples(
    "chatvector serve my-merge",
    "chatvector serve my-merge --port 8080 --dtype bf16",
    "chatvector eval http://127.0.0.1:8000/v1 --language ko",
    note="Ctrl-C ends the server. vLLM takes the directory too, llama.cpp and Ollama what `chatvector export` writes:"
    " docs/serving.md.",
)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("serve", epilog=EPILOG)(serve)


def serve(
    model: Annotated[str, typer.Argument(help="The model to serve. " + options.MODEL, show_default=False)],
    host: Annotated[
        str, typer.Option(help="Address to listen at; 0.0.0.0 lets everybody in, without a key.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at; 0 takes a free one.")] = 8000,
    name: Annotated[
        str | None,
        typer.Option(help="What clients call the model; by default as its directory is called.", show_default=False),
    ] = None,
    dtype: asking.Dtype = None,
    device: asking.Device = None,
    remote_code: asking.RemoteCode = False,
    force: Annotated[bool, typer.Option("--force", help="Serve it although `doctor` finds faults.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON document on stdout once it answers, see docs/serving.md.")
    ] = False,
    quiet: options.Quiet = False,
    log_format: options.Log = options.LogFormat.text,
) -> None:
    """Serve a model behind an OpenAI-compatible URL, by `transformers serve`, until Ctrl-C.

    First looks whether it can chat: template, stop tokens, and whatever `doctor` would find.
    """
    from chatvector.errors import HubError, UsageError
    from chatvector.runtime.loading import local_directory, parameter_bytes
    from chatvector.runtime.memory import require_memory
    from chatvector.runtime.transformers_server import TransformersServer, free_address, plain_name, require_serving
    from chatvector.sizes import memory_size

    console = Console(quiet=quiet, log_format=log_format, as_json=as_json)
    if name is not None and plain_name(name) != name:
        raise UsageError(f"--name {name}: clients need a plain name, such as {plain_name(name)}")
    require_serving()
    address = free_address(host, port)
    _examine(model, console, force=force)
    directory = local_directory(model, console.say)
    place = device or _device()
    on_cpu = place.startswith("cpu")
    kind = dtype or ("fp32" if on_cpu else "auto")
    need = parameter_bytes(directory, dtype=kind, device=place)
    console.say(require_memory(need, model) if on_cpu else f"{model} takes {memory_size(need)}")
    if not _samples(directory):
        console.say(
            "generation_config.json has no do_sample: this server then takes the most likely token, whatever"
            " temperature a request names"
        )
    if host not in ("127.0.0.1", "::1", "localhost"):
        console.warn(f"it listens at {host} and asks for no key: whoever reaches that address can use it")
    server = TransformersServer(
        directory, name or plain_name(model), address, dtype=kind, device=place, remote_code=remote_code,
        note=console.say,
    )  # fmt: skip
    console.keeps_less("the server is ended, the same command starts it again")
    with _hung_up_is_ended(), server.running() as process:
        console.result(_document(server, kind, place), _text(server))
        process.wait()
        raise HubError(server.ended(process))


def _examine(model: str, console: Console, *, force: bool) -> None:
    """What a server would stumble over. Raises MissingInput for a model without a template, VerificationFailed for one
    with faults unless they were accepted."""
    from chatvector.checks.doctor.examine import examine
    from chatvector.errors import MissingInput, VerificationFailed, first_five

    diagnosis = examine(model, console.say)
    if not diagnosis.chat.conversations and diagnosis.healthy:
        raise MissingInput(
            f"{model} has no chat template, and a server would refuse every conversation: `chatvector apply` brings"
            f" the chat model's along, also with --scale 0"
        )
    for finding in diagnosis.findings:
        if finding.level != "note":
            console.warn(f"{finding.code}: {finding.detail}; {finding.fault.consequence}")
    if not diagnosis.healthy and not force:
        codes = first_five(dict.fromkeys(finding.code for finding in diagnosis.faults))
        raise VerificationFailed(
            f"{model}: faults found ({len(diagnosis.faults)}): {codes}; `chatvector doctor {model}` says what to do,"
            f" --force serves it all the same"
        )


def _samples(directory: Path) -> bool:
    """Whether `transformers serve` draws at all: it goes by the model's own settings, and a temperature alone does not
    change that (measured with 5.23)."""
    file = directory / "generation_config.json"
    return file.is_file() and json.loads(file.read_bytes()).get("do_sample") is True


def _device() -> str:
    """All GPUs, or the CPU: what torch finds, asked in a process of its own as it holds 200 MB."""
    asked = [sys.executable, "-c", "import torch; raise SystemExit(0 if torch.cuda.is_available() else 9)"]
    return "auto" if subprocess.run(asked, check=False, stdin=subprocess.DEVNULL).returncode == 0 else "cpu"


@contextmanager
def _hung_up_is_ended() -> Iterator[None]:
    """A closed terminal ends the server as SIGTERM does: it runs in a session of its own and would go on unseen."""
    before = signal.getsignal(signal.SIGHUP)
    if before is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, signal.getsignal(signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


def _document(server: TransformersServer, dtype: str, device: str) -> dict[str, Any]:
    return {
        "url": server.address.url,
        "model": server.name,
        "directory": str(server.directory),
        "dtype": dtype,
        "device": device,
    }


def _text(server: TransformersServer) -> str:
    url, name = server.address.url, server.name
    question = json.dumps({"model": name, "messages": [{"role": "user", "content": "Hello!"}]})
    curl = f"curl {url}/chat/completions -H 'Content-Type: application/json' -d {shlex.quote(question)}"
    return "\n".join(
        [
            f"{name} answers at {url}, Ctrl-C ends it",
            f"  ask it      {curl}",
            f'  in Python   OpenAI(base_url="{url}", api_key="none").chat.completions.create(model="{name}", …)',
            f"  measure it  chatvector eval {url} --language ko",
        ]
    )
