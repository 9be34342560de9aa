# SPDX-License-Identifier: Apache-2.0
"""Tied and untied heads in every mixture: the embedding's delta, the head's, and the flag in config.json."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from builders import BASE_SPECIAL, WORDS, load_weights, write_model
from chatvector.errors import DamagedFile
from chatvector.pipeline import Result, apply
from chatvector.recipe import Recipe
from trios import EMBEDDING, HEAD, Member, Trio, Vector, chat_member, expected, member


def trio(target: bool, base: bool, chat: bool) -> Trio:
    """Each argument: whether that model ties its head."""
    first = member(WORDS, BASE_SPECIAL, seed=1, tied=base)
    tuned = chat_member(WORDS[::-1], seed=2, tied=chat, parent=first)
    own = member([*WORDS, "새"], BASE_SPECIAL, seed=3, tied=target, padding=8, parent=first)
    return Trio(own, [Vector(first, tuned, lambda _: 0.8)])


def run(made: Trio, folder: Path) -> Result:
    target, ((base, chat),) = made.write(folder)
    return apply(
        Recipe.from_mapping(
            {"target": target, "vectors": [{"base": base, "chat": chat, "scale": 0.8}], "output": str(folder / "out")}
        )
    )


def moved(result: Result) -> list[str]:
    return [one["token"] for one in result.manifest["vocabulary"]["template_tokens"] if one["done"] == "transplanted"]


def config(path: Path) -> dict[str, object]:
    return json.loads((path / "config.json").read_text())


@pytest.mark.parametrize(("target", "base", "chat"), [*itertools.product([True, False], repeat=3)])
def test_every_mixture(tmp_path: Path, target: bool, base: bool, chat: bool) -> None:
    """A tied parent's head is its embedding; a tied target takes the embedding's delta and says what it leaves."""
    made = trio(target, base, chat)
    result = run(made, tmp_path)
    found, wanted = load_weights(tmp_path / "out"), expected(made, moved(result))
    assert found.keys() == wanted.keys() == made.target.spec.weights.keys()
    assert (HEAD in found) == (not target)
    for name in wanted:
        assert found[name].tobytes() == wanted[name].tobytes(), name
    assert config(tmp_path / "out")["tie_word_embeddings"] is target
    warned = [line for line in result.manifest["run"]["warnings"] if "the head's is left out" in line]
    assert len(warned) == (target and not (base and chat))
    if warned:
        assert f"norm {head_norm(made):.4g}" in warned[0]


def head_norm(made: Trio) -> float:
    """‖chat's head − base's‖ over the tokens that the target, base and chat share."""
    vector = made.vectors[0]
    template = {"<|user|>", "<|assistant|>", "<|system|>", "<|end|>"}
    tokens = [
        t for t in made.target.tokens if t in vector.base.tokens and t in vector.chat.tokens and t not in template
    ]
    chat, base = (
        np.stack([side.rows(HEAD)[side.tokens.index(token)] for token in tokens]).astype(np.float64)
        for side in (vector.chat, vector.base)
    )
    return float(np.sqrt(((chat - base) ** 2).sum()))


@pytest.mark.parametrize("role", ["base", "chat", "target"])
def test_a_flag_that_promises_a_head_that_is_not_there(tmp_path: Path, role: str) -> None:
    made = trio(True, True, True)
    members: dict[str, Member] = {"base": made.vectors[0].base, "chat": made.vectors[0].chat, "target": made.target}
    members[role].spec.config["tie_word_embeddings"] = False
    with pytest.raises(DamagedFile, match=rf"/{role}.*: config.json says tie_word_embeddings false, but .* no head"):
        run(made, tmp_path)


def with_head(made: Member, *, same: bool) -> None:
    """Give a tied model a head in its file all the same: its embedding, or something else."""
    embedding = made.spec.weights[EMBEDDING]
    made.spec.weights[HEAD] = embedding.copy() if same else (embedding.astype(np.float32) * 1.5).astype(embedding.dtype)


def test_a_head_that_differs_under_a_flag_that_says_tied(tmp_path: Path) -> None:
    """The file wins, as in transformers: the head is merged as a head, and the output's flag says false."""
    made = trio(True, False, False)
    with_head(made.target, same=False)
    made.target.tied = False  # for the reference: it has a head of its own
    result = run(made, tmp_path)
    found, wanted = load_weights(tmp_path / "out"), expected(made, moved(result))
    assert found[HEAD].tobytes() == wanted[HEAD].tobytes()
    assert config(tmp_path / "out")["tie_word_embeddings"] is False


@pytest.mark.parametrize("parents_tied", [True, False])
def test_a_copy_of_the_embedding_as_head_under_a_flag_that_says_tied(tmp_path: Path, parents_tied: bool) -> None:
    made = trio(True, parents_tied, parents_tied)
    with_head(made.target, same=True)
    made.target.tied = False
    result = run(made, tmp_path)
    found, wanted = load_weights(tmp_path / "out"), expected(made, moved(result))
    assert found[HEAD].tobytes() == wanted[HEAD].tobytes()
    same = found[HEAD].tobytes() == found[EMBEDDING].tobytes()
    assert same is parents_tied
    assert config(tmp_path / "out")["tie_word_embeddings"] is same


def test_two_scales_untie_what_was_tied_in_the_file(tmp_path: Path) -> None:
    made = trio(True, True, True)
    with_head(made.target, same=True)
    target, ((base, chat),) = made.write(tmp_path)
    vector = {"base": base, "chat": chat, "scale_role": {"head": 0.5}}
    apply(Recipe.from_mapping({"target": target, "vectors": [vector], "output": str(tmp_path / "out")}))
    found = load_weights(tmp_path / "out")
    assert found[HEAD].tobytes() != found[EMBEDDING].tobytes()
    assert config(tmp_path / "out")["tie_word_embeddings"] is False


@pytest.mark.parametrize("role", ["base", "chat", "target"])
def test_an_absent_flag_means_what_the_class_means_by_it(tmp_path: Path, role: str) -> None:
    """LlamaConfig has a head of its own unless told otherwise: without one, loaders draw random numbers."""
    made = trio(True, True, True)
    members: dict[str, Member] = {"base": made.vectors[0].base, "chat": made.vectors[0].chat, "target": made.target}
    del members[role].spec.config["tie_word_embeddings"]
    with pytest.raises(DamagedFile, match=rf"/{role}.*: .* means false for model_type llama, but .* no head"):
        run(made, tmp_path)
    assert not (tmp_path / "out").exists()


def test_a_flag_that_is_absent_is_left_absent(tmp_path: Path) -> None:
    made = trio(False, True, True)
    del made.target.spec.config["tie_word_embeddings"]
    run(made, tmp_path)
    assert "tie_word_embeddings" not in config(tmp_path / "out")


def test_a_tied_head_in_the_parents_files_is_compared_too(tmp_path: Path) -> None:
    """Parents that write their tied head out, a target that does not: nothing is lost, nothing is missing."""
    made = trio(True, True, True)
    for parent in (made.vectors[0].base, made.vectors[0].chat):
        with_head(parent, same=True)
    result = run(made, tmp_path)
    found = load_weights(tmp_path / "out")
    assert HEAD not in found
    assert found[EMBEDDING].tobytes() == expected(made, moved(result))[EMBEDDING].tobytes()
    assert write_model(tmp_path / "again", made.target.spec).is_dir()


@pytest.mark.parametrize(
    ("size", "said"), [(4000, "4000"), (-5, "-5"), (10**30, "1000000"), ("72", "'72'"), ([1], r"\[1\]"), (None, "None")]
)
def test_a_vocabulary_size_that_is_not_the_embeddings(tmp_path: Path, size: object, said: str) -> None:
    made = trio(False, False, False)
    made.target.spec.config["vocab_size"] = size
    rows = len(made.target.spec.weights[EMBEDDING])
    with pytest.raises(
        DamagedFile, match=rf"vocab_size {said}.*, {EMBEDDING} has {rows} rows; set vocab_size to {rows}"
    ):
        run(made, tmp_path)
    assert not (tmp_path / "out").exists()


def test_a_vocabulary_size_below_the_rows(tmp_path: Path) -> None:
    """The cure is another number, not another chat template; code of the model's own may pad what it is told."""
    made = trio(False, False, False)
    made.target.spec.config["vocab_size"] -= 4
    with pytest.raises(DamagedFile, match=r"rows; set vocab_size to \d+, or get the weights"):
        run(made, tmp_path)
    made.target.spec.config |= {"auto_map": {"AutoConfig": "org/code--config.Config"}}
    run(made, tmp_path / "own")


def test_a_vocabulary_size_in_the_language_models_section(tmp_path: Path) -> None:
    made = trio(False, False, False)
    made.target.spec.config["text_config"] = {"vocab_size": 4000}
    with pytest.raises(DamagedFile, match="vocab_size 4000"):
        run(made, tmp_path)
