# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models
from vocabulary_models import (
    QWEN,
    QWEN_PLAIN,
    QWEN_TOKENS,
    MemoryModel,
    byte_bpe,
    sentencepiece_model,
    tokenizer_of,
    unigram,
)

from chatvector.errors import DamagedFile, MissingInput, UnsupportedFormat
from chatvector.vocabulary.tokens import read_tokens, tokenizer_digest


def tokenizer_json(vocabulary: object, added: list[dict[str, object]] | None = None) -> bytes:
    return json.dumps(
        {"added_tokens": added or [], "model": {"type": "BPE", "vocab": vocabulary, "merges": []}}
    ).encode()


WORD_LEVEL = Tokenizer(models.WordLevel({"a": 0, "b": 1, "[UNK]": 2}, unk_token="[UNK]")).to_str().encode()
WORD_PIECE = Tokenizer(models.WordPiece({"a": 0, "##b": 1, "[UNK]": 2}, unk_token="[UNK]")).to_str().encode()


@pytest.mark.parametrize(
    "content",
    [byte_bpe(QWEN_TOKENS, QWEN_PLAIN), unigram(("<|turn|>",)), WORD_LEVEL, WORD_PIECE],
    ids=["bpe", "unigram", "word level", "word piece"],
)
def test_ids_and_flags_are_those_of_the_tokenizers_library(content: bytes) -> None:
    table = read_tokens(MemoryModel({"tokenizer.json": content}))
    library = tokenizer_of(content)
    assert table.ids == library.get_vocab(with_added_tokens=True)
    assert table.size == max(table.ids.values()) + 1
    theirs = library.get_added_tokens_decoder()
    assert {table.ids[text]: text for text in table.added} == {row: token.content for row, token in theirs.items()}
    for row, token in theirs.items():
        ours = table.added[token.content]
        for flag in ("special", "lstrip", "rstrip", "normalized", "single_word"):
            assert getattr(ours, flag) == getattr(token, flag), (row, flag)


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_sentencepiece_pieces_and_their_kinds(kind: str) -> None:
    content = sentencepiece_model(kind, ("<turn>",))
    table = read_tokens(MemoryModel({"tokenizer.model": content}))
    processor = sentencepiece.SentencePieceProcessor(model_proto=content)
    assert table.ids == {processor.IdToPiece(row): row for row in range(processor.GetPieceSize())}
    assert table.source == "tokenizer.model"
    special = {text: token.special for text, token in table.added.items()}
    assert special == {"<unk>": True, "<s>": True, "</s>": True, "<turn>": False}
    assert "<0x0A>" in table.ids
    assert "▁the" in table.ids
    assert "the" not in table.added


def test_added_tokens_of_a_sentencepiece_model() -> None:
    content = sentencepiece_model()
    size = len(read_tokens(MemoryModel({"tokenizer.model": content})).ids)
    model = MemoryModel(
        {
            "tokenizer.model": content,
            "added_tokens.json": {"<|end|>": size + 1, "<pad>": size},
            "tokenizer_config.json": {
                "tokenizer_class": "LlamaTokenizer",
                "additional_special_tokens": [{"content": "<|end|>"}],
            },
        }
    )
    table = read_tokens(model)
    assert (table.ids["<pad>"], table.ids["<|end|>"], table.size) == (size, size + 1, size + 2)
    assert table.added["<|end|>"].special
    assert not table.added["<pad>"].special


def test_slow_vocabulary_with_added_tokens_decoder() -> None:
    model = MemoryModel(
        {
            "vocab.json": {"a": 0, "b": 1},
            "merges.txt": b"#version: 0.2\n",
            "tokenizer_config.json": {
                "added_tokens_decoder": {
                    "3": {"content": "<|im_end|>", "special": True, "rstrip": True},
                    "2": {"content": "<x>", "special": False},
                }
            },
        }
    )
    table = read_tokens(model)
    assert table.ids == {"a": 0, "b": 1, "<x>": 2, "<|im_end|>": 3}
    assert table.added["<|im_end|>"].rstrip
    assert table.source == "vocab.json"


def test_tokenizer_json_wins_over_slower_files() -> None:
    model = MemoryModel(
        {"tokenizer.json": WORD_LEVEL, "tokenizer.model": sentencepiece_model(), "vocab.json": {"z": 0}}
    )
    assert read_tokens(model).source == "tokenizer.json"


def test_one_string_with_two_ids_keeps_the_first_source() -> None:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    content = tokenizer_json({"a": 0, "<x>": 1}, [{"id": 7, "content": "<x>", **flags}])
    model = MemoryModel(
        {
            "tokenizer.json": content,
            "tokenizer_config.json": {"added_tokens_decoder": {"5": {"content": "<x>", "special": True}}},
        }
    )
    table = read_tokens(model)
    assert table.ids["<x>"] == 1  # as the tokenizers library takes it: the vocabulary knows the string
    assert tokenizer_of(content).token_to_id("<x>") == 1
    assert table.size == 2


def test_two_strings_on_one_row_of_a_slow_tokenizer_are_both_names() -> None:
    model = MemoryModel(
        {
            "vocab.json": {"a": 0, "[UNUSED_1]": 1},
            "tokenizer_config.json": {"added_tokens_decoder": {"1": {"content": "<|im_end|>", "special": True}}},
        }
    )
    table = read_tokens(model)
    assert table.ids == {"a": 0, "[UNUSED_1]": 1, "<|im_end|>": 1}
    assert table.names() == {0: "a", 1: "<|im_end|>"}
    assert not table.conflicts


def test_two_strings_on_one_row_beside_tokenizer_json_are_a_conflict() -> None:
    model = MemoryModel(
        {
            "tokenizer.json": tokenizer_json({"a": 0, "b": 1}),
            "tokenizer_config.json": {"added_tokens_decoder": {"1": {"content": "<|im_end|>", "special": True}}},
        }
    )
    table = read_tokens(model)
    assert "<|im_end|>" not in table.ids
    assert table.conflicts == (("<|im_end|>", 1),)


def test_vocabulary_with_gaps_needs_rows_up_to_its_highest_id() -> None:
    assert read_tokens(MemoryModel({"tokenizer.json": tokenizer_json({"a": 0, "b": 9})})).size == 10


def test_equal_tokenizers_have_one_digest_whatever_their_templates() -> None:
    content = byte_bpe(QWEN_TOKENS)
    one = MemoryModel({"tokenizer.json": content})
    two = MemoryModel({"tokenizer.json": content, "tokenizer_config.json": {"chat_template": QWEN}})
    other = MemoryModel({"tokenizer.json": byte_bpe(())})
    assert tokenizer_digest(one) == tokenizer_digest(two) != tokenizer_digest(other)
    assert read_tokens(one) == read_tokens(two)


def test_digest_counts_configured_tokens() -> None:
    content = byte_bpe(())
    plain = MemoryModel({"tokenizer.json": content})
    extended = MemoryModel(
        {"tokenizer.json": content, "tokenizer_config.json": {"added_tokens_decoder": {"320": {"content": "<x>"}}}}
    )
    listed = MemoryModel({"tokenizer.json": content, "added_tokens.json": {"<x>": 320}})
    assert len({tokenizer_digest(model) for model in (plain, extended, listed)}) == 3


@pytest.mark.parametrize("order", ["library", "merges first", "model first"])
def test_the_order_of_keys_does_not_matter(order: str) -> None:
    document = json.loads(byte_bpe(QWEN_TOKENS, QWEN_PLAIN))
    vocabulary = document["model"]["vocab"]
    vocabulary[',"merges":['] = vocabulary.pop(max(vocabulary, key=vocabulary.__getitem__))
    if order == "merges first":
        document["model"] = {"merges": document["model"].pop("merges"), **document["model"]}
    if order == "model first":
        document = {"model": document.pop("model"), **document}
    table = read_tokens(MemoryModel({"tokenizer.json": document}))
    assert table.ids.keys() == document["model"]["vocab"].keys() | {*QWEN_TOKENS, *QWEN_PLAIN}
    assert set(table.added) == {*QWEN_TOKENS, *QWEN_PLAIN}


@pytest.mark.parametrize("cut", [10, 200, 2000])
def test_a_truncated_tokenizer(cut: int) -> None:
    with pytest.raises(DamagedFile, match=r"^model/tokenizer.json: .* is no (JSON|UTF-8)"):
        read_tokens(MemoryModel({"tokenizer.json": byte_bpe(QWEN_TOKENS)[:-cut]}))


def test_no_tokenizer() -> None:
    with pytest.raises(MissingInput, match=r"model: no tokenizer found \(looked for tokenizer.json, tokenizer.model"):
        read_tokens(MemoryModel({"config.json": {}}))


@given(st.data())
def test_added_tokens_have_the_ids_that_the_library_gives_them(data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from("abcdefgh"), min_size=1, unique=True))
    rows = data.draw(st.lists(st.integers(0, 9), min_size=len(names), max_size=len(names), unique=True))
    vocabulary = dict(zip(names, rows, strict=True))
    extra = data.draw(st.lists(st.sampled_from([*names, "<1>", "<2>", "<3>"]), unique=True))
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    entries = [{"id": vocabulary.get(e, data.draw(st.integers(0, 12))), "content": e, **flags} for e in extra]
    document = {"version": "1.0", "added_tokens": entries, "model": {"type": "WordLevel", "vocab": vocabulary}}
    document["model"]["unk_token"] = names[0]
    library = Tokenizer.from_str(json.dumps(document))
    try:
        found = read_tokens(MemoryModel({"tokenizer.json": document})).ids
    except DamagedFile:
        assert any(library.token_to_id(entry["content"]) != entry["id"] for entry in entries) or any(
            entry["id"] in rows and entry["content"] not in vocabulary for entry in entries
        )
    else:
        assert found == library.get_vocab(with_added_tokens=True)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"tekken.json": {}}, "a Tekken vocabulary"),
        ({"qwen.tiktoken": b"IQ== 0\n"}, "a tiktoken vocabulary"),
        ({"tokenizer.model": b"IQ== 0\nIg== 1\n"}, "a tiktoken vocabulary, not a SentencePiece model"),
        (
            {"sentencepiece.bpe.model": b"x", "tokenizer_config.json": {"tokenizer_class": "XGLMTokenizerFast"}},
            "XGLMTokenizer numbers its tokens unlike",
        ),
    ],
)
def test_formats_that_are_named_and_refused(files: dict[str, object], words: str) -> None:
    with pytest.raises(UnsupportedFormat, match=words):
        read_tokens(MemoryModel(files))


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"tokenizer.json": b'{"model": '}, r"tokenizer.json: line 1, column 11 is no JSON"),
        ({"tokenizer.json": b"\xff\xfe"}, "byte 0 is no UTF-8"),
        ({"tokenizer.json": b"[" * 100_000}, "nested too deeply|is no JSON"),
        ({"tokenizer.json": {"version": "1.0"}}, '"model" is missing'),
        ({"tokenizer.json": {"model": {"vocab": 3}}}, "the vocabulary is no JSON object"),
        ({"tokenizer.json": {"model": {"vocab": ["a"]}}}, r"no list of \[token, score\] pairs"),
        ({"tokenizer.json": {"model": {"vocab": {}}}}, "the vocabulary is empty"),
        ({"tokenizer.json": tokenizer_json({"a": "0", "b": -1})}, "2 tokens have no row number: 'a', 'b'"),
        ({"tokenizer.json": tokenizer_json({"a": True})}, "1 tokens have no row number"),
        ({"tokenizer.json": tokenizer_json({"a": 0}, [{"id": 0, "content": "<x>"}])}, "id 0 belongs to 'a' and to"),
        (
            {
                "tokenizer.json": tokenizer_json(
                    {"a": 0, "b": 3}, [{"id": 4, "content": "<x>"}, {"id": 5, "content": "<y>"}]
                )
            },
            "2 added tokens have other ids than loaders give them.* from 2, .*'<x>' has 4, gets 2, '<y>' has 5, gets 3",
        ),
        ({"tokenizer.json": tokenizer_json({"a": 0}, [{"id": None, "content": "<x>"}])}, "'<x>' has id None"),
        ({"tokenizer.json": tokenizer_json({"a": 0}, [{"id": 1}])}, "an added token has no text"),
        ({"tokenizer.model": b"no model at all"}, "no SentencePiece model"),
        ({"tokenizer.model": sentencepiece_model()[:-40]}, "no SentencePiece model"),
        ({"vocab.json": ["a"]}, "the vocabulary is no JSON object"),
        ({"vocab.json": {"a": 0}, "tokenizer_config.json": [1]}, "a JSON object is expected, found list"),
        ({"vocab.json": {"a": 0}, "tokenizer_config.json": {"added_tokens_decoder": {"x": {}}}}, "is no row number"),
    ],
)
def test_damaged_files_are_named(files: dict[str, object], words: str) -> None:
    with pytest.raises(DamagedFile, match=words):
        read_tokens(MemoryModel(files))
