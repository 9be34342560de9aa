# SPDX-License-Identifier: Apache-2.0
"""What llama.cpp's converter is given, for the kinds of tokenizers."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from chatvector.errors import UnsupportedFormat
from chatvector.handoff.converter_files import converter_files
from chatvector.handoff.modelfile import modelfile
from chatvector.vocabulary.side_files import Folder

TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{{ '<|' + m.role + '|>' + m.content + '<turn_end>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
CORPUS = ["the quick brown fox jumps over the lazy dog", "오늘 날씨가 참 좋습니다"] * 8
TEXTS = ["the dog", "날씨가 좋습니다", "fox é"]


def model(folder: Path, files: dict[str, bytes], **config: Any) -> Folder:
    settings = {"bos_token": "<s>", "eos_token": "</s>", "chat_template": TEMPLATE, **config}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return Folder(folder)


def byte_level(*, adds_bos: bool) -> bytes:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False)
    )
    tokenizer.add_special_tokens(["<s>", "</s>"])
    tokenizer.add_tokens(["<turn_end>"])
    if adds_bos:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 300)])
    return tokenizer.to_str().encode()


def sentencepiece_file() -> bytes:
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.Train(
        sentence_iterator=iter(CORPUS), model_writer=out, vocab_size=340, model_type="bpe", byte_fallback=True,
        hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    return out.getvalue()


def of_sentencepiece(content: bytes, *, blank: str) -> bytes:
    """tokenizer.json of a SentencePiece model, as transformers converts one: every way to make a piece is a merge.

    `blank`: "everywhere" (behind special tokens too), "first" (at the start of the text), "none".
    """
    processor = sentencepiece.SentencePieceProcessor()
    processor.LoadFromSerializedProto(content)
    pieces = [processor.IdToPiece(row) for row in range(processor.GetPieceSize())]
    ids = {piece: row for row, piece in enumerate(pieces)}
    merges = [
        (piece[:cut], piece[cut:])
        for piece in sorted(pieces, key=lambda piece: -processor.GetScore(ids[piece]))
        for cut in range(1, len(piece))
        if piece[:cut] in ids and piece[cut:] in ids and not piece.startswith("<")
    ]
    tokenizer = Tokenizer(models.BPE(ids, merges, byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    if blank == "everywhere":
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    elif blank == "first":
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    else:
        tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    tokenizer.add_tokens(["<turn_end>"])
    return tokenizer.to_str().encode()


@pytest.mark.parametrize("adds_bos", [True, False])
def test_byte_level_bpe_is_left_but_for_the_end_of_turn(adds_bos: bool, tmp_path: Path) -> None:
    found = converter_files(model(tmp_path, {"tokenizer.json": byte_level(adds_bos=adds_bos)}), TEXTS)
    assert (found.kind, found.made, found.compared) == ("byte-level BPE", False, 0)
    assert set(found.files) == {"tokenizer.json", "tokenizer_config.json"}
    before = json.loads((tmp_path / "tokenizer.json").read_bytes())
    after = json.loads(found.files["tokenizer.json"])
    assert [entry["special"] for entry in after["added_tokens"]] == [True, True, True]
    after["added_tokens"][2]["special"] = False
    assert after == before
    assert json.loads(found.files["tokenizer_config.json"])["eos_token"] == "<turn_end>"
    # Who writes bos: the engine, where the tokenizer does, else the template.
    assert found.engine_bos == ("<s>" if adds_bos else "")
    assert ("<s><|" in modelfile(found, {}).text) is not adds_bos
    assert found.unheard == ()


def test_a_bos_that_the_format_does_not_write_is_said(tmp_path: Path) -> None:
    template = TEMPLATE.removeprefix("{{ bos_token }}")
    files = {"tokenizer.json": byte_level(adds_bos=True)}
    found = converter_files(model(tmp_path, files, chat_template=template), TEXTS)
    assert "llama.cpp will put <s> before each prompt and the chat format does not" in found.notes[0]


@pytest.mark.parametrize("blank", ["everywhere", "first", "none"])
def test_a_blank_behind_special_tokens_is_what_the_tokenizer_does(blank: str, tmp_path: Path) -> None:
    content = sentencepiece_file()
    files = {"tokenizer.json": of_sentencepiece(content, blank=blank), "tokenizer.model": content}
    found = converter_files(model(tmp_path, files), TEXTS)
    config = json.loads(found.files["tokenizer_config.json"])
    assert config["add_prefix_space"] is (blank == "everywhere")
    assert config["add_bos_token"] is True
    assert [entry["special"] for entry in config["added_tokens_decoder"].values()] == [True] * 4
    assert not found.made  # the model's own is right
    assert "tokenizer.model" not in found.files
    # SentencePiece's own puts a blank before every text.
    assert (found.agree, found.compared) == ((3, 3) if blank != "none" else (found.agree, 3))


def test_a_stale_sentencepiece_file_is_replaced(tmp_path: Path) -> None:
    """The vocabulary was extended in tokenizer.json alone."""
    content = sentencepiece_file()
    document = json.loads(of_sentencepiece(content, blank="everywhere"))
    entry = document["added_tokens"].pop()
    document["model"]["vocab"]["▁the▁dog"] = entry["id"]
    document["model"]["merges"].append(["▁the", "▁dog"])
    document["added_tokens"].append({**entry, "id": entry["id"] + 1})
    files = {"tokenizer.json": json.dumps(document).encode(), "tokenizer.model": content}
    found = converter_files(model(tmp_path, files), [*TEXTS, "the dog the dog"])
    assert found.made
    assert found.files["tokenizer.model"] != content
    assert (found.agree, found.compared) == (4, 4)


def test_a_sentencepiece_file_alone_is_kept(tmp_path: Path) -> None:
    files = {"tokenizer.model": sentencepiece_file()}
    found = converter_files(model(tmp_path, files, added_tokens_decoder={"340": {"content": "<turn_end>"}}), TEXTS)
    assert (found.kind, found.made, found.compared) == ("SentencePiece", False, 0)
    config = json.loads(found.files["tokenizer_config.json"])
    assert config["added_tokens_decoder"]["340"]["special"] is True
    assert config["add_prefix_space"] is True


def test_a_unigram_tokenizer_is_refused(tmp_path: Path) -> None:
    tokenizer = Tokenizer(models.Unigram([("<s>", 0.0), ("</s>", 0.0), ("<turn_end>", 0.0), ("a", -1.0)], 0))
    tokenizer.add_special_tokens(["<s>", "</s>", "<turn_end>"])
    with pytest.raises(UnsupportedFormat, match="a Unigram tokenizer that is neither"):
        converter_files(model(tmp_path, {"tokenizer.json": tokenizer.to_str().encode()}), TEXTS)


def test_a_template_that_cannot_be_written_in_ollamas_language_is_said_to_be_one(tmp_path: Path) -> None:
    template = TEMPLATE.replace("+ m.content", "+ loop.index ~ '. ' + m.content")
    files = {"tokenizer.json": byte_level(adds_bos=False)}
    made = modelfile(converter_files(model(tmp_path, files, chat_template=template), TEXTS), {})
    assert not made.has_template
    assert (
        made.text == 'FROM ./model.gguf\nPARAMETER stop "</s>"\nPARAMETER stop "<turn_end>"\nPARAMETER num_ctx 8192\n'
    )
    assert "does more than write texts around messages" in made.notes[0]


def test_the_templates_own_words_are_ollamas_system_message(tmp_path: Path) -> None:
    words = "{% if messages[0].role != 'system' %}{{ '<|system|>You are Qux, a model.<turn_end>' }}{% endif %}"
    files = {"tokenizer.json": byte_level(adds_bos=True)}
    template = TEMPLATE.replace("{{ bos_token }}", "{{ bos_token }}" + words)
    made = modelfile(
        converter_files(model(tmp_path, files, chat_template=template), TEXTS), {"max_position_embeddings": 64}
    )
    assert 'PARAMETER num_ctx 64\nSYSTEM """You are Qux, a model."""\nTEMPLATE """' in made.text
    assert made.notes == ()


def test_a_template_that_takes_thoughts_out_of_earlier_replies_is_said_to_be_one(tmp_path: Path) -> None:
    template = TEMPLATE.replace("+ m.content", "+ (m.content.split('</think>') | last).lstrip('\\n')")
    assert template != TEMPLATE
    files = {"tokenizer.json": byte_level(adds_bos=False)}
    made = modelfile(converter_files(model(tmp_path, files, chat_template=template), TEXTS), {})
    assert made.has_template
    assert made.notes == (
        "the chat template takes thoughts out of earlier replies, and Ollama's language cannot: the Modelfile's is the"
        " chat format where no earlier reply holds a thought; leave them out of what you send to Ollama",
    )


def test_a_date_in_the_template_is_said_to_stand_still(tmp_path: Path) -> None:
    template = "{{ bos_token + strftime_now('%d %b %Y') }}" + TEMPLATE.removeprefix("{{ bos_token }}")
    files = {"tokenizer.json": byte_level(adds_bos=False)}
    made = modelfile(converter_files(model(tmp_path, files, chat_template=template), TEXTS), {})
    assert "26 Jul 2024" in made.text
    assert "always that of 2024-07-26" in made.notes[0]
