# SPDX-License-Identifier: Apache-2.0
"""The dtypes of the safetensors format, and how weight arithmetic treats each.

Source: safetensors format specification, `Dtype` of version 0.8.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

from chatvector.errors import DamagedFile

if TYPE_CHECKING:
    import numpy as np

Kind = Literal["float", "buffer", "low-precision"]


@dataclass(frozen=True)
class DType:
    """One safetensors dtype.

    Attributes:
        code: the name in the header, such as `BF16`.
        bits: size of an element in bits (the 4 and 6 bit formats are packed).
        kind: `float` takes part in the arithmetic; `buffer` tensors are copied; `low-precision`
            floats are storage formats of quantised models, whose differences mean nothing.
    """

    code: str
    bits: int
    kind: Kind

    @property
    def numpy(self) -> np.dtype:
        """The little-endian numpy dtype (BF16 is that of ml_dtypes). Low-precision dtypes have none."""
        return _numpy_dtype(self.code)

    def nbytes(self, shape: tuple[int, ...]) -> int | None:
        """Bytes of a tensor of this dtype and `shape`; None where packed elements do not fill whole bytes."""
        bits = self.bits
        for extent in shape:
            bits *= extent
        return None if bits % 8 else bits // 8


_TABLE: tuple[tuple[str, int, Kind], ...] = (
    ("F64", 64, "float"),
    ("F32", 32, "float"),
    ("F16", 16, "float"),
    ("BF16", 16, "float"),
    ("I64", 64, "buffer"),
    ("U64", 64, "buffer"),
    ("I32", 32, "buffer"),
    ("U32", 32, "buffer"),
    ("I16", 16, "buffer"),
    ("U16", 16, "buffer"),
    ("I8", 8, "buffer"),
    ("U8", 8, "buffer"),
    ("BOOL", 8, "buffer"),
    ("C64", 64, "buffer"),
    ("F8_E4M3", 8, "low-precision"),
    ("F8_E5M2", 8, "low-precision"),
    ("F8_E8M0", 8, "low-precision"),
    ("F8_E4M3FNUZ", 8, "low-precision"),
    ("F8_E5M2FNUZ", 8, "low-precision"),
    ("F6_E2M3", 6, "low-precision"),
    ("F6_E3M2", 6, "low-precision"),
    ("F4", 4, "low-precision"),
)

DTYPES: dict[str, DType] = {code: DType(code, bits, kind) for code, bits, kind in _TABLE}


def dtype_of(code: object, where: str) -> DType:
    """Look a dtype up by its header code. Raises DamagedFile, naming `where`, for a code the format does not know."""
    if not isinstance(code, str) or code not in DTYPES:
        raise DamagedFile(f"{where}: unknown dtype {repr(code)[:80]}; known are {', '.join(DTYPES)}")
    return DTYPES[code]


@cache
def _numpy_dtype(code: str) -> np.dtype:
    import numpy as np

    if code == "BF16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    names = {"F": "f", "I": "i", "U": "u", "C": "c"}
    if code == "BOOL":
        return np.dtype(np.bool_)
    if DTYPES[code].kind == "low-precision":
        raise TypeError(f"{code} has no arithmetic here")
    return np.dtype(f"<{names[code[0]]}{int(code[1:]) // 8}")
