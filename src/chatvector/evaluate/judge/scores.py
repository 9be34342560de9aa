# SPDX-License-Identifier: Apache-2.0
"""Scores that take the language of the reply into account: raw, √-penalised and gated, side by side.

Judges give high scores to replies in another language than the question's. KoMT-Bench (LG AI Research) therefore takes
the square root of such scores; here the gated score goes further and gives the lowest one, because a model that answers
in the wrong language has not answered its user.
"""

from __future__ import annotations

from dataclasses import dataclass

from chatvector.evaluate.judge.protocol import LOWEST
from chatvector.evaluate.languages import reply_language
from chatvector.evaluate.languages.known import SCRIPTS
from chatvector.evaluate.task import Language


@dataclass(frozen=True)
class Scores:
    """One score from 1 to 10 in three versions. All are None if the verdict could not be read."""

    raw: float | None
    root: float | None
    gated: float | None


def scores(raw: float | None, on_target: bool | None) -> Scores:
    """The three scores. A reply in another language (`on_target` False) gets √raw as `root` and the lowest score as
    `gated`; `on_target` None (too short to tell, or not applicable) changes nothing."""
    if raw is None or on_target is not False:
        return Scores(raw, raw, raw)
    return Scores(raw, raw**0.5, LOWEST)


def on_target(reply: str, language: Language, asked: str, reference: str | None = None) -> bool | None:
    """Is the reply in `language`? None if the meter cannot tell or does not know the language, or if the reference
    itself is in another one, which then was asked for. `asked` is the question."""
    if language not in SCRIPTS:
        return None
    if reference is not None and reply_language(reference, language, asked).on_target is False:
        return None
    return reply_language(reply, language, asked).on_target
