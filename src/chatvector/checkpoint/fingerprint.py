# SPDX-License-Identifier: Apache-2.0
"""A fixed sample of every tensor, and the fingerprint made from it.

A full SHA-256 would double the time of a merge. The fingerprint is the SHA-256 of the headers, of each side file and
of fixed blocks of every tensor (64, unless the model has thousands). It tells any two checkpoints of practice apart,
as a training step moves nearly every weight, and proves nothing against an adversary. The same blocks feed the lineage check, so they are read once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from chatvector.checkpoint.checkpoint import Checkpoint
from chatvector.checkpoint.tensor_files import TensorFiles, TensorRef

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Grid:
    """Which blocks of a tensor are sampled: `blocks` of them, evenly spread, `elements` long each."""

    blocks: int
    elements: int


def grid_for(tensors: int) -> Grid:
    """The grid for a model of so many tensors.

    Every model of up to 1,024 tensors gives 64 blocks a tensor. Bytes stay under 32 MiB for 16-bit and 32-bit
    weights, and reads under 66,000 up to 16,384 tensors (mixtures of experts), which is what bounds the time.
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
    if elements <= grid.blocks * grid.elements:
        return [(0, elements)]
    span = elements - grid.elements
    return [(span * number // (grid.blocks - 1), grid.elements) for number in range(grid.blocks)]


class Sample:
    """The sampled blocks of one checkpoint, read once: name to a flat array in the stored dtype."""

    def __init__(self, checkpoint: TensorFiles, grid: Grid | None = None) -> None:
        """Read the blocks of all tensors, on the grid for their number unless another is given."""
        self.grid = grid or grid_for(len(checkpoint.tensors))
        self.blocks: dict[str, NDArray[np.generic]] = {
            name: _read_blocks(checkpoint, checkpoint.tensors[name], self.grid) for name in sorted(checkpoint.tensors)
        }

    def digest(self) -> str:
        """SHA-256 over names, numbers of elements and sampled bytes, in name order."""
        import numpy as np

        digest = hashlib.sha256()
        for name, values in self.blocks.items():
            digest.update(f"{name}\0{len(values)}\0".encode())
            digest.update(values.view(np.uint8).data)
        return digest.hexdigest()


def fingerprint(checkpoint: Checkpoint, sample: Sample) -> Fingerprint:
    """The fingerprint of `checkpoint`, whose blocks were read into `sample`."""
    headers = hashlib.sha256()
    for shard, header in checkpoint.headers.items():
        headers.update(f"{shard}\0{checkpoint.listing[shard]}\0".encode())
        headers.update(header.raw)
    side_files = {name: hashlib.sha256(checkpoint.read_file(name)).hexdigest() for name in checkpoint.files}
    return Fingerprint(headers.hexdigest(), sample.digest(), side_files, checkpoint.nbytes)


def _read_blocks(checkpoint: TensorFiles, ref: TensorRef, grid: Grid) -> NDArray[np.generic]:
    import numpy as np

    item = ref.dtype.bits // 8
    blocks = blocks_of(ref.elements, grid)
    values = np.empty(sum(count for _, count in blocks) * item, np.uint8)
    view = values.data
    source = checkpoint.source(ref.file)
    done = 0
    for start, count in blocks:
        source.read_into(ref.offset + start * item, view[done : done + count * item])
        done += count * item
    return values.view(ref.dtype.numpy)
