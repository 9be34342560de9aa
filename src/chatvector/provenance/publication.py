# SPDX-License-Identifier: Apache-2.0
"""What of an output is published, and whether it may be: all that can be known without asking the hub.

The published files are those that the manifest lists, checked to be as it says, with the card that names the hub
model and the manifest without its `run` section in place of the private one; licence files and documents that a
person laid beside them go along, other files stay.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from chatvector.checkpoint.files import is_licence_file
from chatvector.errors import MissingInput, UsageError, VerificationFailed, first_five
from chatvector.provenance.card import model_card, with_card
from chatvector.provenance.card_licence import missing_copies
from chatvector.provenance.licence_rules import by_name, by_text, table
from chatvector.provenance.licences import name_faults
from chatvector.provenance.manifest import MANIFEST, publishable, read_manifest, to_bytes
from chatvector.provenance.parent_cards import CARD, front_matter

# What a person may lay beside the model and mean to be seen: pictures for the card, results, further documents.
DOCUMENTS = ("*.md", "*.png", "*.svg", "*.jpg", "*.jpeg", ".eval_results/*.yaml")
WEIGHTS = ".safetensors"
_PLACE = re.compile(r"[/\\~.]|[A-Za-z]:")
"""How a directory begins that is no hub name."""
_LICENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]*")


@dataclass(frozen=True)
class Publication:
    """One output, ready to be sent.

    Attributes:
        repo_id: `org/name`.
        contents: name in the repository → file on disk, or bytes made for publishing; weights first, the manifest last.
        sizes: name → bytes.
        manifest: as it will be published.
        card: as it will be published.
        left_out: files of the directory that stay.
        warnings: one line each.
    """

    repo_id: str
    contents: Mapping[str, Path | bytes]
    sizes: Mapping[str, int]
    manifest: Mapping[str, Any]
    card: str
    left_out: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of all that is sent."""
        return sum(self.sizes.values())


def prepare_publication(
    output: Path, repo_id: str, *, licence: str | None = None, accept_licence: bool = False
) -> Publication:
    """Check the output in directory `output` and gather what is sent to `repo_id`.

    Args:
        licence: the licence that the publisher names where the parents' is not determined.
        accept_licence: go on although a licence rule is broken; what was passed over is recorded.

    Raises MissingInput and DamagedFile (no output of chatvector), InputError (another version's), VerificationFailed
    (a file is not what the manifest says), UsageError (a vector, a name or licence that the rules forbid).
    """
    manifest = _read(output)
    extra, left_out = _beside(output, manifest["files"])
    _require_own(output, [*manifest["files"], *extra])
    _require_whole(output, manifest)
    licences = dict(manifest["licences"])
    if licence is not None:
        licences["output"] = _chosen(licence, licences["output"])
    faults = [
        *name_faults(licences["rules"], repo_id.partition("/")[2]),
        *licences["forbidden"],
        *_passed_over(licences),
    ]
    if faults and not accept_licence:
        raise UsageError(
            f"{repo_id}: {'; '.join(faults)}; choose another name or licence, or --accept-licence if you know better"
            " (recorded)"
        )
    if faults:
        licences["accepted"] = faults
    public = publishable({**manifest, "licences": licences})
    data = (output / CARD).read_bytes()
    recorded = manifest["files"][CARD]
    by_hand = hashlib.sha256(data).hexdigest() != recorded["sha256"]
    if by_hand:
        card = data.decode("utf-8", "replace")
        entry = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        public = {**public, "files": {**public["files"], CARD: entry}}
    else:
        card = model_card(public, repo_id)
        public = with_card(public, repo_id)
    contents = _ordered(output, [*public["files"], *extra], {CARD: card.encode(), MANIFEST: to_bytes(public)})
    absent = [id for id in missing_copies(licences) if id not in _texts_in(output, extra)]
    warnings = _warnings(licences, absent, card, by_hand, faults) + _places(output, public["files"])
    sizes = {name: len(part) if isinstance(part, bytes) else part.stat().st_size for name, part in contents.items()}
    return Publication(repo_id, contents, sizes, public, card, tuple(left_out), tuple(warnings))


def _read(output: Path) -> dict[str, Any]:
    if not output.is_dir():
        raise MissingInput(f"{output}: there is no such directory")
    if not (output / MANIFEST).is_file():
        raise MissingInput(f"{output}: has no {MANIFEST}; push publishes what chatvector made, and says from what")
    manifest = read_manifest(output / MANIFEST)
    if manifest["kind"] != "model":
        raise UsageError(f"{output}: is a chat vector; push publishes merged models")
    return manifest


def _require_whole(output: Path, manifest: Mapping[str, Any]) -> None:
    """Compare names, sizes, and SHA-256 where recorded, with the directory. The card may have been changed by hand."""
    wrong: list[str] = []
    for name, entry in manifest["files"].items():
        path = output / name
        if not path.is_file():
            wrong.append(f"{name} is missing")
        elif name == CARD:
            continue
        elif path.stat().st_size != entry["bytes"]:
            wrong.append(f"{name} has {path.stat().st_size} bytes, not {entry['bytes']}")
        elif "sha256" in entry and _sha256(path) != entry["sha256"]:
            wrong.append(f"{name} has other content")
    if wrong:
        raise VerificationFailed(
            f"{output}: {len(wrong)} of {len(manifest['files'])} files are not what {MANIFEST} says:"
            f" {first_five(wrong)}; make the output again, or put them back"
        )


def _require_own(output: Path, names: Iterable[str]) -> None:
    """Raise UsageError for files that are, or lie behind, links out of the directory, as nobody sees in a list of names
    what they would publish; MissingInput for files that cannot be read."""
    home, outside, closed = output.resolve(), list[str](), list[str]()
    for name in names:
        path = output / name
        if not (place := path.resolve()).is_relative_to(home):
            outside.append(f"{name} → {place}")
        elif path.is_file() and (reason := _unreadable(path)):
            closed.append(f"{name}: {reason}")
    if outside:
        raise UsageError(
            f"{output}: {len(outside)} files are links out of the directory ({first_five(outside)}); put the files"
            " themselves there, or remove the links"
        )
    if closed:
        raise MissingInput(
            f"{output}: {len(closed)} files cannot be read ({first_five(closed)}); make them readable to you"
        )


def _unreadable(path: Path) -> str | None:
    try:
        path.open("rb").close()
    except OSError as error:
        return error.strerror
    return None


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _chosen(licence: str, found: str | None) -> str:
    known = by_name(licence)
    chosen = known.id if known is not None else licence
    if _LICENCE.fullmatch(chosen) is None:
        raise UsageError(f"--licence {licence!r}: must be an id of letters, digits, dots and dashes, as apache-2.0")
    if found is not None and chosen != found:
        raise UsageError(f"--licence {licence}: the parents' licences make it {found}; leave the flag out")
    return chosen


def _passed_over(licences: Mapping[str, Any]) -> Iterator[str]:
    """Parents whose known terms bind what is made from them, and which the output's licence does not name."""
    named = (licences["output"] or "").split("-and-")
    for id in dict.fromkeys(id for parent in licences["parents"] for id in parent["licences"]):
        known = table().get(id)
        if licences["output"] is not None and known is not None and known.binding and id not in named:
            called = ", ".join(parent["called"] for parent in licences["parents"] if id in parent["licences"])
            yield f"--licence {licences['output']}: {called} is under {id}, whose terms hold for what is made from it"


def _beside(output: Path, listed: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Files that the manifest does not list: those that go along, and those that stay."""
    names = sorted(p.relative_to(output).as_posix() for p in output.rglob("*") if p.is_file())
    other = [name for name in names if name not in listed and name != MANIFEST]
    along = [name for name in other if is_licence_file(name) or any(fnmatchcase(name, part) for part in DOCUMENTS)]
    return along, [name for name in other if name not in along]


def _ordered(output: Path, names: list[str], made: Mapping[str, bytes]) -> dict[str, Path | bytes]:
    """Weights first, then what describes them, then card and manifest."""
    plain = sorted((name for name in names if name not in made), key=lambda name: (not name.endswith(WEIGHTS), name))
    return {name: output / name for name in plain} | dict(made)


def _texts_in(output: Path, names: list[str]) -> set[str]:
    """The licences whose text a person laid beside the model."""
    texts = ((output / name).read_text("utf-8", "replace") for name in names if is_licence_file(name))
    return {found.id for text in texts if (found := by_text(text)) is not None}


def _places(output: Path, names: Iterable[str]) -> list[str]:
    """Directories that a configuration names, as libraries once wrote them: the parent's, sent as they are."""
    lines: list[str] = []
    for name in sorted(names):
        if not name.endswith("config.json"):
            continue
        try:
            document = json.loads((output / name).read_bytes())
        except (ValueError, RecursionError):
            continue  # doctor and verify complain of it
        found = {key: document[key] for key in ("_name_or_path", "name_or_path") if key in document}
        lines += [
            f"{name} names a directory, as the parent's does, and is sent so: {key} {str(place)[:200]!r}"
            for key, place in found.items()
            if _PLACE.match(str(place))
        ]
    return lines


def _warnings(licences: Mapping[str, Any], absent: list[str], card: str, by_hand: bool, faults: list[str]) -> list[str]:
    lines = [f"licence: {line}" for line in licences["conflicts"] if line not in faults]
    lines += [f"licence: passed over on request: {fault}" for fault in faults]
    if licences["output"] is None:
        lines += [f"licence not determined: {line}" for line in licences["undetermined"]]
        lines.append("the card names no licence; --licence ID sets one that you have made sure of")
    lines += [
        f"licence: {id} asks for a copy of its text, and no parent brought one; put it into the directory as LICENSE"
        for id in absent
    ]
    if by_hand:
        lines.append(f"{CARD} was changed by hand and goes as it is")
        metadata = front_matter(card)
        lacking = [key for key in ("base_model", "license") if key not in metadata]
        if lacking:
            lines.append(f"its metadata lack {' and '.join(lacking)}")
    return lines
