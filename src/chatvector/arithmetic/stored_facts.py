# SPDX-License-Identifier: Apache-2.0
"""Validated facts from the manifest of a vector on disk. Imported only where there is a vector on disk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import pydantic

from chatvector.checkpoint.dtypes import DTYPES
from chatvector.errors import DamagedFile, brief
from chatvector.vocabulary.untrained import RowHealth


class Origin(pydantic.BaseModel):
    """Public name and commit of a parent, and facts from its card; all empty for a directory without a card."""

    model_config = pydantic.ConfigDict(frozen=True)

    model: str | None = None
    commit: str | None = None
    licences: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()


class Facts(pydantic.BaseModel):
    """Facts in a vector's manifest: about the vector, under `vector`, and about its parents, under `origins`."""

    model_config = pydantic.ConfigDict(frozen=True)

    rows: tuple[pydantic.PositiveInt, pydantic.PositiveInt]
    """Rows of the embeddings of base and chat."""
    parent_dtypes: dict[str, tuple[str, str]]
    """Tensor name → dtypes of chat's and base's tensor; `*` stands for all tensors that are not named."""
    chat_row_ids: tuple[pydantic.NonNegativeInt, ...]
    """The chat model's row of each row of `chat_rows.safetensors`."""
    row_health: tuple[RowHealth, ...]
    """Whether base's rows of template tokens are trained, judged when the vector was extracted."""
    origins: dict[Literal["base", "chat"], Origin]

    @pydantic.field_validator("parent_dtypes")
    @classmethod
    def _known(cls, codes: dict[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
        if "*" not in codes or any(code not in DTYPES for pair in codes.values() for code in pair):
            raise ValueError(f"must name dtypes of the format, and those of '*': {', '.join(DTYPES)}")
        return codes


def read_facts(manifest: Mapping[str, Any], where: str) -> Facts:
    """The checked facts of a vector's manifest; `where` names it in messages. Raises DamagedFile."""
    section = manifest.get("vector")
    try:
        return Facts.model_validate(
            {**(section if isinstance(section, dict) else {}), "origins": manifest.get("origins", {})}
        )
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise DamagedFile(f"{where}: {brief(place)}: {first['msg']}; extract the vector again") from None
