# SPDX-License-Identifier: Apache-2.0
"""Edits of JSON text that leave every other byte alone.

Files of a model are read by many programs and compared by people. Writing them anew through a library changes key
order, indentation, number spelling and escapes; here a value is replaced, added or removed in the text itself, in
the text's own style.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from json.decoder import JSONDecoder
from typing import Any

from chatvector.errors import DamagedFile

_BLANK = re.compile(r"[ \t\r\n]*")
_DECODER = JSONDecoder()

Path = tuple[str, ...]


@dataclass(frozen=True)
class _Member:
    """One key of an object and where it stands: offsets into the text."""

    key: str
    start: int
    """Of the key's opening quote."""
    value: int
    """Of the value's first character."""
    end: int
    """Behind the value."""


class JsonText:
    """A JSON object as text, edited in place by methods; `text` is the result.

    Paths name nested keys: `("text_config", "vocab_size")`. All objects on the way must exist.
    Raises `DamagedFile` when the text is no JSON object.
    """

    def __init__(self, text: str, where: str = "JSON", *, checked: bool = False) -> None:
        """`checked`: the text was parsed before and has no key twice; then a large one is not read to its end."""
        self.text = text
        self.where = where
        self._checked = checked
        if not checked:
            self._check()
        self._newline = "\r\n" if "\r\n" in text else "\n"
        self._indent = self._find_indent()
        # Escaped only where the text shows that its writer escapes: then it has \\u and nothing beyond ASCII.
        self._ascii = text.isascii() and re.search(r"\\u[0-9a-fA-F]{4}", text) is not None
        self._comma, self._colon = self._find_separators()

    def has(self, *path: str) -> bool:
        """Whether a key is there."""
        try:
            return self._find(path) is not None
        except KeyError:
            return False

    def get(self, *path: str) -> Any:
        """The value at a path, None without it."""
        if not self.has(*path):
            return None
        member = self._find(path)
        return None if member is None else _DECODER.raw_decode(self.text, member.value)[0]

    def set(self, value: Any, *path: str) -> None:
        """Replace a value, or add the key as the last of its object. An equal value leaves the text as it is."""
        member = self._find(path)
        depth = len(path)
        if member is not None:
            old = _DECODER.raw_decode(self.text, member.value)[0]
            if old != value or type(old) is not type(value):
                self._splice(member.value, member.end, self._dump(value, depth))
            return
        start = self._object(path[:-1])
        members = list(self._members(start))
        new = self._dump(path[-1], 0) + self._colon + self._dump(value, depth)
        self._append(start, members[-1].end if members else None, new, depth)

    def remove(self, *path: str) -> None:
        """Take a key and its value out; nothing happens without it."""
        if not self.has(*path):
            return
        members = list(self._members(self._object(path[:-1])))
        place = max(place for place, member in enumerate(members) if member.key == path[-1])
        if place + 1 < len(members):
            self._splice(members[place].start, members[place + 1].start, "")
        elif place:
            self._splice(members[place - 1].end, members[place].end, "")
        else:
            start = self._object(path[:-1])
            self._splice(start + 1, _skip_blank(self.text, members[0].end), "")

    def append(self, items: list[Any], *path: str) -> None:
        """Add items to the end of the list at a path."""
        member = self._find(path)
        if member is None or self.text[member.value] != "[":
            raise DamagedFile(f"{self.where}: {'.'.join(path)} is no list")
        spans = self._items(member.value)
        end = spans[-1][1] if spans else None
        for item in items:
            before = len(self.text)
            text = self._dump(item, len(path) + 1)
            self._append(member.value, end, text, len(path) + 1)
            # The new item ends where the text behind it begins, or, in a list that was empty, is found anew.
            end = self._items(member.value)[-1][1] if end is None else end + len(self.text) - before

    def replace_item(self, place: int, value: Any, *path: str) -> None:
        """Put another value at a place of the list at a path."""
        member = self._find(path)
        if member is None:
            raise KeyError(path)
        start, end = self._items(member.value)[place]
        self._splice(start, end, self._dump(value, len(path) + 1))

    # ---- the text's own style ---------------------------------------------------------------------------------

    def _find_indent(self) -> str | None:
        """White space before the first key; None when the object is written on one line. Two spaces for `{}`."""
        if self.text[_skip_blank(self.text, _skip_blank(self.text, 0) + 1)] == "}":
            return "  "
        found = re.match(r"\s*\{[^\S\r\n]*\r?\n([ \t]*)\"", self.text)
        return found[1] if found else None

    def _find_separators(self) -> tuple[str, str]:
        if self._indent is not None:
            return ",", ": "
        colon = re.search(r'"\s*:(\s*)', self.text)
        comma = re.search(r',(\s*)"', self.text)
        return f",{comma[1] if comma else ' '}", f":{colon[1] if colon else ' '}"

    def _dump(self, value: Any, depth: int) -> str:
        """A value as the text would spell it, its inner lines indented for `depth`."""
        if self._indent is None:
            return json.dumps(value, ensure_ascii=self._ascii, separators=(self._comma, self._colon))
        text = json.dumps(value, ensure_ascii=self._ascii, indent=self._indent or None)
        # A string value has no raw line ends, so every line end here is layout.
        return text.replace("\n", self._newline + self._indent * depth)

    def _append(self, opening: int, last: int | None, text: str, depth: int) -> None:
        """Put a member behind the last one (`last`: where it ends) of the object or list that opens at `opening`."""
        if self._indent is None:
            if last is None:
                self._splice(opening + 1, opening + 1, text)
            else:
                self._splice(last, last, self._comma + text)
            return
        line = self._newline + self._indent * depth
        if last is None:
            closing = _skip_blank(self.text, opening + 1)
            self._splice(opening + 1, closing, line + text + self._newline + self._indent * (depth - 1))
        else:
            self._splice(last, last, "," + line + text)

    # ---- finding ----------------------------------------------------------------------------------------------

    def _check(self) -> None:
        try:
            value = json.loads(self.text)
        except json.JSONDecodeError as problem:
            raise DamagedFile(
                f"{self.where}: line {problem.lineno}, column {problem.colno} is no JSON ({problem.msg})"
            ) from problem
        if not isinstance(value, dict):
            raise DamagedFile(f"{self.where}: a JSON object is expected, found {type(value).__name__}")

    def _splice(self, start: int, end: int, text: str) -> None:
        self.text = self.text[:start] + text + self.text[end:]

    def _object(self, path: Path) -> int:
        """Where the object at a path opens. Raises KeyError."""
        start = _skip_blank(self.text, 0)
        for place, key in enumerate(path):
            found = self._find(path[: place + 1])
            if found is None or self.text[found.value] != "{":
                raise KeyError(key)
            start = found.value
        return start

    def _find(self, path: Path) -> _Member | None:
        """The member at a path; the last one if a key stands twice, as parsers take it."""
        found = None
        for member in self._members(self._object(path[:-1])):
            if member.key == path[-1]:
                found = member
                if self._checked:
                    break
        return found

    def _members(self, opening: int) -> Iterator[_Member]:
        position = _skip_blank(self.text, opening + 1)
        while self.text[position] == '"':
            start = position
            key, position = _DECODER.raw_decode(self.text, position)
            value = _skip_blank(self.text, _skip_blank(self.text, position) + 1)  # behind the colon
            _value, end = _DECODER.raw_decode(self.text, value)
            yield _Member(key, start, value, end)
            position = _skip_blank(self.text, end)
            if self.text[position] == ",":
                position = _skip_blank(self.text, position + 1)

    def _items(self, opening: int) -> list[tuple[int, int]]:
        """Start and end of each item of the list that opens at `opening`."""
        spans = []
        position = _skip_blank(self.text, opening + 1)
        while self.text[position] != "]":
            _value, end = _DECODER.raw_decode(self.text, position)
            spans.append((position, end))
            position = _skip_blank(self.text, end)
            if self.text[position] == ",":
                position = _skip_blank(self.text, position + 1)
        return spans


def _skip_blank(text: str, position: int) -> int:
    found = _BLANK.match(text, position)
    return found.end() if found else position
