# SPDX-License-Identifier: Apache-2.0
"""In which language is a reply? `reply_language(text, expected)` says so, offline and with its reasons.

Scripts decide what scripts can decide (`scripts`). National character sets separate Japanese, Traditional and
Simplified Chinese (`han`). Lingua, restricted to six languages, tells the languages written in Latin letters apart
(`latin`).
"""

from chatvector.evaluate.languages.reading import LanguageReading, reply_language

__all__ = ["LanguageReading", "reply_language"]
