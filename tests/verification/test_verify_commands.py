# SPDX-License-Identifier: Apache-2.0
"""`chatvector verify` and `chatvector doctor` as commands: what they print, exit codes, a reply, mended files."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from chatvector.cli.main import app
from chatvector.errors import InputError, VerificationFailed
from doctor.patients import Body, merge


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo") / "out"
    trio = ["demo:target", "--base", "demo:base", "--chat", "demo:chat"]
    assert run("apply", *trio, "--scale", "0.75", "-o", str(out), "--quiet").exit_code == 0
    return out


@pytest.fixture
def merged(tmp_path: Path) -> Body:
    return Body(merge(tmp_path))


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words), prog_name="chatvector")


def test_the_merged_trio_is_verified_speaks_and_stops(demo: Path) -> None:
    done = run("verify", str(demo), "--full", "--generate", "--json")
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["ok"] is True
    checks = {check["name"]: check for check in document["checks"]}
    assert [check["ok"] for check in checks.values()] == [True] * 6
    assert checks["weights"]["figures"]["elements"] == checks["weights"]["figures"]["of_elements"]
    assert {"user", "system", "three turns", "tools"} <= set(checks["model"]["figures"]["conversations"])
    assert checks["reply"]["figures"]["stopped"] > 0


def test_the_report_says_how_much_was_computed(merged: Body) -> None:
    done = run("verify", str(merged.path), "--no-generate")
    assert done.exit_code == 0, done.output
    assert "ok      weights: 21 tensors, 5,968 of 5,968 elements computed again (a sample of 100.00%)" in done.stdout
    assert done.stdout.splitlines()[-1].startswith(f"{merged.path}: verified: files, weights, side files, manifest")


def test_a_difference_ends_with_four_after_the_report(merged: Body) -> None:
    merged.write(
        "config.json", (merged.path / "config.json").read_text().replace('"vocab_size": 64', '"vocab_size": 65')
    )
    done = run("verify", str(merged.path), "--no-generate", "--json")
    assert isinstance(done.exception, VerificationFailed)
    assert done.exception.exit_code == 4
    assert "config.json differs in vocab_size" in str(done.exception)
    document = json.loads(done.stdout)
    assert document["ok"] is False
    assert document["summary"].startswith("differences (2)")


def test_many_differences_are_five_of_them_briefly_and_their_number(merged: Body) -> None:
    for name in ("config.json", "tokenizer.json", "generation_config.json"):
        merged.write(name, (merged.path / name).read_text() + " " * 9)
    for number in range(5):
        merged.write(f"model-{'x' * 100}{number}.safetensors", b"x")
    done = run("verify", str(merged.path), "--no-generate")
    line = str(done.exception).removeprefix(f"{merged.path}: ")
    assert "\n" not in line
    assert len(line) < 400
    said = re.fullmatch(r"differences \((\d+)\): (.*), … \((\d+) more\)", line)
    assert said is not None
    assert int(said[1]) == int(said[3]) + 5 > 8
    assert said[2].startswith("files: config.json has ")
    assert f"model-{'x' * 100}4.safetensors was not there when the model was made" in done.stdout


def test_that_a_model_cannot_be_judged_is_a_json_document_too(merged: Body, tmp_path: Path) -> None:
    (tmp_path / "chat").rename(tmp_path / "moved")
    done = run("verify", str(merged.path), "--json", "--quiet")
    assert isinstance(done.exception, InputError)
    document = json.loads(done.stdout)
    assert document == {
        "output": str(merged.path),
        "ok": None,
        "checks": [],
        "error": str(done.exception),
        "exit_code": 3,
    }
    assert "its parents cannot be read any more" in document["error"]
    (tmp_path / "empty").mkdir()
    done = run("doctor", str(tmp_path / "empty"), "--json")
    document = json.loads(done.stdout)
    assert document["healthy"] is None
    assert document["error"] == str(done.exception)
    assert "it is empty" in document["error"]
    assert run("doctor", str(tmp_path / "empty")).stdout == ""


def test_a_model_that_transformers_does_not_load_whole(merged: Body) -> None:
    from chatvector.verification.reply import speak

    with merged.weights() as weights:
        del weights["model.norm.weight"]
    found = speak(merged.path)
    assert found.ok is False
    assert "1 missing keys" in found.problems[0]


@pytest.mark.parametrize(("stop", "stopped"), [(63, 0), (0, 4)])
def test_a_reply_has_to_end(merged: Body, stop: int, stopped: int) -> None:
    """With a head of zeros every logit is equal, and the first token is written again and again. The limit is half of
    the model's context of 128 tokens."""
    from chatvector.verification.reply import speak

    with merged.json("generation_config.json") as config:
        config["eos_token_id"] = stop
    with merged.weights() as weights:
        weights["lm_head.weight"][:] = 0
    found = speak(merged.path)
    assert found.figures["stopped"] == stopped
    assert found.ok is (stopped > 0)
    assert found.problems == (() if stopped else ("no reply to 4 greetings ended within 64 tokens",))


def test_doctor_finds_nothing_and_recomputes(demo: Path) -> None:
    done = run("doctor", str(demo), "--json")
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["healthy"] is True
    assert document["findings"] == []
    assert document["verify"]["ok"] is True
    assert document["fix"] is None


@pytest.mark.parametrize("member", ["base", "chat", "target"])
def test_doctor_on_the_trio(member: str) -> None:
    done = run("doctor", f"demo:{member}")
    assert done.exit_code == 0, done.output
    assert "faults: 0" in done.stdout


def test_doctor_names_fault_consequence_and_cure_and_mends(merged: Body, tmp_path: Path) -> None:
    merged.remove("chat_vector.json")
    with merged.json("generation_config.json") as config:
        config["eos_token_id"] = 1
    done = run("doctor", str(merged.path), "--fix", str(tmp_path / "mended"))
    assert isinstance(done.exception, VerificationFailed)
    assert done.exception.exit_code == 4
    assert str(done.exception) == f"{merged.path}: faults found (1): stop-missing"
    shown = " ".join(done.stdout.split())
    assert "faults: 1, warnings: 0, notes: 0" in shown
    assert "fault" in shown
    assert "mended/. MODEL/" in shown
    (written,) = (tmp_path / "mended").iterdir()
    assert json.loads(written.read_text())["eos_token_id"] == [1, merged.ids()["<|end|>"]]
    merged.write(written.name, written.read_bytes())
    assert run("doctor", str(merged.path)).exit_code == 0


def test_doctor_restores_what_was_lost_from_the_parents_of_the_manifest(demo: Path, tmp_path: Path) -> None:
    lost = Body(demo).copy(tmp_path / "lost")
    with lost.json("tokenizer_config.json") as config:
        del config["chat_template"]
    lost.remove("generation_config.json")
    done = run("doctor", str(lost.path), "--fix", str(tmp_path / "mended"), "--json")
    assert str(done.exception) == f"{lost.path}: faults found (1): template-missing"
    document = json.loads(done.stdout)
    names = ["generation_config.json", "tokenizer_config.json"]
    assert document["fix"] == names
    assert document["restored"] == {
        "files": names,
        "parents": ["demo:target", "demo:base", "demo:chat"],
        "reason": None,
    }
    for name in names:
        assert (tmp_path / "mended" / name).read_bytes() == (demo / name).read_bytes()
        lost.write(name, (tmp_path / "mended" / name).read_bytes())
    shown = run("doctor", str(lost.path), "--fix", str(tmp_path / "again"))
    assert shown.exit_code == 0, shown.output
    assert "nothing that --fix can mend safely" in shown.stdout
    assert not (tmp_path / "again").exists()


def test_doctor_restores_nothing_from_parents_that_changed(merged: Body, tmp_path: Path) -> None:
    chat = Body(tmp_path / "chat")
    with chat.template() as template:
        template[0] += "{# later #}"
    with merged.json("tokenizer_config.json") as config:
        del config["chat_template"]
    done = run("doctor", str(merged.path), "--fix", str(tmp_path / "mended"))
    said = " ".join(done.stdout.split())
    assert "nothing is restored from the manifest's parents:" in said
    assert "1 of 3 parents are no longer what they were: vectors.0.chat (tokenizer_config.json)" in said
    assert not (tmp_path / "mended" / "tokenizer_config.json").exists()


def test_run_compares_the_parents_that_no_setting_replaces(merged: Body, tmp_path: Path) -> None:
    manifest, changed = str(merged.path / "chat_vector.json"), "vectors.0.chat (tokenizer_config.json)"
    shutil.copytree(tmp_path / "chat", tmp_path / "other")
    shutil.copytree(tmp_path / "target", tmp_path / "own")
    with Body(tmp_path / "chat").template() as template:
        template[0] += "{# later #}"
    for number, setting in enumerate(("memory=64MiB", "vectors.0.scale=0.5", f"target={tmp_path / 'own'}")):
        done = run("run", manifest, "-o", str(tmp_path / f"again-{number}"), "--set", setting)
        assert isinstance(done.exception, InputError), done.output
        assert f"1 of 3 parents are no longer what they were: {changed}" in str(done.exception)
    done = run("run", manifest, "-o", str(tmp_path / "again"), "--set", f"vectors.0.chat={tmp_path / 'other'}")
    assert done.exit_code == 0, done.output


def test_doctor_leaves_side_files_that_are_not_at_fault(merged: Body, tmp_path: Path) -> None:
    with merged.json("generation_config.json") as config:
        config["temperature"] = 0.5
    done = run("doctor", str(merged.path), "--fix", str(tmp_path / "mended"), "--json")
    document = json.loads(done.stdout)
    assert (document["fix"], document["restored"]) == ([], None)
    assert document["verify"]["ok"] is False


def test_doctor_restores_only_what_the_manifest_recorded(merged: Body, tmp_path: Path) -> None:
    with merged.json("tokenizer_config.json") as config:
        del config["chat_template"]
    with merged.json("chat_vector.json") as manifest:
        manifest["files"]["tokenizer_config.json"]["bytes"] += 1
    done = run("doctor", str(merged.path), "--fix", str(tmp_path / "mended"), "--json")
    reason = "this version makes tokenizer_config.json otherwise than the manifest says"
    assert json.loads(done.stdout)["restored"] == {"files": [], "parents": [], "reason": reason}


def test_doctor_says_when_the_parents_are_gone(merged: Body, tmp_path: Path) -> None:
    (tmp_path / "base").rename(tmp_path / "moved")
    done = run("doctor", str(merged.path))
    assert done.exit_code == 0, done.output
    assert "its parents cannot be read any more" in " ".join(done.stdout.split())


def test_warnings_alone_end_with_zero(merged: Body) -> None:
    merged.remove("chat_vector.json")
    merged.write("pytorch_model.bin")
    done = run("doctor", str(merged.path), "--json")
    assert done.exit_code == 0
    assert [finding["code"] for finding in json.loads(done.stdout)["findings"]] == ["other-weights"]
