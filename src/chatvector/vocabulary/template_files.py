# SPDX-License-Identifier: Apache-2.0
"""Where chat templates and special tokens live in a model's files, and which place wins.

Templates, strongest first, as loaders take them:

1. `chat_template.jinja`, with named ones in `additional_chat_templates/NAME.jinja`
2. `chat_template` in tokenizer_config.json: a string, or a list of `{"name", "template"}`
3. `chat_template.json`: the processors of older vision-language models

Special tokens: tokenizer_config.json, then special_tokens_map.json, then what the tokenizer class assumes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chatvector.errors import DamagedFile, InputError, first_five
from chatvector.vocabulary.side_files import SideFiles, read_json_object, read_text, token_text
from chatvector.vocabulary.tokens import TOKENIZER_CONFIG, TokenTable

TEMPLATE_FILE = "chat_template.jinja"
NAMED_TEMPLATES = "additional_chat_templates/"
PROCESSOR_TEMPLATE = "chat_template.json"
SPECIAL_TOKENS_MAP = "special_tokens_map.json"

STANDARD_TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")

# Defaults of tokenizer classes whose old configurations name no tokens. Used only if the vocabulary has them.
CLASS_DEFAULTS: Mapping[str, Mapping[str, str]] = {
    "LlamaTokenizer": {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"},
    "GemmaTokenizer": {"bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>", "pad_token": "<pad>"},
    "GPT2Tokenizer": {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"},
    "GPTNeoXTokenizer": {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"},
    "Qwen2Tokenizer": {"eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"},
}


@dataclass(frozen=True)
class TemplateFiles:
    """Template sources of a model, with the file each came from."""

    sources: Mapping[str, str]
    """`default` and named ones; empty when the model has none."""
    where: Mapping[str, str]
    """By the same names: the file, for messages."""
    uses_jinja_file: bool
    """Whether any of them lived in a .jinja file."""


def read_template_files(model: SideFiles) -> TemplateFiles:
    """All template sources of a model. Raises `DamagedFile` for files that hold something else."""
    sources: dict[str, str] = {}
    where: dict[str, str] = {}
    places = [
        (PROCESSOR_TEMPLATE, configured_templates(model, PROCESSOR_TEMPLATE)),
        (TOKENIZER_CONFIG, configured_templates(model, TOKENIZER_CONFIG)),
        (TEMPLATE_FILE, {"default": read_text(model, TEMPLATE_FILE)} if TEMPLATE_FILE in model.files else {}),
    ]
    for name in sorted(model.files):
        if name.startswith(NAMED_TEMPLATES) and name.endswith(".jinja"):
            short = name.removeprefix(NAMED_TEMPLATES).removesuffix(".jinja")
            places.append((name, {short: read_text(model, name)}))
    for file, found in places:
        if file == TEMPLATE_FILE and found:  # a template file hides what configurations say, named ones too
            sources, where = {}, {}
        sources.update(found)
        where.update(dict.fromkeys(found, f"{model.name}/{file}"))
    if sources and "default" not in sources:
        raise InputError(
            f"{model.name}: named chat templates only ({first_five(sorted(sources))}), none is the default; "
            f"put the one to use into {TEMPLATE_FILE}"
        )
    jinja = any(file.endswith(".jinja") for file in where.values())
    return TemplateFiles(sources=sources, where=where, uses_jinja_file=jinja)


def read_special_tokens(model: SideFiles, tokens: TokenTable) -> dict[str, str]:
    """Special token variables (`bos_token`, …) and their strings, model-specific ones (`image_token`) included.

    A variable that a configuration sets to null is left out, as loaders do.
    """
    config = read_json_object(model, TOKENIZER_CONFIG)
    found: dict[str, str] = {}
    given = set(config)
    for place in (config, read_json_object(model, SPECIAL_TOKENS_MAP)):
        extra = place.get("extra_special_tokens")
        for key, value in [*place.items(), *(extra.items() if isinstance(extra, dict) else ())]:
            text = token_text(value)
            if key.endswith("_token") and text is not None and (key in STANDARD_TOKENS or text in tokens.added):
                found.setdefault(key, text)
    kind = str(config.get("tokenizer_class", "")).removesuffix("Fast")
    defaults = CLASS_DEFAULTS.get(kind, {})
    if not kind and tokens.source.endswith(".model"):
        defaults = CLASS_DEFAULTS["LlamaTokenizer"]
    for key, text in defaults.items():
        if key not in given and text in tokens.ids:
            found.setdefault(key, text)
    return found


def configured_templates(model: SideFiles, file: str) -> dict[str, str]:
    """Templates under the key `chat_template` of a JSON file, by name; {} without it. Raises `DamagedFile`."""
    value: Any = read_json_object(model, file).get("chat_template")
    if value is None:
        return {}
    if isinstance(value, str):
        return {"default": value}
    try:
        found = {entry["name"]: entry["template"] for entry in value}
    except (TypeError, KeyError) as problem:
        raise DamagedFile(
            f"{model.name}/{file}: chat_template is neither a text nor a list of name and template"
        ) from problem
    if not all(isinstance(part, str) for pair in found.items() for part in pair):
        raise DamagedFile(f"{model.name}/{file}: a name or template in chat_template is no text")
    return found
