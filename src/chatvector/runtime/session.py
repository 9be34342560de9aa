# SPDX-License-Identifier: Apache-2.0
"""A conversation with one model or with several at once: what was said, and what the commands do to it.

Every model gets the same messages and sees its own answers. Nothing here reads or writes a terminal.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self

from chatvector.checkpoint.staging import unwritable
from chatvector.errors import InputError, OutputRefused, UsageError
from chatvector.runtime.backend import Prompt, Reply, Role, Sampling
from chatvector.runtime.commands import Help, Reset, Save, Scale, System, describe, help_text, move
from chatvector.runtime.live import LiveBackend
from chatvector.runtime.plain_text import printable
from chatvector.runtime.replay_backend import reply_as_json
from chatvector.runtime.thoughts import Piece, Thoughts
from chatvector.runtime.transformers_backend import TransformersBackend
from chatvector.sizes import memory_size

Messages = tuple[tuple[Role, str], ...]


@dataclass(frozen=True)
class Turn:
    """A message and what one model made of it.

    Attributes:
        prompt: all that the model was given, the message last.
        answer: the reply without its thinking: what the next turn sees.
        scale: of a live merge, when it answered.
    """

    prompt: Messages
    reply: Reply
    answer: str
    scale: str | None = None

    @property
    def message(self) -> str:
        """What was asked."""
        return self.prompt[-1][1]


@dataclass
class Speaker:
    """One of the models, and its side of the conversation."""

    name: str
    backend: TransformersBackend
    turns: list[Turn] = field(default_factory=list)

    @property
    def scale(self) -> str | None:
        """The present scale of a live merge, as `/scale` takes it."""
        return describe(self.backend.scales[0]) if isinstance(self.backend, LiveBackend) else None


class Answer:
    """One model's answer to one message. Iterate over it for its pieces; it is then part of the conversation.

    Attributes:
        problem: why there is no answer, once the pieces have ended; the conversation is then as it was before.
        failure: of the reply, where there is no answer: `context` or `template`.
        note: what is to be said about an answer that is there: that it was cut, and by what.
        cut: the same as a word: `stopped` (by `stop`), `context` (full), `limit` (of tokens, see `limit`).
        limit: tokens that the reply may have.
        turn: what was added to the conversation.
        thinking: what was thought before it, without marks; None if it holds no thought.
    """

    def __init__(self, speaker: Speaker, prompt: Messages, sampling: Sampling) -> None:
        self.speaker = speaker
        self.problem: InputError | None = None
        self.failure: str | None = None
        self.note: str | None = None
        self.cut: Literal["stopped", "context", "limit"] | None = None
        self.turn: Turn | None = None
        self.thinking: str | None = None
        self._prompt, self._scale = prompt, speaker.scale
        self._thoughts = Thoughts()
        room = speaker.backend.room(prompt, **dict(sampling.template_arguments))
        self._room = room is not None and room < sampling.max_new_tokens
        self.limit = sampling.max_new_tokens if room is None else max(1, min(room, sampling.max_new_tokens))
        self._stream = speaker.backend.stream(Prompt(messages=prompt), replace(sampling, max_new_tokens=self.limit))

    def stop(self) -> None:
        """End it after the token that is being computed. From any thread or signal handler."""
        self._stream.stop()

    def __iter__(self) -> Iterator[Piece]:
        for text in self._stream:
            yield from self._thoughts.feed(text)
        yield from self._thoughts.close()
        self._end(self._stream.reply)

    def _end(self, reply: Reply) -> None:
        name = self.speaker.name
        self.failure = reply.failure
        if reply.failure == "context":
            self.problem = InputError(
                f"{name}: the context of {self.speaker.backend.context} tokens is full (prompt: {reply.prompt_tokens});"
                f" /reset forgets the conversation, or write less"
            )
        elif reply.failure is not None:
            self.problem = InputError(f"{name}: {_refused(self._prompt)}")
        elif self._stream.interrupted and not reply.stopped:
            self.cut, self.note = "stopped", "stopped"
        elif not reply.stopped and self._room:
            self.cut, self.note = "context", "the context is full, /reset forgets the conversation"
        elif not reply.stopped:
            self.cut, self.note = "limit", f"cut at {self.limit} tokens, --max-new-tokens allows more"
        if self.problem is None and (reply.text or self.note != "stopped"):
            # The pieces may differ where a decoder changed its mind; what counts is the reply.
            whole = Thoughts()
            whole.feed(reply.text)
            whole.close()
            self.thinking, answer = whole.thinking, whole.answer
            self.turn = Turn(self._prompt, reply, answer, self._scale)
            self.speaker.turns.append(self.turn)

    def __enter__(self) -> Self:
        self._stream.__enter__()
        return self

    def __exit__(self, *about: object) -> None:
        self._stream.__exit__(*about)


class Session:
    """The conversation."""

    def __init__(self, speakers: Sequence[Speaker], sampling: Sampling, system: str | None = None) -> None:
        """Begin it. Raises UsageError where a model's template takes no system prompt, MissingInput where a model has
        no template."""
        self.speakers, self.sampling = tuple(speakers), sampling
        self.system: str | None = None
        for speaker in self.speakers:
            speaker.backend.render((("user", "?"),), **self._variables)
        if system:
            self.set_system(system)

    def ask(self, speaker: Speaker, message: str) -> Answer:
        """Begin to answer a message."""
        return Answer(speaker, (*self._history(speaker), ("user", message)), self.sampling)

    def do(self, command: Scale | Reset | System | Save | Help) -> str:
        """Carry out a command; what is to be said about it, one or several lines.

        Raises UsageError for what cannot be done, and what changing the scale or writing a file raises; the
        conversation is then as it was before.
        """
        match command:
            case Scale(parts):
                return self._scale(parts)
            case Reset():
                count = max(len(speaker.turns) for speaker in self.speakers)
                for speaker in self.speakers:
                    speaker.turns.clear()
                return f"{count} turn{'' if count == 1 else 's'} forgotten"
            case System(None):
                return f"system prompt: {self.system}" if self.system else "no system prompt of yours"
            case System(text):
                self.set_system(text or None)
                return "system prompt set" if text else "no system prompt of yours"
            case Save(file):
                return self._save(file)
            case Help():
                return help_text()

    @property
    def _variables(self) -> dict[str, Any]:
        return dict(self.sampling.template_arguments)

    def _history(self, speaker: Speaker) -> Messages:
        said = [pair for turn in speaker.turns for pair in (("user", turn.message), ("assistant", turn.answer))]
        return (*((("system", self.system),) if self.system else ()), *said)

    def set_system(self, text: str | None) -> None:
        """Set the system prompt, or take it away (None). Raises UsageError where a template takes none."""
        for speaker in self.speakers:
            if text and speaker.backend.render((("system", text), ("user", "?")), **self._variables) is None:
                raise UsageError(f"{speaker.name}: {_refused((('system', text),))}")
        self.system = text

    def _scale(self, parts: Sequence[str]) -> str:
        live = next((one.backend for one in self.speakers if isinstance(one.backend, LiveBackend)), None)
        if live is None:
            raise UsageError(
                "/scale moves a chat vector, and none is loaded: start with TARGET --vector VEC, or TARGET --base BASE"
                " --chat CHAT"
            )
        if not parts:
            return f"scale {describe(live.scales[0])}"
        rules = move(live.scales[0], parts)
        change = live.set_scales([rules, *live.scales[1:]])
        return (
            f"scale {describe(rules)}: {change.tensors} tensors, {memory_size(change.nbytes)} in"
            f" {1000 * change.seconds:.0f} ms"
        )

    def _save(self, name: str) -> str:
        try:
            file = Path(name).expanduser()
        except RuntimeError as error:
            raise OutputRefused(f"/save {name}: there is no such user; write the path without ~") from error
        turns = sum(len(speaker.turns) for speaker in self.speakers)
        if not turns:
            raise UsageError("/save: nothing was said yet")
        if file.suffix not in (".jsonl", ".md"):
            raise UsageError(
                f"/save {file}: a name that ends in .jsonl (a recording, for programs) or .md (to be read)"
            )
        text = self._recording() if file.suffix == ".jsonl" else self._page()
        try:
            with open(file, "x", encoding="utf-8") as out:
                out.write(text)
        except FileExistsError as error:
            raise OutputRefused(f"/save {file}: is there already; nothing is overwritten") from error
        except ValueError as error:  # a NUL
            raise OutputRefused(f"/save {printable(name)}: is no name of a file ({error})") from error
        except OSError as error:
            with suppress(OSError):
                file.unlink(missing_ok=True)  # a part of a page is none
            raise unwritable(error, file.parent, f"/save {file}: cannot be written") from error
        return f"{file}: {turns} repl{'y' if turns == 1 else 'ies'}"

    def _recording(self) -> str:
        """One reply a line, in the form of `replay_backend`, with what decided it."""
        kept = self.sampling
        sampling = {
            "temperature": kept.temperature,
            "top_p": kept.top_p,
            "seed": kept.seed,
            "max_new_tokens": kept.max_new_tokens,
        }
        lines = [
            {
                "model": speaker.name,
                "scale": turn.scale,
                "sampling": sampling,
                "prompt": [{"role": role, "content": content} for role, content in turn.prompt],
                "reply": reply_as_json(turn.reply),
            }
            for speaker in self.speakers
            for turn in speaker.turns
        ]
        return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)

    def _page(self) -> str:
        """For people: every model's side under a heading of its own; thinking is left out, and so is what a terminal
        that shows the page would obey."""
        parts = []
        for speaker in self.speakers:
            parts.append(f"# {printable(speaker.name)}")
            scale = None
            for turn in speaker.turns:
                system = [content for role, content in turn.prompt if role == "system"]
                if turn is speaker.turns[0] and system:
                    parts.append(f"*System prompt:* {printable(system[0])}")
                if turn.scale != scale:
                    scale = turn.scale
                    parts.append(f"*Scale {scale}*")
                parts += [f"**You:** {printable(turn.message)}", f"**Model:** {printable(turn.answer)}"]
        return "\n\n".join(parts) + "\n"


def _refused(prompt: Messages) -> str:
    system = any(role == "system" for role, _ in prompt)
    return "its chat template takes no such conversation" + (
        "; it may have no system role (/system none takes it away)" if system else ""
    )
