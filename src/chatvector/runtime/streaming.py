# SPDX-License-Identifier: Apache-2.0
"""Stream a reply while it is written; the pieces make the same text as the reply from `generate`.

The model runs in a thread of its own by the ordinary `generate`, which passes every token to a `Watch`. Stop ids,
draws and seeds are therefore the same, and the scale of a live merge cannot change meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any, Self

from chatvector.runtime.backend import Reply

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
"""Character that decoders write for bytes of an incomplete character."""


class Watch:
    """Receives a reply's tokens from `generate`, and tells after each whether to go on.

    It implements two interfaces of transformers: a streamer (`put` and `end`) and a stopping criterion.
    """

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._prompt_seen = False
        self.tokens: SimpleQueue[int | None] = SimpleQueue()
        """Ids as they are written; None after the last."""

    def stop(self) -> None:
        """End the reply after the token that is being computed. From any thread, also from a signal handler."""
        self._asked.set()

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._asked.is_set()

    def put(self, value: Any) -> None:
        """Take ids: (1, T) of the prompt first, then (1,) for each token."""
        if not self._prompt_seen:
            self._prompt_seen = True
            return
        for token in value.reshape(-1).tolist():
            self.tokens.put(token)

    def end(self) -> None:
        """Required of a streamer; does nothing, as the end of the thread ends the stream."""

    def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:  # noqa: ARG002
        """(1,) booleans: whether the row ends here."""
        import torch

        return torch.full((input_ids.shape[0],), self.stopped, dtype=torch.bool, device=input_ids.device)


class Decoder:
    """Decodes token ids one at a time. Bytes of an incomplete character are held back.

    Each token is decoded together with earlier tokens, from the last but one place where the text was complete, because
    decoders of SentencePiece drop a leading blank.
    """

    def __init__(self, decode: Callable[[list[int]], str]) -> None:
        self._decode = decode
        self._tokens: list[int] = []
        self._start = self._read = 0

    def push(self, token: int) -> str:
        """The text that the token adds; "" while a character is incomplete."""
        self._tokens.append(token)
        before = self._decode(self._tokens[self._start : self._read])
        now = self._decode(self._tokens[self._start :])
        if now.endswith(REPLACEMENT):
            return ""
        self._start, self._read = self._read, len(self._tokens)
        shared = (place for place, (old, new) in enumerate(zip(before, now, strict=False)) if old != new)
        return now[next(shared, min(len(before), len(now))) :]


class ReplyStream:
    """One reply. Iterate over it for its pieces; afterwards `reply` is set. Leaving the `with` block ends it.

        with backend.stream(prompt, sampling) as stream:
            for piece in stream:
                print(piece, end="", flush=True)

    The pieces joined are `reply.text`, unless the decoder changes text that it gave before (bytes that prove to be
    no character): then `reply` is right. Iterating raises what `generate` raises.
    """

    def __init__(
        self,
        run: Callable[[Watch], Reply],
        decode: Callable[[list[int]], str],
        is_text: Callable[[int], bool],
        opening: str = "",
    ) -> None:
        """Start writing the reply.

        Args:
            run: writes the reply, in another thread.
            decode: ids to text.
            is_text: whether a token belongs to the text, and is neither a stop token nor one that is left out.
            opening: the mark of thinking that the prompt ended with.
        """
        self._watch = Watch()
        self._decoder, self._is_text = Decoder(decode), is_text
        self._shown, self._blank = f"{opening}\n" if opening else "", ""
        self._opening = self._shown
        self._reply: Reply | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, args=(run,), name="chatvector-reply", daemon=True)
        self._thread.start()

    @property
    def reply(self) -> Reply:
        """The reply, once the stream has ended; cut short (`stopped` False) if `stop` came first."""
        if self._reply is None:
            raise RuntimeError("the reply is still being written")
        return self._reply

    def stop(self) -> None:
        """End the reply after the token that is being computed; what was written is kept. From any thread."""
        self._watch.stop()

    @property
    def interrupted(self) -> bool:
        """Whether `stop` was called."""
        return self._watch.stopped

    def __iter__(self) -> Iterator[str]:
        opened = False
        while (token := self._watch.tokens.get()) is not None:
            if not opened and self._opening:
                yield self._opening
            opened = True
            if self._is_text(token) and (piece := self._visible(self._decoder.push(token))):
                self._shown += piece
                yield piece
        self._thread.join()
        if self._error is not None:
            raise self._error
        text = self.reply.text
        if opened and text.startswith(self._shown) and text != self._shown:
            yield text[len(self._shown) :]

    def _visible(self, piece: str) -> str:
        """The part of `piece` to show now. White space is held back until text follows and dropped at the start, as
        replies are stripped at both ends."""
        text = self._blank + piece
        if self._shown == self._opening:
            text = text.lstrip()
        shown = text.rstrip()
        self._blank = text[len(shown) :]
        return shown

    def _work(self, run: Callable[[Watch], Reply]) -> None:
        try:
            self._reply = run(self._watch)
        except BaseException as error:  # raised in the thread that iterates
            self._error = error
        finally:
            self._watch.tokens.put(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._thread.join()
