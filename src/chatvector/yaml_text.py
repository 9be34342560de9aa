# SPDX-License-Identifier: Apache-2.0
"""Read untrusted YAML as data: recipes, other tools' recipes, the front matter of model cards.

PyYAML's safe loader runs no code, but raises many kinds of exception for invalid values (`!!int x`, a 99th month,
thousands of brackets), and takes the last of two equal keys. Here invalid values raise NotYaml, and with `unique_keys`
so do equal keys. Numbers of YAML 1.1 that do not mean what they look like are then text (`_NUMBERS`).
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import yaml

# What PyYAML 6 raises besides its own errors, for text that it cannot turn into a value.
_LEAKS = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)

# YAML 1.2 has no base 60 (1:30 for 90), no octal without an o (010 for 8) and no underscores. What PyYAML reads as
# text stays text, so that its own output is read back unchanged.
_NUMBERS = {
    "tag:yaml.org,2002:int": re.compile(r"[-+]?(?:0|[1-9][0-9]*|0x[0-9a-fA-F]+)$"),
    "tag:yaml.org,2002:float": re.compile(
        r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+][0-9]+)?$|[-+]?\.(?:inf|Inf|INF)$|\.(?:nan|NaN|NAN)$"
    ),
}


class NotYaml(ValueError):
    """Text that is no YAML, or holds an invalid value. The message is one line."""


def parse_yaml(text: str, *, unique_keys: bool = False) -> Any:
    """The document in `text` as plain values; None for an empty text.

    `unique_keys`: a key that comes twice in one mapping is an error (recipes ask for this), and numbers are those of
    YAML 1.2. Raises NotYaml.
    """
    import yaml

    try:
        return yaml.load(text, Loader=_strict_loader() if unique_keys else _plain_loader())
    except yaml.YAMLError as error:
        raise NotYaml(" ".join(str(error).split())) from None
    except _LEAKS as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())
        raise NotYaml(f"a value cannot be read: {reason}") from None


@cache
def _plain_loader() -> type[yaml.SafeLoader]:
    import yaml

    class PlainLoader(yaml.SafeLoader):
        """The safe loader, except integers of thousands of digits: in hexadecimal they can be read, not printed."""

        def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
            value = super().construct_yaml_int(node)
            str(value)  # raises ValueError
            return value

    PlainLoader.add_constructor("tag:yaml.org,2002:int", PlainLoader.construct_yaml_int)
    return PlainLoader


@cache
def _strict_loader() -> type[yaml.SafeLoader]:
    import yaml

    class StrictLoader(_plain_loader()):
        """The plain loader that also refuses repeated keys and reads numbers as YAML 1.2 does."""

        yaml_implicit_resolvers = {  # noqa: RUF012
            first: [(tag, pattern) for tag, pattern in known if tag not in _NUMBERS]
            for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
        }

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            seen: set[tuple[str, str]] = set()
            for key, _ in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    continue
                if (key.tag, key.value) in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key.value!r} comes twice", key.start_mark
                    )
                seen.add((key.tag, key.value))
            return super().construct_mapping(node, deep)

    for tag, pattern in _NUMBERS.items():
        StrictLoader.add_implicit_resolver(tag, pattern, list("-+.0123456789"))
    return StrictLoader
