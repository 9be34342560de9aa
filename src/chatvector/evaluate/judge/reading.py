# SPDX-License-Identifier: Apache-2.0
"""Reads what a judge wrote: a score from 1 to 10, or a choice between A, B and a tie.

Judges are asked for `[[7]]` or `[[A]]` on the last line, and many write something else. These forms are read, the
strongest first; only the strongest one found counts:

1. in double brackets: `[[7]]`, `[[rating: 7/10]]`, `【【7】】`, `[[B]]`;
2. as a JSON key: `{"score": 7}`, `{"winner": "A"}`;
3. by name: `Rating: 7`, `점수: 7점`, `評分：7`, `評価：7`, `Winner: B`, `더 나은 답변: A`;
4. scores only, as a fraction: `7/10`, `7 out of 10`, `10점 만점에 7점`, `7점`, `7分`;
5. nothing else in the reply: `7`, `A`.

In forms 1 and 2 the last line that has one counts, since judges quote the format before they come to the end. The same
holds for choices by name, and for scores by a name that means the whole ("Final score", "Overall", "총점"). Scores by
other names all have to agree, except for scores of a part ("Language score") and mentions that are no verdict ("a score
of 10 is perfect"), which are ignored. In form 4 all values have to agree. Two different values on a line are no
verdict. Numbers outside 1–10, ranges, other scales, distances ("3 points below"), words for numbers and verdicts in
prose ("A is better") are not read: a score is never guessed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from chatvector.evaluate.judge.protocol import HIGHEST, LOWEST
from chatvector.evaluate.thinking import parse

Choice = Literal["A", "B", "tie"]

_NUMBER = r"(?P<value>[-+]?\d+(?:[.]\d+)?)(?![\d,]|[.]\d)"
_RANGE = (
    r"(?!\s*(?:점|分|点)?\s*(?:[-–—~∼〜]|to\b|or\b|에서|到|至|から)\s*\d)(?!\s*(?:점|分|点)\s*(?:만점|満点|滿分|满分))"
    r"(?!\s*(?:points?|marks?)?\s*(?:below|above|under|over|less|more|lower|higher|short|away)\b)(?!\s*점\s*(?:낮|높|부족|차이))"
)
_OUT_OF = r"(?:\s*(?:점|分|点)?\s*(?:/|out of|of)\s*(?P<out_of>\d+))?"
_OPEN = r"(?:\\?boxed)?[\[{(\"'「]?\s*"
_CLOSE = r"\s*[\]})\"'」]?"
_SCORE = rf"{_OPEN}{_NUMBER}{_RANGE}{_OUT_OF}"
_SCORE_NAMES = (
    r"(?:(?:final|overall|total)\s+)?(?<![a-z])(?:rating|score|grade|mark)|(?:최종\s*|종합\s*|총\s*)?(?:점수|평점|평가\s*점수|총점)"
    r"|(?:最終|最终|綜合|综合|總|总)?(?:評分|评分|分數|分数|得分|總分|总分|打分|給分|给分|評価|評点|点数|スコア)"
)
_WHOLE_NAMES = (
    r"(?<![a-z])(?:(?:final|overall|total)\s+(?:rating|score|grade|mark)|overall(?=\s*[:=]))"
    r"|(?:최종|종합|총)\s*(?:점수|평점|평가\s*점수)|총점|(?:종합|총평|전체)(?=\s*[:=])"
    r"|(?:最終|最终|綜合|综合|總|总)(?:評分|评分|分數|分数|得分|分|打分|給分|给分|評価|評点|点数|スコア)"
    r"|(?:總評|总评|總體|总体|整體|整体|綜合|综合|総合)(?=\s*[:=])"
)
"""Names of the score of the whole reply, as opposed to a part of it."""
_LINK = r"\s*(?:is|of|are|는|은|為|为|是|は)?\s*[:=]?\s*(?:10점\s*만점(?:에|\s*중에?)\s*|10点満点(?:中|で)\s*)?"
_IN_BRACKETS = re.compile(r"\[\[(?P<inside>[^\[\]]{1,60})\]\]|【【(?P<other>[^【】]{1,60})】】")
_JSON_SCORE = re.compile(
    rf'"(?:score|rating|grade|점수|評分|评分|分數|分数|評価|スコア)"\s*:\s*"?{_SCORE}', re.IGNORECASE
)
_WHOLE_SCORE = re.compile(rf"(?:{_WHOLE_NAMES}){_LINK}{_SCORE}", re.IGNORECASE)
_PART = re.compile(
    r"(?<![a-z])(?!(?:the|my|this|its|an?|so|is|as|with|it|and|give|assign|award|rating|evaluation|quality)\b)[a-z]+\s*$"
    r"|(?<![가-힣])(?!(?:답변|응답|전체|제|내|이|평가)\s*$)[가-힣]*(?![의은는서로고])[가-힣]\s*$"
    r"|[一-鿿ぁ-ヿ](?<![的我故の])(?<!所以|因此|回[覆复答])$",
    re.IGNORECASE,
)
"""What stands before the name of a score of a part only: "Language score", "언어 점수", "語言評分"."""
_SUPPOSED = r"(?!\s*(?:points?\s*)?(?:is|are|means?|would|indicates?|stands|represents?|requires?)\b)"
"""Must not follow a named score: "A score of 10 is perfect" is no verdict."""
_NAMED_SCORE = re.compile(rf"(?:{_SCORE_NAMES}){_LINK}{_SCORE}{_SUPPOSED}", re.IGNORECASE)
_FRACTION = re.compile(
    rf"(?:10점\s*만점(?:에|\s*중에?)\s*|(?:滿分|满分)\s*10\s*分[,，、]?\s*(?:給|给|得)?\s*|10点(?:満点)?(?:中|で)\s*)"
    rf"{_NUMBER}{_RANGE}\s*(?:점|分|点)?"
    rf"|(?<![\d/.])(?P<over>\d+(?:[.]\d+)?)\s*(?:점|分|点)?\s*(?:/|out of)\s*(?P<whole>\d+)(?![\d/]|[.]\d)"
    r"|(?<![\d/.~-])(?<!滿分)(?<!满分)(?<!滿分 )(?<!满分 )(?P<points>\d+(?:[.]\d+)?)\s*(?:점|分|点)(?!\d)"
    r"(?!\s*(?:만점|満点|鐘|钟|짜리|中))"
)
_BARE_SCORE = re.compile(rf"{_SCORE}{_CLOSE}\s*(?:점|分|点|points?)?[.!。]?", re.IGNORECASE)

_TIE = (
    r"(?P<tie>(?-i:C)|tie|draw|equal|(?-i:A)\s*=\s*(?-i:B)|무승부|동점|비김|비슷함|平手|平局|平分秋色|不分上下|不相上下"
    r"|引き分け|同等|互角)"
)
_WHOSE = r"(?:(?:assistant|response|answer|reply|답변|응답|助理|助手|回答|回覆|回复|アシスタント)\s*)?"
_CHOICE = (
    rf"{_OPEN}(?:{_TIE}|{_WHOSE}(?:(?P<a>(?-i:A))|(?P<b>(?-i:B))))(?![A-Za-z=])(?!\s*(?:or|and|/|또는|或|か)\s*[ABC]\b)"
)
_CHOICE_NAMES = (
    r"(?:final\s+)?(?<![a-z])(?:verdict|winner|choice|decision|preference)|better(?:\s+(?:one|answer|reply|response))?"
    r"|(?:최종\s*)?(?:판정|승자|결론|선택)|더\s*(?:나은|좋은)\s*(?:답변|응답|쪽)"
    r"|(?:最終|最终)?(?:判定|裁決|裁决|勝者|胜者|結論|结论|選擇|选择|勝ち)|(?:較好|较好|更好)的?(?:回答|回覆|回复|答案)?"
    r"|(?:より)?(?:優れ|良)[いた]+(?:回答|返答|方)"
)
_JSON_CHOICE = re.compile(
    rf'"(?:winner|verdict|choice|better|승자|판정|勝者|胜者)"\s*:\s*"?\s*{_CHOICE}', re.IGNORECASE
)
_NAMED_CHOICE = re.compile(rf"(?:{_CHOICE_NAMES}){_LINK}{_CHOICE}", re.IGNORECASE)
_BARE_CHOICE = re.compile(rf"{_CHOICE}{_CLOSE}[.!。]?", re.IGNORECASE)
_BLANKS = re.compile(r"[^\S\n]+")
_EMPTY_LINES = re.compile(r" ?\n[ \n]*")
_ALONE = re.compile(r"([:=])[ \t]*\n\s*(?=\S{1,12}\s*$)")
"""A colon or equals sign whose verdict stands on the next line."""
_MARKUP = re.compile(r"[*_`#>]")


@dataclass(frozen=True)
class Reading:
    """A verdict as read. If it could not be read, `value` is None and `reason` says why."""

    value: float | Choice | None
    reason: str | None = None


def read_score(text: str, *, stopped: bool = True) -> Reading:
    """The score that a judge gave. With `stopped` False the judge's reply ran into the length limit, so a number at its
    very end may be cut off and is not read."""
    return _read(
        text,
        stopped=stopped,
        inside=lambda said: _score(_whole(rf"(?:(?:{_SCORE_NAMES}){_LINK})?{_SCORE}\s*(?:점|分|点)?", said)),
        strong=(_JSON_SCORE, _WHOLE_SCORE),
        agreeing=((_NAMED_SCORE, "by name"), (_FRACTION, "as a fraction")),
        bare=_BARE_SCORE,
        value=_score,
    )


def read_choice(text: str, *, stopped: bool = True) -> Reading:
    """The reply that a judge prefers: "A", "B" or "tie" (asked for as C)."""
    return _read(
        text,
        stopped=stopped,
        inside=lambda said: _choice(_whole(rf"(?:(?:{_CHOICE_NAMES}){_LINK})?{_CHOICE}", said)),
        strong=(_JSON_CHOICE, _NAMED_CHOICE),
        agreeing=(),
        bare=_BARE_CHOICE,
        value=_choice,
    )


def _read(
    text: str,
    *,
    stopped: bool,
    inside: Callable[[str], float | Choice | None],
    strong: tuple[re.Pattern[str], ...],
    agreeing: tuple[tuple[re.Pattern[str], str], ...],
    bare: re.Pattern[str],
    value: Callable[[re.Match[str] | None], float | Choice | None],
) -> Reading:
    thought = parse(text)
    if thought.unclosed:
        return Reading(None, "still thinking when it ended")
    # Runs of blanks become one: the patterns below allow blanks in many places and would try all ways to divide a run.
    said = _BLANKS.sub(" ", unicodedata.normalize("NFKC", thought.answer))
    said = _EMPTY_LINES.sub("\n", said)
    if not said.strip():
        return Reading(None, "nothing written")
    for line in reversed(said.splitlines()):
        found: list[float | Choice | None] = [
            inside((match["inside"] or match["other"]).strip()) for match in _IN_BRACKETS.finditer(line)
        ]
        if any(each is not None for each in found):
            return _one(found, "in brackets")
    if _IN_BRACKETS.search(said):
        return Reading(None, "brackets that hold no verdict")
    plain = _ALONE.sub(r"\1 ", _MARKUP.sub("", said).strip())
    for pattern in strong:
        for number, line in enumerate(reversed(plain.splitlines())):
            matches = list(pattern.finditer(line))
            if matches:
                if not stopped and number == 0 and matches[-1].end() == len(line):
                    return Reading(None, "cut off at the verdict")
                return _one([value(match) for match in matches], "by name")
    for pattern, how in agreeing:
        matches = [
            match
            for line in plain.splitlines()
            for match in pattern.finditer(line)
            if pattern is not _NAMED_SCORE or _PART.search(line[max(match.start() - 20, 0) : match.start()]) is None
        ]
        if matches:
            if not stopped and plain.endswith(matches[-1].string) and matches[-1].end() == len(matches[-1].string):
                return Reading(None, "cut off at the verdict")
            return _one([value(match) for match in matches], how)
    match = bare.fullmatch(plain)
    if match is not None and stopped:
        return _one([value(match)], "alone")
    return Reading(None, "no verdict")


def _one(found: Sequence[float | Choice | None], how: str) -> Reading:
    """The one value among those found on a line (or anywhere, if all have to agree); unread if they differ."""
    if None in found:
        return Reading(None, f"{how}: outside 1–10 or on another scale")
    if len(set(found)) > 1:
        return Reading(None, f"{how}: {' and '.join(str(each) for each in dict.fromkeys(found))}")
    return Reading(found[0])


def _whole(pattern: str, said: str) -> re.Match[str] | None:
    return re.fullmatch(pattern, said, re.IGNORECASE)


def _score(match: re.Match[str] | None) -> float | None:
    """The number of a match if it is from 1 to 10 and on a scale of 10; else None."""
    if match is None:
        return None
    groups = match.groupdict()
    number = groups.get("value") or groups.get("over") or groups.get("points")
    scale = groups.get("out_of") or groups.get("whole")
    if number is None or (scale is not None and int(scale) != HIGHEST):
        return None
    found = float(number)
    return found if LOWEST <= found <= HIGHEST else None


def _choice(match: re.Match[str] | None) -> Choice | None:
    if match is None:
        return None
    groups = match.groupdict()
    return "tie" if groups.get("tie") else "A" if groups.get("a") else "B" if groups.get("b") else None
