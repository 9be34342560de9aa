# SPDX-License-Identifier: Apache-2.0
"""Check whether three models fit together and have the lineage the user assumes; the verdict is text and data.

Headers, configurations, side files and a sample of at most 32 MiB a model are read; nothing is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chatvector.arithmetic.declared import require_declared_rows
from chatvector.arithmetic.roles import assign_roles
from chatvector.arithmetic.sources import PairVector
from chatvector.checkpoint.checkpoint import Checkpoint
from chatvector.checkpoint.fingerprint import read_samples
from chatvector.checks.compatibility import Compatibility, compare_configs, compare_tensors
from chatvector.checks.evidence import lineage_of
from chatvector.checks.lineage import Lineage
from chatvector.checks.selfcheck import check_chat_files
from chatvector.errors import IncompatibleParents, InputError, UsageError
from chatvector.output_files import own_files
from chatvector.preparation import plan_job
from chatvector.recipe import Recipe, VectorSpec
from chatvector.vocabulary.tokens import TokenTables


@dataclass(frozen=True)
class Check:
    """What was found about base, chat and target.

    Attributes:
        names: role → the model as the user named it.
        fit: differences of configurations and tensors, and tokenizers or other side files that make no chat model.
        lineage: None where the parents do not fit, because their weights cannot be compared.
    """

    names: Mapping[str, str]
    fit: Compatibility
    lineage: Lineage | None

    @property
    def refused(self) -> bool:
        """Whether `apply` would refuse."""
        return bool(self.refusals)

    @property
    def refusals(self) -> tuple[str, ...]:
        """The reasons for which `apply` would refuse, one line each."""
        return self.fit.refusals + (self.lineage.reasons if self.lineage is not None and self._weights_refuse else ())

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user should know although `apply` would go on, one line each."""
        return self.fit.warnings + (
            self.lineage.reasons if self.lineage is not None and not self._weights_refuse else ()
        )

    @property
    def _weights_refuse(self) -> bool:
        """Whether the weights make `apply` refuse: lineage before the merge, non-finite values once it reads them."""
        return self.lineage is not None and (self.lineage.refused or bool(self.lineage.geometry.non_finite))

    def as_dict(self) -> dict[str, Any]:
        """The document of `chatvector check --json`; schema in docs/lineage.md."""
        return {
            "refused": self.refused,
            "models": dict(self.names),
            "configuration": {"refusals": list(self.fit.refusals), "warnings": list(self.fit.warnings)},
            "lineage": None if self.lineage is None else self.lineage.as_dict(),
        }


def check_models(base: Checkpoint, chat: Checkpoint, target: Checkpoint, *, chat_format: str = "auto") -> Check:
    """Compare three open models by configuration, tensors, tokenizers, sampled weights and files.

    `chat_format` is that of `apply`. Raises what reading raises (MissingInput, DamagedFile). The result holds what does
    not fit and every other reason for which `apply` would refuse before the first byte, with two exceptions: a
    tokenizer that the tokenizers library does not load, and one with which that library splits a template's token.
    """
    configs = {"base": base.config, "chat": chat.config}
    fit = compare_configs(target.config, configs)
    refusals = list(fit.refusals)
    try:
        require_declared_rows(target)
    except InputError as error:
        refusals.append(str(error))
    try:
        compare_tensors(target.tensors, base.tensors, chat.tensors, {"target": target.config, **configs})
    except IncompatibleParents as error:
        refusals.append(str(error))
    tokens = TokenTables()
    for model in (base, chat, target):
        try:
            tokens.read(model)
        except InputError as error:
            refusals.append(str(error))
    names = {"base": base.name, "chat": chat.name, "target": target.name}
    fit = Compatibility(tuple(refusals), fit.warnings)
    if refusals:
        return Check(names, fit, None)
    models = {"base": base, "chat": chat, "target": target}
    samples = dict(zip(models, read_samples(list(models.values())), strict=True))
    roles = assign_roles(target.tensors, target.config)
    lineage = lineage_of(target, base, chat, roles, samples, tokens=tokens.read)
    if (problem := _output_problem(base, chat, target, tokens, lineage, chat_format)) is not None:
        fit = Compatibility((problem,), fit.warnings)
    return Check(names, fit, lineage)


def _output_problem(
    base: Checkpoint, chat: Checkpoint, target: Checkpoint, tokens: TokenTables, lineage: Lineage, chat_format: str
) -> str | None:
    """The message with which `apply` would refuse the output's side files; None where it would go on or ask."""
    vector = VectorSpec(base=base.name, chat=chat.name)
    recipe = Recipe(target=target.name, vectors=(vector,), chat_format=chat_format)
    try:
        job = plan_job(recipe, target, (PairVector(base, chat),), tokens, (lineage,), {}, ())
        # Loading the tokenizer by the library is skipped: it takes a fifth of this command's time, and `apply` does it
        # before its first byte.
        check_chat_files(own_files(job), job.choice, target, tables=tokens, by_library=False)
    except InputError as error:
        return str(error)
    except UsageError:
        return None
    return None
