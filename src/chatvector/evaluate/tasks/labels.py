# SPDX-License-Identifier: Apache-2.0
"""Which label does a free reply give? Rules for short answers to closed questions, in five languages.

A reply counts as an answer if it gives exactly one of the labels that were asked for. A label that the reply denies
("not positive", "긍정적이지 않다", "不是正面") is not given, and the opposite is not inferred: there are more than two
moods. If several labels are left, only those given in the strongest of the ways below count. Among them, labels that
are merely conceded ("though the last line is negative") are set aside if another is left. If more than one label
remains, the reply gives none.

1. named: "the answer is …", `{"label": "…"}`; or the first label after a concluding word such as "overall";
2. alone: a line, sentence or part of one that is nothing but a label: "Positive. The plot …";
3. stated: "is …", "…입니다", "屬於…", "…に関する";
4. mentioned.

Repetitions of the prompt are removed first: its sentences, quotations from it, lists of all labels. A model that does
not stop may repeat the heading of the text after its answer and speak for the user; all of that is removed too. Irony,
hedges beyond the lists in `label_grammar` and answers in a third language are not understood: they end as unparsed or,
at worst, as mentioned.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal

from chatvector.evaluate.task import Language
from chatvector.evaluate.tasks.label_grammar import GRAMMARS, Grammar
from chatvector.evaluate.tasks.label_words import Key, Labels

Reason = Literal["no label", "denied", "several labels"]

_ENDER = re.compile(r"[\n.!?。;]")
_OPENS = re.compile(r"[\n.!?。;:()]|\s[-–—]+\s|[–—]")
_CLOSES = re.compile(_OPENS.pattern + "|,")
_MARKUP = " \t\"'“”‘’「」『』《》〈〉[]{}*_`#>-•·、"
_ECHO_LENGTH = 8
"""Repeated parts of the prompt that are shorter than this (in characters) are kept: they may be an answer."""


@dataclass(frozen=True)
class Parsed:
    """What a reply says. `english`: the label was given by English words only although another language was asked for.
    `reason` says why there is no label; None if there is one."""

    label: Key | None
    english: bool = False
    reason: Reason | None = None


@dataclass(frozen=True)
class _Mention:
    label: Key
    start: int
    end: int
    english: bool


def fold(text: str) -> str:
    """The text in NFKC (full-width forms become plain, jamo become syllables) and lower case. Invisible characters are
    removed, emphasis marks become blanks, runs of blanks become one; line breaks are kept."""
    text = unicodedata.normalize("NFKC", text).casefold()
    text = re.sub("[\u200b-\u200f\u2060\ufeff\ufe0f]", "", text)
    return re.sub(r"(?:[*_`]|[^\S\n])+", " ", text)


def parse_label(
    reply: str, labels: Labels, language: Language, *, english: Labels | None = None, prompt: str = "", text: str = ""
) -> Parsed:
    """The label that `reply` gives.

    Args:
        reply: the answer, without thinking.
        labels: the labels that are asked for, in the language of the reply.
        language: one of `label_grammar.GRAMMARS`.
        english: the same labels in English, if an English word counts as an answer too.
        prompt: the prompt; repetitions of it do not count as an answer.
        text: the text within the prompt that is to be labelled.
    """
    pattern = _pattern(_forms(labels), _forms(english or {}))
    grammars = (GRAMMARS[language],) if language == "en" else (GRAMMARS[language], GRAMMARS["en"])
    said = _own_words(fold(reply), fold(prompt), fold(text), pattern)
    said, lists = _without_lists(said, pattern, grammars, min(len(labels), 3))
    mentions = pattern.find(said)
    if not mentions:
        return Parsed(None, reason="several labels" if lists else "no label")
    given = [mention for mention in _not_denied(said, mentions, grammars) if not _asked(said, mention)]
    if not given:
        return Parsed(None, reason="denied")
    chosen = given
    for way in (_named, _alone, _stated):
        if strong := [mention for mention in given if way(said, mention, given, grammars)]:
            chosen = _with_joined(said, strong, given, grammars)
            break
    chosen = [mention for mention in chosen if not _conceded(said, mention, grammars)] or chosen
    if len({mention.label for mention in chosen}) > 1:
        return Parsed(None, reason="several labels")
    label = chosen[0].label
    return Parsed(label, english=all(mention.english for mention in given if mention.label == label))


# --- finding labels


@dataclass(frozen=True)
class _Pattern:
    """All forms of all labels as one expression. `owners[i]` belongs to group i + 1: its label, and whether the form is
    English."""

    expression: re.Pattern[str]
    owners: tuple[tuple[Key, bool], ...]

    def find(self, text: str) -> list[_Mention]:
        found: list[_Mention] = []
        for match in self.expression.finditer(text):
            assert match.lastindex is not None
            label, english = self.owners[match.lastindex - 1]
            found.append(_Mention(label, match.start(), match.end(), english))
        return found


@lru_cache(maxsize=64)
def _pattern(labels: tuple[tuple[Key, str], ...], english: tuple[tuple[Key, str], ...]) -> _Pattern:
    listed = [(key, forms, False) for key, forms in labels] + [(key, forms, True) for key, forms in english]
    expression = re.compile("|".join(f"({forms})" for _, forms, _ in listed))
    assert expression.groups == len(listed), "a form has a group of its own"
    return _Pattern(expression, tuple((key, is_english) for key, _, is_english in listed))


def _forms(labels: Labels) -> tuple[tuple[Key, str], ...]:
    """Key and forms of each label, long names first, so that "IT science" is not read as "IT"."""
    return tuple((key, label.forms) for key, label in sorted(labels.items(), key=lambda item: -len(item[1].name)))


def _around(text: str, mention: _Mention) -> tuple[str, str]:
    """The parts of a mention's sentence that stand before and after the mention."""
    starts = [match.end() for match in _ENDER.finditer(text, 0, mention.start)]
    ends = _ENDER.search(text, mention.end)
    return text[starts[-1] if starts else 0 : mention.start], text[mention.end : ends.start() if ends else len(text)]


# --- what is no answer


def _own_words(reply: str, prompt: str, text: str, pattern: _Pattern) -> str:
    """The reply without repetitions of the prompt, and cut off where it starts to speak for the user."""
    for part in sorted(re.split(r"(?<=[.!?。])\s|\n", prompt), key=len, reverse=True):
        if len(part.strip()) >= _ECHO_LENGTH:
            reply = reply.replace(part.strip(), "\n")
    heading = re.search(rf"^([^\s:]+):\s*[「\"]?{re.escape(text)}", prompt, re.MULTILINE) if text else None
    if heading:
        for again in re.finditer(rf"^{re.escape(heading[1])}\s*:", reply, re.MULTILINE):
            if pattern.expression.search(reply, 0, again.start()):
                reply = reply[: again.start()]
                break

    def quotation(match: re.Match[str]) -> str:
        alone = pattern.expression.fullmatch(match[1].strip())
        return match[0] if alone or match[1] not in text else "\n"

    return re.sub(r"[\"“”‘'「『]([^\"“”’'「」『』\n]+)[\"“”’'」』]", quotation, reply)


def _joined(text: str, first: _Mention, second: _Mention, grammars: Sequence[Grammar], *, comma: bool) -> bool:
    between = text[first.end : second.start]
    if between.strip() == "," and not comma:
        return False
    return any(re.fullmatch(grammar.joins, between) for grammar in grammars)


def _without_lists(text: str, pattern: _Pattern, grammars: Sequence[Grammar], most: int) -> tuple[str, int]:
    """The text without lists of at least `most` different labels ("sport, economy or science", also as bullets), and
    the number of lists removed. Such a list repeats the choices and does not choose."""
    runs: list[list[_Mention]] = []
    for mention in pattern.find(text):
        last = runs[-1][-1] if runs else None
        bullets = last is not None and re.fullmatch(r"\s*\n[-*•\d.) ]*", text[last.end : mention.start])
        if last and (bullets or _joined(text, last, mention, grammars, comma=most > 2)):
            runs[-1].append(mention)
        else:
            runs.append([mention])
    lists = [run for run in runs if len({mention.label for mention in run}) >= most]
    for run in reversed(lists):
        text = f"{text[: run[0].start]} {text[run[-1].end :]}"
    return text, len(lists)


def _with_joined(
    text: str, chosen: list[_Mention], given: list[_Mention], grammars: Sequence[Grammar]
) -> list[_Mention]:
    """The chosen mentions and those joined to them: "the answer is food and travel", "음식과 여행이 주제입니다"."""
    runs = [given[:1]]
    for first, second in pairwise(given):
        if _joined(text, first, second, grammars, comma=False):
            runs[-1].append(second)
        else:
            runs.append([second])
    return [mention for run in runs if any(one in chosen for one in run) for mention in run]


def _asked(text: str, mention: _Mention) -> bool:
    ends = _ENDER.search(text, mention.end)
    return ends is not None and ends[0] == "?"


def _not_denied(text: str, mentions: list[_Mention], grammars: Sequence[Grammar]) -> list[_Mention]:
    """Mentions that the reply does not deny. "Not A or B" denies both, and so does "A도 B도 아니다". If two names of
    the same label stand together, a denial of one denies both: "부정(negative)이 아니다"."""
    sides = [_around(text, mention) for mention in mentions]
    before = [
        any(re.search(grammar.denied_before, side) for grammar in grammars)
        and not any(re.search(grammar.denied_twice, side) for grammar in grammars)
        for side, _ in sides
    ]
    after = [any(re.match(grammar.denied_after, side) for grammar in grammars) for _, side in sides]
    pairs = list(pairwise(mentions))
    same = [a.label == b.label and len(text[a.end : b.start].strip()) <= 2 for a, b in pairs]
    joined = [_joined(text, a, b, grammars, comma=False) for a, b in pairs]
    for place in range(len(pairs)):
        if same[place] or joined[place]:
            before[place + 1] |= before[place]
    for place in reversed(range(len(pairs))):
        if same[place] or joined[place]:
            after[place] |= after[place + 1]
    return [m for m, one, other in zip(mentions, before, after, strict=True) if not one and not other]


def _conceded(text: str, mention: _Mention, grammars: Sequence[Grammar]) -> bool:
    left, right = _around(text, mention)
    return any(re.search(g.conceded_before, left) or re.match(g.conceded_after, right) for g in grammars)


# --- ways of giving a label, the strongest first


def _named(text: str, mention: _Mention, given: list[_Mention], grammars: Sequence[Grammar]) -> bool:
    sentence, _ = _around(text, mention)
    if any(re.search(grammar.named_before, sentence) for grammar in grammars):
        return True
    begins = mention.start - len(sentence)
    for grammar in grammars:
        for word in re.finditer(grammar.concluding, sentence):
            if not any(begins + word.end() <= other.start < mention.start for other in given):
                return True
    return False


def _alone(text: str, mention: _Mention, given: list[_Mention], grammars: Sequence[Grammar]) -> bool:
    if any(_joined(text, *pair, grammars, comma=True) for pair in pairwise(given) if mention in pair):
        return False
    opens = [match.end() for match in _OPENS.finditer(text, 0, mention.start)]
    closes = _CLOSES.search(text, mention.end)
    left = text[opens[-1] if opens else 0 : mention.start]
    right = text[mention.end : closes.start() if closes else len(text)]
    if left.strip(_MARKUP):
        return False
    return any(re.fullmatch(grammar.copula, right.strip(_MARKUP)) for grammar in grammars)


def _stated(text: str, mention: _Mention, given: list[_Mention], grammars: Sequence[Grammar]) -> bool:
    del given
    left, right = _around(text, mention)
    return any(re.search(g.stated_before, left) or re.match(g.stated_after, right) for g in grammars)
