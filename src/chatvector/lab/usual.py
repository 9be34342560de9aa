# SPDX-License-Identifier: Apache-2.0
"""The merge that most people publish, for comparison: about twenty lines over models held whole in memory.

It is a careful version (each tied tensor is merged once, nothing is skipped). Compared with `chatvector apply`, it
rounds to bf16 twice more than needed. It also leaves tokenizer, chat template and generation config as they are in the
target, so the result has no template unless one is given by hand, and does not stop at the end of its turn.
"""

from __future__ import annotations

from pathlib import Path


def usual_merge(base: Path, chat: Path, target: Path, out: Path, scale: float) -> None:
    """Writes target + scale * (chat - base) to `out`, computed in bf16. Needs torch and transformers."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    def load(path: Path) -> torch.nn.Module:
        return AutoModelForCausalLM.from_pretrained(path, dtype=torch.bfloat16)

    merged, before, after = load(target), dict(load(base).named_parameters()), dict(load(chat).named_parameters())
    with torch.no_grad():
        for name, weight in merged.named_parameters():
            weight += scale * (after[name] - before[name])
    merged.save_pretrained(out)  # pyright: ignore[reportCallIssue]
    AutoTokenizer.from_pretrained(target).save_pretrained(out)
