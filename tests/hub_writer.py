# SPDX-License-Identifier: Apache-2.0
"""A hub of our own that can be written to: what huggingface_hub 2 calls to make a repository and commit to it.

Spoken: repository and branch creation, `preupload` (which file goes how), the LFS batch endpoint with basic transfer
and verification, `commit` (ndjson), the card's YAML check. Not spoken: Xet transfer; tests switch it off, and
huggingface_hub falls back to LFS.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from hub_server import HubServer, Repo, Request, _oid

TOKEN = "hf_test"
ATTRIBUTES = b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"
Answer = tuple[int, object, Mapping[str, str]]


class WritableHub(HubServer):
    """Accepts what the token `hf_test` sends to the organisations in `orgs`."""

    def __init__(self) -> None:
        super().__init__()
        self.orgs = {"org"}
        self.private: set[str] = set()
        self.objects: dict[str, bytes] = {}
        self.commits: list[dict[str, Any]] = []
        """Header and file names of each commit, as they came."""

    def files(self, repo_id: str, branch: str = "main") -> dict[str, bytes]:
        """What a branch holds."""
        repo = self.repos[repo_id]
        return repo.commits[repo.refs[branch]]

    def metadata(self, name: str, content: bytes) -> dict[str, object]:
        plain = super().metadata(name, content)
        if not name.endswith(".safetensors"):
            return plain
        digest = hashlib.sha256(content).hexdigest()
        return plain | {"lfs": {"size": len(content), "sha256": digest, "pointerSize": 134}}

    def sent(self) -> list[str]:
        """The LFS objects that were sent, in order, repeats included."""
        return [r.path.rsplit("/", 1)[1] for r in self.log if r.method == "PUT"]

    def write(self, request: Request, body: bytes) -> Answer:
        if request.path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}, {}
        headers = {key.lower(): value for key, value in request.headers.items()}
        if request.method == "PUT":
            return self._object(request.path, body)
        if headers.get("authorization") != f"Bearer {TOKEN}":
            return 401, {"error": "Invalid credentials in Authorization header"}, {}
        for pattern, answer in _ROUTES:
            if match := re.fullmatch(pattern, request.path):
                return answer(self, body, *match.groups())
        return super().write(request, body)

    def _create(self, body: bytes) -> Answer:
        wanted = json.loads(body)
        repo_id = f"{wanted['organization']}/{wanted['name']}"
        if wanted["organization"] not in self.orgs:
            return 403, {"error": f"You don't have the rights to create a model under {wanted['organization']}"}, {}
        if repo_id in self.repos:
            return 409, {"error": "You already created this model repo"}, {}
        self.add(repo_id, {".gitattributes": ATTRIBUTES})
        if wanted.get("visibility") == "private":
            self.private.add(repo_id)
        return 200, {"url": f"{self.endpoint}/{repo_id}", "name": repo_id}, {}

    def _branch(self, body: bytes, repo_id: str, branch: str) -> Answer:
        repo = self.repos[repo_id]
        repo.refs[branch] = repo.refs[json.loads(body or b"{}").get("startingPoint", "main")]
        return 200, {}, {}

    def _preupload(self, body: bytes, repo_id: str, branch: str) -> Answer:
        repo = self.repos.get(repo_id)
        if repo is None or branch not in repo.refs:
            return 404, {"error": "Not found"}, {"X-Error-Code": "RevisionNotFound" if repo else "RepoNotFound"}
        there = repo.commits[repo.refs[branch]]
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular",
                "shouldIgnore": False,
                "oid": _remote_oid(file["path"], there.get(file["path"])),
            }
            for file in json.loads(body)["files"]
        ]
        return 200, {"files": files}, {}

    def _batch(self, body: bytes, _repo_id: str) -> Answer:
        objects: list[dict[str, Any]] = []
        for one in json.loads(body)["objects"]:
            links = {"upload": {"href": f"{self.endpoint}/lfs/{one['oid']}"}}
            links["verify"] = {"href": f"{self.endpoint}/lfs-verify"}
            objects.append(one if one["oid"] in self.objects else one | {"actions": links})
        return 200, {"transfer": "basic", "objects": objects}, {}

    def _object(self, path: str, body: bytes) -> Answer:
        oid = path.rsplit("/", 1)[1]
        if hashlib.sha256(body).hexdigest() != oid:
            return 400, {"error": "the object is not what its name says"}, {}
        self.objects[oid] = body
        return 200, {}, {}

    def _verify(self, body: bytes) -> Answer:
        wanted = json.loads(body)
        return (200 if len(self.objects.get(wanted["oid"], b"")) == wanted["size"] else 404), {}, {}

    def _commit(self, body: bytes, repo_id: str, branch: str) -> Answer:
        lines = [json.loads(line) for line in body.splitlines()]
        header, repo = lines[0]["value"], self.repos[repo_id]
        if header.get("parentCommit", repo.refs[branch]) != repo.refs[branch]:
            return 412, {"error": "A commit has happened since. Please refresh and try again."}, {}
        files = dict(repo.commits[repo.refs[branch]])
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                if value["oid"] not in self.objects:
                    return 400, {"error": f"LFS pointer pointed to a file that does not exist: {value['oid']}"}, {}
                files[value["path"]] = self.objects[value["oid"]]
            else:
                del files[value["path"]]
        commit = hashlib.sha1(f"{len(self.commits)}{sorted(files)}".encode()).hexdigest()
        self.repos.setdefault(repo_id, Repo()).commits[commit] = files
        repo.refs[branch] = commit
        self.commits.append({"header": header, "files": [line["value"]["path"] for line in lines[1:]]})
        return 200, {"commitUrl": f"{self.endpoint}/{repo_id}/commit/{commit}", "commitOid": commit}, {}


def _remote_oid(name: str, content: bytes | None) -> str | None:
    if content is None:
        return None
    return hashlib.sha256(content).hexdigest() if name.endswith(".safetensors") else _oid(content)


_MODEL = r"/api/models/([^/]+/[^/]+)"
_ROUTES: tuple[tuple[str, Callable[..., Answer]], ...] = (
    (r"/api/repos/create", WritableHub._create),
    (_MODEL + r"/branch/(.+)", WritableHub._branch),
    (_MODEL + r"/preupload/(.+)", WritableHub._preupload),
    (_MODEL + r"/commit/(.+)", WritableHub._commit),
    (r"/([^/]+/[^/]+)\.git/info/lfs/objects/batch", WritableHub._batch),
    (r"/lfs-verify", WritableHub._verify),
)
