# SPDX-License-Identifier: Apache-2.0
"""Which files of a directory are the model, and which are copied to the output with it.

One rule for local directories and hub listings. Weights: the files that
`model.safetensors.index.json` names, at the top or one folder below, else `model.safetensors`, else a complete set
`model-I-of-N.safetensors`; where there is none of these, the same in PyTorch's format (`pytorch_model*.bin`),
which is read and never executed. Never `consolidated*`, adapters, optimizer state. Side files: the patterns of
`SIDE_FILES`. The layout is the one transformers writes and reads ("sharded checkpoints" in its
documentation).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from chatvector.errors import DamagedFile, InputError, MissingInput, UnsupportedFormat, first_five

INDEX = "model.safetensors.index.json"
# With peft installed, transformers loads the adapter that this file describes, and the base model that it names.
ADAPTER = "adapter_config.json"
SINGLE = "model.safetensors"
# Writers pad to five digits. The number of digits is bounded, as it gives the number of shards to look for.
SHARD = re.compile(r"model-(\d{1,6})-of-(\d{1,6})\.safetensors")
# Shards numbered by writers that do not know the total yet, and sets under other names.
_FRAGMENT = re.compile(r"(?:model[-_]\d+|.+-\d+-of-\d+)\.safetensors")
# What `extract` writes instead of a model.
VECTOR_FILE = "vector.safetensors"
VECTOR_INDEX = "vector.safetensors.index.json"
PICKLED_SUFFIXES = (".bin", ".pt")


@dataclass(frozen=True)
class Layout:
    """How a format names its weight files: index, single files, numbered shards. `kind` is its name in messages."""

    kind: str
    index: str
    singles: tuple[str, ...]
    shard: re.Pattern[str]
    suffixes: tuple[str, ...]


SAFETENSORS = Layout("safetensors", INDEX, (SINGLE,), SHARD, (".safetensors",))
PICKLED = Layout(
    "PyTorch",
    "pytorch_model.bin.index.json",
    ("pytorch_model.bin", "pytorch_model.pt", "model.pt"),
    re.compile(r"pytorch_model-(\d{1,6})-of-(\d{1,6})\.(?:bin|pt)"),
    PICKLED_SUFFIXES,
)

# Patterns of licence and notice files, matched on lower-case names. Sub-folders of `licences` hold those of the
# parents of a merged model.
LICENCE_FILES = (
    "*licen[sc]e*",
    "copying*",
    "*notice*",
    "*use_policy*",
    "*prohibited_use*",
    "*terms_of_use*",
    "licences/*/*",
)
# Patterns of side files, matched on lower-case names. No loader of this directory reads files in other sub-folders
# (other formats, training runs, images).
SIDE_FILES = (
    "*config*.json",  # config, generation_config, tokenizer_config, ModelScope's configuration
    "*processor*.json",  # preprocessor, processor, video and image processors
    "tokenizer*",  # tokenizer.json, tokenizer.model, tokenizer.model.v3, tokenizer.tiktoken
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab*",  # vocab.json, vocab.txt, vocab.bpe
    "merges.txt",
    "tekken.json",  # Mistral's tokenizer
    "chat_template*.json",  # processors of transformers 4
    "*.jinja",
    "additional_chat_templates/*.jinja",
    "*.model",  # SentencePiece: spiece.model, sentencepiece.bpe.model
    "*.spm",
    "*.tiktoken",
    "*.py",  # remote code: copied, never executed
    *LICENCE_FILES,
)
# Exceptions to the patterns above.
NOT_SIDE_FILES = (
    "adapter_config.json",  # describes an adapter, whose weights are not copied
    "*.index.json",  # written anew from the output's own shards
    "chat_vector.json",  # the manifest, written anew
    "training_*",
    "*.safetensors",
    "*.bin",
    "*.pt",
    "*.pth",
    "*.gguf",
)

# Suffix of weights in another format -> (what it is, what to do).
_PICKLE = (
    "a pickle, which is never executed here",
    "take the model's safetensors version; a whole state dict is read under the name pytorch_model.bin",
)
OTHER_WEIGHTS = {
    ".gguf": ("GGUF, quantised or packed for llama.cpp", "take the safetensors model that it was made from"),
    ".bin": _PICKLE,
    ".pt": _PICKLE,
    ".pth": _PICKLE,
    ".pkl": _PICKLE,
    ".ckpt": _PICKLE,
    ".distcp": ("a distributed training checkpoint", "save the model with save_pretrained first"),
    ".h5": ("TensorFlow weights", "convert them to safetensors"),
    ".msgpack": ("Flax weights", "convert them to safetensors"),
    ".onnx": ("an ONNX graph", "take the safetensors model that it was made from"),
    ".npz": ("NumPy weights", "convert them to safetensors"),
}
# Pickles and tensors of a training run: they are no model, whatever their suffix.
_TRAINING_STATE = (
    "training_args.bin",
    "optimizer*",
    "scheduler*",
    "rng_state*",
    "scaler*",
    "random_states*",
    "global_step*",
)

_LFS_POINTER = b"version https://git-lfs"


@dataclass(frozen=True)
class ModelFiles:
    """The files of one model; all names relative, with `/`, sorted."""

    shards: tuple[str, ...]
    """The files that hold the weights, at least one: safetensors, or torch's (`is_pickled`)."""
    index: str | None
    """The index file, if it determined the weights."""
    side_files: tuple[str, ...]
    """Files that are copied to the output: configurations, tokenizer, templates, licences, `*.py`."""
    left_aside: tuple[str, ...] = ()
    """Other weight files at the top level that were not chosen (`consolidated*`, `*.bin`, adapters,
    leftovers)."""

    @property
    def needed(self) -> tuple[str, ...]:
        """Everything a download must bring: shards, index and side files, sorted."""
        index = () if self.index is None else (self.index,)
        return tuple(sorted({*self.shards, *index, *self.side_files}))


def refuse_single_file(path: Path, where: str) -> UnsupportedFormat:
    """The error for a file given where a model directory belongs; a GGUF or a pickle is named as
    such."""
    kind, advice = OTHER_WEIGHTS.get(path.suffix.lower(), ("a file", "name the directory that holds it"))
    return UnsupportedFormat(f"{where}: is {kind}, not a model directory: {advice}")


def choose_files(listing: Mapping[str, int], read: Callable[[str], bytes], where: str) -> ModelFiles:
    """Apply the rule of this module to a listing.

    `listing`: relative name with `/` -> size in bytes. `read`: the bytes of one small file of the listing
    (the index, an adapter's configuration, a Git LFS pointer). `where`: the model's name, for messages.

    Raises MissingInput (no weights, gaps in a set, a file that the index names), DamagedFile (broken, stale
    or unsafe index, two sets at once), UnsupportedFormat (adapter, pickle, GGUF and other formats).
    """
    layout = SAFETENSORS
    shards = _shards(layout, listing, read, where)
    if not shards:
        layout = PICKLED
        shards = _shards(layout, listing, read, where)
    if not shards:
        raise _no_weights(listing, read, where)
    pointers = [name for name in shards if listing[name] < 1024 and read(name).startswith(_LFS_POINTER)]
    if pointers:
        raise MissingInput(
            f"{where}: {len(pointers)} of {len(shards)} weight files are Git LFS pointers, not weights "
            f"({first_five(pointers)}): run `git lfs pull` there"
        )
    chosen = set(shards)
    return ModelFiles(
        shards=shards,
        index=layout.index if layout.index in listing else None,
        side_files=tuple(sorted(name for name in listing if is_side_file(name))),
        left_aside=tuple(sorted(n for n in listing if "/" not in n and n not in chosen and _is_weights(n))),
    )


def is_pickled(name: str) -> bool:
    """Whether a weight file is a state dict that torch.save wrote, by its name."""
    return name.endswith(PICKLED_SUFFIXES)


def safetensors_name(name: str) -> str:
    """The name of a weight file or an index in an output, where weights are always safetensors."""
    if name == PICKLED.index:
        return INDEX
    if name in PICKLED.singles:
        return SINGLE
    if match := PICKLED.shard.fullmatch(name):
        return f"model-{match[1]}-of-{match[2]}.safetensors"
    return f"{name.rpartition('.')[0]}.safetensors" if is_pickled(name) else name


def is_side_file(name: str) -> bool:
    """Whether a file (relative name with `/`) is a side file, which the output gets as it is or patched."""
    return _matches(name, SIDE_FILES)


def is_model_file(name: str) -> bool:
    """Whether a file (relative name with `/`) is a side file, or is named like the index or weights in safetensors."""
    return is_side_file(name) or name in (INDEX, SINGLE) or SHARD.fullmatch(name) is not None


def is_licence_file(name: str) -> bool:
    """Whether a side file (relative name with `/`) is a licence, a notice or rules of use."""
    return _matches(name, LICENCE_FILES)


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    lower = name.lower()
    if any(fnmatchcase(lower, pattern) for pattern in NOT_SIDE_FILES):
        return False
    # Compare folder by folder: a "*" of fnmatch would also match "/".
    return any(fnmatchcase(lower, p) for p in patterns if p.count("/") == lower.count("/"))


def _is_weights(name: str) -> bool:
    return name.endswith(".safetensors") or PurePosixPath(name).suffix in OTHER_WEIGHTS


def _shards(layout: Layout, listing: Mapping[str, int], read: Callable[[str], bytes], where: str) -> tuple[str, ...]:
    """The weight files of one layout; () if there are none."""
    if layout.index in listing:
        return _indexed(layout, listing, read(layout.index), where)
    if single := [name for name in layout.singles if name in listing]:
        return (single[0],)
    return _numbered(layout, listing, where)


def _indexed(layout: Layout, listing: Mapping[str, int], text: bytes, where: str) -> tuple[str, ...]:
    """The files that the index names, checked to be there and to lie inside the directory."""
    try:
        weight_map = json.loads(text)["weight_map"]
        named = sorted(set(weight_map.values()))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedFile(f"{where}: {layout.index} is no index ({_reason(error)}): download it again") from error
    if not named:
        raise DamagedFile(f"{where}: {layout.index} names no file: download it again")
    unsafe = [n for n in named if not isinstance(n, str) or not _is_inside(n) or not n.endswith(layout.suffixes)]
    if unsafe:
        raise DamagedFile(
            f"{where}: {layout.index} names {len(unsafe)} files that are no {layout.kind} file inside the directory "
            f"(its top, or a folder there that is not hidden): {first_five(unsafe)}"
        )
    for single in layout.singles:
        if single not in listing or single in named:
            continue
        raise DamagedFile(
            f"{where}: {layout.index} lies beside {single} but names {len(named)} other files "
            f"({first_five(named)}): one of the two is stale, delete it"
        )
    missing = [name for name in named if name not in listing]
    if missing:
        raise MissingInput(
            f"{where}: {layout.index} names {len(named)} files, {len(missing)} are not there: "
            f"{first_five(missing)}: download them again"
        )
    return tuple(named)


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"no key {error.args[0]!r}"
    return "not JSON" if isinstance(error, ValueError | RecursionError) else "weight_map is no table of file names"


def _is_inside(name: str) -> bool:
    """Whether a name is where local directories are listed: at the top, or in a folder there that is not hidden."""
    parts = name.split("/")
    plain = all(part and part not in (".", "..") for part in parts)
    return plain and len(parts) <= 2 and not name.startswith(".") and "\\" not in name and "\0" not in name


def _numbered(layout: Layout, listing: Mapping[str, int], where: str) -> tuple[str, ...]:
    """The set `model-I-of-N.safetensors` (or torch's), complete; empty if there is none. I counts from 1, or from 0."""
    sets: dict[str, dict[int, str]] = {}
    for name in listing:
        if match := layout.shard.fullmatch(name):
            sets.setdefault(match[2], {})[int(match[1])] = name
    if not sets:
        return ()
    if len(sets) > 1:
        kinds = first_five(f"{len(files)} of {total}" for total, files in sorted(sets.items()))
        raise DamagedFile(f"{where}: {len(sets)} sets of shards and no index ({kinds}): keep the one that is meant")
    ((total, files),) = sets.items()
    start = 0 if 0 in files else 1
    wanted = range(start, start + int(total))
    pattern = next(iter(files.values()))
    known = layout.shard.fullmatch(pattern)
    assert known is not None
    head, tail = pattern[: known.start(1)], pattern[known.end(1) :]
    gaps = [f"{head}{i:0{len(total)}d}{tail}" for i in wanted if i not in files]
    if gaps:
        raise MissingInput(
            f"{where}: {len(gaps)} of {int(total)} shards are not there: {first_five(gaps)}: download them again"
        )
    extra = [name for number, name in files.items() if number not in wanted]
    if extra:
        raise DamagedFile(f"{where}: {first_five(extra)}: numbered beyond the {int(total)} shards of the set")
    return tuple(files[i] for i in wanted)


def _no_weights(listing: Mapping[str, int], read: Callable[[str], bytes], where: str) -> InputError:
    """The error that says what is there instead of a model, and what to do about it."""
    top = sorted(name for name in listing if "/" not in name)
    if "adapter_config.json" in top or any(name.startswith("adapter_model.") for name in top):
        base = _adapter_base(read) if "adapter_config.json" in top else None
        of = f" of {base}" if base else ""
        return UnsupportedFormat(
            f"{where}: is an adapter (LoRA){of}, not a model: merge it into its base first "
            f"(peft: merge_and_unload, then save_pretrained)"
        )
    if consolidated := [name for name in top if name.startswith("consolidated")]:
        return UnsupportedFormat(
            f"{where}: holds only the vendor's own layout ({first_five(consolidated)}): take the version "
            f"converted for transformers (model*.safetensors)"
        )
    if VECTOR_FILE in top or VECTOR_INDEX in top:
        return UnsupportedFormat(f"{where}: is a vector, not a model: name a model that was made with it, or a parent")
    renamed = [n for n in top if n.endswith(".safetensors") and not _is_training_state(n)]
    if renamed and all(_FRAGMENT.fullmatch(name) for name in renamed):
        return MissingInput(
            f"{where}: no {SINGLE}, no model-*-of-*.safetensors and no index, but {first_five(renamed)}: "
            f"parts of a model, as an interrupted run leaves them: merge again, or get all shards and their index"
        )
    if renamed:
        return MissingInput(
            f"{where}: no {SINGLE}, no model-*-of-*.safetensors and no index, but {first_five(renamed)}: "
            f"rename a whole model's file to {SINGLE}"
        )
    for suffix, (kind, advice) in OTHER_WEIGHTS.items():
        found = [name for name in top if name.endswith(suffix) and not _is_training_state(name)]
        if found:
            return UnsupportedFormat(
                f"{where}: the only weights are {kind} ({len(found)}: {first_five(found)}): {advice}"
            )
    inside = sorted({str(PurePosixPath(n).parent) for n in listing if "/" in n and n.endswith(".safetensors")})
    if inside:
        return MissingInput(f"{where}: holds no weights itself, but these folders do: {first_five(inside)}")
    there = f"it holds {first_five(top)}" if top else "it is empty"
    return MissingInput(f"{where}: there are no weights ({SINGLE} or an index with its shards); {there}")


def _is_training_state(name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in _TRAINING_STATE)


def _adapter_base(read: Callable[[str], bytes]) -> str | None:
    try:
        base = json.loads(read("adapter_config.json")).get("base_model_name_or_path")
    except (ValueError, AttributeError, RecursionError):
        return None
    return base if isinstance(base, str) and base else None
