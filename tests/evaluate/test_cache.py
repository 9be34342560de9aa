# SPDX-License-Identifier: Apache-2.0
"""The cache: what is put in comes back, whatever cut the file; what decides a reply is in its key."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatvector.errors import DamagedFile, NotEnoughSpace, OutputRefused
from chatvector.evaluate.cache import Cache, generation_key, likelihood_key
from chatvector.runtime.backend import BackendInfo, Prompt, Sampling

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
BATCHES = st.lists(st.dictionaries(st.text(max_size=8), JSON, min_size=1, max_size=4), min_size=1, max_size=5)


def _expected(batches: list[dict[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for batch in batches:
        for key, value in batch.items():
            found.setdefault(key, value)
    return found


def _write(path: Path, batches: list[dict[str, object]]) -> None:
    with Cache(path) as cache:
        for batch in batches:
            cache.put(batch)


def test_a_file_cut_behind_its_first_line_has_lost_nothing(tmp_path: Path) -> None:
    path = tmp_path / "replies.jsonl"
    _write(path, [{"a": 1}])
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"\n") + 1])
    notes: list[str] = []
    with Cache(path, notes.append) as cache:
        assert (len(cache), notes) == (0, [])
        cache.put({"a": 1})
    assert path.read_bytes() == whole


def _content(path: Path, keys: list[str]) -> dict[str, object]:
    with Cache(path) as cache:
        return {key: cache.get(key) for key in keys}


@given(BATCHES)
def test_what_is_put_in_comes_back_and_the_first_value_stays(tmp_path_factory, batches) -> None:
    path = tmp_path_factory.mktemp("cache") / "replies.jsonl"
    expected = _expected(batches)
    with Cache(path) as cache:
        for batch in batches:
            cache.put(batch)
        assert len(cache) == len(expected)
        assert {key: cache.get(key) for key in expected} == expected
        assert cache.get("no such key!") is None
    assert _content(path, list(expected)) == expected


@given(BATCHES, st.data())
def test_a_file_cut_anywhere_loses_the_batch_that_was_cut_and_goes_on_to_the_same_bytes(
    tmp_path_factory, batches, data
) -> None:
    path = tmp_path_factory.mktemp("cache") / "replies.jsonl"
    _write(path, batches)
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut])
    notes: list[str] = []
    with Cache(path, notes.append) as cache:
        kept = len(cache)
        assert whole.startswith(path.read_bytes())
        for batch in batches:  # the same command again
            cache.put(batch)
        assert {key: cache.get(key) for key in _expected(batches)} == _expected(batches)
    assert path.read_bytes() == whole
    ends = [i + 1 for i, byte in enumerate(whole) if byte == ord("\n")]
    commits = [end for end in ends if whole[:end].split(b"\n")[-2].startswith(b'{"commit"')]
    whole_batches = whole[: max((end for end in commits if end <= cut), default=0)]
    clean = cut == 0 or cut == ends[0] or cut in commits
    assert bool(notes) == (not clean)
    if notes:
        assert "of a batch that an interrupted run did not finish" in notes[0]
    assert kept == sum(line.startswith(b'{"key"') for line in whole_batches.splitlines())


@given(
    st.lists(st.dictionaries(st.text("ab", min_size=1, max_size=8), st.integers(), min_size=1), min_size=2, max_size=4),
    st.data(),
)
def test_damage_before_the_last_batch_is_an_error(tmp_path_factory, batches, data) -> None:
    path = tmp_path_factory.mktemp("cache") / "replies.jsonl"
    for number, batch in enumerate(batches):
        batch[f"own {number}"] = number
    _write(path, batches)
    whole = bytearray(path.read_bytes())
    last = whole.rindex(b'{"commit"', 0, whole.rindex(b'{"commit"'))
    place = data.draw(st.integers(0, last - 1))
    bit = 1 << data.draw(st.integers(0, 7))
    whole[place] ^= bit
    path.write_bytes(whole)
    with pytest.raises(DamagedFile, match=r"is damaged|is no cache of this version"):
        Cache(path)
    assert path.read_bytes() == whole  # nothing is mended behind the user's back


def test_format_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    with Cache(path) as cache:
        cache.put({"k": {"text": "네"}, "l": 1})
    rows = path.read_text().splitlines()
    assert rows[0] == '{"chatvector_cache": 1}'
    assert [json.loads(row) for row in rows[1:3]] == [{"key": "k", "value": {"text": "네"}}, {"key": "l", "value": 1}]
    assert json.loads(rows[3])["commit"] == 2


def test_another_file_is_never_taken_for_a_cache(tmp_path: Path) -> None:
    for name, content in (("notes.txt", b"dear diary\n"), ("one-line", b"\x00\x01 no line end"), ("{", b"{")):
        path = tmp_path / name
        path.write_bytes(content)
        if content == b"{":
            Cache(path).close()  # the first byte of a header: a run that was killed at once
            continue
        with pytest.raises(DamagedFile, match="is no cache of this version"):
            Cache(path)
        assert path.read_bytes() == content


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputRefused, match="the cache cannot be opened"):
        Cache(tmp_path / "file" / "c.jsonl")
    with pytest.raises(OutputRefused, match=r"the cache cannot be opened \(Is a directory\)"):
        Cache(tmp_path)


def test_a_full_disk_says_so_and_the_next_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c.jsonl"
    with Cache(path) as cache:
        cache.put({"a": 1})
        real = os.pwrite

        def full(file: int, data: bytes, at: int) -> int:
            real(file, data[: len(data) // 2], at)
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "pwrite", full)
        with pytest.raises(NotEnoughSpace, match="the disk is full"):
            cache.put({"b": 2})
        monkeypatch.undo()
    notes: list[str] = []
    with Cache(path, notes.append) as cache:
        assert (cache.get("a"), cache.get("b")) == (1, None)
        cache.put({"b": 2})
    assert len(notes) == 1
    assert _content(path, ["a", "b"]) == {"a": 1, "b": 2}


def test_two_caches_on_one_file_see_each_other(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    with Cache(path) as one, Cache(path) as other:
        one.put({"a": 1})
        assert other.get("a") == 1
        other.put({"a": 2, "b": 3})
        assert (one.get("b"), one.get("a"), other.get("a")) == (3, 1, 1)
    assert path.read_text().count('"key"') == 2


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    program = """
        import sys
        from chatvector.evaluate.cache import Cache
        with Cache(sys.argv[1]) as cache:
            for batch in range(15):
                own = {f"{sys.argv[2]} {batch} {i}": "x" * 1000 for i in range(5)}
                cache.put(own | {f"shared {batch}": sys.argv[2]})
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(path)]
    running = [subprocess.Popen([*command, name]) for name in ("p", "q", "r")]
    assert [process.wait() for process in running] == [0, 0, 0]
    with Cache(path) as cache:
        assert len(cache) == 15 * (3 * 5 + 1)
        assert cache.get("shared 0") in ("p", "q", "r")


def test_a_cache_that_shrinks_in_use_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    with Cache(path) as cache:
        cache.put({"a": 1})
        path.write_bytes(b"")
        with pytest.raises(DamagedFile, match="became shorter while it was in use"):
            cache.get("b")


# ---- keys -----------------------------------------------------------------------------------------------------------

INFO = BackendInfo("transformers", "m", "f", "t", "own template", 512, {"dtype": "float32"}, {"device": "cpu"})
PROMPT = Prompt(messages=(("system", "s"), ("user", "q")))
GREEDY, DRAWN = Sampling(), Sampling(temperature=0.7)


@pytest.mark.parametrize(
    "other",
    [
        replace(INFO, kind="live"),
        replace(INFO, fingerprint="g"),
        replace(INFO, template="u"),
        replace(INFO, prompt_form="template of x"),
        replace(INFO, context=1024),
        replace(INFO, settings={"dtype": "bfloat16"}),
    ],
)
def test_another_model_never_meets_the_cache(other: BackendInfo) -> None:
    assert generation_key(other, PROMPT, GREEDY) != generation_key(INFO, PROMPT, GREEDY)
    assert likelihood_key(other, "a", "b") != likelihood_key(INFO, "a", "b")


def test_what_is_for_the_record_only_is_not_in_the_key() -> None:
    same = replace(INFO, model="./m", details={"device": "cuda"})
    assert generation_key(same, PROMPT, DRAWN) == generation_key(INFO, PROMPT, DRAWN)


def test_every_part_of_a_request_is_in_the_key() -> None:
    requests = [
        (PROMPT, DRAWN),
        (Prompt(messages=(("user", "q"),)), DRAWN),
        (Prompt(messages=(("user", "s"), ("user", "q"))), DRAWN),
        (Prompt(text="q"), DRAWN),
        (replace(PROMPT, sample=1), DRAWN),
        (PROMPT, replace(DRAWN, seed=1)),
        (PROMPT, replace(DRAWN, temperature=0.8)),
        (PROMPT, replace(DRAWN, top_p=0.9)),
        (PROMPT, replace(DRAWN, max_new_tokens=9)),
        (PROMPT, replace(DRAWN, template_arguments=(("enable_thinking", False),))),
        (PROMPT, replace(DRAWN, template_arguments=(("enable_thinking", True),))),
        (PROMPT, GREEDY),
    ]
    assert len({generation_key(INFO, *request) for request in requests}) == len(requests)
    pairs = [("ab", "c"), ("a", "bc"), ("", "abc")]
    assert len({likelihood_key(INFO, *pair) for pair in pairs}) == 3


def test_greedy_replies_have_no_seed() -> None:
    assert generation_key(INFO, replace(PROMPT, sample=3), replace(GREEDY, seed=5, top_p=0.5)) == generation_key(
        INFO, PROMPT, GREEDY
    )


def test_half_a_surrogate_pair_has_a_key_and_a_place(tmp_path: Path) -> None:
    key = generation_key(INFO, Prompt(text="\ud83d"), GREEDY)
    with Cache(tmp_path / "c") as cache:
        cache.put({key: {"text": "\ud83d"}})
        assert cache.get(key) == {"text": "\ud83d"}
