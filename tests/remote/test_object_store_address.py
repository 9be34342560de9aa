# SPDX-License-Identifier: Apache-2.0
"""What the address of an object store means, before anything is asked of one: names, buckets, accounts, endpoints."""

from __future__ import annotations

from typing import Any

import pytest

from chatvector import pipeline
from chatvector.checkpoint import object_store
from chatvector.checkpoint.checkpoint import Checkpoint
from chatvector.checkpoint.object_store_address import require_endpoints
from chatvector.errors import UsageError
from chatvector.recipe import Recipe


@pytest.mark.parametrize("name", ["a//b", "/a", "a/../b", "./a"])
def test_names_that_lead_elsewhere_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"has an empty part, `\.` or `\.\.` in its name; write s3://BUCKET/NAME$"):
        Checkpoint.open(f"s3://models/{name}")
    with pytest.raises(UsageError, match=r"^s3://mod%6cels/x: 'mod%6cels' is no bucket; write s3://BUCKET/NAME$"):
        Checkpoint.open("s3://mod%6cels/x")


@pytest.mark.parametrize("scheme", ["s3", "s3a", "gs", "az", "abfs"])
@pytest.mark.parametrize("name", ["a#b c/d%20e", "한글/x?y", ""])
def test_a_name_means_the_same_in_every_store(scheme: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What obstore makes of the address; nothing is asked."""
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    store: Any = object_store.open_store(f"{scheme}://models/{name}")
    held = {"s3": "S3Store", "s3a": "S3Store", "gs": "GCSStore", "az": "AzureStore", "abfs": "AzureStore"}
    assert type(store).__name__ == held[scheme]
    assert (store.prefix or "") == name
    assert "models" in (store.config.get("bucket"), store.config.get("container_name"))


def test_an_account_in_the_address() -> None:
    host = "account.dfs.core.windows.net"
    store: Any = object_store.open_store(f"abfss://models@{host}/a#b")
    assert store.prefix == "a#b"
    assert store.config == {"container_name": "models", "account_name": "account"}


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        ("minio:9000", "http://minio:9000"),
        ("127.0.0.1:9000", "http://127.0.0.1:9000"),
        ("", "https://HOST or http://HOST:PORT"),
        ("http://", "https://HOST or http://HOST:PORT"),
        ("http://h:port", "https://HOST or http://HOST:PORT"),
        ("ftp://x:1", "https://HOST or http://HOST:PORT"),
    ],
)
@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AWS_ENDPOINT_URL_S3"])
def test_an_endpoint_that_is_no_address(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, advice: str
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv(variable, value)
    with pytest.raises(UsageError) as caught:
        Checkpoint.open("s3://models/m")
    assert str(caught.value) == (
        f"s3://models/m: {variable} is {value!r}, which is no address; set it to {advice}, or unset it for the store's"
        " own"
    )


@pytest.mark.parametrize(
    ("url", "variable", "plain"),
    [
        ("az://c/m", "AZURE_STORAGE_ENDPOINT", True),
        ("abfs://c/m", "AZURE_ENDPOINT", True),
        ("gs://c/m", "AWS_ENDPOINT_URL", False),
        ("az://c/m", "AWS_ENDPOINT_URL", False),
    ],
)
def test_whose_endpoint_counts(url: str, variable: str, plain: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    assert require_endpoints(url) is False
    monkeypatch.setenv(variable, "http://127.0.0.1:10000/account")
    assert require_endpoints(url) is plain
    monkeypatch.setenv(variable, "127.0.0.1:10000")
    if plain:
        with pytest.raises(UsageError, match=f"^{url}: {variable} is '127.0.0.1:10000', which is no address; set it"):
            require_endpoints(url)
    else:
        assert require_endpoints(url) is False


@pytest.mark.parametrize("url", ["s3://", "gs:///models/out"])
def test_a_url_without_a_bucket(url: str) -> None:
    with pytest.raises(UsageError, match=f"^{url}: names no bucket; write {url[:2]}://BUCKET/NAME$"):
        pipeline.apply(
            Recipe.from_mapping({"target": "nothing", "vectors": [{"base": "is", "chat": "read"}], "output": url})
        )
    with pytest.raises(UsageError, match="names no bucket"):
        Checkpoint.open(url)
