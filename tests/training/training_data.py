# SPDX-License-Identifier: Apache-2.0
"""Small data for the embedded models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FRUIT = ["apple", "pear", "plum", "fig", "kiwi", "lemon", "lime", "grape"]
CHATML = (
    "{%- for message in messages %}{{- '<s>' + message['role'] + '\\n' + message['content'] + '<|end|>\\n' }}"
    "{%- endfor %}{%- if add_generation_prompt %}{{- '<s>assistant\\n' }}{%- endif %}"
)
"""A template of the usual kind: the stop token, then a line break, and no generation marks."""


def turns(*texts: str) -> list[dict[str, str]]:
    """User and assistant by turns."""
    roles = ("user", "assistant")
    return [{"role": roles[n % 2], "content": text} for n, text in enumerate(texts)]


TEXTS = [{"text": f"There is a {fruit} tree. " * 4} for fruit in FRUIT]
CONVERSATIONS = [{"messages": turns(f"What is a {fruit}?", f"A {fruit} is red.")} for fruit in FRUIT]
PAIRS = [{"prompt": f"What is a {f}?", "chosen": f"A {f} is red.", "rejected": "Go away."} for f in FRUIT]
ROWS: dict[str, list[dict[str, Any]]] = {"cp": TEXTS, "sft": CONVERSATIONS, "dpo": PAIRS}


def write_jsonl(path: Path, rows: list[Any]) -> str:
    """An object a line."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return str(path)
