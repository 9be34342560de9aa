# SPDX-License-Identifier: Apache-2.0
"""Check that the model can chat and stop: template, its tokens and their rows, stop ids."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from chatvector.arithmetic.roles import find_vocabulary
from chatvector.checks.doctor.catalogue import Finding
from chatvector.checks.doctor.origin import calls_itself_chat
from chatvector.checks.doctor.patient import Patient
from chatvector.checks.doctor.rows import Rows
from chatvector.checks.doctor.vocabulary import effective_ids, named_ids
from chatvector.errors import ChatVectorError, brief, first_five
from chatvector.vocabulary.chat_format import (
    CONFIG,
    GENERATION_CONFIG,
    MARKER,
    ChatFormat,
    added_token_pattern,
    format_of,
)
from chatvector.vocabulary.probes import ASSISTANT, header_left_out, probe, shows_users_words
from chatvector.vocabulary.selfcheck import REQUIRED_PROBES, split_tokens
from chatvector.vocabulary.side_files import read_json_object, read_text
from chatvector.vocabulary.template import compile_template
from chatvector.vocabulary.template_files import (
    SPECIAL_TOKENS_MAP,
    TEMPLATE_FILE,
    TemplateFiles,
    configured_templates,
    read_template_files,
)
from chatvector.vocabulary.tokens import TOKENIZER_CONFIG, TokenTable
from chatvector.vocabulary.untrained import FEWEST_RESERVED, RESERVED_NAME, RowHealth, assess_rows

# Conversations that every chat model must render; tools and thinking are optional.
PLAIN_PROBES = ("user", "user, no prompt", "system", "answered", "three turns", "system, three turns")
# Tokens that begin or end turns in the families known.
TURN_TOKEN = re.compile(
    r"<\|im_(?:start|end)\|>|<\|(?:start|end)_header_id\|>|<\|eot_id\|>|<(?:start|end)_of_turn>"
    r"|<\|(?:user|assistant|system|end|turn|end_of_turn)\|>|\[/?INST\]"
)
# Untrained rows of one model have similar norms; a row with three times the largest of them is no longer one of them.
FAR_FROM_RESERVED = 3.0


@dataclass
class Rendered:
    """What was checked of the chat format, for the report."""

    conversations: list[str] = field(default_factory=list)
    template_tokens: dict[str, int] = field(default_factory=dict)
    stop_ids: list[int] = field(default_factory=list)
    rows: list[RowHealth] = field(default_factory=list)


def check_chat(model: Patient, seen: Rendered) -> Iterator[Finding]:
    """All findings about the chat format. What was checked is written to `seen`."""
    damaged = list(_damaged_side_files(model))
    yield from damaged
    tokens = model.tokens
    without_config = model.config_problem is not None and CONFIG in (*model.listing, *model.unreadable)
    if tokens is None or damaged or without_config:
        return
    try:
        files = read_template_files(model)
        if not files.sources:
            yield from _without_template(model, tokens)
            return
        yield from _places(model, tokens)
        found = format_of(files, model, tokens)
        template = compile_template(found.templates["default"], found.source, found.special_tokens)
        texts = probe(template)
    except ChatVectorError as problem:
        yield Finding("template-damaged", str(problem).replace(f"{model.name}/", ""))
        return
    seen.conversations = list(texts)
    if lacking := [name for name in REQUIRED_PROBES if name not in texts]:
        yield Finding("template-damaged", f"{_file(found, model)}: does not take {first_five(lacking)}")
    if not shows_users_words(template):
        yield Finding("template-ignores-user", f"{_file(found, model)}: the user's words are not in the prompt")
    if header := header_left_out(texts):
        said = f"{_file(found, model)}: an answer begins with {brief(repr(header))}, no prompt ends with it"
        yield Finding("template-no-prompt", said)
    plain_end = _plain_end(texts, tokens)
    if plain_end is not None:
        yield Finding("turn-end-is-text", f"{plain_end!r} is no token of {tokens.source}")
    else:
        yield from _stops(model, tokens, found, seen)
    markers = [marker for marker in found.plain_markers if marker != plain_end]
    if markers:
        yield Finding("template-tokens-missing", f"{len(markers)} in the template: {first_five(map(repr, markers))}")
    for problem in split_tokens(model, tokens, list(found.template_tokens)):
        yield Finding("token-split", problem)
    seen.template_tokens = {token: tokens.ids[token] for token in found.template_tokens if token in tokens.ids}
    yield from _rows(model, tokens, found, texts, seen)


def _damaged_side_files(model: Patient) -> Iterator[Finding]:
    for name in (GENERATION_CONFIG, TOKENIZER_CONFIG, SPECIAL_TOKENS_MAP):
        try:
            read_json_object(model, name)
        except ChatVectorError as problem:
            yield Finding("side-file-damaged", str(problem).removeprefix(f"{model.name}/"))
    padding = (model.generation_config or {}).get("pad_token_id")
    if padding is not None and not isinstance(padding, int | float):
        yield Finding("side-file-damaged", f"{GENERATION_CONFIG}: pad_token_id is {brief(repr(padding))}, no number")


def _file(found: ChatFormat, model: Patient) -> str:
    return found.source.removeprefix(f"{model.name}/")


def _without_template(model: Patient, tokens: TokenTable) -> Iterator[Finding]:
    if reason := calls_itself_chat(model):
        yield Finding("template-missing", f"no chat template, though {reason}")
        return
    turns = {text: tokens.ids[text] for text in tokens.added if TURN_TOKEN.fullmatch(text)}
    trained = [health.token for health in assess(model, turns, tokens) if not health.untrained]
    if trained:
        yield Finding("template-absent", f"no chat template, and trained rows of {first_five(trained)}")


def templates_that_fit(model: Patient, tokens: TokenTable) -> dict[str, str]:
    """File → template, for those of the two places whose default template renders every turn and ends with a token."""
    places = {TOKENIZER_CONFIG: configured_templates(model, TOKENIZER_CONFIG).get("default")}
    if TEMPLATE_FILE in model.files:
        places[TEMPLATE_FILE] = read_text(model, TEMPLATE_FILE)
    return {file: text for file, text in places.items() if text is not None and _fits(file, text, model, tokens)}


def _fits(file: str, text: str, model: Patient, tokens: TokenTable) -> bool:
    alone = TemplateFiles({"default": text}, {"default": f"{model.name}/{file}"}, uses_jinja_file=False)
    try:
        found = format_of(alone, model, tokens)
        texts = probe(compile_template(text, found.source, found.special_tokens))
    except ChatVectorError:
        return False
    whole = all(name in texts for name in REQUIRED_PROBES)
    return whole and _plain_end(texts, tokens) is None and bool(found.turn_ends)


def _places(model: Patient, tokens: TokenTable) -> Iterator[Finding]:
    if TEMPLATE_FILE not in model.files:
        return
    inside = configured_templates(model, TOKENIZER_CONFIG).get("default")
    outside = read_text(model, TEMPLATE_FILE)
    if inside is None:
        yield Finding("template-one-place", f"{TEMPLATE_FILE} only")
    elif inside != outside:
        fitting = first_five(sorted(templates_that_fit(model, tokens))) or "neither"
        said = f"{TEMPLATE_FILE} ({len(outside)} characters), JSON ({len(inside)}); fits this tokenizer: {fitting}"
        yield Finding("templates-differ", said)


def _plain_end(texts: Mapping[str, str], tokens: TokenTable) -> str | None:
    """A control token after the assistant's text that this tokenizer lacks, if it comes before any that it has."""
    pattern = added_token_pattern(tokens)
    for name in ("answered", "three turns"):
        after = texts.get(name, "").rpartition(ASSISTANT)[2]
        markers = [match for match in MARKER.finditer(after) if match.group() not in tokens.ids]
        real = [match.start() for match in pattern.finditer(after) if match.group().strip()]
        if markers and markers[0].start() < min(real, default=len(after)):
            return markers[0].group()
    return None


def _stops(model: Patient, tokens: TokenTable, found: ChatFormat, seen: Rendered) -> Iterator[Finding]:
    stops = seen.stop_ids = effective_ids(model, "eos_token_id")
    ends = found.turn_ends
    missing = [token for token in ends if tokens.ids[token] not in stops]
    passed_over = [] if stops else named_ids(model, "eos_token_id")
    if passed_over:
        said = f"{GENERATION_CONFIG} names no eos_token_id; transformers does not ask config.json then, which has"
        yield Finding("stop-missing", f"{said} {passed_over}")
    elif not ends and not stops:
        yield Finding("stop-unknown", "no eos_token_id, and the template writes no special token after a reply")
    elif missing:
        said = first_five(f"{token!r} (id {tokens.ids[token]})" for token in missing)
        where = CONFIG if model.generation_config is None else GENERATION_CONFIG
        yield Finding("stop-missing", f"eos_token_id of {where} is {stops}; it lacks {said}")
    elif GENERATION_CONFIG not in model.listing:
        yield Finding("generation-config-missing", "stop ids are in config.json only")


def _rows(
    model: Patient, tokens: TokenTable, found: ChatFormat, texts: Mapping[str, str], seen: Rendered
) -> Iterator[Finding]:
    pattern = added_token_pattern(tokens)
    plain = {token for name in PLAIN_PROBES for token in pattern.findall(texts.get(name, "")) if token.strip()}
    plain |= set(found.turn_ends)
    # bos, eos and pad are in the list even if no conversation uses them; many models never train pad.
    named = {found.special_tokens.get(key) for key in ("bos_token", "eos_token", "pad_token", "unk_token")}
    seen.rows = assess(model, seen.template_tokens, tokens)
    wanted = [health for health in seen.rows if health.token in plain or health.token not in named]
    untrained = [health for health in wanted if health.untrained]
    for code, listed in (
        ("token-untrained", [health for health in untrained if health.token in plain]),
        ("tool-token-untrained", [health for health in untrained if health.token not in plain]),
    ):
        if listed:
            said = first_five(f"{one.token!r} (row {one.row}: {one.reason}, {one.figure:.2g})" for one in listed)
            yield Finding(code, f"{len(listed)} of {len(wanted)} template tokens: {said}")


def assess(model: Patient, wanted: Mapping[str, int], tokens: TokenTable) -> list[RowHealth]:
    """Apply the criterion for untrained rows to the `wanted` tokens; [] where rows cannot be read as numbers.

    The criterion is made for base models, where a row near zero is untrained. A chat model may have learnt its turn
    tokens from near zero, so here a row with a much larger norm than the reserved rows counts as trained.
    """
    name = find_vocabulary(model.weights.tensors, model.config).embedding
    if name is None or model.weights.tensors[name].dtype.kind != "float":
        return []
    reader = Rows(model, name)
    inside = {token: row for token, row in wanted.items() if row < reader.rows}
    with np.errstate(invalid="ignore", over="ignore"):
        found = list(assess_rows(reader, inside, tokens).values())
    small = [health for health in found if health.untrained and health.reason == "near zero"]
    if not small:
        return found
    reserved = [row for token, row in tokens.ids.items() if RESERVED_NAME.match(token) and token not in wanted]
    reserved += range(tokens.size, reader.rows)
    if len(reserved) < FEWEST_RESERVED:
        return found
    norms = np.linalg.norm(reader.read_rows(np.array(reserved[:256], np.int64)), axis=1)
    own = np.linalg.norm(reader.read_rows(np.array([health.row for health in small], np.int64)), axis=1)
    moved = {health.token for health, norm in zip(small, own, strict=True) if norm > FAR_FROM_RESERVED * norms.max()}
    return [replace(one, untrained=False, reason="trained") if one.token in moved else one for one in found]
