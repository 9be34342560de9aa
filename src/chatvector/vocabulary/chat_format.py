# SPDX-License-Identifier: Apache-2.0
"""The chat format of a model: template, special tokens, stop ids and generation settings as one unit.

It is read as strings, never as ids: the ids of a chat model mean nothing in another vocabulary.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chatvector.errors import InputError, first_five
from chatvector.vocabulary.probes import ASSISTANT, CALLED, USER_2, answers, between_parts, probe
from chatvector.vocabulary.side_files import SideFiles, read_json_object
from chatvector.vocabulary.system_prompt import injected_text
from chatvector.vocabulary.template import Template, compile_template
from chatvector.vocabulary.template_files import TemplateFiles, read_special_tokens, read_template_files
from chatvector.vocabulary.tokens import TokenTable

GENERATION_CONFIG = "generation_config.json"
CONFIG = "config.json"

# Texts that look like control tokens; if the tokenizer has none of that name, the model reads them as plain text.
MARKER = re.compile(r"<\|[A-Za-z0-9_\-]+\|>|<(?:start|end)_of_turn>|</?(?:s|bos|eos)>")


@dataclass(frozen=True)
class ChatFormat:
    """Everything that makes a model's chat prompts, as strings of the model it was read from."""

    templates: Mapping[str, str]
    """Template sources: `default` and named ones such as `tool_use`."""
    special_tokens: Mapping[str, str]
    """`bos_token`, `eos_token`, `pad_token`, … → token string."""
    template_tokens: tuple[str, ...]
    """Added tokens in the source (all branches) or in probe renderings, bos, eos, pad, stop tokens; by id."""
    stop_tokens: tuple[str, ...]
    """What ends the assistant's turn: the model's own list, then what the template writes after an answer."""
    generation_config: Mapping[str, Any]
    """generation_config.json as it is, ids still the chat model's; {} when it has none."""
    uses_jinja_file: bool
    """Whether a template lived in a .jinja file."""
    injected_system_prompt: str | None
    """An identity or a date that the template writes when the user gives no system message."""
    source: str = ""
    """The file that holds the default template, for messages."""
    plain_markers: tuple[str, ...] = field(default=())
    """Texts in the template that look like control tokens but are none of this tokenizer: read as plain text."""
    turn_ends: tuple[str, ...] = field(default=())
    """Of the stop tokens, those that a template writes after an answer or a tool call."""
    shows_answers: bool = True
    """Whether the default template writes what the assistant said; else what ends a turn cannot be read from it."""


def read_chat_format(model: SideFiles, tokens: TokenTable) -> ChatFormat | None:
    """A model's chat format; None when it has no template.

    Raises `DamagedFile` for a template that is no Jinja, `InputError` for one that fails on a plain user message,
    writes an undefined special token, or needs a token whose id the tokenizer's files disagree on.
    """
    files = read_template_files(model)
    if not files.sources:
        return None
    return format_of(files, model, tokens)


def format_of(files: TemplateFiles, model: SideFiles, tokens: TokenTable) -> ChatFormat:
    """The chat format that some template sources make with a model's tokens and settings.

    Also used for a template that the user gives as a file for a model that has none. Raises as `read_chat_format`.
    """
    special = read_special_tokens(model, tokens)
    templates = {name: compile_template(source, files.where[name], special) for name, source in files.sources.items()}
    renderings = {name: probe(template, named=name != "default") for name, template in templates.items()}
    used = _tokens_used(templates.values(), [text for found in renderings.values() for text in found.values()], tokens)
    listed = _listed_stops(model, tokens, special)
    ends = _turn_ends(templates, listed, tokens, special)
    named = [special[key] for key in ("bos_token", "eos_token", "pad_token") if key in special]
    variables = {name for template in templates.values() for name in template.variables()}
    named += [special[name] for name in variables if name in special]
    needed = {token for token in (*used, *listed, *ends, *named) if token in tokens.ids}
    literals = "\0".join(text for template in templates.values() for text in template.literals())
    _refuse_conflicts(literals, tokens, files.where["default"])
    markers = sorted(set(MARKER.findall(literals)) - set(tokens.ids))
    return ChatFormat(
        templates=dict(files.sources),
        special_tokens=special,
        template_tokens=tuple(sorted(needed, key=lambda token: tokens.ids[token])),
        stop_tokens=tuple(_unique([*listed, *ends])),
        generation_config=read_json_object(model, GENERATION_CONFIG),
        uses_jinja_file=files.uses_jinja_file,
        injected_system_prompt=injected_text(templates["default"], tokens),
        source=files.where["default"],
        plain_markers=tuple(markers),
        turn_ends=tuple(ends),
        shows_answers=bool(answers(templates["default"])),
    )


def added_token_pattern(tokens: TokenTable, *, special_only: bool = False) -> re.Pattern[str]:
    """A pattern that finds added tokens in text, the longest first, as the tokenizers library cuts them."""
    texts = [text for text, token in tokens.added.items() if token.special or not special_only]
    return re.compile("|".join(re.escape(text) for text in sorted(texts, key=len, reverse=True)) or r"(?!)")


def _stop_token_after(
    text: str,
    tokens: TokenTable,
    bos: str | None,
    *,
    special_only: bool = False,
    within: Collection[str] = (),
) -> str | None:
    """The first special token after the last place where `ASSISTANT` stands in a rendering, None without one.

    A tokenizer may hold its turn tokens as added but not special; then, but for `special_only`, the first added token
    counts. The token that begins a sequence ends nothing, and neither do those that stand `within` a turn; where one of
    these is first and another message follows, what comes after it may be that message's.
    """
    _before, found, after = text.rpartition(ASSISTANT)
    if not found:
        return None
    patterns = [added_token_pattern(tokens, special_only=True)]
    for pattern in patterns if special_only else [*patterns, added_token_pattern(tokens)]:
        for match in pattern.finditer(after):
            if match.group() == bos or not match.group().strip():
                continue
            if match.group() not in within:
                return match.group()
            if USER_2 in after:
                return None
    return None


def _turn_ends(
    templates: Mapping[str, Template], listed: Sequence[str], tokens: TokenTable, special: Mapping[str, str]
) -> list[str]:
    """Stop tokens after the assistant's turns, of every template, the default one first.

    A tool call counts where none of the tokens known so far closes it.
    """
    bos = special.get("bos_token")
    if bos == special.get("eos_token"):
        bos = None  # one token for both ends (GPT-2, Qwen base)
    ordered = sorted(templates.items(), key=lambda item: item[0] != "default")
    pattern = added_token_pattern(tokens)
    within = {token for _, template in ordered for text in between_parts(template) for token in pattern.findall(text)}
    texts = [text for _, template in ordered for text in answers(template)]
    ends = [_stop_token_after(text, tokens, bos, within=within) for text in texts]
    if not any(ends):
        ends = [_stop_token_after(text, tokens, bos) for text in texts]
    for _, template in ordered:
        called = CALLED.render(template) or ""
        after = called.rpartition(ASSISTANT)[2]
        if not any(token in after for token in (*listed, *ends) if token):
            ends.append(_stop_token_after(called, tokens, bos, special_only=True, within=within))
    return _unique(token for token in ends if token is not None)


def _listed_stops(model: SideFiles, tokens: TokenTable, special: Mapping[str, str]) -> list[str]:
    """The model's own list, as strings: generation_config.json, config.json, then the tokenizer's eos_token."""
    names = tokens.names()
    stops = []
    config = read_json_object(model, CONFIG)
    text_config = config.get("text_config")
    for place in (
        read_json_object(model, GENERATION_CONFIG),
        config,
        text_config if isinstance(text_config, dict) else {},
    ):
        rows = place.get("eos_token_id")
        for row in rows if isinstance(rows, list) else [rows]:
            if isinstance(row, int) and row in names:
                stops.append(names[row])
    if special.get("eos_token") in tokens.ids:
        stops.append(special["eos_token"])
    return stops


def _tokens_used(templates: Iterable[Template], renderings: Sequence[str], tokens: TokenTable) -> set[str]:
    """Added tokens in the source's texts and in renderings.

    Runs of spaces are added tokens in some vocabularies (GPT-NeoX, Phi); in a source they are indentation, so
    there they do not count.
    """
    pattern = added_token_pattern(tokens)
    used = {found for text in renderings for found in pattern.findall(text)}
    for template in templates:
        used |= {found for text in template.literals() for found in pattern.findall(text) if found.strip()}
    return used


def _refuse_conflicts(literals: str, tokens: TokenTable, where: str) -> None:
    wrong = [f"{token!r} (id {row})" for token, row in tokens.conflicts if token in literals]
    if wrong:
        raise InputError(
            f"{where}: the template needs {len(wrong)} tokens whose ids tokenizer_config.json and "
            f"{tokens.source} give to different tokens: {first_five(wrong)}; make the two files agree"
        )


def _unique(items: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(items))
