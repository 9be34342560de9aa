# SPDX-License-Identifier: Apache-2.0
"""The language of a reply, with the evidence for it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from chatvector.evaluate.languages import clean, han, scripts, segments, words
from chatvector.evaluate.languages.known import SCRIPTS, UNDETERMINED, known, matches
from chatvector.evaluate.languages.segments import Segment
from chatvector.evaluate.languages.words import Span


@dataclass(frozen=True)
class LanguageReading:
    """What the meter finds in a reply. Only running text counts (`clean.running_text`).

    Attributes:
        expected: the language that the reply should be in.
        main: the language of most of the reply, by weight of its sentences; `und` if it is too short to tell.
        share: letters in the expected language over all letters; None without letters.
        latin_share: Latin letters over all letters, None without letters. It reveals romanised text, which misleads
            every detector.
        lines, sentences: the lines and sentences with their languages (`und` if too short to tell).
        pass_line: whether all lines whose language is told are in the expected one; None if there is no such line.
        foreign: words in scripts that the expected language is not written in (`words.foreign_words`).
        switches: spans of neighbouring foreign words, that is, changes of code.
        traditional, simplified: number of characters that only this side writes (`han`).
    """

    expected: str
    main: str
    share: float | None
    latin_share: float | None
    lines: tuple[Segment, ...]
    sentences: tuple[Segment, ...]
    pass_line: bool | None
    foreign: tuple[Span, ...]
    switches: tuple[Span, ...]
    traditional: int
    simplified: int

    @property
    def on_target(self) -> bool | None:
        """Whether the reply is mainly in the expected language; None if that cannot be told."""
        return None if self.main == UNDETERMINED else matches(self.main, self.expected)

    @property
    def pass_word(self) -> bool:
        """Whether the reply has no foreign word."""
        return not self.foreign

    @property
    def traditional_share(self) -> float | None:
        """Share of Traditional characters among those that only one side writes; None without such characters."""
        both = self.traditional + self.simplified
        return self.traditional / both if both else None


def reply_language(text: str, expected: str, prompt: str = "") -> LanguageReading:
    """Reads the language of a reply.

    `expected` is a tag of `known.SCRIPTS`. `prompt` is the prompt: quotations from it do not count, and if it is in the
    expected language, foreign words that it contains do not count either. Remove thinking from `text` first
    (`evaluate.thinking`). Raises UsageError for a language that the meter does not know, and MissingExtra if Latin text
    has to be read and Lingua is not installed.
    """
    known(expected)
    running = clean.running_text(text, prompt)
    lines, sentences = segments.lines(running, expected), segments.sentences(running, expected)
    letters = scripts.counts(running)
    total = sum(letters.values())
    lent = prompt if prompt and matches(segments.labelled(prompt, expected).language, expected) else ""
    foreign = words.foreign_words(running, expected, lent)
    judged = [line for line in lines if line.language != UNDETERMINED]
    traditional, simplified = han.sides(running)
    return LanguageReading(
        expected=expected,
        main=_main(running, sentences, expected),
        share=sum(_own_letters(part, expected) for part in sentences) / total if total else None,
        latin_share=letters["Latin"] / total if total else None,
        lines=lines,
        sentences=sentences,
        pass_line=all(matches(line.language, expected) for line in judged) if judged else None,
        foreign=tuple(foreign),
        switches=tuple(words.switches(running, expected, foreign)),
        traditional=traditional,
        simplified=simplified,
    )


def _main(running: str, sentences: tuple[Segment, ...], expected: str) -> str:
    """The language whose sentences have the greatest weight; if every sentence is too short, that of the whole text."""
    weights: Counter[str] = Counter()
    for part in sentences:
        if part.language != UNDETERMINED:
            weights[part.language] += part.weight
    if not weights:
        return segments.labelled(running, expected).language
    chinese = [label for label in weights if label == "zh" or label.startswith("zh-")]
    if "zh" in chinese and len(chinese) == 2:  # sentences that fit both sides count for the side that is there
        side = next(label for label in chinese if label != "zh")
        weights[side] += weights.pop("zh")
    return max(weights, key=lambda label: (weights[label], matches(label, expected), label))


def _own_letters(part: Segment, expected: str) -> int:
    """Number of letters of a sentence that are in the expected language: those in its scripts, or 0 if the sentence as
    a whole is in another language of the same script."""
    own = SCRIPTS[expected]
    same_script = SCRIPTS.get(part.language, frozenset()) & own
    if same_script and not matches(part.language, expected):
        return 0
    return sum(count for script, count in scripts.counts(part.text).items() if script in own)
