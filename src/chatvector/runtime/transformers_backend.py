# SPDX-License-Identifier: Apache-2.0
"""A model run locally by transformers: from a directory or the hub, or an object in memory (a live merge).

Prompts of similar length run together, padded on the left. A reply depends on its prompt, the sampling, its seed and
sample number, not on its neighbours, as far as the arithmetic allows: matrix products of another shape may add in
another order, and if two tokens are equally likely to the last bits of fp32 (in bf16: often enough to notice) the
other one may win. Generation settings that the model brings along, other than its stop ids, are not used: temperature
0 means the most likely token, with no penalty for repetition. They are listed in `info.details`.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from chatvector.errors import UsageError, first_five
from chatvector.runtime.backend import BackendInfo, Likelihood, Prompt, Reply, Role, Sampling
from chatvector.runtime.batches import MOST_ROWS, Batches, RowCost
from chatvector.runtime.draws import Draw, Sound, stream
from chatvector.runtime.likelihood import Reader, begin, plain_ids
from chatvector.runtime.loading import load, quiet_transformers
from chatvector.runtime.prompt_form import GivenTemplate, no_template, prompt_form
from chatvector.runtime.streaming import ReplyStream, Watch
from chatvector.runtime.thought_marks import kept_tokens, opened_by

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SAMPLED_ELEMENTS = 4096
"""Elements sampled from each parameter for the fingerprint of a model in memory."""


class TransformersBackend:
    """A causal language model with its tokenizer. Satisfies `LikelihoodBackend`.

    Threads take turns: only one call at a time writes replies or reads likelihoods.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        name: str,
        kind: str = "live",
        fingerprint: str | Callable[[], str] | None = None,
        template: GivenTemplate | None = None,
        stop_tokens: Sequence[str] = (),
        offers: Sequence[str] = (),
        batch: int = MOST_ROWS,
        window: int | None = None,
    ) -> None:
        """Wrap a model and a tokenizer that are already loaded.

        Args:
            name: the user's name for the model.
            fingerprint: hash that identifies the weights (such as of recipe and parents), or a function that returns
                the current one. None: a hash over samples of all parameters, computed anew each time, so that a scale
                that was changed in place is noticed.
            template: a chat template to use instead of its own, with the stop tokens of its format.
            stop_tokens: tokens that end a reply, in addition to the stop ids of the generation config.
            offers: names of models with a template, for the error message where this one has none.
            batch: the most prompts that run at once; memory may allow fewer.
            window: tokens read at once for likelihoods; None is the model's context.

        Raises UsageError for a stop token that the tokenizer does not have, and what the template's compilation raises.
        """
        self.model, self.tokenizer, self.name, self.kind = model, tokenizer, name, kind
        self._fingerprint = fingerprint
        self._offers = tuple(offers)
        own = tokenizer.chat_template
        own = own.get("default") if isinstance(own, dict) else own
        special = {key: str(text) for key, text in tokenizer.special_tokens_map.items() if not isinstance(text, list)}
        self.form = prompt_form(own, template, special, name)
        added = tokenizer.added_tokens_decoder
        marked = {row: str(token) for row, token in added.items() if token.special}
        named = dict(zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True))
        self._special: dict[int, str] = {**named, **marked}
        self._kept = kept_tokens(self._special.values())
        self._stop_ids, self._absent = self._find_stops(stop_tokens, template.stop_tokens if template else ())
        text_config = model.config.get_text_config()
        self.context: int | None = getattr(text_config, "max_position_embeddings", None)
        cost = RowCost.of(text_config, model.dtype.itemsize)
        self._cost, self._batches = cost, Batches(model.device, batch)
        self._turn = threading.Lock()
        self._reader = Reader(model, tokenizer, name, window or self.context, cost, batch)

    @classmethod
    def load(
        cls,
        name: str | os.PathLike[str],
        *,
        dtype: str | None = None,
        device: str | None = None,
        device_map: Any = None,
        remote_code: bool = False,
        progress: Callable[[str], None] | None = None,
        template: GivenTemplate | None = None,
        stop_tokens: Sequence[str] = (),
        offers: Sequence[str] = (),
        batch: int = MOST_ROWS,
        window: int | None = None,
    ) -> Self:
        """Load a model by name (see `loading.load`, with its errors); the rest as in the constructor."""
        found = load(
            name, dtype=dtype, device=device, device_map=device_map, remote_code=remote_code, progress=progress
        )
        return cls(
            found.model,
            found.tokenizer,
            name=found.name,
            kind="transformers",
            fingerprint=found.digest,
            template=template,
            stop_tokens=stop_tokens,
            offers=offers,
            batch=batch,
            window=window,
        )

    def round_trip(self, text: str) -> str:
        """See `SpellingBackend`. Characters for which the tokenizer has neither tokens nor bytes are lost."""
        return str(self.tokenizer.decode(plain_ids(self.tokenizer, text), skip_special_tokens=True))

    @property
    def info(self) -> BackendInfo:
        """Facts that decide the replies. A live model's fingerprint is computed at each access."""
        import torch
        import transformers

        told = self._fingerprint() if callable(self._fingerprint) else self._fingerprint
        settings = {
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "stop_ids": sorted(self._stop_ids),
            "torch": torch.__version__.split(".")[0],
            "transformers": transformers.__version__.split(".")[0],
        }
        details = {
            "device": str(self.model.device),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "unused_generation_settings": self._unused_settings(),
            "stop_tokens_not_in_vocabulary": list(self._absent),
        }
        return BackendInfo(
            kind=self.kind,
            model=self.name,
            fingerprint=told or self._sampled_digest(),
            template=self.form.digest,
            prompt_form=self.form.called,
            context=self.context,
            settings=settings,
            details=details,
        )

    @property
    def stop_ids(self) -> frozenset[int]:
        """Token ids that end a reply: from generation config, given template and `stop_tokens`."""
        return self._stop_ids

    def render(self, messages: Sequence[tuple[Role, str]], **variables: Any) -> str | None:
        """The prompt that asks for the next reply; None where the template refuses the conversation. Raises
        MissingInput without a template."""
        if self.form.template is None:
            raise no_template(self.name, self._offers)
        return self.form.render(messages, variables)

    def room(self, messages: Sequence[tuple[Role, str]], **variables: Any) -> int | None:
        """Tokens that are left for the reply to a conversation (0 or less: none); None where the context is not known
        or the template refuses the conversation. Raises MissingInput without a template."""
        text = self.render(messages, **variables)
        return None if text is None or self.context is None else self.context - len(plain_ids(self.tokenizer, text))

    def stream(self, prompt: Prompt, sampling: Sampling) -> ReplyStream:
        """Stream the reply that `generate` would give. Raises MissingInput without a template, UsageError for an empty
        prompt; the stream raises all other errors."""
        text = prompt.text if prompt.text is not None else self._render(prompt, sampling)
        return ReplyStream(
            lambda watch: self.generate([prompt], sampling, watch=watch)[0],
            self._decode,
            lambda token: token not in self._stop_ids and not self._is_dropped(token),
            opened_by(text) if prompt.text is None and text is not None else "",
        )

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling, *, watch: Watch | None = None) -> list[Reply]:
        """See `Backend.generate`. Raises also NotEnoughSpace where one prompt does not fit into memory.

        `watch` gets the tokens of the reply to a single prompt and may end it.
        """
        assert watch is None or len(prompts) == 1
        replies: list[Reply | None] = [None] * len(prompts)
        texts: list[tuple[int, str, list[int]]] = []
        for row, prompt in enumerate(prompts):
            text = prompt.text if prompt.text is not None else self._render(prompt, sampling)
            if text is None:
                replies[row] = Reply("", stopped=False, failure="template")
                continue
            ids = begin(self.tokenizer, text) if prompt.text is not None else plain_ids(self.tokenizer, text)
            if not ids:
                raise UsageError(
                    f"{self.name}: prompt {row + 1} is empty, and the tokenizer puts nothing before a text"
                )
            if self.context is not None and len(ids) + sampling.max_new_tokens > self.context:
                replies[row] = Reply("", stopped=False, prompt_tokens=len(ids), failure="context")
                continue
            texts.append((row, text, ids))

        def work(batch: list[int]) -> list[Reply]:
            return self._batch(
                [(texts[i][1], texts[i][2], prompts[texts[i][0]].sample) for i in batch], sampling, watch
            )

        with self._turn:
            found = self._batches.run(
                [len(ids) for _, _, ids in texts],
                lambda length: self._cost.generating(length, sampling.max_new_tokens),
                work,
            )
        for (row, text, _), reply in zip(texts, found, strict=True):
            replies[row] = reply if prompts[row].text is not None else _with_opening(reply, opened_by(text))
        return [reply for reply in replies if reply is not None]

    def loglikelihood(self, pairs: Sequence[tuple[str, str]]) -> list[Likelihood]:
        """See `LikelihoodBackend.loglikelihood`; the rules are those of `runtime.likelihood`. Raises ValueError for an
        empty continuation."""
        with self._turn:
            return self._reader.likelihoods(pairs)

    def log_probabilities(self, text: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Token ids (T) of a text and natural log-probabilities (T, V) of the whole vocabulary at each.

        For the divergence between two models, which is defined where both have the same ids. It takes T·V·4 bytes, for
        a vocabulary of 128 k half a megabyte a token: give it sentences, not books.
        """
        import numpy as np
        import torch

        with self._turn:
            ids, parts = self._reader.distributions(text)
        return np.array(ids, np.int64), torch.cat(parts).numpy()

    def vocabulary(self) -> dict[str, int]:
        """Token → id, added tokens included. Two models' distributions can be compared only if these are equal."""
        return dict(self.tokenizer.get_vocab())

    def _render(self, prompt: Prompt, sampling: Sampling) -> str | None:
        return self.render(prompt.messages, **dict(sampling.template_arguments))

    def _batch(
        self, rows: list[tuple[str, list[int], int]], sampling: Sampling, watch: Watch | None = None
    ) -> list[Reply]:
        """Replies to (text, ids, sample), in one call of the model."""
        import torch

        width = max(len(ids) for _, ids, _ in rows)
        pad = self.tokenizer.pad_token_id
        pad = min(self._stop_ids, default=0) if pad is None else pad
        ids = torch.full((len(rows), width), pad)
        mask = torch.zeros_like(ids)
        for row, (_, tokens, _) in enumerate(rows):
            ids[row, width - len(tokens) :] = torch.tensor(tokens)
            mask[row, width - len(tokens) :] = 1
        processors: list[Any] = [Sound(self.name)]
        if sampling.temperature > 0:
            streams = [stream(sampling.seed, sample, text) for text, _, sample in rows]
            processors.append(Draw(streams, sampling.temperature, sampling.top_p))
        watching = {} if watch is None else {"streamer": watch, "stopping_criteria": [watch]}
        device = self.model.device
        with torch.inference_mode(), quiet_transformers(), self._only_our_settings(sampling, pad):
            written = self.model.generate(
                input_ids=ids.to(device), attention_mask=mask.to(device), logits_processor=processors, **watching
            )
        return [
            self._reply(tokens, len(prompt))
            for tokens, (_, prompt, _) in zip(written[:, width:].tolist(), rows, strict=True)
        ]

    @contextmanager
    def _only_our_settings(self, sampling: Sampling, pad: int) -> Iterator[None]:
        """Replace the model's own generation config inside the block, because `generate` would fill gaps from it."""
        from transformers import GenerationConfig

        own = self.model.generation_config
        self.model.generation_config = GenerationConfig(
            max_new_tokens=sampling.max_new_tokens,
            do_sample=False,
            pad_token_id=pad,
            eos_token_id=sorted(self._stop_ids) or None,
            bos_token_id=own.bos_token_id,
        )
        try:
            yield
        finally:
            self.model.generation_config = own

    def _reply(self, tokens: list[int], prompt_tokens: int) -> Reply:
        end = next((i for i, token in enumerate(tokens) if token in self._stop_ids), None)
        written = tokens if end is None else tokens[:end]
        dropped = [self._special[token] for token in written if self._is_dropped(token)]
        text = self._decode([token for token in written if not self._is_dropped(token)])
        return Reply(
            text=text.strip(),
            stopped=end is not None,
            tokens=len(tokens) if end is None else end + 1,
            prompt_tokens=prompt_tokens,
            special=tuple(dropped),
        )

    def _decode(self, tokens: list[int]) -> str:
        return self.tokenizer.decode(tokens, skip_special_tokens=False)

    def _is_dropped(self, token: int) -> bool:
        return token in self._special and self._special[token] not in self._kept

    def _find_stops(self, by_hand: Sequence[str], of_template: Sequence[str]) -> tuple[frozenset[int], tuple[str, ...]]:
        """Stop ids, and the stop tokens of the given template that this vocabulary lacks."""
        vocabulary = self.tokenizer.get_vocab()
        unknown = [token for token in by_hand if token not in vocabulary]
        if unknown:
            raise UsageError(f"{self.name}: the tokenizer has no such stop tokens: {first_five(unknown)}")
        ids = self.model.generation_config.eos_token_id
        listed = [] if ids is None else [ids] if isinstance(ids, int) else ids
        known = [token for token in of_template if token in vocabulary]
        found = frozenset([*listed, *(vocabulary[token] for token in (*by_hand, *known))])
        return found, tuple(token for token in of_template if token not in vocabulary)

    def _unused_settings(self) -> dict[str, Any]:
        used = {"bos_token_id", "eos_token_id", "pad_token_id", "transformers_version", "max_length", "max_new_tokens"}
        own = self.model.generation_config.to_diff_dict()
        return {key: value for key, value in own.items() if key not in used and not key.startswith("_")}

    def _sampled_digest(self) -> str:
        """SHA-256 over configuration, tokenizer, and names, shapes and evenly spread samples of all parameters."""
        import torch

        digest = hashlib.sha256(json.dumps(self.model.config.to_dict(), sort_keys=True, default=str).encode())
        fast = getattr(self.tokenizer, "backend_tokenizer", None)
        spelled = fast.to_str() if fast is not None else json.dumps(self.tokenizer.get_vocab(), sort_keys=True)
        digest.update(spelled.encode())
        with torch.inference_mode():
            for name, values in self.model.named_parameters():
                flat = values.detach().reshape(-1)
                count = min(len(flat), SAMPLED_ELEMENTS)
                places = torch.arange(count, device=flat.device) * len(flat) // max(1, count)
                taken = flat[places].contiguous().cpu()
                digest.update(f"{name}\0{tuple(values.shape)}\0{values.dtype}\0".encode())
                digest.update(taken.view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()


def _with_opening(reply: Reply, opening: str) -> Reply:
    """The reply preceded by the mark of thinking at the end of its prompt."""
    return replace(reply, text=f"{opening}\n{reply.text}") if opening else reply
