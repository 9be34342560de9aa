# SPDX-License-Identifier: Apache-2.0
"""`chatvector export` whole: what the directory holds, and that the model is left as it is."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner, Result

from builders import write_trio
from chatvector.cli.main import app
from chatvector.errors import (
    ChatVectorError,
    IncompatibleParents,
    MissingInput,
    NotEnoughSpace,
    OutputRefused,
    UnsupportedFormat,
)
from chatvector.handoff.folder import hand_over
from chatvector.runtime.loading import local_directory
from chatvector.vocabulary.sentencepiece_model import read_pieces

PADDING = 80


def export(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["export", *arguments])


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    document = json.loads(path.read_text("utf-8"))
    change(document)
    path.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")


def copy_of_the_demo(place: Path, rename: str | None = None) -> Path:
    """The embedded chat model with padding rows; `rename` gives its end of turn another name, and calls it not
    special."""
    shutil.copytree(local_directory("demo:chat"), place)
    weights = load_file(place / "model.safetensors")
    rows = weights["model.embed_tokens.weight"]
    weights["model.embed_tokens.weight"] = np.concatenate([rows, 0 * rows[:PADDING]])
    save_file(weights, place / "model.safetensors", metadata={"format": "pt"})
    edit(place / "config.json", lambda config: config.update(vocab_size=len(rows) + PADDING))
    if rename is not None:
        for name in ("tokenizer.json", "tokenizer_config.json"):
            text = (place / name).read_text("utf-8").replace("<|end|>", rename)
            (place / name).write_text(text, encoding="utf-8")
        edit(place / "tokenizer.json", lambda file: file["added_tokens"][3].update(special=False))
        edit(place / "tokenizer_config.json", lambda file: file["added_tokens_decoder"]["3"].update(special=False))
    return place


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_model_with_padding_rows(tmp_path: Path) -> None:
    model = copy_of_the_demo(tmp_path / "model")
    before = contents(model)
    done = export(str(model), "-o", str(tmp_path / "out"), "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    out = tmp_path / "out"
    assert contents(model) == before
    assert os.path.samefile(out / "model.safetensors", model / "model.safetensors")
    assert told["linked"] == ["model.safetensors"]
    assert told["copied"] == []
    assert told["rows"] == told["tokens"] + PADDING
    assert told["tokenizer"] == "SentencePiece"
    assert told["tokenizer_model_written"] is True
    # The trio's tokenizer parts a word from the blanks before it, no SentencePiece model does: Python code shows it.
    assert told["texts"]["same_tokens"] == told["texts"]["compared"] - 1 > 50
    assert told["end_of_turn"] == "<|end|>"
    assert told["stop_tokens"] == ["</s>", "<|end|>"]
    assert told["not_stopped_at"] == []
    (warning,) = told["warnings"]
    assert warning.startswith("1 of 100 texts are cut into other tokens than the model's tokenizer makes")
    assert told["changed"] == ["tokenizer.model", "tokenizer_config.json"]
    # Everything else is the model's, byte for byte.
    after = contents(out)
    kept = before.keys() - {"README.md", *told["changed"]}
    assert set(after) == {*kept, *told["changed"], "Modelfile"}
    assert all(after[name] == before[name] for name in kept)
    # The converter takes types from here, and fills the rest of the rows by itself.
    pieces = read_pieces(after["tokenizer.model"], "out")
    assert len(pieces) == told["tokens"]
    config = json.loads(after["tokenizer_config.json"])
    assert config["add_bos_token"] is True
    assert config["add_prefix_space"] is False
    assert config["added_tokens_decoder"]["3"]["special"] is True
    modelfile = after["Modelfile"].decode()
    assert modelfile.startswith(
        'FROM ./model.gguf\nPARAMETER stop "</s>"\nPARAMETER stop "<|end|>"\nPARAMETER num_ctx 512\nTEMPLATE """{{- '
    )
    assert modelfile.endswith('{{- end }}"""\n')
    assert "<s>" not in modelfile  # the engine puts it there


def test_an_end_of_turn_that_llama_cpp_does_not_know_by_its_name(tmp_path: Path) -> None:
    model = copy_of_the_demo(tmp_path / "model", rename="[TURN]")
    done = export(str(model), "-o", str(tmp_path / "out"), "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["end_of_turn"] == "[TURN]"
    assert told["changed"] == ["tokenizer.json", "tokenizer.model", "tokenizer_config.json"]
    config = json.loads((tmp_path / "out" / "tokenizer_config.json").read_text("utf-8"))
    assert config["eos_token"] == "[TURN]"
    assert config["added_tokens_decoder"]["3"]["special"] is True
    tokenizer = json.loads((tmp_path / "out" / "tokenizer.json").read_text("utf-8"))
    assert tokenizer["added_tokens"][3]["special"] is True
    assert "[TURN] is the eos of the GGUF file, not </s>" in " ".join(told["warnings"])
    assert told["not_stopped_at"] == []  # </s> is one of those that it knows


def test_for_people(tmp_path: Path) -> None:
    done = export("demo:chat", "-o", str(tmp_path / "눈 out"))
    assert done.exit_code == 0, done.output
    assert "SentencePiece, tokenizer.model written from tokenizer.json" in done.stdout
    assert f"convert_hf_to_gguf.py '{tmp_path}/눈 out' --outfile '{tmp_path}/눈 out/model.gguf'" in done.stdout


def test_what_cannot_be_handed_over(tmp_path: Path) -> None:
    trio = write_trio(tmp_path)

    def refused(error: type[ChatVectorError], text: str, name: str | Path, out: str = "out") -> None:
        with pytest.raises(error, match=text):
            hand_over(str(name), str(tmp_path / out), lambda _line: None)
        assert not [path for path in tmp_path.iterdir() if path.name.startswith((".out", "out"))]

    refused(MissingInput, "has no chat template", trio.base)
    refused(UnsupportedFormat, "a WordLevel tokenizer that is neither", trio.chat)
    refused(MissingInput, "no such", tmp_path / "nothing")
    model = copy_of_the_demo(tmp_path / "model")
    edit(model / "config.json", lambda config: config.update(vocab_size=3584))
    refused(IncompatibleParents, "vocab_size 3584 and the embedding has 3664 rows", model)
    with pytest.raises(OutputRefused, match="exists already"):
        hand_over("demo:chat", str(model), lambda _line: None)
    with pytest.raises(OutputRefused, match="overlaps the input"):
        hand_over(str(model), str(model / "out"), lambda _line: None)


def test_where_nothing_can_be_linked_the_weights_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_link(*_paths: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr("os.link", no_link)
    done = hand_over("demo:chat", str(tmp_path / "out"), lambda _line: None)
    assert (done.linked, done.copied) == ((), ("model.safetensors",))
    assert (
        contents(tmp_path / "out")["model.safetensors"] == contents(local_directory("demo:chat"))["model.safetensors"]
    )
    monkeypatch.setattr("chatvector.handoff.folder.free_bytes", lambda _place: 1000)
    with pytest.raises(NotEnoughSpace, match=r"a copy needs 2\.5 MB where 1\.0 kB are free"):
        hand_over("demo:chat", str(tmp_path / "other"), lambda _line: None)
    assert [one.name for one in tmp_path.iterdir()] == ["out"], "it begins anew, so nothing is left to go on from"


def test_a_full_disk_says_so(small_disk: Callable[[int], Path]) -> None:
    """Another file system, too small for the copy that a link cannot be."""
    disk = small_disk(1)
    with pytest.raises(NotEnoughSpace, match="cannot be linked there"):
        hand_over("demo:chat", str(disk / "out"), lambda _line: None)
    assert not list(disk.iterdir())
