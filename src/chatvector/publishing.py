# SPDX-License-Identifier: Apache-2.0
"""`push`: an output to a model repository of the hub, whole or not at all.

The weights are uploaded first, one file after the other; then one commit makes everything visible at once, so nobody
ever downloads half a model. What was uploaded before an interruption is not sent again: the same command goes on.
Everything passes through huggingface_hub: addresses, tokens, Xet or plain LFS transfer.
"""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chatvector.checkpoint.files import is_side_file
from chatvector.checkpoint.hub_errors import explain_http, explain_os
from chatvector.checkpoint.hub_settings import settings_explained
from chatvector.errors import ChatVectorError, HubError, OutputRefused, UsageError, first_five
from chatvector.messages import Say, silent
from chatvector.provenance.publication import WEIGHTS, Publication, prepare_publication
from chatvector.sizes import disk_size

GIT_ATTRIBUTES = ".gitattributes"
DEFAULT_BRANCH = "main"
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True)
class Remote:
    """What the hub has under the repository's name: nothing, an empty repository, or files.

    `digests`: the hub's digest of each file: SHA-256 for files in LFS, git's blob hash for others.
    """

    exists: bool
    commit: str | None
    files: tuple[str, ...]
    digests: Mapping[str, str] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Whether the repository holds no files yet, as after an interrupted first push."""
        return not [name for name in self.files if name != GIT_ATTRIBUTES]


@dataclass(frozen=True)
class PushPlan:
    """What a push would do. `remote` is None when the hub was not asked.

    `is_there`: the branch holds exactly these files already, as after a push whose answer got lost.
    """

    publication: Publication
    branch: str
    private: bool
    remote: Remote | None
    deletes: tuple[str, ...]
    is_there: bool = False


@dataclass(frozen=True)
class Pushed:
    """Address and commit of the published model."""

    url: str
    commit: str


def plan_push(
    output: Path,
    repo_id: str,
    *,
    private: bool = False,
    update: bool = False,
    branch: str = DEFAULT_BRANCH,
    licence: str | None = None,
    accept_licence: bool = False,
    ask_hub: bool = True,
    say: Say = silent,
) -> PushPlan:
    """Check output, name, licence and, with `ask_hub`, what the hub has. Nothing is sent.

    `say` receives what huggingface_hub logs meanwhile.

    Raises what `prepare_publication` raises, UsageError (no hub name), OutputRefused (a repository that has files
    already, unless `update`), HubError (no token, no connection, no right).
    """
    _require_name(repo_id)
    publication = prepare_publication(output, repo_id, licence=licence, accept_licence=accept_licence)
    remote = None
    if ask_hub:
        with _log_lines(say):
            remote = _remote(repo_id, branch)
    is_there = remote is not None and _holds(remote, publication)
    if remote is not None and not remote.empty and not update and not is_there:
        raise OutputRefused(
            f"{repo_id}: exists already with {len(remote.files)} files ({first_five(remote.files)});"
            " choose another name, or --update to replace what is there"
        )
    deletes = () if remote is None else tuple(name for name in remote.files if _is_stale(name, publication))
    return PushPlan(publication, branch, private, remote, deletes, is_there)


def push(plan: PushPlan, *, say: Say = silent, bars: bool = False) -> Pushed:
    """Carry out a plan: make the repository, upload the weights, commit everything at once. Sends nothing where
    the branch holds these files already.

    `say` receives a line for each weight file and what huggingface_hub logs. With `bars` that library draws its
    progress bars on stderr. Raises HubError; the same call goes on where it stopped.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    assert plan.remote is not None
    client = _client()
    publication = plan.publication
    if plan.is_there:
        assert plan.remote.commit is not None
        return Pushed(f"{client.endpoint}/{publication.repo_id}", plan.remote.commit)
    repo_id, message = publication.repo_id, f"Chat vector merge, plan {publication.manifest['plan']}"
    with _one_line(repo_id), _progress_bars(bars), _log_lines(say):
        if not plan.remote.exists:
            client.create_repo(repo_id, private=plan.private, exist_ok=True)
        if plan.remote.commit is None and plan.branch != DEFAULT_BRANCH:
            client.create_branch(repo_id, branch=plan.branch, exist_ok=True)
        additions = {
            name: CommitOperationAdd(name, part if isinstance(part, bytes) else str(part))
            for name, part in publication.contents.items()
        }
        weights = [name for name in additions if name.endswith(WEIGHTS)]
        for number, name in enumerate(weights, 1):
            say(f"{name}: {disk_size(publication.sizes[name])} ({number} of {len(weights)} weight files)")
            client.preupload_lfs_files(repo_id, [additions[name]], revision=plan.branch, free_memory=False)
        say(f"{repo_id}: committing {len(additions)} files")
        commit = client.create_commit(
            repo_id,
            [*additions.values(), *(CommitOperationDelete(name) for name in plan.deletes)],
            commit_message=message,
            revision=plan.branch,
            parent_commit=plan.remote.commit,
        )
    return Pushed(f"{client.endpoint}/{repo_id}", commit.oid)


def has_token(repo_id: str) -> bool:
    """Whether there is a token to publish with. Raises HubError where its file cannot be read."""
    from huggingface_hub import get_token

    with _one_line(repo_id):
        return get_token() is not None


def _require_name(repo_id: str) -> None:
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise UsageError(f"{repo_id}: is no hub name ({' '.join(str(error).split())}); write org/name") from None
    if repo_id.count("/") != 1:
        raise UsageError(f"{repo_id}: is no hub name; write org/name, the organisation or user first")


def _remote(repo_id: str, branch: str) -> Remote:
    """Ask the hub. A branch that does not exist yet has no commit, and the files of the default branch."""
    from huggingface_hub import constants, errors

    if constants.HF_HUB_OFFLINE:
        raise HubError(f"{repo_id}: HF_HUB_OFFLINE is set; unset it to publish")
    if not has_token(repo_id):
        raise HubError(f"{repo_id}: there is no token; log in with `hf auth login` or set HF_TOKEN")
    client = _client()
    with _one_line(repo_id):
        try:
            info = client.model_info(repo_id, revision=branch, files_metadata=True)
            commit = info.sha
        except errors.RevisionNotFoundError:
            info, commit = client.model_info(repo_id), None
        except errors.RepositoryNotFoundError:
            return Remote(False, None, ())
    there = info.siblings or ()
    digests = {file.rfilename: file.lfs.sha256 if file.lfs else file.blob_id or "" for file in there}
    return Remote(True, commit, tuple(sorted(file.rfilename for file in there)), digests)


def _holds(remote: Remote, publication: Publication) -> bool:
    """Whether a branch holds what would be published, and nothing else."""
    if remote.commit is None or {*remote.files} - {GIT_ATTRIBUTES} != publication.contents.keys():
        return False
    return all(
        remote.digests[name] == _digest(part, publication.sizes[name], remote.digests[name])
        for name, part in reversed(
            [*publication.contents.items()]
        )  # the manifest first: it differs whenever anything does
    )


def _digest(part: Path | bytes, nbytes: int, like: str) -> str:
    """SHA-256 of the content in hex, or its git blob hash where the digest `like` is one."""
    digest = hashlib.sha256() if len(like) == hashlib.sha256().digest_size * 2 else hashlib.sha1(b"blob %d\0" % nbytes)
    with io.BytesIO(part) if isinstance(part, bytes) else part.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def _is_stale(name: str, publication: Publication) -> bool:
    """Whether a file on the hub would contradict the new model: other shards, an old index, tokenizer or template."""
    if name in publication.contents or name == GIT_ATTRIBUTES:
        return False
    return name.endswith((WEIGHTS, f"{WEIGHTS}.index.json", ".bin", ".gguf")) or is_side_file(name)


def _client() -> Any:
    from chatvector.checkpoint.hub import client

    return client()


class _Lines(logging.Handler):
    """Hands each record on as one line."""

    def __init__(self, say: Say) -> None:
        super().__init__()
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        """Pass the record to `say`, on one line."""
        self._say(" ".join(record.getMessage().split()))


@contextmanager
def _log_lines(say: Say) -> Iterator[None]:
    """Send what huggingface_hub logs to `say` instead of stderr, which may be quiet or hold JSON lines."""
    from huggingface_hub.utils import logging as library  # importing it installs its own log handler

    logger = library.get_logger()
    before: list[logging.Handler] = logger.handlers
    logger.handlers = [_Lines(say)]
    try:
        yield
    finally:
        logger.handlers = before


@contextmanager
def _progress_bars(wanted: bool) -> Iterator[None]:
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    change = not wanted and not are_progress_bars_disabled()
    if change:
        disable_progress_bars()
    try:
        yield
    finally:
        if change:
            enable_progress_bars()


@contextmanager
def _one_line(repo_id: str) -> Iterator[None]:
    """Turn what huggingface_hub raises into a HubError about publishing; the cause is kept."""
    from huggingface_hub import errors

    http_error: type[Exception] = errors.HTTPError  # pyright: ignore[reportPrivateImportUsage]
    try:
        with settings_explained(repo_id):
            yield
    except ChatVectorError:
        raise
    except (http_error, errors.OfflineModeIsEnabled, errors.HFValidationError) as error:
        raise _explained(error, repo_id) from error
    except OSError as error:
        raise explain_os(error, repo_id) from error
    except (ValueError, RuntimeError) as error:
        # huggingface_hub wraps failed transfers of single files; hf_xet raises plain RuntimeErrors.
        if isinstance(error.__cause__, http_error):
            raise _explained(error.__cause__, repo_id) from error
        reason = " ".join(str(error).split()) or type(error).__name__
        raise HubError(f"{repo_id}: the upload failed ({reason[:200]}); the same command goes on") from error


def _explained(error: BaseException, repo_id: str) -> HubError:
    status = getattr(getattr(error, "response", None), "status_code", None)
    org = repo_id.partition("/")[0]
    text = {
        400: "the hub refused the request as malformed (400)",
        401: "the hub does not accept the token (401); log in with `hf auth login` or set HF_TOKEN",
        402: f"{org} has no room left for this (402); see its plan on the hub",
        403: f"the token may not write there (403); it needs write access, and you a place in {org}",
        404: f"there is no such organisation, repository or branch (404); check {org} and the token's rights",
        409: "somebody made or changed it at the same time (409); the same command goes on",
        412: "the repository changed while this was uploaded (412); run the same command again",
        413: "a file is too large for this hub (413)",
    }.get(status if isinstance(status, int) else 0)
    if text is None:
        return explain_http(error, repo_id)
    reason = _server_words(error)
    return HubError(f"{repo_id}: {text}{f' [{reason}]' if reason else ''}")


def _server_words(error: BaseException) -> str:
    words = getattr(error, "server_message", None)
    return " ".join(str(words).split())[:160] if words else ""
