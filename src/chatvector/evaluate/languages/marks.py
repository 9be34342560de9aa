# SPDX-License-Identifier: Apache-2.0
"""Marks and metrics of reply language, for the task of that name and for the replies of every other task.

Line and word pass rate are those of the Language Confusion Benchmark (Marchisio et al. 2024, arXiv 2406.20052). A reply
passes by line if every line is in the expected language; of the replies that pass by line, those pass by word that have
no word of another language. As in the benchmark, words are not checked if the expected language is written in Latin
letters. A line counts if it has at least ten Latin or five East Asian letters; the benchmark counts lines of at least
five words, and therefore overlooks English headings.
"""

from __future__ import annotations

from chatvector.evaluate.languages.known import LATIN, UNDETERMINED
from chatvector.evaluate.languages.reading import LanguageReading, reply_language
from chatvector.evaluate.task import Marks, Metric


def language_marks(answer: str, expected: str, prompt: str = "") -> Marks:
    """Marks of an answer without its thinking; see `reply_language`."""
    reading = reply_language(answer, expected, prompt)
    judged = reading.main != UNDETERMINED
    return {
        "on_target": reading.on_target,
        "pass_line": reading.pass_line,
        "pass_word": reading.pass_word if reading.pass_line and expected not in LATIN else None,
        "english": reading.main == "en" if judged and expected != "en" else None,
        "share": reading.share,
        "own_side": _own_side(reading),
        "switches": float(len(reading.switches)) if judged else None,
        "undetermined": not judged,
        "main": reading.main,
    }


def language_metrics(by: tuple[str, ...] = ()) -> tuple[Metric, ...]:
    """The metrics of `language_marks`, also split by the facets `by`."""
    return (
        Metric("on_target", "mainly in the expected language", mark="on_target", by=by, primary=True),
        Metric("line_pass", "line pass rate", mark="pass_line", by=by),
        Metric("word_pass", "word pass rate, where all lines pass", mark="pass_word", by=by, of_some=True),
        Metric("english", "mainly English where another language is expected", mark="english", by=by, better="lower"),
        Metric("share", "letters in the expected language", mark="share", kind="mean", by=by),
        Metric(
            "own_side",
            "Traditional or Simplified, as expected, by character",
            mark="own_side",
            kind="mean",
            by=by,
            of_some=True,
        ),
        Metric(
            "switches", "changes of code in a reply", mark="switches", kind="mean", better="lower", by=by, unit="spans"
        ),
        Metric("undetermined", "too short to say", mark="undetermined", better="neither", by=by),
    )


def _own_side(reading: LanguageReading) -> float | None:
    """Share of the expected side's characters among those that only one side writes. None if neither Traditional nor
    Simplified Chinese is expected, or there are no such characters."""
    share = reading.traditional_share
    if share is None or reading.expected not in ("zh-Hant", "zh-Hans"):
        return None
    return share if reading.expected == "zh-Hant" else 1 - share
