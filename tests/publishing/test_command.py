# SPDX-License-Identifier: Apache-2.0
"""The verb: dry run, real run, JSON, exit codes."""

from __future__ import annotations

import json
import logging
import re
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from chatvector.cli.main import app
from chatvector.errors import UsageError
from docs.pages import read
from faults.fault_models import command_line
from hub_server import Fault
from hub_writer import WritableHub

NAME = "org/Llama-3.1-ko"
# huggingface_hub 2.4 hands httpx2 a file in a way that httpx2 wants no more.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload raw:DeprecationWarning")


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["push", *words], prog_name="chatvector")


def test_a_dry_run_prints_everything_and_sends_nothing(hub: WritableHub, output: Path) -> None:
    result = run(str(output), NAME, "--dry-run")
    assert result.exit_code == 0, result.output
    assert f"{NAME}, branch main, public (new): " in result.stdout
    assert "model-00001-of-00002.safetensors" in result.stdout
    assert "licence: llama3.1" in result.stdout
    assert "**Built with Llama**" in result.stdout
    assert hub.repos == {}
    assert {r.method for r in hub.log} == {"GET"}
    assert "\ntoken: not tried for writing; a bad one, or" in result.stdout


def test_a_dry_run_without_a_token_asks_nobody(hub: WritableHub, output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "")
    result = run(str(output), NAME, "--dry-run")
    assert result.exit_code == 0, result.output
    assert "the hub was not asked: no token, or HF_HUB_OFFLINE" in result.stdout
    assert hub.log == []
    assert "token: not tried" not in result.stdout


def test_the_plan_goes_to_stderr_and_the_result_to_stdout(hub: WritableHub, output: Path) -> None:
    result = run(str(output), NAME)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"{hub.endpoint}/{NAME}: commit ")
    assert "(new): " in result.stderr
    assert "not tried" not in result.stderr
    assert hub.files(NAME)


@pytest.mark.parametrize("name", ["s3://models/out", "https://huggingface.co/org/model"])
def test_an_output_is_no_url(name: str) -> None:
    with pytest.raises(UsageError, match=f"^{name}: is a URL, a path on this machine is taken here; download the mod"):
        CliRunner().invoke(app, ["push", name, NAME], catch_exceptions=False)


@pytest.fixture
def loud(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> pytest.CaptureFixture[str]:
    """huggingface_hub's log on stderr, as it is outside of tests."""
    logger = logging.getLogger("huggingface_hub")
    monkeypatch.setattr(logger, "handlers", [logging.StreamHandler(sys.stderr)])
    monkeypatch.setattr(logger, "level", logging.WARNING)
    return capsys


def busy() -> Fault:
    """One answer that makes huggingface_hub ask again, and log it."""
    return Fault("POST", "/preupload/", status=429, times=1)


def test_the_library_s_log_lines_are_json_too(hub: WritableHub, output: Path, loud: pytest.CaptureFixture[str]) -> None:
    hub.faults.append(busy())
    code, _, err = command_line(loud, "push", str(output), NAME, "--log-format", "json")
    assert code == 0, err
    events = [json.loads(line) for line in err.splitlines()]
    assert {event["event"] for event in events} == {"message"}
    assert any(re.search(r"429 .*/preupload/", event["text"]) for event in events)


def test_quiet_is_quiet_while_the_hub_is_busy(hub: WritableHub, output: Path, loud: pytest.CaptureFixture[str]) -> None:
    before = logging.getLogger("huggingface_hub").handlers
    hub.faults.append(busy())
    code, out, err = command_line(loud, "push", str(output), NAME, "-q")
    assert (code, err) == (0, "")
    assert out.startswith(hub.endpoint)
    assert logging.getLogger("huggingface_hub").handlers is before


def test_json(hub: WritableHub, output: Path) -> None:
    planned = json.loads(run(str(output), NAME, "--dry-run", "--json", "--quiet").stdout)
    assert planned["bytes"] == sum(planned["files"].values())
    assert planned["card"].startswith("---\n")
    done = json.loads(run(str(output), NAME, "--json", "-q").stdout)
    assert done.keys() - planned.keys() == {"url", "commit"}
    assert (planned.pop("token_tried"), done["token_tried"]) == (False, True)
    assert {key: done[key] for key in planned} == planned
    assert json.loads(run(str(output), NAME, "--json", "-q").stdout)["token_tried"] is False  # all is there
    assert done["commit"] == hub.repos[NAME].refs["main"]
    table = read("docs/model-cards.md").partition("## `push --json`")[2]
    documented = {name.partition(".")[0] for name in re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)}
    assert documented == done.keys()


def test_the_same_command_again_says_that_all_is_there(hub: WritableHub, output: Path) -> None:
    first = run(str(output), NAME)
    again = run(str(output), NAME)
    assert (first.exit_code, again.exit_code) == (0, 0), again.output
    assert "there already" not in first.output
    assert "(is there already, nothing to send)" in again.stderr
    assert f"commit {hub.repos[NAME].refs['main']}, there already with these files" in again.stdout
    assert len(hub.commits) == 1


def test_a_refusal_is_a_usage_error_and_the_flag_helps(hub: WritableHub, output: Path) -> None:
    result = run(str(output), "org/ko")
    assert isinstance(result.exception, UsageError)
    assert hub.log == []
    result = run(str(output), "org/ko", "--accept-licence")
    assert result.exit_code == 0, result.output
    assert "warning: licence: passed over on request" in result.stderr
    assert json.loads(hub.files("org/ko")["chat_vector.json"])["licences"]["accepted"]
