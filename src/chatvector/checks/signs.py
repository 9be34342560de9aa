# SPDX-License-Identifier: Apache-2.0
"""Evidence in files on which model is base, chat or target, where the weights alone cannot tell.

Three points in weight space cannot distinguish "base and chat are swapped" from "the target grew from the chat model":
in both, the model given as chat stands where the paths part. Templates, the rows of the template's tokens, and the
manifest of an earlier merge can.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from chatvector.errors import InputError
from chatvector.provenance.manifest import MANIFEST
from chatvector.vocabulary.side_files import SideFiles
from chatvector.vocabulary.template_files import read_template_files

# Other tools' recipes, copied into their outputs.
FOREIGN_RECIPES = ("mergekit_config.yml", "mergekit_config.yaml")
# Share of a row's norm beyond which a difference counts: for moved by chat tuning, and for nearest to the target's.
MOVED = 0.01


class Rows(Protocol):
    """An embedding's rows by number."""

    def read_rows(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """[n] → [n, D]."""
        ...


@dataclass(frozen=True)
class RowSigns:
    """Comparison of the template tokens' rows that differ between base and chat with the target's rows."""

    moved: int
    like_chat: int
    like_base: int

    def __str__(self) -> str:
        return (
            f"of {self.moved} template tokens whose rows differ between base and chat, the target's row is nearer to"
            f" chat in {self.like_chat}, to base in {self.like_base}"
        )


@dataclass(frozen=True)
class Signs:
    """Evidence beside the weights.

    Attributes:
        templates: roles (`base`, `chat`, `target`) whose model has a chat template.
        untrained: roles among base and chat whose rows of the template's tokens are untrained; None: not examined.
        rows: see RowSigns; None: not examined, or no token is in all three.
        merged: scales at which this same chat model was added before, according to the target's manifest.
        recipe: name of another tool's file in the target that says it is a merge.
        differences: lines about keys that differ between base and chat and that only another model version changes.
    """

    templates: Collection[str] = ()
    untrained: Collection[str] | None = None
    rows: RowSigns | None = None
    merged: tuple[float, ...] = ()
    recipe: str | None = None
    differences: tuple[str, ...] = field(default=())

    @property
    def only_base_talks(self) -> bool:
        """Whether the model given as base is a chat model by its files and the one given as chat is not."""
        if self.untrained is not None and ("chat" in self.untrained) != ("base" in self.untrained):
            return "chat" in self.untrained
        return "base" in self.templates and "chat" not in self.templates

    @property
    def only_chat_talks(self) -> bool:
        """Whether the model given as chat is a chat model by its files and the one given as base is not."""
        if self.untrained is not None and ("chat" in self.untrained) != ("base" in self.untrained):
            return "base" in self.untrained
        return "chat" in self.templates and "base" not in self.templates

    def as_dict(self) -> dict[str, Any]:
        """Plain data for `--json` and the manifest."""
        return {
            "templates": sorted(self.templates),
            "untrained_rows": None if self.untrained is None else sorted(self.untrained),
            "template_rows": None if self.rows is None else asdict(self.rows),
            "merged_before": list(self.merged),
            "foreign_recipe": self.recipe,
            "base_chat_differences": list(self.differences),
        }


def with_templates(models: Mapping[str, SideFiles]) -> tuple[str, ...]:
    """The roles whose model has a chat template. An unreadable template counts, too."""
    found = []
    for role, model in models.items():
        try:
            there = bool(read_template_files(model).sources)
        except InputError:
            there = True
        if there:
            found.append(role)
    return tuple(found)


def earlier_scales(target: SideFiles, listing: Collection[str], chat_samples: str) -> tuple[float, ...]:
    """Scales at which this chat model was added before, by the target's own manifest.

    Args:
        listing: all files of the target; manifests are not among the side files, as they are not copied.
        chat_samples: digest of the chat model's sampled blocks (`Fingerprint.samples`).
    """
    if MANIFEST not in listing:
        return ()
    try:
        manifest = json.loads(target.read_file(MANIFEST))
        return tuple(
            float(vector.get("scale", 1.0))
            for number, vector in enumerate(manifest["recipe"]["vectors"])
            if manifest["parents"].get(f"vectors.{number}.chat", {}).get("samples") == chat_samples
        )
    except (InputError, ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return ()  # a damaged or foreign manifest proves nothing


def foreign_recipe(listing: Collection[str]) -> str | None:
    """The file that says the model is another tool's merge, if there is one."""
    return next((name for name in FOREIGN_RECIPES if name in listing), None)


def compare_rows(
    tokens: Collection[str], ids: Mapping[str, Mapping[str, int]], embeddings: Mapping[str, Rows]
) -> RowSigns | None:
    """Compare the rows of template tokens that base, chat and target all have.

    Args:
        tokens: the template's tokens.
        ids: role → token → row.
        embeddings: role → rows; the three must be equally wide.

    Returns None when no token is in all three.
    """
    shared = sorted(token for token in tokens if all(token in ids[role] for role in ("base", "chat", "target")))
    if not shared:
        return None
    base, chat, target = (
        embeddings[role].read_rows(np.array([ids[role][token] for token in shared], np.int64)).astype(np.float64)
        for role in ("base", "chat", "target")
    )
    step = np.linalg.norm(chat - base, axis=1)
    moved = step > MOVED * np.linalg.norm(base, axis=1)
    to_chat, to_base = np.linalg.norm(target - chat, axis=1), np.linalg.norm(target - base, axis=1)
    return RowSigns(
        int(moved.sum()),
        int((moved & (to_chat < 0.5 * to_base)).sum()),
        int((moved & (to_base < 0.5 * to_chat)).sum()),
    )
