# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501  (tables: one fault a row)
"""Recipes and flags: strict, finite, and one line for a slip."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from fault_models import command_line

from builders import Trio, load_weights, write_trio
from chatvector.errors import MissingInput, RecipeError, UsageError
from chatvector.pipeline import apply
from chatvector.recipe import Recipe, parse_bytes

GOOD = """\
target: TARGET
vectors:
  - base: BASE
    chat: CHAT
    scale: 0.8
output: OUTPUT
"""

RECIPES = {
    "unknown key": ("trget: x\n" + GOOD, "unknown key 'trget' .did you mean 'target'"),
    "unknown key in a vector": (GOOD.replace("scale", "sclae"), r"unknown key 'vectors\.0\.sclae' .did you mean 'scale'"),
    "unknown key without a neighbour": (GOOD + "qqqqqq: 1\n", "unknown key 'qqqqqq'$"),
    "mergekit's key": (GOOD + "dtype: bfloat16\n", "unknown key 'dtype'"),
    "scale is not a number": (GOOD.replace("0.8", "much"), r"vectors\.0\.scale: .*number"),
    "scale in base 60": (GOOD.replace("0.8", "1:30"), r"vectors\.0\.scale: .*number"),
    "scale is a truth": (GOOD.replace("0.8", "yes"), r"vectors\.0\.scale: true is no number .YAML reads yes"),
    "scale of a role is a truth": (GOOD.replace("scale: 0.8", "scale_role: {norm: off}"), "norm: false is no number"),
    "threads are a truth": (GOOD + "threads: on\n", "threads: true is no number"),
    "scale is NaN": (GOOD.replace("0.8", ".nan"), r"vectors\.0\.scale: .*finite"),
    "scale is infinite": (GOOD.replace("0.8", "-.inf"), r"vectors\.0\.scale: .*finite"),
    "scale of a role is NaN": (GOOD.replace("scale: 0.8", "scale_role: {norm: .nan}"), r"scale_role\.norm: .*finite"),
    "no target": (GOOD.replace("target:", "#"), "target: .*required"),
    "no vector": ("target: a\nvectors: []\noutput: b\n", "vectors: .*at least 1"),
    "base without chat": (GOOD.replace("    chat:", "    #"), "needs either base and chat, or vector"),
    "base and a vector": (GOOD.replace("scale: 0.8", "vector: x"), "needs either"),
    "no YAML": ("a: [1\n", "no valid YAML"),
    "a list": ("- a\n", "must be a mapping"),
    "empty": ("", "must be a mapping"),
    "a month that is none": ("target: 2001-99-99\n", "no valid YAML .a value cannot be read: month"),
    "a tag that lies": ("target: !!int x\n", "no valid YAML .a value cannot be read: invalid literal"),
    "a tag without a reader": ("target: !!timestamp x\n", "no valid YAML .a value cannot be read"),
    "a truth that is none": ("target: !!bool x\n", "no valid YAML .a value cannot be read"),
    "brackets without end": ("[" * 5000, "no valid YAML .a value cannot be read: nested too deeply"),
    "a number of 5,000 digits": ("target: " + "9" * 5000 + "\n", "no valid YAML .a value cannot be read: Exceeds"),
    "a key that comes twice": (GOOD + "target: other\n", "no valid YAML .the key 'target' comes twice"),
    "a scale that comes twice": (GOOD.replace("scale: 0.8", "scale: 0.8\n    scale: 0.5"), "the key 'scale' comes twice"),
    "more memory than any number": (GOOD + "memory: '" + "9" * 400 + "'\n", "is no size; write 128MiB"),
    "a tag that would run code": ("target: !!python/object/apply:os.system ['true']\n", "no valid YAML"),
    "unknown policy": (GOOD + "vocabulary: shred\n", "vocabulary: .*'shared', 'skip' or 'strict'"),
    "no threads": (GOOD + "threads: 0\n", "threads: .*greater than or equal to 1"),
    "no memory": (GOOD + "memory: 0\n", "must be above 0"),
    "memory in words": (GOOD + "memory: a lot\n", "'a lot' is no size; write 128MiB"),
    "output is a number": (GOOD + "sha256: perhaps\n", "sha256: .*bool"),
}  # fmt: skip


@pytest.mark.parametrize("case", RECIPES)
def test_a_recipe_that_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str) -> None:
    text, message = RECIPES[case]
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=message) as raised:
        Recipe.from_file(path)
    assert str(raised.value).startswith(f"{path}: ")
    code, out, err = command_line(capsys, "run", str(path), "--quiet")
    assert (code, out) == (2, "")
    assert err == f"chatvector: {' '.join(str(raised.value).split())}\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["recipe.yaml"]


@pytest.fixture
def trio(tmp_path: Path) -> Trio:
    return write_trio(tmp_path / "in")


def test_a_recipe_that_is_right(tmp_path: Path, trio: Trio, capsys: pytest.CaptureFixture[str]) -> None:
    """The same bytes by YAML, by flags and by the library; round trip of the YAML."""
    text = GOOD
    for name, place in {
        "TARGET": trio.target,
        "BASE": trio.base,
        "CHAT": trio.chat,
        "OUTPUT": tmp_path / "one",
    }.items():
        text = text.replace(name, str(place))
    (tmp_path / "recipe.yaml").write_text(text)
    recipe = Recipe.from_yaml(text)
    assert Recipe.from_yaml(recipe.to_yaml()) == recipe
    assert command_line(capsys, "run", str(tmp_path / "recipe.yaml"), "--quiet")[0] == 0
    arguments = ["apply", *trio.arguments(), "--scale", "0.8", "-o", str(tmp_path / "two"), "--quiet"]
    assert command_line(capsys, *arguments)[0] == 0
    apply(recipe.model_copy(update={"output": str(tmp_path / "three")}))
    found = [{name: v.tobytes() for name, v in load_weights(tmp_path / n).items()} for n in ("one", "two", "three")]
    assert found[0] == found[1] == found[2]


def test_a_number_is_what_it_looks_like() -> None:
    """010 is eight in YAML 1.1; names that look like numbers to YAML 1.2 alone are read back as they were."""
    text = GOOD.replace("0.8", "1.0e-1\n    scale_layers: {010: 0, 3: .5, 0x1: +1.}") + "threads: 012\n"
    recipe = Recipe.from_yaml(text)
    vector = recipe.vectors[0]
    assert (vector.scale, recipe.threads) == (0.1, 12)
    assert vector.scale_layers == {"010": 0.0, "3": 0.5, "1": 1.0}
    for name in ("1e5", "0o10", "08", "010", "1:30", "1_0", "yes"):
        named = recipe.model_copy(update={"output": name})
        assert Recipe.from_yaml(named.to_yaml()) == named


def test_a_recipe_may_be_json(tmp_path: Path, trio: Trio, capsys: pytest.CaptureFixture[str]) -> None:
    vector = {"base": str(trio.base), "chat": str(trio.chat)}
    recipe = {"target": str(trio.target), "vectors": [vector], "output": str(tmp_path / "out")}
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(recipe))
    assert command_line(capsys, "run", str(path), "--quiet")[0] == 0
    path.write_text(json.dumps(recipe | {"scael": 1}))
    code, _, err = command_line(capsys, "run", str(path), "--quiet")
    assert (code, err) == (2, f"chatvector: {path}: unknown key 'scael' (did you mean 'scale'?)\n")


MANIFESTS = {
    "a directory": (None, 2, "is a directory; name a recipe, or the chat_vector.json in it"),
    "no JSON": ("{", 3, "no valid JSON"),
    "neither the one nor the other": ("{}", 3, "is no manifest of chatvector"),
    "a part is missing": ('{"kind": "model", "format": 1}', 3, "is no whole manifest .chatvector: Field required."),
    "a part is another": ('{"kind": "model", "format": 1, "run": {"recipe": 5}}', 3, "is no whole manifest"),
}


@pytest.mark.parametrize("case", MANIFESTS)
def test_what_cannot_be_run(tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str) -> None:
    text, code, message = MANIFESTS[case]
    path = tmp_path / "x.json"
    if text is None:
        path = tmp_path
    else:
        path.write_text(text)
    returned, out, err = command_line(capsys, "run", str(path), "-o", str(tmp_path / "out"), "--quiet")
    assert (returned, out) == (code, "")
    assert re.fullmatch(rf"chatvector: .*{message}.*\n", err)


def test_a_missing_recipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(MissingInput, match="no such recipe"):
        Recipe.from_file(tmp_path / "x.yaml")
    code, _, err = command_line(capsys, "run", str(tmp_path / "x.yaml"))
    assert (code, err) == (3, f"chatvector: {tmp_path}/x.yaml: no such recipe\n")


FLAGS: dict[str, tuple[list[str], str]] = {
    "no parents": ([], "no chat vector given: name --base and --chat, or --vector"),
    "base alone": (["--base", "x"], "--chat is missing"),
    "chat alone": (["--chat", "x"], "--base is missing"),
    "scale is NaN": (["--base", "x", "--chat", "y", "--scale", "nan"], "finite number"),
    "scale is infinite": (["--base", "x", "--chat", "y", "--scale", "inf"], "finite number"),
    "scale of a layer is no number": (["--base", "x", "--chat", "y", "--scale-layers", "0-3=half"], "'half' is no number"),
    "a role without a scale": (["--base", "x", "--chat", "y", "--scale-role", "norm"], "write ROLE=SCALE"),
    "scale of a vector is no number": (["--vector", "nowhere=half"], "'half' is no scale"),
    "memory": (["--base", "x", "--chat", "y", "--memory", "lots"], "'lots' is no size"),
}  # fmt: skip


@pytest.mark.parametrize("case", FLAGS)
def test_flags_that_are_wrong(trio: Trio, capsys: pytest.CaptureFixture[str], case: str) -> None:
    flags, message = FLAGS[case]
    code, out, err = command_line(capsys, "apply", str(trio.target), *flags, "-o", "out")
    assert (code, out) == (2, "")
    assert err.startswith("chatvector: ")
    assert message in err
    assert err.count("\n") == 1


def test_no_output(trio: Trio, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = command_line(capsys, "apply", *trio.arguments(), "--quiet")
    assert (code, err) == (2, "chatvector: no output given; name a directory with -o\n")


def test_too_little_memory(tmp_path: Path, trio: Trio, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["apply", *trio.arguments(), "-o", str(tmp_path / "out"), "--memory", "1KiB", "--quiet"]
    code, _, err = command_line(capsys, *arguments)
    assert code == 5
    assert re.fullmatch(r"chatvector: --memory 1\.0 KiB: one thread needs \d+\.\d KiB of buffers .* raise it\n", err)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "size"),
    [("128MiB", 128 << 20), ("1.5 GiB", 3 << 29), ("2kb", 2000), (7, 7), ("7", 7), (" 64 KIB ", 65536), ("10B", 10)],
)
def test_sizes(text: str | int, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "MiB", "-1", "1e3", "1TB", "0", "0.1", "1 2", "nan", 0])
def test_no_sizes(text: Any) -> None:
    with pytest.raises(ValueError, match="is no size"):
        parse_bytes(text)


SETTINGS = {
    "no value": ("scale", "write key=value"),
    "no such key": ("vectors.0.base.x=1", "the recipe has no"),
    "no such vector": ("vectors.7.scale=1", "the recipe has no"),
    "a misspelt key": ("vectors.0.sclae=1", "unknown key"),
    "no YAML": ("vectors.0.scale=[", "--set"),
    "a month that is none": ("output=2001-99-99", "--set output=2001-99-99: no valid YAML"),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_overrides_that_are_wrong(case: str) -> None:
    setting, message = SETTINGS[case]
    recipe = Recipe.from_yaml(GOOD)
    with pytest.raises(UsageError, match=message) as raised:
        recipe.with_settings([setting])
    assert "\n" not in str(raised.value)


def test_overrides() -> None:
    recipe = Recipe.from_yaml(GOOD)
    changed = recipe.with_settings(["vectors.0.scale=0.5", "threads=2", "output=x=y"])
    assert (changed.vectors[0].scale, changed.threads, changed.output) == (0.5, 2, "x=y")
