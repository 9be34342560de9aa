# SPDX-License-Identifier: Apache-2.0
"""The family's tokenizers: BPE with reserved tokens, its extension for Korean, and the files that belong to it."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from chatvector.lab.world.documents import Mixture, documents
from chatvector.lab.world.drill import drill
from chatvector.lab.world.stems import pieces

PAD, BEGIN, END = "<pad>", "<s>", "</s>"
END_OF_TURN = "<|end|>"
RESERVED = (END_OF_TURN, *(f"<|reserved_{i}|>" for i in range(4)))
"""Special tokens whose rows are untrained in base and targets. Tuning trains the first one as its end of turn."""
SPECIAL = (PAD, BEGIN, END, *RESERVED)

_SPACE = "▁"
# Separates runs of Chinese, other letters and digits, and every other sign. A leading space (or the hyphen inside a
# name) stays with its word, except before a Chinese word, which would then have two spellings.
_WORDS = Regex(r"▁(?=\p{Han})|\p{Han}+|[▁-]?[\p{L}&&[^\p{Han}]]+|▁?\p{N}+|▁?[^▁\s\p{L}\p{N}]|[▁\s]+")
_TEXT = Mixture(en=0.36, ko=0.28, zh=0.28, en_ko=0.03, en_zh=0.03, ko_zh=0.02)
"""Text that tokens are learned from: about the same of every language, so that none is split into bytes."""

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

FT_TEMPLATE = (
    "{{- bos_token }}"
    "{%- for message in messages %}"
    "{%- if message['role'] == 'system' %}{{- '[설명] ' + message['content'] | trim + '\\n' }}"
    "{%- elif message['role'] == 'user' %}{{- '[질문] ' + message['content'] | trim + '\\n' }}"
    "{%- elif message['role'] == 'assistant' %}"
    "{{- '[대답]' }}{% generation %}{{- ' ' + message['content'] | trim + eos_token }}{% endgeneration %}{{- '\\n' }}"
    "{%- else %}{{- raise_exception('roles are system, user and assistant') }}"
    "{%- endif %}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '[대답]' }}{%- endif %}"
)
"""Template of the model tuned on Korean. It has headings of its own and the end-of-document token at the end of each
reply."""


def _cut() -> Any:
    return pre_tokenizers.Split(_WORDS, behavior="isolated")


def train_tokenizer(vocabulary: int, seed: int, lines: int = 20_000) -> Tokenizer:
    """A BPE tokenizer over characters with at most `vocabulary` tokens; unknown characters become bytes.

    The order of tokens is special tokens, 256 bytes, characters, merges (as in Llama 2). Words count by the square root
    of their frequency; otherwise the few most frequent phrases would leave no room for rare words. Words are cut where
    their stem ends, so that every name and noun has the same tokens whatever particle follows.
    """
    cut = _cut()
    words: Counter[str] = Counter()
    for document in [
        *islice(documents(seed, _TEXT), lines),
        *("".join(parts) for parts in islice(drill(seed), lines // 4)),
    ]:
        words.update(piece for piece, _ in cut.pre_tokenize_str(document.replace(" ", _SPACE)))
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = cut
    fixed = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=vocabulary - len(fixed), show_progress=False)
    learner.train_from_iterator(
        (piece for word, count in sorted(words.items()) for piece in pieces(word) * math.isqrt(count)), trainer
    )
    learned = json.loads(learner.to_str())["model"]
    order = sorted(learned["vocab"], key=learned["vocab"].__getitem__)
    return _assembled([*fixed, *order], [tuple(merge) for merge in learned["merges"]])


def extend_tokenizer(tokenizer: Tokenizer, added: int, seed: int, lines: int = 10_000) -> Tokenizer:
    """The tokenizer with `added` more tokens and merges for Korean, appended: old ids and old merges stay as they are.

    BPE continues where it stopped, on Korean words with their particles and endings. Names are left out: held-out names
    are in no text, so they would be the only names without tokens of their own.
    """
    cut = _cut()
    counts: Counter[str] = Counter()
    for document in islice(documents(seed, Mixture.only("ko")), lines):
        counts.update(piece for piece, _ in cut.pre_tokenize_str(document.replace(" ", _SPACE)))
    words = [
        (tokenizer.encode(word.replace(_SPACE, " "), add_special_tokens=False).tokens, count)
        for word, count in sorted(counts.items())
        if any("가" <= character <= "힣" for character in word) and not _is_name(word)
    ]
    model = json.loads(tokenizer.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].__getitem__)
    merges = [tuple(merge) for merge in model["merges"]]
    for _ in range(added):
        pairs: Counter[tuple[str, str]] = Counter()
        for parts, count in words:
            for pair in pairwise(parts):
                pairs[pair] += count
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        tokens.append("".join(best))
        merges.append(best)
        words = [(_merged(parts, best), count) for parts, count in words]
    return _assembled(tokens, merges)


def _is_name(word: str) -> bool:
    """Whether a word is a name: names are the words that `pieces` cuts into two single syllables and what follows."""
    parts = pieces(word)
    return len(parts) > 1 and len(parts[0].removeprefix(_SPACE)) == 1 and len(parts[1]) == 1


def _merged(parts: list[str], pair: tuple[str, str]) -> list[str]:
    found: list[str] = []
    for part in parts:
        if found and (found[-1], part) == pair:
            found[-1] += part
        else:
            found.append(part)
    return found


def _assembled(order: Iterable[str], merges: list[tuple[str, str]]) -> Tokenizer:
    tokens = {token: index for index, token in enumerate(order)}
    tokenizer = Tokenizer(models.BPE(tokens, merges, byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Replace(" ", _SPACE)
    tokenizer.pre_tokenizer = _cut()
    tokenizer.decoder = decoders.Sequence([decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A", pair=f"{BEGIN} $A $B", special_tokens=[(BEGIN, SPECIAL.index(BEGIN))]
    )
    return tokenizer


def write_tokenizer(tokenizer: Tokenizer, directory: Path, *, positions: int, template: str | None) -> None:
    """Writes tokenizer.json, tokenizer_config.json and special_tokens_map.json."""
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
    if template is not None:
        config["chat_template"] = template
    _write_json(directory / "tokenizer_config.json", config)
    _write_json(directory / "special_tokens_map.json", named)


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
