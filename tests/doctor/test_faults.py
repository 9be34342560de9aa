# SPDX-License-Identifier: Apache-2.0
"""Every fault that the catalogue knows is planted in a merge and found, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from builders import BF16, Shape, load_weights, trio_specs, write_trio, write_weights
from chatvector.checkpoint.fingerprint import blocks_of
from chatvector.checkpoint.names import FAMILY
from chatvector.checks.doctor.catalogue import CATALOGUE, TABLE
from chatvector.checks.doctor.examine import examine
from chatvector.checks.doctor.mend import mended_files, write_mended
from chatvector.checks.doctor.numbers import LOCAL_GRID
from chatvector.checks.doctor.patient import Patient
from chatvector.errors import InputError, MissingInput, OutputRefused, UnsupportedFormat
from doctor import planted_files, planted_numbers, planted_weights
from doctor.patients import GRID, INDEX, Body, Planted, merge

# Importing them fills the grid.
assert planted_files
assert planted_numbers
assert planted_weights


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Body]:
    folder = tmp_path_factory.mktemp("healthy")
    return {
        "single": Body(merge(folder / "one")),
        "sharded": Body(merge(folder / "two", shards=2)),
        "tied": Body(merge(folder / "three", tied=True)),
    }


@pytest.fixture
def spoilt(request: pytest.FixtureRequest, healthy: dict[str, Body], tmp_path: Path) -> tuple[Planted, Body]:
    each: Planted = request.param
    body = healthy[each.model].copy(tmp_path / "merged")
    each.plant(body)
    return each, body


@pytest.mark.parametrize("spoilt", GRID, ids=lambda each: each.name, indirect=True)
def test_the_planted_fault_is_found_and_nothing_else(spoilt: tuple[Planted, Body]) -> None:
    each, body = spoilt
    diagnosis = examine(str(body.path))
    assert {finding.code for finding in diagnosis.findings} == each.codes
    said = "\n".join(finding.detail for finding in diagnosis.findings)
    assert [word for word in each.words if word not in said] == []
    assert diagnosis.healthy == all(CATALOGUE[code].level != "fault" for code in each.codes)
    assert str(body.path) not in said, "what is said names files, not this machine's folders"


MENDABLE = [each for each in GRID if any(CATALOGUE[code].mended for code in each.codes)]


@pytest.mark.parametrize("spoilt", MENDABLE, ids=lambda each: each.name, indirect=True)
def test_mended_files_cure_what_they_say(spoilt: tuple[Planted, Body], tmp_path: Path) -> None:
    _, body = spoilt
    before = {file.name: file.read_bytes() for file in body.path.iterdir() if file.is_file()}
    model = Patient.open(str(body.path))
    diagnosis = examine(str(body.path))
    curable = {finding.code for finding in diagnosis.findings if finding.fault.mended}
    files = mended_files(model, diagnosis.findings)
    write_mended(files, tmp_path / "mended", model)
    assert not [name for name in files if name.endswith(".safetensors")]
    assert {file.name: file.read_bytes() for file in body.path.iterdir() if file.is_file()} == before
    for file in (tmp_path / "mended").iterdir():
        (body.path / file.name).write_bytes(file.read_bytes())
    assert not curable & {finding.code for finding in examine(str(body.path)).findings}


@pytest.mark.parametrize("model", ["single", "sharded", "tied"])
def test_a_merge_by_apply_has_no_finding(healthy: dict[str, Body], model: str) -> None:
    diagnosis = examine(str(healthy[model].path))
    assert diagnosis.findings == ()
    assert diagnosis.has_manifest
    assert diagnosis.chat.conversations[0] == "user"
    assert set(diagnosis.chat.template_tokens) == {"<s>", "</s>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>"}
    assert diagnosis.sampled.elements > 0


@pytest.mark.parametrize("model", ["single", "sharded", "tied"])
def test_looking_at_every_weight_finds_nothing_in_it_either(healthy: dict[str, Body], model: str) -> None:
    diagnosis = examine(str(healthy[model].path), full=True)
    assert diagnosis.findings == ()
    assert diagnosis.sampled.elements == sum(values.size for values in load_weights(healthy[model].path).values())


@pytest.mark.parametrize(("bits", "code"), [(0x7FC0, "non-finite"), (0x7F80, "non-finite"), (0x7149, "weight-huge")])
def test_one_number_that_no_sample_meets_is_found_by_looking_at_all(tmp_path: Path, bits: int, code: str) -> None:
    trio = write_trio(tmp_path, trio_specs(Shape(vocabulary=512, hidden=64, mlp=512, layers=1), dtype=BF16))
    weights = load_weights(trio.chat)
    name = "model.layers.0.mlp.gate_proj.weight"
    sampled = {at for first, count in blocks_of(weights[name].size, LOCAL_GRID) for at in range(first, first + count)}
    place = next(at for at in range(weights[name].size) if at not in sampled)
    weights[name].reshape(-1).view(np.uint16)[place] = bits
    write_weights(trio.chat, weights)
    assert code not in {finding.code for finding in examine(str(trio.chat)).findings}
    (found,) = [finding for finding in examine(str(trio.chat), full=True).findings if finding.code == code]
    assert found.detail.startswith(f"1 tensors: {name} (1 of {weights[name].size}")


def test_no_index_is_written_for_a_model_that_lacks_a_shard(healthy: dict[str, Body], tmp_path: Path) -> None:
    first, second = (f"model-0000{number}-of-00002.safetensors" for number in (1, 2))
    for number, gone in enumerate([(second,), (first, INDEX), (first, second)]):
        body = healthy["sharded"].copy(tmp_path / str(number))
        body.remove(*gone)
        findings = examine(str(body.path)).findings
        assert {finding.code for finding in findings} & {"index-missing-files", "shards-incomplete"}
        assert "fetch the missing shards again" in findings[0].fault.cure
        assert mended_files(Patient.open(str(body.path)), findings) == {}


def test_no_index_is_written_for_a_model_that_lacks_tensors(healthy: dict[str, Body], tmp_path: Path) -> None:
    body = healthy["sharded"].copy(tmp_path / "merged")
    body.remove(INDEX)
    shard = body.path / "model-00001-of-00002.safetensors"
    save_file({name: values for name, values in load_file(shard).items() if "v_proj" not in name}, shard)
    findings = examine(str(body.path)).findings
    assert {finding.code for finding in findings} == {"index-missing", "tensors-irregular"}
    assert mended_files(Patient.open(str(body.path)), findings) == {}


@pytest.mark.parametrize("model", ["single", "sharded", "tied"])
def test_nothing_is_mended_where_nothing_is_wrong(healthy: dict[str, Body], model: str) -> None:
    name = str(healthy[model].path)
    assert mended_files(Patient.open(name), examine(name).findings) == {}


@pytest.mark.parametrize("member", sorted(path.name for path in FAMILY.iterdir()))
def test_the_embedded_trio_has_no_fault(member: str) -> None:
    assert examine(f"demo:{member}").faults == ()


def test_every_code_is_planted_and_stands_once() -> None:
    assert set().union(*(each.codes for each in GRID)) == set(CATALOGUE)
    assert len(CATALOGUE) == len(TABLE)
    assert len({each.name for each in GRID}) == len(GRID)


def test_every_entry_says_what_follows_and_what_to_do() -> None:
    assert not [fault.code for fault in TABLE if not fault.consequence or not fault.cure]
    assert not [fault.code for fault in TABLE if fault.mended and "mended" not in fault.cure]
    assert {fault.level for fault in TABLE} == {"fault", "warning", "note"}


def test_mending_refuses_a_directory_that_exists(healthy: dict[str, Body], tmp_path: Path) -> None:
    model = Patient.open(str(healthy["single"].path))
    with pytest.raises(OutputRefused, match=r"--fix .*: exists; name a new directory"):
        write_mended({"config.json": b"{}"}, tmp_path, model)


@pytest.mark.parametrize(("end", "fitting"), [("<|end|>", "chat_template.jinja, "), ("<|im_end|>", "neither")])
def test_which_of_two_templates_was_meant_is_left_to_people(
    healthy: dict[str, Body], tmp_path: Path, end: str, fitting: str
) -> None:
    body = healthy["single"].copy(tmp_path / "merged")
    with body.template() as text:
        text[0] = text[0].replace("<|end|>", end)
        body.write("chat_template.jinja", "<s>" + text[0])
    findings = examine(str(body.path)).findings
    (differ,) = (finding for finding in findings if finding.code == "templates-differ")
    assert f"fits this tokenizer: {fitting}" in differ.detail
    assert mended_files(Patient.open(str(body.path)), findings) == {}


def test_mending_refuses_a_directory_in_the_model(healthy: dict[str, Body], tmp_path: Path) -> None:
    body = healthy["single"].copy(tmp_path / "merged")
    (tmp_path / "link").symlink_to(body.path)
    before = sorted(body.path.iterdir())
    for folder in (body.path / "mended", tmp_path / "link" / "mended"):
        for name in (body.path, tmp_path / "link"):
            with pytest.raises(OutputRefused, match=r"mended: overlaps the input .*; inputs are never written to"):
                write_mended({"config.json": b"{}"}, folder, Patient.open(str(name)))
    assert sorted(body.path.iterdir()) == before


# What `pickle.dumps` makes of an object whose __reduce__ is (os.system, ("exit 7",)).
HOSTILE = b"\x80\x04cposix\nsystem\nX\x06\x00\x00\x00exit 7\x85R."


@pytest.mark.parametrize(
    ("files", "error", "words"),
    [
        ({}, MissingInput, "it is empty"),
        ({"notes.txt": b"x"}, MissingInput, "there are no weights"),
        ({"model.gguf": b"x"}, UnsupportedFormat, "GGUF"),
        ({"pytorch_model.bin": b"x"}, MissingInput, "no weight file can be read: .*pytorch_model.bin: .*nor a pickle"),
        ({"pytorch_model.bin": HOSTILE}, MissingInput, "the pickle names posix.system; refused, and nothing of it was"),
        ({"adapter_config.json": b"{}", "adapter_model.safetensors": b"x"}, UnsupportedFormat, "LoRA"),
    ],
)
def test_a_directory_that_is_no_model(
    tmp_path: Path, files: dict[str, bytes], error: type[InputError], words: str
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=words):
        examine(str(tmp_path))
