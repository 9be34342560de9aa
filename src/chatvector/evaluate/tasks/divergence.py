# SPDX-License-Identifier: Apache-2.0
"""How far a model has moved: Kullback–Leibler divergence per token from the target, and from the true chat model.

    D(reference ‖ model) = Σ_t Σ_v p(v | t) · log2(p(v | t) / q(v | t)) / tokens      bits per token

p is the reference's distribution over its whole vocabulary, q the model's, after the same tokens of a text. The figure
is exact. It exists only if both models split the text into the same ids and every token of the reference has the same
id in the model. (The model may have further tokens, such as those that a chat format added.) Otherwise the marks say
"not comparable", and why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from chatvector.evaluate.task import Answer, Between, Item, Language, Marked, Marks, Metric, Services, Source
from chatvector.evaluate.tasks.distributions import DistributionBackend, Distributions
from chatvector.evaluate.tasks.knowledge import BitsPerByteTask, of_kind, text_marks
from chatvector.evaluate.tasks.texts import TARGET
from chatvector.runtime.backend import Backend, Sampling

LINES = 20
"""Number of lines of text, each in two or three languages. With a vocabulary of 128 k, one token of text takes half a
megabyte on disk."""


def divergence(reference: NDArray[np.floating], model: NDArray[np.floating]) -> float:
    """Σ over tokens of D(reference ‖ model), in bits, from natural log-probabilities (T, V) and (T, W), W ≥ V.

    Probability that the model gives to its W − V further tokens counts as lost. The result is infinite if the model
    gives probability 0 to a token to which the reference does not. Raises ValueError for W < V or different T.
    """
    if len(reference) != len(model) or reference.shape[1] > model.shape[1]:
        raise ValueError(f"log-probabilities of shapes {reference.shape} and {model.shape} have no divergence")
    total = 0.0
    for p_log, q_log in zip(reference, model[:, : reference.shape[1]], strict=True):
        first, second = p_log.astype(np.float64), q_log.astype(np.float64)
        there = first > -np.inf
        total += float(np.sum(np.exp(first[there]) * (first[there] - second[there])))
    return max(total, 0.0) / float(np.log(2))


def _per_token(mark: str) -> Callable[[Sequence[Marked]], float | None]:
    def figure(marked: Sequence[Marked]) -> float | None:
        chosen = [m for m in marked if m.marks[mark] is not None]
        tokens = sum(float(m.marks["tokens"] or 0) for m in chosen)
        return sum(float(m.marks[mark] or 0) for m in chosen) / tokens if tokens else None

    return figure


def _metric(name: str, title: str, mark: str, kind: str | None = None) -> Metric:
    return Metric(
        name,
        title,
        aggregate=_per_token(mark),
        kind="mean",
        better="neither",
        by=() if kind else ("text",),
        unit="bits per token",
        counts=None if kind is None else of_kind(kind),
    )


METRICS = (
    _metric("from_reference", "divergence from the reference", "kl_reference"),
    _metric("from_reference_target", "the same, language evaluated", "kl_reference", TARGET),
    _metric("from_chat", "divergence from the true chat model", "kl_chat"),
)


@dataclass(frozen=True)
class DivergenceTask:
    """Divergence on the texts of `texts`, for models whose distributions can be read. `of_two`: the task is skipped if
    there is one model only."""

    texts: BitsPerByteTask = field(default=BitsPerByteTask())
    axis: str = "knowledge"
    version: str = "1"
    metrics: tuple[Metric, ...] = field(default=METRICS, repr=False)
    of_two: bool = True

    @property
    def name(self) -> str:
        """`divergence`; the file's name is added for a user's data."""
        return self.texts.name.replace("bits-per-byte", "divergence")

    @property
    def languages(self) -> tuple[Language, ...]:
        """Languages of the texts."""
        return self.texts.languages

    @property
    def sampling(self) -> Sampling:
        """Default settings; likelihood items draw nothing."""
        return Sampling()

    def items(self, language: Language, *, limit: int | None, seed: int) -> list[Item]:
        """The texts of the first LINES lines; with a `limit`, the first `limit` texts."""
        made = self.texts.items(language, limit=limit, seed=seed)
        if limit is not None:
            return made
        lines = list(dict.fromkeys(item.cluster for item in made))[:LINES]
        return [item for item in made if item.cluster in lines]

    def sources(self, language: Language) -> list[Source]:
        """Sources of the texts."""
        return self.texts.sources(language)

    def needs(self) -> tuple[str, ...]:
        """Needs no service."""
        return ()

    def observe(self, backend: Backend, items: Sequence[Item]) -> Distributions | None:
        """The distributions at every token, kept on disk; None if the backend does not give distributions."""
        if not isinstance(backend, DistributionBackend):
            return None
        return Distributions.record(backend, [item.text or "" for item in items])

    def mark(self, answers: Sequence[Answer], services: Services) -> list[Marks]:
        """Marks of the text alone; divergences come with `compare`."""
        del services
        return [text_marks(answer) for answer in answers]

    def compare(self, between: Between) -> Mapping[str, Sequence[Marks]]:
        """Marks `kl_reference` and `kl_chat`: bits summed over all tokens of a text. None where the models are not
        comparable (`kl_reference_reason` and `kl_chat_reason` say why), where there is no other model, and for the
        other model itself."""
        found: dict[str, Sequence[Marks]] = {}
        for model, answers in between.answers.items():
            marks: list[dict[str, float | str | None]] = [{} for _ in answers]
            for mark, other in (("kl_reference", between.reference), ("kl_chat", between.true_chat)):
                for row, answer in enumerate(answers):
                    value = _from(between, other, model, answer)
                    marks[row][mark] = value if isinstance(value, float) else None
                    marks[row][f"{mark}_reason"] = value if isinstance(value, str) else None
            found[model] = marks
        return found


def _from(between: Between, other: str | None, model: str, answer: Answer) -> float | str | None:
    """Divergence from `other` in bits, or the reason why there is none; None if there is no other model or it is the
    same model."""
    if other is None or other == model:
        return None
    first, second = between.observed.get(other), between.observed.get(model)
    if not isinstance(first, Distributions) or not isinstance(second, Distributions):
        return "not comparable: a model tells no distributions"
    why = first.unlike(second, answer.item.text or "")
    if why is not None:
        return f"not comparable: {why}"
    return divergence(first[answer.item.text or ""][1], second[answer.item.text or ""][1])
