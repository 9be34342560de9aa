# SPDX-License-Identifier: Apache-2.0
"""Named sets of the harness's tasks, and the language that a task's name tells.

All data of the sets comes from the hub: the harness fetches it once and reads it from its cache afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chatvector.evaluate.task import Language


@dataclass(frozen=True)
class NamedSet:
    """Tasks (or groups) of the harness for one language."""

    language: Language
    tasks: tuple[str, ...]


SETS: Mapping[str, NamedSet] = {
    # KoBEST (arXiv 2204.04541), HAE-RAE (2309.02706), KMMLU (2402.11548).
    "korea": NamedSet("ko", ("kobest", "haerae", "kmmlu")),
    # TMMLU+ (2403.01858).
    "taiwan": NamedSet("zh-Hant", ("tmmluplus",)),
}

_LANGUAGES: Mapping[str, Language] = {
    "kobest": "ko",
    "haerae": "ko",
    "kmmlu": "ko",
    "click": "ko",
    "hrm8k": "ko",
    "csatqa": "ko",
    "kormedmcqa": "ko",
    "tmmluplus": "zh-Hant",
    "tmlu": "zh-Hant",
    "cmmlu": "zh-Hans",
    "ceval": "zh-Hans",
    "aclue": "zh-Hans",
    "zhoblimp": "zh-Hans",
    "ja": "ja",
    "japanese": "ja",
}


def family_of(name: str) -> str:
    """The first part of a task's name, which is usually the name of its folder: `kobest` for `kobest_boolq`."""
    return name.replace("-", "_").split("_")[0]


def language_of(name: str) -> Language | None:
    """The language that the family of a task's name tells; None if it tells none."""
    return _LANGUAGES.get(family_of(name))
