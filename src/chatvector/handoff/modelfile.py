# SPDX-License-Identifier: Apache-2.0
"""Ollama's Modelfile for a converted model: weights, template, stop tokens, context.

Syntax: https://docs.ollama.com/modelfile.md. Without a TEMPLATE line Ollama looks among the templates that it knows for
one near the Jinja template of the GGUF file, by edit distance, and takes none at all (`{{ .Prompt }}`) where none is
(template/template.go of ollama/ollama, 0097ef5). So a format that cannot be written in its language has to be said to
be one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from chatvector.handoff.converter_files import ConverterFiles
from chatvector.handoff.go_template import go_template
from chatvector.runtime.thought_marks import MARKS
from chatvector.vocabulary.template import PROBE_CLOCK, Template, compile_template
from chatvector.vocabulary.turns import Turns, read_turns, same_as_system

GGUF = "model.gguf"
USUAL_CONTEXT = 8192
"""Tokens of `num_ctx`, which Ollama keeps memory for; less where the model has fewer positions."""


@dataclass(frozen=True)
class Modelfile:
    """The file, how many stop tokens it has, whether it holds the chat format; `notes` for people, a sentence each."""

    text: str
    stops: int
    has_template: bool
    notes: tuple[str, ...]


def modelfile(files: ConverterFiles, config: Mapping[str, Any]) -> Modelfile:
    """The Modelfile beside a converted model called `model.gguf`. `config`: config.json of the model."""
    template, notes = files.template, []
    turns = read_turns(template)
    written = None if turns is None else go_template(turns, bos=files.engine_bos)
    lines = [f"FROM ./{GGUF}"]
    stops = [token for token in files.chat_format.stop_tokens if token in files.tokens.ids and '"' not in token]
    lines += [f'PARAMETER stop "{token}"' for token in stops]
    positions = _positions(config)
    lines.append(f"PARAMETER num_ctx {min(USUAL_CONTEXT, positions or USUAL_CONTEXT)}")
    if turns is None or written is None:
        why = "does more than write texts around messages" if turns is None else "holds three quotation marks in a row"
        notes.append(
            f"the chat template {why}, so the Modelfile has no TEMPLATE: Ollama goes by the GGUF file's own if it"
            " knows that one, else it has none; look at `ollama show --template`"
        )
        return Modelfile("\n".join([*lines, ""]), len(stops), False, tuple(notes))
    words = files.chat_format.injected_system_prompt
    if words is not None and '"""' not in words and same_as_system(template, turns, words):
        lines.append(f'SYSTEM """{words}"""' if not words.endswith('"') else f'SYSTEM """{words} """')
    if not turns.takes_system:
        notes.append("the chat format has no system message: Ollama leaves one out without a word")
    if not _keeps_thoughts(template, turns):
        notes.append(
            "the chat template takes thoughts out of earlier replies, and Ollama's language cannot: the Modelfile's is"
            " the chat format where no earlier reply holds a thought; leave them out of what you send to Ollama"
        )
    if _tells_time(files):
        notes.append(
            f"the chat format writes a date; the Modelfile's is always that of {PROBE_CLOCK:%Y-%m-%d}, by which the"
            " model was evaluated"
        )
    lines.append(f'TEMPLATE """{written}"""')
    return Modelfile("\n".join([*lines, ""]), len(stops), True, tuple(notes))


def _positions(config: Mapping[str, Any]) -> int | None:
    inner = config.get("text_config")
    for place in (config, inner if isinstance(inner, Mapping) else {}):
        found = place.get("max_position_embeddings")
        if isinstance(found, int) and found > 0:
            return found
    return None


def _keeps_thoughts(template: Template, turns: Turns) -> bool:
    """Whether a thought in an earlier reply stays in the prompt; many a reasoning model's template takes it out."""
    for mark in MARKS:
        said = [
            {"role": "user", "content": "Why?"},
            {"role": "assistant", "content": f"{mark.open}\nHm.\n{mark.close}\n\nSo."},
            {"role": "user", "content": "And now?"},
        ]
        if template.try_render(said, add_generation_prompt=True) != turns.render(said):
            return False
    return True


def _tells_time(files: ConverterFiles) -> bool:
    """Whether the template writes another prompt on another day."""
    old = files.template
    later = compile_template(old.source, old.where, old.special_tokens, clock=PROBE_CLOCK + timedelta(days=400))
    question = [{"role": "user", "content": "?"}]
    return old.render(question, add_generation_prompt=True) != later.render(question, add_generation_prompt=True)
