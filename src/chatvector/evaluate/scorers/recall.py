# SPDX-License-Identifier: Apache-2.0
"""Finds what a reply recalls: all candidates for an answer that stand in it, in order.

"Contains the right symbol" is no test of memory: a reply that lists twenty symbols would pass. So everything in the
reply that could be an answer is found, and a right reply holds nothing but the answer.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

_NUMBER = re.compile(r"\d{3,}")
_GROUPED = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_INVISIBLE = dict.fromkeys(map(ord, "\ufe0e\ufe0f\u200b\u200d\u2060"))

# Signs that decorate replies and that nobody means as an answer; all others of category So are candidates.
_DECORATION = frozenset("©®°✅✔☑✨❌❗❤♥☺☹★☆●○◎■□◆◇▪▫▶►◀◄▲△▼▽•※️") | frozenset(map(chr, range(0x1F300, 0x1FB00)))


def normalise(text: str) -> str:
    """The text in NFKC and lower case, without variation selectors and joiners, and numbers without thousands
    separators."""
    folded = unicodedata.normalize("NFKC", text).translate(_INVISIBLE).casefold()
    return _GROUPED.sub("", folded)


def symbols(text: str, pool: Sequence[str]) -> list[str]:
    """The symbols of a text in order, each once: those of the pool, and all others of category So that are no
    decoration."""
    known = frozenset(pool)
    return _once(c for c in normalise(text) if c in known or (unicodedata.category(c) == "So" and c not in _DECORATION))


def numbers(text: str) -> list[str]:
    """The numbers of three or more digits in a text, in order, each once. Numbers written as words are not seen."""
    return _once(_NUMBER.findall(normalise(text)))


def words(text: str, pool: Sequence[str], also: Mapping[str, str]) -> list[str]:
    """The words of the pool that stand in a text, in order, each once, with any particles, quotation marks or text
    around them. Latin words must be whole words; a plural counts. `also` (word → another spelling) adds spellings."""
    pattern, meant = _finder(tuple(pool), tuple(sorted(also.items())))
    return _once(meant[match.group("thing")] for match in pattern.finditer(normalise(text)))


@lru_cache(maxsize=64)
def _finder(pool: tuple[str, ...], also: tuple[tuple[str, str], ...]) -> tuple[re.Pattern[str], dict[str, str]]:
    meant = {normalise(thing): thing for thing in pool}
    meant |= {normalise(spelling): thing for thing, spelling in also if thing in pool}
    things = "|".join(re.escape(thing) for thing in sorted(meant, key=len, reverse=True))
    return re.compile(rf"(?<![a-z])(?P<thing>{things})(?:e?s)?(?![a-z])"), meant


def _once(found: Iterable[str]) -> list[str]:
    """Each candidate once, in the order of first occurrence."""
    return list(dict.fromkeys(found))
