# SPDX-License-Identifier: Apache-2.0
"""What of an answer is marked."""

from __future__ import annotations

from chatvector.evaluate.task import Answer


def answer_text(answer: Answer) -> str:
    """The last reply."""
    return answer.replies[-1].text
