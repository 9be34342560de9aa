# SPDX-License-Identifier: Apache-2.0
"""Tells apart languages written in Latin letters, by Lingua restricted to `known.LATIN`."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

from chatvector.errors import MissingExtra
from chatvector.evaluate.languages.known import LATIN, UNDETERMINED


@cache
def _detector() -> tuple[Any, dict[Any, str]]:
    """Lingua's detector, and its languages → our tags. It takes about 150 MB of memory; with all of Lingua's 75
    languages it would take 1 GB and be 3 to 12 points worse on short text. Raises MissingExtra if Lingua is not
    installed."""
    try:
        import lingua
    except ImportError as error:
        raise MissingExtra("eval", "telling languages of Latin letters apart") from error
    codes = {tag: getattr(lingua.IsoCode639_1, tag.upper()) for tag in LATIN}
    builder = lingua.LanguageDetectorBuilder.from_iso_codes_639_1(*codes.values())
    return builder.build(), {lingua.Language.from_iso_code_639_1(code): tag for tag, code in codes.items()}


@lru_cache(maxsize=8192)
def latin_language(text: str) -> str:
    """Tag of the most likely language of a text in Latin letters; `und` if none fits. Raises MissingExtra if Lingua is
    not installed."""
    detector, tags = _detector()
    found = detector.detect_language_of(text)
    return UNDETERMINED if found is None else tags[found]
