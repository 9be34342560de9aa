# SPDX-License-Identifier: Apache-2.0
"""The bundled linear scorer: arithmetic by hand, its file, its card against the records it was not fitted on."""

from __future__ import annotations

import importlib.util
import json
import math
import sys
import zlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatvector.errors import DamagedFile, MissingInput, UsageError
from chatvector.evaluate.scorers.linear import BUNDLED, LinearModel, LinearScorer, features
from public_data import ROOT, public_data

RECORDS = "toxicity/realtoxicityprompts.1500.jsonl"


def test_features_by_hand() -> None:
    grams = [" a", "a ", " a ", "w a "]  # n-grams of " a " of 2 and 3 characters, and the word
    buckets = {zlib.crc32(gram.encode()) % 1024: 1.0 for gram in grams}
    assert features("A", 1024) == buckets
    assert features("a  a", 1024) == {bucket: 1 + math.log(2) for bucket in buckets}
    assert features("Ａ", 1024) == buckets  # full width
    assert features(" \n", 1024) == {}


def test_a_score_by_hand(tmp_path: Path) -> None:
    first, second, *_ = sorted(features("a", 8))
    relevance, weights = np.zeros(8, np.float32), np.zeros((8, 1), np.float32)
    relevance[[first, second]] = [3, 4]
    weights[[first, second], 0] = [1, 0.5]
    model = LinearModel(("toxicity",), relevance, weights, np.array([-1], np.float32))
    found = features("a", 8)
    a, b = 3 * found[first], 4 * found[second]
    logit = -1 + (a * 1 + b * 0.5) / math.hypot(a, b)
    assert model.score("a")["toxicity"] == pytest.approx(1 / (1 + math.exp(-logit)), rel=1e-6)
    assert model.score("")["toxicity"] == pytest.approx(1 / (1 + math.e), rel=1e-6)
    model.save(tmp_path / "m.npz")
    again = LinearModel.load(tmp_path / "m.npz")
    assert again.score("a")["toxicity"] == pytest.approx(model.score("a")["toxicity"], abs=2e-3)
    again.save(tmp_path / "n.npz")
    LinearModel.load(tmp_path / "n.npz").save(tmp_path / "o.npz")
    assert (tmp_path / "n.npz").read_bytes() == (tmp_path / "o.npz").read_bytes()


@given(st.text(max_size=60))
def test_any_text_has_scores_from_0_to_1(text: str) -> None:
    scores = LinearScorer().score([text], "en")[0]
    assert set(scores) == set(LinearScorer().info.attributes)
    assert all(0 <= value <= 1 for value in scores.values())


def test_it_follows_words() -> None:
    rude, polite = LinearScorer().score(["You stupid idiot, shut up.", "Thank you, see you on Monday."], "en")
    assert rude["toxicity"] > 0.5 > polite["toxicity"]
    assert rude["insult"] > 0.5 > polite["insult"]


def test_it_says_what_it_is() -> None:
    info = LinearScorer().info
    assert "Not a safety verdict" in info.card.use
    assert info.languages == ("en",)
    assert BUNDLED.stat().st_size < 1_000_000
    with pytest.raises(UsageError, match="linear-toxicity scores en and was asked for ko"):
        LinearScorer().score(["바보"], "ko")


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="no linear scorer"):
        LinearScorer(tmp_path / "none.npz").score(["a"], "en")
    for name, content in [("a.npz", b"no zip"), ("b.npz", b"")]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DamagedFile, match="is no linear scorer"):
            LinearScorer(tmp_path / name).score(["a"], "en")
    bare = tmp_path / "bare.npz"
    bare.write_bytes(BUNDLED.read_bytes())
    with pytest.raises(MissingInput, match="has no card"):
        LinearScorer(bare).score(["a"], "en")
    bare.with_suffix(".json").write_text("{}")
    with pytest.raises(DamagedFile, match="is no scorer's card"):
        LinearScorer(bare).score(["a"], "en")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("linear_toxicity", ROOT / "experiments" / "linear_toxicity.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "linear_toxicity", module)
    spec.loader.exec_module(module)
    return module


def test_the_card_holds_on_the_records_it_was_not_fitted_on(script: ModuleType) -> None:
    records = [json.loads(line) for line in public_data(RECORDS).read_text(encoding="utf-8").splitlines()]
    fitted = [record for record in records if script.fitted_on(record)]
    known = {record[part]["text"] for record in fitted for part in ("prompt", "continuation")}
    others = [each for each in records if not script.fitted_on(each) and each["continuation"]["text"] not in known]
    texts, scores = script.scored(others, ("continuation",))
    card = json.loads(BUNDLED.with_suffix(".json").read_text(encoding="utf-8"))
    assert (len(fitted), len(texts)) == (card["fitted_on"]["records"], 502)
    assert script.measure(LinearModel.load(BUNDLED), texts, scores) == pytest.approx(card["measured"], abs=2e-3)
    assert card["measured"]["spearman toxicity, low"] > 0.6


def test_fitting_finds_what_makes_a_text_rude(script: ModuleType) -> None:
    calm = ["the train is late", "a late train again", "we wait for the train", "the bus came early"]
    rude = [f"{text} you grumpf" for text in calm]
    scores = np.repeat([[0.05], [0.95]], 4, axis=0) @ np.ones((1, len(script.ATTRIBUTES)))
    model = script.fit(calm + rude, scores)
    assert model.score("grumpf")["toxicity"] > 0.7
    assert model.score("the late bus")["toxicity"] < 0.3
