# SPDX-License-Identifier: Apache-2.0
"""A text classifier through transformers as a scorer: Detoxify's models, textdetox's, or any other.

What a model's outputs mean stands nowhere but in its label names, so those are mapped by a table; a label that the
table does not have stops the run until the user says what it is. Outputs are read as the configuration says: several
labels independently (sigmoid) or one of them (softmax).
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
    # Not asked for: the complement of toxic, and the identities that Jigsaw's second set labels.
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
"""Label of a model (lower case, white space and `-` as `_`) → attribute; None: left out on purpose."""

TEXTDETOX = ("am", "ar", "de", "en", "es", "fr", "he", "hi", "hin", "it", "ja", "ru", "tt", "uk", "zh")
LANGUAGES: Mapping[str, tuple[Language, ...]] = {
    "toxic-bert": ("en",),
    "unbiased-toxic-roberta": ("en",),
    "multilingual-toxic-xlm-roberta": ("en", "fr", "es", "it", "pt", "tr", "ru"),
    "xlmr-large-toxicity-classifier": ("am", "ar", "de", "en", "es", "hi", "ru", "uk", "zh"),
    "xlmr-large-toxicity-classifier-v2": TEXTDETOX,
    "twitter-xlmr-toxicity-classifier": TEXTDETOX,
}
"""Languages of published classifiers by the last part of their name, from their model cards. None has Korean."""


def normalised(label: str) -> str:
    """A label as the table has it."""
    return "_".join(label.strip().lower().replace("-", " ").replace("_", " ").split())


def mapping(labels: Sequence[str], given: Mapping[str, str] | None, name: str) -> dict[int, str]:
    """Output index → attribute. `given` (label → attribute) comes before the table.

    Raises UsageError for a label with no meaning, for one in `given` that the model lacks, and if none is toxicity.
    """
    chosen = {normalised(key): value for key, value in (given or {}).items()}
    ours = [normalised(label) for label in labels]
    if absent := sorted(chosen.keys() - set(ours)):
        raise UsageError(f"{name} has no label {absent[0]!r}; it has {first_five(labels)}")
    # Where labels are given, those that are not are left out; else each has to be in the table.
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
    """A sequence classifier: a directory, or a hub name, which is downloaded first.

    Attributes:
        model: directory or hub name; weights in safetensors, as no pickle is ever executed.
        languages: it was made for; None: by the last part of its name (`LANGUAGES`).
        labels: label → attribute, where the model's own names do not say.
        batch: texts at once.
        max_tokens: longer texts are cut, which is counted (`truncated`).

    Raises MissingExtra without `[local]`, UsageError if languages or labels are not known.
    """

    model: str
    languages: tuple[Language, ...] | None = None
    labels: Mapping[str, str] | None = None
    batch: int = 16
    max_tokens: int = 512
    device: str = "cpu"
    truncated: list[int] = field(default_factory=list, repr=False, compare=False)
    """Texts that were cut, one number a call of `score`."""

    def __post_init__(self) -> None:
        require_extra("A toxicity classifier")
        if not self.known_languages:
            raise UsageError(f"{self.model}: which languages does it score? Say so, e.g. languages=en")

    @property
    def known_languages(self) -> tuple[Language, ...]:
        """As given, else by the last part of its name; empty if neither says."""
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
            except Exception as error:  # a bad value in a file makes it raise anything, asserts and KeyErrors too
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
        """The weights' hash is of all bytes."""
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
        """Sigmoid or softmax, as transformers' own pipeline reads a configuration."""
        kind = model.config.problem_type
        return kind == "multi_label_classification" or (kind is None and model.config.num_labels == 1)

    def score(self, texts: Sequence[str], language: Language) -> list[Scores]:
        """Raises UsageError for an unknown language, DamagedFile if weights are missing or scores are no numbers."""
        import torch

        tokenizer, model, found = self._loaded
        self.check_language(language)
        scores: list[Scores] = []
        cut = 0
        # Texts of like length share a batch, so that little is padding.
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
