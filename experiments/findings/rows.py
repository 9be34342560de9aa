# SPDX-License-Identifier: Apache-2.0
"""Rows of the vocabulary: each policy, with the template's rows transplanted or not, and rows for tokens that are new.

    python -m experiments.findings.rows [--target demo:target-extended] [--scale 0.75] [--items 20] [--out rows.json]

- `shared`, `skip`, `strict`: the policies of `apply` (strict refuses vocabularies that differ, which is then said).
- not transplanted: the rows that `apply` takes from the chat model are the target's again, or the target's plus s·τ,
  as a script does that knows nothing of untrained rows.
- mean τ: each token that only the target has also gets s times the mean of τ over all shared rows; pieces' τ: s times
  the mean of τ over the base's pieces of its text. Only with a target whose vocabulary is larger.

Reference: `shared`.
"""

from __future__ import annotations

import tempfile
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from experiments.findings.bench import TRIO, Variant, parser, run, write_merge

from chatvector.arithmetic.scales import ScaleRules
from chatvector.checkpoint.names import resolve
from chatvector.errors import ChatVectorError

Rows = Any
"""torch tensor (V, D), fp32."""
EMBEDDING = "model.embed_tokens.weight"


def embedding(name: str) -> Rows:
    """The (tied) embedding of a model, in fp32."""
    from safetensors import safe_open

    path = resolve(name).path
    assert path is not None
    with safe_open(path / "model.safetensors", "pt") as file:
        return file.get_tensor(EMBEDDING).float()


def tokenizer(name: str) -> Any:
    """Of a model."""
    from tokenizers import Tokenizer

    path = resolve(name).path
    assert path is not None
    return Tokenizer.from_file(str(path / "tokenizer.json"))


def edited(place: Path, merge: Path, change: Callable[[Rows], None]) -> str:
    """A copy of a merge whose embedding was changed in place."""
    import shutil

    import torch
    from safetensors.torch import load_file, save_file

    shutil.copytree(merge, place)
    tensors = load_file(place / "model.safetensors")
    rows = tensors[EMBEDDING].float()
    change(rows)
    tensors[EMBEDDING] = rows.to(torch.bfloat16)
    save_file(tensors, place / "model.safetensors", metadata={"format": "pt"})
    return str(place)


def main() -> None:
    """Write the merges, edit, ask."""
    options = parser(__doc__).parse_args()
    with tempfile.TemporaryDirectory(prefix="chatvector-findings-") as scratch:
        run("rows", variants(options, Path(scratch)), options)


def variants(options: Namespace, place: Path) -> list[Variant]:
    """All of them that this target has."""
    found = [Variant("shared", ScaleRules(options.scale))]
    for policy in ("skip", "strict"):
        try:
            write_merge(place / policy, options.scale, target=options.target, vocabulary=policy)
        except ChatVectorError as error:
            print(f"{policy}: refused: {error}")
            continue
        found.append(Variant(policy, ScaleRules(options.scale), {"vocabulary": policy}))
    merge = write_merge(place / "shared", options.scale, target=options.target)
    target, base, chat = (embedding(name) for name in (options.target, TRIO["base"], TRIO["chat"]))
    made, ids = embedding(str(merge)), tokenizer(TRIO["base"]).get_vocab()
    # Ids of base and chat are the target's in this family; new tokens stand behind them.
    moved = [
        row for row in range(len(chat)) if bool((made[row] == chat[row]).all() and (chat[row] != target[row]).any())
    ]
    print(f"rows taken from the chat model: {len(moved)}")
    delta = chat - base

    def kept(rows: Rows) -> None:
        rows[moved] = target[moved]

    def added(rows: Rows) -> None:
        rows[moved] = target[moved] + options.scale * delta[moved]

    found.append(Variant("shared, template rows kept", model=edited(place / "kept", merge, kept)))
    found.append(Variant("shared, template rows plus s·τ", model=edited(place / "added", merge, added)))
    new = {token: row for token, row in tokenizer(options.target).get_vocab().items() if token not in ids}
    if not new:
        print("no token is new in this target: nothing to say of rows for new tokens")
        return found
    still = [row for row in range(len(base)) if row not in moved]
    mean, pieces = delta[still].mean(0), tokenizer(TRIO["base"])

    def by_mean(rows: Rows) -> None:
        rows[list(new.values())] += options.scale * mean

    def by_pieces(rows: Rows) -> None:
        for token, row in new.items():
            parts = pieces.encode(token.replace("▁", " "), add_special_tokens=False).ids
            if parts:
                rows[row] += options.scale * delta[parts].mean(0)

    print(f"tokens that only the target has: {len(new)}")
    found.append(Variant("shared, new rows plus mean τ", model=edited(place / "mean", merge, by_mean)))
    found.append(Variant("shared, new rows plus their pieces' τ", model=edited(place / "pieces", merge, by_pieces)))
    return found


if __name__ == "__main__":
    main()
