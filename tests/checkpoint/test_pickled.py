# SPDX-License-Identifier: Apache-2.0
"""State dicts of torch: the same tensors as torch loads, byte for byte; hostile ones refused, never run."""

from __future__ import annotations

import os
import pickle
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from builders import load_weights, trio_specs, write_trio
from chatvector import pipeline
from chatvector.checkpoint.checkpoint import Checkpoint
from chatvector.checkpoint.files import choose_files, safetensors_name
from chatvector.checkpoint.header import HeaderEntry
from chatvector.checkpoint.pickled import read_pickled_header
from chatvector.checkpoint.pickled_program import read_program
from chatvector.checkpoint.storage import LocalFile
from chatvector.errors import DamagedFile, InputError, MissingInput, UnsupportedFormat
from chatvector.recipe import Recipe
from pickled_models import as_pickles

DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip


def raw(tensor: torch.Tensor) -> bytes:
    return tensor.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes() if tensor.numel() else b""


def saved(path: Path, state: Any, **options: Any) -> Path:
    torch.save(state, path, **options)
    return path


def read(path: Path) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """Names to dtype, shape and bytes, as this package reads them."""
    found: dict[str, tuple[str, tuple[int, ...], bytes]] = {}
    with LocalFile(path, path.name) as source:
        for entry in read_pickled_header(source).entries:
            data = bytearray(entry.nbytes)
            source.read_into(entry.offset, memoryview(data))
            found[entry.name] = entry.dtype.code, entry.shape, bytes(data)
    return found


def as_read(state: dict[str, torch.Tensor]) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    codes = {dtype: code for code, dtype in DTYPES.items()}
    return {name: (codes[one.dtype], tuple(one.shape), raw(one)) for name, one in state.items()}


def some_state(seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    whole = torch.randn(6, 8, generator=generator)
    state = {f"{code}.w": (torch.randn(3, 4, generator=generator) * 9).to(dtype) for code, dtype in DTYPES.items()}
    return state | {"scalar": torch.tensor(3.0), "empty": torch.empty(0, 4), "part": whole[2:4], "tied": whole[2:4]}


LAYOUTS = {"zip": True, "before torch 1.6": False}


@pytest.mark.parametrize("zipped", LAYOUTS.values(), ids=LAYOUTS.keys())
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_the_tensors_that_torch_loads(tmp_path: Path, zipped: bool, protocol: int) -> None:
    state = some_state()
    state["parameter"] = torch.nn.Parameter(torch.ones(2, 2))
    path = saved(tmp_path / "x.bin", state, _use_new_zipfile_serialization=zipped, pickle_protocol=protocol)
    assert read(path) == as_read(state)
    if protocol == 2:  # torch's own careful loader warns of the others
        assert read(path) == as_read(torch.load(path, weights_only=True))


@given(st.data())
def test_any_state_dict(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    names = data.draw(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=5, unique=True))
    state: dict[str, torch.Tensor] = {}
    for name in names:
        shape = data.draw(st.lists(st.integers(0, 4), max_size=3))
        dtype = DTYPES[data.draw(st.sampled_from(sorted(DTYPES)))]
        state[name] = (torch.arange(int(np.prod(shape))).reshape(shape) % 7).to(dtype)
    zipped = data.draw(st.booleans())
    path = tmp_path_factory.mktemp("state") / "x.bin"
    assert read(saved(path, state, _use_new_zipfile_serialization=zipped)) == as_read(state)


def test_a_real_module_and_its_versions(tmp_path: Path) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    state = module.state_dict()
    assert state._metadata  # type: ignore[attr-defined]
    assert read(saved(tmp_path / "x.pt", state)) == as_read(dict(state))


def test_steps_of_extents_of_one_do_not_matter(tmp_path: Path) -> None:
    tensor = torch.randn(5, 1, 3).as_strided((5, 1, 3), (3, 77, 1))
    assert read(saved(tmp_path / "x.bin", {"w": tensor})) == as_read({"w": tensor})


# Hostile files. Each would make the canary when a pickle were executed.


class Calls:
    """Pickled, this is a call of a function of the attacker's choice."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call


def opcodes(canary: Path) -> dict[str, bytes]:
    """Pickles written by hand: other ways to name and call a function."""
    command = f"touch {canary}".encode()
    text = struct.pack("<I", len(command)) + command
    return {
        "GLOBAL REDUCE": b"\x80\x02cposix\nsystem\nX" + text + b"\x85R.",
        "INST": b"(X" + text + b"iposix\nsystem\n.",
        "OBJ": b"(cposix\nsystem\nX" + text + b"o.",
        "STACK_GLOBAL": b"\x80\x04\x8c\x05posix\x8c\x06system\x93X" + text + b"\x85R.",
        "NEWOBJ": b"\x80\x02cposix\nsystem\nX" + text + b"\x85\x81.",
        "through builtins": b"\x80\x02c__builtin__\neval\nX" + text + b"\x85R.",
        "behind a good dict": b"\x80\x02}X\x01\0\0\0aK\x01s0cposix\nsystem\nX" + text + b"\x85R.",
        "extension": b"\x80\x02\x82\x01.",
        "import by a dotted name": b"\x80\x04\x8c\x0ctorch._utils\x8c\x13os.system.__call__a\x93X" + text + b"\x85R.",
        "attributes of a function": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}b.",
    }


def zipped(path: Path, program: bytes, members: dict[str, bytes] | None = None, **options: Any) -> Path:
    with zipfile.ZipFile(path, "w", **options) as archive:
        archive.writestr("archive/data.pkl", program)
        for name, content in (members or {}).items():
            archive.writestr(f"archive/{name}", content)
    return path


def hostile(canary: Path) -> dict[str, Any]:
    command = f"touch {canary}"
    return {
        "a call": Calls(os.system, command),
        "a call in a state dict": {"w": torch.ones(2), "x": Calls(os.system, command)},
        "a call in a nested dict": {"model": {"layers": [{"w": Calls(os.system, command)}]}},
        "a call as a key": {Calls(str, "k"): torch.ones(2), "x": Calls(os.system, command)},
        "exec": Calls(exec, f"import os; os.system({command!r})"),
        "a function of pickle": Calls(pickle.loads, pickle.dumps(Calls(os.system, command))),
        "a function of torch": Calls(torch.load, str(canary)),
        "getattr": Calls(getattr, os, "system"),
    }


@pytest.mark.parametrize("suffix", ["bin", "pt"])
@pytest.mark.parametrize("zip_layout", [True, False])
@pytest.mark.parametrize("attack", sorted(hostile(Path("x"))))
def test_hostile_objects_are_refused_and_never_run(tmp_path: Path, attack: str, zip_layout: bool, suffix: str) -> None:
    canary = tmp_path / "canary"
    model = tmp_path / "m"
    model.mkdir()
    try:
        content = hostile(canary)[attack]
        saved(model / f"pytorch_model.{suffix}", content, _use_new_zipfile_serialization=zip_layout)
    except (TypeError, pickle.PicklingError):  # a module cannot be pickled; what got written is still a bad file
        pass
    (model / "config.json").write_text("{}")
    with pytest.raises((UnsupportedFormat, DamagedFile)) as caught:
        Checkpoint.open(str(model))
    assert "\n" not in str(caught.value)
    assert not canary.exists()


@pytest.mark.parametrize("attack", sorted(opcodes(Path("x"))))
@pytest.mark.parametrize("zip_layout", [True, False])
def test_hostile_programs_are_refused_and_never_run(tmp_path: Path, attack: str, zip_layout: bool) -> None:
    canary = tmp_path / "canary"
    program = opcodes(canary)[attack]
    path = tmp_path / "x.bin"
    if zip_layout:
        zipped(path, program)
    else:
        path.write_bytes(program if program[:1] == b"\x80" else b"\x80\x02" + program)
    with LocalFile(path, "x.bin") as source, pytest.raises((UnsupportedFormat, DamagedFile), match=r"^x\.bin: "):
        read_pickled_header(source)
    assert not canary.exists()


def test_the_canary_would_sing(tmp_path: Path) -> None:
    """The proof above is one: Python's own machine does run these files."""
    canary = tmp_path / "canary"
    pickle.loads(opcodes(canary)["GLOBAL REDUCE"])
    assert canary.exists()


def test_the_message_names_the_function(tmp_path: Path) -> None:
    path = zipped(tmp_path / "x.bin", opcodes(tmp_path / "canary")["GLOBAL REDUCE"])
    with (
        LocalFile(path, "x.bin") as source,
        pytest.raises(
            UnsupportedFormat,
            match=r"^x.bin: the pickle names posix.system; refused, and nothing of it was run; take the",
        ),
    ):
        read_pickled_header(source)


def refusal(work: Callable[[], Any]) -> str | None:
    """The message of the error that `work` ends with, if it does."""
    try:
        work()
    except InputError as error:
        return str(error)
    return None


# Programs that are no attack on the machine but on memory and time.

HEAVY = {
    "a tower of tuples as a key": b"\x80\x02})" + b"".join(b"q%ch%c\x86" % (n, n) for n in range(60)) + b"K\x01s.",
    "shared lists": b"\x80\x02]" + b"q\0(" + b"h\0" * 1000 + b"e.",
    "a length that lies": b"\x80\x02X\xff\xff\xff\xffabc.",
    "a memo at the end of the world": b"\x80\x02Nr\xff\xff\xff\xff.",
    "a number of a million digits": b"\x80\x02I" + b"9" * 1_000_000 + b"\n.",
    "a frame that lies": b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7fN.",
    "no end": b"\x80\x02" + b"}" * 10_000,
    "marks only": b"\x80\x02" + b"(" * 10_000 + b".",
    "pops from nothing": b"\x80\x02\x87.",
    "nothing": b"",
}  # fmt: skip


@pytest.mark.parametrize("program", HEAVY.values(), ids=HEAVY.keys())
def test_heavy_programs_end_soon(program: bytes) -> None:
    error = refusal(lambda: read_program(program, "x.bin"))
    assert error is None or error.startswith("x.bin: ")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_one_clear_error(program: bytes) -> None:
    error = refusal(lambda: read_program(b"\x80\x02" + program, "x.bin"))
    assert error is None or (error.startswith("x.bin: ") and "\n" not in error)


@given(st.data())
def test_any_damage_is_seen_or_harmless(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Bytes of the file's structure changed at random: an error of ours, or tensors inside the file."""
    folder = tmp_path_factory.mktemp("damaged")
    path = saved(folder / "x.bin", {"w": torch.ones(4), "v": torch.ones(2, 3)})
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content
    path.write_bytes(content)
    with LocalFile(path, "x.bin") as source:
        entries: list[HeaderEntry] = []
        error = refusal(lambda: entries.extend(read_pickled_header(source).entries))
        assert error is None or error.startswith("x.bin: ")
        for entry in entries:
            assert 0 <= entry.offset <= entry.offset + entry.nbytes <= len(content)


def rewritten(path: Path, change: Callable[[list[tuple[zipfile.ZipInfo, bytes]]], None], **options: Any) -> Path:
    """The archive of `path` with changed members."""
    with zipfile.ZipFile(path) as archive:
        members = [(info, archive.read(info)) for info in archive.infolist()]
    change(members)
    with zipfile.ZipFile(path, "w", **options) as archive:
        for info, content in members:
            archive.writestr(info.filename, content)
    return path


def of(members: list[tuple[zipfile.ZipInfo, bytes]], end: str) -> int:
    return next(place for place, (info, _) in enumerate(members) if info.filename.endswith(end))


def without(end: str) -> Callable[[list[tuple[zipfile.ZipInfo, bytes]]], None]:
    return lambda members: members.__delitem__(of(members, end))


def replaced(end: str, content: bytes) -> Callable[[list[tuple[zipfile.ZipInfo, bytes]]], None]:
    def change(members: list[tuple[zipfile.ZipInfo, bytes]]) -> None:
        place = of(members, end)
        members[place] = members[place][0], content

    return change


def nothing(members: list[tuple[zipfile.ZipInfo, bytes]]) -> None:
    del members


ARCHIVES = {
    "compressed": (nothing, {"compression": zipfile.ZIP_DEFLATED}, UnsupportedFormat, "members are compressed"),
    "no pickle": (without("data.pkl"), {}, UnsupportedFormat, "0 members are called data.pkl"),
    "a storage gone": (without("data/0"), {}, DamagedFile, "the storage '0' is not in the archive"),
    "a short storage": (replaced("data/0", b"x"), {}, DamagedFile, "the storage '0' has 1 bytes, 8 elements of F32"),
    "big-endian": (replaced("byteorder", b"big"), {}, UnsupportedFormat, "big-endian"),
}


@pytest.mark.parametrize(("change", "options", "kind", "message"), ARCHIVES.values(), ids=ARCHIVES.keys())
def test_archives_that_contradict_themselves(
    tmp_path: Path, change: Any, options: dict[str, Any], kind: type[InputError], message: str
) -> None:
    path = rewritten(saved(tmp_path / "x.bin", {"w": torch.ones(8)}), change, **options)
    with LocalFile(path, "x.bin") as source, pytest.raises(kind, match=f"^x.bin: .*{message}"):
        read_pickled_header(source)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_is_there_twice(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.bin", {"w": torch.ones(8)})
    rewritten(path, lambda members: members.append(members[0]))
    with LocalFile(path, "x.bin") as source, pytest.raises(DamagedFile, match="1 names are in the archive twice"):
        read_pickled_header(source)


def test_headers_that_disagree(tmp_path: Path) -> None:
    """The classic trick: a central directory for the scanner, local headers for the victim."""
    path = saved(tmp_path / "x.bin", {"w": torch.ones(8)})
    content = path.read_bytes()
    place = content.index(b"data/0")
    path.write_bytes(content[:place] + b"data/1" + content[place + 6 :])
    with LocalFile(path, "x.bin") as source, pytest.raises(DamagedFile, match="two headers disagree about 'x/data/0'"):
        read_pickled_header(source)


@pytest.mark.parametrize(
    ("state", "kind", "message"),
    [
        ({"w": torch.ones(4, 4).t()}, UnsupportedFormat, r"1 tensors are not contiguous \(w\); call .contiguous\(\)"),
        ({"w": torch.ones(4).expand(3, 4)}, UnsupportedFormat, "not contiguous"),
        ({"w": torch.ones(2), "step": 7, "name": "x"}, UnsupportedFormat, r"2 of 3 entries are no tensors"),
        ({"model": {"w": torch.ones(2)}}, UnsupportedFormat, r"1 of 1 entries are no tensors \(model\)"),
        ([torch.ones(2)], UnsupportedFormat, "holds no state dict"),
        ({}, UnsupportedFormat, "holds no state dict"),
        ({"w": torch.ones(2).to(torch.float8_e4m3fn)}, UnsupportedFormat, "the pickle names torch"),
        ({"w": torch.ones(2, dtype=torch.complex64)}, UnsupportedFormat, "the pickle names torch.ComplexFloatStorage"),
        (torch.nn.Linear(2, 2), UnsupportedFormat, "the pickle names torch.nn"),
        ({"w": np.ones(2)}, UnsupportedFormat, "the pickle names numpy"),
    ],
)  # fmt: skip
def test_what_is_no_state_dict_of_plain_tensors(
    tmp_path: Path, state: Any, kind: type[InputError], message: str
) -> None:
    path = saved(tmp_path / "x.bin", state)
    with LocalFile(path, "x.bin") as source, pytest.raises(kind, match=f"^x.bin: .*{message}"):
        read_pickled_header(source)


@pytest.mark.parametrize("zipped", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_a_negated_view_is_refused_and_its_cure_works(tmp_path: Path, zipped: bool) -> None:
    """torch keeps the sign apart from the elements; read without it every weight would be of the other sign."""
    view = torch._neg_view(torch.ones(2))  # pyright: ignore[reportPrivateImportUsage]
    path = saved(tmp_path / "x.bin", {"w": view, "v": torch.ones(2)}, _use_new_zipfile_serialization=zipped)
    message = r"^x\.bin: 1 tensors are views that torch changes when it reads them \(w: neg\); call \.resolve_neg\(\)"
    with LocalFile(path, "x.bin") as source, pytest.raises(UnsupportedFormat, match=message):
        read_pickled_header(source)
    mended = {"w": view.resolve_neg().resolve_conj()}
    assert read(saved(path, mended, _use_new_zipfile_serialization=zipped)) == as_read({"w": -torch.ones(2)})


@pytest.mark.parametrize("zipped", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_what_a_parameter_brings_beside_its_elements_changes_nothing(tmp_path: Path, zipped: bool) -> None:
    parameter = torch.nn.Parameter(torch.ones(2), requires_grad=False)
    tensor = torch.ones(3, requires_grad=True)
    path = saved(tmp_path / "x.bin", {"p": parameter, "t": tensor}, _use_new_zipfile_serialization=zipped)
    assert read(path) == as_read({"p": parameter, "t": tensor})


def test_attributes_that_would_replace_a_tensor(tmp_path: Path) -> None:
    """Tensor.__setstate__ of four values gives the tensor another storage: torch never writes it."""

    class Swapped:
        def __init__(self, tensor: torch.Tensor) -> None:
            self.tensor = tensor

        def __reduce__(self) -> tuple[Any, ...]:
            function, arguments = self.tensor.__reduce_ex__(2)[:2]
            other = (torch.zeros(2)._typed_storage(), 0, (2,), (1,))
            return function, arguments, other

    path = saved(tmp_path / "x.bin", {"w": Swapped(torch.ones(2))})
    with LocalFile(path, "x.bin") as source, pytest.raises((DamagedFile, UnsupportedFormat), match=r"^x\.bin: "):
        read_pickled_header(source)


@pytest.mark.parametrize("zip_layout", [True, False])
def test_a_merge_of_pickled_parents_gives_the_same_safetensors(tmp_path: Path, zip_layout: bool) -> None:
    specs = trio_specs()
    specs["target"].shards = 2
    outputs: list[Path] = []
    for place in ("plain", "pickled"):
        trio = write_trio(tmp_path / place, specs)
        if place == "pickled":
            as_pickles(trio.base, zip_layout=zip_layout)
            as_pickles(trio.chat, shards=3, zip_layout=zip_layout)
            as_pickles(trio.target, shards=2, zip_layout=zip_layout)
        vectors = [{"base": str(trio.base), "chat": str(trio.chat), "scale": 0.7}]
        outputs.append(tmp_path / place / "out")
        pipeline.apply(
            Recipe.from_mapping({"target": str(trio.target), "vectors": vectors, "output": str(outputs[-1])})
        )
    plain, pickled = (load_weights(output) for output in outputs)
    assert {name: values.tobytes() for name, values in plain.items()} == {
        name: values.tobytes() for name, values in pickled.items()
    }
    names = [sorted(p.name for p in output.glob("*model*")) for output in outputs]
    assert names[0] == names[1]
    with Checkpoint.open(str(outputs[1])) as model:
        assert len(model.model_files.shards) == 2


def test_safetensors_come_first(tmp_path: Path) -> None:
    trio = write_trio(tmp_path)
    shutil.copy(trio.base / "model.safetensors", trio.base / "kept")
    (trio.base / "pytorch_model.bin").write_bytes(b"never looked at")
    with Checkpoint.open(str(trio.base)) as model:
        assert model.model_files.shards == ("model.safetensors",)
        assert model.model_files.left_aside == ("pytorch_model.bin",)


def test_which_files_are_chosen() -> None:
    def chosen(*names: str, index: bytes = b"") -> tuple[str, ...]:
        return choose_files(dict.fromkeys(names, 5000), lambda _: index, "m").shards

    assert chosen("pytorch_model.bin", "training_args.bin", "optimizer.pt") == ("pytorch_model.bin",)
    assert chosen("model.pt", "config.json") == ("model.pt",)
    two = ("pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin")
    assert chosen(*two) == two
    index = b'{"weight_map": {"a": "pytorch_model-00002-of-00002.bin"}}'
    assert chosen(*two, "pytorch_model.bin.index.json", index=index) == two[1:]
    with pytest.raises(MissingInput, match=r"1 of 2 shards are not there: pytorch_model-00002-of-00002.bin"):
        chosen(two[0])
    with pytest.raises(DamagedFile, match=r"pytorch_model.bin.index.json lies beside pytorch_model.bin but names"):
        chosen(*two, "pytorch_model.bin", "pytorch_model.bin.index.json", index=index)
    with pytest.raises(DamagedFile, match=r"no PyTorch file inside the directory .*: \.\./x.bin"):
        chosen("pytorch_model.bin.index.json", index=b'{"weight_map": {"a": "../x.bin"}}')


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("pytorch_model.bin", "model.safetensors"),
        ("pytorch_model-00001-of-00003.bin", "model-00001-of-00003.safetensors"),
        ("pytorch_model.bin.index.json", "model.safetensors.index.json"),
        ("odd.pt", "odd.safetensors"),
        ("model-1-of-2.safetensors", "model-1-of-2.safetensors"),
    ],
)
def test_names_in_the_output(name: str, output: str) -> None:
    assert safetensors_name(name) == output


def test_the_reader_needs_no_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from chatvector.checkpoint.pickled import read_pickled_header\n"
        "from chatvector.checkpoint import pickled_program"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
