# SPDX-License-Identifier: Apache-2.0
"""Read answers of OpenAI-compatible servers: replies, probabilities of prompts, and errors in their many wordings.

Fields are those of OpenAI's API reference; `reasoning_content` (DeepSeek, llama.cpp, SGLang, older vLLM) and
`reasoning` (newer vLLM) hold the thinking where the server separates it.
"""

from __future__ import annotations

import re
from typing import Any

from chatvector.errors import UnsupportedFormat
from chatvector.runtime.backend import Likelihood, Reply
from chatvector.runtime.thought_marks import DEFAULT

_CONTEXT_CODES = ("context_length_exceeded", "exceed_context_size_error")
_CONTEXT_WORDS = re.compile(
    r"maximum context length|exceeds? the (?:available )?context|context (?:size|window|length) (?:exceeded|of)"
    r"|longer than the model's context|prompt is too long|max_(?:completion_)?tokens must be at least 1, got -"
    r"|maximum (?:model|sequence|input) length|too large for model with",
    re.IGNORECASE,
)
NO_TEMPLATE = re.compile(
    r"default chat template is no longer allowed|(?:no|not have a|missing(?: a)?) chat[ _]template", re.IGNORECASE
)
# Messages of templates by `raise_exception` (Gemma, Mistral); others cannot be told from broken requests.
_REFUSED_CONVERSATION = re.compile(
    r"system role (?:is )?not supported|roles must alternate|only user and assistant roles", re.IGNORECASE
)
_FILTER_CODES = ("content_filter", "content_policy_violation")


class Nonsense(Exception):
    """An answer that lacks what the protocol promises."""


def failure_of(message: str, body: Any) -> str | None:
    """The `Reply.failure` for a refusal, by its code if it has one, else by its text; None for other refusals."""
    error = body.get("error", body) if isinstance(body, dict) else {}
    codes = [error.get("code"), error.get("type")] if isinstance(error, dict) else []
    if any(code in codes for code in _CONTEXT_CODES) or _CONTEXT_WORDS.search(message):
        return "context"
    if any(code in codes for code in _FILTER_CODES):
        return "filtered"
    return "template" if _REFUSED_CONVERSATION.search(message) else None


def read_chat(answer: Any, limit: int) -> Reply:
    """The reply of `/chat/completions`, with separately sent thinking put before it. Raises Nonsense."""
    choice = _choice(answer)
    message = choice.get("message")
    if not isinstance(message, dict):
        raise Nonsense("no message in it")
    content, thinking = message.get("content"), message.get("reasoning_content") or message.get("reasoning")
    text = content if isinstance(content, str) else ""
    if content is not None and not isinstance(content, str):
        raise Nonsense(f"the content is a {type(content).__name__}")
    if isinstance(thinking, str) and thinking.strip():
        closing = f"\n{DEFAULT.close}\n\n" if text.strip() or choice.get("finish_reason") != "length" else ""
        text = f"{DEFAULT.open}\n{thinking.strip()}{closing}{text.strip()}"
    return _reply(text, choice, answer, limit)


def read_completion(answer: Any, limit: int) -> Reply:
    """The reply of `/completions`. Raises Nonsense."""
    choice = _choice(answer)
    if not isinstance(choice.get("text"), str):
        raise Nonsense("no text in it")
    return _reply(choice["text"], choice, answer, limit)


def read_prompt_tokens(answer: Any) -> int:
    """Number of tokens of the prompt, as the server counts them. Raises UnsupportedFormat where it does not say."""
    count = _usage(answer, "prompt_tokens")
    if count is None:
        raise UnsupportedFormat("the server does not count tokens of prompts; measure with the transformers backend")
    return count


def read_likelihood(answer: Any, text: str, context_tokens: int | None) -> Likelihood:
    """The likelihood from an echoed prompt with `logprobs`, over the tokens from `context_tokens` on (None: all that
    have a probability). Raises Nonsense, or UnsupportedFormat where the server gives no probabilities of prompts."""
    choice = _choice(answer)
    logprobs = choice.get("logprobs")
    if not isinstance(logprobs, dict) or not isinstance(logprobs.get("token_logprobs"), list):
        raise UnsupportedFormat("the server tells no probabilities; measure with the transformers backend")
    tokens, values = logprobs.get("tokens"), logprobs["token_logprobs"]
    tops = logprobs.get("top_logprobs") or [None] * len(values)
    written = _usage(answer, "completion_tokens")
    if not isinstance(tokens, list) or not len(tokens) == len(values) == len(tops):
        raise Nonsense("logprobs of different lengths")
    if text not in str(choice.get("text")):
        raise UnsupportedFormat("the server does not echo prompts; measure with the transformers backend")
    stop = len(values) - (1 if written is None else written)
    if stop < 1:
        raise Nonsense("fewer probabilities than tokens written")
    first = context_tokens if context_tokens is not None else int(values[0] is None)
    if context_tokens is None and values[0] is None and tokens[0] and text.startswith(str(tokens[0])):
        raise UnsupportedFormat(
            "the server puts no token before a text, so its first token has no probability; measure with the "
            "transformers backend"
        )
    first = min(first, stop - 1)
    counted = values[first:stop]
    if not all(isinstance(value, int | float) for value in counted):
        raise Nonsense("tokens without a probability")
    greedy = all(
        not isinstance(top, dict) or value >= max(top.values(), default=value)
        for value, top in zip(counted, tops[first:stop], strict=True)
    )
    return Likelihood(float(sum(counted)), stop - first, greedy)


def _choice(answer: Any) -> dict[str, Any]:
    choices = answer.get("choices") if isinstance(answer, dict) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise Nonsense("no choices in it")
    return choices[0]


def _usage(answer: Any, name: str) -> int | None:
    usage = answer.get("usage")
    count = usage.get(name) if isinstance(usage, dict) else None
    return count if isinstance(count, int) else None


def _reply(text: str, choice: dict[str, Any], answer: Any, limit: int) -> Reply:
    written, read = _usage(answer, "completion_tokens"), _usage(answer, "prompt_tokens")
    reason = choice.get("finish_reason")
    if reason == "content_filter":
        return Reply("", stopped=False, tokens=written, prompt_tokens=read, failure="filtered")
    if reason == "length" and written is not None and written < limit:
        # Ended before our limit: the context was full (llama.cpp does not refuse such requests).
        return Reply("", stopped=False, tokens=written, prompt_tokens=read, failure="context")
    if reason not in ("stop", "length", "tool_calls", "function_call", "eos"):
        raise Nonsense(f"it ended for the reason {reason!r}")
    return Reply(text.strip(), stopped=reason != "length", tokens=written, prompt_tokens=read)
