# SPDX-License-Identifier: Apache-2.0
"""Finds faults of replies that do not depend on the question: loops, leaked tokens, turns of the user, broken
characters.

These are rules on text, made to match good replies rarely; their rates on public text are in docs/validation.md.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from chatvector.evaluate.languages.scripts import script_of

_PERIODS, _LOOP_CHARACTERS = 4, 40
"""The end of a text is a loop if it repeats one unit at least `_PERIODS` times over at least `_LOOP_CHARACTERS`
characters."""

_TAIL = 4000
"""Number of characters at the end that are looked at; a loop goes on until the reply's limit."""

_SAME_LINES, _SAME_SHARE = 4, 0.3
"""A line is a loop if it occurs at least `_SAME_LINES` times and makes up at least `_SAME_SHARE` of the lines."""

_GRAM, _GRAM_LEAST, _GRAM_SHARE = 6, 60, 0.5
"""A text of at least `_GRAM_LEAST` tokens is a loop if at least `_GRAM_SHARE` of its sequences of `_GRAM` tokens repeat
earlier ones."""

_UNSPACED = frozenset({"Han", "Kana", "Thai", "Lao", "Khmer", "Myanmar", "Bopomofo"})

_CODE = re.compile(r"^[ \t]*(```|~~~).*?(?:^[ \t]*\1[ \t]*$|\Z)|`[^`\n]+`", re.MULTILINE | re.DOTALL)
_RULED = re.compile(r"^[\W_]{1,200}$", re.MULTILINE)
_NUMBERED = re.compile(r"^[ \t]*(?:\d{1,3}[.)]|[-*•])[ \t]+", re.MULTILINE)

_LEAKS = re.compile(
    r"<\|[^<>|\n]{1,40}\|>|<｜[^<>｜\n]{1,40}｜>"
    r"|\[/?(?:INST|SYS|AVAILABLE_TOOLS|TOOL_CALLS|SYSTEM_PROMPT)\]|<</?SYS>>"
    r"|</?s>|<(?:bos|eos|pad|unk|mask)>|<(?:start|end)_of_(?:turn|image)>|<0x[0-9A-F]{2}>|[▁Ġ]\w|Ċ"
    r"|^#{2,4} *(?:User|Human|Assistant|System|Instruction|Input|Response)\s*:",
    re.MULTILINE | re.IGNORECASE,
)
_USER_TURN = re.compile(
    r"^(?:#{1,4} *|\*\*|> *|<\|?)?(?:user|human|사용자|유저|使用者|用戶|用户|人類|人类|ユーザー|利用者)"
    r"(?:\|?>|\*\*)?\s*[:：]"
    r"|<\|(?:user|im_start\|>user|start_header_id\|>user)\b|<start_of_turn>user|\[INST\]",
    re.MULTILINE | re.IGNORECASE,
)
_BROKEN_CATEGORIES = frozenset({"Cc", "Cn", "Co", "Cs"})


@dataclass(frozen=True)
class Degeneration:
    """What is wrong with a text.

    Attributes:
        loop: the text repeats itself, at its end or as a whole.
        leaks: tokens of chat formats and tokenizers that stand in it as text, outside code, in order.
        user_turn: the text also speaks for the user.
        broken: number of broken characters: U+FFFD, control and unassigned characters, private use, lone surrogates.
        empty: there is nothing but white space.
        distinct_1, distinct_2: number of different tokens (pairs of tokens) over the number of all (Li et al. 2016,
            arXiv 1510.03055); None if there are none. They fall with length: compare at equal limits only.
        characters: length of the text in characters.
    """

    loop: bool
    leaks: tuple[str, ...]
    user_turn: bool
    broken: int
    empty: bool
    distinct_1: float | None
    distinct_2: float | None
    characters: int


def degeneration(text: str) -> Degeneration:
    """Examine a reply. Thinking that was not removed before counts as part of the reply."""
    prose = _CODE.sub(" ", text)
    tokens = tokenise(text)
    return Degeneration(
        loop=loops(text),
        leaks=tuple(match.group().strip() for match in _LEAKS.finditer(prose)),
        user_turn=_USER_TURN.search(prose) is not None,
        broken=sum(
            c == "\ufffd" or (unicodedata.category(c) in _BROKEN_CATEGORIES and c not in "\n\r\t") for c in text
        ),
        empty=not text.strip(),
        distinct_1=distinct(tokens, 1),
        distinct_2=distinct(tokens, 2),
        characters=len(text),
    )


def loops(text: str) -> bool:
    """Does the text repeat itself: its end repeats one unit, one line occurs over and over, or at least half of its
    sequences of six tokens occurred before? If the text has letters or digits, short lines without any (rules, frames
    of tables) and list markers do not count. Code counts only at the end."""
    bare = _NUMBERED.sub("", _RULED.sub("", text)) if re.search(r"[^\W_]", text) else text
    if _periodic_end(bare):
        return True
    prose = _CODE.sub("\n", bare)
    lines = [line.strip() for line in prose.splitlines() if line.strip()]
    if lines:
        often = Counter(lines).most_common(1)[0][1]
        if often >= _SAME_LINES and often >= _SAME_SHARE * len(lines):
            return True
    tokens = tokenise(prose)
    fresh = distinct(tokens, _GRAM)
    return len(tokens) >= _GRAM_LEAST and fresh is not None and 1 - fresh >= _GRAM_SHARE


def tokenise(text: str) -> list[str]:
    """The tokens of a text: words, or single characters in scripts without spaces; case-folded, without punctuation."""
    tokens: list[str] = []
    for word in re.findall(r"\w+", unicodedata.normalize("NFC", text).casefold()):
        if any(script_of(c) in _UNSPACED for c in word):
            tokens.extend(word)
        else:
            tokens.append(word)
    return tokens


def distinct(tokens: Sequence[str], size: int) -> float | None:
    """Number of different sequences of `size` tokens over the number of all; None if there is no such sequence."""
    grams = list(zip(*(tokens[start:] for start in range(size)), strict=False))
    return len(set(grams)) / len(grams) if grams else None


def _periodic_end(text: str) -> bool:
    """Is the end of the text one unit, repeated? By the prefix function of the reversed text (Knuth, Morris, Pratt
    1977): a prefix of n characters with a border of b has the period n − b."""
    backwards = re.sub(r"\s+", " ", text).strip()[: -_TAIL - 1 : -1]
    borders = [0] * len(backwards)
    for place in range(1, len(backwards)):
        border = borders[place - 1]
        while border and backwards[place] != backwards[border]:
            border = borders[border - 1]
        borders[place] = border + (backwards[place] == backwards[border])
        length = place + 1
        if length >= _LOOP_CHARACTERS and length >= _PERIODS * (length - borders[place]):
            return True
    return False
