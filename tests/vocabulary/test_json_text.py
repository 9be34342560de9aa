# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatvector.errors import DamagedFile
from chatvector.vocabulary.json_text import JsonText

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)
OBJECTS = st.dictionaries(st.text(), VALUES, max_size=4)
LAYOUTS: list[dict[str, Any]] = [
    {"indent": 2},
    {"indent": 4},
    {"indent": "\t"},
    {},
    {"separators": (",", ":")},
    {"indent": 2, "ensure_ascii": False},
    {"ensure_ascii": False},
]


@settings(deadline=None)
@given(OBJECTS, st.sampled_from(LAYOUTS), st.text(), VALUES)
def test_setting_a_key_gives_the_text_that_its_writer_would_have_given(
    document: dict[str, Any], layout: dict[str, Any], key: str, value: Any
) -> None:
    before = json.dumps(document, **layout)
    edited = JsonText(before)
    edited.set(value, key)
    after = {**document, key: value}
    assert json.loads(edited.text) == after
    assert list(json.loads(edited.text)) == list(after)
    if document and len(before.splitlines()) > 1:
        escapes = "\\u" in before and before.isascii()
        same = json.dumps(after, **{**layout, "ensure_ascii": escapes})
        if before == json.dumps(document, **{**layout, "ensure_ascii": escapes}):
            assert edited.text == same


@given(OBJECTS, st.sampled_from(LAYOUTS), st.data())
def test_removing_a_key_leaves_the_rest(document: dict[str, Any], layout: dict[str, Any], data: st.DataObject) -> None:
    key = data.draw(st.sampled_from([*document, "not there"]))
    edited = JsonText(json.dumps(document, **layout))
    edited.remove(key)
    rest = {name: value for name, value in document.items() if name != key}
    assert json.loads(edited.text) == rest
    if rest:
        assert edited.text == json.dumps(rest, **layout)


@given(OBJECTS, st.sampled_from(LAYOUTS), st.lists(VALUES, max_size=3), st.lists(VALUES, max_size=3))
def test_appending_to_a_list(document: dict[str, Any], layout: dict[str, Any], old: list[Any], new: list[Any]) -> None:
    edited = JsonText(json.dumps({**document, "list": old, "after": 1}, **layout))
    edited.append(new, "list")
    edited.set(2, "after")
    edited.set([3], "more")
    assert json.loads(edited.text) == {**document, "list": old + new, "after": 2, "more": [3]}


@given(OBJECTS, st.sampled_from(LAYOUTS))
def test_setting_an_equal_value_changes_no_byte(document: dict[str, Any], layout: dict[str, Any]) -> None:
    before = json.dumps(document, **layout)
    edited = JsonText(before)
    for key, value in document.items():
        edited.set(value, key)
    assert edited.text == before


ODD = '{\r\n   "b" :1.50,\r\n   "c": {"x":[ 1,2 ]  },\r\n   "é": "\\u00e9/\\/"\r\n}\r\n\r\n'


def test_bytes_that_are_not_touched_stay() -> None:
    edited = JsonText(ODD)
    edited.set({"y": [1]}, "new")
    edited.set(7, "c", "x")
    assert edited.text == (
        '{\r\n   "b" :1.50,\r\n   "c": {"x":7  },\r\n   "é": "\\u00e9/\\/",\r\n'
        '   "new": {\r\n      "y": [\r\n         1\r\n      ]\r\n   }\r\n}\r\n\r\n'
    )


def test_nested_edits_before_and_behind_each_other() -> None:
    edited = JsonText('{"a": {"p": 1}, "list": [1, {"q": 2}], "z": {}}')
    edited.append([{"r": 3}], "list")
    edited.set(5, "z", "new")
    edited.replace_item(1, "two", "list")
    edited.set(9, "a", "p")
    edited.remove("a", "p")
    edited.append([4], "list")
    assert edited.text == '{"a": {}, "list": [1, "two", {"r": 3}, 4], "z": {"new": 5}}'


def test_the_last_of_two_equal_keys_counts() -> None:
    edited = JsonText('{"a": 1, "a": 2}')
    edited.set(3, "a")
    assert edited.text == '{"a": 1, "a": 3}'
    assert edited.get("a") == 3


def test_an_empty_object_gets_a_layout() -> None:
    edited = JsonText("{}\n")
    edited.set(1, "a")
    edited.set([2], "b")
    assert edited.text == '{\n  "a": 1,\n  "b": [\n    2\n  ]\n}\n'


def test_true_and_one_are_not_the_same() -> None:
    edited = JsonText('{"a": 1}')
    edited.set(True, "a")
    assert edited.text == '{"a": true}'


@pytest.mark.parametrize("key", [("no", "deeper"), ("a", "b")])
def test_asking_below_what_is_no_object(key: tuple[str, ...]) -> None:
    assert not JsonText('{"a": 1}').has(*key)
    assert JsonText('{"a": 1}').get(*key) is None


@pytest.mark.parametrize(
    ("text", "words"), [("{", "x.json: line 1, column 2 is no JSON"), ("[1]", "a JSON object is expected, found list")]
)
def test_what_is_no_object(text: str, words: str) -> None:
    with pytest.raises(DamagedFile, match=words):
        JsonText(text, "x.json")
