# SPDX-License-Identifier: Apache-2.0
"""Log-probabilities of texts: how texts are cut into tokens and windows, and probabilities added up.

**What stands before a text**: the tokens that the tokenizer puts there (a BOS, usually). If it puts none and the
context is empty, its BOS is used, else its EOS, so that the first token has a probability too. A text that already
begins with these tokens does not get them twice.

**Where the continuation begins**: context and continuation are tokenised as one text, white space at the end of the
context counting as the continuation's; the continuation is what follows as many tokens as the context has alone, and
one token at least. These are the rules of lm-evaluation-harness 0.4.13, so that figures can be compared.

**Long texts**: windows of the model's context, each half of one further; a token is counted once, in the first window
that reaches it, so with at least half a context before it. (lm-evaluation-harness begins every window anew.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chatvector.errors import UnsupportedFormat
from chatvector.runtime.backend import Likelihood
from chatvector.runtime.batches import Batches, RowCost
from chatvector.runtime.draws import require_numbers

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Encoded:
    """Token ids of a text and the tokens before it; those from `first` on are counted (`first` ≥ 1)."""

    ids: tuple[int, ...]
    first: int


@dataclass(frozen=True)
class Window:
    """Tokens `start` to `stop` of a text: all but the last are read, those from `counted` on are predicted."""

    text: int
    start: int
    stop: int
    counted: int


def plain_ids(tokenizer: Any, text: str) -> list[int]:
    """Token ids of a text with nothing put around it; special tokens written out in it are tokens."""
    # No warning of the library about the length: this package checks it for each prompt.
    return tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]


def beginning(tokenizer: Any) -> list[int]:
    """The ids that the tokenizer puts before a text. Those that it puts after a text are left out: they would end
    it."""
    whole, plain = tokenizer("a")["input_ids"], plain_ids(tokenizer, "a")
    for start in range(len(whole) - len(plain) + 1):
        if whole[start : start + len(plain)] == plain:
            return whole[:start]
    return []


def begin(tokenizer: Any, text: str) -> list[int]:
    """Token ids of a raw text, with the tokens before it."""
    before, ids = beginning(tokenizer), plain_ids(tokenizer, text)
    return ids if before and ids[: len(before)] == before else before + ids


def encode_pair(tokenizer: Any, context: str, continuation: str) -> Encoded:
    """Ids of context and continuation by the rules above.

    Raises ValueError for an empty continuation, UnsupportedFormat where nothing can stand before the first token.
    """
    if not continuation:
        raise ValueError("an empty continuation has no likelihood")
    kept = context.rstrip()
    ids = begin(tokenizer, context + continuation)
    first = min(len(begin(tokenizer, kept)), len(ids) - 1)
    if first > 0:
        return Encoded(tuple(ids), first)
    start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    if start is None:
        raise UnsupportedFormat("the tokenizer names neither BOS nor EOS: the first token of a text has no probability")
    return Encoded((start, *ids), 1)


def windows(text: int, encoded: Encoded, size: int | None) -> Iterator[Window]:
    """Windows of `size` tokens read (None: the whole text in one) that count every token once."""
    count, done = len(encoded.ids), encoded.first
    reach = count if size is None else size
    while done < count:
        stop = min(count, max(done + max(1, reach // 2), reach + 1))
        yield Window(text, max(0, stop - reach - 1), stop, done)
        done = stop


class Reader:
    """Runs texts through a model for their probabilities."""

    def __init__(self, model: Any, tokenizer: Any, name: str, size: int | None, cost: RowCost, most: int) -> None:
        self.model, self.tokenizer, self.name, self.size, self.cost = model, tokenizer, name, size, cost
        self.batches = Batches(model.device, most)

    def likelihoods(self, pairs: Sequence[tuple[str, str]]) -> list[Likelihood]:
        """The likelihood of each (context, continuation), in order."""
        texts = [encode_pair(self.tokenizer, context, continuation) for context, continuation in pairs]
        cut = [window for number, text in enumerate(texts) for window in windows(number, text, self.size)]

        def score(rows: list[int]) -> list[tuple[float, bool]]:
            found: list[tuple[float, bool]] = []
            for logits, wanted in self._logits([cut[row] for row in rows], texts):
                right = logits.gather(1, wanted[:, None])[:, 0]
                nats = (right - logits.logsumexp(dim=1)).double().sum().item()
                found.append((nats, bool((logits.argmax(dim=1) == wanted).all())))
            return found

        lengths = [window.stop - window.start for window in cut]
        scores = self.batches.run(lengths, self.cost.scoring, score)
        nats, greedy = [0.0] * len(texts), [True] * len(texts)
        for window, (part, best) in zip(cut, scores, strict=True):
            nats[window.text] += part
            greedy[window.text] &= best
        return [
            Likelihood(total, len(text.ids) - text.first, best)
            for total, text, best in zip(nats, texts, greedy, strict=True)
        ]

    def distributions(self, text: str) -> tuple[list[int], list[torch.Tensor]]:
        """Ids (T) of a text's tokens, and log-probabilities of the whole vocabulary at each, fp32 on the CPU, in parts
        of (window, V)."""
        encoded = encode_pair(self.tokenizer, "", text)
        parts = []
        for window in windows(0, encoded, self.size):
            for logits, _ in self._logits([window], [encoded]):
                parts.append(logits.log_softmax(dim=1).cpu())
        return list(encoded.ids[encoded.first :]), parts

    def _logits(self, rows: Sequence[Window], texts: Sequence[Encoded]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """For each window: logits (counted, V) in fp32 and the ids (counted) that followed."""
        import torch

        device = self.model.device
        # Padding is on the right, where a causal model does not see it.
        width = max(row.stop - row.start for row in rows) - 1
        ids = torch.zeros((len(rows), width), dtype=torch.long)
        mask = torch.zeros_like(ids)
        for number, row in enumerate(rows):
            read = texts[row.text].ids[row.start : row.stop - 1]
            ids[number, : len(read)] = torch.tensor(read)
            mask[number, : len(read)] = 1
        with torch.inference_mode():
            out = self.model(input_ids=ids.to(device), attention_mask=mask.to(device), use_cache=False).logits
            for number, row in enumerate(rows):
                wanted = torch.tensor(texts[row.text].ids[row.counted : row.stop], device=out.device)
                scores = out[number, row.counted - 1 - row.start : row.stop - 1 - row.start]
                require_numbers(scores, self.name)
                yield scores.float(), wanted
