# SPDX-License-Identifier: Apache-2.0
"""Batched greedy generation from a model directory, thin on transformers.

Nothing is imported or set when this module is imported; torch's thread count is left to the caller.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from chatvector.errors import DamagedFile, MissingExtra, MissingInput

Message = dict[str, str]
"""`{"role": "system" | "user" | "assistant", "content": text}`."""


@dataclass(frozen=True)
class Reply:
    """What a model wrote after one prompt."""

    text: str
    """Decoded without special tokens, up to the stop token, white space stripped at both ends."""
    stopped: bool
    """True if it ended with a stop token, False if it ran into the limit."""
    tokens: int
    """Tokens written, the stop token included."""


def require_extra(what: str) -> None:
    """Raise MissingExtra where torch or transformers is not installed, before `what` has begun."""
    if any(find_spec(name) is None for name in ("torch", "transformers")):
        raise MissingExtra("local", what)


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """No progress bars and no warnings from transformers inside the block; its settings are put back after it."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


class Speaker:
    """A causal language model with its tokenizer and stop ids, all from one directory.

    Weights are held in fp32 whatever the file's dtype, so that replies do not depend on the CPU's bf16 kernels.
    """

    def __init__(self, directory: str | Path, *, stop_tokens: Sequence[str] = ()) -> None:
        """`stop_tokens` end a reply in addition to the stop ids of `generation_config.json`.

        Raises MissingExtra without torch or transformers, MissingInput if there is no such directory or it has
        no tokenizer, DamagedFile if weights are missing, left over or of another shape."""
        try:
            import torch
            from transformers import AutoModelForCausalLM, AutoTokenizer
        except ImportError as error:
            raise MissingExtra("local", "Generating text") from error
        self.directory = Path(directory)
        if not (self.directory / "config.json").is_file():
            raise MissingInput(f"no model at {self.directory}: config.json is not there")
        if not (self.directory / "tokenizer_config.json").is_file():
            raise MissingInput(f"no tokenizer at {self.directory}: tokenizer_config.json is not there")
        self._stop_tokens = tuple(stop_tokens)
        with quiet_transformers():
            self.tokenizer: Any = AutoTokenizer.from_pretrained(self.directory)
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                self.directory, dtype=torch.float32, output_loading_info=True
            )
            model, loading = loaded
        for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
            if loading[kind]:
                names = sorted(str(key) for key in loading[kind])
                raise DamagedFile(f"{self.directory}: {len(names)} {kind.replace('_', ' ')}, the first is {names[0]}")
        self.model: Any = model.eval()

    @property
    def stop_ids(self) -> frozenset[int]:
        """Token ids that end a reply: those of `generation_config.json` and the tokens given by hand."""
        ids = self.model.generation_config.eos_token_id
        listed = [] if ids is None else [ids] if isinstance(ids, int) else ids
        return frozenset([*listed, *self.tokenizer.convert_tokens_to_ids(list(self._stop_tokens))])

    def render(self, messages: Sequence[Message], template: str | None = None) -> str:
        """The prompt that asks for the next reply, in the model's own chat template or the one given.

        Raises MissingInput if there is neither.
        """
        if template is None and not self.tokenizer.chat_template:
            raise MissingInput(f"{self.directory} has no chat template: give one, or use a chat model")
        return self.tokenizer.apply_chat_template(
            list(messages), chat_template=template, tokenize=False, add_generation_prompt=True
        )

    def continue_(
        self, prompts: Sequence[str], *, max_new_tokens: int, batch: int = 64, begin: bool = False
    ) -> list[Reply]:
        """Greedy continuations of prompts, in order. `begin` adds the tokens that the tokenizer puts before a text
        (a rendered template has them already). At most `batch` prompts run at once, padded on the left."""
        replies: list[Reply] = []
        for start in range(0, len(prompts), batch):
            replies += self._batch(list(prompts[start : start + batch]), max_new_tokens, begin)
        return replies

    def _batch(self, prompts: list[str], max_new_tokens: int, begin: bool) -> list[Reply]:
        import torch

        encoded = [self.tokenizer(prompt, add_special_tokens=begin)["input_ids"] for prompt in prompts]
        width = max(len(ids) for ids in encoded)
        stops = self.stop_ids
        pad = self.model.generation_config.pad_token_id
        pad = min(stops, default=0) if pad is None else pad
        ids = torch.full((len(encoded), width), pad)
        mask = torch.zeros_like(ids)
        for row, tokens in enumerate(encoded):
            ids[row, width - len(tokens) :] = torch.tensor(tokens)
            mask[row, width - len(tokens) :] = 1
        with torch.inference_mode(), quiet_transformers():
            written = self.model.generate(
                input_ids=ids,
                attention_mask=mask,
                max_new_tokens=max_new_tokens,
                do_sample=False,
                pad_token_id=pad,
                eos_token_id=sorted(stops) or None,
            )
        return [self._reply(row, stops) for row in written[:, width:].tolist()]

    def _reply(self, tokens: list[int], stops: frozenset[int]) -> Reply:
        end = next((i for i, token in enumerate(tokens) if token in stops), None)
        kept = tokens if end is None else tokens[:end]
        text = self.tokenizer.decode(kept, skip_special_tokens=True).strip()
        return Reply(text, end is not None, len(tokens) if end is None else end + 1)
