# SPDX-License-Identifier: Apache-2.0
"""Hub models read by byte range: the same bytes as from disk, nothing downloaded, every fault of a network."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hub_trio import put_trio
from huggingface_hub import constants
from typer.testing import CliRunner

from builders import BF16, Shape, Trio, load_weights, trio_specs, write_weights
from chatvector import pipeline
from chatvector.checkpoint import hub as hub_module
from chatvector.checkpoint import remote, remote_http
from chatvector.checkpoint.checkpoint import Checkpoint
from chatvector.checkpoint.http_transport import ClientTransport, DirectTransport, Transports
from chatvector.checkpoint.storage import LocalDirectory
from chatvector.cli.main import app
from chatvector.errors import HubError, IncompatibleParents, InputError, NotEnoughSpace
from chatvector.extraction import extract
from chatvector.preparation import prepare, transfers
from chatvector.recipe import Recipe
from chatvector.sizes import disk_size
from hub_server import Fault, HubServer, Request, files_of
from pickled_models import as_pickles

WEIGHTS = "model.safetensors"
SHAPE = Shape(vocabulary=512, hidden=64, mlp=128, layers=3)


@pytest.fixture
def trio(hub: HubServer, tmp_path: Path) -> Trio:
    """A trio on disk, and on the hub as org/base, org/chat, org/target; the chat model in three shards."""
    specs = trio_specs(SHAPE)
    specs["chat"].shards = 3
    return put_trio(hub, tmp_path / "local", specs)


def recipe(target: str, base: str, chat: str, **more: Any) -> Recipe:
    return Recipe.from_mapping({"target": target, "vectors": [{"base": base, "chat": chat, "scale": 0.8}], **more})


def streamed(output: Path | None = None) -> Recipe:
    return recipe("org/target", "org/base", "org/chat", output=None if output is None else str(output), stream=True)


def weight_ranges(hub: HubServer) -> list[str | None]:
    """The ranges of all reads of weights; None for a read of the whole."""
    reads = [r for r in hub.log if r.method == "GET" and r.path.endswith(".safetensors")]
    return [{name.lower(): value for name, value in r.headers.items()}.get("range") for r in reads]


def first_shard(hub: HubServer) -> tuple[dict[str, bytes], str]:
    """The files of the only commit of org/base, to be changed, and the commit."""
    ((commit, files),) = hub.repos["org/base"].commits.items()
    return files, commit


def test_the_same_bytes_as_from_disk_and_nothing_on_it(hub: HubServer, trio: Trio, tmp_path: Path) -> None:
    local = recipe(str(trio.target), str(trio.base), str(trio.chat), output=str(tmp_path / "from-disk"))
    pipeline.apply(local)
    result = pipeline.apply(streamed(tmp_path / "streamed"))
    here, there = files_of(tmp_path / "from-disk"), files_of(tmp_path / "streamed")
    for found in (here, there):
        found.pop("chat_vector.json")
        found.pop("README.md", None)  # names the parents
    assert there == here
    assert result.manifest["run"]["revisions"].keys() == {"org/target", "org/base", "org/chat"}
    ranges = weight_ranges(hub)
    assert ranges
    assert None not in ranges
    assert not (tmp_path / "cache").exists()


def test_a_vector_is_extracted_from_afar(trio: Trio, tmp_path: Path) -> None:
    extract(str(trio.base), str(trio.chat), str(tmp_path / "a"))
    extract("org/base", "org/chat", str(tmp_path / "b"), stream=True)
    here, there = files_of(tmp_path / "a"), files_of(tmp_path / "b")
    assert here.pop("chat_vector.json") != there.pop("chat_vector.json")
    assert here == there
    assert not (tmp_path / "cache").exists()


@pytest.mark.usefixtures("trio")
def test_the_same_manifest_again_by_stream_and_from_disk(hub: HubServer, trio: Trio, tmp_path: Path) -> None:
    from chatvector.rerun import load_recipe

    pipeline.apply(streamed(tmp_path / "one"))
    manifest = tmp_path / "one" / "chat_vector.json"
    again = load_recipe(manifest, [], str(tmp_path / "two"))
    assert all("@" in name for name in (again.recipe.target, str(again.recipe.vectors[0].base)))
    hub.add("org/base", {"config.json": b"{}"})  # the branch moves on, the commit stays
    with ExitStack() as stack:
        again.check(prepare(again.recipe, stack, print))
    # The same parents on this disk are recognised, other weights are not.
    document = json.loads(manifest.read_text())
    places = {"target": str(trio.target), "vectors": [{"base": str(trio.base), "chat": str(trio.chat), "scale": 0.8}]}
    document["run"] |= {"recipe": places, "revisions": {}}
    manifest.write_text(json.dumps(document))
    again = load_recipe(manifest, [], str(tmp_path / "two"))
    with ExitStack() as stack:
        again.check(prepare(again.recipe, stack, print))
    weights = load_weights(trio.base)
    weights["lm_head.weight"] = -weights["lm_head.weight"]
    write_weights(trio.base, weights)
    with ExitStack() as stack, pytest.raises(InputError, match=r"no longer what they were: vectors.0.base .samples."):
        again.check(prepare(again.recipe, stack, print))


def test_a_plan_reads_little_and_says_what_would_move(hub: HubServer, tmp_path: Path) -> None:
    specs = trio_specs(Shape(vocabulary=30_000, hidden=64, mlp=2048, layers=8), dtype=BF16)
    trio = put_trio(hub, tmp_path / "local", specs)
    with ExitStack() as stack:
        job = prepare(recipe("org/target", "org/base", "org/chat"), stack, print, stream=True)
        moved = transfers(job)
    assert [one.name for one in moved] == ["org/target", "org/base", "org/chat"]
    sizes = {role: sum(map(len, files_of(getattr(trio, role)).values())) for role in ("target", "base", "chat")}
    assert [(one.nbytes, one.nbytes_cached) for one in moved] == [(size, 0) for size in sizes.values()]
    read = sum(_length(span) for span in weight_ranges(hub))
    assert 0 < read < 0.5 * sum(sizes.values())
    assert not (tmp_path / "cache").exists()


def test_the_plan_of_three_names_says_what_would_move(hub: HubServer, trio: Trio, tmp_path: Path) -> None:
    models = ["org/base", "org/chat", "org/target"]
    result = CliRunner().invoke(app, ["plan", *models, "--json"])
    assert result.exit_code == 0, result.output
    sizes = {
        f"org/{role}": sum(map(len, files_of(getattr(trio, role)).values())) for role in ("base", "chat", "target")
    }
    moved = json.loads(result.stdout)["transfers"]
    assert {one["name"]: (one["bytes"], one["cached"], one["missing"]) for one in moved} == {
        name: (size, 0, size) for name, size in sizes.items()
    }
    text = CliRunner().invoke(app, ["plan", *models]).stdout
    assert all(f"network: {name}: downloads {disk_size(sizes[name])}" in text for name in models)
    assert all(span is not None for span in weight_ranges(hub))
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("how", [("--stream",), ()])
def test_private_and_gated_models_need_the_token_and_no_more(
    hub: HubServer, trio: Trio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: tuple[str, ...]
) -> None:
    pipeline.apply(recipe(str(trio.target), str(trio.base), str(trio.chat), output=str(tmp_path / "from-disk")))
    hub.secrets["org/base"] = hub.gated["org/chat"] = "hf_mine"
    parents = ["org/target", "--base", "org/base", "--chat", "org/chat", "--scale", "0.8", "--quiet"]
    without = CliRunner().invoke(app, ["plan", *parents])
    assert isinstance(without.exception, HubError)
    assert str(without.exception).startswith("org/base: there is no such model, or it is private (401)")
    del hub.secrets["org/base"]
    without = CliRunner().invoke(app, ["plan", *parents])
    assert isinstance(without.exception, HubError)
    page = f"{hub.endpoint}/org/chat"
    assert str(without.exception).startswith(f"org/chat: the model is gated; accept its terms at {page}, then log in")
    hub.secrets["org/base"] = "hf_mine"
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    hub.signed_uses = 1000
    assert CliRunner().invoke(app, ["plan", *parents]).exit_code == 0
    made = CliRunner().invoke(app, ["apply", *parents, *how, "-o", str(tmp_path / "out")])
    assert made.exit_code == 0, made.output
    assert (tmp_path / "out" / WEIGHTS).read_bytes() == (tmp_path / "from-disk" / WEIGHTS).read_bytes()
    assert (tmp_path / "cache").exists() is (not how)


def _length(span: str | None) -> int:
    assert span is not None
    start, stop = span.removeprefix("bytes=").split("-")
    return int(stop) + 1 - int(start)


def test_what_lies_in_the_cache_is_not_fetched_again(
    hub: HubServer, trio: Trio, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = hub_module.fetch("org/base")
    with Checkpoint.open("org/base", stream=True) as model:
        assert isinstance(model.storage, LocalDirectory)
        assert model.transfer is None
    (folder / "config.json").unlink()
    hub.log.clear()
    with Checkpoint.open("org/base", stream=True) as model:
        assert model.transfer is not None
        assert model.transfer.nbytes_missing == len((trio.base / "config.json").read_bytes())
        model.read_array("lm_head.weight")
    assert hub.downloaded() == ["config.json"]
    hub_module.fetch("org/chat")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.log.clear()
    with Checkpoint.open("org/chat", stream=True) as model:
        assert model.revision is not None
    assert hub.log == []


def test_parents_that_do_not_fit_are_not_downloaded(hub: HubServer, trio: Trio, tmp_path: Path) -> None:
    weights = load_weights(trio.chat)
    weights["model.norm.weight"] = weights["model.norm.weight"][:-1]
    files = files_of(trio.base)
    write_weights(tmp_path, weights)
    hub.add("org/chat", files | {WEIGHTS: (tmp_path / WEIGHTS).read_bytes()})
    with pytest.raises(IncompatibleParents, match=r"model.norm.weight"):
        pipeline.apply(recipe("org/target", "org/base", "org/chat", output=str(tmp_path / "out")))
    assert not (tmp_path / "cache").exists()


@pytest.mark.usefixtures("hub")
def test_all_downloads_together_must_fit_on_the_disk(
    trio: Trio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = sum(map(len, files_of(trio.base).values()))
    monkeypatch.setattr("shutil.disk_usage", lambda _path: SimpleNamespace(free=2 * size))
    monkeypatch.setattr(pipeline, "require_space", lambda *_: None)
    job = recipe("org/target", "org/base", "org/chat", output=str(tmp_path / "out"))
    with pytest.raises(NotEnoughSpace, match=r"^the models: the download needs .* or read by range with --stream"):
        pipeline.apply(job)
    pipeline.apply(job.model_copy(update={"stream": True}))
    assert not (tmp_path / "cache").exists()


def test_a_download_after_the_plan_reads_each_weight_file_once_more(hub: HubServer, trio: Trio, tmp_path: Path) -> None:
    del trio
    pipeline.apply(recipe("org/target", "org/base", "org/chat", output=str(tmp_path / "out")))
    whole = [r.path for r in hub.log if r.method == "GET" and r.path.endswith(".safetensors") and not _ranged(r)]
    assert len(whole) == len(set(whole)) == 5
    hub.log.clear()
    pipeline.apply(recipe("org/target", "org/base", "org/chat", output=str(tmp_path / "again")))
    assert [r.path for r in hub.log if r.method == "GET" and r.path.endswith(".safetensors")] == []


def _ranged(request: Request) -> bool:
    return "range" in {name.lower() for name in request.headers}


def test_pickled_weights_are_read_by_range_too(hub: HubServer, trio: Trio, tmp_path: Path) -> None:
    pipeline.apply(recipe(str(trio.target), str(trio.base), str(trio.chat), output=str(tmp_path / "plain")))
    for folder, shards in ((trio.base, 1), (trio.chat, 2), (trio.target, 1)):
        as_pickles(folder, shards=shards)
        hub.add_folder(f"org/{folder.name}", folder)
    pipeline.apply(streamed(tmp_path / "streamed"))
    plain, made = (load_weights(tmp_path / place) for place in ("plain", "streamed"))
    assert {n: values.tobytes() for n, values in made.items()} == {n: values.tobytes() for n, values in plain.items()}
    assert all(_ranged(r) for r in hub.log if r.method == "GET" and r.path.endswith(".bin"))
    assert not (tmp_path / "cache").exists()


def test_check_by_name_downloads_nothing(hub: HubServer, trio: Trio, tmp_path: Path) -> None:
    del trio
    result = CliRunner().invoke(app, ["check", "org/base", "org/chat", "org/target", "--quiet"])
    assert result.exit_code == 0
    assert weight_ranges(hub)
    assert not (tmp_path / "cache").exists()


@pytest.mark.usefixtures("trio")
def test_long_waits_are_told(hub: HubServer) -> None:
    hub.faults.append(Fault("GET", WEIGHTS, status=429, times=1, headers={"Retry-After": "90"}))
    said: list[str] = []
    Checkpoint.open("org/base", said.append, stream=True).close()
    assert said == [said[0]]
    assert said[0].startswith(f"org/base/{WEIGHTS}: too many requests (429)")
    assert said[0].endswith("; trying again in 90 s")


@pytest.mark.usefixtures("waits")
def test_threads_that_wait_together_tell_it_once(hub: HubServer, trio: Trio) -> None:
    said: list[str] = []
    with Checkpoint.open("org/base", said.append, stream=True) as model, Checkpoint.open(str(trio.base)) as local:
        hub.faults.append(Fault("GET", WEIGHTS, status=429, times=6, headers={"Retry-After": "90"}))
        names = [f"model.layers.{layer}.mlp.down_proj.weight" for layer in range(SHAPE.layers)]
        with ThreadPoolExecutor(len(names)) as pool:
            found = list(pool.map(lambda name: model.read_array(name).tobytes(), names))
        assert found == [local.read_array(name).tobytes() for name in names]
    assert len(said) == 1


@pytest.mark.parametrize(
    ("fault", "waited"),
    [
        (Fault("GET", WEIGHTS, status=503, times=3), [1.0, 2.0, 4.0]),
        (Fault("GET", WEIGHTS, status=429, times=1, headers={"Retry-After": "7"}), [7.0]),
        (Fault("GET", WEIGHTS, status=500, times=1, headers={"Retry-After": "soon"}), [1.0]),
        (Fault("GET", WEIGHTS, status=503, times=1, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}), [0.0]),
        (Fault("GET", WEIGHTS, cut_after=1000, times=2), [1.0, 2.0]),
        (Fault("GET", WEIGHTS, cut_after=-1, times=3), [1.0]),  # a lost connection is made anew once without a wait
    ],
)
@pytest.mark.parametrize("proxied", [False, True])
@pytest.mark.usefixtures("trio")
def test_what_passes_is_waited_for(
    hub: HubServer,
    waits: list[float],
    monkeypatch: pytest.MonkeyPatch,
    fault: Fault,
    waited: list[float],
    proxied: bool,
) -> None:
    fault = Fault(**vars(fault))
    if proxied:
        monkeypatch.setattr(Transports, "of", lambda *_: ClientTransport())
        waited = [1.0, 2.0, 4.0] if fault.cut_after == -1 else waited
    hub.faults.append(fault)
    with Checkpoint.open("org/base", stream=True) as model:
        values = model.read_array("model.norm.weight")
    assert waits == waited
    assert len(values) == SHAPE.hidden


def test_a_cut_read_goes_on_where_it_stopped(hub: HubServer, trio: Trio) -> None:
    with Checkpoint.open("org/base", stream=True) as model, Checkpoint.open(str(trio.base)) as local:
        hub.log.clear()
        hub.faults.append(Fault("GET", WEIGHTS, cut_after=30_000, times=1))
        name = "model.embed_tokens.weight"
        assert model.read_array(name).tobytes() == local.read_array(name).tobytes()
    first, second = (span or "" for span in weight_ranges(hub))
    start, stop = first.removeprefix("bytes=").split("-")
    assert second == f"bytes={int(start) + 30_000}-{stop}"


@pytest.mark.usefixtures("trio")
def test_a_connection_serves_whichever_thread_asks_next(hub: HubServer) -> None:
    ((commit, _),) = hub.repos["org/base"].commits.items()
    url = f"{hub.endpoint}/org/base/resolve/{commit}/{WEIGHTS}"
    transport = DirectTransport()
    side_by_side = threading.Barrier(2)

    def read(start: int, barrier: threading.Barrier | None = None) -> None:
        for _ in range(3):
            if barrier is not None:
                barrier.wait(60)
            request = transport.ask(url, {"Range": f"bytes={start}-{start + 9}"})
            assert request.answer().status == 206
            request.read_into(memoryview(bytearray(10)))
            request.close()

    try:
        for number in range(3):
            with ThreadPoolExecutor(1) as pool:
                pool.submit(read, number).result()
        assert len({request.port for request in hub.log}) == 1
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda start: read(start, side_by_side), (5, 70)))
        assert len({request.port for request in hub.log}) <= 2
    finally:
        transport.close()
    # What was closed is opened again.
    read(0)
    transport.close()


@pytest.mark.usefixtures("trio")
def test_a_connection_that_the_server_closed_meanwhile_is_made_anew(hub: HubServer, waits: list[float]) -> None:
    with Checkpoint.open("org/base", stream=True) as model:
        hub.log.clear()
        hub.faults.append(Fault("GET", WEIGHTS, cut_after=-1, times=1))
        assert len(model.read_array("model.norm.weight")) == SHAPE.hidden
    assert waits == []
    assert len({request.port for request in hub.log}) == 2


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault("GET", WEIGHTS, status=401), "there is no such model, or it is private .401.; check the name"),
        (Fault("GET", WEIGHTS, status=403), "access is forbidden .403.; your token lacks the right"),
        (Fault("GET", WEIGHTS, status=404), "there is no such model or file .404."),
        (Fault("GET", WEIGHTS, status=429), "too many requests .429.; wait some minutes"),
        (Fault("GET", WEIGHTS, status=429, headers={"Retry-After": "3000"}), "too many requests .429.; wait 50 min"),
        (Fault("GET", WEIGHTS, status=503), "the hub has trouble .503."),
        (Fault("GET", WEIGHTS, cut_after=0), "the connection to http://127.0.0.1:.* broke off"),
        (Fault("GET", WEIGHTS, status=416), "changed on the server"),
        (Fault("HEAD", WEIGHTS, status=403, headers={"X-Error-Code": "GatedRepo"}), "the model is gated; accept"),
        (Fault("HEAD", WEIGHTS, status=401), "there is no such model, or it is private .401."),
        (Fault("GET", "config.json", status=404), "there is no such model or file .404."),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("trio")
def test_what_does_not_pass_is_one_clear_line(hub: HubServer, waits: list[float], fault: Fault, message: str) -> None:
    hub.faults.append(Fault(**vars(fault)))
    with pytest.raises(HubError, match=f"^org/base/(config.json|{WEIGHTS}): {message}") as caught:
        Checkpoint.open("org/base", stream=True)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 6
    assert len(waits) < remote_http.ATTEMPTS


def test_a_branch_that_moves_between_two_reads_changes_nothing(hub: HubServer, trio: Trio) -> None:
    with Checkpoint.open("org/base", stream=True) as model:
        hub.add_folder("org/base", trio.target)
        found = {name: model.read_array(name).tobytes() for name in model.tensors}
        assert json.loads(model.read_file("config.json")) == model.config
    with Checkpoint.open(str(trio.base)) as local:
        assert found == {name: local.read_array(name).tobytes() for name in local.tensors}


@pytest.mark.parametrize("change", ["bytes", "size", "commit"])
def test_a_file_that_changes_between_two_reads_is_an_error(hub: HubServer, trio: Trio, change: str) -> None:
    with Checkpoint.open("org/base", stream=True) as model:
        files, commit = first_shard(hub)
        if change == "commit":  # a server that follows the branch whatever commit is asked for
            new = hub.add_folder("org/base", trio.target)
            hub.repos["org/base"].refs[commit] = new
        else:
            files[WEIGHTS] = files[WEIGHTS][:-1] + (b"!" if change == "bytes" else b"")
        with pytest.raises(HubError, match=r"^org/base/model.safetensors: changed on the server while it was read"):
            model.read_array("model.embed_tokens.weight")


def test_files_on_another_host_get_no_token_and_new_addresses(
    hub: HubServer, trio: Trio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hub.signed_uses = 2
    with Checkpoint.open("org/base", stream=True) as model, Checkpoint.open(str(trio.base)) as local:
        rows = np.array([5, 200, 400], np.int64)
        for _ in range(4):
            assert (model.read_rows("lm_head.weight", rows) == local.read_rows("lm_head.weight", rows)).all()
    assert len(hub.signatures) == 3 + 1  # five reads of the weights, two an address, and one of the tokenizer
    for name in (WEIGHTS, "tokenizer.json"):
        tokens = {"/signed/" in r.path: {k.lower() for k in r.headers} for r in hub.log if r.path.endswith(name)}
        assert "authorization" in tokens[False]
        assert "authorization" not in tokens[True]


@pytest.mark.parametrize("packed_from", [remote.PACKED_BYTES, 0])
def test_small_files_cost_one_request_each(
    hub: HubServer, trio: Trio, packed_from: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "PACKED_BYTES", packed_from)
    hub.log.clear()
    with Checkpoint.open("org/base", stream=True) as model:
        for _ in range(2):
            assert model.read_file("tokenizer.json") == (trio.base / "tokenizer.json").read_bytes()
    asked = [(request.method, request.path.rpartition("/")[2]) for request in hub.log if "/resolve/" in request.path]
    small = sorted(path.name for path in trio.base.iterdir() if path.name != WEIGHTS)
    assert sorted(asked) == sorted([("GET", name) for name in small] + [("HEAD", WEIGHTS), ("GET", WEIGHTS)])


@pytest.mark.usefixtures("trio")
@pytest.mark.parametrize("status", [401, 403])
def test_a_small_file_that_is_refused_is_explained_by_the_hubs_own_words(hub: HubServer, status: int) -> None:
    gated = {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"}
    hub.faults += [Fault("GET", "config.json", status=status), Fault("HEAD", "config.json", status=403, headers=gated)]
    with pytest.raises(HubError, match=r"^org/base/config.json: the model is gated; accept its terms at"):
        Checkpoint.open("org/base", stream=True)


@pytest.mark.usefixtures("trio")
def test_an_address_that_is_never_accepted(hub: HubServer) -> None:
    hub.signed_uses = 0
    with pytest.raises(HubError, match=r"^org/base/(model.safetensors|tokenizer.json): access is forbidden .403."):
        Checkpoint.open("org/base", stream=True)


@pytest.mark.usefixtures("trio")
def test_a_server_without_ranges(hub: HubServer) -> None:
    hub.serves_ranges = False
    with pytest.raises(HubError, match=r"the server serves no byte ranges; leave out --stream"):
        Checkpoint.open("org/base", stream=True)
