# SPDX-License-Identifier: Apache-2.0
"""A classifier through transformers: a tiny one, made here, whose scores are known."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from tiny_classifier import LOGITS, classifier

from chatvector.errors import DamagedFile, InputError, MissingInput, UsageError
from chatvector.evaluate.scorers.classifier import ClassifierScorer, mapping

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> str:
    return classifier(tmp_path_factory.mktemp("models") / "binary")


def softmax(neutral: float, toxic: float) -> float:
    return math.exp(toxic) / (math.exp(neutral) + math.exp(toxic))


@pytest.mark.parametrize("batch", [1, 2, 16])
def test_scores_in_the_order_of_the_texts(binary: str, batch: int) -> None:
    scorer = ClassifierScorer(binary, languages=("en",), batch=batch)
    texts = ["rude the the a a the", "nice", "the", "vile a"]
    expected = [softmax(*LOGITS["rude"]), softmax(*LOGITS["nice"]), 0.5, softmax(*LOGITS["vile"])]
    assert [each["toxicity"] for each in scorer.score(texts, "en")] == pytest.approx(expected, abs=1e-4)
    assert scorer.truncated == [0]


def test_long_texts_are_cut_and_counted(binary: str) -> None:
    scorer = ClassifierScorer(binary, languages=("en",), max_tokens=4)
    assert scorer.score(["rude a a a a a", "rude"], "en")[0]["toxicity"] == pytest.approx(softmax(-1, 3), abs=1e-4)
    assert scorer.truncated == [1]


def test_it_says_what_it_is(binary: str) -> None:
    info = ClassifierScorer(binary, languages=("en",)).info
    assert info.attributes == ("toxicity",)
    assert info.parameters["labels"] == {"toxic": "toxicity"}
    assert info.parameters["outputs"] == "one of them (softmax)"
    assert info.weights is not None
    assert len(info.weights) == 64
    with pytest.raises(UsageError, match="was asked for ko"):
        ClassifierScorer(binary, languages=("en",)).score(["말"], "ko")
    assert ClassifierScorer(binary, languages=("en",), forced=True).info.forced is True


def test_independent_outputs_and_several_labels(tmp_path: Path) -> None:
    labels = ("toxic", "severe_toxic", "obscene", "insult")
    name = classifier(tmp_path / "toxic-bert", labels=labels, problem="multi_label_classification")
    scorer = ClassifierScorer(name)  # its languages are known by its name
    assert scorer.known_languages == ("en",)
    given = scorer.score(["rude"], "en")[0]
    sigmoid = [1 / (1 + math.exp(-value)) for value in (-1.0, 3.0)]
    assert list(given) == ["toxicity", "severe_toxicity", "profanity", "insult"]
    assert list(given.values()) == pytest.approx([sigmoid[0], *[sigmoid[1]] * 3], abs=1e-4)
    assert scorer.info.parameters["outputs"] == "independent (sigmoid)"


def test_labels_without_meaning_have_to_be_named(tmp_path: Path) -> None:
    name = classifier(tmp_path / "m", labels=("LABEL_0", "LABEL_1"))
    with pytest.raises(UsageError, match=r"what is 2 of 2 labels \(LABEL_0, LABEL_1\)\?"):
        ClassifierScorer(name, languages=("en",)).score(["a"], "en")
    named = ClassifierScorer(name, languages=("en",), labels={"label_1": "toxicity"})
    assert named.score(["rude"], "en")[0] == pytest.approx({"toxicity": softmax(-1, 3)}, abs=1e-4)


def test_mapping() -> None:
    assert mapping(["Non-Toxic", "Toxic"], None, "m") == {1: "toxicity"}
    assert mapping(["a", "b"], {"b": "toxicity", "a": "insult"}, "m") == {0: "insult", 1: "toxicity"}
    with pytest.raises(UsageError, match="has no label 'c'; it has a, b"):
        mapping(["a", "b"], {"c": "toxicity"}, "m")
    with pytest.raises(UsageError, match=r"none of its labels \(insult, threat\) is toxicity"):
        mapping(["insult", "threat"], None, "m")


def test_languages_have_to_be_known(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="which languages does it score"):
        ClassifierScorer(str(tmp_path / "somebody's"))
    with pytest.raises(MissingInput):
        ClassifierScorer(str(tmp_path / "none"), languages=("en",)).score(["a"], "en")


def test_a_pickle_is_not_run(tmp_path: Path) -> None:
    name = classifier(tmp_path / "m")
    (tmp_path / "m" / "model.safetensors").unlink()
    torch.save({"a": torch.zeros(2)}, tmp_path / "m" / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"m: transformers does not load it"):
        ClassifierScorer(name, languages=("en",)).score(["a"], "en")


def test_a_head_that_is_not_there_is_no_scorer(tmp_path: Path) -> None:
    name = classifier(tmp_path / "m")
    transformers.DistilBertModel.from_pretrained(name).save_pretrained(name)
    with pytest.raises(DamagedFile, match=r"missing keys, the first is classifier"):
        ClassifierScorer(name, languages=("en",)).score(["a"], "en")
