# SPDX-License-Identifier: Apache-2.0
"""The criterion on embeddings whose truth is known, because the test made them."""

from __future__ import annotations

from itertools import islice

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray
from tokenizers import Tokenizer

from chatvector.checkpoint.checkpoint import Checkpoint
from chatvector.lab.world.documents import documents
from chatvector.vocabulary.tokens import AddedToken, TokenTable, read_tokens
from chatvector.vocabulary.untrained import LIKE_RESERVED, RESERVED_NAME, assess_rows

V, D = 4000, 96
PLAIN = 3900  # ordinary tokens; then 40 special ones, 40 reserved ones, 20 padding rows
SPECIAL, RESERVED, PADDING = slice(3900, 3940), slice(3940, 3980), slice(3980, 4000)


class Embedding:
    def __init__(self, values: NDArray[np.float32]) -> None:
        self.values = values.astype(ml_dtypes.bfloat16).astype(np.float32)
        self.rows, self.dim = values.shape
        self.asked = 0

    def read_rows(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        self.asked += len(rows)
        return self.values[rows]


def trained(random: np.random.Generator, *, reserved_at: float = 1.0) -> NDArray[np.float32]:
    """Rows as training leaves them: norms over half an order of magnitude, a common direction, a few clusters.

    Reserved and padding rows keep their initial values, with a norm of `reserved_at` times the median.
    """
    centres = random.normal(size=(12, D))
    rows = random.normal(size=(V, D)) + 0.7 * centres[random.integers(0, 12, V)] + 0.4 * random.normal(size=D)
    rows *= np.exp(random.normal(0, 0.25, (V, 1))) / np.linalg.norm(rows, axis=1, keepdims=True)
    start = random.normal(size=(V, D)) / np.sqrt(D) * reserved_at
    rows[RESERVED], rows[PADDING] = start[RESERVED], start[PADDING]
    return rows.astype(np.float32)


def table(reserved: bool = True) -> TokenTable:
    names = [f"w{row}" for row in range(PLAIN)] + [f"<|s{row}|>" for row in range(40)]
    names += [f"<|reserved_special_token_{row}|>" if reserved else f"<|t{row}|>" for row in range(40)]
    added = {name: AddedToken(name, special=True) for name in names[PLAIN:]}
    return TokenTable({name: row for row, name in enumerate(names)}, added, "x", PADDING.start if reserved else V)


def assess(values: NDArray[np.float32], *tokens: str, reserved: bool = True) -> dict[str, tuple[bool, str]]:
    known = table(reserved)
    found = assess_rows(Embedding(values), {token: known.ids[token] for token in tokens}, known)
    return {token: (health.untrained, health.reason) for token, health in found.items()}


SPECIALS = [f"<|s{row}|>" for row in range(40)]


def test_no_false_alarm_on_trained_rows() -> None:
    for seed in range(10):
        found = assess(trained(np.random.default_rng(seed)), *SPECIALS, reserved=False)
        assert not [token for token, (untrained, _reason) in found.items() if untrained]


@pytest.mark.parametrize("reserved_at", [0.3, 0.45, 0.6, 0.8, 1.0, 1.6, 2.0])
def test_false_alarms_beside_reserved_rows_stay_below_the_stated_rate(reserved_at: float) -> None:
    # Norms of ordinary rows reach down to 0.4 and up to 2.3 times the median, so most of these overlap with them.
    alarms = 0
    for seed in range(10):
        found = assess(trained(np.random.default_rng(seed), reserved_at=reserved_at), *SPECIALS)
        alarms += sum(untrained for untrained, _reason in found.values())
    assert alarms <= LIKE_RESERVED * 10 * len(SPECIALS)


def test_reserved_rows_as_initialised_are_known_by_their_norm() -> None:
    for seed in range(5):
        values = trained(np.random.default_rng(seed), reserved_at=0.3)
        values[SPECIAL.start] = np.random.default_rng(99).normal(size=D) / np.sqrt(D) * 0.3  # a chat token, untrained
        found = assess(values, "<|s0|>", "<|s1|>", "<|reserved_special_token_7|>")
        assert found["<|s0|>"] == (True, "reserved")
        assert found["<|reserved_special_token_7|>"] == (True, "reserved")
        assert found["<|s1|>"] == (False, "trained")


def test_reserved_rows_that_drifted_together_are_known_by_their_direction() -> None:
    random = np.random.default_rng(1)
    values = trained(random)
    drift = random.normal(size=D) / np.sqrt(D)
    values[RESERVED] = 0.4 * values[RESERVED] + 0.9 * drift
    values[PADDING] = 0.4 * values[PADDING] + 0.9 * drift
    values[SPECIAL.start] = 0.4 * random.normal(size=D) / np.sqrt(D) + 0.9 * drift
    found = assess(values, "<|s0|>", *SPECIALS[1:])
    assert found["<|s0|>"] == (True, "reserved")
    assert not any(untrained for token, (untrained, _reason) in found.items() if token != "<|s0|>")


def test_the_measure_abstains_where_reserved_rows_look_like_trained_ones() -> None:
    values = trained(np.random.default_rng(2), reserved_at=1.0)
    values[SPECIAL.start] = np.random.default_rng(3).normal(size=D) / np.sqrt(D)
    assert assess(values, "<|s0|>")["<|s0|>"] == (False, "trained")


@pytest.mark.parametrize("size", [0.0, 1e-6, 0.05])
def test_near_zero(size: float) -> None:
    values = trained(np.random.default_rng(4))
    values[SPECIAL.start] *= size / np.linalg.norm(values[SPECIAL.start])
    assert assess(values, "<|s0|>")["<|s0|>"] == (True, "near zero")


def test_rows_made_of_the_mean() -> None:
    values = trained(np.random.default_rng(5)) + np.float32(0.05)
    mean = values[: SPECIAL.start].mean(axis=0)
    values[SPECIAL.start] = mean + np.random.default_rng(6).normal(size=D) * 1e-5
    assert assess(values, "<|s0|>", "<|s1|>") == {"<|s0|>": (True, "at the mean"), "<|s1|>": (False, "trained")}


def test_copies_of_another_row() -> None:
    values = trained(np.random.default_rng(7))
    values[SPECIAL.start + 3] = values[SPECIAL.start + 9]
    found = assess(values, "<|s3|>", "<|s4|>")
    assert found == {"<|s3|>": (True, f"duplicate of row {SPECIAL.start + 9}"), "<|s4|>": (False, "trained")}


def test_the_figure_is_of_the_measure_that_decided() -> None:
    values = trained(np.random.default_rng(8))
    median = float(np.median(np.linalg.norm(values[: SPECIAL.start], axis=1)))
    values[SPECIAL.start] *= np.float32(0.05 * median / np.linalg.norm(values[SPECIAL.start]))
    values[SPECIAL.start + 1] *= np.float32(1.5 * median / np.linalg.norm(values[SPECIAL.start + 1]))
    known = table()
    found = assess_rows(Embedding(values), {t: known.ids[t] for t in SPECIALS[:2]}, known)
    assert found["<|s0|>"].figure == pytest.approx(0.05, rel=0.05)
    assert found["<|s1|>"].figure == pytest.approx(1.5, rel=0.05)
    assert (found["<|s0|>"].row, found["<|s0|>"].token) == (SPECIAL.start, "<|s0|>")


def test_the_same_answer_again_and_few_rows_read() -> None:
    values = trained(np.random.default_rng(9), reserved_at=0.3)
    known = table()
    asked = {token: known.ids[token] for token in SPECIALS}
    one, two = Embedding(values), Embedding(values)
    assert assess_rows(one, asked, known) == assess_rows(two, asked, known)
    assert one.asked <= 2048 + 2 * 1024 + len(asked)
    assert assess_rows(one, {}, known) == {}


def test_an_embedding_of_nothing_but_special_tokens() -> None:
    known = TokenTable({"<a>": 0, "<b>": 1}, {t: AddedToken(t, special=True) for t in ("<a>", "<b>")}, "x", 2)
    found = assess_rows(Embedding(np.eye(2, 4, dtype=np.float32)), {"<a>": 0, "<b>": 1}, known)
    assert {token: (health.untrained, health.reason) for token, health in found.items()} == {
        "<a>": (False, "trained"),
        "<b>": (False, "trained"),
    }


@pytest.mark.parametrize(
    ("token", "reserved"),
    [
        ("<|reserved_special_token_250|>", True),
        ("<unused17>", True),
        ("[control_768]", True),
        ("[UNUSED_TOKEN_146]", True),
        ("<|extra_12|>", True),
        ("<extra_id_3>", True),
        ("<|placeholder1|>", True),
        ("<reserved_106>", True),
        ("<|dummy_5|>", True),
        ("<|eot_id|>", False),
        ("<|im_end|>", False),
        ("[INST]", False),
        ("control", False),
        ("<0x0A>", False),
    ],
)
def test_names_of_placeholders(token: str, reserved: bool) -> None:
    assert bool(RESERVED_NAME.match(token)) == reserved


def test_a_base_model_that_was_really_trained() -> None:
    """The embedded base holds its reserved tokens untrained. What else is found is in no text: bytes, and pieces that
    the tokenizer only merges further. Its head is tied."""
    model = Checkpoint.open("demo:base")
    known = read_tokens(model)
    values = model.read_rows("model.embed_tokens.weight", np.arange(len(known.ids)))
    found = assess_rows(Embedding(values), known.ids, known)
    untrained = {token for token, health in found.items() if health.untrained}
    reserved = {"<|end|>", *(f"<|reserved_{number}|>" for number in range(4))}
    assert untrained >= reserved
    assert len(untrained) < len(reserved) + 0.02 * len(known.ids)
    tokenizer = Tokenizer.from_str(model.read_file("tokenizer.json").decode())
    assert not untrained & {token for text in islice(documents(3), 5000) for token in tokenizer.encode(text).tokens}
