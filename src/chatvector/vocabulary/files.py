# SPDX-License-Identifier: Apache-2.0
"""The output's side files: the target's, with the few edits that a moved chat format and added rows need.

Every file that need not change is the target's, byte for byte. A file that changes keeps its key order, layout and
all other keys. Nothing is written through a tokenizer library, whose newer versions write what older ones cannot
read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chatvector.errors import UsageError
from chatvector.vocabulary.chat_format import CONFIG, GENERATION_CONFIG, ChatFormat
from chatvector.vocabulary.choice import Choice
from chatvector.vocabulary.json_text import JsonText
from chatvector.vocabulary.rows import VocabularyPlan
from chatvector.vocabulary.side_files import (
    PER_LAYER_SIZE,
    VOCABULARY_SIZE,
    SideFiles,
    places,
    read_json_object,
    read_text,
    token_text,
)
from chatvector.vocabulary.system_prompt import replace_system_prompt
from chatvector.vocabulary.template_files import (
    NAMED_TEMPLATES,
    PROCESSOR_TEMPLATE,
    SPECIAL_TOKENS_MAP,
    TEMPLATE_FILE,
)
from chatvector.vocabulary.token_files import add_tokens
from chatvector.vocabulary.tokens import TOKENIZER_CONFIG, TOKENIZER_JSON, TokenTable, read_tokens

# Keys of generation_config.json that hold token ids without being called `…_token_id`.
ID_LISTS = ("suppress_tokens", "begin_suppress_tokens", "bad_words_ids", "stop_token_ids")
# Of the causal models of transformers 5.23, those whose config.json must name one stop id: a list does not load.
ONE_STOP_ID = ("inkling_text", "inkling2_text")


class Edits:
    """Files of the output by name, read from the target when first touched."""

    def __init__(self, target: SideFiles) -> None:
        self.target = target
        """Read, never written to."""
        self._json: dict[str, JsonText] = {}
        self._plain: dict[str, bytes | None] = {}

    def has(self, name: str) -> bool:
        """Whether the target has a file, or an edit made it."""
        return name in self.target.files or name in self._json or self._plain.get(name) is not None

    def json(self, name: str) -> JsonText:
        """A JSON file to edit; an empty object where the target has none. Raises `DamagedFile`."""
        if name not in self._json:
            text = read_text(self.target, name) if name in self.target.files else "{}\n"
            # tokenizer.json is large, and the token table was read from it.
            self._json[name] = JsonText(text, f"{self.target.name}/{name}", checked=name == TOKENIZER_JSON)
        return self._json[name]

    def put(self, name: str, content: bytes | None) -> None:
        """Write a file whole, or remove it (None)."""
        self._plain[name] = content

    def changed(self) -> dict[str, bytes | None]:
        """What differs from the target: new bytes, or None for a file to remove; by name, sorted."""
        texts = {name: edited.text.encode() for name, edited in self._json.items()}
        result: dict[str, bytes | None] = {}
        for name, content in sorted({**texts, **self._plain}.items()):
            here = name in self.target.files
            if (content is None and here) or (
                content is not None and not (here and self.target.read_file(name) == content)
            ):
                result[name] = content
        return result


def output_side_files(
    target: SideFiles,
    plan: VocabularyPlan,
    choice: Choice,
    chat: SideFiles | None,
    *,
    system_prompt: str = "keep",
    tie_word_embeddings: bool | None = None,
    chat_tokens: TokenTable | None = None,
) -> dict[str, bytes | None]:
    """The side files that differ from the target's: name → bytes, or None for "removed".

    Args:
        target: the target's side files; never written to.
        plan: the vocabulary plan (`plan_vocabulary`).
        choice: whose chat format the output gets (`choose_chat_format`).
        chat: side files of the chat model that gives the format; needed when the format moves.
        system_prompt: `keep`, `none`, or the text that stands in where a conversation has no system message.
        tie_word_embeddings: the flag to write into config.json, None to leave it.
        chat_tokens: the chat model's token table where the caller has it; else it is read.

    Raises `DamagedFile` for a file that cannot be edited, `UsageError` when the template cannot take the wish
    about its system prompt.
    """
    edits = Edits(target)
    if tie_word_embeddings is not None:
        _set_where_present(edits.json(CONFIG), "tie_word_embeddings", tie_word_embeddings, always=True)
    if plan.rows != plan.target_rows:
        _set_where_present(edits.json(CONFIG), VOCABULARY_SIZE, plan.rows)
        # Per-layer embeddings grow where they have as many rows as the embedding.
        _set_where_present(edits.json(CONFIG), PER_LAYER_SIZE, plan.rows, instead_of=plan.target_rows)
    found = choice.format
    if found is None:
        if system_prompt != "keep":
            raise UsageError(f"--system-prompt: {target.name} has no chat template that a system prompt could go into")
        return edits.changed()
    if choice.moves and chat is not None:
        tokens = chat_tokens if chat_tokens is not None else read_tokens(chat)
        templates = _templates(found, tokens, system_prompt)
        add_tokens(edits, plan, [tokens.added[token] for token in found.template_tokens if token in tokens.added])
        _write_templates(edits, found, templates)
        _write_special_tokens(edits, plan, found, tokens)
        _write_generation_config(edits, plan, found, chat, tokens)
        _write_config_ids(edits, plan, found)
    elif system_prompt != "keep":
        _write_templates(edits, found, _templates(found, plan.target, system_prompt))
    return edits.changed()


def stop_ids(plan: VocabularyPlan, found: ChatFormat) -> list[int]:
    """Ids in the output of what ends the assistant's turn, the chat model's own first."""
    ids = (plan.id_of(token) for token in found.stop_tokens)
    return list(dict.fromkeys(row for row in ids if row is not None))


def _templates(found: ChatFormat, tokens: TokenTable, system_prompt: str) -> dict[str, str]:
    return {
        name: replace_system_prompt(source, found.source, found.special_tokens, tokens, system_prompt)
        for name, source in found.templates.items()
    }


def _write_templates(edits: Edits, found: ChatFormat, templates: Mapping[str, str]) -> None:
    """The JSON key always; the .jinja file, which wins, too if either parent has one; nothing stale beside them."""
    named = [{"name": name, "template": source} for name, source in templates.items()]
    value = templates["default"] if len(templates) == 1 else named
    edits.json(TOKENIZER_CONFIG).set(value, "chat_template")
    stale = {name for name in edits.target.files if name.startswith(NAMED_TEMPLATES)}
    if found.uses_jinja_file or edits.has(TEMPLATE_FILE) or stale:
        edits.put(TEMPLATE_FILE, templates["default"].encode())
        for name, source in templates.items():
            if name != "default":
                edits.put(f"{NAMED_TEMPLATES}{name}.jinja", source.encode())
                stale.discard(f"{NAMED_TEMPLATES}{name}.jinja")
    for name in stale:
        edits.put(name, None)
    if edits.has(PROCESSOR_TEMPLATE):
        edits.json(PROCESSOR_TEMPLATE).set(templates["default"], "chat_template")


def _write_special_tokens(edits: Edits, plan: VocabularyPlan, found: ChatFormat, tokens: TokenTable) -> None:
    """bos, eos, pad, and what else the template writes by a variable, as the chat model names them."""
    sources = "\n".join(found.templates.values())
    wanted = {
        key: text
        for key, text in found.special_tokens.items()
        if plan.id_of(text) is not None and (key in ("bos_token", "eos_token", "pad_token") or key in sources)
    }
    for file in (TOKENIZER_CONFIG, SPECIAL_TOKENS_MAP):
        if file == SPECIAL_TOKENS_MAP and not edits.has(file):
            continue
        document = edits.json(file)
        for key, text in wanted.items():
            old = document.get(key)
            if token_text(old) == text:
                continue
            flags = tokens.added[text].as_json() if isinstance(old, dict) and text in tokens.added else None
            if flags is None:
                document.set(text, key)
            else:  # the file's own shape, which has the flags but not `special`
                document.set({**old, **{name: flag for name, flag in flags.items() if name in old}}, key)


def _write_generation_config(
    edits: Edits, plan: VocabularyPlan, found: ChatFormat, chat: SideFiles, tokens: TokenTable
) -> None:
    """The chat model's settings, its ids mapped by string; stop ids as `stop_ids` gives them."""
    if GENERATION_CONFIG in chat.files:
        document = JsonText(read_text(chat, GENERATION_CONFIG), f"{chat.name}/{GENERATION_CONFIG}")
        names = tokens.names()
        for key, value in read_json_object(chat, GENERATION_CONFIG).items():
            if key == "_from_model_config":  # it says that loaders may derive these settings anew
                document.remove(key)
            elif key.endswith(("_token_id", "_token_ids")) or key in ID_LISTS:
                mapped = _mapped(value, names, plan)
                document.remove(key) if mapped is None and value is not None else document.set(mapped, key)
    else:
        document = edits.json(GENERATION_CONFIG)
        document.remove("_from_model_config")
        for key in ("bos_token", "pad_token"):
            row = plan.id_of(found.special_tokens[key]) if key in found.special_tokens else None
            if row is not None:
                document.set(row, f"{key}_id")
    stops = stop_ids(plan, found)
    if stops:
        document.set(stops if len(stops) > 1 else stops[0], "eos_token_id")
    edits.put(GENERATION_CONFIG, document.text.encode())


def _mapped(value: Any, names: Mapping[int, str], plan: VocabularyPlan) -> Any:
    """Ids of the chat model as ids of the output; those without a counterpart fall out, None when none is left."""
    if isinstance(value, list):
        items = [mapped for item in value if (mapped := _mapped(item, names, plan)) is not None]
        return items or None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        return value
    return plan.id_of(names[value]) if value in names else None


def _write_config_ids(edits: Edits, plan: VocabularyPlan, found: ChatFormat) -> None:
    """Ids in config.json, where it has them: engines that ignore generation_config.json read these."""
    if not edits.has(CONFIG):
        return
    document = edits.json(CONFIG)
    stops = stop_ids(plan, found)
    for *section, key in places("eos_token_id") if stops else ():
        if document.has(*section, key):
            one = len(stops) == 1 or document.get(*section, "model_type") in ONE_STOP_ID
            # What ends an answer comes behind the chat model's own list.
            ends = [row for token in found.turn_ends if (row := plan.id_of(token)) is not None]
            document.set([*ends, *stops][0] if one else stops, *section, key)
    for key in ("bos_token", "pad_token"):
        row = plan.id_of(found.special_tokens[key]) if key in found.special_tokens else None
        if row is not None:
            _set_where_present(document, f"{key}_id", row)


def _set_where_present(
    document: JsonText, key: str, value: Any, *, always: bool = False, instead_of: Any = None
) -> None:
    """Set a key at the top and in the language model's section, wherever it stands; `always` adds it at the top,
    `instead_of` leaves every other value as it is."""
    there = [place for place in places(key) if document.has(*place)]
    for place in there or ([(key,)] if always else []):
        if instead_of is None or document.get(*place) == instead_of:
            document.set(value, *place)
