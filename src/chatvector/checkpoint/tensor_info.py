# SPDX-License-Identifier: Apache-2.0
"""What a header says about a tensor, as far as names, roles and compatibility need it.

A protocol and not the record itself, so that the rooms which only look at headers can be given headers of any
origin: a local file, a range request, a vector on disk, three lines in a test.
"""

from __future__ import annotations

from typing import Protocol


class DTypeInfo(Protocol):
    """A dtype by its code in the safetensors format."""

    @property
    def code(self) -> str:
        """The code as the header spells it: `"BF16"`, `"F32"`, `"F8_E4M3"`, `"I64"` …"""
        ...


class TensorInfo(Protocol):
    """Shape and dtype of one named tensor."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents, outermost first, as stored."""
        ...

    @property
    def dtype(self) -> DTypeInfo:
        """The stored dtype."""
        ...


def is_floating(tensor: TensorInfo) -> bool:
    """Whether the tensor holds floating-point numbers (F64 F32 F16 BF16 F8_… F6_… F4), not integers or
    flags."""
    code = tensor.dtype.code
    return code.startswith("F") or code == "BF16"
