# SPDX-License-Identifier: Apache-2.0
"""Development and test items are apart, clusters whole, kinds in both."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chatvector.evaluate.halves import HalfTask, halve
from chatvector.evaluate.task import Item, Turn
from chatvector.evaluate.tasks.closed import ClosedTask

parts = st.lists(st.tuples(st.integers(0, 6), st.sampled_from(["a", "b"])), min_size=1, max_size=40)


@given(parts)
def test_nothing_is_lost_and_no_cluster_is_cut(drawn: list[tuple[int, str]]) -> None:
    items = [
        Item(f"{number}", "ko", turns=(Turn("?"),), cluster=f"{cluster}", facets={"kind": kind})
        for number, (cluster, kind) in enumerate(drawn)
    ]
    development, test = halve(items)
    assert sorted(one.id for one in (*development, *test)) == sorted(one.id for one in items)
    assert not {one.cluster for one in development} & {one.cluster for one in test}
    assert [one.id for one in development] == [one.id for one in items if one in development]


def test_every_kind_is_in_both_halves() -> None:
    items = [Item(f"{n}", "ko", turns=(Turn("?"),), facets={"kind": "ab"[n % 2]}) for n in range(8)]
    for half in halve(items):
        assert [one.facets["kind"] for one in half].count("a") == 2


def test_the_halves_of_a_task() -> None:
    task = ClosedTask("sentiment")
    development, test = HalfTask(task, "development"), HalfTask(task, "test")
    assert (development.name, development.metrics, development.axis) == (task.name, task.metrics, task.axis)
    for limit in (1, 2, 9, None):
        ours = [one.items("ko", limit=limit, seed=0) for one in (development, test)]
        assert [len(half) for half in ours] == [limit, limit] if limit else min(map(len, ours)) > 9
        assert not {one.cluster for one in ours[0]} & {one.cluster for one in ours[1]}
    assert sum(map(len, ours)) == len(task.items("ko", limit=None, seed=0))
    assert [len(one.items("ko", limit=10**6, seed=0)) for one in (development, test)] == [len(half) for half in ours]
