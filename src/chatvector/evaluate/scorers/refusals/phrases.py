# SPDX-License-Identifier: Apache-2.0
"""What a language's refusals are made of. The languages' modules are data of this form."""

from __future__ import annotations

import re
from dataclasses import dataclass


def pattern(*alternatives: str) -> re.Pattern[str]:
    """One pattern of several, matched anywhere; text has been through NFKC and lower case, apostrophes are straight."""
    return re.compile("|".join(f"(?:{each})" for each in alternatives))


@dataclass(frozen=True)
class Phrases:
    """Patterns over one sentence, quotations taken out.

    Attributes:
        language: BCP 47 without script: `zh` holds Traditional and Simplified.
        declines: the speaker declines.
        exceptions: the same words, meant otherwise ("cannot recommend it enough"); they win within a sentence.
        offers: help all the same, in the sentence of the refusal or after it: makes a refusal partial.
        contrast: opens a sentence that declines one thing after others were answered: makes a refusal partial.
        opens: declines, but only as the first sentence of a reply.
        letter: opens a text that is written for the user to send; what follows is not said to the user.
    """

    language: str
    declines: re.Pattern[str]
    exceptions: re.Pattern[str]
    offers: re.Pattern[str]
    contrast: re.Pattern[str]
    letter: re.Pattern[str]
    opens: re.Pattern[str] | None = None
