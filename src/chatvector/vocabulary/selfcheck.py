# SPDX-License-Identifier: Apache-2.0
"""Whether a model's side files make a chat model: the tokenizer's half of "a chat model comes out".

Read from the files alone, as a loader would, not from the plan that wrote them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chatvector.errors import ChatVectorError, DamagedFile, first_five
from chatvector.vocabulary.chat_format import CONFIG, GENERATION_CONFIG, ChatFormat, read_chat_format
from chatvector.vocabulary.probes import probe
from chatvector.vocabulary.side_files import SideFiles, padding_beyond, read_json_object, read_text, text_config
from chatvector.vocabulary.template import compile_template
from chatvector.vocabulary.template_files import TEMPLATE_FILE, configured_templates
from chatvector.vocabulary.tokens import TOKENIZER_CONFIG, TOKENIZER_JSON, TokenTable, TokenTables

if TYPE_CHECKING:
    import tokenizers

# Conversations that every chat template must take. System messages and tools are told, not required.
REQUIRED_PROBES = ("user", "three turns")


@dataclass(frozen=True)
class ChatReport:
    """What was checked and what was found wrong."""

    problems: tuple[str, ...]
    """One line each; empty when all is well."""
    probes: tuple[str, ...] = ()
    """Conversations that the default template renders."""
    template_tokens: tuple[tuple[str, int], ...] = ()
    """Tokens that the template needs, and their ids."""
    stop_ids: tuple[int, ...] = ()
    """`eos_token_id` of generation_config.json."""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def as_dict(self) -> dict[str, Any]:
        """Plain data for the manifest."""
        return {
            "ok": self.ok,
            "problems": list(self.problems),
            "probes": list(self.probes),
            "template_tokens": dict(self.template_tokens),
            "stop_ids": list(self.stop_ids),
        }


def check_chat_model(
    model: SideFiles, *, expected: ChatFormat | None = None, tables: TokenTables | None = None, by_library: bool = True
) -> ChatReport:
    """Check a model's side files.

    The template renders one turn and three; each token it needs is one id, the same to the tokenizers library and
    in the table; what ends the assistant's turn is in `eos_token_id` of generation_config.json; all ids are below
    `vocab_size`; the template in JSON and in .jinja is the same.

    Args:
        model: the side files of an output (or of any model).
        expected: the chat format that was to be moved; its tokens and stop tokens must be there too.
        tables: tokenizers that were parsed already.
        by_library: whether the tokenizers library is asked, which takes 0.1 s for 32 k tokens to load them.

    A broken file is a problem in the report, not an exception.
    """
    try:
        tokens = (tables or TokenTables()).read(model)
        found = read_chat_format(model, tokens)
        if found is None:
            return ChatReport(problems=("the model has no chat template",))
        template = compile_template(found.templates["default"], found.source, found.special_tokens)
        rendered = tuple(probe(template))
        stops = _stop_ids(model)
        needed = dict.fromkeys([*found.template_tokens, *(expected.template_tokens if expected else ())])
        wanted = dict.fromkeys([*found.stop_tokens, *(expected.stop_tokens if expected else ())])
        problems = [
            *(f"the template does not render: {name}" for name in REQUIRED_PROBES if name not in rendered),
            *split_tokens(model, tokens, list(needed), by_library=by_library),
            *_missing_stops(tokens, list(wanted), stops),
            *_beyond_vocabulary(model, tokens),
            *_two_templates(model),
        ]
    except ChatVectorError as problem:
        return ChatReport(problems=(str(problem),))
    ids = tuple((token, tokens.ids[token]) for token in needed if token in tokens.ids)
    return ChatReport(problems=tuple(problems), probes=rendered, template_tokens=ids, stop_ids=tuple(stops))


def split_tokens(
    model: SideFiles, tokens: TokenTable, needed: Sequence[str], *, by_library: bool = True
) -> Iterator[str]:
    """One line for the tokens that are missing, and one for those that a tokenizer cuts into pieces, if it is asked."""
    missing = [repr(token) for token in needed if token not in tokens.ids]
    if missing:
        yield f"{len(missing)} tokens that the template needs are not in the tokenizer: {first_five(missing)}"
    if not by_library:
        return
    present = [token for token in needed if token in tokens.ids]
    if tokens.source == TOKENIZER_JSON:
        try:
            tokenizer = load_tokenizer(model)
        except DamagedFile as problem:
            yield str(problem)
            return
        split = [
            f"{token!r} → {ids}"
            for token in present
            if (ids := tokenizer.encode(token, add_special_tokens=False).ids) != [tokens.ids[token]]
        ]
    else:
        split = [repr(token) for token in present if token not in tokens.added]
    if split:
        yield f"{len(split)} tokens that the template needs are not one id: {first_five(split)}"


def load_tokenizer(model: SideFiles) -> tokenizers.Tokenizer:
    """tokenizer.json as the tokenizers library reads it. Raises `DamagedFile`, with the library's reason."""
    import tokenizers  # only needed here

    try:
        return tokenizers.Tokenizer.from_buffer(model.read_file(TOKENIZER_JSON))
    except Exception as problem:  # the library raises bare Exception for every fault in its file
        raise DamagedFile(f"{model.name}/{TOKENIZER_JSON}: does not load: {problem}; fetch the file again") from problem


def _missing_stops(tokens: TokenTable, wanted: list[str], stops: list[int]) -> Iterator[str]:
    if not wanted:
        yield "nothing ends the assistant's turn: the template writes no special token after it, and no eos is named"
    missing = [f"{token!r} (id {tokens.ids.get(token)})" for token in wanted if tokens.ids.get(token) not in stops]
    if missing:
        yield f"{len(missing)} stop tokens are not in eos_token_id of {GENERATION_CONFIG}: {first_five(missing)}"


def _beyond_vocabulary(model: SideFiles, tokens: TokenTable) -> Iterator[str]:
    config = read_json_object(model, CONFIG)
    inner = config.get("text_config")
    sizes = [place.get("vocab_size") for place in (config, inner) if isinstance(place, Mapping)]
    for size in sizes:
        if isinstance(size, int) and tokens.size > size:
            beyond = [f"{token!r} (id {row})" for token, row in tokens.ids.items() if row >= size]
            yield f"{len(beyond)} tokens have ids at or above vocab_size {size}: {first_five(beyond)}"
    size = text_config(config).get("vocab_size")
    if type(size) is int and (padding := padding_beyond(config, size)) is not None:
        yield f"pad_token_id {padding} of {CONFIG} is beyond vocab_size {size}, which no loader takes; set it to null"


def _two_templates(model: SideFiles) -> Iterator[str]:
    if TEMPLATE_FILE not in model.files:
        return
    inside = configured_templates(model, TOKENIZER_CONFIG).get("default")
    if inside is not None and inside != read_text(model, TEMPLATE_FILE):
        yield f"the chat templates in {TEMPLATE_FILE} and {TOKENIZER_CONFIG} differ; loaders take different ones"


def _stop_ids(model: SideFiles) -> list[int]:
    rows = read_json_object(model, GENERATION_CONFIG).get("eos_token_id")
    return [row for row in (rows if isinstance(rows, list) else [rows]) if isinstance(row, int)]
