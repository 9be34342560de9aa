# SPDX-License-Identifier: Apache-2.0
"""Check that embedding, head, tokenizer and token ids agree on the rows of the vocabulary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from chatvector.arithmetic.declared import declared_rows, tie_flag, tie_source
from chatvector.arithmetic.roles import VocabularyTensors, find_vocabulary
from chatvector.checks.doctor.catalogue import Finding
from chatvector.checks.doctor.expectations import OWN_HEAD, PADDED
from chatvector.checks.doctor.patient import Patient
from chatvector.errors import ChatVectorError, MissingInput, UnsupportedFormat, first_five
from chatvector.vocabulary.side_files import padding_beyond, text_config
from chatvector.vocabulary.template_files import read_special_tokens
from chatvector.vocabulary.tokens import TokenTable

# A smaller vocabulary is a toy's, which nobody pads.
PADDED_FROM = 1024
# Head and embedding are compared in this many stretches of this many elements.
STRETCHES, STRETCH_ELEMENTS = 8, 4096


def check_vocabulary(model: Patient, *, complete: bool = True) -> Iterator[Finding]:
    """Check rows against configuration, ties, tokenizer and ids; missing tensors are reported only if `complete`."""
    axis = find_vocabulary(model.weights.tensors, model.config)
    yield from _readable(model)
    if axis.embedding is not None:
        rows = model.weights.tensors[axis.embedding].shape[0]
        yield from _size(model)
        if complete:
            yield from _ties(model, axis)
        yield from _tokenizer(model, rows)
        yield from _ids(model, rows)


def effective_ids(model: Patient, key: str) -> list[int]:
    """The ids that transformers uses in generation for `eos_token_id` and similar keys.

    generation_config.json alone decides, even for a key that it lacks. Where it is missing or damaged, config.json is
    used, then its text section (transformers 5.23: `adjust_generation_fn`, `GenerationConfig.from_model_config`).
    """
    settings = model.generation_config
    return _first_named(key, _configurations(model) if settings is None else (settings,))


def named_ids(model: Patient, key: str) -> list[int]:
    """The ids of the first file that names some, generation_config.json before config.json.

    These are the intended ids where `effective_ids` has none, and those that other readers use: the embedding's
    `padding_idx` is `pad_token_id` of config.json, and some engines take bos from there.
    """
    return _first_named(key, (model.generation_config or {}, *_configurations(model)))


def _configurations(model: Patient) -> tuple[Mapping[str, Any], ...]:
    return model.config, text_config(model.config)


def _first_named(key: str, places: tuple[Mapping[str, Any], ...]) -> list[int]:
    for place in places:
        value = place.get(key)
        if value is not None:
            return [row for row in (value if isinstance(value, list) else [value]) if type(row) is int]
    return []


def _size(model: Patient) -> Iterator[Finding]:
    for declared in declared_rows(model.weights.tensors, model.config):
        if isinstance(declared.said, int) and declared.said != declared.rows:
            yield Finding("vocab-size", str(declared))


def _ties(model: Patient, axis: VocabularyTensors) -> Iterator[Finding]:
    flag = tie_flag(model.config)
    if axis.head is None:
        if flag is False:
            yield Finding(
                "head-missing", f"config.json says {tie_source(model.config)}; the files hold no head (lm_head)"
            )
        return
    assert axis.embedding is not None
    tensors = model.weights.tensors
    embedding, head = tensors[axis.embedding], tensors[axis.head]
    if head.shape[0] != embedding.shape[0]:
        yield Finding("head-rows", f"{axis.head} has {head.shape[0]} rows, {axis.embedding} {embedding.shape[0]}")
    elif flag is True and not _keeps_its_head(model):
        code = "head-doubled" if _same_sample(model, axis.embedding, axis.head) else "head-ignored"
        yield Finding(code, f"tie_word_embeddings is true, and {axis.head} is in the file")


def _keeps_its_head(model: Patient) -> bool:
    classes = model.config.get("architectures")
    return isinstance(classes, list) and any(name in classes for name in OWN_HEAD)


def _same_sample(model: Patient, one: str, other: str) -> bool:
    left, right = model.weights.tensors[one], model.weights.tensors[other]
    if left.dtype != right.dtype or left.shape != right.shape or left.dtype.kind == "low-precision":
        return False
    for start in _stretches(left.elements):
        stop = min(left.elements, start + STRETCH_ELEMENTS)
        parts = (model.weights.read_array(name, start, stop).tobytes() for name in (one, other))
        if next(parts) != next(parts):
            return False
    return True


def _stretches(elements: int) -> list[int]:
    last = max(0, elements - STRETCH_ELEMENTS)
    return sorted({last * number // (STRETCHES - 1) for number in range(STRETCHES)})


def _readable(model: Patient) -> Iterator[Finding]:
    problem = model.tokens_problem
    if model.chat_unreadable:
        return
    if isinstance(problem, MissingInput):
        yield Finding("tokenizer-missing", "there is no tokenizer.json, tokenizer.model or vocab.json")
    elif problem is not None and not isinstance(problem, UnsupportedFormat):
        yield Finding("tokenizer-damaged", str(problem).removeprefix(f"{model.name}/"))


def _tokenizer(model: Patient, rows: int) -> Iterator[Finding]:
    tokens = model.tokens
    if tokens is None:
        return
    beyond = sorted((row, token) for token, row in tokens.ids.items() if row >= rows)
    if beyond:
        said = first_five(f"{token!r} (id {row})" for row, token in beyond)
        yield Finding("tokenizer-larger", f"{len(beyond)} tokens of {tokens.source} lie beyond {rows} rows: {said}")
    multiple = PADDED.get(str(text_config(model.config).get("model_type")))
    if multiple and rows >= PADDED_FROM and rows % multiple and rows == tokens.size:
        yield Finding(
            "padding-lost", f"{rows} rows for {tokens.size} tokens; this family pads to multiples of {multiple}"
        )


def _ids(model: Patient, rows: int) -> Iterator[Finding]:
    padding = padding_beyond(model.config, rows)
    beyond: list[str] = []
    if padding is not None:
        beyond.append(f"pad_token_id {padding} of config.json")
    tokens = model.tokens
    wrong = {} if tokens is None else _wrong_ids(model, tokens, rows, beyond)
    if beyond:
        yield Finding("ids-beyond-vocab", f"{first_five(beyond)}; the embedding has {rows} rows")
    if tokens is None:
        return
    # Only stop ids do harm: prompts come from the tokenizer, and any id may serve as padding.
    if "eos_token_id" in wrong:
        yield Finding("ids-of-another-family", first_five(line for lines in wrong.values() for line in lines))
        return
    special = _special(model, tokens)
    bos = tokens.ids.get(special.get("bos_token", ""))
    listed = named_ids(model, "bos_token_id")
    if bos is not None and listed and bos not in listed and listed[0] < rows:
        yield Finding("bos-differs", f"bos_token_id {listed[0]}, but bos_token {special['bos_token']!r} has id {bos}")


def _wrong_ids(model: Patient, tokens: TokenTable, rows: int, beyond: list[str]) -> dict[str, list[str]]:
    """Key → one line for each of its ids that is no special token; ids beyond the embedding are added to `beyond`."""
    special = _special(model, tokens)
    known = set(special.values()) | {text for text, token in tokens.added.items() if token.special}
    names = tokens.names()
    padding = padding_beyond(model.config, rows)
    wrong: dict[str, list[str]] = {}
    for key in ("bos_token_id", "eos_token_id", "pad_token_id"):
        for row in (effective_ids if key == "eos_token_id" else named_ids)(model, key):
            if row >= rows:
                if key != "pad_token_id" or row != padding:  # that is a finding of its own
                    beyond.append(f"{key} {row}")
            elif row >= 0 and names.get(row) not in known:
                said = f"{key} {row} is {names[row]!r}" if row in names else f"{key} {row} is no token"
                wrong.setdefault(key, []).append(said)
    return wrong


def _special(model: Patient, tokens: TokenTable) -> Mapping[str, Any]:
    try:
        return read_special_tokens(model, tokens)
    except ChatVectorError:
        return {}
