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
    """The text in NFC, which Korean needs, with line breaks as `\\n`."""
    return unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n")


def lines(text: str) -> list[str]:
    """Lines that are not blank, stripped."""
    return [line.strip() for line in plain(text).split("\n") if line.strip()]


def paragraphs(text: str) -> list[str]:
    """Parts between blank lines, stripped."""
    return [part.strip() for part in re.split(r"\n[^\S\n]*\n", plain(text)) if part.strip()]


def words(text: str) -> list[str]:
    """Runs without white space that hold a letter or digit: words in English, 어절 in Korean. Not meaningful for
    Chinese and Japanese."""
    return [word for word in plain(text).split() if any(character.isalnum() for character in word)]


def characters(text: str) -> int:
    """Number of characters without white space. Punctuation marks count; combining signs and emoji selectors do not."""
    return sum(not c.isspace() and unicodedata.category(c) not in ("Mn", "Cf") for c in plain(text))


def without_quotations(text: str, stand_in: str = "") -> str:
    """The text with each quotation replaced by `stand_in`."""
    return _QUOTED.sub(stand_in, plain(text))


def sentences(text: str) -> list[str]:
    """Sentences, stripped of list marks. The end of a line ends a sentence, with or without a mark, so headings, list
    items and verses are sentences. Horizontal rules such as `***` and fragments without a letter or digit are not. A
    full stop does not end a sentence after an abbreviation or a single letter, between digits, or within a quotation
    that is part of a longer sentence."""
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
    """Whether this mark ends both a quotation and the sentence around it: "He said: “Go.” Then …". In Chinese the next
    sentence follows without a space (「好。」她笑了). A particle after the quotation (と, 라고) continues the sentence
    around it."""
    rest = line[place + 1 :].lstrip(_ENDERS)
    after = rest[1:2]
    return rest[:1] in _CLOSERS and (not after.strip() or after in _CLOSERS or "一" <= after <= "鿿")


def _is_end(line: str, start: int, place: int, end: int) -> bool:
    if line[place] not in ".．":
        return True
    if end < len(line) and not line[end].isspace():
        # "3.14" and "example.com" go on; Korean without a space ("다.그") ends a sentence.
        return line[end].isalpha() and not line[end].isascii() and not line[place - 1 : place].isdigit()
    before = re.search(r"(?:[A-Za-z]\.)*[A-Za-z]+$", line[start:place])
    if before is None:
        return True
    word = before.group().lower()
    return end >= len(line) or not (word in _ABBREVIATIONS or (len(word) == 1 and word != "i"))


def bullets(text: str) -> list[str]:
    """Texts of the list items marked `*`, `-` or `•`."""
    return [match[1] for line in lines(text) if (match := re.match(r"[-*•]\s+(\S.*)", line))]


def numbered(text: str) -> list[tuple[int, str]]:
    """Numbers and texts of the list items marked `1.`, `1)` or `(1)`."""
    found = [re.match(r"\(?(\d{1,3})[.)．]\s*(\S.*)", line) for line in lines(text)]
    return [(int(match[1]), match[2]) for match in found if match]


def occurrences(text: str, word: str) -> int:
    """Number of times that a word or phrase is in a text, whatever its case and width. Words of Latin letters must
    begin and end at a word boundary; others count inside words too, because particles may follow them."""
    folded, wanted = (unicodedata.normalize("NFKC", part).casefold() for part in (text, word))
    left = r"(?<![a-z0-9])" if wanted[:1].isascii() and wanted[:1].isalnum() else ""
    right = r"(?![a-z0-9])" if wanted[-1:].isascii() and wanted[-1:].isalnum() else ""
    return len(re.findall(left + re.escape(wanted) + right, folded))
