# SPDX-License-Identifier: Apache-2.0
"""A task of one's own: Korean proverbs to be completed.

chatvector eval MODEL --language ko --task examples/own_task/proverbs.py
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chatvector.evaluate.own_task import OwnTask


def completed(reply: str, record: Mapping[str, Any]) -> bool:
    """The rest of the proverb, whatever else is said and however it is spaced."""
    return str(record["rest"]).replace(" ", "") in reply.replace(" ", "")


TASK = OwnTask(
    name="proverbs",
    file=Path(__file__).with_name("proverbs.ko.jsonl"),
    language="ko",
    question="다음 속담을 끝까지 써 주세요: {start} …",
    right=completed,
    licence="Apache-2.0",
)
