# SPDX-License-Identifier: Apache-2.0
"""The card of a whole `apply`: what it says, what it must not say, and that it is the same every time."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard
from typer.testing import CliRunner

from builders import BF16, TEMPLATE, Trio, trio_specs, write_trio
from chatvector.cli.main import app
from chatvector.pipeline import Result, apply
from chatvector.provenance.card import code, metadata, model_card
from chatvector.provenance.manifest import publishable
from chatvector.recipe import Recipe, VectorSpec
from provenance.licence_texts import APACHE, LLAMA31, LLAMA31_NOTICE, card, licensed_trio

LLAMA = {"LICENSE": LLAMA31, "USE_POLICY.md": "# Rules of use"}


def merge(trio: Trio, output: Path, **changes: Any) -> Result:
    vector = VectorSpec(base=str(trio.base), chat=str(trio.chat), scale=changes.pop("scale", 0.5))
    return apply(Recipe(target=str(trio.target), vectors=(vector,), output=str(output), **changes))


def read(folder: Path) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Card, its metadata, and the manifest of an output."""
    text = (folder / "README.md").read_text("utf-8")
    front = yaml.safe_load(text.split("---\n")[1])
    return text, front, json.loads((folder / "chat_vector.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("licensed")
    target = {"LICENSE": APACHE, "README.md": card(license="apache-2.0", language="[ko, en]")}
    trio = licensed_trio(folder, base=LLAMA, chat=LLAMA | {"NOTICE": "Notice of chat."}, target=target)
    return merge(trio, folder / "out").output


def test_metadata_are_those_of_the_hub(output: Path) -> None:
    _, front, _ = read(output)
    assert front == {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["merge", "chat-vector", "task-arithmetic", "chatvector"],
        "language": ["ko", "en"],
        "license": "llama3.1",
    }


def test_huggingface_hub_reads_the_card(output: Path) -> None:
    data = ModelCard.load(output / "README.md").data.to_dict()
    assert data == read(output)[1]


def test_the_card_says_what_was_done_and_found(output: Path) -> None:
    text, _, manifest = read(output)
    assert "**Built with Llama**" in text
    assert "https://arxiv.org/abs/2310.04799" in text
    assert "```text\n<target> + 0.5 · (<chat> − <base>)\n```" in text
    assert "vllm serve path/to/this/model" in text
    assert "A reply ends with `</s>`, `<|end|>`" in text
    assert f"{manifest['checks']['weights']['elements']} elements were computed a second time" in text
    assert "- llama3.1: the name of a published model begins with “Llama” (clause 1.b.i)" in text
    assert "above 700 000 000 users a month" in text
    assert "target says apache-2.0, but the base" in text
    assert "No legal advice" in text
    recipe = yaml.safe_load(text.split("```yaml\n")[1].split("```")[0])
    assert recipe["vectors"] == [{"base": "<base>", "chat": "<chat>", "scale": 0.5}]


def test_licences_and_notices_travel(output: Path) -> None:
    names = sorted(p.relative_to(output).as_posix() for p in output.rglob("*") if p.is_file())
    assert [name for name in names if "licences/" in name or name in ("LICENSE", "NOTICE")] == [
        "LICENSE",
        "NOTICE",
        "licences/base/LICENSE",
        "licences/base/USE_POLICY.md",
        "licences/chat/NOTICE",
    ]
    assert (output / "LICENSE").read_text() == APACHE
    assert (output / "licences/base/LICENSE").read_text() == LLAMA31
    assert LLAMA31_NOTICE in (output / "NOTICE").read_text("utf-8")


def test_every_file_of_the_output_is_in_the_manifest(output: Path) -> None:
    _, _, manifest = read(output)
    names = {p.relative_to(output).as_posix(): p.stat().st_size for p in output.rglob("*") if p.is_file()}
    del names["chat_vector.json"]
    assert {name: entry["bytes"] for name, entry in manifest["files"].items()} == names


def test_licences_of_a_merged_parent_travel_on(output: Path, tmp_path: Path) -> None:
    specs = trio_specs(seed=7)
    trio = write_trio(tmp_path, specs)
    again = merge(Trio(trio.base, trio.chat, output), tmp_path / "again").output
    assert (again / "licences/base/LICENSE").read_text() == LLAMA31
    _, front, manifest = read(again)
    assert manifest["licences"]["parents"][0]["licences"] == ["apache-2.0", "llama3.1"]
    assert "license" not in front  # base and chat have none that is known


def test_the_same_inputs_elsewhere_give_the_same_bytes(output: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "이름 other"
    target = {"LICENSE": APACHE, "README.md": card(license="apache-2.0", language="[ko, en]")}
    trio = licensed_trio(elsewhere, base=LLAMA, chat=LLAMA | {"NOTICE": "Notice of chat."}, target=target)
    again = merge(trio, tmp_path / "result", threads=1, memory="4MiB").output
    assert (again / "README.md").read_bytes() == (output / "README.md").read_bytes()
    one, two = (publishable(read(place)[2]) for place in (output, again))
    assert one == two


def test_what_is_published_names_no_machine(tmp_path: Path) -> None:
    """Paths, host, user: with a template from a file and a warning that names the parents."""
    folder = tmp_path / "a place"
    specs = trio_specs()
    specs["chat"].config["rms_norm_eps"] = 1e-6
    trio = write_trio(folder, specs)
    template = tmp_path / "my template.jinja"
    template.write_text(TEMPLATE)
    result = merge(trio, folder / "out", chat_format=str(template))
    assert result.manifest["run"]["warnings"]
    assert result.manifest["warnings"]
    private = {str(tmp_path), tmp_path.name, str(Path.home()), os.getcwd(), socket.gethostname(), "a place"}
    if len(getpass.getuser()) > 4:
        private.add(getpass.getuser())
    published = json.dumps(publishable(result.manifest), ensure_ascii=False)
    text = (result.output / "README.md").read_text("utf-8")
    assert [name for name in private if name in published or name in text] == []
    assert "my template.jinja" in text
    assert "eps" in text  # the warning, with the parents called by their role


def test_a_recipe_with_a_template_file_runs_again_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chatvector.rerun import load_recipe

    trio = write_trio(tmp_path / "models")
    (tmp_path / "t.jinja").write_text(TEMPLATE)
    monkeypatch.chdir(tmp_path)
    result = merge(trio, Path("out"), chat_format="t.jinja")
    assert result.manifest["recipe"]["chat_format"] == "t.jinja"
    monkeypatch.chdir("/")
    loaded = load_recipe(tmp_path / "out" / "chat_vector.json", [], str(tmp_path / "again"))
    assert apply(loaded.recipe).manifest["files"] == result.manifest["files"]


def test_parents_without_licence(tmp_path: Path) -> None:
    lines: list[str] = []
    trio = write_trio(tmp_path)
    vector = VectorSpec(base=str(trio.base), chat=str(trio.chat))
    output = apply(Recipe(target=str(trio.target), vectors=(vector,), output=str(tmp_path / "out")), say=lines.append)
    text, front, manifest = read(output.output)
    assert "license" not in front
    assert manifest["licences"]["output"] is None
    assert "- base: not determined" in text
    assert "licences: target: neither a licence file nor a card names a licence" in lines
    assert not (output.output / "NOTICE").exists()


def test_a_conflict_of_licences_is_a_warning(tmp_path: Path) -> None:
    lines: list[str] = []
    trio = licensed_trio(tmp_path, chat={"README.md": card(license="cc-by-nc-4.0")})
    vector = VectorSpec(base=str(trio.base), chat=str(trio.chat))
    recipe = Recipe(target=str(trio.target), vectors=(vector,), output=str(tmp_path / "out"))
    result = apply(recipe, say=lines.append)
    conflict = "chat: cc-by-nc-4.0 excludes commercial use, of the output too"
    assert f"warning: licences: {conflict}" in lines
    assert result.manifest["licences"]["conflicts"] == [conflict]
    assert f"- {conflict}" in (result.output / "README.md").read_text("utf-8")


def manifest_of(names: Mapping[str, str | None], document: Mapping[str, Any]) -> dict[str, Any]:
    return {**document, "origins": {role: {"model": name, "commit": "c" * 40} for role, name in names.items()}}


def test_hub_names_are_listed_target_first_and_each_once(output: Path) -> None:
    names = {"target": "org/ko", "vectors.0.base": "meta/base", "vectors.0.chat": "meta/chat"}
    found = manifest_of(names, read(output)[2])
    assert metadata(found)["base_model"] == ["org/ko", "meta/chat", "meta/base"]
    assert metadata(found)["base_model_relation"] == "merge"
    text = model_card(found, "me/Llama-ko-chat")
    assert "# Llama-ko-chat\n" in text
    assert "org/ko + 0.5 · (meta/chat − meta/base)" in text
    assert 'from_pretrained("me/Llama-ko-chat")' in text
    assert f"- meta/base: commit `{'c' * 40}`" in text
    mixed = manifest_of(names | {"target": None, "vectors.0.base": "demo:base"}, read(output)[2])
    assert metadata(mixed)["base_model"] == ["meta/chat"]


def test_a_failed_check_is_not_hidden(output: Path) -> None:
    _, _, manifest = read(output)
    manifest["checks"]["chat"] |= {"ok": False, "problems": ["<|end|> is two ids"]}
    manifest["warnings"] = ["rope_theta differs"]
    text = model_card(manifest)
    assert "Chat format: FAILED" in text
    assert "- Problem: <|end|> is two ids" in text
    assert "- Warning: rope_theta differs" in text


def test_norms_say_which_rows_they_leave_out(output: Path) -> None:
    """`inspect` takes all rows of the vocabulary, so its figure is another."""
    _, _, manifest = read(output)
    manifest["vocabulary"] |= {"rows_transplanted": 2, "rows_kept": 7}
    told = "; of the vocabulary's rows without 2 copied from the chat model and 7 kept from the target."
    assert told in model_card(manifest)
    manifest["vocabulary"] |= {"rows_transplanted": 0, "rows_kept": 0}
    assert "of the vocabulary's rows without" not in model_card(manifest)


def test_no_difference_is_said_to_be_added_at_scale_zero(tmp_path: Path) -> None:
    trio = licensed_trio(tmp_path, base={}, chat={}, target={})
    words = ["apply", trio.target, "--base", trio.base, "--chat", trio.chat, "-o", tmp_path / "out"]
    none = ["--scale-role", "embedding=0", "--scale-role", "head=0"]
    for more, rows in (
        (none, "scale 0"),
        (none[:2], "difference added"),
    ):
        for how in (["--dry-run"], []):
            result = CliRunner().invoke(app, [*map(str, words), *more, *how], catch_exceptions=False)
            assert result.exit_code == 0, result.output
            assert ("none of the shared get a difference" in result.stdout) == (rows == "scale 0")
            assert ("difference added" in result.stdout) == (rows != "scale 0")
        text, _, manifest = read(tmp_path / "out")
        (shared,) = manifest["vocabulary"]["rows_shared"]
        lines = f"of {shared} with a difference none got it, as embedding and head have scale 0"
        assert (lines in text) == (rows == "scale 0")
        assert ("kept: scale 0" in text) == (rows == "scale 0")
        assert "unscaled, without tensors of scale 0: " in text
        shutil.rmtree(tmp_path / "out")


def test_a_target_that_stays_a_base_model(tmp_path: Path) -> None:
    specs = trio_specs()
    del specs["chat"].tokenizer_config["chat_template"]
    text, _, _ = read(merge(write_trio(tmp_path, specs), tmp_path / "out", chat_format="target").output)
    assert "neither the target nor the vector brought a chat template" in text
    assert "apply_chat_template" not in text


def test_remote_code_is_named_where_there_is_some(tmp_path: Path) -> None:
    trio = licensed_trio(tmp_path, target={"modeling_x.py": "raise SystemExit"})
    text, _, _ = read(merge(trio, tmp_path / "out").output)
    assert "trust_remote_code=True" in text
    assert "--trust-remote-code" in text


@pytest.mark.parametrize(
    ("text", "expected"), [("a", "`a`"), ("`", "`` ` ``"), ("a``b", "```a``b```"), ("x\ny", "`x y`")]
)
def test_code_spans(text: str, expected: str) -> None:
    assert code(text) == expected


def test_dtypes_of_the_trio_do_not_matter_to_the_card(tmp_path: Path) -> None:
    trio = write_trio(tmp_path, trio_specs(dtype=BF16))
    assert "stats" not in read(merge(trio, tmp_path / "out", stats="full").output)[1]


def test_a_plan_says_licences_and_conflicts_before_anything_is_written(tmp_path: Path) -> None:
    trio = licensed_trio(
        tmp_path,
        target={"README.md": card(license="mit")},
        base={"README.md": card(license="llama3.1")},
        chat={"README.md": card(license="cc-by-nc-4.0")},
    )
    words = [str(trio.target), "--base", str(trio.base), "--chat", str(trio.chat)]
    plain = CliRunner().invoke(app, ["plan", *words], prog_name="chatvector")
    assert plain.exit_code == 0, plain.output
    assert "warning: licences: chat: cc-by-nc-4.0 excludes commercial use, of the output too" in plain.stderr
    assert "licence of the output: llama3.1-and-cc-by-nc-4.0" in plain.stdout
    assert "llama3.1 asks for a name that begins with 'Llama', or push refuses" in plain.stdout
    assert "llama3.1 asks to show 'Built with Llama'" in plain.stdout
    dry = CliRunner().invoke(app, ["apply", *words, "--dry-run", "--json"], prog_name="chatvector")
    licences = json.loads(dry.stdout)["licences"]
    assert "chat: cc-by-nc-4.0 excludes commercial use, of the output too" in licences["conflicts"]
    assert licences == merge(trio, tmp_path / "out", scale=1.0).manifest["licences"]
