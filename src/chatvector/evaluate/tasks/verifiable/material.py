# SPDX-License-Identifier: Apache-2.0
"""What generated prompts are made of in each language: subjects, words, phrases, and how each instruction is said.

`prompts/LANGUAGE.toml` holds it, written in the language by hand; nothing is translated by rule.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from chatvector.evaluate.task import Language

_FOLDER = Path(__file__).with_name("prompts")


@dataclass(frozen=True)
class Subject:
    """A request that can be met in many forms, and words that would be at home in a reply."""

    ask: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class Material:
    """One language's file.

    Attributes:
        joint: between request and instructions: a space or nothing.
        subjects, keywords: what to write about, and words that may be asked for whatever the subject.
        starts, ends: phrases for beginning and end; no commas, no level of politeness.
        postscripts: markers. section: marker of sections.
        questions: a question, then the answers to choose from.
        languages: other languages by tag, as this one calls them.
        things: English gloss of `sides.tsv` → how a prompt refers to it (Chinese only).
        says: instruction (with its relation or choice) → its sentence, `{count}` and so on to be filled in.
    """

    language: Language
    joint: str
    subjects: tuple[Subject, ...]
    keywords: tuple[str, ...]
    starts: tuple[str, ...]
    ends: tuple[str, ...]
    postscripts: tuple[str, ...]
    section: str
    questions: tuple[tuple[str, ...], ...]
    languages: Mapping[Language, str]
    listed: str
    says: Mapping[str, str]


@cache
def material(language: Language) -> Material:
    """The material of a language that has a file."""
    read = tomllib.loads((_FOLDER / f"{language}.toml").read_text("utf-8"))
    return Material(
        language=language,
        joint=read["joint"],
        subjects=tuple(Subject(ask, tuple(words)) for ask, *words in read["subjects"]),
        keywords=tuple(read["keywords"]),
        starts=tuple(read["starts"]),
        ends=tuple(read["ends"]),
        postscripts=tuple(read["postscripts"]),
        section=read["section"],
        questions=tuple(tuple(entry) for entry in read["questions"]),
        languages=read["languages"],
        listed=read["listed"],
        says=read["says"],
    )


def languages() -> tuple[Language, ...]:
    """Those with a file."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))
