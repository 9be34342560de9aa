# SPDX-License-Identifier: Apache-2.0
"""What goes wrong with replies as such, whatever was asked: loops, leaked tokens, turns of the user, broken characters.

Rules on text, made to be rare on good replies: their rates on public text are in docs/validation.md.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from chatvector.evaluate.languages.scripts import script_of

_PERIODS, _LOOP_CHARACTERS = 4, 40
"""The end of a text is a loop if it repeats one unit at least so often over at least so many characters."""

_TAIL = 4000
"""Characters of the end that are looked at: a loop goes on until the limit."""

_SAME_LINES, _SAME_SHARE = 4, 0.3
"""A line is a loop if it comes so often and makes up this share of the lines."""

_GRAM, _GRAM_LEAST, _GRAM_SHARE = 6, 60, 0.5
"""Tokens of a sequence, tokens that a text needs, and the share of sequences that stood before: then it goes round."""

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
        loop: it goes round, at its end or as a whole.
        leaks: tokens of chat formats and tokenizers that stand in it as text, outside code, in order.
        user_turn: it speaks for the user too.
        broken: U+FFFD, control and unassigned characters, private use, halves of surrogate pairs.
        empty: no character but white space.
        distinct_1, distinct_2: different tokens (pairs) over all (Li et al. 2016, arXiv 1510.03055); None where there
            are none. They fall with length: compare at equal limits only.
        characters: its length.
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
    """Read a reply; thinking has to be taken off before, or is part of what is read."""
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
    """Does it go round: an end that repeats one unit, one line over and over, or half of its sequences of six tokens
    seen before? Beside text, short lines without letters and digits (rules, frames of tables) and the numbers of a list
    do not count; code does only at the end."""
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
    """Words, and single characters in scripts that have no spaces; lower case, without punctuation."""
    tokens: list[str] = []
    for word in re.findall(r"\w+", unicodedata.normalize("NFC", text).casefold()):
        if any(script_of(c) in _UNSPACED for c in word):
            tokens.extend(word)
        else:
            tokens.append(word)
    return tokens


def distinct(tokens: Sequence[str], size: int) -> float | None:
    """Share of different sequences of `size` tokens among all; None if there is no such sequence."""
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
