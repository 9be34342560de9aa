# SPDX-License-Identifier: Apache-2.0
"""What a model name means: a local path, a hub name, a member of the embedded family, or a URL.

The rule, in this order: an existing path is local. `demo:NAME` is embedded. `scheme://…` is a URL, of an object
store. What starts with `/`, `./`, `../` or `~`, holds a backslash, starts with a drive letter, or whose parent
directory exists, is a local path that is missing, never a hub name: a mistyped path must not become a download.
`org/name` and `org/name@revision` are hub names. Anything else is a missing local path.

In a local path `@`, `+`, blanks, colons and letters of any script have no special meaning. A path below a folder that
may not be entered is refused with that reason, because whether it exists cannot be known.
"""

from __future__ import annotations

import os
import re
import unicodedata
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from chatvector.checkpoint.files import refuse_single_file
from chatvector.errors import MissingInput, UnsupportedFormat, UsageError, first_five

Kind = Literal["local", "hub", "demo", "url"]

DEMO_PREFIX = "demo:"
FAMILY = Path(__file__).parent / "family"
"""The directory of the embedded models, one sub-directory each."""

# At least two letters before "://", so that a drive letter is no scheme.
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
STORES = ("s3", "s3a", "gs", "az", "abfs", "abfss")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
# The hub's rule for names: letters, digits, "-", "_", "."; no "--" or ".." inside; 96 characters a part.
_PART = r"(?!.*(?:--|\.\.))[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?"
_HUB = re.compile(rf"(?P<repo>{_PART}/{_PART})(?:@(?P<revision>\S+))?")
_HUB_PAGE = re.compile(r"(?:https?://(?:huggingface\.co|hf\.co)/|hf://)(?:models/)?([^/]+/[^/@?#]+)")


@dataclass(frozen=True)
class Location:
    """The place of a model. `name` is what the user wrote."""

    kind: Kind
    name: str
    path: Path | None = None
    """For kinds local and demo: the path, `~` expanded, otherwise as written."""
    repo_id: str | None = None
    """For kind hub: `org/name`."""
    revision: str | None = None
    """For kind hub: branch, tag or commit; None is the default branch."""


def resolve(name: str | os.PathLike[str]) -> Location:
    """Find the place of a model; uses only the local file system.

    Raises UsageError (empty name, unknown family member), MissingInput (a local path that is not there),
    UnsupportedFormat (a URL that is no object store's, or a file where a directory belongs).
    """
    location = classify(os.fspath(name))
    if location.kind == "url" and not is_store(location.name):
        raise _url_refused(location.name)
    if location.path is not None and location.path.is_file():
        raise refuse_single_file(location.path, location.name)
    return location


def classify(name: str) -> Location:
    """As `resolve`, but a URL comes back as a location of kind `url`."""
    if not name.strip() or "\0" in name:
        raise UsageError(f"{name!r} names no model: give a directory, org/name or {DEMO_PREFIX}base")
    path = Path(os.path.expanduser(name))
    closed = closed_folder(path)
    if os.path.lexists(path) and closed is None:
        if not path.exists():
            raise MissingInput(f"{name}: is a link to something that is not there: {os.readlink(path)}")
        return Location("local", name, path=path)
    if same := _same_letters(path):
        return Location("local", name, path=same)
    if name.startswith(DEMO_PREFIX):
        return _family_member(name)
    if _URL.match(name):
        return Location("url", name)
    # A hub name keeps its meaning in a working directory that may not be entered.
    if closed is not None and (_written_as_path(name) or closed != Path.cwd()):
        raise MissingInput(f"{name}: {no_entry(closed)}")
    if not _looks_local(name, path) and (match := _HUB.fullmatch(name)) and not match["repo"].endswith(".git"):
        return Location("hub", name, repo_id=match["repo"], revision=match["revision"])
    raise MissingInput(_missing(name, path))


def is_store(name: str) -> bool:
    """Whether a name is the URL of an object store that can be read and written."""
    match = _URL.match(name)
    return match is not None and match[1].lower() in STORES


def require_path(name: str, instead: str) -> Path:
    """A path on this machine, as the user wrote it. Raises UsageError for a URL, saying what to do `instead`."""
    if _URL.match(name):
        raise UsageError(f"{name}: is a URL, a path on this machine is taken here; {instead}")
    return Path(name)


def closed_folder(path: Path) -> Path | None:
    """The folder above `path` that may not be entered; None where there is none. Links are followed."""
    try:
        os.stat(path)
    except PermissionError:
        return next(folder for folder in Path(os.path.realpath(path)).parents if os.path.exists(folder))
    except (OSError, ValueError):
        pass
    return None


def no_entry(folder: Path) -> str:
    """The message about a `closed_folder`: what is wrong, and what to do."""
    return f"the folder {folder} may not be entered (Permission denied); chmod +x it, or ask its owner to"


def _written_as_path(name: str) -> bool:
    return name.startswith(("/", "./", "../", "~")) or "\\" in name or _DRIVE.match(name) is not None


def _looks_local(name: str, path: Path) -> bool:
    return _written_as_path(name) or os.path.isdir(path.parent)


def _same_letters(path: Path) -> Path | None:
    """The sibling whose name is the same text in another Unicode normal form, such as a Korean name that was typed
    composed and stored decomposed."""
    wanted = unicodedata.normalize("NFC", path.name)
    if wanted.isascii():
        return None
    return next((p for p in _entries(path.parent) if unicodedata.normalize("NFC", p.name) == wanted), None)


def _entries(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except OSError:
        return []


def _family_member(name: str) -> Location:
    members = [p.name for p in _entries(FAMILY) if (p / "config.json").is_file()]
    member = name.removeprefix(DEMO_PREFIX)
    if member not in members:
        there = first_five(DEMO_PREFIX + m for m in members) if members else "none in this installation"
        raise UsageError(f"{name}: the embedded family has no such member; there are: {there}")
    return Location("demo", name, path=FAMILY / member)


def _missing(name: str, path: Path) -> str:
    """The message about a missing path, in one line, with similar names beside it."""
    if not path.parent.is_dir():
        known = next((p for p in path.parent.parents if p.is_dir()), None)
        if known is None or name.count("/") < 2:
            return f"{name}: there is no such directory, and it is no hub name (org/name or org/name@revision)"
        gap = next(p for p in (path.parent, *path.parent.parents) if p.parent == known)
        return f"{name}: there is no such directory: {known} has no {gap.name}{_like(gap)}"
    hub = "" if "/" in name or "\\" in name else " (a hub name has two parts: org/name)"
    return f"{name}: there is no such directory{hub}{_like(path)}"


def _like(path: Path) -> str:
    names = {p.name.lower(): p.name for p in _entries(path.parent) if p.is_dir()}
    close = get_close_matches(path.name.lower(), names, n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(str(path.with_name(names[c])) for c in close)}?" if close else ""


def _url_refused(name: str) -> UnsupportedFormat:
    if match := _HUB_PAGE.match(name):
        return UnsupportedFormat(f"{name}: URLs are not read; write the hub name: {match[1]}")
    if name.startswith("file://"):
        return UnsupportedFormat(f"{name}: URLs are not read; write the path: {name.removeprefix('file://')}")
    return UnsupportedFormat(
        f"{name}: URLs of this kind are not read; object stores are ({', '.join(f'{s}://' for s in STORES)})"
    )
