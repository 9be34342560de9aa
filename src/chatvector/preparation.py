# SPDX-License-Identifier: Apache-2.0
"""From a recipe to a plan: open the parents, check that they fit, match vocabularies, decide the chat format.

Reads headers, side files and a sample of at most 32 MiB a model; writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatvector.arithmetic.declared import require_consistent_ties, require_declared_rows
from chatvector.arithmetic.merge_plan import MergePlan, head_norm, plan_merge
from chatvector.arithmetic.plan import Plan
from chatvector.arithmetic.roles import Role, assign_roles
from chatvector.arithmetic.scales import ScaleRules, parse_layers
from chatvector.arithmetic.sources import EmbeddingRows, PairVector, VectorSource, embedding_rows
from chatvector.arithmetic.stored import StoredVector
from chatvector.checkpoint.checkpoint import Checkpoint
from chatvector.checkpoint.files import safetensors_name
from chatvector.checkpoint.fingerprint import fingerprint, read_samples
from chatvector.checkpoint.names import resolve
from chatvector.checkpoint.quantised import refuse_quantised
from chatvector.checkpoint.remote import Transfer
from chatvector.checks.compatibility import compare_configs, compare_tensors
from chatvector.checks.evidence import lineage_of
from chatvector.checks.lineage import Lineage
from chatvector.errors import IncompatibleParents, UsageError, first_five
from chatvector.messages import Say
from chatvector.recipe import Recipe, VectorSpec
from chatvector.vocabulary.chat_format import ChatFormat, read_chat_format
from chatvector.vocabulary.choice import Choice, choose_chat_format
from chatvector.vocabulary.rows import VectorTables, VocabularyPlan, check_fits, plan_vocabulary
from chatvector.vocabulary.tokens import TokenTable, TokenTables
from chatvector.vocabulary.untrained import RowHealth, assess_rows


@dataclass(frozen=True, eq=False)
class Job:
    """Everything known before the first byte is written.

    Attributes:
        recipe: the recipe as given.
        target, vectors: the open parents.
        fingerprints: what identifies each parent, by its role: `target`, `vectors.0.base`, … (`vectors.0` for a vector
            on disk).
        choice: which model's chat format the output gets.
        vocabulary: rows of the output and row maps.
        merge: the plans of the tensors, and facts for messages and manifest.
        plan: what the executor needs.
        lineage: one verdict for each vector.
        warnings: one line each, for people and the manifest.
    """

    recipe: Recipe
    target: Checkpoint
    vectors: tuple[VectorSource, ...]
    fingerprints: Mapping[str, Mapping[str, Any]]
    choice: Choice
    vocabulary: VocabularyPlan
    merge: MergePlan
    plan: Plan
    lineage: tuple[Lineage | None, ...]
    warnings: tuple[str, ...]

    @property
    def models(self) -> tuple[Checkpoint, ...]:
        """Every parent that is read: the target, then base and chat of each vector."""
        return (self.target, *(model for vector in self.vectors for model in vector.inputs()))


def prepare(recipe: Recipe, stack: ExitStack, say: Say, *, stream: bool | None = None) -> Job:
    """Make the plan of `recipe`. Opened files are closed by `stack`; `say` takes lines for people.

    `stream`: whether hub models are read by byte range; None: as the recipe says. A plan alone needs no download.

    Raises the errors of the parents (InputError and its kinds), UsageError for choices and rules, HubError.
    """
    # 1. Open the parents: headers, configurations, lists of files.
    stream = recipe.stream if stream is None else stream
    target, vectors = _open_parents(recipe, stack, say, stream=stream)
    # 2. Check that they fit: the target's configuration against its tensors, architectures, tensors.
    warnings = _check_fit(target, vectors)
    # 3. Lineage and fingerprints from the sample. Before the format is chosen: swapped parents would confuse that.
    tokens = TokenTables()
    roles = assign_roles(target.tensors, target.config)
    lineage, fingerprints = _sample(recipe, target, vectors, roles, tokens, warnings)
    # 4. Everything else.
    return plan_job(recipe, target, vectors, tokens, lineage, fingerprints, warnings)


def plan_job(
    recipe: Recipe,
    target: Checkpoint,
    vectors: tuple[VectorSource, ...],
    tokens: TokenTables,
    lineage: tuple[Lineage | None, ...],
    fingerprints: Mapping[str, Mapping[str, Any]],
    warnings: Sequence[str],
) -> Job:
    """The plan for open parents that fit: chat format, vocabulary, tensors. `warnings`: those known already.

    Raises InputError and its kinds, UsageError for choices and rules.
    """
    # 1. Tokenizers and chat formats of the vectors.
    tables = [_tables(vector, tokens) for vector in vectors]
    formats = [read_chat_format(vector.chat, table.chat) for vector, table in zip(vectors, tables, strict=True)]
    # 2. The model that gives the chat format, and the origin of every row of the vocabulary.
    own_table = tokens.read(target)
    own_format = read_chat_format(target, own_table)
    models = [(vector.chat, table.chat) for vector, table in zip(vectors, tables, strict=True)]
    choice = choose_chat_format(recipe.chat_format, own_format, formats, models=models)
    health = _row_health(choice, vectors, tables)
    vocabulary = plan_vocabulary(
        own_table,
        embedding_rows(target),
        tables,
        choice=choice,
        policy=recipe.vocabulary,
        health=health,
        name=target.name,
    )
    said = [
        *warnings,
        *_template_warnings(choice),
    ]
    # 3. The plan.
    rules = [scale_rules(spec) for spec in recipe.vectors]
    merge = plan_merge(target, vectors, rules, vocabulary, choice.vector if choice.moves else None)
    for number, vector in enumerate(vectors):
        if merge.lost_heads[number]:
            said.append(
                f"{target.name} ties head and embedding, {vector.name} does not: only the embedding's difference is"
                f" added, the head's is left out (norm {head_norm(vector, vocabulary, number):.4g})"
            )
    metadata = {safetensors_name(file): header.metadata or {"format": "pt"} for file, header in target.headers.items()}
    identity = {
        "recipe": recipe.identity(),
        "parents": dict(fingerprints),
        "chat_format": _template_identity(choice),
    }
    plan = Plan(merge.tensors, metadata, identity)
    return Job(recipe, target, vectors, fingerprints, choice, vocabulary, merge, plan, lineage, tuple(said))


def scale_rules(spec: VectorSpec) -> ScaleRules:
    """The scales of a vector of the recipe. Raises UsageError for unknown roles and bad ranges."""
    return ScaleRules(
        spec.scale,
        roles=spec.scale_role,  # type: ignore[arg-type]  # unknown names are refused there
        layers={parse_layers(text): scale for text, scale in spec.scale_layers.items()},
        tensors=spec.scale_tensors,
    )


def transfers(job: Job) -> list[Transfer]:
    """The transfers that reading every remote parent whole, once, would take."""
    found = {model.name: one for model in job.models if (one := model.transfer) is not None}
    return list(found.values())


def open_model(name: str, stack: ExitStack, say: Say, *, stream: bool = False) -> Checkpoint:
    """Open a model, refuse quantised weights and inconsistent ties."""
    model = stack.enter_context(Checkpoint.open(name, say, stream=stream))
    refuse_quantised(model.config, model.tensors, name, files=model.files)
    require_consistent_ties(model)
    return model


def _open_parents(
    recipe: Recipe, stack: ExitStack, say: Say, *, stream: bool
) -> tuple[Checkpoint, tuple[VectorSource, ...]]:
    pairs = [name for spec in recipe.vectors if spec.vector is None for name in (spec.base, spec.chat)]
    names = [recipe.target, *(name for name in pairs if name is not None)]
    if stream and any(resolve(name).path is None for name in names):
        # Opened in parallel, as they mostly wait.
        with ThreadPoolExecutor(len(names), "chatvector-open") as pool:
            models = list(pool.map(lambda name: open_model(name, stack, say, stream=True), names))
    else:
        models = [open_model(name, stack, say, stream=stream) for name in names]
    target, *rest = models
    parents = iter(rest)
    vectors = (
        PairVector(next(parents), next(parents)) if spec.vector is None else _open_stored(spec.vector, stack)
        for spec in recipe.vectors
    )
    return target, tuple(vectors)


def _open_stored(name: str, stack: ExitStack) -> StoredVector:
    location = resolve(name)
    if location.path is None:
        raise UsageError(f"{name}: a vector must be a directory on this machine")
    vector = StoredVector(Path(location.path), name)
    stack.callback(vector.close)
    return vector


def _check_fit(target: Checkpoint, vectors: tuple[VectorSource, ...]) -> list[str]:
    require_declared_rows(target)
    warnings: list[str] = []
    for vector in vectors:
        compatibility = compare_configs(target.config, {"base": vector.base.config, "chat": vector.chat.config})
        if compatibility.refusals:
            raise IncompatibleParents(
                f"{target.name} and {vector.name} do not fit: {first_five(compatibility.refusals)};"
                " all three models must share one architecture"
            )
        warnings += [f"{vector.name}: {text}" for text in compatibility.warnings]
        base = vector.base.tensors if isinstance(vector, PairVector) else vector.tensors
        configs = {"target": target.config, "base": vector.base.config, "chat": vector.chat.config}
        compare_tensors(target.tensors, base, vector.tensors, configs)
    return list(dict.fromkeys(warnings))


def _tables(vector: VectorSource, tokens: TokenTables) -> VectorTables:
    base_rows, chat_rows = vector.rows()
    return VectorTables(tokens.read(vector.base), tokens.read(vector.chat), base_rows, chat_rows, vector.name)


def _row_health(choice: Choice, vectors: tuple[VectorSource, ...], tables: list[VectorTables]) -> dict[str, RowHealth]:
    if not choice.moves or choice.vector is None or choice.format is None:
        return {}
    vector, table = vectors[choice.vector], tables[choice.vector]
    if isinstance(vector, StoredVector):
        return vector.row_health()
    return base_row_health(vector.base, table.base, choice.format)


def base_row_health(base: Checkpoint, table: TokenTable, chat_format: ChatFormat) -> dict[str, RowHealth]:
    """Whether base's rows of the template tokens that it has are trained, by the criterion for untrained rows.

    Raises InputError when base's tokenizer has ids beyond its embedding: there are no rows to judge for them.
    """
    check_fits(table, embedding_rows(base), f"base {base.name}")
    tokens = {token: table.ids[token] for token in chat_format.template_tokens if token in table.ids}
    return assess_rows(EmbeddingRows(base), tokens, table)


def _template_warnings(choice: Choice) -> list[str]:
    found = choice.format
    if found is None:
        return []
    said = [f"{found.source}: {marker} in the template is no token of its tokenizer" for marker in found.plain_markers]
    stops = first_five(map(repr, found.stop_tokens)) or "none"
    if not found.shows_answers:
        said.append(
            f"{found.source}: the template leaves out what the assistant said, so what ends a reply cannot be read from"
            f" it; the stop tokens are {stops}: compare the model's card"
        )
    elif not found.turn_ends:
        said.append(
            f"{found.source}: the template writes no special token after a reply, so nothing but the model's own list"
            f" can end one; the stop tokens are {stops}: compare the model's card"
        )
    return said


def _sample(
    recipe: Recipe,
    target: Checkpoint,
    vectors: tuple[VectorSource, ...],
    roles: Mapping[str, Role],
    tokens: TokenTables,
    warnings: list[str],
) -> tuple[tuple[Lineage | None, ...], dict[str, Mapping[str, Any]]]:
    pairs = [vector for vector in vectors if isinstance(vector, PairVector)]
    own, *parents = read_samples([target, *(model for pair in pairs for model in (pair.base, pair.chat))])
    of_pairs = dict(zip(pairs, zip(parents[::2], parents[1::2], strict=True), strict=True))
    fingerprints: dict[str, Mapping[str, Any]] = {"target": fingerprint(target, own).as_dict()}
    verdicts: list[Lineage | None] = []
    for number, vector in enumerate(vectors):
        if isinstance(vector, StoredVector):
            fingerprints[f"vectors.{number}"] = vector.fingerprint()
            verdicts.append(None)
            continue
        base_sample, chat_sample = of_pairs[vector]
        fingerprints[f"vectors.{number}.base"] = fingerprint(vector.base, base_sample).as_dict()
        fingerprints[f"vectors.{number}.chat"] = fingerprint(vector.chat, chat_sample).as_dict()
        samples = {"target": own, "base": base_sample, "chat": chat_sample}
        verdict = lineage_of(target, vector.base, vector.chat, roles, samples, tokens=tokens.read)
        # Subtracting a vector that the target contains is no mistake.
        if not recipe.force_lineage and recipe.vectors[number].scale > 0:
            verdict.raise_if_refused((target.name, vector.base.name, vector.chat.name))
        warnings += [f"lineage of {vector.name}: {reason}" for reason in verdict.reasons]
        verdicts.append(verdict)
    return tuple(verdicts), fingerprints


def _template_identity(choice: Choice) -> Any:
    return None if choice.format is None else [choice.source, dict(choice.format.templates)]
