# SPDX-License-Identifier: Apache-2.0
"""Controls: a model that is asked the same items without a chat format, as lines of plain text.

A low score of the target says little where its chat template picks a poor voice. Where plain text of the world has a
form in which somebody answers well, the target is asked in that form too, and once as the question alone. Tasks that
know such forms offer them (`Controlled`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, cast, runtime_checkable

from chatvector.evaluate.request import Job
from chatvector.evaluate.scorers.short_replies import first_line
from chatvector.evaluate.task import Language
from chatvector.runtime.backend import Backend, BackendInfo, Likelihood, LikelihoodBackend, Prompt, Reply, Sampling


@dataclass(frozen=True)
class Control:
    """A form of plain text, a line a turn.

    Attributes:
        title: in reports, behind the model's name.
        user, assistant: what stands before a question and before a reply.
        blank: what parts them from what is said; none after a full-width colon.
    """

    title: str
    user: str = ""
    assistant: str = ""
    blank: str = " "

    def text(self, messages: Sequence[tuple[str, str]]) -> str:
        """The conversation up to where the reply begins. A reply of an earlier turn is its first line."""
        lines = []
        for role, content in messages:
            if role == "assistant":
                lines.append(f"{self.assistant}{self.blank}{first_line(content)}".strip())
            else:
                lines.append(f"{self.user}{self.blank}{content}".strip() if role == "user" else content)
        return "\n".join([*lines, self.assistant])


@runtime_checkable
class Controlled(Protocol):
    """A task whose world has plain forms to ask in."""

    def controls(self, language: Language) -> Sequence[Control]:
        """The forms; none for a language without."""
        ...


def controls_of(jobs: Sequence[Job]) -> tuple[Control, ...]:
    """The forms that all tasks offer. None where several languages are asked: a form is of one."""
    if len({job.language for job in jobs}) != 1:
        return ()
    offered = [tuple(job.task.controls(job.language)) if isinstance(job.task, Controlled) else () for job in jobs]
    return tuple(one for one in offered[0] if all(one in others for others in offered))


@dataclass(frozen=True)
class PlainModel:
    """`model`, asked in the form of `control`. Raw text and likelihoods go through as they are."""

    model: Backend
    control: Control

    @property
    def info(self) -> BackendInfo:
        """The model's, with the form in which it is asked."""
        found = self.model.info
        settings = {**found.settings, "lines": [self.control.user, self.control.assistant]}
        return replace(found, template=None, prompt_form=f"plain text: {self.control.title}", settings=settings)

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Reply]:
        """One reply a prompt, in order."""
        plain = [
            one if one.text is not None else Prompt(text=self.control.text(one.messages), sample=one.sample)
            for one in prompts
        ]
        return self.model.generate(plain, sampling)

    def loglikelihood(self, pairs: Sequence[tuple[str, str]]) -> list[Likelihood]:
        """The model's own."""
        assert isinstance(self.model, LikelihoodBackend)
        return self.model.loglikelihood(pairs)


def world_forms(language: Language) -> tuple[Control, ...]:
    """Of the micro-world: as its scripts ask somebody kind, and the question alone."""
    from chatvector.lab.world.speakers import GUEST, PERSONAS, script_line, script_prompt
    from chatvector.lab.world.text import Language as WorldLanguage
    from chatvector.lab.world.text import Text

    spoken = cast(WorldLanguage, language)
    guest = script_prompt(GUEST, spoken)
    blank = script_line(GUEST, Text("", "", ""), spoken).removeprefix(guest)
    return (Control("persona", guest, script_prompt(PERSONAS["kind"][0], spoken), blank), Control("no template"))
