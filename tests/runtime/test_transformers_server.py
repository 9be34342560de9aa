# SPDX-License-Identifier: Apache-2.0
"""What is done around `transformers serve`, beside programs that stand for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from chatvector.checkpoint.names import resolve
from chatvector.errors import HubError
from chatvector.runtime import served_process, transformers_server
from chatvector.runtime.transformers_server import Address, TransformersServer, free_address, plain_name

HEALTHY = """
import http.server, json, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def log_message(self, *_): pass
hub = {name: value for name, value in os.environ.items() if name.startswith("HF_")}
print(json.dumps([sys.argv[1:], os.listdir(), hub]), flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Handler).serve_forever()
"""


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transformers_server, "SECONDS_BETWEEN_LOOKS", 0.05)


def server(program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[str]) -> TransformersServer:
    script = tmp_path / "program.py"
    script.write_text(program)
    monkeypatch.setattr(served_process, "__file__", str(script))
    directory = resolve("demo:chat").path
    assert directory is not None
    address = free_address("127.0.0.1", 0)
    return TransformersServer(directory, "org/m", address, dtype="bf16", device="cpu", note=lines.append)


def test_it_sees_one_model_and_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import scan_cache_dir, snapshot_download

    lines: list[str] = []
    one = server(HEALTHY, tmp_path, monkeypatch, lines)
    with one.running() as process:
        (arguments, here, environment), cache = json.loads(lines[0]), ""
        assert arguments[:3] == ["org/m", "--host", "127.0.0.1"]
        assert arguments[5:] == ["--dtype", "bfloat16", "--device", "cpu"]
        assert here == []
        assert environment["HF_HUB_OFFLINE"] == "1"
        cache = environment["HF_HUB_CACHE"]
        (found,) = scan_cache_dir(cache).repos
        assert (found.repo_id, found.repo_type) == ("org/m", "model")
        place = Path(snapshot_download("org/m", cache_dir=cache, local_files_only=True))
        assert {file.name for file in place.iterdir()} == {file.name for file in one.directory.iterdir()}
        assert (place / "config.json").read_bytes() == (one.directory / "config.json").read_bytes()
    assert process.returncode is not None
    assert not Path(cache).exists()
    assert (one.directory / "config.json").is_file()


@pytest.mark.parametrize(
    ("program", "how"),
    [
        (
            "print('first'); print('no such kernel'); raise SystemExit(3)",
            "with status 3; its last line: no such kernel",
        ),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "by SIGKILL; its last line: it wrote nothing"),
    ],
)
def test_one_that_ends_before_it_answers(
    program: str, how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        pytest.raises(HubError, match=f"the server of org/m ended {how}"),
        server(program, tmp_path, monkeypatch, []).running(),
    ):
        pass


def test_one_that_nobody_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = server("", tmp_path, monkeypatch, [])
    with subprocess.Popen([sys.executable, "-c", "raise SystemExit(4)"]) as process:
        assert one.ended(process) == "the server of org/m ended with status 4; its last line: it wrote nothing"


def test_one_that_will_not_end_is_killed_and_at_once_by_a_second_ctrl_c(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transformers_server, "SECONDS_TO_STOP", 0.3)
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + HEALTHY
    with server(deaf, tmp_path, monkeypatch, []).running() as process:
        pass
    assert process.returncode == -9

    monkeypatch.setattr(transformers_server, "SECONDS_TO_STOP", 60.0)
    with pytest.raises(KeyboardInterrupt), server(deaf, tmp_path, monkeypatch, []).running() as process:
        monkeypatch.setattr(process, "wait", _interrupted)
    assert subprocess.Popen.wait(process, 60) == -9


def _interrupted(_seconds: float | None = None) -> int:
    raise KeyboardInterrupt


def test_it_ends_with_whoever_started_it(tmp_path: Path) -> None:
    """The real program, and a package that stands for transformers."""
    fake = tmp_path / "transformers" / "cli"
    fake.mkdir(parents=True)
    for folder in (fake.parent, fake):
        (folder / "__init__.py").touch()
    (fake / "transformers.py").write_text(
        "import sys, time\ndef main():\n    print(sys.argv, flush=True)\n    time.sleep(600)\n"
    )
    command = [sys.executable, "-P", served_process.__file__, "m", "--port", "1"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"['transformers', 'serve', 'm', '--port', '1']\n"
        assert process.poll() is None
        process.stdin.close()
        assert process.wait(120) == -15


def test_names_and_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org" / "m").mkdir(parents=True)
    names = {
        "out/": "out",
        "./내 모델 v1..2": "v1.2",
        "org/model@v2": "org/model",
        "org/m": "m",  # a folder
        "demo:chat": "demo-chat",
        "눈": "model",
        "a--b.git": "a-b",
    }
    assert {text: plain_name(text) for text in names} == names
    assert len(plain_name("x" * 300)) <= 96
    assert all(plain_name(name) == name for name in names.values())
    assert Address("0.0.0.0", 8000).url == "http://127.0.0.1:8000/v1"
    assert Address("::1", 8000).url == "http://[::1]:8000/v1"
    assert Address("127.0.0.1", 1).url == "http://127.0.0.1:1/v1"
