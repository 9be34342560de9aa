# SPDX-License-Identifier: Apache-2.0
"""The SentencePiece model that is written for a tokenizer.json gives its tokens, or it is seen that it does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from chatvector.errors import DamagedFile, UnsupportedFormat
from chatvector.handoff.sentencepiece_file import agreement, is_byte_level, is_like_sentencepiece, sentencepiece_bytes
from chatvector.vocabulary.sentencepiece_model import read_pieces
from chatvector.vocabulary.side_files import Folder
from chatvector.vocabulary.tokens import TokenTable, read_tokens

SPECIAL = ("<unk>", "<s>", "</s>", "<|end|>")
BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))
CHARACTERS = ("▁", "a", "b", "c", "눈")
# Every way to make "abc", in the order of their pieces, as SentencePiece's own vocabularies are converted.
WHOLE = (("a", "b"), ("b", "c"), ("▁", "a"), ("ab", "c"), ("a", "bc"), ("▁a", "bc"), ("▁", "abc"))
"""abc is made in both ways, one after the other; ▁abc likewise."""


def built(
    merges: tuple[tuple[str, str], ...], special: tuple[str, ...] = SPECIAL, *, prefix: bool = False
) -> Tokenizer:
    made = dict.fromkeys(one + other for one, other in merges)
    order = [*special, *BYTES, *CHARACTERS, *made]
    ids = {token: row for row, token in enumerate(order)}
    unknown = "<unk>" if "<unk>" in special else None
    tokenizer = Tokenizer(models.BPE(ids, list(merges), byte_fallback=True, fuse_unk=True, unk_token=unknown))
    steps = [normalizers.Prepend("▁")] if prefix else []
    tokenizer.normalizer = normalizers.Sequence([*steps, normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens(list(special))
    return tokenizer


def table_of(tokenizer: Tokenizer, folder: Path) -> tuple[dict[str, Any], TokenTable]:
    (folder / "tokenizer.json").write_text(tokenizer.to_str(), encoding="utf-8")
    return json.loads(tokenizer.to_str()), read_tokens(Folder(folder))


def written(tokenizer: Tokenizer, folder: Path, *, blank: bool = False) -> bytes:
    document, table = table_of(tokenizer, folder)
    return sentencepiece_bytes(document, table, "m/tokenizer.json", bos="<s>", eos="</s>", blank=blank)


@given(texts=st.lists(st.text("abc 눈é\n", min_size=1, max_size=30), min_size=1, max_size=5))
@pytest.mark.parametrize("prefix", [False, True])
def test_the_same_tokens(texts: list[str], prefix: bool, tmp_path_factory: pytest.TempPathFactory) -> None:
    tokenizer = built(WHOLE, prefix=prefix)
    model = written(tokenizer, tmp_path_factory.mktemp("model"), blank=prefix)
    assert agreement(model, tokenizer, texts) == (len(texts), len(texts))


def test_ids_scores_and_kinds_by_hand(tmp_path: Path) -> None:
    model = written(built(WHOLE), tmp_path)
    pieces = read_pieces(model, "m")
    kinds = {piece.text: piece.kind for piece in pieces}
    assert [piece.text for piece in pieces][:4] == list(SPECIAL)
    assert [kinds[token] for token in SPECIAL] == ["unknown", "control", "control", "control"]
    assert kinds["<0x0A>"] == "byte"
    assert kinds["abc"] == kinds["눈"] == "normal"
    processor = sentencepiece.SentencePieceProcessor()
    processor.LoadFromSerializedProto(model)
    score = {piece.text: processor.GetScore(row) for row, piece in enumerate(pieces)}
    assert [score[piece] for piece in ("ab", "bc", "▁a", "abc", "▁abc")] == [-1.0, -2.0, -3.0, -4.0, -6.0]
    assert max(score[character] for character in CHARACTERS) < -len(WHOLE) + 1
    assert (processor.bos_id(), processor.eos_id(), processor.unk_id()) == (1, 2, 0)


def test_the_order_of_merges_counts(tmp_path: Path) -> None:
    """llama.cpp's converter without this file gives all pieces one score, and the leftmost pair comes first."""
    tokenizer = built((("b", "c"), ("a", "b")))
    document, table = table_of(tokenizer, tmp_path)
    assert tokenizer.encode("abc", add_special_tokens=False).tokens == ["a", "bc"]
    right = sentencepiece_bytes(document, table, "m", bos=None, eos=None, blank=False)
    document["model"]["merges"].reverse()
    wrong = sentencepiece_bytes(document, table, "m", bos=None, eos=None, blank=False)
    assert agreement(right, tokenizer, ["abc"]) == (1, 1)
    assert agreement(wrong, tokenizer, ["abc"]) == (0, 1)


def test_a_way_that_is_no_merge_is_seen(tmp_path: Path) -> None:
    """`bc` comes first, and no merge makes `abc` of `a` and `bc`; SentencePiece has one all the same."""
    tokenizer = built((("b", "c"), ("a", "b"), ("ab", "c")))
    assert tokenizer.encode("abc", add_special_tokens=False).tokens == ["a", "bc"]
    assert agreement(written(tokenizer, tmp_path), tokenizer, ["abc", "ab", "c"]) == (2, 3)


def test_rows_without_a_token_are_unused_pieces(tmp_path: Path) -> None:
    tokenizer = built(WHOLE)
    document = json.loads(tokenizer.to_str())
    end = len(document["model"]["vocab"])
    document["model"]["vocab"]["<x>"] = end + 2  # alone in added_tokens loaders would give it the id `end`
    document["added_tokens"].append(
        {
            "id": end + 2,
            "content": "<x>",
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": False,
        }
    )
    (tmp_path / "tokenizer.json").write_text(json.dumps(document), encoding="utf-8")
    table = read_tokens(Folder(tmp_path))
    pieces = read_pieces(sentencepiece_bytes(document, table, "m", bos=None, eos=None, blank=False), "m")
    assert [(piece.text, piece.kind) for piece in pieces[end:]] == [
        (f"[unused {end}]", "unused"), (f"[unused {end + 1}]", "unused"), ("<x>", "user"),
    ]  # fmt: skip


def test_without_an_unknown_token_the_first_special_one_stands_for_it(tmp_path: Path) -> None:
    model = written(built(WHOLE, ("<s>", "</s>")), tmp_path)
    assert [piece.kind for piece in read_pieces(model, "m")[:2]] == ["unknown", "control"]


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    document, table = table_of(built(WHOLE, ()), tmp_path)
    with pytest.raises(UnsupportedFormat, match="has no special token at all"):
        sentencepiece_bytes(document, table, "m/tokenizer.json", bos=None, eos=None, blank=False)
    document, table = table_of(built(WHOLE), tmp_path)
    for merge in ("ab", ["a"], ["a", 1], None):
        document["model"]["merges"][1] = merge
        with pytest.raises(DamagedFile, match=r"m/tokenizer.json: merge 2 is no pair of tokens"):
            sentencepiece_bytes(document, table, "m/tokenizer.json", bos=None, eos=None, blank=False)


def test_kinds_of_tokenizers() -> None:
    ours = built(WHOLE)
    assert is_like_sentencepiece(json.loads(ours.to_str()))
    ours.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(), pre_tokenizers.ByteLevel()])
    assert is_byte_level(json.loads(ours.to_str()))
    assert not is_like_sentencepiece(json.loads(ours.to_str()))
    words = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    assert not is_like_sentencepiece(json.loads(words.to_str()))
    assert not is_byte_level(json.loads(words.to_str()))
