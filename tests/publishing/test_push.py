# SPDX-License-Identifier: Apache-2.0
"""`push` against a hub of our own: what arrives, in which order, and what goes on after a failure."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from huggingface_hub import HfApi, constants

from chatvector.errors import HubError, OutputRefused, UsageError
from chatvector.publishing import plan_push, push
from hub_server import Fault
from hub_writer import WritableHub

NAME = "org/Llama-3.1-ko"
# huggingface_hub 2.4 hands httpx2 a file in a way that httpx2 wants no more.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload raw:DeprecationWarning")


def push_all(output: Path, repo_id: str = NAME, **options: object) -> list[str]:
    lines: list[str] = []
    push(plan_push(output, repo_id, **options), say=lines.append)  # type: ignore[arg-type]
    return lines


def test_the_model_arrives_whole_in_one_commit(hub: WritableHub, output: Path) -> None:
    lines = push_all(output)
    there = hub.files(NAME)
    local = {p.relative_to(output).as_posix(): p.read_bytes() for p in output.rglob("*") if p.is_file()}
    changed = {"README.md", "chat_vector.json"}
    assert there.keys() == local.keys() | {".gitattributes"}
    assert {name for name in local if there[name] != local[name]} == changed
    assert len(hub.commits) == 1
    assert hub.commits[0]["header"]["summary"].startswith("Chat vector merge, plan ")
    assert len(hub.sent()) == 2
    assert re.match(r"model-00001-of-00002\.safetensors: [\d.]+ kB \(1 of 2 weight files\)", lines[0])


def test_weights_go_before_the_commit_and_the_manifest_comes_last(hub: WritableHub, output: Path) -> None:
    push_all(output)
    order = [r.method + " " + r.path for r in hub.log if r.method in ("PUT", "POST")]
    commit = next(place for place, line in enumerate(order) if "/commit/" in line)
    assert all(place < commit for place, line in enumerate(order) if line.startswith("PUT /lfs/"))
    assert hub.commits[0]["files"][:2] == ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    assert hub.commits[0]["files"][-2:] == ["README.md", "chat_vector.json"]


def test_the_published_manifest_has_no_run_and_agrees_with_the_files(hub: WritableHub, output: Path) -> None:
    push_all(output)
    there = hub.files(NAME)
    manifest = json.loads(there["chat_vector.json"])
    assert "run" not in manifest
    assert {name: entry["bytes"] for name, entry in manifest["files"].items()} == {
        name: len(data) for name, data in there.items() if name not in ("chat_vector.json", ".gitattributes")
    }
    assert str(output.parent) not in there["chat_vector.json"].decode()


def test_the_published_card_names_the_model(hub: WritableHub, output: Path) -> None:
    push_all(output)
    text = hub.files(NAME)["README.md"].decode()
    assert "# Llama-3.1-ko\n" in text
    assert f"vllm serve {NAME}" in text
    assert "path/to/this/model" not in text
    assert yaml.safe_load(text.split("---\n")[1])["license"] == "llama3.1"


def test_a_card_changed_by_hand_goes_as_it_is(hub: WritableHub, output: Path) -> None:
    (output / "README.md").write_text("---\nlicense: llama3.1\n---\n# Mine\n")
    plan = plan_push(output, NAME)
    assert "README.md was changed by hand and goes as it is" in plan.publication.warnings
    assert "its metadata lack base_model" in plan.publication.warnings
    push(plan)
    assert hub.files(NAME)["README.md"] == b"---\nlicense: llama3.1\n---\n# Mine\n"
    assert json.loads(hub.files(NAME)["chat_vector.json"])["files"]["README.md"]["bytes"] == 33


def test_private_repositories_and_branches(hub: WritableHub, output: Path) -> None:
    push_all(output, private=True)
    assert hub.private == {NAME}
    main = hub.files(NAME)
    (output / "notes.md").write_text("more")
    push_all(output, update=True, branch="scale-0.5")
    assert hub.files(NAME) == main
    assert hub.files(NAME, "scale-0.5")["notes.md"] == b"more"


def test_a_repository_with_files_is_left_alone(hub: WritableHub, output: Path) -> None:
    hub.add(NAME, {"model.safetensors": b"somebody's"})
    with pytest.raises(OutputRefused, match=rf"^{NAME}: exists already with 1 files .model.safetensors.; choose ano"):
        plan_push(output, NAME)
    assert hub.files(NAME) == {"model.safetensors": b"somebody's"}


def test_an_update_removes_what_would_contradict_the_new_model(hub: WritableHub, output: Path) -> None:
    old = {
        "model-00001-of-00003.safetensors": b"old",
        "pytorch_model.bin": b"old",
        "chat_template.jinja": b"old",
        "picture.png": b"kept",
        ".gitattributes": b"kept",
        "config.json": b"replaced",
    }
    hub.add(NAME, old)
    plan = plan_push(output, NAME, update=True)
    assert plan.deletes == ("chat_template.jinja", "model-00001-of-00003.safetensors", "pytorch_model.bin")
    push(plan)
    there = hub.files(NAME)
    assert not there.keys() & set(plan.deletes)
    assert (there["picture.png"], there[".gitattributes"]) == (b"kept", b"kept")
    assert there["config.json"] == (output / "config.json").read_bytes()


def test_the_same_update_twice_sends_nothing_twice(hub: WritableHub, output: Path) -> None:
    push_all(output)
    push_all(output, update=True)
    assert len(hub.sent()) == 2
    assert len(hub.commits) == 1


def test_a_push_whose_answer_nobody_heard_is_known_again(
    hub: WritableHub, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while the hub commits: it commits all the same, and the same command says so."""
    commit = HfApi.create_commit

    def interrupted(*arguments: object, **options: object) -> None:
        commit(*arguments, **options)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(HfApi, "create_commit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            push_all(output)
    asked = len(hub.log)
    plan = plan_push(output, NAME)
    assert plan.is_there
    assert push(plan).commit == hub.repos[NAME].refs["main"]
    assert {r.method for r in hub.log[asked:]} == {"GET"}
    hub.add(NAME, {**hub.files(NAME), "model-00002-of-00002.safetensors": b"another's"})
    with pytest.raises(OutputRefused, match="exists already with"):
        plan_push(output, NAME)
    hub.add(
        NAME,
        {
            **hub.files(NAME),
            "model-00002-of-00002.safetensors": (output / "model-00002-of-00002.safetensors").read_bytes(),
        },
    )
    assert plan_push(output, NAME).is_there
    hub.add(NAME, {**hub.files(NAME), "more.txt": b""})
    with pytest.raises(OutputRefused, match="exists already with"):
        plan_push(output, NAME)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault("GET", "/api/models", status=429), "too many requests .429."),
        (Fault("GET", "/api/models", status=503), "the hub has trouble .503."),
        (Fault("GET", "/api/models", cut_after=-1), "the connection to .* broke off"),
        (Fault("POST", "/api/repos/create", status=401), "the hub does not accept the token .401.; log in"),
        (Fault("POST", "/api/repos/create", status=503), "the hub has trouble .503."),
        (Fault("POST", "/preupload/", status=403), "the token may not write there .403.; it needs write access"),
        (Fault("POST", "/preupload/", status=429), "too many requests .429."),
        (Fault("POST", "/objects/batch", status=503), "the hub has trouble .503."),
        (Fault("PUT", "/lfs/", status=503), "the hub has trouble .503."),
        (Fault("PUT", "/lfs/", cut_after=-1), "the connection to .* broke off"),
        (Fault("POST", "/lfs-verify", status=404), "there is no such organisation, repository or branch .404."),
        (Fault("POST", "/commit/", status=409), "somebody made or changed it at the same time .409."),
        (Fault("POST", "/commit/", status=412), "the repository changed while this was uploaded .412."),
        (Fault("POST", "/commit/", status=413), "a file is too large for this hub .413."),
        (Fault("POST", "/commit/", status=503), "the hub has trouble .503."),
        (Fault("POST", "/commit/", cut_after=-1), "the connection to .* broke off"),
    ],
)  # fmt: skip
def test_what_the_hub_may_answer_and_the_same_command_again(
    hub: WritableHub, output: Path, fault: Fault, message: str
) -> None:
    hub.faults.append(fault)
    with pytest.raises(HubError, match=f"^{NAME}: {message}") as caught:
        push_all(output)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 6
    assert caught.value.__cause__ is not None
    assert NAME not in hub.repos or hub.files(NAME).keys() == {".gitattributes"}  # nothing is half there
    hub.faults.clear()
    sent = len(hub.objects)
    before = len(hub.sent())
    push_all(output)
    assert (hub.files(NAME)["config.json"], len(hub.commits)) == ((output / "config.json").read_bytes(), 1)
    assert len(hub.sent()) - before == 2 - sent  # what arrived is not sent again


def test_a_second_shard_that_fails_leaves_the_first(hub: WritableHub, output: Path) -> None:
    hub.faults.append(Fault("POST", "/lfs-verify", status=500))
    with pytest.raises(HubError, match=r"the hub has trouble .500."):
        push_all(output)
    assert len(hub.objects) == 1
    hub.faults.clear()
    push_all(output)
    assert len(set(hub.sent())) == len(hub.sent()) == 2


def test_what_the_xet_client_raises_is_one_line(
    hub: WritableHub, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """hf_xet, which is written in Rust, raises RuntimeError whatever happened."""

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("CAS service error :\n ReqwestMiddleware Error: Request failed after 5 retries")

    monkeypatch.setattr(HfApi, "preupload_lfs_files", fail)
    with pytest.raises(
        HubError, match=rf"^{NAME}: the upload failed .CAS service error : .* 5 retries.; the same command goes on$"
    ):
        push_all(output)
    assert hub.files(NAME).keys() == {".gitattributes"}


def test_no_token(hub: WritableHub, output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "")
    with pytest.raises(HubError, match=rf"^{NAME}: there is no token; log in with `hf auth login` or set HF_TOKEN"):
        plan_push(output, NAME)
    assert hub.log == []


def test_a_wrong_token(hub: WritableHub, output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(HubError, match=r"the hub does not accept the token .401.; .*Invalid credentials"):
        push_all(output)
    assert hub.repos == {}


def test_an_organisation_that_is_not_yours(hub: WritableHub, output: Path) -> None:
    with pytest.raises(
        HubError, match=r"the token may not write there .403.; it needs write access, and you a place in o"
    ):
        push_all(output, "other/Llama-ko")
    assert hub.repos == {}


def test_offline(hub: WritableHub, output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match="HF_HUB_OFFLINE is set; unset it to publish"):
        plan_push(output, NAME)
    assert hub.log == []


@pytest.mark.parametrize("name", ["ko", "a/b/c", "org/", "org/name with blanks", "org/../x", "https://hub/org/x"])
def test_what_is_no_hub_name(output: Path, name: str) -> None:
    with pytest.raises(UsageError, match="is no hub name"):
        plan_push(output, name, ask_hub=False)


def test_no_telemetry_and_no_bars(hub: WritableHub, output: Path, capfd: pytest.CaptureFixture[str]) -> None:
    push_all(output)
    assert {r.path.split("/")[1] for r in hub.log} <= {"api", "org", "lfs", "lfs-verify"}
    assert capfd.readouterr() == ("", "")
