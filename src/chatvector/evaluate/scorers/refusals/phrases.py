# SPDX-License-Identifier: Apache-2.0
"""The form of the patterns that find a language's refusals; the modules of the languages fill it with data."""

from __future__ import annotations

import re
from dataclasses import dataclass


def pattern(*alternatives: str) -> re.Pattern[str]:
    """One pattern of several alternatives. The text must be in NFKC and lower case, with straight apostrophes."""
    return re.compile("|".join(f"(?:{each})" for each in alternatives))


@dataclass(frozen=True)
class Phrases:
    """The patterns of one language, each searched in one sentence without quotations.

    Attributes:
        language: BCP 47 tag without script: `zh` covers Traditional and Simplified.
        declines: the speaker declines.
        exceptions: the same words with another meaning ("cannot recommend it enough"): the sentence does not decline.
        offers: offers of help in the sentence of the refusal, after it, or in later sentences; they make it partial.
        contrast: begins a sentence that declines one thing after others were answered; makes a refusal partial.
        opens: declines, but only in the first sentence of a reply.
        letter: begins a text that is written for the user to send; what follows is not said to the user.
    """

    language: str
    declines: re.Pattern[str]
    exceptions: re.Pattern[str]
    offers: re.Pattern[str]
    contrast: re.Pattern[str]
    letter: re.Pattern[str]
    opens: re.Pattern[str] | None = None
