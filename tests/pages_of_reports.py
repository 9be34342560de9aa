# SPDX-License-Identifier: Apache-2.0
"""Looks at a page as a strict reader does: tags that close, ids that are there once, nothing loaded from anywhere."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "br", "hr", "img", "input"}
LOADING = {"src", "srcset", "poster", "data", "action", "formaction", "background", "cite", "ping", "manifest"}
REFERENCES = ("aria-labelledby", "aria-describedby")


@dataclass
class Page(HTMLParser):
    """`faults` is what is wrong; `text` is what a person reads."""

    faults: list[str] = field(default_factory=list)
    tags: Counter[str] = field(default_factory=Counter)
    ids: Counter[str] = field(default_factory=Counter)
    wanted: set[str] = field(default_factory=set)
    texts: list[str] = field(default_factory=list)
    headings: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._open: list[str] = []

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._seen(tag, attrs)
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._seen(tag, attrs)
        if "svg" not in self._open and tag not in VOID:
            self.faults.append(f"<{tag}/> closes itself")

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open[-1] != tag:
            self.faults.append(f"</{tag}> at {self.getpos()} closes {self._open[-1:]}")
        else:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        if "style" in self._open:
            self._style(data)
        else:
            self.texts.append(data)

    def close(self) -> None:
        super().close()
        self.faults += [f"<{tag}> stays open" for tag in self._open]
        self.faults += [f"id {one!r} stands {count} times" for one, count in self.ids.items() if count > 1]
        self.faults += [f"nothing has the id {one!r}" for one in self.wanted - self.ids.keys()]
        steps = zip(self.headings, self.headings[1:], strict=False)
        self.faults += [f"heading {after} below heading {before}" for before, after in steps if after > before + 2]

    def _seen(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag in ("script", "iframe", "object", "embed", "link", "img", "base", "form"):
            self.faults.append(f"<{tag}> at {self.getpos()}")
        names = [name for name, _ in attrs]
        self.faults += [f"{name} twice in <{tag}>" for name, count in Counter(names).items() if count > 1]
        for name, value in attrs:
            if name == "id":
                self.ids[value or ""] += 1
            elif name in REFERENCES:
                self.wanted |= set((value or "").split())
            elif name in ("href", "xlink:href"):
                if not (value or "").startswith("#"):
                    self.faults.append(f"{name}={value!r}")
                self.wanted.add((value or "")[1:])
            elif name in LOADING or name.startswith("on"):
                self.faults.append(f"{name}={value!r} in <{tag}>")
            elif name in ("style", "clip-path"):
                self._style(value or "")

    def _style(self, text: str) -> None:
        self.faults += [f"style loads {one}" for one in re.findall(r"@import|url\((?!['\"]?#)[^)]*\)", text)]
        self.wanted |= set(re.findall(r"url\(['\"]?#([^'\")]+)", text))


def read_page(html: str) -> Page:
    """The page, looked through. `faults` should be empty."""
    page = Page()
    page.feed(html)
    page.close()
    return page
