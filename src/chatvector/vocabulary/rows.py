# SPDX-License-Identifier: Apache-2.0
"""Row maps: for each row of the output's embedding, where its parts come from, matched by token string.

Letters: V rows of the output, tokens matched by their exact strings. Byte-fallback and space spellings are not
normalised (see `tokens`). Three kinds of rows:

* tokens that base and chat both have get `row + s·(chat row − base row)`
* template tokens that base lacks, or holds untrained, get the chat model's row, whatever the scale
* everything else (tokens of the target alone, padding) is the target's, bit for bit

A template token that the target lacks takes the first row behind its tokenizer: padding rows are used up first,
and rows are added, to the target's padding multiple, only when none remain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from chatvector.errors import IncompatibleParents, InputError, UsageError, first_five
from chatvector.vocabulary.choice import Choice
from chatvector.vocabulary.tokens import TokenTable
from chatvector.vocabulary.untrained import RowHealth

Policy = Literal["shared", "skip", "strict"]

LARGEST_MULTIPLE = 128
"""Vocabularies are padded for tensor cores and tensor parallelism; 128 is the usual step (Megatron-LM's default)."""

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class VectorTables:
    """A vector's two parents as this room sees them."""

    base: TokenTable
    chat: TokenTable
    base_rows: int
    """Rows of base's embedding, padding included."""
    chat_rows: int
    """Rows of chat's embedding, padding included."""
    name: str = "vector"


@dataclass(frozen=True)
class RowMap:
    """Sources of the output's V rows for one vector. All arrays are int64 [V]; −1 says none."""

    base: Rows
    """Row in base; set exactly where `chat` is, for tokens whose difference is added."""
    chat: Rows
    """Row in chat."""
    transplant: Rows
    """Row in chat that is copied raw, at unit gain."""
    target: Rows
    """Row in the target; −1 for rows behind the target's. Such a row without a transplant is new padding: zeros."""


@dataclass(frozen=True)
class TokenReport:
    """What becomes of one template token."""

    token: str
    chat: int | None
    base: int | None
    target: int | None
    out: int
    done: str
    """`transplanted`, `difference added` (times the scale of the tensor, which may be 0) or `kept`."""
    why: str
    health: RowHealth | None = None
    """The criterion's word on base's row, where it was asked."""


@dataclass(frozen=True)
class VocabularyReport:
    """Counts of rows, and one line for each template token. `rows_*` sum to `rows`."""

    policy: Policy
    rows: int
    """V."""
    target_rows: int
    rows_shared: tuple[int, ...]
    """For each vector: rows that get a difference, times the scale of the tensor, which may be 0."""
    rows_transplanted: int
    rows_kept: int
    """The target's token rows that no vector touches."""
    rows_padding: int
    """Rows that no token owns, kept or new."""
    tokens_added: int
    padding_used: int
    rows_added: int
    tokens: tuple[TokenReport, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain data for the manifest."""
        counts = {key: value for key, value in vars(self).items() if key not in ("tokens", "rows_shared")}
        return {**counts, "rows_shared": list(self.rows_shared), "template_tokens": [_plain(t) for t in self.tokens]}

    def table(self) -> list[tuple[str, ...]]:
        """Rows for people: token, id in chat, base, target and output, what was done, why."""
        return [
            (each.token, *(_shown(row) for row in (each.chat, each.base, each.target, each.out)), each.done, each.why)
            for each in self.tokens
        ]


@dataclass(frozen=True)
class VocabularyPlan:
    """Everything about the output's vocabulary: how many rows, from where, and which token has which id."""

    rows: int
    """V of the output's embedding and head."""
    target_rows: int
    """Rows of the target's."""
    row_maps: tuple[RowMap, ...]
    """One for each vector, in recipe order."""
    added: tuple[tuple[str, int], ...]
    """Template tokens that the target lacks, and their new ids, ascending."""
    policy: Policy
    target: TokenTable
    """The target's own table."""
    report: VocabularyReport

    def id_of(self, token: str) -> int | None:
        """A token's id in the output; None if it has none."""
        row = dict(self.added).get(token)
        return self.target.ids.get(token) if row is None else row


def plan_vocabulary(
    target: TokenTable,
    target_rows: int,
    vectors: Sequence[VectorTables],
    *,
    choice: Choice | None = None,
    policy: str = "shared",
    health: Mapping[str, RowHealth] | None = None,
    name: str = "target",
) -> VocabularyPlan:
    """Plan the output's vocabulary.

    Args:
        target: the target's token table; `target_rows` is V of its embedding, padding included.
        vectors: both tables of each vector, in recipe order.
        choice: whose chat format the output gets. Rows are transplanted only when the format moves, and only from
            the vector that gives it; the other vectors leave those rows alone.
        policy: `shared` adds differences to tokens that base and chat both have; `skip` adds none, template rows
            are still transplanted; `strict` refuses parents whose ids differ anywhere.
        health: `assess_rows` on the base of the format's vector, for the template tokens that base has.
        name: the target, for messages.

    Raises `UsageError` for an unknown policy, `InputError` when a tokenizer has ids beyond its embedding,
    `IncompatibleParents` when `strict` finds a difference.
    """
    policy = check_policy(policy)
    check_fits(target, target_rows, name)
    for vector in vectors:
        check_fits(vector.base, vector.base_rows, f"base of {vector.name}")
        check_fits(vector.chat, vector.chat_rows, f"chat of {vector.name}")
        if policy == "strict":
            _require_equal(target, vector, name)
    giver, needed = None, []
    if choice is not None and choice.moves and choice.vector is not None and choice.format is not None:
        giver = vectors[choice.vector]
        needed = [token for token in choice.format.template_tokens if token in giver.chat.ids]
    lacking = [token for token in needed if token not in target.ids]
    added = tuple((token, target.size + place) for place, token in enumerate(lacking))
    rows = rows_needed(target_rows, target.size + len(added))
    lines = [_decide(token, giver, target, dict(added), health or {}) for token in needed] if giver else []
    transplants = {line.out: line.chat for line in lines if line.done == "transplanted"}
    maps = tuple(
        _row_map(target, target_rows, rows, vector, policy, transplants, gives=vector is giver) for vector in vectors
    )
    if policy == "skip":
        lines = [_skipped(line) for line in lines]
    report = _report(target, target_rows, rows, maps, added, lines, policy)
    return VocabularyPlan(rows, target_rows, maps, added, policy, target, report)


def check_policy(policy: str) -> Policy:
    """The policy as a known one. Raises `UsageError`."""
    for known in get_args(Policy):
        if policy == known:
            return known
    raise UsageError(f"--vocabulary {policy}: choose one of {', '.join(get_args(Policy))}")


def check_fits(table: TokenTable, rows: int, name: str) -> None:
    """Raise `InputError` when a tokenizer has ids that its embedding of `rows` rows does not."""
    if table.size <= rows:
        return
    beyond = sorted((row, token) for token, row in table.ids.items() if row >= rows)
    listed = first_five(f"{token!r} (id {row})" for row, token in beyond)
    raise InputError(
        f"{name}: the tokenizer ({table.source}) is larger than the embedding: {len(beyond)} tokens have no row "
        f"among its {rows}: {listed}; use the tokenizer that belongs to these weights"
    )


def rows_needed(target_rows: int, tokens: int) -> int:
    """Rows that `tokens` tokens need: the target's own if they suffice, else up to its padding multiple.

    The multiple is the largest power of two, at most 128, that divides the target's rows: whatever it was padded
    to, the output divides by it as well.
    """
    if tokens <= target_rows:
        return target_rows
    multiple = min(target_rows & -target_rows, LARGEST_MULTIPLE)
    return -(-tokens // multiple) * multiple


def _decide(
    token: str,
    giver: VectorTables,
    target: TokenTable,
    added: Mapping[str, int],
    health: Mapping[str, RowHealth],
) -> TokenReport:
    line = TokenReport(
        token=token,
        chat=giver.chat.ids[token],
        base=giver.base.ids.get(token),
        target=target.ids.get(token),
        out=added[token] if token in added else target.ids[token],
        done="transplanted",
        why="",
        health=health.get(token),
    )
    if line.base is None:
        return replace(line, why="only the chat model has it")
    if line.health is not None and line.health.untrained:
        return replace(line, why=f"untrained in base: {line.health.reason} ({line.health.figure:.3g})")
    if line.target is None:
        return replace(line, why="the target lacks it")
    return replace(line, done="difference added", why="trained in base")


def _skipped(line: TokenReport) -> TokenReport:
    if line.done != "difference added":
        return line
    return replace(line, done="kept", why=f"{line.why}; --vocabulary skip")


def _row_map(
    target: TokenTable,
    target_rows: int,
    rows: int,
    vector: VectorTables,
    policy: Policy,
    transplants: Mapping[int, int | None],
    *,
    gives: bool,
) -> RowMap:
    base, chat, transplant, own = (np.full(rows, -1, np.int64) for _ in range(4))
    own[:target_rows] = np.arange(target_rows)
    if policy != "skip":
        names = target.names()
        places = np.fromiter(names.keys(), np.int64, len(names))
        in_base = _look_up(names.values(), vector.base.ids, len(names))
        in_chat = _look_up(names.values(), vector.chat.ids, len(names))
        if len(names) < len(target.ids):  # rows with several names: another name may be the one both know
            in_base, in_chat = _look_up_others(target, names, places, in_base, in_chat, vector)
        both = (in_base >= 0) & (in_chat >= 0)
        base[places[both]] = in_base[both]
        chat[places[both]] = in_chat[both]
    taken = np.fromiter(transplants.keys(), np.int64, len(transplants))
    base[taken] = chat[taken] = -1  # in every vector: a transplanted row is the chat model's and nothing else
    if gives:
        transplant[taken] = np.fromiter((row for row in transplants.values() if row is not None), np.int64, len(taken))
    return RowMap(base=base, chat=chat, transplant=transplant, target=own)


def _look_up(tokens: Iterable[str], ids: Mapping[str, int], count: int) -> Rows:
    find = ids.get
    return np.fromiter((find(token, -1) for token in tokens), np.int64, count)


def _look_up_others(
    target: TokenTable,
    names: Mapping[int, str],
    places: Rows,
    in_base: Rows,
    in_chat: Rows,
    vector: VectorTables,
) -> tuple[Rows, Rows]:
    """The same look-up for rows that their first name did not settle, by their other names."""
    place_of = {int(row): place for place, row in enumerate(places)}
    in_base, in_chat = in_base.copy(), in_chat.copy()
    for token, row in target.ids.items():
        place = place_of[row]
        settled = in_base[place] >= 0 and in_chat[place] >= 0
        if not settled and names[row] != token and token in vector.base.ids and token in vector.chat.ids:
            in_base[place], in_chat[place] = vector.base.ids[token], vector.chat.ids[token]
    return in_base, in_chat


def _require_equal(target: TokenTable, vector: VectorTables, name: str) -> None:
    for other, which in ((vector.base, "base"), (vector.chat, "chat")):
        if other is target or other.ids == target.ids:
            continue
        names = sorted(target.ids.keys() | other.ids.keys(), key=lambda t: (target.ids.get(t, 1 << 62), t))
        wrong = [
            f"{token!r} ({target.ids.get(token, 'none')} in {name}, {other.ids.get(token, 'none')} in {which})"
            for token in names
            if target.ids.get(token) != other.ids.get(token)
        ]
        raise IncompatibleParents(
            f"--vocabulary strict: {len(wrong)} tokens of {name} and of {which} of {vector.name} have different "
            f"ids: {first_five(wrong)}; use --vocabulary shared to match them by string"
        )


def _report(
    target: TokenTable,
    target_rows: int,
    rows: int,
    maps: Sequence[RowMap],
    added: Sequence[tuple[str, int]],
    lines: Sequence[TokenReport],
    policy: Policy,
) -> VocabularyReport:
    owned = np.zeros(rows, bool)
    owned[np.fromiter(target.ids.values(), np.int64, len(target.ids))] = True
    owned[[row for _token, row in added]] = True
    touched = np.zeros(rows, bool)
    for each in maps:
        touched |= (each.base >= 0) | (each.transplant >= 0)
    return VocabularyReport(
        policy=policy,
        rows=rows,
        target_rows=target_rows,
        rows_shared=tuple(int((each.base >= 0).sum()) for each in maps),
        rows_transplanted=int(sum((each.transplant >= 0).sum() for each in maps)),
        rows_kept=int((owned & ~touched).sum()),
        rows_padding=int((~owned).sum()),
        tokens_added=len(added),
        padding_used=sum(row < target_rows for _token, row in added),
        rows_added=rows - target_rows,
        tokens=tuple(lines),
    )


def _shown(row: int | None) -> str:
    return "–" if row is None else str(row)


def _plain(line: TokenReport) -> dict[str, Any]:
    plain = {key: getattr(line, key) for key in ("token", "chat", "base", "target", "out", "done", "why")}
    health = line.health
    if health is not None:
        plain["base_row"] = {"untrained": health.untrained, "reason": health.reason, "figure": health.figure}
    return plain
