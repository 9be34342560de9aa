# SPDX-License-Identifier: Apache-2.0
"""Models in an S3-like store, against such a server on the loopback: read by range, written manifest last."""

from __future__ import annotations

import json
import logging
import os
import shlex
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import obstore
import pytest
from cutting_proxy import CuttingProxy
from moto.server import ThreadedMotoServer
from typer.testing import CliRunner

from builders import Shape, Trio, trio_specs, write_trio
from chatvector import pipeline
from chatvector.checkpoint import object_store, object_store_output, waiting
from chatvector.checkpoint.checkpoint import Checkpoint
from chatvector.checkpoint.object_store import ObjectStorage
from chatvector.checkpoint.object_store_output import ObjectOutput, staging_place
from chatvector.checkpoint.staging import UPLOADED
from chatvector.cli import main
from chatvector.cli.describe import result_text
from chatvector.errors import (
    DamagedFile,
    HubError,
    MissingExtra,
    MissingInput,
    NotEnoughSpace,
    OutputRefused,
    UsageError,
)
from chatvector.extraction import extract
from chatvector.recipe import Recipe
from chatvector.rerun import load_from_afar, model_of_manifest
from chatvector.verification import verify
from hub_server import files_of

MANIFEST = "chat_vector.json"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of an S3 server on the loopback."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, waits: list[float]) -> Iterator[str]:
    """The URL of an empty bucket; keys and endpoint are in the environment."""
    del waits
    settings = {"ACCESS_KEY_ID": "k", "SECRET_ACCESS_KEY": "s", "REGION": "us-east-1", "ENDPOINT_URL": server}
    for name, value in settings.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("CHATVECTOR_STAGING", str(tmp_path / "staging"))
    s3 = boto3.client("s3", endpoint_url=server)
    s3.create_bucket(Bucket="models")
    yield "s3://models"
    for entry in s3.list_objects_v2(Bucket="models").get("Contents", []):
        s3.delete_object(Bucket="models", Key=entry["Key"])
    s3.delete_bucket(Bucket="models")
    s3.close()


def send(url: str, files: dict[str, bytes]) -> None:
    store = object_store.open_store(url)
    for name, content in files.items():
        obstore.put(store, name, content)


def stored(url: str) -> dict[str, bytes]:
    store = object_store.open_store(url)
    return {
        one["path"]: bytes(obstore.get(store, one["path"]).bytes()) for one in object_store.list_objects(store, url)
    }


@pytest.fixture
def trio(bucket: str, tmp_path: Path) -> Trio:
    """A trio on disk and in the bucket; the target in two shards."""
    specs = trio_specs(Shape(vocabulary=2048, hidden=64, mlp=96))
    specs["target"].shards = 2
    found = write_trio(tmp_path / "local", specs)
    for role in ("base", "chat", "target"):
        send(f"{bucket}/{role}", files_of(getattr(found, role)))
    return found


def recipe(places: tuple[str, str, str], output: str, **more: Any) -> Recipe:
    target, base, chat = places
    vectors = [{"base": base, "chat": chat, "scale": 0.8}]
    return Recipe.from_mapping({"target": target, "vectors": vectors, "output": output, **more})


def far(bucket: str) -> tuple[str, str, str]:
    return f"{bucket}/target", f"{bucket}/base", f"{bucket}/chat"


def near(trio: Trio) -> tuple[str, str, str]:
    return str(trio.target), str(trio.base), str(trio.chat)


def weights_and_side_files(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if name not in (MANIFEST, "README.md")}


def test_the_same_bytes_from_and_to_a_store(bucket: str, trio: Trio, tmp_path: Path) -> None:
    pipeline.apply(recipe(near(trio), str(tmp_path / "out")))
    wanted = weights_and_side_files(files_of(tmp_path / "out"))
    pipeline.apply(recipe(far(bucket), str(tmp_path / "far")))
    assert weights_and_side_files(files_of(tmp_path / "far")) == wanted
    said: list[str] = []
    result = pipeline.apply(recipe(far(bucket), f"{bucket}/made/here"), say=said.append)
    found = stored(f"{bucket}/made/here")
    assert weights_and_side_files(found) == wanted
    assert json.loads(found[MANIFEST])["run"]["output"] == f"{bucket}/made/here"
    assert result.manifest["files"].keys() == found.keys() - {MANIFEST}
    assert list((tmp_path / "staging").iterdir()) == []
    assert sum("sending model-0000" in line for line in said) == 2
    with Checkpoint.open(f"{bucket}/made/here") as model:
        assert model.config["model_type"] == "llama"


def test_an_output_in_a_store_can_be_made_again_as_it_is_told(bucket: str, tmp_path: Path) -> None:
    parents = ("demo:target", "demo:base", "demo:chat")
    result = pipeline.apply(recipe(parents, f"{bucket}/out"))
    line = next(
        line for line in result_text(result.manifest, f"{bucket}/out").splitlines() if line.startswith("again: ")
    )
    assert line == f"again: chatvector run {bucket}/out/{MANIFEST} -o ANOTHER"
    command = shlex.split(line.removeprefix("again: chatvector "))
    ran = CliRunner().invoke(main.app, [*command[:-1], str(tmp_path / "again")])
    assert ran.exit_code == 0, ran.output
    assert weights_and_side_files(files_of(tmp_path / "again")) == weights_and_side_files(stored(f"{bucket}/out"))


def test_what_is_no_manifest_in_a_store(bucket: str) -> None:
    send(f"{bucket}/plain", {"config.json": b"{}"})
    for name, error, words in (
        ("plain/chat_vector.json", MissingInput, r"^s3://models/plain: has no chat_vector\.json, so nothing says"),
        ("none/chat_vector.json", MissingInput, r"^s3://models/none: there are no objects under this name"),
    ):
        model = model_of_manifest(f"{bucket}/{name}")
        assert model is not None
        with pytest.raises(error, match=words):
            load_from_afar(model, [], "out", print)
    send(f"{bucket}/broken", {MANIFEST: b"{}"})
    with pytest.raises(DamagedFile, match=r"^s3://models/broken/chat_vector\.json: is no manifest of chatvector"):
        load_from_afar(f"{bucket}/broken", [], "out", print)
    assert model_of_manifest(f"{bucket}/recipe.yaml") is None
    ran = CliRunner().invoke(main.app, ["run", f"{bucket}/recipe.yaml", "-o", "out"])
    assert isinstance(ran.exception, UsageError)
    assert "recipe.yaml: is a URL, a path on this machine is taken here; download it first" in str(ran.exception)


def test_weights_go_first_and_the_manifest_last(bucket: str, trio: Trio, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    put = obstore.put
    monkeypatch.setattr(obstore, "put", lambda store, name, *a, **k: (order.append(name), put(store, name, *a, **k))[1])
    pipeline.apply(recipe(near(trio), f"{bucket}/out"))
    assert order[:2] == ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    assert order[-2:] == ["model.safetensors.index.json", MANIFEST]


def test_a_cut_upload_continues(bucket: str, trio: Trio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put, sent = obstore.put, list[str]()

    def cut(store: Any, name: str, *arguments: Any, **options: Any) -> Any:
        if name == "model-00002-of-00002.safetensors" and name not in sent:
            sent.append(name)
            raise obstore.exceptions.GenericError("the connection broke")
        sent.append(name)
        return put(store, name, *arguments, **options)

    monkeypatch.setattr(obstore, "put", cut)
    job = recipe(near(trio), f"{bucket}/out")
    with pytest.raises(
        HubError, match=r"^s3://models/out/model-00002-of-00002.safetensors: the store failed .*goes on"
    ):
        pipeline.apply(job)
    assert MANIFEST not in stored(f"{bucket}/out")
    sent.remove("model-00001-of-00002.safetensors")
    pipeline.apply(job)
    assert "model-00001-of-00002.safetensors" not in sent  # is there already
    assert MANIFEST in stored(f"{bucket}/out")
    pipeline.apply(recipe(near(trio), str(tmp_path / "out")))
    assert weights_and_side_files(stored(f"{bucket}/out")) == weights_and_side_files(files_of(tmp_path / "out"))


def test_outputs_that_are_there_or_in_the_way(bucket: str, trio: Trio) -> None:
    send(f"{bucket}/done", {MANIFEST: b"{}"})
    with pytest.raises(OutputRefused, match=r"^s3://models/done: exists already"):
        pipeline.apply(recipe(near(trio), f"{bucket}/done"))
    send(f"{bucket}/other", {"notes.txt": b"mine"})
    with pytest.raises(
        OutputRefused, match=r"^s3://models/other: holds 1 objects that are not of this run .notes.txt."
    ):
        pipeline.apply(recipe(near(trio), f"{bucket}/other"))
    with pytest.raises(OutputRefused, match=r"^s3://models/base/out: overlaps the input s3://models/base"):
        pipeline.apply(recipe(far(bucket), f"{bucket}/base/out"))
    with pytest.raises(OutputRefused, match=r"^s3://models/vec: is a URL; only apply and run write to one"):
        extract(str(trio.base), str(trio.chat), f"{bucket}/vec")
    assert stored(f"{bucket}/other") == {"notes.txt": b"mine"}


def test_a_run_that_finished_meanwhile(bucket: str, trio: Trio, monkeypatch: pytest.MonkeyPatch) -> None:
    real = ObjectOutput.upload

    def late(self: ObjectOutput, *arguments: Any) -> None:
        send(f"{bucket}/out", {MANIFEST: b"theirs"})
        real(self, *arguments)

    monkeypatch.setattr(ObjectOutput, "upload", late)
    with pytest.raises(OutputRefused, match="another run finished it first"):
        pipeline.apply(recipe(near(trio), f"{bucket}/out"))
    assert stored(f"{bucket}/out")[MANIFEST] == b"theirs"


def test_an_object_that_changes_between_two_reads(bucket: str, trio: Trio) -> None:
    with Checkpoint.open(f"{bucket}/base") as model:
        assert isinstance(model.storage, ObjectStorage)
        assert model.transfer is not None
        assert model.transfer.by_range_only
        content = files_of(trio.base)["model.safetensors"]
        send(f"{bucket}/base", {"model.safetensors": content[:-1] + b"!"})
        with pytest.raises(HubError, match=r"^s3://models/base/model.safetensors: changed in the store while"):
            model.read_array("model.embed_tokens.weight")


def test_what_is_not_there(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingInput, match=r"^s3://models/none: there are no objects under this name"):
        Checkpoint.open(f"{bucket}/none")
    with pytest.raises(HubError, match=r"^s3://no-such-bucket/m: there is no such bucket or object .404."):
        Checkpoint.open("s3://no-such-bucket/m")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(HubError, match=r"^s3://models/m: the store failed"):
        Checkpoint.open("s3://models/m")


@pytest.mark.parametrize(
    ("error", "waited", "message"),
    [
        ("status code: 503 Service Unavailable", 6, "the store failed"),
        ("status code: 429 Too Many Requests", 6, "too many requests"),
        ("error decoding response body: connection reset", 6, "the store failed"),
        ("status code: 403 Forbidden", 0, "access is forbidden .403."),
        ("status code: 401 Unauthorized", 0, "the store does not know these keys .401."),
        ("status code: 301 Moved Permanently", 0, "the bucket is in another region .301.; set AWS_REGION"),
    ],
)
def test_what_a_store_may_answer(
    bucket: str, trio: Trio, waits: list[float], monkeypatch: pytest.MonkeyPatch, error: str, waited: int, message: str
) -> None:
    del trio
    with Checkpoint.open(f"{bucket}/base") as model:
        get, failures = obstore.get, [99]

        def fail(*arguments: Any, **options: Any) -> Any:
            if failures[0]:
                failures[0] -= 1
                raise obstore.exceptions.GenericError(f"Generic S3 error: Server returned {error}\n\nDebug source: x")
            return get(*arguments, **options)

        monkeypatch.setattr(obstore, "get", fail)
        with pytest.raises(HubError, match=f"^s3://models/base/model.safetensors: {message}") as caught:
            model.read_array("model.embed_tokens.weight")
        assert "\n" not in str(caught.value)
        assert len(waits) == waited
        failures[0] = 2  # and what passes is waited for
        if waited:
            assert len(model.read_array("model.embed_tokens.weight")) == 2048 * 64


def test_a_network_that_cuts_bodies(bucket: str, trio: Trio, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that closes the connection in the middle of the first answers."""
    with CuttingProxy(os.environ["AWS_ENDPOINT_URL"]) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        with Checkpoint.open(f"{bucket}/base") as model, Checkpoint.open(str(trio.base)) as local:
            proxy.cuts = 2
            for name in local.tensors:
                assert model.read_array(name).tobytes() == local.read_array(name).tobytes()
        assert proxy.cuts == 0


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    monkeypatch.setitem(sys.modules, "obstore.exceptions", None)
    with pytest.raises(MissingExtra, match=r"reading and writing s3://b/m needs .*pip install 'chatvector\[cloud\]'"):
        Checkpoint.open("s3://b/m")


@contextmanager
def answering(status: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A store that answers every request with one status; what was asked of it."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.send_header("x-amz-bucket-region", "ap-northeast-2")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    try:
        yield asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_bucket_in_another_region_is_told_at_once(
    bucket: str, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As AWS answers: a redirection that says no place."""
    with answering(301, monkeypatch) as asked:
        for work in (
            Checkpoint.open,
            lambda url: pipeline.apply(recipe(("demo:target", "demo:base", "demo:chat"), url)),
        ):
            with pytest.raises(
                HubError, match=r"^s3://models/m: the bucket is in another region .301.; set AWS_REGION"
            ):
                work(f"{bucket}/m")
        assert (len(asked), waits) == (2, [])


def test_waits_are_told(bucket: str, waits: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    def merge(say: Any) -> None:
        pipeline.apply(recipe(("demo:target", "demo:base", "demo:chat"), f"{bucket}/m"), say=say)

    with answering(503, monkeypatch):
        for work in (lambda say: Checkpoint.open(f"{bucket}/m", say), merge):
            said: list[str] = []
            with pytest.raises(HubError, match=r"^s3://models/m: the store failed"):
                work(said.append)
            assert waits == [1, 2, 4, 8, 16, 32]
            assert said[0].startswith("s3://models/m: the store failed")
            assert said[0].endswith("trying again in 4 s")
            waits.clear()


@pytest.mark.parametrize("name", ["a?b", "hash#1", "p%20q", "p q", "한글+~*", "deep/a?b#c%20d"])
def test_names_are_taken_as_they_are_written(bucket: str, name: str) -> None:
    parents = ("demo:target", "demo:base", "demo:chat")
    pipeline.apply(recipe(parents, f"{bucket}/{name}"))
    s3 = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket="models")["Contents"]]
    s3.close()
    assert f"{name}/{MANIFEST}" in keys
    assert all(key.startswith(f"{name}/") for key in keys)
    with Checkpoint.open(f"{bucket}/{name}") as model:
        assert model.tensors
    pipeline.apply(recipe(parents, f"{bucket}/{name}#2"))  # another place


def test_a_long_upload_says_that_it_goes_on(bucket: str, trio: Trio, monkeypatch: pytest.MonkeyPatch) -> None:
    put, told = obstore.put, threading.Event()

    def slow(store: Any, name: str, *arguments: Any, **options: Any) -> Any:
        if name == "model-00002-of-00002.safetensors":
            assert told.wait(60)
        return put(store, name, *arguments, **options)

    def say(line: str) -> None:
        said.append(line)
        if "still sending model-00002" in line:
            told.set()

    said: list[str] = []
    monkeypatch.setattr(obstore, "put", slow)
    monkeypatch.setattr(waiting, "BEATS", 0.01)
    pipeline.apply(recipe(near(trio), f"{bucket}/out"), say=say)
    beat = "s3://models/out: still sending model-00002-of-00002.safetensors, 0 s so far"
    assert beat in said


def test_a_vector_is_a_directory() -> None:
    job = Recipe.from_mapping({"target": "demo:target", "vectors": [{"vector": "s3://b/v"}]})
    with pytest.raises(UsageError, match="a vector must be a directory on this machine"):
        pipeline.apply(job.model_copy(update={"output": "/nowhere/x"}))


def test_where_outputs_are_staged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CHATVECTOR_STAGING", str(tmp_path))
    one, other = staging_place("s3://b/a/m"), staging_place("s3://b/z/m/")
    assert one.parent == other.parent == tmp_path
    assert one != other
    assert one.name.startswith("m-")
    assert staging_place("s3://b/a/m") == one
    monkeypatch.delenv("CHATVECTOR_STAGING")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert staging_place("s3://b/a/m").parent == tmp_path / "cache" / "chatvector" / "staging"


def test_torn_lines_of_the_upload_journal_are_ignored(tmp_path: Path) -> None:
    (tmp_path / UPLOADED).write_text('{"name": "a", "etag": "1"}\n{"name": "b"}\nnull\n{"na')
    assert object_store_output._Record.of(tmp_path).sent == {"a": "1"}


def test_an_output_in_a_store_replies_from_a_directory_that_goes_again(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    parents = {"base": "demo:base", "chat": "demo:chat", "scale": 0.75}
    output = f"{bucket}/ko-chat"
    pipeline.apply(Recipe.from_mapping({"target": "demo:target", "vectors": [parents], "output": output}))
    said: list[str] = []
    found = verify(output, generate=True, say=said.append)
    assert found.ok, found.problems
    reply = next(check for check in found.checks if check.name == "reply")
    assert reply.figures["stopped"] > 0
    assert any(line.startswith(f"{output}: downloading") for line in said)
    assert not list(scratch.glob("chatvector-*"))


def test_a_download_from_a_store_asks_for_room_first(
    bucket: str, trio: Trio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del trio
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(shutil, "disk_usage", lambda _place: SimpleNamespace(free=1000))
    storage = ObjectStorage(f"{bucket}/target")
    with ExitStack() as stack, pytest.raises(NotEnoughSpace, match=r"kB to download, .* has 1\.0 kB free"):
        storage.download(stack, print)
    storage.close()


def test_no_object_lands_outside_of_the_directory(bucket: str, trio: Trio, tmp_path: Path) -> None:
    del trio
    storage = ObjectStorage(f"{bucket}/target")
    with pytest.raises(DamagedFile, match="would lie outside"):
        storage._copy("additional_chat_templates/../../x.jinja", tmp_path / "x.jinja")
    storage.close()
