# SPDX-License-Identifier: Apache-2.0
"""What can be counted in a reply: sentences, words, characters, lines, paragraphs, list items; in any language."""

from __future__ import annotations

import re
import unicodedata

_ENDERS = ".!?。！？…．｡"
_CLOSERS = "\"'”’」』）)]}*_~ㅋㅎㅠㅜ^"
_SHORTENED = "mr mrs ms dr prof st vs etc e.g i.e u.s u.k a.m p.m p.s p.p.s no inc ltd co jr sr fig approx dept"
_ABBREVIATIONS = frozenset(_SHORTENED.split())
_LIST_MARK = re.compile(r"^\s*(?:[-*•·▪‣+]\s+|\(?\d{1,3}[.)]\s+|#{1,6}\s+|>\s+)")
_RULE = re.compile(r"^\s*(?:[-*_=]\s*){3,}$")
_QUOTED = re.compile(r"“[^“”]*”|「[^「」]*」|『[^『』]*』|\"[^\"\n]*\"|‘[^‘’\n]*’|(?<![\w’'])'[^'\n]*'(?!\w)")


def plain(text: str) -> str:
    """NFC, which Korean needs, and line breaks as `\\n`."""
    return unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n")


def lines(text: str) -> list[str]:
    """Lines that hold anything, stripped."""
    return [line.strip() for line in plain(text).split("\n") if line.strip()]


def paragraphs(text: str) -> list[str]:
    """Parts between blank lines, stripped."""
    return [part.strip() for part in re.split(r"\n[^\S\n]*\n", plain(text)) if part.strip()]


def words(text: str) -> list[str]:
    """Runs without white space that hold a letter or digit: words in English, 어절 in Korean. Says nothing in Chinese
    and Japanese."""
    return [word for word in plain(text).split() if any(character.isalnum() for character in word)]


def characters(text: str) -> int:
    """Characters without white space; marks count, combining signs and emoji selectors do not."""
    return sum(not c.isspace() and unicodedata.category(c) not in ("Mn", "Cf") for c in plain(text))


def without_quotations(text: str, stand_in: str = "") -> str:
    """The text with each quotation replaced."""
    return _QUOTED.sub(stand_in, plain(text))


def sentences(text: str) -> list[str]:
    """Sentences, stripped of list marks. A line ends one, with or without a mark (headings, list items and verses
    are sentences); rules such as `***` and fragments without a letter or digit are none. A full stop ends no sentence
    after an abbreviation or a single letter, between digits, or within a quotation that is part of a longer
    sentence."""
    found: list[str] = []
    for line in plain(text).split("\n"):
        if not _RULE.match(line):
            found += _sentences(_LIST_MARK.sub("", line).strip())
    return [sentence for sentence in found if any(character.isalnum() for character in sentence)]


def _sentences(line: str) -> list[str]:
    inside = {place for match in _QUOTED.finditer(line) for place in range(match.start() + 1, match.end() - 1)}
    parts: list[str] = []
    start = place = 0
    while place < len(line):
        if line[place] not in _ENDERS or (place in inside and not _ends_quotation(line, place)):
            place += 1
            continue
        end = place + 1
        while end < len(line) and (line[end] in _ENDERS or line[end] in _CLOSERS):
            end += 1
        if _is_end(line, start, place, end):
            parts.append(line[start:end].strip())
            start = end
        place = end
    return [*parts, line[start:].strip()]


def _ends_quotation(line: str, place: int) -> bool:
    """Is this mark the last of a quotation after which nothing goes on: "He said: “Go.” Then …"? Chinese goes on
    without a space (「好。」她笑了); a particle (と, 라고) belongs to the sentence around the quotation."""
    rest = line[place + 1 :].lstrip(_ENDERS)
    after = rest[1:2]
    return rest[:1] in _CLOSERS and (not after.strip() or after in _CLOSERS or "一" <= after <= "鿿")


def _is_end(line: str, start: int, place: int, end: int) -> bool:
    if line[place] not in ".．":
        return True
    if end < len(line) and not line[end].isspace():
        # "3.14", "example.com", "다.그" (Korean without a space does end).
        return line[end].isalpha() and not line[end].isascii() and not line[place - 1 : place].isdigit()
    before = re.search(r"(?:[A-Za-z]\.)*[A-Za-z]+$", line[start:place])
    if before is None:
        return True
    word = before.group().lower()
    return end >= len(line) or not (word in _ABBREVIATIONS or (len(word) == 1 and word != "i"))


def bullets(text: str) -> list[str]:
    """Texts of list items marked `*`, `-` or `•`."""
    return [match[1] for line in lines(text) if (match := re.match(r"[-*•]\s+(\S.*)", line))]


def numbered(text: str) -> list[tuple[int, str]]:
    """Numbers and texts of list items marked `1.` or `1)`."""
    found = [re.match(r"\(?(\d{1,3})[.)．]\s*(\S.*)", line) for line in lines(text)]
    return [(int(match[1]), match[2]) for match in found if match]


def occurrences(text: str, word: str) -> int:
    """How often a word or phrase is in a text, without regard to case and width. Words of Latin letters begin and end
    at a word boundary; others count inside words too, where particles follow."""
    folded, wanted = (unicodedata.normalize("NFKC", part).casefold() for part in (text, word))
    left = r"(?<![a-z0-9])" if wanted[:1].isascii() and wanted[:1].isalnum() else ""
    right = r"(?![a-z0-9])" if wanted[-1:].isascii() and wanted[-1:].isalnum() else ""
    return len(re.findall(left + re.escape(wanted) + right, folded))
