# SPDX-License-Identifier: Apache-2.0
"""Gather the evidence on the descent of three open models: samples, templates, rows of special tokens.

The rows are read only where the weights give reason to, because that reads a part of each embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from chatvector.arithmetic.roles import Role
from chatvector.arithmetic.sources import EmbeddingRows
from chatvector.checkpoint.checkpoint import Checkpoint
from chatvector.checkpoint.fingerprint import THIN, Grid, Sample
from chatvector.checks.compatibility import compare_configs
from chatvector.checks.geometry import measure
from chatvector.checks.lineage import Lineage, alarming, judge
from chatvector.checks.signs import Signs, compare_rows, earlier_scales, foreign_recipe, with_templates
from chatvector.errors import InputError
from chatvector.vocabulary.chat_format import read_chat_format
from chatvector.vocabulary.tokens import TokenTable, read_tokens
from chatvector.vocabulary.untrained import assess_rows

# Keys of config.json that a new version of a base model changes, but chat tuning seldom does.
_VERSION_KEYS = ("rope", "max_position_embeddings", "sliding_window", "rms_norm_eps", "use_sliding_window")

ReadTokens = Callable[[Checkpoint], TokenTable]


def lineage_of(
    target: Checkpoint,
    base: Checkpoint,
    chat: Checkpoint,
    roles: Mapping[str, Role],
    samples: Mapping[str, Sample],
    *,
    tokens: ReadTokens = read_tokens,
) -> Lineage:
    """Judge three open models.

    Args:
        roles: tensor name → role, of the target.
        samples: `target`, `base`, `chat` → sampled blocks; read again where their grids differ.
        tokens: function that reads a tokenizer; callers with a cache of tokenizers pass their own.

    Raises what reading files raises (DamagedFile, MissingInput).
    """
    models = {"base": base, "chat": chat, "target": target}
    # One grid for all three: the thin one where a model is read over a network.
    grids = [sample.grid for sample in samples.values()]
    grid = THIN if THIN in grids else samples["target"].grid
    on_grid = {role: _on_grid(samples[role], models[role], grid) for role in models}
    geometry = measure(on_grid["target"], on_grid["base"], on_grid["chat"], roles)
    warnings = compare_configs(chat.config, {"base": base.config}).warnings
    signs = Signs(
        templates=with_templates(models),
        merged=earlier_scales(target, target.listing, samples["chat"].digest()),
        recipe=foreign_recipe(target.listing),
        differences=tuple(line.partition(":")[0] for line in warnings if line.startswith(_VERSION_KEYS)),
    )
    if alarming(geometry):
        signs = _with_rows(signs, models, tokens)
    return judge(geometry, signs)


def _with_rows(signs: Signs, models: Mapping[str, Checkpoint], tokens: ReadTokens) -> Signs:
    """Add evidence from the rows of the template's tokens. Unreadable ones give none; other checks report them."""
    speaker = next((role for role in ("chat", "base", "target") if role in signs.templates), None)
    if speaker is None:
        return signs
    try:
        tables = {role: tokens(model) for role, model in models.items()}
        found = read_chat_format(models[speaker], tables[speaker])
        embeddings = {role: EmbeddingRows(model) for role, model in models.items()}
    except InputError:
        return signs
    if found is None or len({embedding.dim for embedding in embeddings.values()}) > 1:
        return signs
    ids = {role: _inside(table.ids, embeddings[role].rows) for role, table in tables.items()}
    shared = [token for token in found.template_tokens if token in ids["base"] and token in ids["chat"]]
    health = {
        role: assess_rows(embeddings[role], {token: ids[role][token] for token in shared}, tables[role])
        for role in ("base", "chat")
    }
    untrained = {role: {token for token, row in rows.items() if row.untrained} for role, rows in health.items()}
    return replace(
        signs,
        untrained=tuple(a for a, b in (("base", "chat"), ("chat", "base")) if untrained[a] - untrained[b]),
        rows=compare_rows(found.template_tokens, ids, embeddings),
    )


def _inside(ids: Mapping[str, int], rows: int) -> dict[str, int]:
    return {token: row for token, row in ids.items() if row < rows}


def _on_grid(sample: Sample, model: Checkpoint, grid: Grid) -> Sample:
    return sample if sample.grid == grid else Sample(model, grid)
