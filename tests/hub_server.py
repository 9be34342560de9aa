# SPDX-License-Identifier: Apache-2.0
"""A hub of our own on the loopback: speaks as much of the hub's protocol as huggingface_hub uses to read a model.

    with HubServer() as hub:
        commit = hub.add("org/name", {"config.json": b"{}"})
        hub.faults.append(Fault("GET", "/org/name/resolve/", status=503))

Spoken: model info (`/api/models/ID[/revision/REV][?blobs=true]`), the file tree (`…/tree/REV`), and files
(`/ID/resolve/REV/FILE`: HEAD and GET, ETag, X-Repo-Commit, ranges), with the hub's error codes in headers.
With `hub.signed_uses` weights and tokenizers are redirected to signed addresses on another host name, as the hub does
with large files.
Every request is kept in `hub.log`. Nothing outside 127.0.0.1 is ever asked. What changes a repository is spoken by
`hub_writer.WritableHub`.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

LARGE = (".safetensors", "tokenizer.json")
"""Files that the hub keeps elsewhere."""


@dataclass
class Fault:
    """What goes wrong with the requests whose method and path (a part of it) fit."""

    method: str
    path: str
    status: int = 0
    """The answer's status; 0: the answer is right but for what follows."""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    """Close the connection after so many bytes of the body, or before the status line if negative."""
    stall: float = 0.0
    """Wait so many seconds before the answer."""
    times: int = 1_000_000
    """How often it happens."""


@dataclass
class Repo:
    """One model: commits, and the names that point at them."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """A request as it came: the path is unquoted and without its query."""

    method: str
    path: str
    headers: Mapping[str, str]
    port: int = 0
    """Of the reader's end: requests over one connection share it."""


class HubServer:
    """The server, its models, its faults and its log. A context manager."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.faults: list[Fault] = []
        self.log: list[Request] = []
        self.signed_uses: int | None = None
        """Redirect large files to another host name, with a signature that is good for so many requests."""
        self.signatures: dict[str, int] = {}
        self.serves_ranges = True
        self.secrets: dict[str, str] = {}
        """Private models, which are there for who sends this token only."""
        self.gated: dict[str, str] = {}
        """Models that everybody sees and that who sends this token may read."""
        self._stopped = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def endpoint(self) -> str:
        """The value for HF_ENDPOINT."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def add(self, repo_id: str, files: Mapping[str, bytes], *, branch: str = "main") -> str:
        """Commit `files` as the whole content of a branch; returns the 40-digit commit."""
        digest = hashlib.sha1(repo_id.encode())
        for name, content in sorted(files.items()):
            digest.update(name.encode() + b"\0" + content + b"\0")
        repo = self.repos.setdefault(repo_id, Repo())
        repo.commits[digest.hexdigest()] = dict(files)
        repo.refs[branch] = digest.hexdigest()
        return digest.hexdigest()

    def add_folder(self, repo_id: str, folder: Path, *, branch: str = "main") -> str:
        """The same with all files below a directory."""
        return self.add(repo_id, files_of(folder), branch=branch)

    def metadata(self, name: str, content: bytes) -> dict[str, object]:
        """What a listing with `blobs=true` says of a file."""
        del name
        return {"size": len(content), "blobId": _oid(content)}

    def downloaded(self) -> list[str]:
        """Names of the files whose content was asked for, sorted, each once."""
        paths = [r.path for r in self.log if r.method == "GET" and "/resolve/" in r.path]
        return sorted({path.split("/resolve/")[1].split("/", 1)[1] for path in paths})

    def write(self, request: Request, body: bytes) -> tuple[int, object, Mapping[str, str]]:
        """Answer a request that would change something: this hub is for reading only."""
        return 404, {"error": f"{request.method} {request.path} with {len(body)} bytes is not spoken here"}, {}

    def next_fault(self, method: str, path: str) -> Fault | None:
        """The fault for this request, counted down."""
        for fault in self.faults:
            if fault.times > 0 and fault.method == method and fault.path in path:
                fault.times -= 1
                return fault
        return None

    def sign(self, path: str) -> str:
        """A new signed address for a file."""
        assert self.signed_uses is not None
        signature = f"s{len(self.signatures)}"
        self.signatures[signature] = self.signed_uses
        return f"http://localhost:{self._server.server_address[1]}/signed/{signature}{path}"

    def use(self, signature: str) -> bool:
        """Whether a signature is still good; counted down."""
        self.signatures[signature] -= 1
        return self.signatures[signature] >= 0

    def wait(self, seconds: float) -> None:
        """Sleep, but not longer than the server lives."""
        self._stopped.wait(seconds)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


_INFO = re.compile(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?")
_TREE = re.compile(r"/api/models/([^/]+/[^/]+)/tree/([^/]+)")
_SIGNED = re.compile(r"/signed/([^/]+)(/.+)")
_FILE = re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # of Python's 5 the sixth of connections that come at once is tried again after a second

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # a reader may leave when it has what it wants
            super().handle_error(request, client_address)  # type: ignore[arg-type]


def _handler(hub: HubServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # as real servers do: no waiting between headers and a short body
        signed = False

        def do_GET(self) -> None:
            self._answer()

        def do_HEAD(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def do_PUT(self) -> None:
            self._answer()

        def log_message(self, format: str, *args: object) -> None:
            pass  # the log is kept, not printed

        def _answer(self) -> None:
            self.signed = False
            url = urlsplit(self.path)
            path = unquote(url.path)
            request = Request(self.command, path, dict(self.headers), self.client_address[1])
            hub.log.append(request)
            body = self.rfile.read(int(self.headers.get("Content-Length", "0"))) if self.command[0] == "P" else b""
            fault = hub.next_fault(self.command, path)
            if fault is not None:
                hub.wait(fault.stall)
                if fault.cut_after is not None and fault.cut_after < 0:
                    self.close_connection = True
                    return
                if fault.status:
                    self._send(fault.status, b"{}", fault.headers)
                    return
            if self.command[0] == "P":
                status, document, headers = hub.write(request, body)
                self._send(status, json.dumps(document).encode(), {"Content-Type": "application/json", **headers})
                return
            cut = fault.cut_after if fault else None
            if match := _SIGNED.fullmatch(path):
                if "Authorization" in self.headers or not hub.use(match[1]):
                    self._send(403, b"", {})
                    return
                self.signed, path = True, match[2]
            if match := _TREE.fullmatch(path):
                self._tree(match[1], match[2])
            elif match := _INFO.fullmatch(path):
                self._info(match[1], match[2] or "main", "blobs" in parse_qs(url.query))
            elif match := _FILE.fullmatch(path):
                self._file(match[1], match[2], match[3], cut)
            else:
                self._send(404, b"", {})

        def _find(self, repo_id: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
            repo = hub.repos.get(repo_id)
            sent = self.headers.get("Authorization")
            # A signed address is a token by itself.
            if repo_id in hub.secrets and not self.signed and sent != f"Bearer {hub.secrets[repo_id]}":
                repo = None
            if repo_id in hub.gated and not self.signed and sent != f"Bearer {hub.gated[repo_id]}":
                self._send(403, b"{}", {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"})
                return None
            if repo is None:  # the hub hides what is private: 401, as for what does not exist
                self._send(401, b"{}", {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"})
                return None
            commit = repo.refs.get(revision, revision)
            if commit not in repo.commits:
                self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
                return None
            return commit, repo.commits[commit]

        def _info(self, repo_id: str, revision: str, sizes: bool) -> None:
            if found := self._find(repo_id, revision):
                commit, files = found
                siblings = [{"rfilename": n, **(hub.metadata(n, c) if sizes else {})} for n, c in files.items()]
                info = {"id": repo_id, "modelId": repo_id, "sha": commit, "siblings": siblings, "tags": []}
                self._send_json(info)

        def _tree(self, repo_id: str, revision: str) -> None:
            if found := self._find(repo_id, revision):
                files = found[1].items()
                self._send_json([{"type": "file", "path": n, "size": len(c), "oid": _oid(c)} for n, c in files])

        def _file(self, repo_id: str, revision: str, name: str, cut: int | None) -> None:
            found = self._find(repo_id, revision)
            if found is None:
                return
            commit, files = found
            if name not in files:
                self._send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
                return
            content = files[name]
            if hub.signed_uses is not None and name.endswith(LARGE) and not self.signed:
                linked = {"X-Linked-Etag": f'"{_oid(content)}"', "X-Linked-Size": str(len(content))}
                place = hub.sign(f"/{repo_id}/resolve/{revision}/{name}")
                self._send(302, b"", {"Location": place, "X-Repo-Commit": commit, **linked})
                return
            headers = {"ETag": f'"{_oid(content)}"', "X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
            status = 200
            asked = self.headers.get("Range", "") if hub.serves_ranges else ""
            if match := re.fullmatch(r"bytes=(\d+)-(\d*)", asked):
                start, stop = int(match[1]), int(match[2]) + 1 if match[2] else len(content)
                headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(content)}"
                status, content = 206, content[start:stop]
            self._send(status, content, headers, cut)

        def _send_json(self, document: object) -> None:
            self._send(200, json.dumps(document).encode(), {"Content-Type": "application/json"})

        def _send(self, status: int, body: bytes, headers: Mapping[str, str], cut: int | None = None) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body if cut is None else body[:cut])
                self.close_connection = cut is not None

    return Handler


def files_of(folder: Path) -> dict[str, bytes]:
    """All files below a directory, by their names relative to it."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def _oid(content: bytes) -> str:
    """The id git gives a blob, which the hub uses as ETag of files outside of LFS."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@contextmanager
def posing_as_the_hub(
    server: HubServer, monkeypatch: pytest.MonkeyPatch, cache: Path, *, token: str = ""
) -> Iterator[None]:
    """Inside the block huggingface_hub takes `server` for the real hub; its cache is `cache`.

    huggingface_hub reads the environment when it is imported, so its constants are changed too.
    """
    import huggingface_hub
    from huggingface_hub import constants

    template = server.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", server.endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    # The server speaks plain HTTP and LFS; Xet has servers and a protocol of its own.
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    # Whoever runs the tests may be logged in.
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(cache.with_name("no-token")))
    monkeypatch.setenv("HF_TOKEN", token)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    try:
        yield
    finally:
        huggingface_hub.close_session()
