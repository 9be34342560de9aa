# SPDX-License-Identifier: Apache-2.0
"""The part of an answer that tasks mark."""

from __future__ import annotations

from chatvector.evaluate.task import Answer
from chatvector.evaluate.thinking import answer_of


def answer_text(answer: Answer) -> str:
    """The last reply without its thinking; "" where the thinking never ended."""
    return answer_of(answer.replies[-1].text)
