# SPDX-License-Identifier: Apache-2.0
"""The language of a reply, with everything that says so."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from chatvector.evaluate.languages import clean, han, scripts, segments, words
from chatvector.evaluate.languages.known import SCRIPTS, UNDETERMINED, known, matches
from chatvector.evaluate.languages.segments import Segment
from chatvector.evaluate.languages.words import Span


@dataclass(frozen=True)
class LanguageReading:
    """What the meter reads off a reply. Everything counts running text only (`clean.running_text`).

    Attributes:
        expected: the language it was to be in.
        main: the language of most of it, by weight of its sentences; `und` where no sentence is long enough to say.
        share: letters in the expected language over all letters; None without letters.
        latin_share: Latin letters over all letters: romanised text fools every detector, this shows it.
        lines, sentences: labelled; those with `und` are in no share.
        pass_line: are all labelled lines in the expected language? None if no line has a label.
        foreign: words of other scripts (`words.foreign_words`); for a language of Latin letters those of other scripts
            only.
        switches: the same, joined to spans: changes of code.
        traditional, simplified: characters that only one side writes (`han`).
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
        """Is it mainly in the expected language? None where that cannot be said."""
        return None if self.main == UNDETERMINED else matches(self.main, self.expected)

    @property
    def pass_word(self) -> bool:
        """Is there no foreign word in it?"""
        return not self.foreign

    @property
    def traditional_share(self) -> float | None:
        """Traditional characters among those that only one side writes; None where there is none of either."""
        both = self.traditional + self.simplified
        return self.traditional / both if both else None


def reply_language(text: str, expected: str, prompt: str = "") -> LanguageReading:
    """Read the language of a reply.

    `expected` is a tag of `known.SCRIPTS`. `prompt` is what was asked: it may be quoted, and a prompt in the expected
    language lends its foreign words too, which one in another language does not. Thinking has to be taken off before
    (`evaluate.thinking`). Raises UsageError for a language that the meter does not know and MissingExtra where Latin
    text has to be read and Lingua is not installed.
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
    """The label with the greatest weight of sentences; of the whole where every sentence is too short."""
    weights: Counter[str] = Counter()
    for part in sentences:
        if part.language != UNDETERMINED:
            weights[part.language] += part.weight
    if not weights:
        return segments.labelled(running, expected).language
    chinese = [label for label in weights if label == "zh" or label.startswith("zh-")]
    if "zh" in chinese and len(chinese) == 2:  # sentences that fit both sides go with the side that is there
        side = next(label for label in chinese if label != "zh")
        weights[side] += weights.pop("zh")
    return max(weights, key=lambda label: (weights[label], matches(label, expected), label))


def _own_letters(part: Segment, expected: str) -> int:
    """Letters of a sentence that are in the expected language: those of its scripts, unless the sentence as a whole is
    in another language of the same script."""
    own = SCRIPTS[expected]
    same_script = SCRIPTS.get(part.language, frozenset()) & own
    if same_script and not matches(part.language, expected):
        return 0
    return sum(count for script, count in scripts.counts(part.text).items() if script in own)
