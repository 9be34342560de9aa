# SPDX-License-Identifier: Apache-2.0
"""Turns rows into token ids on disk in the form that TRL's trainers take, with the labels already set.

The ids are in an Arrow file beside the checkpoints. The trainer maps it into memory, so the data may be larger than
RAM.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chatvector.errors import InputError
from chatvector.training.conversations import Encoded, Encoder, check_messages
from chatvector.training.data import Row
from chatvector.training.recipe import TrainingRecipe

if TYPE_CHECKING:
    from datasets import Dataset

IGNORED = -100
"""torch's label of a token that does not count in the loss."""
Example = dict[str, list[int]]


@dataclass
class Tally:
    """What became of the rows.

    Attributes:
        rows: number of rows.
        cut: rows that were cut at max_length.
        left_out: rows that were left out because nothing to learn remained.
        tokens: tokens of all examples.
        counted: tokens that count in the loss.
        special: ids of special tokens in the conversations.
        stops: ids of the special tokens that end the assistant's turns.
    """

    rows: int = 0
    cut: int = 0
    left_out: int = 0
    tokens: int = 0
    counted: int = 0
    special: set[int] = field(default_factory=set)
    stops: set[int] = field(default_factory=set)

    def note(self, encoded: Encoded) -> None:
        """Adds the special tokens of a conversation, and those that end the assistant's turns."""
        self.special |= encoded.special
        self.stops |= encoded.stops

    def as_dict(self) -> dict[str, Any]:
        """The tally as the record describes it; the sets become sorted lists of ids."""
        return {**vars(self), "special": sorted(self.special), "stops": sorted(self.stops)}


def write_examples(
    rows: Iterable[Row], recipe: TrainingRecipe, tokenizer: Any, encoder: Encoder | None, path: Path
) -> tuple[Dataset, Tally]:
    """Encodes all rows into the file `path` and opens it. Raises InputError if no row is left to learn from."""
    from datasets import Dataset, Features, Sequence, Value
    from datasets.arrow_writer import ArrowWriter

    names = ("prompt_ids", "chosen_ids", "rejected_ids") if recipe.stage == "dpo" else ("input_ids", "labels")
    features = Features({name: Sequence(Value("int32")) for name in names})
    tally = Tally()
    path.unlink(missing_ok=True)
    with ArrowWriter(features=features, path=str(path)) as writer:
        for example in examples(rows, recipe, tokenizer, encoder, tally):
            writer.write(example)
        writer.finalize()
    if tally.rows == tally.left_out:
        raise InputError(
            f"all {tally.rows} rows have nothing to learn within max_length: {recipe.max_length} tokens; raise it"
        )
    return Dataset.from_file(str(path)), tally


def examples(
    rows: Iterable[Row], recipe: TrainingRecipe, tokenizer: Any, encoder: Encoder | None, tally: Tally
) -> Iterator[Example]:
    """The rows in the form that a trainer takes. Each row is counted in `tally`. `encoder` is needed for all stages but
    cp."""
    for row in rows:
        tally.rows += 1
        if recipe.stage == "cp":
            example = _text(row, tokenizer, tally, None if recipe.packing else recipe.max_length)
        else:
            assert encoder is not None
            make = _conversation if recipe.stage == "sft" else _preference
            example = make(row, encoder, tally, recipe.max_length)
        if example is None:
            tally.left_out += 1
        else:
            yield example


def _text(row: Row, tokenizer: Any, tally: Tally, most: int | None) -> Example:
    text, end = row.values["text"], tokenizer.eos_token_id
    if not isinstance(text, str):
        raise InputError(f"{row.where}: text is {type(text).__name__}, not text")
    if end is None:
        raise InputError("the tokenizer has no eos_token, which separates texts; set one in tokenizer_config.json")
    ids = list(tokenizer(text, verbose=False)["input_ids"])
    ids += [end] * (ids[-1:] != [end])
    if most is not None and len(ids) > most:
        tally.cut += 1
        ids = ids[:most]
    tally.tokens += len(ids)
    tally.counted += len(ids)
    return {"input_ids": ids, "labels": ids}


def _conversation(row: Row, encoder: Encoder, tally: Tally, most: int) -> Example | None:
    messages = row.values.get("messages")
    if messages is None:
        messages = [*_as_messages(row.values["prompt"], "user"), *_as_messages(row.values["completion"], "assistant")]
    encoded = encoder.encode(_checked(messages, row.where), row.where)
    tally.note(encoded)
    ids, spoken = encoded.ids[:most], encoded.assistant[:most]
    if not any(spoken):
        return None
    tally.cut += len(encoded.ids) > most
    tally.tokens += len(ids)
    tally.counted += sum(spoken)
    return {"input_ids": ids, "labels": [one if said else IGNORED for one, said in zip(ids, spoken, strict=True)]}


def _preference(row: Row, encoder: Encoder, tally: Tally, most: int) -> Example | None:
    chosen = _checked(_as_messages(row.values["chosen"], "assistant"), row.where)
    rejected = _checked(_as_messages(row.values["rejected"], "assistant"), row.where)
    prompt = list(chosen[:-1])
    if prompt != list(rejected[:-1]):
        raise InputError(f"{row.where}: chosen and rejected differ before their last turn; they must share the prompt")
    if not prompt:
        prompt = _as_messages(row.values.get("prompt"), "user")
    if not prompt or chosen[-1]["role"] != "assistant" or rejected[-1]["role"] != "assistant":
        raise InputError(f"{row.where}: a pair needs a prompt, and chosen and rejected that end with the assistant")
    asked, better, encoded = encoder.encode_pair(prompt, chosen[-1], row.where)
    asked_too, worse, _ = encoder.encode_pair(prompt, rejected[-1], row.where)
    if asked != asked_too:
        raise InputError(f"{row.where}: the chat template renders the prompt otherwise before chosen and rejected")
    tally.note(encoded)
    if len(asked) >= most:
        return None
    room = most - len(asked)
    tally.cut += max(len(better), len(worse)) > room
    better, worse = better[:room], worse[:room]
    tally.tokens += 2 * len(asked) + len(better) + len(worse)
    tally.counted += len(better) + len(worse)
    return {"prompt_ids": asked, "chosen_ids": better, "rejected_ids": worse}


def _as_messages(value: Any, role: str) -> list[Any]:
    """A text as a conversation of one turn; a list is a conversation already; empty for anything else."""
    if isinstance(value, str):
        return [{"role": role, "content": value}]
    return list(value) if isinstance(value, list) else []


def _checked(messages: Any, where: str) -> list[Any]:
    check_messages(messages, where)
    # If one message has a field that another lacks, Parquet fills it with null, and templates take that for a value.
    return [{key: value for key, value in message.items() if value is not None} for message in messages]
