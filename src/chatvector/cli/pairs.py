# SPDX-License-Identifier: Apache-2.0
"""Repeatable flags of the form KEY=VALUE: template arguments, labels."""

from __future__ import annotations

from typing import Any


def overrides(max_new_tokens: int | None, arguments: list[str]) -> dict[str, Any]:
    """What the flags say of sampling. Raises UsageError for a template argument that is no KEY=JSON."""
    found: dict[str, Any] = {} if max_new_tokens is None else {"max_new_tokens": max_new_tokens}
    given = template_arguments(arguments)
    return found | ({"template_arguments": given} if given else {})


def template_arguments(texts: list[str]) -> tuple[tuple[str, Any], ...]:
    """`KEY=JSON` of --template-argument, sorted. Raises UsageError for what is none, and for a name that is taken."""
    import json

    from chatvector.errors import UsageError
    from chatvector.vocabulary.template import NOT_VARIABLES

    found: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        try:
            found[key] = json.loads(value) if equals and key else json.loads("")
        except ValueError:
            raise UsageError(f"--template-argument {text}: write KEY=JSON, such as enable_thinking=false") from None
        if key in NOT_VARIABLES:
            raise UsageError(
                f"--template-argument {text}: {key} is set by the conversation itself; of one's own are such as"
                " enable_thinking=false"
            )
    return tuple(sorted(found.items()))


def pairs(flag: str, texts: list[str]) -> dict[str, str]:
    """`KEY=VALUE` of a repeatable flag. Raises UsageError for what is none."""
    from chatvector.errors import UsageError

    found: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (key and equals and value):
            raise UsageError(f"{flag} {text}: write NAME=VALUE, such as LABEL_1=toxicity")
        found[key] = value
    return found
