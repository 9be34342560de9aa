# SPDX-License-Identifier: Apache-2.0
"""`chatvector check`, and what `plan` and `apply` do with the same verdict: whole commands on files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from builders import Spec, Trio, nudged, trio_specs, write_trio
from chatvector.checks.lineage import Verdict
from chatvector.cli.main import app
from chatvector.errors import InputError, LineageError, MissingInput, UsageError
from chatvector.pipeline import apply
from chatvector.recipe import Recipe


def honest_specs() -> dict[str, Spec]:
    """τ moves the weights by 2 % of their norm, continual pre-training by 6 %."""
    specs = trio_specs()
    base = specs["base"].weights
    specs["chat"].weights = nudged(base, 1, 0.001)
    specs["target"].weights = nudged(base, 2, 0.003)
    return specs


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="chatvector")


def recipe(trio: Trio, output: Path | None = None, *, scale: float = 1.0, **settings: object) -> Recipe:
    vector = {"base": str(trio.base), "chat": str(trio.chat), "scale": scale}
    document = {"target": str(trio.target), "vectors": [vector], **settings}
    return Recipe.from_mapping(document | ({"output": str(output)} if output else {}), "test")


def test_a_trio_that_fits(tmp_path: Path) -> None:
    trio = write_trio(tmp_path, honest_specs())
    result = run("check", trio.base, trio.chat, trio.target)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("fine: ok")
    assert "share of the chat vector in the target" in result.stdout


def test_swapped_parents_end_with_3_and_the_verdict_on_stdout(tmp_path: Path) -> None:
    trio = write_trio(tmp_path, honest_specs())
    result = run("check", trio.chat, trio.base, trio.target, "--json")
    assert result.exit_code == 3
    document = json.loads(result.stdout)
    assert document["refused"] is True
    assert document["lineage"]["verdict"] == "swapped"
    assert document["lineage"]["figures"]["chat_in_target"]["value"] == pytest.approx(1.0, abs=0.3)
    assert document["models"] == {"base": str(trio.chat), "chat": str(trio.base), "target": str(trio.target)}


def test_a_base_of_another_version_is_named_and_not_the_target_accused(tmp_path: Path) -> None:
    """Chat and target grew from one base, and another version of it is given: 16 % of its norm away."""
    specs = honest_specs()
    specs["base"].weights = nudged(specs["base"].weights, 3, 0.008)
    trio = write_trio(tmp_path, specs)
    result = run("check", trio.base, trio.chat, trio.target)
    assert result.exit_code == 3
    assert result.stdout.startswith("refused: other base version")
    assert "base is another version than the one that chat and target grew from; name that one as base" in result.stdout
    assert "take a target without it" not in result.stdout
    with pytest.raises(LineageError, match="name that one as base"):
        apply(recipe(trio, tmp_path / "out"))


def test_a_probe_that_cannot_start_does_not_hide_the_verdict(tmp_path: Path) -> None:
    """Swapped parents: what is given as chat has no template, and the probe could only ask for one."""
    trio = write_trio(tmp_path, honest_specs())
    words = ("check", trio.chat, trio.base, trio.target, "--probe", "--language", "ko")
    result = run(*words)
    assert result.exit_code == 3, result.output
    assert result.stdout.startswith("refused: swapped")
    assert "probe: not measured (" in result.stdout
    document = json.loads(run(*words, "--json").stdout)
    assert document["lineage"]["verdict"] == "swapped"
    assert "template" in document["probe"]["problem"]


def test_a_probe_that_cannot_start_ends_with_its_own_code(tmp_path: Path) -> None:
    specs = honest_specs()
    specs["chat"].tokenizer_config.pop("chat_template")
    trio = write_trio(tmp_path, specs)
    result = run("check", trio.base, trio.chat, trio.target, "--probe", "--language", "ko")
    assert isinstance(result.exception, UsageError)
    assert "probe: not measured (" in result.stdout


@pytest.mark.parametrize("file", ["generation_config.json", "special_tokens_map.json"])
@pytest.mark.parametrize("content", ["", '{"a'])
def test_what_apply_refuses_check_refuses(tmp_path: Path, file: str, content: str) -> None:
    trio = write_trio(tmp_path, honest_specs())
    (trio.chat / file).write_text(content)
    with pytest.raises(InputError, match=file):
        apply(recipe(trio, tmp_path / "out"))
    result = run("check", trio.base, trio.chat, trio.target)
    assert result.exit_code == 3
    assert result.stdout.startswith("refused: the output would be no chat model; lineage ok (")
    assert f"{file}: line 1, column " in result.stdout


@pytest.mark.parametrize("role", ["chat", "target"])
def test_a_byte_order_mark_before_a_configuration(tmp_path: Path, role: str) -> None:
    trio = write_trio(tmp_path, honest_specs())
    path = tmp_path / role / "config.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    with pytest.raises(InputError, match="BOM"):
        apply(recipe(trio, tmp_path / "out"))
    result = run("check", trio.base, trio.chat, trio.target)
    assert result.exit_code == 3
    assert "BOM" in result.stdout


@pytest.mark.parametrize("size", [-5, 12, 4000])
def test_a_target_whose_vocabulary_size_is_wrong(tmp_path: Path, size: int) -> None:
    specs = honest_specs()
    specs["target"].config["vocab_size"] = size
    trio = write_trio(tmp_path, specs)
    result = run("check", trio.base, trio.chat, trio.target)
    assert result.exit_code == 3
    assert f"config.json says vocab_size {size}, model.embed_tokens.weight has" in result.stdout


def test_a_target_without_rows(tmp_path: Path) -> None:
    specs = honest_specs()
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        if name in specs["target"].weights:
            specs["target"].weights[name] = specs["target"].weights[name][:0]
    trio = write_trio(tmp_path, specs)
    with pytest.raises(InputError, match=r"embed_tokens.weight has no rows; get the weights again"):
        apply(recipe(trio, tmp_path / "out"))
    result = run("check", trio.base, trio.chat, trio.target)
    assert result.exit_code == 3
    assert "has no rows" in result.stdout


def test_a_parent_that_holds_what_is_no_number_is_named_by_check_and_plan(tmp_path: Path) -> None:
    specs = honest_specs()
    name = "model.layers.1.mlp.up_proj.weight"
    specs["target"].weights[name][0, 0] = np.nan
    trio = write_trio(tmp_path, specs)
    said = f"non-finite values (NaN or infinity) in 1 sampled tensors: target: {name};"
    result = run("check", trio.base, trio.chat, trio.target)
    assert result.exit_code == 3
    assert result.stdout.startswith("refused: unknown")
    assert f"  refused: {said}" in result.stdout
    assert "nan" not in result.stdout.replace("NaN", "")
    assert json.loads(run("check", trio.base, trio.chat, trio.target, "--json").stdout)["refused"] is True
    plan = run("plan", trio.target, "--base", trio.base, "--chat", trio.chat, "--json")
    assert plan.exit_code == 0, plan.output
    assert any(said in line for line in json.loads(plan.stdout)["warnings"])


def test_parents_that_do_not_fit_are_all_said_at_once(tmp_path: Path) -> None:
    specs = honest_specs()
    specs["chat"].config["num_attention_heads"] = 8
    del specs["base"].weights["model.layers.1.mlp.up_proj.weight"]
    trio = write_trio(tmp_path, specs)
    result = run("check", trio.base, trio.chat, trio.target, "--json")
    assert result.exit_code == 3
    document = json.loads(result.stdout)
    assert document["lineage"] is None
    refusals = document["configuration"]["refusals"]
    assert [("num_attention_heads" in line, "up_proj" in line) for line in refusals] == [(True, False), (False, True)]


def test_a_target_that_moved_far_says_what_is_not_excluded(tmp_path: Path) -> None:
    specs = honest_specs()
    specs["target"].weights = nudged(specs["base"].weights, 2, 0.03)
    trio = write_trio(tmp_path, specs)
    far = run("check", trio.base, trio.chat, trio.target)
    assert far.exit_code == 0
    assert "1: of chat; a whole vector is not excluded)" in far.stdout
    trio = write_trio(tmp_path / "near", honest_specs())
    near = run("check", trio.base, trio.chat, trio.target)
    assert "1: of chat)" in near.stdout


def test_a_plan_names_the_probe(tmp_path: Path) -> None:
    trio = write_trio(tmp_path, honest_specs())
    result = run("plan", trio.target, "--base", trio.base, "--chat", trio.chat)
    assert (
        f"will the vector carry over: chatvector check {trio.base} {trio.chat} {trio.target} --probe" in result.stdout
    )


def test_a_plan_takes_the_three_models_in_the_order_of_check(tmp_path: Path) -> None:
    trio = write_trio(tmp_path, honest_specs())
    flags = run("plan", *trio.arguments(), "--scale", "0.5", "--json")
    beside = run("plan", trio.base, trio.chat, trio.target, "--scale", "0.5", "--json")
    assert beside.exit_code == 0, beside.output
    assert json.loads(beside.stdout) == json.loads(flags.stdout)
    assert json.loads(beside.stdout)["recipe"]["target"] == str(trio.target)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("b", "c"), "2 models named: write TARGET --base BASE --chat CHAT, or BASE CHAT TARGET"),
        (("b", "c", "t", "x"), "4 models named"),
        (("b", "c", "t", "--base", "b"), "--base: b c t name base, chat and target already"),
        (("b", "c", "t", "--chat", "c"), "--chat: b c t name base, chat and target already"),
        (("t",), "no chat vector given"),
    ],
)
def test_a_plan_of_another_number_of_models(words: tuple[str, ...], said: str) -> None:
    result = run("plan", *words)
    assert isinstance(result.exception, UsageError)
    assert said in str(result.exception)


def test_a_plan_in_another_order_is_refused_by_lineage(tmp_path: Path) -> None:
    trio = write_trio(tmp_path, honest_specs())
    result = run("plan", trio.chat, trio.base, trio.target)
    assert isinstance(result.exception, LineageError)
    assert "base and chat are swapped" in str(result.exception)


@pytest.mark.parametrize("role", ["base", "chat", "target"])
def test_a_model_without_a_tokenizer_is_refused_as_apply_refuses_it(tmp_path: Path, role: str) -> None:
    trio = write_trio(tmp_path, honest_specs())
    (getattr(trio, role) / "tokenizer.json").unlink()
    result = run("check", trio.base, trio.chat, trio.target)
    assert result.exit_code == 3
    assert "refused: the models do not fit" in result.stdout
    assert f"{getattr(trio, role)}: no tokenizer found" in result.stdout
    with pytest.raises(MissingInput, match="no tokenizer found"):
        apply(recipe(trio, tmp_path / "out"))


def test_a_difference_of_meaning_is_a_warning(tmp_path: Path) -> None:
    specs = honest_specs()
    specs["target"].config["rms_norm_eps"] = 1e-6
    trio = write_trio(tmp_path, specs)
    result = run("check", trio.base, trio.chat, trio.target)
    assert result.exit_code == 0
    assert result.stdout.startswith("warning: ok")
    assert "rms_norm_eps" in result.stdout


def test_check_writes_nothing(tmp_path: Path) -> None:
    trio = write_trio(tmp_path, honest_specs())
    before = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*"))
    run("check", trio.base, trio.chat, trio.target)
    assert sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*")) == before


def test_apply_refuses_what_check_refuses_and_force_goes_on(tmp_path: Path) -> None:
    trio = write_trio(tmp_path, honest_specs())
    swapped = Trio(base=trio.chat, chat=trio.base, target=trio.target)
    template = str(_template(tmp_path))
    with pytest.raises(LineageError, match="base and chat are swapped") as caught:
        apply(recipe(swapped, tmp_path / "out", chat_format=template))
    assert caught.value.exit_code == 3
    assert not (tmp_path / "out").exists()
    manifest = apply(recipe(swapped, tmp_path / "out", force_lineage=True, chat_format=template)).manifest
    assert manifest["lineage"][0]["verdict"] == "swapped"


def test_a_vector_added_twice_is_known_from_the_manifest_and_may_be_taken_away(tmp_path: Path) -> None:
    trio = write_trio(tmp_path, honest_specs())
    apply(recipe(trio, tmp_path / "once", scale=0.25))
    once = Trio(base=trio.base, chat=trio.chat, target=tmp_path / "once")
    assert (
        json.loads(run("check", once.base, once.chat, once.target, "--json").stdout)["lineage"]["verdict"] == "doubled"
    )
    with pytest.raises(LineageError, match=r"chat_vector\.json says that this chat vector was added at 0\.25"):
        apply(recipe(once, tmp_path / "twice"))
    apply(recipe(once, tmp_path / "back", scale=-0.25))


def test_plan_says_the_verdict_and_its_figures(tmp_path: Path) -> None:
    trio = write_trio(tmp_path, honest_specs())
    result = run("plan", *trio.arguments(), "--json")
    assert result.exit_code == 0, result.output
    (lineage,) = json.loads(result.stdout)["lineage"]
    assert lineage["verdict"] == "ok"
    # τ and drift of the test trio are noise of 0.001 and 0.003.
    assert lineage["drift_over_tau"] == pytest.approx(3, rel=0.05)
    assert "lineage 1: ok; share of the chat vector in the target" in run("plan", *trio.arguments()).stdout


def _template(folder: Path) -> Path:
    path = folder / "template.jinja"
    path.write_text("{% for message in messages %}{{ message['content'] }}</s>{% endfor %}")
    return path


def test_the_page_lists_every_verdict_and_key() -> None:
    page = (Path(__file__).parents[2] / "docs" / "lineage.md").read_text("utf-8")
    listed = {word.split(".")[0] for word in re.findall(r"`([\w. ]+)`", page)}
    lineage = json.loads(run("check", "demo:base", "demo:chat", "demo:target", "--json").stdout)["lineage"]
    assert set(lineage["figures"]) | set(lineage["signs"]) <= listed
    assert set(get_args(Verdict)) <= listed
