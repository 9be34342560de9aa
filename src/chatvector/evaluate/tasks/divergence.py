# SPDX-License-Identifier: Apache-2.0
"""How far a model has moved: Kullback–Leibler divergence per token from the target, and from the true chat model.

    D(reference ‖ model) = Σ_t Σ_v p(v | t) · log2(p(v | t) / q(v | t)) / tokens      bits per token

p is the reference's distribution over its whole vocabulary, q the model's, after the same tokens of a text. The figure
is exact. It exists only where both models cut the text into the same ids and every token of the reference has the same
id in the model (which may have more: rows that a chat format added); else the marks say "not comparable", and why.
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
"""Lines of text, each in two or three languages. A token of a vocabulary of 128 k takes half a megabyte on disk."""


def divergence(reference: NDArray[np.floating], model: NDArray[np.floating]) -> float:
    """Σ over tokens of D(reference ‖ model), in bits, from natural log-probabilities (T, V) and (T, W), W ≥ V.

    What the model gives to its W − V further tokens is lost to it, as it should be. Infinite where the model rules out
    what the reference does not. Raises ValueError for W < V or different T.
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
    """The texts of `texts`, on models whose distributions can be read. `of_two`: one alone is not asked."""

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
        """Those of the texts."""
        return self.texts.languages

    @property
    def sampling(self) -> Sampling:
        """Nothing is drawn."""
        return Sampling()

    def items(self, language: Language, *, limit: int | None, seed: int) -> list[Item]:
        """The first LINES lines, or `limit` texts."""
        made = self.texts.items(language, limit=limit, seed=seed)
        if limit is not None:
            return made
        lines = list(dict.fromkeys(item.cluster for item in made))[:LINES]
        return [item for item in made if item.cluster in lines]

    def sources(self, language: Language) -> list[Source]:
        """Those of the texts."""
        return self.texts.sources(language)

    def needs(self) -> tuple[str, ...]:
        """Nothing."""
        return ()

    def observe(self, backend: Backend, items: Sequence[Item]) -> Distributions | None:
        """The distributions at every token, on disk; None from a backend that tells no distributions."""
        if not isinstance(backend, DistributionBackend):
            return None
        return Distributions.record(backend, [item.text or "" for item in items])

    def mark(self, answers: Sequence[Answer], services: Services) -> list[Marks]:
        """Marks of the text alone; divergences come with `compare`."""
        del services
        return [text_marks(answer) for answer in answers]

    def compare(self, between: Between) -> Mapping[str, Sequence[Marks]]:
        """`kl_reference` and `kl_chat`: bits over all tokens of a text; None, with a reason, where they do not exist
        and for a model from itself."""
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
    """Bits, or why there are none; None where there is nothing to say."""
    if other is None or other == model:
        return None
    first, second = between.observed.get(other), between.observed.get(model)
    if not isinstance(first, Distributions) or not isinstance(second, Distributions):
        return "not comparable: a model tells no distributions"
    why = first.unlike(second, answer.item.text or "")
    if why is not None:
        return f"not comparable: {why}"
    return divergence(first[answer.item.text or ""][1], second[answer.item.text or ""][1])
