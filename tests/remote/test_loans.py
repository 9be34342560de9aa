# SPDX-License-Identifier: Apache-2.0
"""A merge and a check from afar whose compiled kernels read the connections by themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hub_trio import NAMES, ROLES, put_trio

from builders import BF16, F32, Shape, Trio, trio_specs
from chatvector import pipeline
from chatvector.arithmetic.native import library
from chatvector.checkpoint import remote_file
from chatvector.checkpoint.http_transport import ClientTransport, Transports
from chatvector.checkpoint.remote_file import Loan, RemoteFile
from chatvector.errors import NonFiniteValues
from chatvector.recipe import Recipe
from chatvector.verification import verify
from hub_server import Fault, HubServer

pytestmark = pytest.mark.skipif(library() is None, reason="no compiled kernel")

SHAPE = Shape(vocabulary=512, hidden=64, mlp=128, layers=3)
WEIGHTS = "model.safetensors"


class Loans:
    """How many loans were settled well, and how many not."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.good = self.bad = 0
        lend = RemoteFile.lend

        def watched(file: RemoteFile, offset: int, length: int) -> Loan | None:
            loan = lend(file, offset, length)
            return None if loan is None else Loan(loan.descriptor, lambda taken: self._settle(loan, taken=taken))

        monkeypatch.setattr(RemoteFile, "lend", watched)

    def _settle(self, loan: Loan, *, taken: bool) -> None:
        self.good += taken
        self.bad += not taken
        loan.settle(taken)


@pytest.fixture
def loans(monkeypatch: pytest.MonkeyPatch) -> Loans:
    monkeypatch.setattr(remote_file, "HEAD_BYTES", 4096)
    return Loans(monkeypatch)


def merge(output: Path, names: dict[str, str], *scales: float, stream: bool) -> Path:
    """A merge of a vector of each scale."""
    vectors = [{"base": names["base"], "chat": names["chat"], "scale": scale} for scale in scales]
    asked = {"target": names["target"], "vectors": vectors, "output": str(output), "threads": 2, "stream": stream}
    pipeline.apply(Recipe.from_mapping(asked))
    return output


def merge_from_afar(folder: Path, *scales: float) -> Path:
    return merge(folder / "far", NAMES, *scales, stream=True)


def merged_alike(trio: Trio, folder: Path, *scales: float) -> bool:
    """Whether a merge from afar gives the bytes of one from disk."""
    near = {role: str(getattr(trio, role)) for role in ROLES}
    far, local = merge_from_afar(folder, *scales), merge(folder / "near", near, *scales, stream=False)
    return (far / WEIGHTS).read_bytes() == (local / WEIGHTS).read_bytes()


@pytest.mark.parametrize("scales", [(0.8,), (0.8, -0.25)])
def test_the_kernel_reads_the_connections(
    hub: HubServer, tmp_path: Path, loans: Loans, scales: tuple[float, ...]
) -> None:
    trio = put_trio(hub, tmp_path / "local", trio_specs(SHAPE))
    assert merged_alike(trio, tmp_path, *scales)
    # Of each matrix but the first of a stretch, each time that it is read; not of vectors, which come with a head.
    assert loans.good > 3 * 7
    assert loans.bad == 0


@pytest.mark.parametrize("others", [F32, BF16])
def test_what_the_kernel_does_not_know_is_not_lent_to_it(
    hub: HubServer, tmp_path: Path, loans: Loans, others: np.dtype
) -> None:
    specs = trio_specs(SHAPE, F32)
    specs["target"].weights = {name: values.astype(BF16) for name, values in specs["target"].weights.items()}
    for role in ("base", "chat"):
        specs[role].weights = {name: values.astype(others) for name, values in specs[role].weights.items()}
    trio = put_trio(hub, tmp_path / "local", specs)
    assert merged_alike(trio, tmp_path, 0.8)
    assert (loans.good > 0) == (others == BF16)
    assert loans.bad == 0


def test_a_connection_cut_under_the_kernel_costs_nothing_but_time(
    hub: HubServer, tmp_path: Path, loans: Loans, waits: list[float]
) -> None:
    trio = put_trio(hub, tmp_path / "local", trio_specs(SHAPE))
    hub.faults.append(Fault("GET", WEIGHTS, cut_after=120_000))
    assert merged_alike(trio, tmp_path, 0.8)
    assert loans.bad > 0
    assert loans.good > 0
    assert all(wait <= 4 for wait in waits)


def test_a_proxys_connections_are_not_lent(
    hub: HubServer, tmp_path: Path, loans: Loans, monkeypatch: pytest.MonkeyPatch
) -> None:
    trio = put_trio(hub, tmp_path / "local", trio_specs(SHAPE))
    monkeypatch.setattr(Transports, "of", lambda *_: ClientTransport())
    assert merged_alike(trio, tmp_path, 0.8)
    assert loans.good == loans.bad == 0


def test_what_is_not_finite_is_found_in_what_was_lent(hub: HubServer, tmp_path: Path, loans: Loans) -> None:
    specs = trio_specs(SHAPE)
    specs["chat"].weights["model.layers.2.mlp.up_proj.weight"][3, 5] = np.nan
    put_trio(hub, tmp_path / "local", specs)
    with pytest.raises(NonFiniteValues, match=r"model\.layers\.2\.mlp\.up_proj\.weight.*1 "):
        merge_from_afar(tmp_path, 0.8)
    assert loans.bad > 0
    assert not (tmp_path / "far").exists()


def test_verify_from_afar_lends_and_finds_what_differs(hub: HubServer, tmp_path: Path, loans: Loans) -> None:
    put_trio(hub, tmp_path / "local", trio_specs(SHAPE))
    out = merge_from_afar(tmp_path, 0.8)
    before = loans.good
    assert verify(str(out), full=True, generate=False).ok
    assert loans.good > before
    assert loans.bad == 0
    data = bytearray((out / WEIGHTS).read_bytes())
    data[-1000] ^= 1
    (out / WEIGHTS).write_bytes(data)
    report = verify(str(out), full=True, generate=False)
    (weights,) = [check for check in report.checks if check.name == "weights"]
    assert weights.ok is False
    assert "(1 elements, the first is" in str(weights)
