# SPDX-License-Identifier: Apache-2.0
"""Models from the hub, against a hub of our own on the loopback."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub import constants

from chatvector.checkpoint import hub as hub_module
from chatvector.checkpoint.hub import fetch, plan_download
from chatvector.checkpoint.hub_errors import explain_os
from chatvector.errors import HubError, MissingInput, NotEnoughSpace, UnsupportedFormat
from hub_server import Fault, HubServer

NEEDED = {
    "config.json": b"{}",
    "model.safetensors": b"x" * 5000,
    "tokenizer.json": b'{"model": {}}',
    "chat_template.jinja": b"{{ messages }}",
    "additional_chat_templates/tool_use.jinja": b"{{ tools }}",
    "LICENSE": b"Apache-2.0",
}
NOT_NEEDED = {
    "consolidated.safetensors": b"c",
    "pytorch_model.bin": b"p",
    "model.Q4.gguf": b"g",
    "README.md": b"r",
    ".gitattributes": b"a",
    "onnx/model.onnx": b"o",
    "optimizer.pt": b"o",
}


def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    huggingface_hub.close_session()


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_only_what_is_needed_arrives(hub: HubServer) -> None:
    commit = hub.add("org/m", NEEDED | NOT_NEEDED)
    folder = fetch("org/m")
    assert folder.name == commit
    assert contents(folder) == NEEDED
    assert hub.downloaded() == sorted(NEEDED)
    # Weights are fetched at the commit, never at the branch, which may move meanwhile.
    assert all(f"/resolve/{commit}/" in r.path for r in hub.log if "/resolve/" in r.path)


def test_shards_are_those_of_the_index(hub: HubServer) -> None:
    index = b'{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}'
    shards = {f"model-0000{i}-of-00002.safetensors": b"s" * 2000 for i in (1, 2)}
    extra = {"model-00001-of-00003.safetensors": b"old", "pytorch_model.bin.index.json": b"{}"}
    hub.add("org/m", {"model.safetensors.index.json": index, "config.json": b"{}", **shards, **extra})
    assert contents(fetch("org/m")).keys() == {*shards, "model.safetensors.index.json", "config.json"}


def test_branches_tags_and_commits(hub: HubServer) -> None:
    first = hub.add("org/m", NEEDED)
    second = hub.add("org/m", NEEDED | {"config.json": b'{"v": 2}'}, branch="v2/final")
    assert fetch("org/m").name == first
    assert fetch("org/m", "v2/final").name == second
    assert fetch("org/m", second).name == second
    assert contents(fetch("org/m", "v2/final"))["config.json"] == b'{"v": 2}'


def test_a_branch_that_moves_brings_the_new_commit(hub: HubServer) -> None:
    old = fetch("org/m") if hub.add("org/m", NEEDED) else None
    new = hub.add("org/m", NEEDED | {"config.json": b"[]"})
    hub.log.clear()
    assert fetch("org/m").name == new
    assert hub.downloaded() == ["config.json"]  # what did not change is not fetched again
    assert old is not None
    assert contents(old) == NEEDED


def test_a_cached_commit_needs_no_network(hub: HubServer) -> None:
    commit = hub.add("org/m", NEEDED)
    fetch("org/m")
    hub.log.clear()
    assert fetch("org/m", commit).name == commit
    assert hub.log == []


def test_offline_from_the_cache(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = hub.add("org/m", NEEDED | NOT_NEEDED)
    fetch("org/m")
    offline(monkeypatch)
    hub.log.clear()
    assert fetch("org/m").name == fetch("org/m", "main").name == fetch("org/m", commit).name == commit
    plan = plan_download("org/m")
    assert (plan.nbytes_missing, plan.cached) == (0, frozenset(NEEDED))
    assert hub.log == []


def test_offline_without_it(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    offline(monkeypatch)
    with pytest.raises(HubError, match=r"^org/m@v2: is not in the cache .*/cache and HF_HUB_OFFLINE is set; unset it"):
        fetch("org/m", "v2")
    with pytest.raises(HubError, match="is not in the cache"):
        fetch("org/m", "../../etc")
    assert hub.log == []


def test_offline_with_an_incomplete_snapshot(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add("org/m", NEEDED)
    folder = fetch("org/m")
    (folder / "tokenizer.json").unlink()
    offline(monkeypatch)
    with pytest.raises(
        HubError, match=r"1 of 6 files are not in the cache \(tokenizer.json\) and HF_HUB_OFFLINE is set"
    ):
        fetch("org/m")


def test_offline_with_a_library_that_keeps_no_file_lists(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    shards = {f"model-0000{i}-of-00002.safetensors": b"s" * 2000 for i in (1, 2)}
    hub.add("org/m", {"config.json": b"{}", **shards})
    folder = fetch("org/m")
    monkeypatch.setattr(hub_module, "_known_tree", lambda *_: None)  # huggingface_hub 1.x
    offline(monkeypatch)
    assert fetch("org/m") == folder
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(HubError, match=r"cannot be used offline from the cache .*1 of 2 shards are not there"):
        fetch("org/m")


def test_a_plan_tells_bytes_and_fetches_no_weights(hub: HubServer) -> None:
    commit = hub.add("org/m", NEEDED | NOT_NEEDED)
    plan = plan_download("org/m")
    sizes = {name: len(content) for name, content in NEEDED.items()}
    assert (plan.commit, plan.files, plan.nbytes) == (commit, sizes, sum(sizes.values()))
    assert (plan.nbytes_cached, plan.nbytes_missing, plan.cached) == (0, plan.nbytes, frozenset())
    assert hub.downloaded() == []
    fetch("org/m")
    plan = plan_download("org/m")
    assert (plan.nbytes_cached, plan.nbytes_missing) == (plan.nbytes, 0)


def test_a_cut_download_goes_on_where_it_stopped(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)  # huggingface_hub keeps whole chunks
    hub.add("org/m", NEEDED)
    hub.faults.append(Fault("GET", "model.safetensors", cut_after=3000, times=1))
    assert contents(fetch("org/m")) == NEEDED
    ranges = [r.headers.get("Range") for r in hub.log if r.method == "GET" and r.path.endswith("model.safetensors")]
    assert ranges == [None, "bytes=3000-"]


def test_a_connection_that_keeps_breaking_then_the_same_command(hub: HubServer) -> None:
    hub.add("org/m", NEEDED)
    hub.faults.append(Fault("GET", "model.safetensors", cut_after=0))
    with pytest.raises(
        HubError, match=r"^org/m: the connection to http://127.0.0.1:\d+ broke off .*the same command goes on"
    ):
        fetch("org/m")
    hub.faults.clear()
    assert contents(fetch("org/m")) == NEEDED


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault("GET", "/api/models", status=401), "there is no such model, or it is private .401.; check the name"),
        (Fault("GET", "/api/models", status=403), "access is forbidden .403.; your token lacks the right"),
        (
            Fault("GET", "/api/models", status=403, headers={"X-Error-Code": "GatedRepo"}),
            r"the model is gated; accept its terms at http://127.0.0.1:\d+/org/m, then log in",
        ),
        (Fault("GET", "/api/models", status=404), "there is no such model or file .404."),
        (Fault("GET", "/api/models", status=429), "too many requests .429.; wait some minutes"),
        (Fault("GET", "/api/models", status=503), r"the hub has trouble .503.; try again later, .* \[http://127.0.0.1:\d+\]"),
        (Fault("GET", "/api/models", status=200), "what answers is no hub"),
        (Fault("GET", "/api/models", cut_after=-1), "the connection to http://127.0.0.1:.* broke off"),
        (Fault("HEAD", "/resolve/", status=403), "access is forbidden .403."),
        (Fault("GET", "/resolve/", status=503), "the hub has trouble .503."),
        (Fault("GET", "/resolve/", status=429), "too many requests .429."),
        (
            Fault("GET", "/api/models", status=429, headers={"Retry-After": "4000"}),
            "too many requests .429.; wait 67 minutes, or log in",
        ),
        (
            Fault("GET", "/api/models", status=429, headers={"Retry-After": "1e300"}),
            "too many requests .429.; wait some minutes",
        ),
        (
            Fault("GET", "/api/models", status=503, headers={"Retry-After": "50000"}),
            "the hub has trouble .503.; try again in 14 hours, the same command",
        ),
        (Fault("GET", "/tree/", status=503), "the hub has trouble .503."),
    ],
)  # fmt: skip
def test_what_the_hub_may_answer(hub: HubServer, fault: Fault, message: str) -> None:
    hub.add("org/m", NEEDED)
    hub.faults.append(fault)
    with pytest.raises(HubError, match=f"^org/m: {message}") as caught:
        fetch("org/m")
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 6
    assert caught.value.__cause__ is not None
    hub.faults.clear()
    assert contents(fetch("org/m")) == NEEDED  # nothing that failed stays behind


def test_an_unknown_model_and_an_unknown_revision(hub: HubServer) -> None:
    hub.add("org/m", NEEDED)
    with pytest.raises(HubError, match=r"^org/none: there is no such model, or it is private"):
        fetch("org/none")
    with pytest.raises(HubError, match=r"^org/m@v9: the model has no such branch, tag or commit"):
        fetch("org/m", "v9")


@pytest.mark.usefixtures("hub")
def test_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # the discard port: refused
    with pytest.raises(
        HubError, match=r"^org/m: http://127.0.0.1:9 cannot be reached .*HF_HUB_OFFLINE=1 to use what is cached"
    ):
        fetch("org/m")


def test_a_hub_that_does_not_answer(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add("org/m", NEEDED)
    hub.faults.append(Fault("GET", "/api/models", stall=60))
    monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 0.1)
    with pytest.raises(HubError, match=r"http://127.0.0.1:\d+ does not answer in time; check the network"):
        fetch("org/m")


def test_what_is_no_model_is_said_before_any_weights(hub: HubServer) -> None:
    hub.add("org/lora", {"adapter_config.json": b"{}", "adapter_model.safetensors": b"x" * 2000})
    with pytest.raises(UnsupportedFormat, match=r"^org/lora: is an adapter"):
        fetch("org/lora")
    hub.add("org/empty", {"README.md": b""})
    with pytest.raises(MissingInput, match=r"^org/empty: there are no weights"):
        fetch("org/empty")
    assert "adapter_model.safetensors" not in hub.downloaded()


def test_a_full_disk_is_seen_before_the_download(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add("org/m", NEEDED)
    monkeypatch.setattr("shutil.disk_usage", lambda _path: SimpleNamespace(free=4999))
    with pytest.raises(
        NotEnoughSpace, match=r"^org/m: the download needs 5.0 kB, the cache at .*/cache has 5.0 kB free"
    ):
        fetch("org/m")
    assert hub.downloaded() == []


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (
            OSError(errno.ENOSPC, "No space left", "/c/x"),
            NotEnoughSpace,
            "m: the disk is full (/c/x); free some or set",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "/c"),
            HubError,
            "m: the cache cannot be written (/c: Perm",
        ),
        (OSError(errno.EROFS, "Read-only", "/c"), HubError, "m: the cache cannot be written (/c: Read-only); set HF"),
        (
            OSError("Consistency check failed:\nsize"),
            HubError,
            "m: the download failed (Consistency check failed: size)",
        ),
    ],
)
def test_what_the_disk_may_say(error: OSError, kind: type[Exception], message: str) -> None:
    explained = explain_os(error, "m")
    assert type(explained) is kind
    assert str(explained).startswith(message)


def test_progress_is_ours_and_no_bar_is_drawn(hub: HubServer, capfd: pytest.CaptureFixture[str]) -> None:
    commit = hub.add("org/m", NEEDED)
    lines: list[str] = []
    fetch("org/m", progress=lines.append)
    fetch("org/m", progress=lines.append)
    assert lines == [f"org/m: downloading 6 files, 5.0 kB, of commit {commit[:12]}"]
    assert capfd.readouterr() == ("", "")


def test_no_telemetry(hub: HubServer) -> None:
    hub.add("org/m", NEEDED)
    fetch("org/m")
    assert {r.path.split("/")[1] for r in hub.log} == {"api", "org"}
    assert all("telemetry" not in r.path and "agent" not in r.path for r in hub.log)
    assert all("torch" not in r.headers.get("user-agent", "") for r in hub.log)
    assert os.environ["HF_HUB_DISABLE_TELEMETRY"] == "1"


def test_the_environment_decides(hub: HubServer, tmp_path: Path) -> None:
    commit = hub.add("org/m", NEEDED)
    code = "from chatvector.checkpoint.hub import fetch; print(fetch('org/m'))"
    home = tmp_path / "home"
    environment = {**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0"}
    environment.pop("HF_HUB_CACHE", None)

    def run(**more: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment | more, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    assert run() == str(home / "hub" / "models--org--m" / "snapshots" / commit)
    hub.log.clear()
    assert run(HF_HUB_OFFLINE="1").endswith(commit)
    assert hub.log == []
