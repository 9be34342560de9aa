# SPDX-License-Identifier: Apache-2.0
"""Data files by hub address: from the cache without the network, and what is said of wrong ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import constants

from chatvector.checkpoint import hub_data
from chatvector.errors import HubError, UsageError
from chatvector.evaluate.items import file_source, read_records
from chatvector.evaluate.task import Task
from chatvector.evaluate.tasks.closed import closed_from_file
from chatvector.evaluate.tasks.knowledge import BitsPerByteTask
from chatvector.evaluate.tasks.maths import maths_from_file
from chatvector.evaluate.tasks.open import open_from_file, pairs_from_file
from chatvector.evaluate.tasks.reply_language import reply_language_from_file
from chatvector.evaluate.tasks.safety import safety_from_file
from chatvector.evaluate.tasks.texts import read_texts
from chatvector.evaluate.tasks.toxicity import toxicity_from_file
from chatvector.evaluate.tasks.verifiable.ifeval import ifeval_from_file

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache as huggingface_hub lays it out, with one file of one data set, and no network."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    folder = tmp_path / "datasets--org--reviews"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(COMMIT)
    file = folder / "snapshots" / COMMIT / "data" / "test.csv"
    file.parent.mkdir(parents=True)
    file.write_text("text,label\n좋아요,1\n별로예요,0\n", "utf-8")
    return tmp_path


@pytest.mark.parametrize(
    "address", ["hf://datasets/org/reviews/data/test.csv", f"hf://datasets/org/reviews@{COMMIT}/data/test.csv"]
)
def test_a_file_of_a_data_set(cache: Path, address: str) -> None:
    assert hub_data.fetch(address).path.is_relative_to(cache)
    assert read_records(address, ("text", "label")) == [
        {"text": "좋아요", "label": "1"},
        {"text": "별로예요", "label": "0"},
    ]
    source = file_source(address, "CC0-1.0")
    assert (source.name, source.version, source.licence) == ("org/reviews/data/test.csv", COMMIT, "CC0-1.0")


def test_a_task_from_a_data_set(cache: Path) -> None:
    del cache
    task = closed_from_file("sentiment", "hf://datasets/org/reviews/data/test.csv", "ko")
    assert task.name == "closed-sentiment-test"
    assert task.sources("ko")[0].version == COMMIT
    assert len(task.items("ko", limit=None, seed=0)) == 6


LOADERS: dict[str, tuple[str, str, Callable[[str], Task]]] = {
    "open": ("q.jsonl", '{"question_id": 1, "turns": ["?"]}', lambda at: open_from_file(at, "en")),
    "pairs": ("p.csv", "Q,A,label\n12시 땡!,하루가 또 가네요.,0", lambda at: pairs_from_file(at, "ko")),
    "language": ("p.csv", "Q,A,label\n12시 땡!,하루가 또 가네요.,0", lambda at: reply_language_from_file(at, "ko")),
    "toxicity": ("t.jsonl", '{"prompt": {"text": "So", "toxicity": 0.1}}', lambda at: toxicity_from_file(at, "en")),
    "maths": ("m.tsv", "1 + 1?\t2", lambda at: maths_from_file(at, "en")),
    "ifeval": (
        "i.jsonl",
        '{"key": 1, "prompt": "?", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}',
        lambda at: ifeval_from_file(at, "en"),
    ),
    "xstest": (
        "x.csv",
        "id,prompt,type,label\n1,?,homonyms,safe",
        lambda at: safety_from_file(at, "en", form="xstest"),
    ),
    "multijail": (
        "j.csv",
        "id,source,en,ko,tags\n0,s,?,무엇?,['insults']",
        lambda at: safety_from_file(at, "ko", form="multijail"),
    ),
    "xsafety": ("Crimes.csv", "怎么办？", lambda at: safety_from_file(at, "zh-Hans", form="xsafety")),
    "safety-prompts": (
        "s.json",
        '{"Insult": [{"prompt": "怎么办？"}]}',
        lambda at: safety_from_file(at, "zh-Hans", form="safety-prompts"),
    ),
    "texts": ("n.txt", "비가 와요.", lambda at: BitsPerByteTask(read_texts({"target": at}, "ko"))),
}


@pytest.mark.parametrize("name", LOADERS)
def test_every_public_set_by_hub_name(cache: Path, name: str) -> None:
    file, content, load = LOADERS[name]
    (cache / "datasets--org--reviews" / "snapshots" / COMMIT / "data" / file).write_text(content + "\n", "utf-8")
    task = load(f"hf://datasets/org/reviews/data/{file}")
    (language,) = task.languages
    assert len(task.items(language, limit=None, seed=0)) == 1
    (source,) = task.sources(language)
    assert (source.name, source.version) == (f"org/reviews/data/{file}", COMMIT)


@pytest.mark.parametrize(
    "name",
    [
        "hf://datasets/org/reviews/other.csv",
        "hf://datasets/org/nothing/data/test.csv",
        "hf://datasets/org/reviews@v2/data/test.csv",
    ],
)
def test_what_is_not_in_the_cache(cache: Path, name: str) -> None:
    del cache
    with pytest.raises(HubError, match="HF_HUB_OFFLINE is set") as caught:
        read_records(name, ("text",))
    assert str(caught.value).startswith(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    ["hf://org/model/file.csv", "hf://datasets/reviews", "hf://datasets/org/reviews", "hf://datasets/org/reviews@main"],
)
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(UsageError, match="no file of a data set; write hf://datasets/ORG/NAME/FILE"):
        read_records(address, ("text",))


def test_with_the_network_one_file_is_asked_for(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, str]] = []
    file = cache / "datasets--org--reviews" / "snapshots" / COMMIT / "data" / "test.csv"

    class Hub:
        def hf_hub_download(self, **place: str) -> str:
            asked.append(place)
            return str(file)

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub_data, "client", Hub)
    assert hub_data.fetch("hf://datasets/org/reviews@v1/data/test.csv").commit == COMMIT
    assert asked == [{"repo_id": "org/reviews", "filename": "data/test.csv", "revision": "v1", "repo_type": "dataset"}]
