# SPDX-License-Identifier: Apache-2.0
"""The role of each tensor: embedding, head, attention, mlp, norm, router, expert, bias, vision, projector, other.

Found by structure first: the number of extents, the vocabulary axis, the neighbours of a tensor in its
module, the layer index, the sizes in the configuration. Names decide only where structure cannot (attention
against mlp), and then by whole components of the dotted name, never by substring: matching "layernorm" misses
a final `model.norm`, matching "embed" catches OPT's positions.

| role      | what it is                                                                                   |
|-----------|----------------------------------------------------------------------------------------------|
| embedding | a matrix with one row per token, read on the way in                                          |
| head      | a matrix with one row per token, on the way out, and its bias                                |
| norm      | gain and bias of a normalisation, inside attention too (`q_norm`)                            |
| router    | what chooses among experts, including the gate of a shared expert and the correction bias    |
| expert    | everything of an expert, its biases and shared experts included                              |
| attention, mlp | the other weights of a block                                                            |
| bias      | the bias of a linear map in attention or mlp                                                 |
| vision    | everything of an image encoder, its norms and biases included                                |
| projector | everything between the image encoder and the language model                                  |
| other     | positions, buffers, audio, state-space mixers, what is none of the above                     |
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from chatvector.checkpoint.tensor_info import TensorInfo, is_floating
from chatvector.vocabulary.side_files import text_config

Role = Literal[
    "embedding",
    "head",
    "attention",
    "mlp",
    "norm",
    "router",
    "expert",
    "bias",
    "vision",
    "projector",
    "other",
]
ROLES: tuple[Role, ...] = get_args(Role)

# Components whose children are the numbered blocks of the language model.
_BLOCKS = frozenset({"layers", "h", "blocks", "block", "layer"})
_PER_LAYER_EMBEDDING = "embed_tokens_per_layer"
_EMBEDDINGS = frozenset(
    {
        "embed_tokens",  # Llama and most others
        _PER_LAYER_EMBEDDING,  # Gemma 3n and 4
        "wte",  # GPT-2, GPT-J, MPT, Qwen 1
        "word_embeddings",  # BLOOM, Falcon, ChatGLM
        "embed_in",  # GPT-NeoX
        "tok_embeddings",  # InternLM 2, Mistral's own layout
        "embeddings",  # Mamba
        "embedding",
    }
)
_HEADS = frozenset({"lm_head", "embed_out", "output_layer", "output", "head"})
_SURE_HEADS = frozenset({"lm_head", "embed_out", "output_layer"})
_POSITIONS = frozenset({"embed_positions", "wpe", "position_embeddings", "position_embedding", "pos_emb"})
_VISION = frozenset(
    {
        "vision_tower",
        "vision_model",
        "vision_encoder",
        "vision_backbone",  # Molmo
        "vision_embed_tokens",  # Phi-3-vision
        "visual",  # Qwen-VL
        "image_encoder",
        "vit",
        "vpm",  # MiniCPM-V
    }
)
_PROJECTORS = frozenset(
    {
        "multi_modal_projector",
        "mm_projector",
        "projector",
        "connector",
        "aligner",
        "merger",  # Qwen2-VL: visual.merger, Mistral 3: patch_merger inside the projector
        "deepstack_merger_list",  # Qwen3-VL
        "modality_projection",
        "mlp1",  # InternVL
        "img_projection",  # Phi-3-vision, inside vision_embed_tokens
        "resampler",  # MiniCPM-V
        "vision_language_adapter",  # Pixtral, the vendor's layout
        "embed_vision",  # Gemma 3n
        "image_newline",
    }
)
_AUDIO = frozenset({"audio_tower", "audio_model", "audio_encoder", "embed_audio", "audio"})
_EXPERTS = frozenset({"experts", "shared_expert", "shared_experts", "shared_mlp"})
_ROUTERS = frozenset({"gate", "router", "shared_expert_gate", "wg"})
_ATTENTION = frozenset(
    {
        "self_attn",
        "attn",
        "attention",
        "self_attention",
        "linear_attn",
        "cross_attn",
        "encoder_attn",
        "temporal_attn",
    }
)
_MLP = frozenset(
    {
        "mlp",
        "feed_forward",
        "ffn",
        "ff",
        "fc1",
        "fc2",
        "block_sparse_moe",
        "gate_proj",
        "up_proj",
        "down_proj",
    }
)
_NORM_WORDS = ("norm", "layernorm", "ln")

# Buffers that a model derives from its configuration, stored by some older writers: name -> number of
# extents (None: any). They are no weights; where a file holds one it is copied.
DERIVED_BUFFERS: tuple[tuple[re.Pattern[str], int | None], ...] = (
    (re.compile(r"(.+\.)?(rotary_emb|rotary_pos_emb|rope)\.(original_)?inv_freq"), None),
    (re.compile(r"(.+\.)?rotary_emb\.(cos|sin)_cached"), None),
    (re.compile(r"(.+\.)?(attn|attention|self_attn)\.masked_bias"), None),
    (
        re.compile(r"(.+\.)?(attn|attention|self_attn)\.bias"),
        4,
    ),  # causal mask [1, 1, N, N]; the bias of a linear map has one extent
    (re.compile(r"(.+\.)?(embeddings\.)?position_ids"), None),
)


@dataclass(frozen=True)
class VocabularyTensors:
    """The tensors whose axis 0 is the vocabulary (V rows, padding included)."""

    embedding: str | None
    """The input embedding, [V, D]. None: none was found."""
    head: str | None
    """The output head, [V, D]. None: tied to the embedding."""
    head_bias: str | None
    """The head's bias, [V] (Phi, GPT-J). None in most models."""
    others: tuple[str, ...] = ()
    """Further matrices with one row per token, sorted: per-layer embeddings, those of prediction layers."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all of them: embedding, head and its bias first."""
        main = (self.embedding, self.head, self.head_bias)
        return (*(name for name in main if name is not None), *self.others)


def is_derived(name: str, tensor: TensorInfo) -> bool:
    """Whether a tensor is a buffer that the model derives from its configuration (`DERIVED_BUFFERS`)."""
    return any(
        (extents is None or len(tensor.shape) == extents) and pattern.fullmatch(name)
        for pattern, extents in DERIVED_BUFFERS
    )


def layer_of(name: str) -> int | None:
    """The language model's block that a tensor belongs to, 0-based; None outside of its blocks."""
    parts = name.split(".")
    if _tower(parts) is not None:
        return None
    for container, number in itertools.pairwise(parts):
        if container in _BLOCKS and number.isascii() and number.isdigit():
            return int(number)
    return None


def find_vocabulary(tensors: Mapping[str, TensorInfo], config: Mapping[str, Any]) -> VocabularyTensors:
    """Find the tensors with the vocabulary axis.

    Candidates are floating-point matrices outside of the blocks and of the image tower, positions excluded.
    Known module names win; then, among the rest, those with exactly `vocab_size` rows and `hidden_size`
    columns, in the order of the file: the first is the embedding. A padded embedding is found by its name.
    """
    text = text_config(config)
    # A value that is no number, as in a hand-edited configuration, is ignored.
    sizes = (text.get("vocab_size"), text.get("hidden_size"))
    vocabulary, hidden = (size if isinstance(size, int) else None for size in sizes)
    outside: list[str] = []
    inside: list[str] = []
    for name, tensor in tensors.items():
        parts = name.split(".")
        if len(tensor.shape) != 2 or not is_floating(tensor) or _tower(parts) or _module(parts) in _POSITIONS:
            continue
        (outside if layer_of(name) is None else inside).append(name)
    named_embeddings = [n for n in outside if _module(n.split(".")) in _EMBEDDINGS]
    rows = {tensors[n].shape[0] for n in named_embeddings} | {vocabulary}
    # "output" and "head" also name classifiers and value heads, so they must have as many rows as there are tokens.
    named_heads = [
        n
        for n in outside
        if (module := _module(n.split("."))) in _HEADS and (module in _SURE_HEADS or tensors[n].shape[0] in rows)
    ]
    unnamed = [
        n
        for n in outside
        if n not in named_embeddings and n not in named_heads and tensors[n].shape == (vocabulary, hidden)
    ]
    embeddings, heads = [*named_embeddings], [*named_heads]
    if not embeddings and unnamed:
        embeddings.append(unnamed.pop(0))
    if not heads and unnamed:
        heads.append(unnamed.pop(0))
    embedding = _main(embeddings, tensors, vocabulary)
    head = _main(heads, tensors, vocabulary)
    rows = tensors[embedding].shape[0] if embedding else vocabulary
    others = [n for n in (*embeddings, *heads) if n not in (embedding, head) and tensors[n].shape[0] == rows]
    others += [n for n in inside if tensors[n].shape[0] == rows and _module(n.split(".")) in _EMBEDDINGS | _HEADS]
    bias = (
        n
        for n, tensor in tensors.items()
        if n.endswith(".bias") and len(tensor.shape) == 1 and layer_of(n) is None and _module(n.split(".")) in _HEADS
    )
    return VocabularyTensors(embedding, head, next(bias, None), tuple(sorted(others)))


def per_layer_embedding(tensors: Mapping[str, TensorInfo]) -> str | None:
    """The matrix that gives each layer something of each token (Gemma 3n, Gemma 4); it may have fewer rows."""
    return next((name for name in tensors if _module(name.split(".")) == _PER_LAYER_EMBEDDING), None)


def assign_roles(tensors: Mapping[str, TensorInfo], config: Mapping[str, Any]) -> dict[str, Role]:
    """The role of every tensor; the keys are those of `tensors`, in their order. `config`: parsed
    config.json."""
    vocabulary = find_vocabulary(tensors, config)
    known: dict[str, Role] = dict.fromkeys(vocabulary.others, "embedding")
    known |= {name: "head" for name in vocabulary.others if _module(name.split(".")) in _HEADS}
    known |= {name: "head" for name in (vocabulary.head, vocabulary.head_bias) if name}
    known |= {name: "embedding" for name in (vocabulary.embedding,) if name}
    structure = _Structure(tensors, config)
    return {name: known.get(name) or structure.role(name, tensor) for name, tensor in tensors.items()}


class _Structure:
    """Facts about a model's structure on which the role of a single tensor depends."""

    def __init__(self, tensors: Mapping[str, TensorInfo], config: Mapping[str, Any]) -> None:
        text = text_config(config)
        counts = (
            text.get(key) for key in ("num_experts", "num_local_experts", "n_routed_experts", "num_experts_per_layer")
        )
        self.experts: int | None = next((n for n in counts if isinstance(n, int) and n > 1), None)
        self.extents = {name: len(tensor.shape) for name, tensor in tensors.items()}
        # The modules that hold experts, such as "model.layers.3.mlp"; routers lie beside the experts.
        self.mixtures = {prefix for name in tensors for prefix in _before(name, "experts")}

    def role(self, name: str, tensor: TensorInfo) -> Role:
        parts = name.split(".")
        tower = _tower(parts)
        if tower is not None:
            return tower
        if is_derived(name, tensor) or not is_floating(tensor) or _module(parts) in _POSITIONS:
            return "other"
        if self._is_norm(name, parts):
            return "norm"
        if layer_of(name) is None:
            return "bias" if parts[-1] == "bias" else "other"
        if self._is_router(parts, tensor):
            return "router"
        if not _EXPERTS.isdisjoint(parts) or (len(tensor.shape) == 3 and tensor.shape[0] == self.experts):
            return "expert"
        if parts[-1] == "bias" or parts[-1].endswith("_bias"):
            return "bias"
        if not _ATTENTION.isdisjoint(parts):
            return "attention"
        return "other" if _MLP.isdisjoint(parts) else "mlp"

    def _is_norm(self, name: str, parts: list[str]) -> bool:
        """Whether it is a norm's gain, the only weight with one extent, or a norm's bias, which lies beside a gain."""
        module, leaf = name.rpartition(".")[::2]
        if leaf in ("weight", "scale", "gamma") and self.extents[name] == 1:
            return True
        if leaf in ("bias", "beta"):
            return any(self.extents.get(f"{module}.{gain}") == 1 for gain in ("weight", "scale", "gamma"))
        # Cohere's query and key norms hold one gain per head: [heads, head_dim].
        words = _module(parts).split("_")
        return leaf == "weight" and self.extents[name] == 2 and any(word in _NORM_WORDS for word in words)

    def _is_router(self, parts: list[str], tensor: TensorInfo) -> bool:
        """Whether its module is named like a router and lies beside experts or has one row, or one per expert."""
        for place, part in enumerate(parts):
            if part in _ROUTERS and "experts" not in parts[:place]:
                beside_experts = ".".join(parts[:place]) in self.mixtures
                return beside_experts or (len(tensor.shape) > 0 and tensor.shape[0] in (1, self.experts))
        return False


def _before(name: str, component: str) -> Iterator[str]:
    parts = name.split(".")
    if component in parts:
        yield ".".join(parts[: parts.index(component)])


def _module(parts: list[str]) -> str:
    """The component that owns the parameter: `embed_tokens` of `model.embed_tokens.weight`."""
    return parts[-2] if len(parts) > 1 else parts[0]


def _tower(parts: list[str]) -> Role | None:
    """The role of a tensor outside of the language model. Projectors inside the image tower are projectors too."""
    if not _PROJECTORS.isdisjoint(parts):
        return "projector"
    if not _VISION.isdisjoint(parts):
        return "vision"
    return None if _AUDIO.isdisjoint(parts) else "other"


def _main(names: list[str], tensors: Mapping[str, TensorInfo], vocabulary: object) -> str | None:
    """Among candidates by name, the one with `vocab_size` rows, else the one with the most rows."""
    exact = [name for name in names if tensors[name].shape[0] == vocabulary]
    return next(iter(exact), None) or max(names, key=lambda name: tensors[name].shape[0], default=None)
