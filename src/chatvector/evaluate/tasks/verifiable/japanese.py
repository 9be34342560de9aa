# SPDX-License-Identifier: Apache-2.0
"""Japanese: です・ます or だ・である, kinds of letters, and the types of M-IFEval that only Japanese has.

The style of a sentence is read from its last letters, without quotations. Sentences that end in a noun (体言止め,
headings, list items) have no style.
"""

from __future__ import annotations

import re
from typing import Literal

from chatvector.evaluate.tasks.verifiable.text import plain, sentences, without_quotations

Style = Literal["polite", "plain"]
"""`polite` is です・ます, `plain` is だ・である."""

_PARTICLES = r"(?:か|ね|よ|よね|な|わ|が|けど|けれど|けれども|から|ので|し)?"
_POLITE = re.compile(rf"(?:です|ます|でした|ました|ません|でしょう|ましょう|ください|下さい|ませ|なさい){_PARTICLES}$")
_PLAIN = re.compile(
    r"(?:だ|である|だった|であった|だろう|であろう|ない|なかった|らしい|[たるうくぐすつぬぶむい])(?:か|ね|よ|よね|な|わ|が|けど|から|ので|し)?$"
)
_NOUNS = re.compile(
    r"(?:こと|もの|とき|ため|ところ|ほう|よう|そう|とう|ありがとう|おはよう|はい|いいえ|みなさん|ひとつ|ふたつ|かたち|おかし|さくら|つくる会)$"
)
_TAIL = re.compile(r"[\W_wｗ笑]+$")

HIRAGANA = "ぁ-ゖゝゞ"
KATAKANA = "ァ-ヺヽヾｦ-ﾟ"
KANJI = "一-鿿々〆㐀-䶿"


def style(sentence: str) -> Style | None:
    """The style of one sentence; None if its end does not show it."""
    end = _TAIL.sub("", re.sub(r"[（(][^（）()]*[）)]\W*$", "", plain(sentence)))
    if _POLITE.search(end):
        return "polite"
    return "plain" if _PLAIN.search(end) and not _NOUNS.search(end) else None


def styled(reply: str, wanted: Style) -> bool:
    """Whether all sentences of the reply that have a style have the wanted one, and there is at least one."""
    found = {style(sentence) for sentence in sentences(without_quotations(reply, "こと"))} - {None}
    return found == {wanted}


def letters_of(reply: str, kinds: str) -> list[str]:
    """The letters of the given kinds in a reply. `kinds` is `HIRAGANA`, `KATAKANA` or `KANJI`, or several joined."""
    return re.findall(f"[{kinds}]", plain(reply))


def only(reply: str, kinds: str) -> bool:
    """Whether all letters of the reply are of these kinds, and there is at least one. The long vowel mark is allowed
    with any kind."""
    text = plain(reply)
    letters = [c for c in text if c.isalpha() and c != "ー"]
    return bool(letters) and len(letters_of(text, kinds)) == len(letters)


def furigana(reply: str) -> bool:
    """Whether there is kanji, and every run of it is followed by its reading in hiragana in brackets (M-IFEval
    `letters:furigana`). Okurigana may stand before or after the brackets."""
    text = plain(reply)
    runs = re.findall(rf"[{KANJI}]+", text)
    read = re.findall(rf"[{KANJI}]+[{HIRAGANA}]*[（(][{HIRAGANA}ー\s]+[）)]", text)
    return bool(runs) and len(runs) == len(read)


def kanji_numbers_only(reply: str) -> bool:
    """Whether there is a number in kanji and no other digit (M-IFEval `letters:kansuuji`)."""
    text = plain(reply)
    return not any(character.isdigit() for character in text) and bool(
        re.search("[〇一二三四五六七八九十百千万億兆]", text)
    )


def nominal_endings(reply: str) -> int:
    """Number of sentences that end in a noun (体言止め), that is, in kanji or katakana."""
    ends = (_TAIL.sub("", sentence) for sentence in sentences(reply))
    return sum(bool(re.search(rf"[{KANJI}{KATAKANA}ー]$", end)) for end in ends)


def ends_alike(reply: str, ending: str) -> bool:
    """Whether there is a sentence and all sentences end in `ending`, apart from punctuation marks."""
    ends = [_TAIL.sub("", sentence) for sentence in sentences(reply)]
    return bool(ends) and all(end.endswith(ending) for end in ends)
