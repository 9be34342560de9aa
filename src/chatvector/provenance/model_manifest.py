# SPDX-License-Identifier: Apache-2.0
"""What the manifest of a model must hold, and of which kind: docs/manifest.md as pydantic models.

Checked once, when a manifest is read, so that whoever uses one finds what the page says. Numbers and texts are not
judged here, and keys that are not named are let through.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import pydantic

from chatvector.errors import DamagedFile, brief
from chatvector.provenance.parent_cards import CARD

Rules = list[Annotated[tuple[str, float], pydantic.Strict(False)]]
"""What is scaled, and by how much; JSON has no tuples."""


class _Part(pydantic.BaseModel):
    """JSON's kinds as they are: no text is taken for a number."""

    model_config = pydantic.ConfigDict(strict=True)


class Vector(_Part):
    """`recipe.vectors[]`."""

    scale: float
    scale_role: Rules
    scale_layers: Rules
    scale_tensors: Rules


class Recipe(_Part):
    """`recipe`: without places."""

    vectors: list[Vector]
    vocabulary: str
    chat_format: str
    system_prompt: str


class Origin(_Part):
    """`origins.*`."""

    model: str | None
    commit: str | None


class Fingerprint(_Part):
    """`parents.*`, the keys that models and vectors on disk share, and those of models."""

    samples: str
    side_files: dict[str, str] = {}


class ChatFormat(_Part):
    """`chat_format`; `templates` is absent where there is no format."""

    source: str
    moves: bool
    templates: list[str] | None = None
    template_tokens: list[str] = []
    stop_tokens: list[str] = []
    injected_system_prompt: str | None = None

    @pydantic.model_validator(mode="after")
    def _is_whole(self) -> Self:
        lacking = {"stop_tokens", "template_tokens", "injected_system_prompt"} - self.model_fields_set
        if self.templates is not None and lacking:
            raise ValueError(f"lacks {', '.join(sorted(lacking))}")
        return self


class TemplateToken(_Part):
    """`vocabulary.template_tokens[]`."""

    token: str
    out: int
    done: str


class Vocabulary(_Part):
    """`vocabulary`."""

    policy: str
    rows: int
    rows_shared: list[int]
    rows_transplanted: int
    rows_kept: int
    tokens_added: int
    template_tokens: list[TemplateToken]


class Scales(_Part):
    """`scales[]`."""

    rules: dict[str, int]
    tensors: dict[str, float]


class Lineage(_Part):
    """`lineage[]`, where it is not null."""

    verdict: str
    reasons: list[str] = []
    chat_in_target: float | None = None
    chat_in_target_error: float | None = None
    drift_over_tau: float | None = None


class Norms(_Part):
    """`statistics.roles.*`."""

    tau_norm: list[float]


class Statistics(_Part):
    """`statistics`."""

    roles: dict[str, Norms]


class CheckedWeights(_Part):
    """`checks.weights`."""

    tensors: int
    elements: int


class CheckedChat(_Part):
    """`checks.chat`."""

    ok: bool
    problems: list[str]
    probes: list[str]


class Checks(_Part):
    """`checks`."""

    weights: CheckedWeights
    chat: CheckedChat | None = None


class LicencesOfParent(_Part):
    """`licences.parents[]`."""

    role: str
    called: str
    licences: list[str]
    unknown: list[str]
    found_in: list[str]


class LicenceRule(_Part):
    """`licences.rules[]`."""

    licence: str
    rule: str
    text: str
    clause: str


class Licences(_Part):
    """`licences`."""

    output: str | None
    parents: list[LicencesOfParent]
    rules: list[LicenceRule]
    conflicts: list[str]
    undetermined: list[str]
    forbidden: list[str]
    accepted: list[str] = []


class File(_Part):
    """`files.*`."""

    bytes: int
    sha256: str | None = None


class PlacedVector(_Part):
    """`run.recipe.vectors[]`; its scales are the recipe's to check."""

    base: str | None = None
    chat: str | None = None
    vector: str | None = None


class PlacedRecipe(_Part):
    """`run.recipe`."""

    target: str
    vectors: list[PlacedVector]


class Run(_Part):
    """`run`."""

    recipe: PlacedRecipe
    revisions: dict[str, str]
    output: str


class ModelManifest(_Part):
    """All of it, as far as something reads it."""

    kind: Literal["model"]
    chatvector: str
    plan: str
    recipe: Recipe
    origins: dict[str, Origin]
    parents: dict[str, Fingerprint]
    chat_format: ChatFormat
    vocabulary: Vocabulary
    scales: list[Scales]
    lineage: list[Lineage | None]
    statistics: Statistics
    checks: Checks
    languages: list[str]
    licences: Licences
    warnings: list[str]
    files: dict[str, File]
    run: Run | None = None

    @pydantic.model_validator(mode="after")
    def _names_parents_and_card(self) -> Self:
        roles = ["target"]
        for number in range(len(self.recipe.vectors)):
            roles += [f"vectors.{number}.base", f"vectors.{number}.chat"]
        named = [*roles, *(one.role for one in self.licences.parents)]
        absent = [f"origins.{role}" for role in named if role not in self.origins]
        absent += [f"parents.{role}" for role in roles if not self._is_fingerprinted(role)]
        card = self.files.get(CARD)
        if card is None or card.sha256 is None:
            absent.append(f"files.{CARD}.sha256")
        if absent:
            raise ValueError(f"lacks {', '.join(dict.fromkeys(absent))}")
        return self

    def _is_fingerprinted(self, role: str) -> bool:
        """A vector on disk has one fingerprint for both of its sides."""
        return role in self.parents or role.rpartition(".")[0] in self.parents


def require_whole(document: Mapping[str, Any], path: str) -> None:
    """Check the manifest of a model; `path` names it in the message. Raises DamagedFile."""
    try:
        ModelManifest.model_validate(document)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = brief(".".join(map(str, first["loc"])))
        raise DamagedFile(
            f"{path}: is no whole manifest ({place}{': ' if place else ''}{first['msg']}); get the file again"
        ) from None
