# SPDX-License-Identifier: Apache-2.0
"""Which file's token ids are in force: what doctor says and what transformers does, side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chatvector.checks.doctor.examine import examine
from chatvector.checks.doctor.mend import mended_files
from chatvector.checks.doctor.patient import Patient
from chatvector.checks.doctor.vocabulary import effective_ids
from chatvector.verification import verify
from doctor.patients import Body, merge

KEYS = ("bos_token_id", "eos_token_id", "pad_token_id")
GENERATION = "generation_config.json"


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Body:
    return Body(merge(tmp_path_factory.mktemp("healthy")))


def taken_by_transformers(path: Path) -> dict[str, list[int]]:
    """The ids of the loaded model's generation_config."""
    from transformers import AutoModelForCausalLM

    settings = AutoModelForCausalLM.from_pretrained(path).generation_config
    found = {key: getattr(settings, key) for key in KEYS}
    return {key: [] if ids is None else ids if isinstance(ids, list) else [ids] for key, ids in found.items()}


@pytest.mark.parametrize(
    ("generation", "config"),
    [
        ({"bos_token_id": 0, "eos_token_id": 5, "pad_token_id": 2}, {"eos_token_id": 1}),
        ({"bos_token_id": 0}, {"bos_token_id": 0, "eos_token_id": [1, 5], "pad_token_id": 2}),
        ({"eos_token_id": None}, {"bos_token_id": 0, "eos_token_id": [1, 5]}),
        ({}, {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}),
        ({"_from_model_config": True}, {"bos_token_id": 0, "eos_token_id": 1}),
        (None, {"bos_token_id": 0, "eos_token_id": [1, 5], "pad_token_id": 2}),
        (None, {"bos_token_id": 0, "eos_token_id": None}),
        (None, {}),
        ("{", {"bos_token_id": 0, "eos_token_id": 1}),
    ],
)
def test_ids_in_force(healthy: Body, tmp_path: Path, generation: Any, config: dict[str, Any]) -> None:
    body = healthy.copy(tmp_path / "merged")
    with body.json("config.json") as document:
        for key in KEYS:
            document.pop(key, None)
        document |= config
    if generation is None:
        body.remove(GENERATION)
    else:
        body.write(GENERATION, generation if isinstance(generation, str) else json.dumps(generation))
    model = Patient.open(str(body.path))
    assert {key: effective_ids(model, key) for key in KEYS} == taken_by_transformers(body.path)


@pytest.mark.parametrize("generation", [{"bos_token_id": 0}, {"eos_token_id": None}, {}])
def test_stop_ids_of_config_json_are_written_where_transformers_looks(
    healthy: Body, tmp_path: Path, generation: dict[str, Any]
) -> None:
    body = healthy.copy(tmp_path / "merged")
    stops = [1, body.ids()["<|end|>"]]
    with body.json("config.json") as config:
        config |= {"bos_token_id": 0, "eos_token_id": stops}
    body.write(GENERATION, json.dumps(generation))
    findings = examine(str(body.path)).findings
    assert [finding.code for finding in findings] == ["stop-missing"]
    files = mended_files(Patient.open(str(body.path)), findings)
    body.write(GENERATION, files[GENERATION])
    taken = taken_by_transformers(body.path)
    assert taken["eos_token_id"] == stops
    assert taken["bos_token_id"] == [0]


def test_a_generation_configuration_that_was_missing_loses_no_id_of_config_json(healthy: Body, tmp_path: Path) -> None:
    body = healthy.copy(tmp_path / "merged")
    with body.json("config.json") as config:
        config |= {"bos_token_id": 0, "eos_token_id": [1, body.ids()["<|end|>"]], "pad_token_id": 1}
    body.remove(GENERATION)
    before = taken_by_transformers(body.path)
    body.write(GENERATION, mended_files(Patient.open(str(body.path)), examine(str(body.path)).findings)[GENERATION])
    assert taken_by_transformers(body.path) == before


def test_verify_says_that_such_a_model_does_not_stop(healthy: Body, tmp_path: Path) -> None:
    body = healthy.copy(tmp_path / "merged")
    with body.json(GENERATION) as document:
        del document["eos_token_id"]
    found = {check.name: check for check in verify(str(body.path), generate=False).checks}
    assert not found["model"].ok
    assert found["model"].problems[0].startswith("stop-missing: generation_config.json names no eos_token_id")


def test_a_pad_beyond_an_embedding_without_a_padding_row_is_no_fault(healthy: Body, tmp_path: Path) -> None:
    body = healthy.copy(tmp_path / "merged")
    with body.json("config.json") as config:
        config |= {"model_type": "gpt2", "pad_token_id": 64}
    with body.json(GENERATION) as settings:
        settings["pad_token_id"] = 1
    assert "ids-beyond-vocab" not in {finding.code for finding in examine(str(body.path)).findings}


@pytest.mark.parametrize(("generation", "mended"), [({"pad_token_id": 1}, 1), ({}, None)])
def test_a_model_whose_pad_is_beyond_its_embedding_loads_once_mended(
    healthy: Body, tmp_path: Path, generation: dict[str, Any], mended: int | None
) -> None:
    from transformers import AutoModelForCausalLM

    body = healthy.copy(tmp_path / "merged")
    with body.json("config.json") as config:
        config["pad_token_id"] = 9999
    with body.json(GENERATION) as settings:
        settings |= generation
    with pytest.raises(AssertionError, match="Padding_idx must be within num_embeddings"):
        AutoModelForCausalLM.from_pretrained(body.path)
    for name, data in mended_files(Patient.open(str(body.path)), examine(str(body.path)).findings).items():
        body.write(name, data)
    assert AutoModelForCausalLM.from_pretrained(body.path).get_input_embeddings().padding_idx == mended
