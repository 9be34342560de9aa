# SPDX-License-Identifier: Apache-2.0
"""Controls: a model that is asked the same items without a chat format, as lines of plain text.

A low score of the target says little if its chat template picks a poor persona. If the world's plain text has a form in
which somebody answers well, the target is asked in that form too, and once with the question alone. Tasks that know
such forms offer them (`Controlled`).
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
    """A form of plain text with one line per turn.

    Attributes:
        title: its name in reports, after the model's name.
        user, assistant: prefixes of a question and of a reply.
        blank: separates a prefix from what is said; empty after a full-width colon.
    """

    title: str
    user: str = ""
    assistant: str = ""
    blank: str = " "

    def text(self, messages: Sequence[tuple[str, str]]) -> str:
        """The conversation as text, up to where the reply begins. Replies of earlier turns are cut to their first
        line."""
        lines = []
        for role, content in messages:
            if role == "assistant":
                lines.append(f"{self.assistant}{self.blank}{first_line(content)}".strip())
            else:
                lines.append(f"{self.user}{self.blank}{content}".strip() if role == "user" else content)
        return "\n".join([*lines, self.assistant])


@runtime_checkable
class Controlled(Protocol):
    """A task that can also be asked in forms of plain text."""

    def controls(self, language: Language) -> Sequence[Control]:
        """The forms in a language; empty if there are none."""
        ...


def controls_of(jobs: Sequence[Job]) -> tuple[Control, ...]:
    """The forms that all tasks offer. Empty if several languages are asked, because a form belongs to one language."""
    if len({job.language for job in jobs}) != 1:
        return ()
    offered = [tuple(job.task.controls(job.language)) if isinstance(job.task, Controlled) else () for job in jobs]
    return tuple(one for one in offered[0] if all(one in others for others in offered))


@dataclass(frozen=True)
class PlainModel:
    """`model`, asked in the form of `control`. Prompts of raw text and likelihoods are passed on unchanged."""

    model: Backend
    control: Control

    @property
    def info(self) -> BackendInfo:
        """Information about the model, with the form in which it is asked."""
        found = self.model.info
        settings = {**found.settings, "lines": [self.control.user, self.control.assistant]}
        return replace(found, template=None, prompt_form=f"plain text: {self.control.title}", settings=settings)

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Reply]:
        """One reply per prompt, in order."""
        plain = [
            one if one.text is not None else Prompt(text=self.control.text(one.messages), sample=one.sample)
            for one in prompts
        ]
        return self.model.generate(plain, sampling)

    def loglikelihood(self, pairs: Sequence[tuple[str, str]]) -> list[Likelihood]:
        """Likelihoods from the model itself."""
        assert isinstance(self.model, LikelihoodBackend)
        return self.model.loglikelihood(pairs)


def world_forms(language: Language) -> tuple[Control, ...]:
    """The forms of the micro-world: a question to a kind persona as in its scripts, and the question alone."""
    from chatvector.lab.world.speakers import GUEST, PERSONAS, script_line, script_prompt
    from chatvector.lab.world.text import Language as WorldLanguage
    from chatvector.lab.world.text import Text

    spoken = cast(WorldLanguage, language)
    guest = script_prompt(GUEST, spoken)
    blank = script_line(GUEST, Text("", "", ""), spoken).removeprefix(guest)
    return (Control("persona", guest, script_prompt(PERSONAS["kind"][0], spoken), blank), Control("no template"))
