# SPDX-License-Identifier: Apache-2.0
"""The examination: runs all checks in order and gives their findings as plain data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from chatvector.checks.doctor.architecture import check_architecture
from chatvector.checks.doctor.catalogue import Finding
from chatvector.checks.doctor.chat import Rendered, check_chat
from chatvector.checks.doctor.numbers import Sampled, check_numbers
from chatvector.checks.doctor.origin import check_origin
from chatvector.checks.doctor.patient import Patient
from chatvector.checks.doctor.vocabulary import check_vocabulary
from chatvector.checks.doctor.weight_files import check_files, is_whole
from chatvector.errors import UnsupportedFormat
from chatvector.provenance.manifest import MANIFEST

LOST_WEIGHTS = ("weights-damaged", "index-missing-files", "shards-incomplete")
_ORDER = {"fault": 0, "warning": 1, "note": 2}


@dataclass(frozen=True)
class Diagnosis:
    """The findings, and what was examined.

    Attributes:
        model: its name.
        findings: faults first, then warnings, then notes; in the order of the checks within each.
        has_manifest: whether it has a manifest, by which `verify` can recompute it.
        unchecked: what could not be examined, and why.
    """

    model: str
    findings: tuple[Finding, ...]
    tensors: int
    sampled: Sampled
    chat: Rendered = field(default_factory=Rendered)
    has_manifest: bool = False
    unchecked: tuple[str, ...] = ()

    @property
    def faults(self) -> tuple[Finding, ...]:
        """The findings that make the model unusable or wrong."""
        return tuple(finding for finding in self.findings if finding.level == "fault")

    @property
    def healthy(self) -> bool:
        """Whether there is no fault; warnings and notes do not count."""
        return not self.faults

    def as_dict(self) -> dict[str, Any]:
        """Plain data: schema in docs/doctor.md."""
        return {
            "model": self.model,
            "healthy": self.healthy,
            "findings": [finding.as_dict() for finding in self.findings],
            "checked": {
                "tensors": self.tensors,
                "tensors_sampled": self.sampled.tensors,
                "elements_sampled": self.sampled.elements,
                "conversations": list(self.chat.conversations),
                "template_tokens": dict(self.chat.template_tokens),
                "rows_assessed": len(self.chat.rows),
                "stop_ids": list(self.chat.stop_ids),
            },
            "unchecked": list(self.unchecked),
            "has_manifest": self.has_manifest,
        }


def examine(name: str, progress: Callable[[str], None] | None = None, *, full: bool = False) -> Diagnosis:
    """Examine a model by name. Reads headers, configurations, tokenizer, a few rows and blocks; writes nothing.

    `full`: reads every weight instead of the blocks.

    Raises MissingInput, UnsupportedFormat, UsageError or HubError when there is no model at all; faults of an existing
    model are findings.
    """
    model = Patient.open(name, progress)
    try:
        return examine_opened(model, full=full)
    finally:
        model.close()


def examine_opened(model: Patient, *, full: bool = False) -> Diagnosis:
    """As `examine`, on an opened model."""
    sampled, chat = Sampled(), Rendered()
    unchecked: list[str] = []
    findings = list(check_files(model))
    # Tensors in files that are missing or unreadable are not reported as missing from the model.
    lost = not is_whole(model) and (
        any(finding.code in LOST_WEIGHTS for finding in findings)
        or bool(model.unreadable.keys() & model.damaged.keys())
    )
    if lost:
        unchecked.append("whether all tensors are there: not all weight files can be read")
    findings += [
        *check_architecture(model, complete=not lost),
        *check_vocabulary(model, complete=not lost),
        *check_chat(model, chat),
        *check_numbers(model, sampled, full=full),
        *check_origin(model),
    ]
    others = model.unreadable.keys() - model.unreadable_by_loaders.keys()
    unchecked += [f"{name}: {model.unreadable[name]}" for name in sorted(others)]
    if model.chat_unreadable:
        unchecked.append("tokenizer and chat format: not all of their files can be read")
    elif isinstance(model.tokens_problem, UnsupportedFormat):
        unchecked.append(f"tokenizer and chat format: {model.tokens_problem}")
    return Diagnosis(
        model=model.name,
        findings=tuple(sorted(findings, key=lambda finding: _ORDER[finding.level])),
        tensors=len(model.weights.tensors),
        sampled=sampled,
        chat=chat,
        has_manifest=MANIFEST in model.listing,
        unchecked=tuple(unchecked),
    )
