# SPDX-License-Identifier: Apache-2.0
"""Open questions: the starter set, and files of the Vicuna and MT-bench family.

Vicuna bench, MT-bench, KoMT-Bench and Japanese MT-bench are JSONL files of one form: `question_id`, `category`,
`turns`, and `reference` (one per turn) if a question has right answers. Only the judge sees references, not the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatvector.errors import InputError
from chatvector.evaluate import items as item_files
from chatvector.evaluate.task import Language, Source

SYSTEM_PROMPTS: Mapping[Language, str] = {
    "en": "You are a helpful, honest assistant. Answer the user's questions accurately and clearly, in English.",
    "ko": "당신은 친절하고 정직한 어시스턴트입니다. 사용자의 질문에 정확하고 알기 쉽게 한국어로 답하세요.",
    "zh-Hant": "你是一位樂於助人且誠實的助理。請用繁體中文正確、清楚地回答使用者的問題。",
    "zh-Hans": "你是一个乐于助人且诚实的助手。请用简体中文准确、清楚地回答用户的问题。",
    "ja": "あなたは親切で誠実なアシスタントです。ユーザーの質問に、日本語で正確に分かりやすく答えてください。",
}
"""System prompts by language. As in the paper's Vicuna run "with system prompt", they name the language. The wording is
our own, not Llama 2's English text of 2023, which few models still use."""


@dataclass(frozen=True)
class Question:
    """One question of one or more turns.

    Attributes:
        references: one per turn, "" for a turn that has none (as in MT-bench); empty if the question has none at all.
    """

    id: str
    category: str
    turns: tuple[str, ...]
    references: tuple[str, ...] = ()


@dataclass(frozen=True)
class Questions:
    """The questions of a file, in one language."""

    language: Language
    rows: tuple[Question, ...]
    source: Source


def starter(language: Language) -> tuple[Question, ...]:
    """The starter questions."""
    return tuple(
        Question(row["id"], row["category"], tuple(row["turns"]), tuple(row["reference"]))
        for row in item_files.load_starter("open", language)
    )


def read_questions(path: Path | str, language: Language, *, licence: str = "not stated") -> Questions:
    """Reads the questions of a file of the MT-bench family, in file order.

    Columns: `question_id` (or `id`), `turns` (a list of texts, or one text; also called `question`, `prompt`,
    `instruction` or `text`), `category`, `reference` (a list or a text; "" is none). Raises InputError for questions
    without text, a number of references that is not the number of turns, or an id that occurs twice, and what
    `read_records` raises.
    """
    records = item_files.read_records(
        path, [("question_id", "id"), ("turns", "question", "prompt", "instruction", "text")]
    )
    rows: list[Question] = []
    for number, record in enumerate(records, 1):
        where = f"{path}: record {number}"
        turns = _texts(record["turns"], where, "turns")
        references = _texts(record["reference"], where, "reference", empty=True) if record.get("reference") else ()
        if references and len(references) != len(turns):
            raise InputError(f"{where}: {len(references)} references for {len(turns)} turns; give one a turn, or none")
        rows.append(Question(str(record["question_id"]), str(record.get("category") or "all"), turns, references))
    ids = [row.id for row in rows]
    if len(set(ids)) < len(ids):
        twice = next(one for one in ids if ids.count(one) > 1)
        raise InputError(f"{path}: question_id {twice} comes {ids.count(twice)} times; ids have to be unique")
    return Questions(language, tuple(rows), item_files.file_source(path, licence))


def read_pairs(path: Path | str, language: Language, *, licence: str = "not stated") -> Questions:
    """Reads pairs of a question and an answer, as in songys/Chatbot_data (Korean small talk, MIT), in file order. The
    answer is the reference that the judge sees; it is only one of many good answers.

    Columns: `Q` (or `question`), `A` (or `answer`), and optionally `label`, the category. Raises what `read_records`
    raises.
    """
    stem = item_files.local_file(path).stem
    records = item_files.read_records(path, (("Q", "question"), ("A", "answer")))
    rows = tuple(
        Question(f"{stem}-{number:05d}", str(record.get("label") or "all"), (str(record["Q"]),), (str(record["A"]),))
        for number, record in enumerate(records, 1)
    )
    return Questions(language, rows, item_files.file_source(path, licence))


def _texts(value: Any, where: str, column: str, *, empty: bool = False) -> tuple[str, ...]:
    texts = [value] if isinstance(value, str) else value
    whole = isinstance(texts, list) and all(isinstance(text, str) and (empty or text.strip()) for text in texts)
    if not whole or not texts:
        raise InputError(f"{where}: {column} must be a text or a list of texts, is {value!r:.60}")
    return tuple(texts)
