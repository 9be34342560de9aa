# SPDX-License-Identifier: Apache-2.0
"""`--log-format json`: everything on stderr is a JSON object a line, the error that ends the run too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fault_models import command_line

from builders import trio_specs, write_trio
from chatvector.cli import console


def test_messages_warnings_and_progress(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "PLAIN_SECONDS", 0.0)
    specs = trio_specs()
    specs["chat"].config["rms_norm_eps"] = 1e-6
    trio = write_trio(tmp_path, specs)
    output = str(tmp_path / "out")
    code, out, err = command_line(capsys, "apply", *trio.arguments(), "-o", output, "--json", "--log-format", "json")
    assert code == 0
    result = json.loads(out)
    events = [json.loads(line) for line in err.splitlines()]
    assert {event["event"] for event in events} == {"message", "warning", "progress"}
    assert any("rms_norm_eps" in event["text"] for event in events if event["event"] == "warning")
    last = [event for event in events if event["event"] == "progress"][-1]
    assert last["done_bytes"] <= last["total_bytes"] == result["run"]["bytes_written"]
    assert last["bytes_per_second"] > 0
    assert all(isinstance(event["time"], float) for event in events)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["demo:nope", "--base", "demo:base", "--chat", "demo:chat"], 2, "no such member"),
        (["demo:target", "--base", "demo:base", "--chat", "demo:chat", "--scale", "nan"], 2, "finite number"),
        (["./nowhere", "--base", "demo:base", "--chat", "demo:chat"], 3, "no such directory"),
    ],
)
@pytest.mark.parametrize("quiet", [[], ["--quiet"]])
def test_the_error_is_the_last_event(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    message: str,
    quiet: list[str],
) -> None:
    flags = ["apply", *arguments, "-o", str(tmp_path / "out"), *quiet]
    returned, out, err = command_line(capsys, *flags, "--log-format", "json")
    assert (returned, out) == (code, "")
    event = json.loads(err.splitlines()[-1])
    assert (event["event"], event["exit_code"]) == ("error", code)
    assert message in event["text"]
    # The next command of the same process asks for nothing, and gets text.
    returned, _, err = command_line(capsys, *flags)
    assert returned == code
    assert err.splitlines()[-1] == f"chatvector: {event['text']}"
