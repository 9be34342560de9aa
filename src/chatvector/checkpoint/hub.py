# SPDX-License-Identifier: Apache-2.0
"""Models on the Hugging Face hub: one commit, only the files needed, into the cache all tools share.

Everything goes through huggingface_hub: addresses (`HF_ENDPOINT`), tokens, the cache (`HF_HOME`, `HF_HUB_CACHE`),
resuming, `HF_HUB_OFFLINE`. This module adds the choice of files and commit, a check of disk space, and one clear
line when something fails. huggingface_hub's telemetry and its progress bars are switched off.

Not done: checksums of files that are in the cache already (huggingface_hub checks sizes as it downloads).
"""

from __future__ import annotations

import glob
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatvector.checkpoint.files import choose_files
from chatvector.checkpoint.hub_errors import explain_http, explain_os
from chatvector.checkpoint.hub_meter import make_meter
from chatvector.checkpoint.hub_settings import settings_explained
from chatvector.errors import ChatVectorError, HubError, InputError, NotEnoughSpace, first_five
from chatvector.sizes import disk_size

Progress = Callable[[str], None]
"""Receives a line of text for people."""

DEFAULT_REVISION = "main"
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class DownloadPlan:
    """The files that a hub model needs, and which of them are in the cache."""

    repo_id: str
    commit: str
    """The 40-digit commit that the revision meant when the plan was made."""
    files: Mapping[str, int]
    """File name -> size in bytes, of the needed files only."""
    cached: frozenset[str]
    """Names of the needed files that are in the cache."""

    @property
    def nbytes(self) -> int:
        """Bytes of all files needed."""
        return sum(self.files.values())

    @property
    def nbytes_cached(self) -> int:
        """Bytes of the needed files that are in the cache."""
        return sum(self.files[name] for name in self.cached)

    @property
    def nbytes_missing(self) -> int:
        """Bytes to download; parts of files from an interrupted run are not deducted."""
        return self.nbytes - self.nbytes_cached


def plan_download(repo_id: str, revision: str | None = None) -> DownloadPlan:
    """Ask the hub which files `repo_id` has at `revision` (branch, tag or commit; None: main), and choose.

    Downloads the index file if there is one, nothing else. Offline (`HF_HUB_OFFLINE`) the plan is made from the
    cache. Raises HubError, or what `choose_files` raises about the files that are there.
    """
    where = called(repo_id, revision)
    if is_offline():
        commit, needed = _cached_files(repo_id, revision)
        return DownloadPlan(repo_id, commit, needed, frozenset(needed))
    commit, listing = list_files(repo_id, revision)

    def read(name: str) -> bytes:
        return (_download(repo_id, commit, [name], where, None) / name).read_bytes()

    chosen = choose_files(listing, read, where)
    snapshot = snapshot_place(repo_id, commit)
    cached = frozenset(name for name in chosen.needed if (snapshot / name).is_file())
    return DownloadPlan(repo_id, commit, {name: listing[name] for name in chosen.needed}, cached)


def list_files(repo_id: str, revision: str | None = None) -> tuple[str, dict[str, int]]:
    """The commit that `revision` means now, and all its files with their sizes in bytes. Raises HubError."""
    where = called(repo_id, revision)
    try:
        with one_line(where):
            info = client().model_info(repo_id, revision=revision, files_metadata=True, timeout=patience())
    except (KeyError, TypeError) as error:
        raise HubError(f"{where}: what answers is no hub ({error!r}); check HF_ENDPOINT and the network") from error
    if info.sha is None or info.siblings is None:
        raise HubError(f"{where}: the hub answered without a commit or a file list; try again later")
    return info.sha, {file.rfilename: file.size or 0 for file in info.siblings}


def fetch(repo_id: str, revision: str | None = None, *, progress: Progress | None = None) -> Path:
    """Bring a model into the cache and return its snapshot directory, named by the commit.

    A revision that is a full commit and wholly cached needs no network. An interrupted download goes on where it
    stopped. Raises HubError, NotEnoughSpace, or what `choose_files` raises.
    """
    where = called(repo_id, revision)
    if not is_offline() and revision and is_cached(repo_id, revision):
        return snapshot_place(repo_id, revision)
    plan = plan_download(repo_id, revision)
    snapshot = snapshot_place(repo_id, plan.commit)
    if plan.nbytes_missing or len(plan.cached) < len(plan.files):
        require_cache_space(plan.nbytes_missing, where)
        if progress:
            progress(
                f"{where}: downloading {len(plan.files) - len(plan.cached)} files, {disk_size(plan.nbytes_missing)}, "
                f"of commit {plan.commit[:12]}"
            )
        snapshot = _download(repo_id, plan.commit, list(plan.files), where, _teller(where, plan, progress))
        missing = [name for name in plan.files if not (snapshot / name).is_file()]
        if missing:
            raise HubError(
                f"{where}: {len(missing)} of {len(plan.files)} files did not arrive ({first_five(missing)}); the same "
                f"command goes on"
            )
    if not is_offline():
        remember(repo_id, revision or DEFAULT_REVISION, plan.commit)
    return snapshot


def read_small_file(repo_id: str, commit: str, name: str) -> bytes | None:
    """One file of a commit, through the cache; None when the commit has no such file. Raises HubError."""
    from huggingface_hub import errors

    with one_line(f"{repo_id}/{name}"):
        try:
            path = client().hf_hub_download(repo_id, name, revision=commit, tqdm_class=make_meter(None))
        except errors.RemoteEntryNotFoundError:
            return None
    return Path(path).read_bytes()


def client() -> Any:
    """huggingface_hub's client. Telemetry is off even if the library was imported before."""
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    from huggingface_hub import HfApi, constants

    constants.HF_HUB_DISABLE_TELEMETRY = True
    return HfApi()


def patience() -> float:
    """Seconds to wait for a file list: three times huggingface_hub's wait for one file's ETag; 30 by default."""
    from huggingface_hub import constants

    return 3.0 * constants.HF_HUB_ETAG_TIMEOUT


def is_offline() -> bool:
    """Whether HF_HUB_OFFLINE forbids the network."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def _download(repo_id: str, commit: str, names: list[str], where: str, report: Callable[[int], None] | None) -> Path:
    """Download files of one commit into the cache by huggingface_hub: in parallel, resumed, sizes checked."""
    patterns = [glob.escape(name) for name in names]
    with one_line(where):
        path = client().snapshot_download(
            repo_id, revision=commit, allow_patterns=patterns, tqdm_class=make_meter(report)
        )
    return Path(path)


@contextmanager
def one_line(where: str) -> Iterator[None]:
    """Turn what huggingface_hub and its HTTP library raise into one HubError; the cause is kept."""
    from huggingface_hub import errors

    # The base class of the HTTP library that this huggingface_hub uses.
    http_error: type[Exception] = errors.HTTPError  # pyright: ignore[reportPrivateImportUsage]
    try:
        with settings_explained(where):
            yield
    except ChatVectorError:
        raise
    except (http_error, errors.OfflineModeIsEnabled, errors.HFValidationError) as error:
        raise explain_http(error, where) from error
    except OSError as error:
        raise explain_os(error, where) from error
    except (ValueError, RuntimeError) as error:
        # hf_xet raises plain RuntimeErrors.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise HubError(f"{where}: the download failed ({reason[:200]}); the same command goes on") from error


def _teller(where: str, plan: DownloadPlan, progress: Progress | None) -> Callable[[int], None] | None:
    if progress is None:
        return None
    return lambda done: progress(f"{where}: {disk_size(done)} of {disk_size(plan.nbytes_missing)}")


def called(repo_id: str, revision: str | None) -> str:
    """The model's name in messages."""
    return f"{repo_id}@{revision}" if revision else repo_id


# The cache. Its layout (models--ORG--NAME/refs/REVISION, snapshots/COMMIT/FILE) is documented by huggingface_hub
# under "Understand caching".


def _folder(repo_id: str) -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE).expanduser() / f"models--{repo_id.replace('/', '--')}"


def snapshot_place(repo_id: str, commit: str) -> Path:
    """The cache's directory for the files of a commit, whether it exists or not."""
    return _folder(repo_id) / "snapshots" / commit


def remember(repo_id: str, revision: str, commit: str) -> None:
    """Record the commit of a branch or tag, so that it can be opened offline. huggingface_hub reads the record too."""
    if _COMMIT.fullmatch(revision) or ".." in revision:
        return
    ref = _folder(repo_id) / "refs" / revision
    try:
        ref.parent.mkdir(parents=True, exist_ok=True)
        part = ref.with_name(f"{ref.name}.{os.getpid()}")
        part.write_text(commit, "utf-8")
        part.replace(ref)
    except OSError:
        return  # a read-only cache: the model is there, but its branch will not be known offline


def _cached_files(repo_id: str, revision: str | None) -> tuple[str, dict[str, int]]:
    """Commit and needed files of a model in the cache, for work without the network. Raises HubError."""
    where = called(repo_id, revision)
    revision = revision or DEFAULT_REVISION
    ref = _folder(repo_id) / "refs" / revision
    commit = revision
    if not _COMMIT.fullmatch(revision) and ".." not in revision and ref.is_file():
        commit = ref.read_text("utf-8").strip()
    snapshot = snapshot_place(repo_id, commit)
    if not _COMMIT.fullmatch(commit) or not snapshot.is_dir():
        raise HubError(
            f"{where}: is not in the cache {_folder(repo_id).parent} and HF_HUB_OFFLINE is set; unset it to download"
        )
    known = _known_tree(repo_id, commit)
    there = {p.relative_to(snapshot).as_posix(): p.stat().st_size for p in snapshot.rglob("*") if p.is_file()}
    try:
        needed = choose_files(known or there, lambda name: _read_cached(snapshot, name), where).needed
    except (InputError, FileNotFoundError) as error:
        raise HubError(f"{where}: cannot be used offline from the cache ({error}); unset HF_HUB_OFFLINE") from error
    missing = [name for name in needed if name not in there]
    if missing:
        raise HubError(
            f"{where}: {len(missing)} of {len(needed)} files are not in the cache ({first_five(missing)}) and "
            f"HF_HUB_OFFLINE is set; unset it to download them"
        )
    return commit, {name: there[name] for name in needed}


def _read_cached(snapshot: Path, name: str) -> bytes:
    path = snapshot / name
    if not path.is_file():
        raise HubError(f"{name} is not in the cache")
    return path.read_bytes()


def is_cached(repo_id: str, commit: str) -> bool:
    """Whether `commit` is a full commit hash and the cache is known to hold all files that are needed of it."""
    if not _COMMIT.fullmatch(commit) or _known_tree(repo_id, commit) is None:
        return False
    try:
        _cached_files(repo_id, commit)
    except HubError:
        return False
    return True


def _known_tree(repo_id: str, commit: str) -> dict[str, int] | None:
    """The commit's whole file list, which huggingface_hub 2 stores beside the snapshot; None where there is none."""
    import huggingface_hub
    from huggingface_hub import errors

    if not hasattr(huggingface_hub, "get_cached_repo_tree"):
        return None
    try:
        return {file.path: file.size for file in huggingface_hub.get_cached_repo_tree(repo_id, revision=commit)}
    except errors.CachedRepoTreeNotFoundError:
        return None


def require_cache_space(nbytes: int, where: str = "the models") -> None:
    """Raise NotEnoughSpace before a download of `nbytes` that the cache's disk cannot hold."""
    from huggingface_hub import constants

    cache = Path(constants.HF_HUB_CACHE).expanduser()
    existing = next(p for p in (cache, *cache.absolute().parents) if p.is_dir())
    free = shutil.disk_usage(existing).free
    if free < nbytes:
        raise NotEnoughSpace(
            f"{where}: the download needs {disk_size(nbytes)}, the cache at {cache} has {disk_size(free)} free; free"
            " some, set HF_HUB_CACHE to a larger disk, or read by range with --stream"
        )
