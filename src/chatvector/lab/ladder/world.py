# SPDX-License-Identifier: Apache-2.0
"""Training data from the micro-world, by name, so that the family's ladder needs no files of its own.

`demo:text-ko:4000` is a JSONL file of 4,000 documents as the target reads them, `demo:instructions-ko:2000` of as many
dialogues in which a kind speaker answers; likewise in `en` and `zh-Hant`. Of seeds that no training of the family used.
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
"""Trainings of the family count from their recipe's seed up, by a thousand a stage."""
MOST = 200_000


def is_ours(name: str) -> bool:
    """Whether a name of a data file is one of the world's."""
    return name.startswith(PREFIX)


def text_file(name: str, folder: Path) -> str:
    """Write the file that `name` means, if it is not there, and give its path. Raises UsageError."""
    from chatvector.lab.world import VERSION

    kind, count = parse(name)
    path = folder / f"{kind}.{count}.world-{VERSION}.jsonl"
    if not path.exists():
        write_whole(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in islice(_rows(kind), count)))
    return str(path)


def parse(name: str) -> tuple[str, int]:
    """Kind and number of rows of `demo:KIND:ROWS`. Raises UsageError."""
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
