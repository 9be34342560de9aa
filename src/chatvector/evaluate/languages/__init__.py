# SPDX-License-Identifier: Apache-2.0
"""In which language is a reply? `reply_language(text, expected)` says so, offline and with its reasons.

Scripts decide what scripts can decide (`scripts`); national character sets part Japanese, Traditional and Simplified
Chinese (`han`); Lingua, restricted to six languages, parts the languages of Latin letters (`latin`).
"""

from chatvector.evaluate.languages.reading import LanguageReading, reply_language

__all__ = ["LanguageReading", "reply_language"]
