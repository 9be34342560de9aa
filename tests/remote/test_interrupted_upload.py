# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C while a store takes a file and does not answer: heard at once, and the same command goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from cutting_proxy import CuttingProxy
from moto.server import ThreadedMotoServer

PARENTS = ("demo:target", "--base", "demo:base", "--chat", "demo:chat")
PATIENCE = 20
"""Seconds; obstore asks again for minutes."""
MANIFEST = "chat_vector.json"


class Store:
    """A bucket `models` behind a proxy, as the programs that are started find it."""

    def __init__(self, proxy: CuttingProxy, address: str) -> None:
        self.proxy = proxy
        self.s3 = boto3.client("s3", endpoint_url=address)
        self.s3.create_bucket(Bucket="models")

    def files(self, name: str) -> dict[str, bytes]:
        """The objects under a name."""
        found = self.s3.list_objects_v2(Bucket="models", Prefix=f"{name}/").get("Contents", [])
        return {
            one["Key"].partition("/")[2]: self.s3.get_object(Bucket="models", Key=one["Key"])["Body"].read()
            for one in found
        }


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Store]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with CuttingProxy(f"http://{host}:{port}") as proxy:
        settings = {
            "ACCESS_KEY_ID": "k",
            "SECRET_ACCESS_KEY": "s",
            "REGION": "us-east-1",
            "ENDPOINT_URL": proxy.endpoint,
        }
        for name, value in settings.items():
            monkeypatch.setenv(f"AWS_{name}", value)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("CHATVECTOR_STAGING", str(tmp_path / "staging"))
        monkeypatch.delenv("AWS_ENDPOINT", raising=False)
        found = Store(proxy, f"http://{host}:{port}")
        yield found
        for one in found.s3.list_objects_v2(Bucket="models").get("Contents", []):
            found.s3.delete_object(Bucket="models", Key=one["Key"])
        found.s3.delete_bucket(Bucket="models")
        found.s3.close()
    server.stop()


def apply(output: str, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "chatvector", "apply", *PARENTS, "-o", output, *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)


def interrupted_at(store: Store, name: str) -> None:
    """Ctrl-C once the store has a file for which it never answers."""
    store.proxy.unanswered = name
    with apply("s3://models/out") as program:
        try:
            while name not in store.files("out"):
                assert program.poll() is None, program.communicate()
                time.sleep(0.05)
            program.send_signal(signal.SIGINT)
            _, err = program.communicate(timeout=PATIENCE)
        finally:
            program.kill()
    assert (program.returncode, err.splitlines()[-1]) == (130, "chatvector: interrupted; the same command continues")
    store.proxy.unanswered = None


@pytest.mark.parametrize("name", ["model.safetensors", "README.md", MANIFEST])
@pytest.mark.parametrize("more", [(), ("--restart",)])
def test_the_same_command_goes_on(store: Store, tmp_path: Path, name: str, more: tuple[str, ...]) -> None:
    interrupted_at(store, name)
    before = store.files("out")
    with apply("s3://models/out", *more) as program:
        out, err = program.communicate()
    if more and name == MANIFEST:  # the model is whole, and to begin again would replace it
        assert program.returncode == 2
        assert "the interrupted run had sent its last file, and --restart replaces no model" in err
        assert store.files("out") == before
        with apply("s3://models/out") as program:
            out, err = program.communicate()
    assert program.returncode == 0, err
    assert out.startswith("s3://models/out: ")
    assert list((tmp_path / "staging").iterdir()) == []
    found = store.files("out")
    with apply(str(tmp_path / "near")) as program:
        program.communicate()
    same = {"model.safetensors", "config.json", "tokenizer.json"}
    assert {one: found[one] for one in same} == {one: (tmp_path / "near" / one).read_bytes() for one in same}
    assert MANIFEST in found
    assert ("the interrupted run had sent it all" in err) == (name == MANIFEST)


def test_what_somebody_else_put_there_meanwhile_is_not_replaced(store: Store) -> None:
    interrupted_at(store, "model.safetensors")
    store.s3.put_object(Bucket="models", Key="out/model.safetensors", Body=b"theirs")
    with apply("s3://models/out") as program:
        _, err = program.communicate()
    assert program.returncode == 2
    assert "holds 1 objects that are not of this run (model.safetensors)" in err
    assert store.files("out") == {"model.safetensors": b"theirs"}
