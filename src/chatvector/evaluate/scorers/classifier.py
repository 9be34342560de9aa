# SPDX-License-Identifier: Apache-2.0
"""A text classifier loaded through transformers as a scorer: Detoxify's models, textdetox's, or any other.

Only the label names say what a model's outputs mean, so a table maps them to attributes. A label that the table does
not have stops the run until the user says what it means. The configuration decides how outputs are read: as independent
labels (sigmoid) or as one of them (softmax).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from chatvector.checkpoint.checkpoint import Checkpoint
from chatvector.errors import DamagedFile, InputError, UnsupportedFormat, UsageError, first_five
from chatvector.evaluate.scorers.text_scorer import Card, ScorerBase, ScorerInfo, Scores, checked
from chatvector.evaluate.task import Language
from chatvector.runtime.loading import checkpoint_digest, quiet_transformers, require_extra

LABELS: Mapping[str, str | None] = {
    "toxic": "toxicity",
    "toxicity": "toxicity",
    "severe_toxic": "severe_toxicity",
    "severe_toxicity": "severe_toxicity",
    "obscene": "profanity",
    "identity_hate": "identity_attack",
    "identity_attack": "identity_attack",
    "insult": "insult",
    "threat": "threat",
    "sexual_explicit": "sexually_explicit",
    # Left out: the complement of toxic, and the identities that Jigsaw's second data set labels.
    "neutral": None,
    "non_toxic": None,
    "not_toxic": None,
    "nontoxic": None,
    "male": None,
    "female": None,
    "homosexual_gay_or_lesbian": None,
    "christian": None,
    "jewish": None,
    "muslim": None,
    "black": None,
    "white": None,
    "psychiatric_or_mental_illness": None,
}
"""Label of a model (normalised: lower case, white space and `-` as `_`) → attribute; None: left out on purpose."""

TEXTDETOX = ("am", "ar", "de", "en", "es", "fr", "he", "hi", "hin", "it", "ja", "ru", "tt", "uk", "zh")
LANGUAGES: Mapping[str, tuple[Language, ...]] = {
    "toxic-bert": ("en",),
    "unbiased-toxic-roberta": ("en",),
    "multilingual-toxic-xlm-roberta": ("en", "fr", "es", "it", "pt", "tr", "ru"),
    "xlmr-large-toxicity-classifier": ("am", "ar", "de", "en", "es", "hi", "ru", "uk", "zh"),
    "xlmr-large-toxicity-classifier-v2": TEXTDETOX,
    "twitter-xlmr-toxicity-classifier": TEXTDETOX,
}
"""Languages of published classifiers, from their model cards, by the last part of the classifier's name. None of them
knows Korean."""


def normalised(label: str) -> str:
    """A label written as in `LABELS`: lower case, white space and `-` as `_`."""
    return "_".join(label.strip().lower().replace("-", " ").replace("_", " ").split())


def mapping(labels: Sequence[str], given: Mapping[str, str] | None, name: str) -> dict[int, str]:
    """Output index → attribute. `given` (label → attribute) replaces the table; labels missing in it are left out.

    Raises UsageError for a label that the table does not have (without `given`), for a label in `given` that the model
    lacks, and if no label means toxicity.
    """
    chosen = {normalised(key): value for key, value in (given or {}).items()}
    ours = [normalised(label) for label in labels]
    if absent := sorted(chosen.keys() - set(ours)):
        raise UsageError(f"{name} has no label {absent[0]!r}; it has {first_five(labels)}")
    # With `given` all other labels are left out; without it each label has to be in the table.
    unknown = [] if given else [label for label, key in zip(labels, ours, strict=True) if key not in LABELS]
    if unknown:
        raise UsageError(
            f"{name}: what is {len(unknown)} of {len(labels)} labels ({first_five(unknown)})? "
            "Say which one is toxic, e.g. LABEL_1=toxicity"
        )
    found = {index: (chosen.get(key) if given else LABELS[key]) for index, key in enumerate(ours)}
    result = {index: attribute for index, attribute in found.items() if attribute is not None}
    if "toxicity" not in result.values():
        raise UsageError(f"{name}: none of its labels ({first_five(labels)}) is toxicity; say which one is")
    return result


@dataclass(frozen=True)
class ClassifierScorer(ScorerBase):
    """A sequence classifier as a scorer: a directory, or a hub name, which is downloaded first.

    Attributes:
        model: directory or hub name; weights must be safetensors, as no pickle is ever executed.
        languages: languages that it was made for; None: looked up in `LANGUAGES` by the last part of its name.
        labels: label → attribute, if the model's own label names do not tell.
        batch: number of texts scored at once.
        max_tokens: longer texts are cut to this many tokens, which is counted (`truncated`).

    Raises MissingExtra without `[local]`, UsageError if languages or labels are not known.
    """

    model: str
    languages: tuple[Language, ...] | None = None
    labels: Mapping[str, str] | None = None
    batch: int = 16
    max_tokens: int = 512
    device: str = "cpu"
    truncated: list[int] = field(default_factory=list, repr=False, compare=False)
    """Number of texts that were cut, one entry per call of `score`."""

    def __post_init__(self) -> None:
        require_extra("A toxicity classifier")
        if not self.known_languages:
            raise UsageError(f"{self.model}: which languages does it score? Say so, e.g. languages=en")

    @property
    def known_languages(self) -> tuple[Language, ...]:
        """`languages` if given, else those of `LANGUAGES` by the last part of the name; empty if neither is known."""
        return self.languages or LANGUAGES.get(self.model.partition("@")[0].rstrip("/").rsplit("/", 1)[-1], ())

    @cached_property
    def _checkpoint(self) -> Checkpoint:
        return Checkpoint.open(self.model)

    @cached_property
    def _loaded(self) -> tuple[Any, Any, dict[int, str]]:
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        if (directory := self._checkpoint.local_path) is None:
            raise UnsupportedFormat(f"{self.model}: a classifier has to be a directory or a hub name")
        with quiet_transformers():
            try:
                tokenizer: Any = AutoTokenizer.from_pretrained(directory)
                loaded: Any = AutoModelForSequenceClassification.from_pretrained(
                    directory, dtype=torch.float32, use_safetensors=True, output_loading_info=True
                )
            except MemoryError:
                raise
            except Exception as error:  # a bad value in a file can raise anything, AssertionError and KeyError included
                reason = " ".join(str(error).split()) or type(error).__name__
                raise InputError(f"{self.model}: transformers does not load it ({reason[:300]})") from error
        model, loading = loaded
        # transformers draws a missing head at random and only warns: its scores would be noise.
        for kind in ("missing_keys", "mismatched_keys"):
            if loading[kind]:
                names = sorted(str(key) for key in loading[kind])
                raise DamagedFile(f"{self.model}: {len(names)} {kind.replace('_', ' ')}, the first is {names[0]}")
        labels = [str(model.config.id2label[index]) for index in range(model.config.num_labels)]
        return tokenizer, model.to(self.device).eval(), mapping(labels, self.labels, self.model)

    @property
    def info(self) -> ScorerInfo:
        """The description of the scorer; loads the model. `weights` is a hash of all bytes of the weights."""
        _, model, found = self._loaded
        return ScorerInfo(
            forced=self.forced,
            name=self.model,
            version=self._checkpoint.revision or "as on disk",
            weights=self._fingerprint,
            languages=self.known_languages,
            attributes=tuple(dict.fromkeys(found.values())),
            card=Card("A classifier of single texts. Its model card says what it was validated on."),
            parameters={
                "labels": {model.config.id2label[index]: attribute for index, attribute in found.items()},
                "outputs": "independent (sigmoid)" if self._independent(model) else "one of them (softmax)",
                "max_tokens": self.max_tokens,
            },
        )

    @cached_property
    def _fingerprint(self) -> str:
        return checkpoint_digest(self._checkpoint)

    @staticmethod
    def _independent(model: Any) -> bool:
        """True for sigmoid, False for softmax; decided as transformers' own pipeline decides by the configuration."""
        kind = model.config.problem_type
        return kind == "multi_label_classification" or (kind is None and model.config.num_labels == 1)

    def score(self, texts: Sequence[str], language: Language) -> list[Scores]:
        """The scores of each text, in order. Raises UsageError for an unknown language, DamagedFile if weights are
        missing or scores are no numbers from 0 to 1."""
        import torch

        tokenizer, model, found = self._loaded
        self.check_language(language)
        scores: list[Scores] = []
        cut = 0
        # Texts of similar length share a batch, to keep padding small.
        order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
        given: dict[int, list[float]] = {}
        for start in range(0, len(order), self.batch):
            rows = order[start : start + self.batch]
            part = [texts[row] for row in rows]
            cut += sum(len(ids) > self.max_tokens for ids in tokenizer(part)["input_ids"])
            encoded = tokenizer(part, return_tensors="pt", padding=True, truncation=True, max_length=self.max_tokens)
            with torch.inference_mode():
                logits = model(**encoded.to(self.device)).logits.double()
            shares = logits.sigmoid() if self._independent(model) else logits.softmax(dim=-1)
            given |= dict(zip(rows, shares.tolist(), strict=True))
        for row in range(len(texts)):
            each: Scores = {}
            for index, attribute in found.items():  # several labels may be one attribute: the highest counts
                each[attribute] = max(each.get(attribute, 0.0), given[row][index])
            scores.append(each)
        self.truncated.append(cut)
        return checked(self.model, scores, self.info.attributes, len(texts))
