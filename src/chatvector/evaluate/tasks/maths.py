# SPDX-License-Identifier: Apache-2.0
"""Word problems from a file: MGSM (Shi et al., arXiv 2210.03057) and other files of questions with a number as answer.

The model may reason as it likes and is asked for the number on the last line; the last number of its answer counts.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from chatvector.errors import InputError, UsageError, first_five
from chatvector.evaluate.items import file_source, local_file, read_records
from chatvector.evaluate.task import Answer, Item, Language, Marks, Metric, Services, Source, Turn, require_language
from chatvector.evaluate.tasks.answers import answer_text
from chatvector.runtime.backend import Sampling

ASK: Mapping[Language, str] = {
    "en": "{question}\n\nWork it out step by step. Write the answer on the last line, as a number and nothing else.",
    "ko": "{question}\n\n단계별로 풀어 보세요. 마지막 줄에는 답을 숫자로만 쓰세요.",
    "zh-Hant": "{question}\n\n請一步一步計算，並在最後一行只寫出答案的數字。",
    "zh-Hans": "{question}\n\n请一步一步计算，并在最后一行只写出答案的数字。",
    "ja": "{question}\n\n順を追って計算してください。最後の行には答えの数字だけを書いてください。",
}

_NUMBER = re.compile(r"(?<![\d.])-?\d{1,3}(?:,\d{3})+(?:\.\d+)?(?!\d)|(?<![\d.])-?\d+(?:\.\d+)?")

METRICS = (
    Metric("right", "right last number", "right", primary=True),
    Metric("answered", "replies with a number", "answered", better="neither"),
)


def last_number(text: str) -> Decimal | None:
    """The last number of a text; None if there is none. Full-width digits and thousands separators are understood. A
    minus sign right after a letter or digit counts as a hyphen."""
    plain = unicodedata.normalize("NFKC", text).replace("−", "-")
    found = None
    for match in _NUMBER.finditer(plain):
        written = match.group().replace(",", "")
        if written.startswith("-") and match.start() and plain[match.start() - 1].isalnum():
            written = written[1:]
        found = Decimal(written)
    return found


@dataclass(frozen=True)
class MathsTask:
    """The questions of a file.

    Attributes:
        rows: (question, right number as written) in file order.
    """

    language: Language
    rows: tuple[tuple[str, str], ...]
    source: Source
    sampling: Sampling = field(default=Sampling(max_new_tokens=512))
    axis: str = "knowledge"
    version: str = "1"
    metrics: tuple[Metric, ...] = field(default=METRICS, repr=False)

    @property
    def name(self) -> str:
        """`maths-` and the file's name."""
        return f"maths-{Path(self.source.name).stem}"

    @property
    def languages(self) -> tuple[Language, ...]:
        """The language of the file."""
        return (self.language,)

    def items(self, language: Language, *, limit: int | None, seed: int) -> list[Item]:
        """One item per question. Its id is the question's place in the file, because MGSM's files are parallel."""
        del seed
        require_language(self, language)
        return [
            Item(f"{number:04d}", language, (Turn(ASK[language].format(question=question)),), expect={"answer": answer})
            for number, (question, answer) in enumerate(self.rows[:limit], 1)
        ]

    def sources(self, language: Language) -> list[Source]:
        """The user's file."""
        del language
        return [self.source]

    def needs(self) -> tuple[str, ...]:
        """Needs no service."""
        return ()

    def mark(self, answers: Sequence[Answer], services: Services) -> list[Marks]:
        """Marks: `right` and `answered`; a reply without a number is wrong."""
        del services
        marks: list[Marks] = []
        for answer in answers:
            found = last_number(answer_text(answer))
            marks.append({"right": found == last_number(answer.item.expect["answer"]), "answered": found is not None})
        return marks


def maths_from_file(path: Path | str, language: Language, *, licence: str = "not stated") -> MathsTask:
    """The task over a file with columns `question` and `answer`. A `.tsv` without a header line is read as MGSM's.

    Raises UsageError for a language without wording, InputError if an answer has no number, and what `read_records`
    raises.
    """
    if language not in ASK:
        raise UsageError(f"maths in {language!r}: there is no wording for that; there are {', '.join(ASK)}")
    address, path = path, local_file(path)
    header = ["question", "answer"] if path.suffix.lower() == ".tsv" and not _has_head(path) else None
    records = read_records(path, ["question", "answer"], header=header)
    rows = tuple((str(record["question"]), str(record["answer"])) for record in records)
    wrong = [number for number, (_, answer) in enumerate(rows, 1) if last_number(answer) is None]
    if wrong:
        raise InputError(f"{path}: answers without a number: {len(wrong)} (record {first_five(wrong)})")
    return MathsTask(language, rows, file_source(address, licence))


def _has_head(path: Path) -> bool:
    """Whether the first line names the columns."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            return {"question", "answer"} <= set(file.readline().strip().split("\t"))
    except OSError:
        return True  # `read_records` says what is wrong
