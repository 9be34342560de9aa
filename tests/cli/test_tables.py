# SPDX-License-Identifier: Apache-2.0
"""Tables of the command line: the short way prints what rich prints."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatvector.cli.describe import WIDTH, _folded_table, _narrow_table, table

# No white space at the ends, which rich strips, and no marks that combine with the letter before.
cells = st.text(st.sampled_from("ab1.–한국어中文日本 "), min_size=1, max_size=12).map(lambda text: f"x{text}x")


@given(st.integers(1, 4).flatmap(lambda n: st.lists(st.lists(cells, min_size=n, max_size=n), min_size=2, max_size=5)))
def test_both_ways_print_the_same(rows: list[list[str]]) -> None:
    assert _narrow_table(rows) == _folded_table(rows[0], rows[1:])


@pytest.mark.parametrize("cell", ["가" * WIDTH, "two\nlines"])
def test_what_does_not_fit_is_folded(cell: str) -> None:
    assert _narrow_table([["head"], [cell]]) is None
    assert len(table(["head"], [[cell]]).splitlines()) > 3
