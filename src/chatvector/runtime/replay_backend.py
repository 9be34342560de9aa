# SPDX-License-Identifier: Apache-2.0
"""A model made of recorded replies: to score other people's outputs, for tests, and to report again without a model.

A recording is JSONL, one reply a line. UTF-8, blank lines are skipped:

| key | |
|---|---|
| `prompt` | a text, or the messages: `[{"role": "user", "content": "…"}, …]` with all earlier turns |
| `reply` | the text, or an object with `text` and any of `stopped`, `tokens`, `prompt_tokens`, `special`, `failure` |
| `sample` | number among several replies to the same prompt; without it they are numbered in the order of lines |

A prompt given as text matches both the raw text and a conversation of this one user message. A prompt that is not in
the recording is an error; no other reply is used in its place.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from chatvector.errors import DamagedFile, MissingInput, first_five
from chatvector.runtime.backend import BackendInfo, Prompt, Reply, Sampling

Spoken = tuple[tuple[str, str], ...] | str
"""Content of a prompt: messages, or raw text."""

_REPLY_FIELDS = {
    "text": str,
    "stopped": bool,
    "tokens": int,
    "prompt_tokens": int,
    "special": list,
    "failure": str,
}


class ReplayBackend:
    """Answers from a recording, whatever the sampling. Satisfies `Backend`."""

    def __init__(self, records: Iterable[tuple[Spoken, int | None, Reply]], *, name: str, fingerprint: str) -> None:
        """Take (content of the prompt, sample or None, reply). Raises DamagedFile for two replies to one sample."""
        self._replies: dict[tuple[Spoken, int], Reply] = {}
        seen: dict[Spoken, int] = {}
        for spoken, sample, reply in records:
            number = seen.get(spoken, 0) if sample is None else sample
            seen[spoken] = max(seen.get(spoken, 0), number + 1)
            if self._replies.setdefault((spoken, number), reply) is not reply:
                raise DamagedFile(f"{name}: two replies to sample {number} of the prompt {_shown(spoken)}")
        self.info = BackendInfo(
            kind="replay", model=name, fingerprint=fingerprint, template=None, prompt_form="recorded"
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a recording. Raises MissingInput, or DamagedFile with the line."""
        file = Path(path)
        try:
            content = file.read_bytes()
        except (FileNotFoundError, IsADirectoryError) as error:
            raise MissingInput(f"{file}: there is no such recording") from error
        records = [
            _record(line, f"{file}, line {number}")
            for number, line in enumerate(content.split(b"\n"), 1)
            if line.strip()
        ]
        if not records:
            raise DamagedFile(f'{file}: holds no reply; a line is {{"prompt": …, "reply": …}}')
        return cls(records, name=str(path), fingerprint=hashlib.sha256(content).hexdigest())

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Reply]:  # noqa: ARG002
        """The recorded replies. Raises MissingInput naming the first prompts that are not recorded."""
        found = [self._find(prompt) for prompt in prompts]
        missing = [
            _shown(prompt.text or prompt.messages)
            for prompt, reply in zip(prompts, found, strict=True)
            if reply is None
        ]
        if missing:
            raise MissingInput(
                f"{self.info.model}: {len(missing)} of {len(prompts)} prompts are not in the recording: "
                f"{first_five(missing)}; record them, or mark the items that were recorded"
            )
        return [reply for reply in found if reply is not None]

    def _find(self, prompt: Prompt) -> Reply | None:
        if prompt.text is not None:
            return self._replies.get((prompt.text, prompt.sample))
        found = self._replies.get((prompt.messages, prompt.sample))
        if found is None and len(prompt.messages) == 1:
            found = self._replies.get((prompt.messages[0][1], prompt.sample))
        return found


def reply_as_json(reply: Reply) -> dict[str, Any]:
    """A reply as an object of a recording or of the cache; `reply_from_json` gives it back."""
    return {
        "text": reply.text,
        "stopped": reply.stopped,
        "tokens": reply.tokens,
        "prompt_tokens": reply.prompt_tokens,
        "special": list(reply.special),
        "failure": reply.failure,
    }


def reply_from_json(found: Mapping[str, Any]) -> Reply:
    """A reply from its object. Raises ValueError naming the first wrong field."""
    if unknown := sorted(found.keys() - _REPLY_FIELDS):
        raise ValueError(f"unknown keys of the reply: {first_five(unknown)}")
    if "text" not in found:
        raise ValueError("the reply has no text")
    for name, value in found.items():
        kind = _REPLY_FIELDS[name]
        optional = name in ("tokens", "prompt_tokens", "failure")
        if not (isinstance(value, kind) or (optional and value is None)) or (kind is int and isinstance(value, bool)):
            raise ValueError(f"{name} of the reply must be {kind.__name__}, is {value!r}")
    special = found.get("special", [])
    if not all(isinstance(token, str) for token in special):
        raise ValueError("special of the reply must be a list of texts")
    return Reply(
        text=found["text"],
        stopped=found.get("stopped", True),
        tokens=found.get("tokens"),
        prompt_tokens=found.get("prompt_tokens"),
        special=tuple(special),
        failure=found.get("failure"),
    )


def _record(line: bytes, where: str) -> tuple[Spoken, int | None, Reply]:
    try:
        row = json.loads(line.decode("utf-8"))
        if not isinstance(row, dict):
            raise ValueError(f"must be an object, is a {type(row).__name__}")
        if absent := [key for key in ("prompt", "reply") if key not in row]:
            raise ValueError(f"{absent[0]} is missing; it has {first_five(sorted(row)) or 'no keys'}")
        sample = row.get("sample")
        if sample is not None and (type(sample) is not int or sample < 0):
            raise ValueError(f"sample must be a number from 0 on, is {sample!r}")
        reply = row["reply"]
        if not isinstance(reply, str | dict):
            raise ValueError(f"reply must be a text or an object, is a {type(reply).__name__}")
        return (
            _spoken(row["prompt"]),
            sample,
            reply_from_json({"text": reply} if isinstance(reply, str) else reply),
        )
    except (ValueError, RecursionError) as error:  # JSON and UTF-8 errors are ValueErrors
        raise DamagedFile(f"{where}: {error}") from None


def _spoken(prompt: Any) -> Spoken:
    if isinstance(prompt, str):
        return prompt
    messages = []
    for message in prompt if isinstance(prompt, list) and prompt else [None]:
        if not isinstance(message, dict) or not all(isinstance(message.get(key), str) for key in ("role", "content")):
            raise ValueError("prompt must be a text or a list of {role, content}")
        messages.append((message["role"], message["content"]))
    return tuple(messages)


def _shown(spoken: Spoken) -> str:
    text = spoken if isinstance(spoken, str) else spoken[-1][1]
    line = " ".join(text.split())
    return repr(line if len(line) <= 60 else f"{line[:57]}…")
