# SPDX-License-Identifier: Apache-2.0
"""How many texts run at once: as many as memory takes, fewer when it was judged wrong."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from chatvector.errors import NotEnoughSpace
from chatvector.runtime.memory import available_bytes

MOST_ROWS = 64
SHARE_OF_MEMORY = 0.5
"""Of what is free when a call begins: estimates of activations are rough, and other programs live too."""
_NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")

Result = TypeVar("Result")


@dataclass(frozen=True)
class RowCost:
    """Bytes that one text needs in a batch, from the model's configuration.

    Attributes:
        cached: keys and values of one token in all layers.
        passing: activations of one token in one layer, all that is alive at once.
        scores: logits of one position in fp32, three copies (raw, log-probabilities, a temporary one).
    """

    cached: int
    passing: int
    scores: int

    @classmethod
    def of(cls, config: Any, itemsize: int) -> RowCost:
        """From a transformers configuration. Models with compressed keys (MLA) need less than this says."""
        width = config.hidden_size
        heads = _most(config, "num_attention_heads") or 1
        head = _most(config, "head_dim") or width // heads
        kept = _most(config, "num_key_value_heads") or heads
        inner = _most(config, "intermediate_size") or 4 * width
        cached = 2 * config.num_hidden_layers * kept * head * itemsize
        return cls(cached, (8 * width + 3 * inner) * itemsize, 12 * config.vocab_size)

    def generating(self, prompt: int, written: int) -> int:
        """Bytes of a row with `prompt` tokens that `written` tokens are added to."""
        return (prompt + written) * self.cached + prompt * self.passing + self.scores

    def scoring(self, tokens: int) -> int:
        """Bytes of a row of `tokens` tokens whose logits are all wanted."""
        return tokens * (self.cached + self.passing + self.scores)


def _most(config: Any, name: str) -> int | None:
    """A number of the configuration, the largest where it has one for each layer."""
    found = getattr(config, name, None)
    return max(found) if isinstance(found, list | tuple) else found


def free_bytes(device: Any) -> int:
    """Bytes of memory that are free where the model is, a share of them left to others."""
    import torch

    if device.type == "cuda":
        # What torch keeps for itself between batches is free to the next one.
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        free = torch.cuda.mem_get_info(device)[0] + kept
    else:
        free = available_bytes() or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4
    return int(free * SHARE_OF_MEMORY)


class Batches:
    """Runs work over rows of known length in batches, the longest first, and gives results in the order of the rows.

    The longest come first because they fail first. A batch that does not fit is halved, and later ones stay so.
    """

    def __init__(self, device: Any, most: int = MOST_ROWS) -> None:
        self.device, self.most = device, most

    def run(
        self,
        lengths: Sequence[int],
        row_bytes: Callable[[int], int],
        work: Callable[[list[int]], list[Result]],
    ) -> list[Result]:
        """`work` gets indices of rows and returns one result each; `row_bytes` is what a row of a length costs.

        Raises NotEnoughSpace where a single row does not fit.
        """
        order = sorted(range(len(lengths)), key=lambda row: (-lengths[row], row))
        results: dict[int, Result] = {}
        budget, start = free_bytes(self.device), 0
        while start < len(order):
            fitting = budget // max(1, row_bytes(lengths[order[start]]))
            rows = order[start : start + max(1, min(self.most, fitting))]
            try:
                found = work(rows)
            except RuntimeError as error:
                if not any(words in str(error).lower() for words in _NO_MEMORY):
                    raise
                self._halve(rows, lengths, error)
                continue
            results.update(zip(rows, found, strict=True))
            start += len(rows)
        return [results[row] for row in range(len(lengths))]

    def _halve(self, rows: list[int], lengths: Sequence[int], error: RuntimeError) -> None:
        import torch

        if len(rows) == 1:
            raise NotEnoughSpace(
                f"one text of {lengths[rows[0]]} tokens does not fit into the memory of {self.device}; use a larger "
                f"device, several (device_map), or a smaller dtype"
            ) from error
        self.most = len(rows) // 2
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
