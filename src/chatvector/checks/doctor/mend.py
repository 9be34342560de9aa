# SPDX-License-Identifier: Apache-2.0
"""Write corrected side files for faults whose cure is certain. Never weights, never in place.

Every edit keeps the file's other bytes. The new directory holds only the files that have to be copied over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from chatvector.arithmetic.declared import declared_rows
from chatvector.arithmetic.roles import find_vocabulary
from chatvector.checkpoint.files import INDEX
from chatvector.checkpoint.staging import check_output_place
from chatvector.checkpoint.storage import LocalDirectory
from chatvector.checks.doctor.catalogue import Finding
from chatvector.checks.doctor.chat import templates_that_fit
from chatvector.checks.doctor.origin import LEAKED_KEYS
from chatvector.checks.doctor.patient import Patient
from chatvector.checks.doctor.vocabulary import named_ids
from chatvector.checks.doctor.weight_files import index_of, is_whole
from chatvector.errors import ChatVectorError, OutputRefused
from chatvector.vocabulary.chat_format import CONFIG, GENERATION_CONFIG, read_chat_format
from chatvector.vocabulary.files import Edits
from chatvector.vocabulary.side_files import padding_beyond, places, read_text
from chatvector.vocabulary.template_files import TEMPLATE_FILE, read_special_tokens
from chatvector.vocabulary.tokens import TOKENIZER_CONFIG

_INDEX_CODES = ("index-damaged", "index-missing", "index-stale", "index-missing-files", "index-wrong", "index-size")
# If tensors are lost, a new index would let the model load, with random numbers in their place.
_LOST_TENSORS = frozenset(
    {
        *(
            "file-unreadable",
            "weights-damaged",
            "shards-incomplete",
            "tensor-twice",
            "embedding-missing",
            "head-missing",
        ),
        *("layers-missing", "tensors-irregular", "tensors-missing", "experts-missing"),
        *("biases-dropped", "norms-dropped", "norm-missing"),
    }
)


def mended_files(model: Patient, findings: Iterable[Finding]) -> dict[str, bytes]:
    """Name → content of the files that cure the curable ones of `findings`; {} when there are none."""
    codes = {finding.code for finding in findings}
    edits = Edits(model)
    files: dict[str, bytes] = {}
    if codes & set(_INDEX_CODES) and not codes & _LOST_TENSORS and is_whole(model):
        files[INDEX] = index_of(model)
    for wanted, mend in _MENDS:
        if codes & wanted:
            mend(model, edits)
    return files | {name: data for name, data in edits.changed().items() if data is not None}


def check_place(folder: Path, model: Patient) -> None:
    """Refuse a directory for mended files that exists, or lies in or around the model. Raises OutputRefused."""
    if folder.exists() or folder.is_symlink():
        raise OutputRefused(f"--fix {folder}: exists; name a new directory, {model.name} itself is never changed")
    check_output_place(folder, [model.storage.path] if isinstance(model.storage, LocalDirectory) else [])


def write_mended(files: dict[str, bytes], folder: Path, model: Patient) -> None:
    """Write `files` into the new directory `folder`. Raises OutputRefused when it exists or cannot be made."""
    check_place(folder, model)
    try:
        folder.mkdir(parents=True)
        for name, data in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
    except OSError as problem:
        raise OutputRefused(f"--fix {folder}: cannot be written ({problem.strerror})") from problem


def _vocabulary_size(model: Patient, edits: Edits) -> None:
    document = edits.json(CONFIG)
    for key, _said, _table, rows in declared_rows(model.weights.tensors, model.config):
        for place in places(key):
            if document.has(*place):
                document.set(rows, *place)


def _untie(_model: Patient, edits: Edits) -> None:
    document = edits.json(CONFIG)
    for place in places("tie_word_embeddings"):
        if document.has(*place):
            document.set(False, *place)


def _template_copied(model: Patient, edits: Edits) -> None:
    edits.json(TOKENIZER_CONFIG).set(read_text(model, TEMPLATE_FILE), "chat_template")


def _template_chosen(model: Patient, edits: Edits) -> None:
    """Put the template that fits the tokenizer into both places; change nothing where both fit or neither does."""
    fitting = {} if model.tokens is None else templates_that_fit(model, model.tokens)
    if fitting.keys() == {TEMPLATE_FILE}:
        _template_copied(model, edits)
    elif fitting.keys() == {TOKENIZER_CONFIG}:
        edits.put(TEMPLATE_FILE, fitting[TOKENIZER_CONFIG].encode())


def _leaks(_model: Patient, edits: Edits) -> None:
    for key in LEAKED_KEYS:
        edits.json(TOKENIZER_CONFIG).remove(key)


def _generation(model: Patient, edits: Edits) -> None:
    """Set the stop ids: the end of a turn, then the present ids that are special tokens, then the tokenizer's eos."""
    tokens = model.tokens
    if tokens is None:
        return
    try:
        found = read_chat_format(model, tokens)
        special = read_special_tokens(model, tokens)
    except ChatVectorError:
        return
    ends = [tokens.ids[token] for token in found.turn_ends] if found is not None else []
    embedding = find_vocabulary(model.weights.tensors, model.config).embedding
    limit = tokens.size if embedding is None else model.weights.tensors[embedding].shape[0]
    names = tokens.names()
    known = {*special.values(), *(text for text, token in tokens.added.items() if token.special)}
    listed = [row for row in named_ids(model, "eos_token_id") if names.get(row) in known]
    own = [tokens.ids[special["eos_token"]]] if special.get("eos_token") in tokens.ids else []
    stops = [row for row in dict.fromkeys([*listed, *ends, *own]) if row < limit]
    document = edits.json(GENERATION_CONFIG)
    if stops:
        document.set(stops if len(stops) > 1 else stops[0], "eos_token_id")
    for key in ("bos_token", "pad_token"):
        rows = named_ids(model, f"{key}_id")
        good = [row for row in rows if row < limit and names.get(row) in known]
        row = tokens.ids.get(special.get(key, ""), limit)
        if good:
            # If there is a generation_config.json, ids that only config.json names have no effect.
            if document.get(f"{key}_id") is None:
                document.set(good[0], f"{key}_id")
        elif row < limit:
            document.set(row, f"{key}_id")
        elif any(row >= 0 for row in rows) and key == "pad_token":
            document.remove(f"{key}_id")


def _padding(model: Patient, edits: Edits) -> None:
    """Replace a pad id in config.json that the embedding lacks by the one used in generation, or by null."""
    embedding = find_vocabulary(model.weights.tensors, model.config).embedding
    limit = 0 if embedding is None else model.weights.tensors[embedding].shape[0]
    if embedding is None or padding_beyond(model.config, limit) is None:
        return
    named = edits.json(GENERATION_CONFIG).get("pad_token_id") if edits.has(GENERATION_CONFIG) else None
    good = type(named) is int and -limit <= named < limit
    document = edits.json(CONFIG)
    for place in places("pad_token_id"):
        if document.has(*place):
            document.set(named if good else None, *place)


_MENDS: tuple[tuple[set[str], Callable[[Patient, Edits], None]], ...] = (
    ({"vocab-size"}, _vocabulary_size),
    ({"head-ignored"}, _untie),
    ({"template-one-place"}, _template_copied),
    ({"templates-differ"}, _template_chosen),
    ({"config-leak"}, _leaks),
    ({"stop-missing", "generation-config-missing", "ids-of-another-family", "ids-beyond-vocab"}, _generation),
    ({"ids-beyond-vocab"}, _padding),
)
