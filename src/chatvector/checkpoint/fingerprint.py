# SPDX-License-Identifier: Apache-2.0
"""A fixed sample of every tensor, and the fingerprint made from it.

A full SHA-256 would double the time of a merge. The fingerprint is the SHA-256 of the headers, of each side file and
of fixed blocks of every tensor (64, unless the model has thousands). It distinguishes any two checkpoints in practice,
because a training step changes nearly every weight, but gives no protection against an adversary. The lineage check
uses the same blocks, so they are read once.

Over a network each block is a request, so a remote model is sampled thinly: some hundred blocks in all. Its digest is
marked `thin:`. `fingerprint_like` makes either kind, so that a local copy can be compared with it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol
from zlib import crc32

from chatvector.checkpoint.checkpoint import Checkpoint
from chatvector.checkpoint.remote_file import read_ranges
from chatvector.checkpoint.tensor_files import TensorFiles

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Grid:
    """Which blocks of a tensor are sampled: `blocks` of them, evenly spread, of `elements` elements each.

    With `tensors`, only about that many matrices are sampled: the largest ones always, the others chosen by name. A
    tensor then gets one block for each 16 million elements, at least one and at most `blocks`.
    """

    blocks: int
    elements: int
    tensors: int | None = None

    def blocks_in(self, elements: int) -> int:
        """Number of blocks of a tensor with `elements` elements."""
        return self.blocks if self.tensors is None else max(1, min(self.blocks, elements >> 24))


THIN = Grid(16, 16_384, 64)
THIN_MARK = "thin:"


def grid_for(tensors: int) -> Grid:
    """The grid for a model with `tensors` tensors.

    Every model of up to 1,024 tensors gives 64 blocks a tensor. Bytes stay under 32 MiB for 16-bit and 32-bit
    weights, and reads, which determine the time, under 66,000 up to 16,384 tensors (mixtures of experts).
    """
    if tensors <= 256:
        return Grid(64, 256)
    if tensors <= 1024:
        return Grid(64, 64)
    return Grid(16, 64) if tensors <= 4096 else Grid(4, 64)


@dataclass(frozen=True)
class Fingerprint:
    """What identifies a checkpoint: SHA-256 digests in hexadecimal, and the bytes of all tensors."""

    headers: str
    samples: str
    side_files: Mapping[str, str]
    nbytes: int

    def as_dict(self) -> dict[str, Any]:
        """Plain data for the manifest."""
        return asdict(self)


def blocks_of(elements: int, grid: Grid) -> list[tuple[int, int]]:
    """The sampled blocks of a tensor as (first element, elements): fixed by its size and the grid alone.

    A tensor no longer than the sample is taken whole, as one block.
    """
    blocks = grid.blocks_in(elements)
    if elements <= blocks * grid.elements:
        return [(0, elements)]
    span = elements - grid.elements
    if blocks == 1:
        return [(span // 2, grid.elements)]
    return [(span * number // (blocks - 1), grid.elements) for number in range(blocks)]


class Sample:
    """The sampled blocks of one checkpoint, read once: name to a flat array in the stored dtype."""

    def __init__(self, checkpoint: TensorFiles, grid: Grid | None = None) -> None:
        """Read the blocks, on `grid`; None: the grid for the number of tensors, or `THIN` for a remote model."""
        self.grid = grid or (THIN if checkpoint.is_remote else grid_for(len(checkpoint.tensors)))
        names = sampled_tensors(checkpoint.tensors, self.grid)
        self.blocks: dict[str, NDArray[np.generic]] = _read_blocks(checkpoint, names, self.grid)

    def digest(self) -> str:
        """SHA-256 over names, numbers of elements and sampled bytes, in name order; `thin:` before a thin one."""
        import numpy as np

        digest = hashlib.sha256()
        for name, values in self.blocks.items():
            digest.update(f"{name}\0{len(values)}\0".encode())
            digest.update(values.view(np.uint8).data)
        return (THIN_MARK if self.grid == THIN else "") + digest.hexdigest()


def read_samples(checkpoints: Sequence[TensorFiles]) -> list[Sample]:
    """The samples of several checkpoints, in order; read in parallel if some are remote, as those mostly wait."""
    if not any(checkpoint.is_remote for checkpoint in checkpoints):
        return [Sample(checkpoint) for checkpoint in checkpoints]
    with ThreadPoolExecutor(len(checkpoints), "chatvector-sample") as pool:
        return list(pool.map(Sample, checkpoints))


def fingerprint_like(checkpoint: Checkpoint, expected: Mapping[str, Any]) -> Fingerprint:
    """The fingerprint of `checkpoint` on the same grid as `expected`, a fingerprint from a manifest."""
    thin = str(expected.get("samples", "")).startswith(THIN_MARK)
    return fingerprint(checkpoint, Sample(checkpoint, THIN if thin else grid_for(len(checkpoint.tensors))))


def fingerprint(checkpoint: Checkpoint, sample: Sample) -> Fingerprint:
    """The fingerprint of `checkpoint`, whose blocks were read into `sample`."""
    headers = hashlib.sha256()
    for shard, header in checkpoint.headers.items():
        headers.update(f"{shard}\0{checkpoint.listing[shard]}\0".encode())
        headers.update(header.raw)
    side_files = {name: hashlib.sha256(checkpoint.read_file(name)).hexdigest() for name in checkpoint.files}
    return Fingerprint(headers.hexdigest(), sample.digest(), side_files, checkpoint.nbytes)


class Shaped(Protocol):
    """A tensor's shape, which is all that the choice of tensors needs."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents, outermost first."""
        ...


def sampled_tensors(tensors: Mapping[str, Shaped], grid: Grid) -> list[str]:
    """Names of the tensors that `grid` samples, sorted: all of them, or some of the matrices.

    A share of 1/2ᵏ is chosen by a checksum of the name, so that slightly different models share most of it.
    """
    if grid.tensors is None:
        return sorted(tensors)
    matrices = {name: ref for name, ref in tensors.items() if len(ref.shape) > 1} or dict(tensors)
    largest = max(math.prod(ref.shape) for ref in matrices.values())
    share = 1
    while len(matrices) > share * 2 * grid.tensors:
        share *= 2
    chosen = (n for n, ref in matrices.items() if math.prod(ref.shape) == largest or crc32(n.encode()) % share == 0)
    return sorted(chosen)


def _read_blocks(checkpoint: TensorFiles, names: list[str], grid: Grid) -> dict[str, NDArray[np.generic]]:
    import numpy as np

    found: dict[str, NDArray[np.generic]] = {}
    spans: dict[str, list[tuple[str, int, int]]] = {}
    for name in names:
        ref = checkpoint.tensors[name]
        item = ref.dtype.bits // 8
        blocks = [(ref.offset + start * item, count * item) for start, count in blocks_of(ref.elements, grid)]
        if checkpoint.is_remote:
            spans.setdefault(ref.file, []).extend((name, *block) for block in blocks)
            continue
        found[name] = np.empty(sum(size for _, size in blocks), np.uint8).view(ref.dtype.numpy)
        view = found[name].view(np.uint8).data
        source = checkpoint.source(ref.file)
        done = 0
        for offset, size in blocks:
            source.read_into(offset, view[done : done + size])
            done += size
    for file, wanted in spans.items():
        pieces: dict[str, list[bytes]] = {}
        fetched = read_ranges(checkpoint.source(file), [(offset, size) for _, offset, size in wanted])
        for (name, _, _), data in zip(wanted, fetched, strict=True):
            pieces.setdefault(name, []).append(data)
        for name, parts in pieces.items():
            found[name] = np.frombuffer(b"".join(parts), checkpoint.tensors[name].dtype.numpy)
    return {name: found[name] for name in names}
