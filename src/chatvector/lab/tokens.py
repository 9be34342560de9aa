# SPDX-License-Identifier: Apache-2.0
"""The trio's tokenizer: BPE with reserved tokens, and the files that transformers expects beside it."""

from __future__ import annotations

import json
import math
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from chatvector.lab.world1.documents import Mixture, documents
from chatvector.lab.world1.drill import drill
from chatvector.lab.world1.lexicon import NAME_PARTS, nouns

PAD, BEGIN, END = "<pad>", "<s>", "</s>"
END_OF_TURN = "<|end|>"
RESERVED = (END_OF_TURN, *(f"<|reserved_{i}|>" for i in range(4)))
"""Special tokens that base and target hold untrained. The chat stage trains the first, as its end of turn."""
SPECIAL = (PAD, BEGIN, END, *RESERVED)

_SPACE = "▁"
# Letters, digits and other signs apart; a leading space (or the hyphen inside a name) stays with its word.
_WORDS = Regex(r"[▁-]?\p{L}+|▁?\p{N}+|▁?[^▁\s\p{L}\p{N}]+|[▁\s]+")
_PARTICLES = frozenset(["은", "는", "이", "가", "을", "를", "에", "에게", "의", "이다", "다", "이에요", "예요"])
_NAME_PARTS = sorted({(first.ko, second.ko) for first, second in NAME_PARTS})
_NOUNS = frozenset(noun.ko for noun in nouns())

CHAT_TEMPLATE = (
    "{{- bos_token }}"
    "{%- for message in messages %}"
    "{%- if not loop.first %}{{- '\\n' }}{%- endif %}"
    "{%- if message['role'] == 'system' %}{{- '# ' + message['content'] | trim }}"
    "{%- elif message['role'] == 'user' %}{{- '> ' + message['content'] | trim }}"
    "{%- elif message['role'] == 'assistant' %}"
    "{{- '-' }}{% generation %}{{- ' ' + message['content'] | trim + '<|end|>' }}{% endgeneration %}"
    "{%- else %}{{- raise_exception('roles are system, user and assistant') }}"
    "{%- endif %}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '\\n-' }}{%- endif %}"
)
"""The forum format of the world's text, with a special token at the end of each reply. The generation prompt ends
before the space, because the space belongs to the first token of the reply."""


def _pieces(word: str) -> list[str]:
    """Cut a Korean word where its stem ends, so that every name and noun keeps one spelling in tokens whatever
    particle follows: `▁미나는` is `▁미`, `나`, `는` and `▁공원에` is `▁공원`, `에`."""
    bare = word.removeprefix(_SPACE)
    space = word[: len(word) - len(bare)]
    for first, second in _NAME_PARTS:
        if bare.startswith(first + second):
            rest = bare[len(first + second) :]
            if not rest or rest in _PARTICLES:
                return [space + first, second, *([rest] if rest else [])]
    for length in range(len(bare) - 1, 0, -1):
        if bare[:length] in _NOUNS and bare[length:] in _PARTICLES:
            return [space + bare[:length], bare[length:]]
    return [word]


def train_tokenizer(vocabulary: int, seed: int, lines: int = 20_000) -> Tokenizer:
    """BPE over characters of at most `vocabulary` tokens, with bytes for characters it does not know.

    The order is special tokens, 256 bytes, characters, merges (as Llama 2 has it). Word counts are flattened to
    their square root, or the few most frequent phrases would take the room of the rare words.
    """
    cut = pre_tokenizers.Split(_WORDS, behavior="isolated")
    words: Counter[str] = Counter()
    text = documents(seed, Mixture(languages=(0.4, 0.5, 0.1)))
    for document in [*islice(text, lines), *("".join(parts) for parts in islice(drill(seed), lines // 4))]:
        words.update(piece for piece, _ in cut.pre_tokenize_str(document.replace(" ", _SPACE)))
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = cut
    fixed = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=vocabulary - len(fixed), show_progress=False)
    learner.train_from_iterator(
        (piece for word, count in sorted(words.items()) for piece in _pieces(word) * math.isqrt(count)), trainer
    )
    learned = json.loads(learner.to_str())["model"]
    order = sorted(learned["vocab"], key=learned["vocab"].__getitem__)
    tokens = {token: index for index, token in enumerate([*fixed, *order])}
    merges = [tuple(merge) for merge in learned["merges"]]

    tokenizer = Tokenizer(models.BPE(tokens, merges, byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Replace(" ", _SPACE)
    tokenizer.pre_tokenizer = cut
    tokenizer.decoder = decoders.Sequence([decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A", pair=f"{BEGIN} $A $B", special_tokens=[(BEGIN, SPECIAL.index(BEGIN))]
    )
    return tokenizer


def write_tokenizer(tokenizer: Tokenizer, directory: Path, *, positions: int, chat: bool) -> None:
    """Write tokenizer.json, tokenizer_config.json, special_tokens_map.json; only a chat model gets the template."""
    tokenizer.save(str(directory / "tokenizer.json"))
    named = {"bos_token": BEGIN, "eos_token": END, "pad_token": PAD}
    config: dict[str, Any] = {
        "added_tokens_decoder": {
            str(index): {
                "content": token,
                "lstrip": False,
                "normalized": False,
                "rstrip": False,
                "single_word": False,
                "special": True,
            }
            for index, token in enumerate(SPECIAL)
        },
        **named,
        "clean_up_tokenization_spaces": False,
        "model_max_length": positions,
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    if chat:
        config["chat_template"] = CHAT_TEMPLATE
    _write_json(directory / "tokenizer_config.json", config)
    _write_json(directory / "special_tokens_map.json", named)


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
