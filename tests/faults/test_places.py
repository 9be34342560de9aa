# SPDX-License-Identifier: Apache-2.0
"""Names and places: odd paths work, mistyped ones are no downloads, inputs are never written to."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from fault_models import command_line, tree

from builders import Trio, load_weights, trio_specs, write_trio
from chatvector.errors import ChatVectorError, MissingInput, OutputRefused, UnsupportedFormat, UsageError
from chatvector.pipeline import Result, apply
from chatvector.recipe import Recipe


def merge(trio: Trio, output: Path | str, **changes: str) -> Result:
    vector = {"base": str(trio.base), "chat": str(trio.chat)} | {k: v for k, v in changes.items() if k != "target"}
    target = changes.get("target", str(trio.target))
    return apply(Recipe.from_mapping({"target": target, "vectors": [vector], "output": str(output)}))


ODD = [
    "name@v1",
    "a+b",
    "with space",
    "모델",
    "a=0.5",
    "=",
    "--flag",
    "-o",
    "a,b;c",
    "%41",
    "a\tb",
    "x.safetensors",
    "é́",
]


@pytest.mark.parametrize("name", ODD)
def test_odd_names_are_just_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """As absolute paths, and as bare relative names after `--` or behind `./` where a shell user would need it."""
    folder = tmp_path / name
    trio = write_trio(folder)
    merge(trio, folder / f"out {name}")
    monkeypatch.chdir(folder)
    code, _, err = command_line(
        capsys, "apply", "target", "--base", "base", "--chat", "chat", "-o", f"./{name}", "--quiet"
    )
    assert (code, err) == (0, "")
    assert tree(folder / name).keys() == tree(folder / f"out {name}").keys()
    code, _, err = command_line(capsys, "extract", "./base", "./chat", "-o", f"./vec{name}", "--quiet")
    assert (code, err) == (0, "")
    code, _, err = command_line(capsys, "apply", "target", "--vector", f"./vec{name}", "-o", "from vector", "--quiet")
    assert (code, err) == (0, "")
    one, other = load_weights(folder / name), load_weights(folder / "from vector")
    assert {key: value.tobytes() for key, value in one.items()} == {
        key: value.tobytes() for key, value in other.items()
    }


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a name on this machine must not become a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


MISTYPED = {
    "a letter too many": ("chatt", MissingInput, r"chatt: there is no such directory; did you mean .*/chat\?"),
    "no such parent": ("nowhere/model", MissingInput, "has no nowhere"),
    "a file": ("base/config.json", UnsupportedFormat, "is a file, not a model directory"),
    "a weights file": ("base/model.safetensors", UnsupportedFormat, "name the directory that holds it"),
    "nothing": ("", UsageError, "names no model"),
    "a link to nowhere": ("dangling", MissingInput, "is a link to something that is not there"),
}


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("role", ["target", "base", "chat"])
@pytest.mark.parametrize("case", MISTYPED)
def test_mistyped_names(tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str, role: str) -> None:
    name, error, message = MISTYPED[case]
    trio = write_trio(tmp_path)
    (tmp_path / "dangling").symlink_to(tmp_path / "gone")
    given = f"{tmp_path}/{name}" if name else ""
    before = tree(tmp_path)
    with pytest.raises(error, match=message) as raised:
        merge(trio, tmp_path / "out", **{role: given})
    arguments = {"target": str(trio.target), "base": str(trio.base), "chat": str(trio.chat), role: given}
    code, _, err = command_line(
        capsys, "apply", arguments["target"], "--base", arguments["base"], "--chat", arguments["chat"],
        "-o", str(tmp_path / "out"), "--quiet",
    )  # fmt: skip
    assert code == raised.value.exit_code
    assert err == f"chatvector: {' '.join(str(raised.value).split())}\n"
    assert tree(tmp_path) == before


PLACES = {
    "exists": "full",
    "a file": "in/base/config.json",
    "an input": "in/target",
    "inside an input": "in/base/merged",
    "deep inside an input that is a link": "link/x/y",
    "an input by another way": "in/chat/../base",
    "a link to an input": "link",
    "a link to nowhere": "dangling",
    "the directory of the inputs": "in",
    "below a file": "in/base/config.json/out",
}


@pytest.mark.parametrize("case", PLACES)
def test_places_that_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str) -> None:
    trio = write_trio(tmp_path / "in")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_bytes(b"kept")
    (tmp_path / "link").symlink_to(trio.chat)
    (tmp_path / "dangling").symlink_to(tmp_path / "gone")
    before = tree(tmp_path)
    output = f"{tmp_path}/{PLACES[case]}"
    with pytest.raises(OutputRefused, match=r"exists already|overlaps the input|cannot be written") as raised:
        merge(trio, output)
    assert tree(tmp_path) == before
    for verb in (["apply", *trio.arguments()], ["extract", str(trio.base), str(trio.chat)]):
        if verb[0] == "extract" and case == "an input":
            output = str(trio.base)
        code, _, err = command_line(capsys, *verb, "-o", output, "--quiet")
        assert code == raised.value.exit_code == 2
        assert err.count("\n") == 1
        assert tree(tmp_path) == before


def test_an_empty_directory_is_taken_as_the_help_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, told, _ = command_line(capsys, "apply", "--help")
    assert "Directory to write; must be new or empty." in " ".join(told.split())
    trio = write_trio(tmp_path / "in")
    (tmp_path / "out").mkdir()
    merge(trio, tmp_path / "out")
    assert (tmp_path / "out" / "chat_vector.json").exists()


def test_models_behind_links(tmp_path: Path) -> None:
    """A hub cache is made of links: they are followed, and the output holds files."""
    trio = write_trio(tmp_path / "in")
    for role in ("base", "chat", "target"):
        cache = tmp_path / "cache" / role
        cache.mkdir(parents=True)
        for path in (tmp_path / "in" / role).iterdir():
            (cache / path.name).symlink_to(path)
    linked = Trio(*(tmp_path / "cache" / role for role in ("base", "chat", "target")))
    merge(linked, tmp_path / "one")
    merge(trio, tmp_path / "two")
    assert not any(path.is_symlink() for path in (tmp_path / "one").iterdir())
    one, two = tree(tmp_path / "one"), tree(tmp_path / "two")
    assert {name: data for name, data in one.items() if name != "chat_vector.json"} == {
        name: data for name, data in two.items() if name != "chat_vector.json"
    }


@pytest.mark.parametrize(
    "output", ["~nobody-of-this-name/out", "a\0b", "x" * 250, "ü" * 120, "x" * 300, "x" * 300 + "/out"]
)
def test_output_names_that_no_file_system_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str) -> None:
    monkeypatch.chdir(tmp_path)
    trio = write_trio(tmp_path / "in")
    with pytest.raises(ChatVectorError) as raised:
        merge(trio, output)
    assert raised.value.exit_code == 2
    assert "\n" not in str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_shards_in_a_folder(tmp_path: Path) -> None:
    """An index may name files in a folder (transformers reads them): found here too, and the output has its layout."""
    specs = trio_specs()
    specs["target"].shards = 2
    trio = write_trio(tmp_path / "in", specs)
    merge(trio, tmp_path / "plain")
    index = trio.target / "model.safetensors.index.json"
    (trio.target / "weights").mkdir()
    for shard in trio.target.glob("model-*"):
        if not shard.name.endswith(".json"):
            shard.rename(trio.target / "weights" / shard.name)
    index.write_text(index.read_text().replace('"model-', '"weights/model-'))
    merge(trio, tmp_path / "out")
    moved = {name.replace("weights/", ""): data for name, data in tree(tmp_path / "out").items()}
    for name, data in tree(tmp_path / "plain").items():
        if name.endswith(".safetensors"):
            assert moved[name] == data
    written = json.loads((tmp_path / "out" / index.name).read_text())["weight_map"]
    assert written == json.loads(index.read_text())["weight_map"]
