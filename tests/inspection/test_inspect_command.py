# SPDX-License-Identifier: Apache-2.0
"""`chatvector inspect`: whole commands; the picture is a file of its format and the same for the same figures."""

from __future__ import annotations

import builtins
import json
import math
import re
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from typer.testing import CliRunner, Result

from builders import write_trio
from chatvector.cli.main import app
from chatvector.errors import IncompatibleParents, MissingExtra, UsageError
from chatvector.inspection import picture
from chatvector.inspection.picture import FONT, draw, missing_letters, render, require_format


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["inspect", *(str(word) for word in words)], prog_name="chatvector")


def document(*words: object) -> dict[str, Any]:
    result = run(*words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_checkpoint_a_pair_and_a_vector(tmp_path: Path) -> None:
    vector = tmp_path / "vector"
    made = CliRunner().invoke(app, ["extract", "demo:base", "demo:chat", "-o", str(vector)])
    assert made.exit_code == 0, made.output
    checkpoint, pair, stored = document("demo:base"), document("demo:base", "demo:chat"), document(vector)
    assert [found["kind"] for found in (checkpoint, pair, stored)] == ["checkpoint", "pair", "vector"]
    assert checkpoint["total"]["elements"] == 1_250_432
    assert stored["roles"]["mlp"]["norm"] == pytest.approx(pair["roles"]["mlp"]["norm"], rel=1e-6)
    # τ of the embedded trio is a few hundredths of base.
    assert 0.02 < pair["total"]["relative"] < 0.1


def test_tables(tmp_path: Path) -> None:
    result = run("demo:base", "demo:chat", "--rank", 4, "--tensors")
    assert result.exit_code == 0, result.output
    for word in ("attention", "of base", "energy at rank 4", "cosine of neighbouring layers", "128×128"):
        assert word in result.stdout
    assert "estimated" not in result.stdout
    assert "estimated from the fixed sample" in run("demo:base", "--sample").stdout
    assert not list(tmp_path.iterdir())


def test_a_merged_model_is_a_checkpoint_although_it_has_a_manifest(tmp_path: Path) -> None:
    trio = ["demo:target", "--base", "demo:base", "--chat", "demo:chat", "-o", str(tmp_path / "out")]
    assert CliRunner().invoke(app, ["apply", *trio]).exit_code == 0
    assert document(tmp_path / "out")["kind"] == "checkpoint"


def test_parents_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    trio = write_trio(tmp_path)
    result = run(trio.base, "demo:chat")
    assert isinstance(result.exception, IncompatibleParents)


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_pictures(tmp_path: Path, suffix: str) -> None:
    place = tmp_path / f"vector.{suffix}"
    found = document("demo:base", "demo:chat", "--rank", 4, "--plot", place)
    data = place.read_bytes()
    if suffix == "png":
        assert data.startswith(b"\x89PNG")
        width, height = struct.unpack(">II", data[16:24])
        assert (width, height) == (2340, 680)
    elif suffix == "svg":
        texts = " ".join(ElementTree.fromstring(data).itertext())
        for word in ("Size of the chat vector", "Cosine between layers", "Energy at rank 4", "mlp", "layer"):
            assert word in texts
    else:
        assert data.startswith(b"%PDF")
    assert render(found, suffix) == data


def size_axes(*values: float) -> Axes:
    """The panel of sizes of a vector whose layers have these root mean squares, laid out."""
    layers = {str(layer): {"roles": {"mlp": {"rms": value}}} for layer, value in enumerate(values)}
    figure = Figure()
    axes = figure.subplots()
    picture._sizes(axes, {"kind": "vector", "layers": layers, "roles": {}}, figure)
    figure.draw_without_rendering()
    return axes


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ((6.8e-3, 9.1e-3), [6e-3, 7e-3, 8e-3, 9e-3, 1e-2]),
        ((2.1e-3, 9.3e-3), [2e-3, 3e-3, 4e-3, 5e-3, 6e-3, 7e-3, 8e-3, 9e-3, 1e-2]),
        ((0.11, 0.97), [0.1, 0.2, 0.3, 0.5, 0.7, 1]),
        ((4e-3, 0.3), [2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.2, 0.5]),
        ((1e-3, 1e-3), [1e-3, 2e-3]),
        ((0.0, 0.3, 0.35), [0.3, 0.4]),
    ],
)
def test_the_sizes_of_a_vector_lie_between_labelled_ticks(values: tuple[float, ...], ticks: list[float]) -> None:
    axes = size_axes(*values)
    assert list(axes.get_yticks()) == pytest.approx(ticks)
    assert axes.get_ylim() == pytest.approx((ticks[0], ticks[-1]))
    assert all(label.get_text() for label in axes.get_yticklabels())
    assert len(axes.get_yticks(minor=True)) == 0


def test_sizes_over_many_decades_have_their_powers_of_ten() -> None:
    axes = size_axes(1e-9, 1.0)
    low, high = axes.get_ylim()
    assert low < 1e-9 < 1 < high
    assert all(math.log10(tick).is_integer() for tick in axes.get_yticks())


def test_a_vector_of_zeros_has_a_picture() -> None:
    assert size_axes(0.0, 0.0).get_yscale() == "linear"


HANGUL = "한국"


def named(name: str) -> dict[str, Any]:
    return document("demo:base") | {"names": [name]}


@pytest.fixture
def one_font(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A machine with ours alone; all fonts that are really there."""
    from matplotlib.font_manager import fontManager

    everything = fontManager.ttflist
    monkeypatch.setattr(fontManager, "ttflist", [font for font in everything if font.name == FONT])
    return everything


@pytest.mark.usefixtures("one_font")
def test_letters_that_no_font_has(tmp_path: Path) -> None:
    """pytest makes matplotlib's own warning an error."""
    trio = write_trio(tmp_path)
    place = trio.base.rename(tmp_path / f"모델-{HANGUL}")
    found = run(place, "--plot", tmp_path / "x.png")
    assert found.exit_code == 0, found.output
    assert "x.png: no installed font has 4 letters of the name (모델한국), they are boxes; install" in found.stderr
    assert "warning" not in run(place, "--plot", tmp_path / "x.svg").stderr
    assert HANGUL in " ".join(ElementTree.parse(tmp_path / "x.svg").getroot().itertext())


def test_a_font_that_has_the_letters_is_used(
    tmp_path: Path, one_font: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Circled letters: of the fonts that come with matplotlib only STIX has them."""
    from matplotlib.font_manager import fontManager

    assert missing_letters(named("Ⓑ-" + HANGUL)) == "Ⓑ" + HANGUL
    without = render(named("Ⓑ"), "png")
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    broken = replace(one_font[0], name="A Broken Font", fname=str(tmp_path / "broken.ttf"))
    monkeypatch.setattr(fontManager, "ttflist", [*one_font, broken])
    assert "Ⓑ" not in missing_letters(named("Ⓑ-" + HANGUL))
    assert render(named("Ⓑ"), "png") != without


def test_a_name_is_no_formula() -> None:
    assert r"a$\nope$" in " ".join(ElementTree.fromstring(render(named(r"a$\nope$"), "svg")).itertext())


def test_a_checkpoint_is_drawn_with_its_bytes() -> None:
    texts = " ".join(ElementTree.fromstring(render(document("demo:base"), "svg")).itertext())
    assert "Bytes by role" in texts
    assert "Cosine" not in texts


def test_a_picture_of_no_known_format_is_refused_before_anything_is_read() -> None:
    result = run("no-such-model-here/x", "--plot", "figure.gif")
    assert isinstance(result.exception, UsageError)
    assert r"figure.gif: a picture's name ends with .png, .svg, .pdf" in str(result.exception)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        draw(document("demo:base"), tmp_path / "absent" / "figure.png")


def test_a_model_without_layers_is_not_drawn(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to draw"):
        draw({"layers": {}}, tmp_path / "figure.png")


def test_without_matplotlib_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def absent(name: str, *arguments: Any, **named: Any) -> Any:
        if name.split(".")[0] == "matplotlib":
            raise ImportError(name)
        return original(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(MissingExtra, match=r"pip install 'chatvector\[plot\]'") as caught:
        require_format(Path("figure.png"))
    assert caught.value.exit_code == 7


def keys(value: Any) -> set[str]:
    """Names of figures in a document; names of roles, layers and tensors are not among them."""
    return set(value["total"]) | set(value["layers"]["0"]) | set(value["tensors"]["model.norm.weight"]) | set(value)


def test_the_page_lists_every_key() -> None:
    page = (Path(__file__).parents[2] / "docs" / "inspect.md").read_text("utf-8")
    listed = {word.split(".")[0] for word in re.findall(r"`([\w.]+)`", page)}
    assert keys(document("demo:base", "demo:chat", "--rank", 1)) <= listed
