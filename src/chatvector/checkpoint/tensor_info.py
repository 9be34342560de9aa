# SPDX-License-Identifier: Apache-2.0
"""The facts in a header about a tensor that names, roles and compatibility need.

They are protocols, so that rooms which only look at headers accept headers of any origin: a local file, a range
request, a vector on disk, a test.
"""

from __future__ import annotations

from typing import Protocol


class DTypeInfo(Protocol):
    """A dtype with its code in the safetensors format."""

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
