# SPDX-License-Identifier: Apache-2.0
"""What a reply recalls: the candidates that stand in it, in order, and nothing but them.

"Contains the right symbol" is no test of memory: a reply that lists twenty symbols would pass. So everything in the
reply that could be an answer counts, and there may be nothing else than the answer.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

_NUMBER = re.compile(r"\d{3,}")
_GROUPED = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_INVISIBLE = dict.fromkeys(map(ord, "\ufe0e\ufe0f\u200b\u200d\u2060"))

# Signs that replies are decorated with and nobody means as an answer; all others of category So are candidates.
_DECORATION = frozenset("©®°✅✔☑✨❌❗❤♥☺☹★☆●○◎■□◆◇▪▫▶►◀◄▲△▼▽•※️") | frozenset(map(chr, range(0x1F300, 0x1FB00)))


def normalise(text: str) -> str:
    """NFKC, lower case, without variation selectors and joiners, numbers without thousands separators."""
    folded = unicodedata.normalize("NFKC", text).translate(_INVISIBLE).casefold()
    return _GROUPED.sub("", folded)


def symbols(text: str, pool: Sequence[str]) -> list[str]:
    """Symbols in order: those of the pool, and any other of category So that is no decoration."""
    known = frozenset(pool)
    return _once(c for c in normalise(text) if c in known or (unicodedata.category(c) == "So" and c not in _DECORATION))


def numbers(text: str) -> list[str]:
    """Numbers of three digits and more, in order. Numbers written as words are not seen."""
    return _once(_NUMBER.findall(normalise(text)))


def words(text: str, pool: Sequence[str], also: Mapping[str, str]) -> list[str]:
    """Words of the pool in order, whatever particles, quotation marks or text stand around them; Latin ones as whole
    words, plural allowed. `also` gives another spelling of a word: it counts as the word."""
    pattern, meant = _finder(tuple(pool), tuple(sorted(also.items())))
    return _once(meant[match.group("thing")] for match in pattern.finditer(normalise(text)))


@lru_cache(maxsize=64)
def _finder(pool: tuple[str, ...], also: tuple[tuple[str, str], ...]) -> tuple[re.Pattern[str], dict[str, str]]:
    meant = {normalise(thing): thing for thing in pool}
    meant |= {normalise(spelling): thing for thing, spelling in also if thing in pool}
    things = "|".join(re.escape(thing) for thing in sorted(meant, key=len, reverse=True))
    return re.compile(rf"(?<![a-z])(?P<thing>{things})(?:e?s)?(?![a-z])"), meant


def _once(found: Iterable[str]) -> list[str]:
    """Each candidate where it first stands."""
    return list(dict.fromkeys(found))
