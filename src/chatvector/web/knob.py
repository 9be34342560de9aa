# SPDX-License-Identifier: Apache-2.0
"""The scale as the page shows it: a slider for everything, one for every role, and a line of text that says it all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from chatvector.arithmetic.roles import Role
from chatvector.arithmetic.scales import ScaleRules
from chatvector.errors import brief
from chatvector.runtime.commands import describe, move, scale_parts
from chatvector.web.sentences import PageError

LOWEST, HIGHEST, STEP = -0.5, 2.0, 0.05
"""What sliders span; the line of text takes any finite number."""


@dataclass(frozen=True)
class Knob:
    """Where sliders and text stand.

    Attributes:
        scale: of the slider for everything.
        roles: of each role's slider, in the order of the roles that were asked for.
        text: what `/scale` of `chatvector chat` takes.
    """

    scale: float
    roles: tuple[float, ...]
    text: str


def shown(rules: ScaleRules, roles: Sequence[Role]) -> Knob:
    """Rules on sliders and as text. A role without a rule of its own stands where everything does."""
    return Knob(rules.scale, tuple(rules.roles.get(role, rules.scale) for role in roles), describe(rules))


def turned(rules: ScaleRules, scale: object) -> ScaleRules:
    """The slider for everything was let go: exceptions are dropped, unless it stands where it stood. Raises UsageError
    for what is no number that the slider spans."""
    value = _number(scale, rules.scale)
    return rules if value == rules.scale else ScaleRules(value)


def turned_role(rules: ScaleRules, role: Role, scale: object) -> ScaleRules:
    """A role's slider was let go: an exception for it, or none where it stands where everything does. Raises UsageError
    for what is no number that the slider spans, and for an unknown role."""
    value = _number(scale, rules.roles.get(role, rules.scale))
    roles: dict[Role, float] = {other: factor for other, factor in rules.roles.items() if other != role}
    if value != rules.scale:
        roles[role] = value
    return ScaleRules(rules.scale, roles=roles, layers=rules.layers, tensors=rules.tensors)


def left(rules: ScaleRules, before: ScaleRules, roles: Sequence[Role], scales: Sequence[object]) -> ScaleRules:
    """All sliders as a page has them, the one for everything first: what was typed beside a slider and is not told yet
    moves it. `before`: the rules before the last move; a role's slider that stands there was not moved, its page has
    only not heard of that move. Raises what `turned` and `turned_role` raise."""
    whole, *parts = scales
    if whole != rules.scale:
        return turned(rules, whole)
    now, then = shown(rules, roles), shown(before, roles)
    for role, scale, *known in zip(roles, parts, now.roles, then.roles, strict=True):
        if scale not in known:
            rules = turned_role(rules, role, scale)
    return rules


def typed(text: str, rules: ScaleRules) -> ScaleRules:
    """A line such as `0.7, attention=0.5 0-3=1`; one that begins with an exception keeps the general scale of `rules`
    and drops its exceptions. Raises UsageError for an empty line, a scale that is no number, a decimal comma, an
    unknown role."""
    parts = scale_parts(text)
    if not parts:
        raise PageError("no_scale")
    return move(ScaleRules(rules.scale), parts)


def _number(value: object, before: float) -> float:
    """Sliders give numbers; whoever types beside them, or calls the server without the page, gives anything. Where the
    slider stood, it may stay: the line of text takes it anywhere."""
    if value is None:
        raise PageError("no_number")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise PageError("not_a_scale", value=repr(brief(value)))
    if value != before and not LOWEST <= value <= HIGHEST:
        raise PageError("beyond_slider", value=f"{value:g}", lowest=f"{LOWEST:g}", highest=f"{HIGHEST:g}")
    return float(value)
