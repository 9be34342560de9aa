# SPDX-License-Identifier: Apache-2.0
"""The marks that reasoning models put around their thinking.

Data only: which texts open and close a thought, and which of them are special tokens that decoding must keep. The pairs
are those that serving engines' reasoning parsers know (vLLM `vllm/reasoning/`, SGLang's "separate reasoning" page).
Models that mark their thinking in plain words (Granite 3: "Here is my thought process:") are not covered.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class ThoughtMark:
    """How one family of models marks a thought.

    Attributes:
        open, close: texts around the thought. A template may write `open` into the prompt, so that the reply lacks it.
        frame: texts around the answer that are no part of it.
    """

    open: str
    close: str
    frame: tuple[str, ...] = ()


HARMONY = ThoughtMark(
    "<|channel|>analysis<|message|>", "<|end|>", ("<|start|>assistant", "<|channel|>final<|message|>", "<|return|>")
)
"""gpt-oss. Its `<|end|>` is an ordinary end of turn elsewhere: it closes a thought only after its own opening."""

DEFAULT = ThoughtMark("<think>", "</think>", ("<answer>", "</answer>"))
"""DeepSeek-R1, Qwen3, GLM, EXAONE 4, Hunyuan (which frames its answer) and most others."""

MARKS = (
    DEFAULT,
    ThoughtMark("<thinking>", "</thinking>"),
    ThoughtMark("<thought>", "</thought>"),  # EXAONE Deep
    ThoughtMark("<reasoning>", "</reasoning>"),
    ThoughtMark("<seed:think>", "</seed:think>"),  # Seed-OSS
    ThoughtMark("<mm:think>", "</mm:think>"),  # MiniMax M3
    ThoughtMark("<ifm|think>", "</ifm|think>"),  # K2 Horizon
    ThoughtMark("[THINK]", "[/THINK]"),  # Magistral
    ThoughtMark("◁think▷", "◁/think▷"),  # Kimi
    ThoughtMark("<|inner_prefix|>", "<|inner_suffix|>"),  # Apertus
    ThoughtMark(
        "<|begin_of_thought|>", "<|end_of_thought|>", ("<|begin_of_solution|>", "<|end_of_solution|>")
    ),  # OpenThinker
    ThoughtMark("<|START_THINKING|>", "<|END_THINKING|>", ("<|START_RESPONSE|>", "<|END_RESPONSE|>")),  # Command A
    ThoughtMark("<|channel>thought", "<channel|>"),  # Gemma 4
    HARMONY,
)

_HARMONY_TOKENS = frozenset(("<|channel|>", "<|message|>", "<|start|>", "<|end|>"))
_GEMMA_TOKENS = frozenset(("<|channel>", "<channel|>"))


def kept_tokens(special: Collection[str]) -> frozenset[str]:
    """Which of a tokenizer's special tokens are marks of thinking, to be left in a decoded reply.

    A family's tokens count only where the tokenizer has all of them: `<|end|>` alone is an end of turn.
    """
    known = frozenset(special)
    single = {text for mark in MARKS if mark is not HARMONY for text in (mark.open, mark.close, *mark.frame)}
    families = [family for family in (_HARMONY_TOKENS, _GEMMA_TOKENS) if family <= known]
    return frozenset(known & single).union(*families)


def opened_by(prompt: str) -> str:
    """The opening mark that a rendered prompt ends with, so that the reply is within a thought; "" if it has none."""
    end = prompt.rstrip()
    return next((mark.open for mark in MARKS if end.endswith(mark.open)), "")
