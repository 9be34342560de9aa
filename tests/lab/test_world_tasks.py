# SPDX-License-Identifier: Apache-2.0
"""The world's tasks in the evaluation: their two parts, and its plain text."""

from __future__ import annotations

from itertools import islice

import pytest

from chatvector.errors import UsageError
from chatvector.evaluate.halves import half_of
from chatvector.lab.tasks import TEXTS, WORLD, WorldTask, WorldTexts
from chatvector.lab.world.documents import Mixture, documents
from chatvector.lab.world.items import MOST_ITEMS, held_out_items
from chatvector.lab.world.text import LANGUAGES


def test_the_halves_are_the_worlds_own_parts() -> None:
    task = WorldTask("knowledge")
    development, test = (
        [item.turns[0].user for item in half_of(task, half).items("ko", limit=30, seed=4)]
        for half in ("development", "test")
    )
    assert test == [item.turns[0].user for item in task.items("ko", limit=30, seed=4)]
    assert development == [item.questions[0] for item in held_out_items(30, 5, "ko", ("knowledge",), "dev")]
    assert not set(development) & set(test)
    assert len(half_of(task, "development").items("ko", limit=500, seed=0)) == MOST_ITEMS["dev"]
    assert len(half_of(task, "test").items("ko", limit=500, seed=0)) == MOST_ITEMS["test"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_plain_text_that_no_training_reads(language: str) -> None:
    items = WorldTexts().items(language, limit=None, seed=0)
    kinds = [item.facets["text"] for item in items]
    assert kinds.count("target") == TEXTS
    assert kinds.count("english") == (0 if language == "en" else TEXTS)
    assert items == WorldTexts().items(language, limit=None, seed=1), "the same texts for every seed of items"
    read = {*islice(documents(0), 2000), *islice(documents(3, Mixture.only("ko")), 2000)}
    longer = {item.text for item in items if len(item.text or "") > 80}
    assert longer
    assert not longer & read


def test_bits_per_byte_of_the_world_count_in_no_merit() -> None:
    (job,) = WORLD.choose(["ko"], task=["demo-text"])
    task = WorldTexts()
    assert job.task == task
    names = [metric.name for metric in task.metrics]
    assert {name: task.part_of(name) for name in names} == dict.fromkeys(("target", "english", "other", "all"))
    with pytest.raises(UsageError, match="demo-text: has no texts in 'ja'; it has en, ko, zh-Hant"):
        WorldTexts().items("ja", limit=1, seed=0)
