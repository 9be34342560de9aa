# SPDX-License-Identifier: Apache-2.0
"""What a model name means: path, hub name, family member or URL."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatvector.checkpoint import names
from chatvector.checkpoint.names import classify, resolve
from chatvector.errors import MissingInput, UnsupportedFormat, UsageError


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "name", ["plain", "a@b", "a+b", "with blank", "한국어 모델", "demo:base", "org/name@main", "C:\\x"]
)
def test_an_existing_path_is_local_whatever_its_letters(here: Path, name: str) -> None:
    (here / name).mkdir(parents=True)
    location = resolve(name)
    assert (location.kind, location.path, location.name) == ("local", Path(name), name)
    assert resolve(str(here / name)).path == here / name


def test_a_path_object_is_taken(here: Path) -> None:
    (here / "m").mkdir()
    assert resolve(here / "m").path == here / "m"


def test_a_name_in_another_unicode_form_is_found(here: Path) -> None:
    stored = unicodedata.normalize("NFD", "한국어")
    (here / stored).mkdir()
    location = resolve("한국어")
    assert location.path is not None
    assert location.path.name == stored


def test_home_is_expanded(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(here))
    (here / "m").mkdir()
    assert resolve("~/m").path == here / "m"


@pytest.mark.parametrize(
    ("name", "repo_id", "revision"),
    [
        ("org/name", "org/name", None),
        ("meta-llama/Llama-3.1-8B", "meta-llama/Llama-3.1-8B", None),
        ("org/name@main", "org/name", "main"),
        ("org/name@refs/pr/1", "org/name", "refs/pr/1"),
        ("org/name@" + "a" * 40, "org/name", "a" * 40),
        ("01-ai/Yi-6B", "01-ai/Yi-6B", None),
    ],
)
def test_hub_names(name: str, repo_id: str, revision: str | None) -> None:
    location = resolve(name)
    assert (location.kind, location.repo_id, location.revision, location.path) == ("hub", repo_id, revision, None)


@pytest.mark.parametrize(
    "name",
    [
        "./a",
        "../a",
        "/nowhere-at-all",
        "~/no-such-thing",
        "a",
        "a/b/c",
        "..\\m",
        "D:\\models\\a",
        "D:/models/a",
        "org/.git",
    ],
)
def test_missing_local_paths_are_no_hub_names(name: str) -> None:
    with pytest.raises(MissingInput, match="there is no such directory") as caught:
        resolve(name)
    assert str(caught.value).startswith(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["org/na--me", "org/na..me", "org/name.git", "org/name@a..b", "org/na me", "org/" + "a" * 97]
)
def test_what_the_hub_would_refuse_is_no_hub_name(name: str) -> None:
    with pytest.raises(MissingInput):
        resolve(name)


def test_a_path_below_an_existing_directory_is_local_and_close_names_are_offered(here: Path) -> None:
    (here / "models" / "Llama-base").mkdir(parents=True)
    (here / "models" / "qwen").mkdir()
    with pytest.raises(MissingInput) as caught:
        resolve("models/lama-base")
    assert str(caught.value) == "models/lama-base: there is no such directory; did you mean models/Llama-base?"


def test_the_first_missing_directory_is_named(here: Path) -> None:
    (here / "models").mkdir()
    with pytest.raises(MissingInput, match=r"models has no ko; did you mean|models has no ko$"):
        resolve("./models/ko/llama")


def test_one_word_gets_the_hint_of_two_parts() -> None:
    with pytest.raises(MissingInput, match=r"gpt2: there is no such directory \(a hub name has two parts: org/name\)"):
        resolve("gpt2")


def test_a_broken_link_is_named(here: Path) -> None:
    (here / "link").symlink_to("gone")
    with pytest.raises(MissingInput, match="link: is a link to something that is not there: gone"):
        resolve("link")


def test_a_link_to_a_directory_is_local(here: Path) -> None:
    (here / "m").mkdir()
    (here / "link").symlink_to("m")
    assert resolve("link").kind == "local"


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("model.gguf", "is GGUF, quantised or packed for llama.cpp, not a model directory: take the safetensors model"),
        ("pytorch_model.bin", "is a pickle, which is never executed here, not a model directory: take the model"),
        ("notes.txt", "is a file, not a model directory: name the directory that holds it"),
    ],
)
def test_a_file_is_refused_by_kind(here: Path, file: str, message: str) -> None:
    (here / file).write_bytes(b"")
    with pytest.raises(UnsupportedFormat, match=f"{file}: {message}"):
        resolve(file)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("ftp://host/model", "URLs of this kind are not read; object stores are .s3://, "),
        ("https://host/model", "URLs of this kind are not read"),
        ("https://huggingface.co/org/name/tree/main", "write the hub name: org/name"),
        ("hf://org/name", "write the hub name: org/name"),
        ("file:///data/m", "write the path: /data/m"),
    ],
)
def test_urls_are_recognised_and_refused(name: str, hint: str) -> None:
    assert classify(name).kind == "url"
    with pytest.raises(UnsupportedFormat, match=hint):
        resolve(name)


@pytest.mark.parametrize("name", ["s3://bucket/model", "gs://bucket/a/b", "S3://bucket", "az://c/m@v2"])
def test_object_stores(name: str) -> None:
    location = resolve(name)
    assert (location.kind, location.name, location.path, location.repo_id) == ("url", name, None, None)


def test_family_members(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "FAMILY", here / "family")
    for member in ("base", "chat"):
        (here / "family" / member).mkdir(parents=True)
        (here / "family" / member / "config.json").write_text("{}")
    location = resolve("demo:base")
    assert (location.kind, location.path) == ("demo", here / "family" / "base")
    with pytest.raises(
        UsageError, match=r"demo:bas: the embedded family has no such member; there are: demo:base, demo:chat"
    ):
        resolve("demo:bas")
    with pytest.raises(UsageError, match="no such member"):
        resolve("demo:../family/base")


@pytest.mark.parametrize("name", ["", "  ", "a\0b"])
def test_no_name(name: str) -> None:
    with pytest.raises(UsageError, match="names no model"):
        resolve(name)


@given(st.text(max_size=60))
def test_any_text_has_one_meaning_or_is_refused_with_a_reason(name: str) -> None:
    try:
        location = classify(name)
    except (MissingInput, UsageError):
        return
    assert (location.kind == "hub") == (location.repo_id is not None)
    assert (location.kind in ("local", "demo")) == (location.path is not None)
