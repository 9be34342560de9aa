# SPDX-License-Identifier: Apache-2.0
"""Settings of this machine that keep it from the hub: one line that names the setting, and none that promises more of
the same command."""

from __future__ import annotations

import json
import ssl
import sys
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants

from chatvector.checkpoint.hub import fetch, one_line
from chatvector.checkpoint.hub_errors import explain_status
from chatvector.errors import HubError, MissingExtra
from hub_server import HubServer

NOBODY = "127.0.0.1:9"
"""The discard port: refused."""


@pytest.fixture
def settings(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No proxy, no bypass; the library reads the environment again."""
    del hub
    for name in (
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "SSL_CERT_FILE",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
    ):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setattr(constants, "ENDPOINT", f"http://{NOBODY}")
    huggingface_hub.close_session()
    return monkeypatch


def told() -> str:
    with pytest.raises(HubError) as caught:
        fetch("org/m")
    assert caught.value.__cause__ is not None
    text = str(caught.value)
    assert "\n" not in text
    assert "goes on" not in text
    return text


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
def test_a_proxy_that_nobody_runs(settings: pytest.MonkeyPatch, name: str) -> None:
    settings.setenv(name, f"http://me:secret@{NOBODY}")
    text = told()
    assert text.startswith(f"org/m: the proxy {NOBODY} cannot be reached (")
    assert text.endswith(f"); correct or unset {name}, or set NO_PROXY")
    assert "secret" not in text


def test_a_socks_proxy(settings: pytest.MonkeyPatch) -> None:
    settings.setitem(sys.modules, "socksio", None)
    settings.setenv("ALL_PROXY", f"socks5h://{NOBODY}")
    with pytest.raises(
        MissingExtra, match=r"^org/m: the SOCKS proxy of ALL_PROXY needs .*: pip install socksio$"
    ) as caught:
        fetch("org/m")
    assert caught.value.exit_code == 7


def test_a_proxy_that_is_none(settings: pytest.MonkeyPatch) -> None:
    settings.setenv("HTTP_PROXY", f"ftp://{NOBODY}")
    assert told().startswith(f"org/m: HTTP_PROXY is 'ftp://{NOBODY}', which is no proxy (")


def test_a_proxy_that_asks_for_a_password() -> None:
    assert "(407); write HTTP_PROXY and HTTPS_PROXY as http://NAME:PASSWORD@HOST:PORT" in str(
        explain_status(407, "org/m", "http://hub/x")
    )


@pytest.mark.parametrize("content", [None, "nothing of the kind"])
def test_certificates_that_are_none(settings: pytest.MonkeyPatch, tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "own.pem"
    if content is not None:
        path.write_text(content)
    settings.setenv("SSL_CERT_FILE", str(path))
    assert told().startswith(f"org/m: SSL_CERT_FILE is {str(path)!r}, where no certificates are (")


def test_an_authority_of_the_network(settings: pytest.MonkeyPatch) -> None:
    settings.setenv("REQUESTS_CA_BUNDLE", "/own.pem")
    with pytest.raises(HubError) as caught, one_line("org/m"):
        raise ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed")
    assert str(caught.value).endswith("set SSL_CERT_FILE to its certificate (REQUESTS_CA_BUNDLE is not read)")


def test_an_endpoint_that_is_no_address(settings: pytest.MonkeyPatch) -> None:
    settings.setattr(constants, "ENDPOINT", NOBODY)
    assert told() == f"org/m: HF_ENDPOINT is {NOBODY!r}, which is no address; set it to https://HOST, or unset it"


def test_a_token_that_is_none(settings: pytest.MonkeyPatch) -> None:
    settings.setenv("HF_TOKEN", "한글")
    assert told().startswith("org/m: the token holds characters that no token has; correct HF_TOKEN")


def test_a_token_file_that_cannot_be_read(settings: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "own").write_text("a file")
    settings.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "own" / "token"))
    settings.delenv("HF_TOKEN", raising=False)
    assert told() == (
        f"org/m: the token file {tmp_path}/own/token cannot be read (Not a directory); set HF_TOKEN, or HF_HOME to a"
        " directory of yours"
    )


def test_the_login_page_of_a_network(settings: pytest.MonkeyPatch) -> None:
    del settings
    with pytest.raises(HubError) as caught, one_line("org/m"):
        json.loads("<html>")
    assert str(caught.value).startswith(
        f"org/m: what answers at http://{NOBODY} is no hub but, maybe, the network's login page; open it in a browser"
    )
