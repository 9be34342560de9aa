# SPDX-License-Identifier: Apache-2.0
"""Draw tokens so that a reply depends on its prompt, seed and sample number alone, never on the rest of the batch.

transformers draws for a whole batch from one global stream, so a reply changes with its place in the batch. Here each
row has a random stream of its own, with one number per token, and the token is found by the inverse of the cumulative
distribution in the order of token ids, so
that rounding does not exchange equally likely tokens.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from chatvector.errors import NonFiniteValues

if TYPE_CHECKING:
    import torch


def stream(seed: int, sample: int, prompt: str) -> Random:
    """The random stream of one reply. Python seeds it by SHA-512 of the text, identically on every machine."""
    return Random(f"chatvector {seed} {sample} {prompt}")


def request_seed(seed: int, sample: int, prompt: str) -> int:
    """A seed of 31 bits for a server, from seed, sample number and prompt."""
    return stream(seed, sample, prompt).getrandbits(31)


class Sound:
    """A logits processor that changes nothing but raises an error for NaN scores. In models trained in bf16 fp16 may
    overflow, and the reply would be noise that nobody notices."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        """Return the scores (B, V) unchanged. Raises NonFiniteValues."""
        require_numbers(scores, self.name)
        return scores


def require_numbers(scores: torch.Tensor, name: str) -> None:
    """Raise NonFiniteValues if any of the scores is NaN; -inf is allowed and excludes a token."""
    if scores.isnan().any():
        raise NonFiniteValues(
            f"{name}: the model's scores are not numbers (NaN) in {str(scores.dtype).removeprefix('torch.')}; run it "
            f"in bf16 or fp32, and see `chatvector doctor` if that does not help"
        )


class Draw:
    """A logits processor that leaves only one token of each row possible, the one drawn.

    `softmax(logits / temperature)`, cut to the smallest set of most likely tokens whose probability reaches `top_p`
    (arXiv 1904.09751, section 3.1), renormalised.
    """

    def __init__(self, streams: list[Random], temperature: float, top_p: float) -> None:
        self.streams, self.temperature, self.top_p = streams, temperature, top_p

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        """Scores (B, V) in any float dtype; returns the same shape, -inf everywhere but at the token drawn."""
        import torch

        home = scores.device
        wide = scores.cpu() if home.type == "mps" else scores  # MPS has no float64
        chances = (wide.double() / self.temperature).softmax(dim=-1)
        if self.top_p < 1:
            ordered, order = chances.sort(dim=-1, descending=True)
            before = ordered.cumsum(dim=-1) - ordered
            chances = chances.scatter(-1, order, ordered.masked_fill(before >= self.top_p, 0.0))
        total = chances.cumsum(dim=-1)
        numbers = torch.tensor([[row.random()] for row in self.streams], dtype=torch.float64, device=total.device)
        # The first token whose cumulative probability exceeds the number, so that one of probability 0 is never drawn.
        token = torch.searchsorted(total, numbers * total[:, -1:], right=True).clamp(max=total.shape[-1] - 1)
        drawn = torch.full_like(wide, -torch.inf).scatter(-1, token, 0.0)
        return drawn.to(home)
