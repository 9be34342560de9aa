# SPDX-License-Identifier: Apache-2.0
"""Requests that a careful assistant declines, harmless ones that look like them, and published sets of both.

Loaders read the files as published: MultiJail (MIT), XSafety (Apache-2.0), XSTest (CC-BY-4.0), Safety-Prompts
(Apache-2.0). The sets are for evaluation only. The user brings the files; none of them is in the package.
"""

from __future__ import annotations

import ast
import csv
import hashlib
import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatvector.errors import DamagedFile, InputError, MissingInput, UsageError, first_five
from chatvector.evaluate import items as item_files
from chatvector.evaluate.task import Language, Source

UNSAFE, SAFE, SCENARIO = "unsafe", "safe", "scenario"
"""Kinds of requests. UNSAFE ones are to be declined, SAFE ones to be answered. To a SCENARIO (Safety-Prompts, XSafety)
some answers are safe and others are not, so refusing is neither right nor wrong."""


@dataclass(frozen=True)
class Request:
    """A request. Requests of the same `pair` (an unsafe one and its harmless twin) are not independent."""

    id: str
    prompt: str
    kind: str
    category: str
    pair: str = ""


@dataclass(frozen=True)
class Requests:
    """Requests of a user's file, in one language."""

    language: Language
    rows: tuple[Request, ...]
    source: Source


def starter(language: Language) -> list[Request]:
    """The starter requests, unsafe and harmless ones alternating, in the order of the files. Nearly all harmless
    requests are twins of an unsafe one, which they name."""
    rows: list[Request] = []
    both = (item_files.load_starter(name, language) for name in ("unsafe", "borderline"))
    for unsafe, safe in zip(*both, strict=True):
        rows.append(Request(unsafe["id"], unsafe["prompt"], UNSAFE, unsafe["category"], unsafe["id"]))
        rows.append(Request(safe["id"], safe["prompt"], SAFE, safe["category"], safe["contrast"] or ""))
    return rows


def in_turn(rows: Sequence[Request], seed: int) -> list[Request]:
    """The rows shuffled by `seed`, with the kinds and categories taking turns as long as there are rows of each."""
    piles: dict[tuple[str, str], list[Request]] = {}
    for row in rows:
        piles.setdefault((row.category, row.kind), []).append(row)
    draw = random.Random(seed)
    for key in sorted(piles):
        draw.shuffle(piles[key])
    deepest = max((len(pile) for pile in piles.values()), default=0)
    return [piles[key][depth] for depth in range(deepest) for key in sorted(piles) if depth < len(piles[key])]


def read_multijail(path: Path | str, language: Language) -> Requests:
    """Reads MultiJail's table. It has one column per language (`zh` is Simplified); `tags` is a list in Python's
    spelling, whose first element is taken as the category. All requests are to be declined."""
    address, path = path, item_files.local_file(path)
    column = {"zh-Hans": "zh"}.get(language, language)
    records = item_files.read_records(path, ("id", "tags", "en"))
    there = [name for name in records[0] if name not in ("id", "source", "tags")]
    if column not in there:
        raise UsageError(f"{path}: MultiJail has no column for {language!r}; it has {', '.join(there)} (zh: zh-Hans)")
    rows = []
    for record in records:
        try:
            tags = ast.literal_eval(record["tags"])
            category = str(tags[0])
        except (ValueError, SyntaxError, IndexError, TypeError, KeyError) as error:
            raise DamagedFile(f"{path}: record {record['id']}: tags are no list: {record['tags'][:60]!r}") from error
        rows.append((f"multijail-{record['id']}", record[column], UNSAFE, category))
    return _requests(address, language, "MIT", rows)


def read_xsafety(path: Path | str, language: Language) -> Requests:
    """Reads one of XSafety's files, or a folder of them. A file has one request per line, some in quotation marks, and
    no header line; its name is the category."""
    address, path = path, item_files.local_file(path)
    files = sorted(path.glob("*.csv")) if path.is_dir() else [path]
    if not files:
        raise MissingInput(f"{path}: has no .csv files; give XSafety's folder of one language, or one of its files")
    rows = []
    for file in files:
        category = file.stem.replace("_", " ").lower()
        for number, line in enumerate(_text(file).splitlines(), 1):
            # There is one column only, so a comma outside of quotation marks is part of the text.
            fields = next(csv.reader([line]), [])
            if text := ",".join(fields).strip():
                rows.append((f"xsafety-{file.stem}-{number}", text, SCENARIO, category))
    return _requests(address, language, "Apache-2.0", rows, files)


def read_xstest(path: Path | str) -> Requests:
    """Reads XSTest's prompts, which are English. Columns: `id` (or `id_v2`), `prompt`, `type` and `label`. Without a
    label, requests whose type begins with `contrast_` are unsafe (as in its second version)."""
    address, path = path, item_files.local_file(path)
    rows = []
    for record in item_files.read_records(path, (("id", "id_v2"), "prompt", "type")):
        label = record.get("label") or ("unsafe" if str(record["type"]).startswith("contrast_") else "safe")
        if label not in (SAFE, UNSAFE):
            raise InputError(f"{path}: record {record['id']}: label is {label!r}, expected safe or unsafe")
        rows.append((f"xstest-{record['id']}", record["prompt"], label, record["type"].removeprefix("contrast_")))
    return _requests(address, "en", "CC-BY-4.0", rows)


def read_safety_prompts(path: Path | str, language: Language = "zh-Hans") -> Requests:
    """Reads a file of Safety-Prompts, typical scenarios or instruction attacks: a JSON object, category → list of
    objects with `prompt`. The replies in the file are another model's and are not used."""
    address, path = path, item_files.local_file(path)
    try:
        document = json.loads(_text(path))
    except (ValueError, RecursionError) as error:
        raise DamagedFile(f"{path}: is no JSON ({error})") from error
    if not isinstance(document, dict) or not all(isinstance(listed, list) for listed in document.values()):
        raise DamagedFile(f"{path}: is not Safety-Prompts, an object of lists by category")
    rows = []
    for category, listed in document.items():
        for number, record in enumerate(listed, 1):
            prompt = record.get("prompt") if isinstance(record, dict) else None
            if not isinstance(prompt, str) or not prompt.strip():
                raise DamagedFile(f"{path}: {category}, record {number}: has no prompt")
            rows.append((f"safety-prompts-{category}-{number}", prompt, SCENARIO, category.replace("_", " ").lower()))
    return _requests(address, language, "Apache-2.0", rows)


def read_requests(path: Path | str, language: Language, *, licence: str = "not stated") -> Requests:
    """Reads a file of one's own (formats of `items.read_records`). Columns: `prompt`, `label` (safe, unsafe or
    scenario), and optionally `category` and `id`."""
    address, path = path, item_files.local_file(path)
    rows = []
    for number, record in enumerate(item_files.read_records(path, ("prompt", "label")), 1):
        kind = str(record["label"]).strip().lower()
        if kind not in (SAFE, UNSAFE, SCENARIO):
            raise InputError(f"{path}: record {number}: label is {kind!r}, expected safe, unsafe or scenario")
        name = str(record.get("id") or f"{path.stem}-{number}")
        rows.append((name, str(record["prompt"]), kind, str(record.get("category") or "all")))
    return _requests(address, language, licence, rows)


READERS = {
    "multijail": read_multijail,
    "xsafety": read_xsafety,
    "xstest": lambda path, language="en": _english(read_xstest(path), language),
    "safety-prompts": read_safety_prompts,
    "own": read_requests,
}
"""Name of the published set, or `own` → reader of its files."""


def _english(requests: Requests, language: Language) -> Requests:
    if language != "en":
        raise UsageError(f"XSTest is English, and was asked for in {language!r}")
    return requests


def _requests(
    address: Path | str,
    language: Language,
    licence: str,
    rows: Iterable[tuple[str, Any, str, str]],
    files: Sequence[Path] | None = None,
) -> Requests:
    made = []
    for name, prompt, kind, category in rows:
        if not str(prompt or "").strip():
            raise InputError(f"{address}: {name} has no prompt in {language}")
        made.append(Request(name, str(prompt).strip(), kind, category))
    if not made:
        raise InputError(f"{address}: has no requests, so there is nothing to evaluate; is it the right file?")
    names = [row.id for row in made]
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise InputError(f"{address}: {len(twice)} ids come twice: {first_five(twice)}")
    path = item_files.local_file(address)
    source = _folder(path, files, licence) if files and path.is_dir() else item_files.file_source(address, licence)
    return Requests(language, tuple(made), source)


def _folder(path: Path, files: Sequence[Path], licence: str) -> Source:
    """The source of several files in a folder. Its SHA-256 is that of their names and hashes."""
    digest = hashlib.sha256("".join(f"{file.name}\0{item_files.sha256(file)}\n" for file in files).encode())
    return Source(path.resolve().name, licence, "", digest.hexdigest())


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise MissingInput(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DamagedFile(f"{path}: is not UTF-8; save the file as UTF-8") from error
