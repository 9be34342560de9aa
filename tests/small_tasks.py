# SPDX-License-Identifier: Apache-2.0
"""Two small tasks, a rider and models that say what a function tells them: an evaluation without any weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from chatvector.errors import UsageError
from chatvector.evaluate.request import Model
from chatvector.evaluate.task import Answer, Item, Marked, Marks, Metric, Services, Source, Turn
from chatvector.runtime.backend import BackendInfo, Likelihood, Prompt, Reply, Sampling

CAPITALS = {"France": "Paris", "Japan": "Tokyo", "Korea": "Seoul", "Peru": "Lima", "Cuba": "Havana", "Italy": "Rome"}
SHORT = Sampling(max_new_tokens=8)


def balanced(marked: Sequence[Marked]) -> float | None:
    """Mean over the countries' shares: a figure that is no mean of marks."""
    shares = {}
    for one in marked:
        shares.setdefault(one.answer.item.expect["country"], []).append(bool(one.marks["right"]))
    return sum(sum(each) / len(each) for each in shares.values()) / len(shares) if shares else None


@dataclass(frozen=True)
class Capitals:
    """Each country in two wordings, which form a cluster."""

    name: str = "capitals"
    axis: str = "facts"
    version: str = "1"
    languages: tuple[str, ...] = ("en", "ko")
    sampling: Sampling = SHORT
    metrics: tuple[Metric, ...] = (
        Metric("accuracy", "right capital", "right", by=("wording",), primary=True),
        Metric("balanced", "mean of countries", aggregate=balanced, kind="mean"),
        Metric("characters", "length", "characters", kind="mean", better="neither", unit="characters"),
        Metric("polite", "said please, where it says anything", "polite"),
    )
    services: tuple[str, ...] = ()

    def items(self, language: str, *, limit: int | None, seed: int) -> list[Item]:
        del seed
        if language not in self.languages:
            raise UsageError(f"{self.name}: no {language}")
        made = [
            Item(
                id=f"{country}/{wording}",
                language=language,
                turns=(Turn(text.format(country)),),
                cluster=country,
                expect={"country": country, "capital": capital},
                facets={"wording": wording},
            )
            for country, capital in CAPITALS.items()
            for wording, text in (("10", "What is the capital of {}?"), ("9", "Capital of {}:"))
        ]
        return made[:limit]

    def sources(self, language: str) -> list[Source]:
        return [Source(f"capitals.{language}", "Apache-2.0", "1", "0" * 64)]

    def needs(self) -> tuple[str, ...]:
        return self.services

    def mark(self, answers: Sequence[Answer], services: Services) -> list[Marks]:
        del services
        texts = [answer.replies[-1].text for answer in answers]
        return [
            {
                "right": text == answer.item.expect["capital"],
                "characters": len(text),
                "polite": None if not text else "please" in text,
            }
            for text, answer in zip(texts, answers, strict=True)
        ]


@dataclass(frozen=True)
class Surprise:
    """Nats a byte of a few words: needs likelihoods."""

    name: str = "surprise"
    axis: str = "knowledge"
    version: str = "1"
    languages: tuple[str, ...] = ("en",)
    sampling: Sampling = SHORT
    metrics: tuple[Metric, ...] = (
        Metric(
            "nats", "nats a byte", "nats", kind="mean", better="lower", primary=True, unit="nats a byte", margin=0.5
        ),
    )

    def items(self, language: str, *, limit: int | None, seed: int) -> list[Item]:
        del seed
        return [Item(word, language, text=word, mode="likelihood") for word in CAPITALS.values()][:limit]

    def sources(self, language: str) -> list[Source]:
        del language
        return []

    def needs(self) -> tuple[str, ...]:
        return ()

    def mark(self, answers: Sequence[Answer], services: Services) -> list[Marks]:
        del services
        return [{"nats": (answer.nats or 0.0) / len((answer.item.text or "").encode())} for answer in answers]


@dataclass(frozen=True)
class Shouting:
    """A rider: is the reply in capitals? Silence is neither."""

    name: str = "shouting"
    axis: str = "manners"
    version: str = "1"
    metrics: tuple[Metric, ...] = (Metric("loud", "in capitals", "loud", better="lower", primary=True),)

    def marks(self, reply: Reply, item: Item) -> Marks:
        del item
        return {"loud": reply.text.isupper() if reply.text else None}


@dataclass
class Scripted:
    """Answers what `say` tells for the last user message; None is a context that is too short."""

    name: str
    say: Callable[[Prompt], str | None]
    asked: list[Prompt] = field(default_factory=list)
    prompt_form: str = "own template"

    @property
    def info(self) -> BackendInfo:
        return BackendInfo("scripted", self.name, self.name, "t", self.prompt_form)

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Reply]:
        del sampling
        self.asked += prompts
        replies = [self.say(prompt) for prompt in prompts]
        return [Reply("", False, failure="context") if text is None else Reply(text, True, 1, 1) for text in replies]


@dataclass
class Reading(Scripted):
    """A model whose likelihoods can be read: one nat a letter."""

    def loglikelihood(self, pairs: Sequence[tuple[str, str]]) -> list[Likelihood]:
        return [Likelihood(-float(len(text)), len(text), False) for _, text in pairs]


def knows(*countries: str, otherwise: str = "Atlantis") -> Callable[[Prompt], str]:
    """Knows the capitals of these countries, and says `otherwise` of the rest."""

    def say(prompt: Prompt) -> str:
        text = prompt.messages[-1][1]
        return next((CAPITALS[country] for country in countries if country in text), otherwise)

    return say


def model(backend: Scripted, opened: list[str] | None = None) -> Model:
    """A model to be evaluated that is there already."""

    @contextmanager
    def open_it() -> Iterator[Scripted]:
        if opened is not None:
            opened.append(backend.name)
        yield backend

    return Model(backend.name, open_it)
