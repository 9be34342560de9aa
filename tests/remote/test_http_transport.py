# SPDX-License-Identifier: Apache-2.0
"""Bodies of answers, read straight from the socket: every way a server may send or break one off, plain and by TLS."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from chatvector.checkpoint import http_transport
from chatvector.checkpoint.http_transport import Broken, ClientTransport, DirectTransport, Transport

BODY = bytes(range(256)) * 4096  # 1 MiB: many records of TLS, more than a socket's buffer
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY


class Script:
    """A server on the loopback that answers each request, on whichever connection, with the next of `answers`.

    An answer that is None closes the connection instead; `pause` is waited for in the middle of each.
    """

    def __init__(self, *answers: bytes | None, context: ssl.SSLContext | None = None, last: bool = False) -> None:
        """`last`: close the connection after each answer."""
        self._answers = list(answers)
        self._context = context
        self._last = last
        self.hold = threading.Event()
        self.hold.set()
        self.connections = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept)]
        scheme = "http" if context is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self._server.getsockname()[1]}/file"

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hold.set()
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for thread in self._threads:
            thread.join(60)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self.connections += 1
            self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            stack.enter_context(connection)
            if self._context is not None:
                connection = stack.enter_context(self._context.wrap_socket(connection, server_side=True))
            while self._answers and _request(connection):
                answer = self._answers.pop(0)
                if answer is None:
                    return
                connection.sendall(answer[: len(answer) // 2])
                self.hold.wait(60)
                connection.sendall(answer[len(answer) // 2 :])
                if self._last:
                    return


def _request(connection: socket.socket) -> bool:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(1 << 16)
        if not piece:
            return False
        data += piece
    return True


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that signs itself, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - day).not_valid_after(now + day)
    certificate = builder.add_extension(address, critical=False).sign(key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(secret + certificate.public_bytes(pem))
    return path


@pytest.fixture(params=["plain", "tls"])
def context(request: pytest.FixtureRequest, authority: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext | None:
    """What a server of the way needs; the client trusts its certificate."""
    if request.param == "plain":
        return None
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    found.load_cert_chain(authority)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    return found


@pytest.fixture
def direct() -> Iterator[DirectTransport]:
    transport = DirectTransport()
    yield transport
    transport.close()


def fetch(transport: Transport, url: str, *sizes: int) -> bytes:
    """Read an answer by pieces of `sizes`, the last of them again and again, to the length of BODY."""
    request = transport.ask(url, {})
    request.answer()
    data = memoryview(bytearray(len(BODY)))
    at, pieces = 0, list(sizes)
    while at < len(data):
        size = min(pieces.pop(0) if len(pieces) > 1 else pieces[0], len(data) - at)
        request.read_into(data[at : at + size])
        at += size
    request.close()
    return bytes(data)


@pytest.mark.parametrize("sizes", [(len(BODY),), (1, 8191, 8192, 100_000), (3000,)])
def test_a_body_by_pieces_and_the_connection_serves_again(
    direct: DirectTransport, context: ssl.SSLContext | None, sizes: tuple[int, ...]
) -> None:
    with Script(WHOLE, WHOLE, WHOLE, context=context) as server:
        for _ in range(3):
            assert fetch(direct, server.url, *sizes) == BODY
        assert server.connections == 1
        direct.close()


def test_requests_under_way_at_once(direct: DirectTransport, context: ssl.SSLContext | None) -> None:
    with Script(WHOLE, WHOLE, context=context) as server:
        requests = [direct.ask(server.url, {}) for _ in range(2)]
        for request in reversed(requests):
            assert request.answer().status == 200
            data = bytearray(len(BODY))
            request.read_into(memoryview(data))
            assert data == BODY
            request.close()
        assert server.connections == 2
        direct.close()


def test_a_lent_socket_brings_the_body_and_the_connection_serves_again(direct: DirectTransport) -> None:
    with Script(WHOLE, WHOLE) as server:
        for _ in range(2):
            request = direct.ask(server.url, {})
            assert request.lend(1) is None  # before the answer
            request.answer()
            data = bytearray()
            while (descriptor := request.lend(1)) is None:  # what came with the head lies here
                piece = bytearray(512)
                request.read_into(memoryview(piece))
                data += piece
            with socket.socket(fileno=os.dup(descriptor)) as lent:
                data += lent.recv(1)
                rest = len(BODY) - len(data)
                assert request.lend(rest + 1) is None  # more than is left
                assert request.lend(rest) == descriptor
                data += lent.recv(rest, socket.MSG_WAITALL)
            assert bytes(data) == BODY
            request.close()
        assert server.connections == 1


def test_a_loan_that_is_broken_off_ends_its_connection(direct: DirectTransport) -> None:
    with Script(WHOLE, WHOLE) as server:
        request = direct.ask(server.url, {})
        request.answer()
        piece = bytearray(http_transport._HEAD_BUFFER_BYTES)
        request.read_into(memoryview(piece))
        assert request.lend(len(BODY) - len(piece)) is not None
        request.break_off()  # although all is lent, nobody knows what was taken
        assert fetch(direct, server.url, 1 << 16) == BODY
        assert server.connections == 2


def test_nothing_is_lent_over_tls(direct: DirectTransport, authority: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    with Script(WHOLE, context=context) as server:
        request = direct.ask(server.url, {})
        request.answer()
        data = bytearray(len(BODY))
        request.read_into(memoryview(data)[: 1 << 16])
        assert request.lend(1) is None
        request.read_into(memoryview(data)[1 << 16 :])
        assert bytes(data) == BODY
        request.close()


def test_what_is_given_up_ends_its_connection(direct: DirectTransport, context: ssl.SSLContext | None) -> None:
    with Script(WHOLE, WHOLE, context=context) as server:
        request = direct.ask(server.url, {})
        request.answer()
        request.read_into(memoryview(bytearray(70_000)))
        request.close()
        assert fetch(direct, server.url, len(BODY)) == BODY
        assert server.connections == 2
        direct.close()


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
UNSAID = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + BODY
LAST = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY


@pytest.mark.parametrize("answer", [CHUNKED, UNSAID, LAST], ids=["chunked", "to the end", "closed after it"])
def test_bodies_that_the_library_delimits(
    direct: DirectTransport, context: ssl.SSLContext | None, answer: bytes
) -> None:
    with Script(answer, answer, context=context, last=answer != CHUNKED) as server:
        for _ in range(2):
            assert fetch(direct, server.url, 100_000) == BODY
        direct.close()


def assert_told_what_came(transport: Transport, kept: int, context: ssl.SSLContext | None = None) -> None:
    with Script(WHOLE[: len(WHOLE) - len(BODY) + kept], context=context, last=True) as server:
        request = transport.ask(server.url, {})
        request.answer()
        data = bytearray(len(BODY))
        with pytest.raises(Broken) as caught:
            request.read_into(memoryview(data))
        assert caught.value.received == kept
        assert data[:kept] == BODY[:kept]
        assert "\n" not in str(caught.value)
        request.close()


@pytest.mark.parametrize("kept", [200_000, 0])
def test_an_answer_that_ends_early_says_what_came(
    direct: DirectTransport, context: ssl.SSLContext | None, kept: int
) -> None:
    assert_told_what_came(direct, kept, context)


@pytest.mark.parametrize("kept", [200_000, 0])
def test_by_the_client_of_the_hub_as_well(kept: int) -> None:
    assert_told_what_came(ClientTransport(), kept)


def test_a_silent_server_is_given_up(
    direct: DirectTransport, context: ssl.SSLContext | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_transport, "READ_SECONDS", 1.0)
    with Script(WHOLE, context=context) as server:
        server.hold.clear()
        request = direct.ask(server.url, {})
        request.answer()
        with pytest.raises(Broken, match="timed out") as caught:
            request.read_into(memoryview(bytearray(len(BODY))))
        assert 0 < caught.value.received < len(BODY)
        request.close()


def test_a_connection_closed_meanwhile_is_made_anew_once(
    direct: DirectTransport, context: ssl.SSLContext | None
) -> None:
    with Script(WHOLE, None, WHOLE, None, None, context=context) as server:
        for _ in range(2):
            assert fetch(direct, server.url, len(BODY)) == BODY
        assert server.connections == 2
        request = direct.ask(server.url, {})
        with pytest.raises(Broken):
            request.answer()
        request.close()
        direct.close()


def test_nobody_answers(direct: DirectTransport) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(Broken, match="refused"):
        direct.ask(f"http://127.0.0.1:{port}/", {})


def test_an_unknown_certificate_is_refused(direct: DirectTransport, authority: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority)
    with Script(WHOLE, context=context) as server, pytest.raises(Broken, match="certificate"):
        direct.ask(server.url, {})
