# SPDX-License-Identifier: Apache-2.0
"""The questions put to a judge. Their words are in `wordings/LANGUAGE.toml`; this module inserts the material to judge.

The prompts do not mention the language that a reply should be in. Judges reward replies in another language all the
same (LG's KoMT-Bench found this of GPT-4), so the language is measured apart (`scores`) and must not count twice.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from chatvector.errors import UsageError
from chatvector.evaluate.judge.protocol import Exchange
from chatvector.evaluate.task import Language

WORDINGS = Path(__file__).with_name("wordings")
_LINE = "=" * 20


def judge_languages() -> tuple[Language, ...]:
    """The languages that a judge can be asked in, sorted."""
    return tuple(sorted(path.stem for path in WORDINGS.glob("*.toml")))


@cache
def wording(language: Language) -> Mapping[str, str]:
    """The words of the prompts in a language. Raises UsageError if there are none."""
    if language not in (there := judge_languages()):
        raise UsageError(f"judge prompts: none in {language!r}; there are {', '.join(there)}, choose one to ask in")
    return {
        key: text.strip() for key, text in tomllib.loads((WORDINGS / f"{language}.toml").read_text("utf-8")).items()
    }


def prompt_hash(language: Language) -> str:
    """SHA-256, in hex, of all words of the prompts in a language; the material is not included."""
    text = "\0".join(f"{key}\0{said}" for key, said in sorted(wording(language).items()))
    return hashlib.sha256(text.encode()).hexdigest()


def single_prompt(exchange: Exchange, language: Language) -> str:
    """A prompt that asks for a score of the last reply."""
    words = wording(language)
    parts = [*_material(exchange, words), (words["reply"], exchange.replies[-1])]
    return _framed(words["single"], parts, words["single_end"], words)


def pair_prompt(first: Exchange, second: Exchange, language: Language) -> str:
    """A prompt that asks which of two last replies is better; that of `first` is A. If the conversations before them
    differ, each reply is shown with its own."""
    words = wording(language)
    same = list(first.replies[:-1]) == list(second.replies[:-1])
    if same:
        parts = _material(first, words)
        parts += [(words["reply_a"], first.replies[-1]), (words["reply_b"], second.replies[-1])]
    else:
        parts = _material(first, words, history=False)
        for name, one in (("reply_a", first), ("reply_b", second)):
            parts += [
                (f"{words['conversation']} ({words[name]})", _history(one, words)),
                (words[name], one.replies[-1]),
            ]
    return _framed(words["pair"], parts, words["pair_end"], words)


def _material(exchange: Exchange, words: Mapping[str, str], *, history: bool = True) -> list[tuple[str, str]]:
    question, parts = exchange.questions[-1], list[tuple[str, str]]()
    if exchange.system is not None:
        parts.append((words["system"], exchange.system))
    if history and len(exchange.questions) > 1:
        parts.append((words["conversation"], _history(exchange, words)))
    parts.append((words["question"], question))
    if exchange.reference is not None:
        parts.append((words["reference"], exchange.reference))
    return parts


def _history(exchange: Exchange, words: Mapping[str, str]) -> str:
    said = zip(exchange.questions, exchange.replies[:-1], strict=False)
    return "\n\n".join(f"{words['user']}: {question}\n\n{words['assistant']}: {reply}" for question, reply in said)


def _framed(intro: str, parts: Sequence[tuple[str, str]], end: str, words: Mapping[str, str]) -> str:
    """The intro, the material in frames, and what to write. Lines of the material that look like a frame are
    indented."""
    blocks = [f"{_LINE} {title} {_LINE}\n{_tame(text)}" for title, text in parts]
    return "\n\n".join([intro, *blocks, f"{_LINE} {words['end']} {_LINE}", end])


def _tame(text: str) -> str:
    return "\n".join(f" {line}" if line.lstrip().startswith("=") else line for line in text.splitlines())
