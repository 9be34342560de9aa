# SPDX-License-Identifier: Apache-2.0
"""How far along the vector each tensor moves: one scale, with exceptions by role, by layer and by name.

Every factor is absolute: it is the tensor's scale, not a multiple of the general one. Where several rules fit
a tensor, a glob beats a layer range, which beats a role, which beats the general scale. Among globs, and among layer
ranges, the one given last wins. A rule that fits no tensor at all is an error, as it must be a typing slip.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TypeVar

from chatvector.arithmetic.roles import ROLES, Role
from chatvector.errors import UsageError, first_five

LayerRange = tuple[int, int]
"""First and last layer, 0-based, both included."""

Key = TypeVar("Key")

_LAYERS = re.compile(r"(\d{1,6})(?:-(\d{1,6}))?", re.ASCII)


@dataclass(frozen=True)
class ScaleRules:
    """The scales of one vector. `ScaleRules()` moves every tensor by the whole vector.

    Raises UsageError on a scale that is no finite number, an unknown role, a range that runs backwards or
    starts below 0, an empty glob.
    """

    scale: float = 1.0
    """The general factor s of `target + s·τ`."""
    roles: Mapping[Role, float] = field(default_factory=dict)
    """Role -> factor."""
    layers: Mapping[LayerRange, float] = field(default_factory=dict)
    """(first, last) -> factor, 0-based and inclusive; where ranges overlap the later entry wins."""
    tensors: Mapping[str, float] = field(default_factory=dict)
    """Glob on the whole tensor name -> factor, case-sensitive, `*` also crosses dots; the later entry
    wins."""

    def __post_init__(self) -> None:
        # Copies, so that a frozen object cannot change through the caller's dictionaries.
        for name in ("roles", "layers", "tensors"):
            object.__setattr__(self, name, dict(getattr(self, name)))
        _check_finite(self.scale, "the scale")
        for role, scale in self.roles.items():
            if role not in ROLES:
                raise UsageError(f"{role!r} is no role; roles are {', '.join(ROLES)}")
            _check_finite(scale, f"the scale of role {role}")
        for layers, scale in self.layers.items():
            first, last = layers
            if not 0 <= first <= last:
                raise UsageError(f"layers {first}-{last} are no range: 0-based, first-last, both included")
            _check_finite(scale, f"the scale of layers {format_layers(layers)}")
        for glob, scale in self.tensors.items():
            if not glob:
                raise UsageError("an empty tensor pattern matches nothing; write for example '*.mlp.*=0.5'")
            _check_finite(scale, f"the scale of tensors {glob}")

    @classmethod
    def parse(
        cls,
        scale: float | str = 1.0,
        *,
        roles: Sequence[str] = (),
        layers: Sequence[str] = (),
        tensors: Sequence[str] = (),
    ) -> ScaleRules:
        """Read the rules as the command line writes them: `norm=0`, `0-3=0.5` or `5=0.5`, `GLOB=S`.

        A key given twice counts as given last. Raises UsageError on what cannot be read.
        """
        return cls(
            scale=parse_scale(scale) if isinstance(scale, str) else scale,
            roles=_last_wins(parse_role_scale(text) for text in roles),
            layers=_last_wins(parse_layer_scale(text) for text in layers),
            tensors=_last_wins(parse_tensor_scale(text) for text in tensors),
        )

    def for_tensor(self, name: str, role: Role, layer: int | None) -> tuple[float, str]:
        """The tensor's factor, and the rule that gave it, as the command line would write it.

        >>> ScaleRules(0.8, layers={(0, 3): 0.5}).for_tensor("model.layers.2.mlp.up_proj.weight", "mlp", 2)
        (0.5, 'layers 0-3=0.5')
        """
        for glob, scale in reversed(list(self.tensors.items())):
            if fnmatchcase(name, glob):
                return scale, f"tensors {glob}={scale:g}"
        if layer is not None:
            for (first, last), scale in reversed(list(self.layers.items())):
                if first <= layer <= last:
                    return scale, f"layers {format_layers((first, last))}={scale:g}"
        if role in self.roles:
            return self.roles[role], f"role {role}={self.roles[role]:g}"
        return self.scale, f"scale={self.scale:g}"

    def check_used(self, tensors: Iterable[tuple[str, Role, int | None]]) -> None:
        """Raise UsageError if a rule fits none of the tensors, given as (name, role, layer).

        A rule that fits tensors but is overruled on all of them by a stronger rule is no error.
        """
        known = list(tensors)
        names = [name for name, _, _ in known]
        roles = sorted({role for _, role, _ in known})
        numbers = {layer for _, _, layer in known if layer is not None}
        span = f"layers 0-{max(numbers)}" if numbers else "no layers"
        for glob in self.tensors:
            if not any(fnmatchcase(name, glob) for name in names):
                raise UsageError(
                    f"the pattern {glob!r} matches none of the {len(names)} tensors; names look like "
                    f"{first_five(names[:2])}"
                )
        for first, last in self.layers:
            if not any(first <= number <= last for number in numbers):
                raise UsageError(f"layers {format_layers((first, last))} match nothing: the model has {span}")
        for role in self.roles:
            if role not in roles:
                raise UsageError(f"no tensor has the role {role}; the model has {', '.join(roles)}")


def parse_scale(text: str) -> float:
    """A finite number. Raises UsageError."""
    try:
        scale = float(text)
    except ValueError:
        raise UsageError(f"{text!r} is no number; a scale is a finite number such as 0.8") from None
    _check_finite(scale, "a scale")
    return scale


def parse_role_scale(text: str) -> tuple[Role, float]:
    """`norm=0` -> ("norm", 0.0). Raises UsageError."""
    name, scale = _split(text, "ROLE=SCALE, for example norm=0")
    if name not in ROLES:
        raise UsageError(f"{text!r}: {name!r} is no role; roles are {', '.join(ROLES)}")
    role = ROLES[ROLES.index(name)]
    return role, scale


def parse_layer_scale(text: str) -> tuple[LayerRange, float]:
    """`0-3=0.5` -> ((0, 3), 0.5); `5=0` -> ((5, 5), 0.0). Raises UsageError."""
    layers, scale = _split(text, "LAYERS=SCALE, for example 0-3=0.5")
    return parse_layers(layers), scale


def parse_tensor_scale(text: str) -> tuple[str, float]:
    """`*.mlp.*=0.5` -> ("*.mlp.*", 0.5). Raises UsageError."""
    return _split(text, "GLOB=SCALE, for example '*.mlp.*=0.5'")


def parse_layers(text: str) -> LayerRange:
    """`0-3` -> (0, 3); `5` -> (5, 5). Raises UsageError."""
    match = _LAYERS.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{text!r} is no layer range: write 0-3 or 5, counted from 0, both ends included")
    first, last = int(match[1]), int(match[2] or match[1])
    if first > last:
        raise UsageError(f"{text!r} runs backwards: write {last}-{first}")
    return first, last


def format_layers(layers: LayerRange) -> str:
    """(0, 3) -> `0-3`; (5, 5) -> `5`. What `parse_layers` reads."""
    first, last = layers
    return str(first) if first == last else f"{first}-{last}"


def _split(text: str, form: str) -> tuple[str, float]:
    key, sign, number = text.rpartition("=")  # from the right: a name may hold "=", a number does not
    if not sign or not key.strip():
        raise UsageError(f"{text!r}: write {form}")
    return key.strip(), parse_scale(number)


def _last_wins(pairs: Iterable[tuple[Key, float]]) -> dict[Key, float]:
    rules: dict[Key, float] = {}
    for key, scale in pairs:
        rules.pop(key, None)  # so that a repeated key also moves to the last place
        rules[key] = scale
    return rules


def _check_finite(scale: float, what: str) -> None:
    if isinstance(scale, bool) or not math.isfinite(scale):
        raise UsageError(f"{what} is {scale}: it must be a finite number")
