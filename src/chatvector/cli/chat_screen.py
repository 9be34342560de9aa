# SPDX-License-Identifier: Apache-2.0
"""A conversation on a terminal, and one read from a pipe."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from chatvector.cli.columns import DIM, NARROWEST, PLAIN, SideBySide
from chatvector.errors import ChatVectorError, InputError, UsageError
from chatvector.messages import Say
from chatvector.runtime.commands import Message, Quit, parse
from chatvector.runtime.plain_text import printable
from chatvector.runtime.thoughts import Piece

if TYPE_CHECKING:
    from types import FrameType

    from chatvector.cli.console import Console
    from chatvector.runtime.session import Answer, Session, Speaker

INTERRUPTED = 130
MOST_LINES = 1000
"""Of the history."""


def laid_out(pieces: Iterable[Piece], *, folded: bool) -> Iterator[Piece]:
    """Pieces for a terminal: a thought ends with a blank line, or (`folded`) is one line that says how long it is."""
    thought, answer = "", False
    for piece in pieces:
        text = printable(piece.text)
        if piece.thought:
            text = text if thought else text.lstrip()
            if folded and text and not thought:
                yield Piece("thinking …", thought=True)
            thought += text
            if text and not folded:
                yield Piece(text, thought=True)
            continue
        if thought and not answer:
            text = text.lstrip()
            if text:
                yield Piece(f" {len(thought.strip())} characters\n" if folded else "\n\n", thought=True)
        answer = answer or bool(text)
        if text:
            yield Piece(text)


def history_file() -> Path:
    """Where typed lines are kept between sessions: `chatvector/chat_history` in the user's state directory
    (`$XDG_STATE_HOME`, else `~/.local/state`)."""
    return Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser() / "chatvector" / "chat_history"


@contextmanager
def line_editing(keep: bool, warn: Say) -> Iterator[None]:
    """Cursor keys and a history inside the block, where Python has readline; `keep` writes it to `history_file`."""
    try:
        import readline
    except ImportError:
        yield
        return
    file = history_file()
    if keep:
        try:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file.touch(mode=0o600)
            readline.read_history_file(file)
        except OSError as error:
            warn(f"no history: {file} ({error.strerror})")
            keep = False
    readline.set_history_length(MOST_LINES)
    try:
        yield
    finally:
        if keep:
            with suppress(OSError):
                readline.write_history_file(file)


@contextmanager
def on_interrupt(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """What Ctrl-C does inside the block, unless this process was started to ignore it."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        yield
        return
    signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class Screen:
    """A conversation with somebody at a terminal."""

    def __init__(self, session: Session, *, folded: bool) -> None:
        self._session, self._folded = session, folded

    def run(self) -> int:
        """Talk until the end of input or `/quit`; the exit code. The second Ctrl-C in a row at the prompt ends with
        130."""
        warned = False
        with on_interrupt(signal.default_int_handler):
            while True:
                try:
                    line = input("> ")
                except EOFError:
                    _write("\n")
                    return 0
                except UnicodeDecodeError:
                    self._hint("that is not in the terminal's encoding; nothing was sent")
                    continue
                except KeyboardInterrupt:
                    _write("\n")
                    if warned:
                        return INTERRUPTED
                    warned = True
                    self._hint("Ctrl-C again ends, as do /quit and Ctrl-D; during a reply it stops the reply")
                    continue
                warned = False
                try:
                    command = parse(line)
                    if isinstance(command, Quit):
                        return 0
                    if isinstance(command, Message):
                        self._answer(command.text)
                    else:
                        self._hint(self._session.do(command))
                except KeyboardInterrupt:
                    self._hint("interrupted")
                except ChatVectorError as error:
                    self._hint(str(error))

    def _answer(self, message: str) -> None:
        speakers = self._session.speakers
        if len(speakers) == 1:
            self._one(speakers[0], message)
        elif shutil.get_terminal_size().columns >= NARROWEST and self._obeys:
            self._beside(message)
        else:
            for speaker in speakers:
                _write(f"[{printable(speaker.name)}]\n")
                if not self._one(speaker, message):
                    break  # Ctrl-C: the others are not asked any more

    def _one(self, speaker: Speaker, message: str) -> bool:
        """Whether it came to its own end."""
        with self._session.ask(speaker, message) as answer, _stopping([answer]):
            dim = False
            for piece in laid_out(answer, folded=self._folded):
                if piece.thought != dim and self._obeys:
                    _write(DIM if piece.thought else PLAIN)
                dim = piece.thought
                _write(piece.text)
            if dim and self._obeys:
                _write(PLAIN)
        _write("\n")
        self._close([answer])
        return answer.note != "stopped"

    def _beside(self, message: str) -> None:
        """Both at once; they take turns, so that their rows stay together."""
        with ExitStack() as stack:
            answers = [stack.enter_context(self._session.ask(one, message)) for one in self._session.speakers]
            stack.enter_context(_stopping(answers))
            names = [printable(one.name) for one in self._session.speakers]
            shown = SideBySide(names, lambda: shutil.get_terminal_size().columns, _write)
            waiting = {place: laid_out(answer, folded=self._folded) for place, answer in enumerate(answers)}
            while waiting:
                for place, pieces in list(waiting.items()):
                    piece = next(pieces, None)
                    if piece is None:
                        del waiting[place]
                        shown.end(place)
                    else:
                        shown.feed(place, piece)
            shown.close()
        self._close(answers)

    def _close(self, answers: Iterable[Answer]) -> None:
        for answer in answers:
            if answer.problem is not None:
                self._hint(str(answer.problem))
            elif answer.note is not None:
                several = len(self._session.speakers) > 1
                self._hint(f"{answer.speaker.name}: {answer.note}" if several else answer.note)
        _write("\n")

    @property
    def _obeys(self) -> bool:
        return os.environ.get("TERM", "dumb") != "dumb"

    def _hint(self, text: str) -> None:
        lines = printable(text)
        _write(f"{DIM}{lines}{PLAIN}\n" if self._obeys else f"{lines}\n")


class Pipe:
    """A conversation with a program: a reply for every line, and it ends at the first thing that goes wrong."""

    def __init__(self, session: Session, console: Console) -> None:
        self._session, self._console = session, console

    def run(self) -> int:
        """Answer all lines. Raises UsageError for a line that is no message and no command, InputError for one that is
        not UTF-8 or has no answer, and what commands raise."""
        for number, line in enumerate(_lines(), 1):
            if not line.strip():
                self._console.warn(f"line {number} is empty and has no reply")
                continue
            try:
                command = parse(line)
                if isinstance(command, Quit):
                    break
                if isinstance(command, Message):
                    self._answer(command.text)
                else:
                    self._console.say(self._session.do(command))
            except UsageError as error:
                raise UsageError(f"line {number}: {error}") from error
        return 0

    def _answer(self, message: str) -> None:
        several = len(self._session.speakers) > 1
        for speaker in self._session.speakers:
            with self._session.ask(speaker, message) as answer:
                for _ in answer:
                    pass
            if answer.problem is not None:
                raise answer.problem
            assert answer.turn is not None
            if self._console.as_json:
                said = {
                    "model": speaker.name,
                    "scale": answer.turn.scale,
                    "message": message,
                    "reply": answer.turn.answer,
                    "thinking": answer.thinking,
                    "stopped": answer.turn.reply.stopped,
                    "tokens": answer.turn.reply.tokens,
                    "prompt_tokens": answer.turn.reply.prompt_tokens,
                    "note": answer.note,
                }
                _write(json.dumps(said, ensure_ascii=False) + "\n")
                continue
            text = answer.turn.answer
            _write(f"{speaker.name}: {text}\n" if several else f"{text}\n")
            if answer.note is not None:
                self._console.warn(f"{speaker.name}: {answer.note}")


def _lines() -> Iterator[str]:
    for number, line in enumerate(sys.stdin.buffer, 1):
        try:
            yield line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"line {number} of the input is not UTF-8 (byte {error.start})") from error


@contextmanager
def _stopping(answers: list[Answer]) -> Iterator[None]:
    """Ctrl-C ends the answers inside the block, each with what it has."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        for answer in answers:
            answer.stop()

    with on_interrupt(stop):
        yield


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
