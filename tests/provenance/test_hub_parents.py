# SPDX-License-Identifier: Apache-2.0
"""Parents on the hub: their names and commits in card and manifest, their cards read for licence and language."""

from __future__ import annotations

import json
from pathlib import Path

import huggingface_hub
import pytest
import yaml
from huggingface_hub import constants

from builders import Trio, write_trio
from chatvector.errors import UsageError
from chatvector.extraction import extract
from chatvector.pipeline import Result, apply
from chatvector.provenance.manifest import publishable, to_bytes
from chatvector.recipe import Recipe, VectorSpec
from chatvector.rerun import load_recipe
from hub_server import Fault, HubServer
from provenance.licence_texts import LLAMA31, card

NAMES = {"base": "meta/base", "chat": "meta/chat", "target": "org/ko"}
CARDS = {
    "base": card(license="llama3.1"),
    "chat": card(license="llama3.1"),
    "target": card(license="llama3.1", language="[ko]"),
}


@pytest.fixture
def trio(tmp_path: Path) -> Trio:
    return write_trio(tmp_path / "models")


def publish(hub: HubServer, trio: Trio, cards: dict[str, str], **licences: str) -> dict[str, str]:
    """Put the trio on the hub; returns role → commit."""
    commits: dict[str, str] = {}
    for role, name in NAMES.items():
        folder: Path = getattr(trio, role)
        files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        if role in cards:
            files["README.md"] = cards[role].encode()
        if role in licences:
            files["LICENSE"] = licences[role].encode()
        commits[role] = hub.add(name, files)
    return commits


def merge(output: Path, lines: list[str] | None = None) -> Result:
    vector = VectorSpec(base=NAMES["base"], chat=NAMES["chat"], scale=0.5)
    recipe = Recipe(target=NAMES["target"], vectors=(vector,), output=str(output))
    return apply(recipe, say=(lines if lines is not None else []).append)


def front(result: Result) -> dict[str, object]:
    return yaml.safe_load((result.output / "README.md").read_text("utf-8").split("---\n")[1])


def test_names_commits_licence_and_language(hub: HubServer, trio: Trio, tmp_path: Path) -> None:
    commits = publish(hub, trio, CARDS, chat=LLAMA31)
    result = merge(tmp_path / "out")
    assert result.manifest["origins"] == {
        "target": {"model": "org/ko", "commit": commits["target"]},
        "vectors.0.base": {"model": "meta/base", "commit": commits["base"]},
        "vectors.0.chat": {"model": "meta/chat", "commit": commits["chat"]},
    }
    metadata = front(result)
    assert metadata["base_model"] == ["org/ko", "meta/chat", "meta/base"]
    assert (metadata["license"], metadata["language"]) == ("llama3.1", ["ko"])
    assert (result.output / "licences/chat/LICENSE").read_text() == LLAMA31
    text = (result.output / "README.md").read_text("utf-8")
    assert f"- org/ko: commit `{commits['target']}`" in text
    assert "none was among the parents' files" not in text


def test_a_parent_without_a_card(hub: HubServer, trio: Trio, tmp_path: Path) -> None:
    publish(hub, trio, {role: text for role, text in CARDS.items() if role != "base"})
    result = merge(tmp_path / "out")
    assert "license" not in front(result)
    assert result.manifest["licences"]["undetermined"] == ["base: neither a licence file nor a card names a licence"]


def test_a_card_that_cannot_be_read_stops_nothing(hub: HubServer, trio: Trio, tmp_path: Path) -> None:
    publish(hub, trio, CARDS)
    merge(tmp_path / "first")
    for place in (tmp_path / "cache").rglob("README.md"):
        place.unlink()
    hub.faults += [Fault("GET", "/README.md", status=503), Fault("HEAD", "/README.md", status=503)]
    lines: list[str] = []
    result = merge(tmp_path / "second", lines)
    assert "license" not in front(result)
    warned = [line for line in lines if line.startswith("warning: meta/chat: its card could not be read, so its lic")]
    assert len(warned) == 1
    weights = "model.safetensors"
    assert (result.output / weights).read_bytes() == (tmp_path / "first" / weights).read_bytes()


def test_offline_the_cached_cards_count(
    hub: HubServer, trio: Trio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(hub, trio, CARDS)
    online = merge(tmp_path / "online")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    huggingface_hub.close_session()
    hub.log.clear()
    offline = merge(tmp_path / "offline")
    assert hub.log == []
    assert (offline.output / "README.md").read_bytes() == (online.output / "README.md").read_bytes()


def test_a_vector_on_disk_remembers_its_parents(hub: HubServer, trio: Trio, tmp_path: Path) -> None:
    commits = publish(hub, trio, CARDS, base=LLAMA31)
    made = extract(NAMES["base"], NAMES["chat"], str(tmp_path / "vector"))
    assert made.manifest["origins"]["chat"] == {
        "model": "meta/chat",
        "commit": commits["chat"],
        "licences": ["llama3.1"],
        "languages": [],
    }
    recipe = Recipe(
        target=NAMES["target"], vectors=(VectorSpec(vector=str(tmp_path / "vector")),), output=str(tmp_path / "out")
    )
    result = apply(recipe)
    assert front(result)["base_model"] == ["org/ko", "meta/chat", "meta/base"]
    assert front(result)["license"] == "llama3.1"
    assert (result.output / "licences/base/LICENSE").read_text() == LLAMA31
    assert str(tmp_path) not in (result.output / "README.md").read_text("utf-8")


def test_parents_in_directories_have_no_name(trio: Trio, tmp_path: Path) -> None:
    made = extract(str(trio.base), str(trio.chat), str(tmp_path / "vector"))
    published = {key: value for key, value in made.manifest.items() if key != "run"}
    assert str(tmp_path) not in json.dumps(published)
    assert made.manifest["origins"]["base"]["model"] is None


def strip(output: Path, tmp_path: Path) -> Path:
    """The manifest as `push` publishes it."""
    place = tmp_path / "published.json"
    place.write_bytes(to_bytes(publishable(json.loads((output / "chat_vector.json").read_text("utf-8")))))
    return place


def test_a_published_manifest_makes_the_same_model(hub: HubServer, trio: Trio, tmp_path: Path) -> None:
    publish(hub, trio, CARDS)
    vector = VectorSpec(base=NAMES["base"], chat=NAMES["chat"], scale=0.5, scale_role={"norm": 0})
    first = apply(Recipe(target=NAMES["target"], vectors=(vector,), output=str(tmp_path / "first")))
    hub.add("org/ko", {"config.json": b"{}", "model.safetensors": b"moved on"})
    loaded = load_recipe(strip(first.output, tmp_path), [], str(tmp_path / "again"))
    again = apply(loaded.recipe, progress=loaded.check)  # type: ignore[arg-type]
    assert again.manifest["files"] == first.manifest["files"]
    weights = "model.safetensors"
    assert (again.output / weights).read_bytes() == (first.output / weights).read_bytes()


def test_a_published_manifest_wants_an_output(hub: HubServer, trio: Trio, tmp_path: Path) -> None:
    publish(hub, trio, CARDS)
    published = strip(merge(tmp_path / "out").output, tmp_path)
    with pytest.raises(UsageError, match=r"published.json: name the new output with -o$"):
        load_recipe(published, [], None)


def test_a_published_manifest_of_nameless_parents(trio: Trio, tmp_path: Path) -> None:
    vector = VectorSpec(base=str(trio.base), chat=str(trio.chat))
    result = apply(Recipe(target=str(trio.target), vectors=(vector,), output=str(tmp_path / "out")))
    with pytest.raises(
        UsageError,
        match=r"was published without the places of target, vectors.0.base, vectors.0.chat, which have no public name",
    ):
        load_recipe(strip(result.output, tmp_path), [], str(tmp_path / "again"))


def test_a_published_manifest_of_a_vector_on_disk(hub: HubServer, trio: Trio, tmp_path: Path) -> None:
    publish(hub, trio, CARDS)
    extract(NAMES["base"], NAMES["chat"], str(tmp_path / "vector"))
    vector = VectorSpec(vector=str(tmp_path / "vector"))
    result = apply(Recipe(target=NAMES["target"], vectors=(vector,), output=str(tmp_path / "out")))
    with pytest.raises(UsageError, match=r"was published without the places of vectors.0, which have no public name"):
        load_recipe(strip(result.output, tmp_path), [], str(tmp_path / "again"))
