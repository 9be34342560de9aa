# SPDX-License-Identifier: Apache-2.0
"""Training data from the micro-world, by name, so that the family's ladder needs no data files.

`demo:text-ko:4000` is a JSONL file of 4,000 documents like those that the target was trained on.
`demo:instructions-ko:2000` is one of 2,000 dialogues in which a kind speaker answers. Both also exist in `en` and
`zh-Hant`. They are drawn with a seed that no training of the family used.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, cast

from chatvector.errors import UsageError
from chatvector.lab.ladder.files import write_whole

PREFIX = "demo:"
KINDS = tuple(f"{kind}-{language}" for kind in ("text", "instructions") for language in ("en", "ko", "zh-Hant"))
SEED = 700_000
"""Seed of the data. It is far above the seeds of the family's trainings, which start at the recipe's and grow by 1,000
per stage."""
MOST = 200_000


def is_ours(name: str) -> bool:
    """Whether the name of a data file means data of the world."""
    return name.startswith(PREFIX)


def text_file(name: str, folder: Path) -> str:
    """Path of the file that `name` means, which is written if it does not exist. Raises UsageError for an unknown
    name."""
    from chatvector.lab.world import VERSION

    kind, count = parse(name)
    path = folder / f"{kind}.{count}.world-{VERSION}.jsonl"
    if not path.exists():
        write_whole(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in islice(_rows(kind), count)))
    return str(path)


def parse(name: str) -> tuple[str, int]:
    """Kind and number of rows of `demo:KIND:ROWS`. Raises UsageError for any other name."""
    kind, _, count = name.removeprefix(PREFIX).partition(":")
    if kind not in KINDS or not count.isdigit() or not 1 <= int(count) <= MOST:
        raise UsageError(
            f"data {name}: the micro-world's are {', '.join(f'{PREFIX}{one}:ROWS' for one in KINDS)},"
            f" ROWS from 1 to {MOST}"
        )
    return kind, int(count)


def _rows(kind: str) -> Iterator[dict[str, Any]]:
    from chatvector.lab.world.documents import Mixture, documents
    from chatvector.lab.world.text import Language
    from chatvector.lab.world.tuning import instructions

    what, _, spoken = kind.partition("-")
    language = cast(Language, spoken)
    if what == "text":
        for text in documents(SEED, Mixture.only(language)):
            yield {"text": text}
    for messages in instructions(SEED, language):
        yield {"messages": messages}
