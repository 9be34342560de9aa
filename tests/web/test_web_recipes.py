# SPDX-License-Identifier: Apache-2.0
"""What the page offers as command and YAML makes the merge that was heard."""

from __future__ import annotations

import shlex
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from chatvector.arithmetic.scales import ScaleRules
from chatvector.cli.main import app
from chatvector.errors import UsageError
from chatvector.preparation import scale_rules
from chatvector.recipe import Recipe, VectorSpec
from chatvector.web.recipes import command_line, named_output, recipe_at

PAIR = Recipe(target="demo:target", vectors=(VectorSpec(base="demo:base", chat="demo:chat"),))
SCALES = st.floats(-4, 4).map(lambda value: round(value, 6))
RULES = st.builds(
    ScaleRules,
    SCALES,
    roles=st.dictionaries(st.sampled_from(["attention", "mlp", "norm", "embedding"]), SCALES, max_size=3),
    layers=st.dictionaries(st.tuples(st.integers(0, 1), st.integers(2, 3)), SCALES, max_size=2),
    tensors=st.dictionaries(st.sampled_from(["*.mlp.*", "model.norm.*"]), SCALES, max_size=2),
)


@given(RULES)
def test_the_recipe_holds_the_scales(rules: ScaleRules) -> None:
    made = recipe_at(PAIR, rules, "OUT")
    assert scale_rules(Recipe.from_yaml(made.to_yaml()).vectors[0]) == rules


@given(RULES)
def test_the_command_means_the_recipe(rules: ScaleRules) -> None:
    """The flags are read back by the parser of the verb itself."""
    words = shlex.split(command_line(recipe_at(PAIR, rules, "out dir")))
    assert words[:2] == ["chatvector", "apply"]
    flags = {"--scale": [], "--scale-role": [], "--scale-layers": [], "--scale-tensors": []}
    for flag, value in pairwise(words):
        if flag in flags:
            flags[flag].append(value)
    (scale,) = flags["--scale"]
    read = ScaleRules.parse(
        scale, roles=flags["--scale-role"], layers=flags["--scale-layers"], tensors=flags["--scale-tensors"]
    )
    assert read == rules
    assert words[-2:] == ["-o", "out dir"]


def test_the_command_runs(tmp_path: Path) -> None:
    out = tmp_path / "merged"
    rules = ScaleRules(0.5, roles={"norm": 0.0}, layers={(0, 1): 1.0}, tensors={"*.mlp.*": 0.25})
    line = command_line(recipe_at(PAIR, rules, str(out)))
    result = CliRunner().invoke(app, shlex.split(line)[1:])
    assert result.exit_code == 0, result.output
    assert (out / "model.safetensors").is_file()


def test_a_vector_on_disk_and_other_settings() -> None:
    recipe = Recipe(
        target="t", vectors=(VectorSpec(vector="v 1"),), vocabulary="skip", chat_format="target", force_lineage=True
    )
    assert command_line(recipe_at(recipe, ScaleRules(0.1 + 0.2))) == (
        "chatvector apply t --vector 'v 1' --scale 0.3 --vocabulary skip --chat-format target --force-lineage -o OUT"
    )


def test_where_to_write(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert named_output(" ~/merged ") == str(tmp_path / "merged")
    assert named_output("merged") == str(tmp_path / "merged")
    assert named_output("s3://bucket/merged") == "s3://bucket/merged"
    for text, message in (("  ", "where to"), ("~nobody-of-that-name/x", "no such user; write the path without ~")):
        with pytest.raises(UsageError, match=message):
            named_output(text)
