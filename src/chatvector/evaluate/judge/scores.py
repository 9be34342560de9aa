# SPDX-License-Identifier: Apache-2.0
"""A score and the language of the reply: raw, √-penalised and gated, side by side.

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
    """Three readings of one score, 1 to 10. All are None where the verdict was not read."""

    raw: float | None
    root: float | None
    gated: float | None


def scores(raw: float | None, on_target: bool | None) -> Scores:
    """`on_target` None (too short to say, or not to be asked) costs nothing."""
    if raw is None or on_target is not False:
        return Scores(raw, raw, raw)
    return Scores(raw, raw**0.5, LOWEST)


def on_target(reply: str, language: Language, asked: str, reference: str | None = None) -> bool | None:
    """Is the reply in its language? None where the meter cannot say, does not know the language, or where the
    reference itself is in another one: then that is what was asked for."""
    if language not in SCRIPTS:
        return None
    if reference is not None and reply_language(reference, language, asked).on_target is False:
        return None
    return reply_language(reply, language, asked).on_target
