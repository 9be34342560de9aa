# SPDX-License-Identifier: Apache-2.0
"""The task `verifiable`: generated prompts, and rules that say whether their instructions were followed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chatvector.evaluate.task import Answer, Item, Language, Marks, Metric, Services, Source, Turn, require_language
from chatvector.evaluate.tasks.answers import answer_text
from chatvector.evaluate.tasks.verifiable.generate import Instruction, checked, generate
from chatvector.evaluate.tasks.verifiable.kinds import GROUPS, KINDS
from chatvector.evaluate.tasks.verifiable.marking import marks_of, metrics, outcome
from chatvector.evaluate.tasks.verifiable.material import languages
from chatvector.runtime.backend import Sampling

_SAMPLING = Sampling(max_new_tokens=768)

PROMPTS = 180
"""Number of prompts in each language: a third with one instruction, a third with two, a third with three."""


@dataclass(frozen=True)
class VerifiableTask:
    """Generated prompts with one to three instructions. They depend on the seed: no model has seen them."""

    name: str = "verifiable"
    axis: str = "instructions"
    version: str = "1"
    sampling: Sampling = _SAMPLING
    metrics: tuple[Metric, ...] = field(default=metrics(GROUPS), repr=False)

    @property
    def languages(self) -> tuple[Language, ...]:
        """Languages that prompts are written in."""
        return languages()

    def items(self, language: Language, *, limit: int | None, seed: int) -> list[Item]:
        """The first `limit` prompts of the seed, at most PROMPTS. An item's language is the one that the reply has to
        be in."""
        require_language(self, language, "prompts")
        made: list[Item] = []
        for number, prompt in enumerate(generate(language, PROMPTS if limit is None else min(limit, PROMPTS), seed)):
            made.append(
                Item(
                    id=f"{number:03d}",
                    language=prompt.reply_language,
                    turns=(Turn(prompt.text),),
                    expect={"instructions": [{"kind": one.kind, "args": one.args} for one in prompt.instructions]},
                    facets={"instructions": str(len(prompt.instructions))},
                )
            )
        return made

    def sources(self, language: Language) -> list[Source]:
        """The file of the language's prompts and, for Chinese, the tables of words that the rules read."""
        require_language(self, language, "prompts")
        folder = Path(__file__).parent
        files = [f"prompts/{language}.toml", *(["sides.tsv", "idioms.txt"] if language.startswith("zh") else [])]
        return [
            Source(
                f"chatvector verifiable {name}",
                "Apache-2.0",
                self.version,
                hashlib.sha256((folder / name).read_bytes()).hexdigest(),
            )
            for name in files
        ]

    def needs(self) -> tuple[str, ...]:
        """Needs no service: rules read the replies."""
        return ()

    def mark(self, answers: Sequence[Answer], services: Services) -> list[Marks]:
        """Marks as in `marking.marks_of`."""
        del services
        return [self._mark(answer) for answer in answers]

    def _mark(self, answer: Answer) -> Marks:
        reply = answer_text(answer)
        outcomes = []
        for entry in answer.item.expect["instructions"]:
            one = Instruction(entry["kind"], entry["args"])
            outcomes.append(outcome(one.kind, KINDS[one.kind].group, lambda text, one=one: checked(one, text), reply))
        return marks_of(outcomes)
