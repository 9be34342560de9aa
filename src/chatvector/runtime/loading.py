# SPDX-License-Identifier: Apache-2.0
"""From a model's name to a transformers model and its tokenizer, both whole.

Nothing is imported or set when this module is imported; torch's thread count is left to the caller. No pickle is ever
executed: models whose weights are not safetensors are refused. Code that a model brings along runs only if asked for.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from chatvector.checkpoint.checkpoint import Checkpoint
from chatvector.checkpoint.fingerprint import Sample, fingerprint
from chatvector.checkpoint.locate import open_storage
from chatvector.checkpoint.staging import temporary_folder
from chatvector.checkpoint.storage import LocalDirectory
from chatvector.errors import (
    DamagedFile,
    InputError,
    MissingExtra,
    MissingInput,
    UnsupportedFormat,
    UsageError,
    first_five,
)

DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
"""What a user writes, and torch's name. `auto` is the file's own."""


@dataclass(frozen=True)
class LoadedModel:
    """A model that can run.

    Attributes:
        model, tokenizer: transformers' objects; the model is in evaluation mode.
        directory: where its files lie.
        digest: hash of all its weights and side files.
    """

    name: str
    model: Any
    tokenizer: Any
    directory: Path
    digest: str


def require_extra(what: str) -> None:
    """Raise MissingExtra where torch or transformers is not installed, before `what` has begun.

    Raises OutputRefused without a place for temporary files: torch asks for one when it is imported (through dill,
    where that is installed), and so does most of what begins here.
    """
    if any(find_spec(name) is None for name in ("torch", "transformers")):
        raise MissingExtra("local", what)
    temporary_folder()


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """No progress bars and no warnings from transformers inside the block; its settings are put back after it."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def local_directory(name: str | os.PathLike[str], progress: Callable[[str], None] | None = None) -> Path:
    """The directory of a model: the one given, the embedded one, or a hub model's in the cache, downloaded first.

    Raises what `open_storage` raises, and UnsupportedFormat for an object store.
    """
    storage, _ = open_storage(os.fspath(name), progress)
    if not isinstance(storage, LocalDirectory):
        raise UnsupportedFormat(f"{name}: a model runs from a directory or the hub; copy it to this machine first")
    return storage.path


def parameter_bytes(
    name: str | os.PathLike[str],
    *,
    dtype: str | None = None,
    device: str | None = None,
    progress: Callable[[str], None] | None = None,
) -> int:
    """Bytes that a model's parameters will take if `load` is given the same; from headers, nothing is downloaded whole.

    Raises MissingExtra without torch, and what opening a checkpoint raises.
    """
    require_extra("Loading a model")
    if device is None:
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
    on_cpu = device.startswith("cpu")
    wide = {"fp32": 4, "bf16": 2, "fp16": 2}.get(dtype or ("fp32" if on_cpu else "auto"))
    with Checkpoint.open(os.fspath(name), progress, stream=True) as checkpoint:
        tensors = checkpoint.tensors.values()
        return sum(ref.elements * wide if wide and ref.dtype.kind == "float" else ref.nbytes for ref in tensors)


def load(
    name: str | os.PathLike[str],
    *,
    dtype: str | None = None,
    device: str | None = None,
    device_map: Any = None,
    remote_code: bool = False,
    progress: Callable[[str], None] | None = None,
) -> LoadedModel:
    """Load a model by its name.

    Args:
        name: a directory, `demo:base` and so on, or `org/name[@revision]` on the hub.
        dtype: `fp32`, `bf16`, `fp16`, or `auto` for the file's. None: fp32 on a CPU, so that replies do not depend on
            its bf16 kernels, and the file's dtype on other devices, where memory is short.
        device: torch's name of one device; None takes a CUDA GPU where there is one (`mps` has to be asked for).
        device_map: as transformers takes it (`auto` spreads a model over all GPUs); needs accelerate.
        remote_code: run the Python code that comes with the model. Read it first.

    Raises MissingExtra without torch or transformers, MissingInput if there is no such model or it has no tokenizer,
    DamagedFile if weights are missing, left over or of another shape, and what opening a checkpoint raises.
    """
    require_extra("Generating text")
    try:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
    except ImportError as error:
        raise MissingExtra("local", "Generating text") from error
    if dtype not in (None, "auto", *DTYPES):
        raise UsageError(f"dtype {dtype}: choose one of auto, {', '.join(DTYPES)}")
    if device_map is not None and find_spec("accelerate") is None:
        raise UsageError("device_map needs accelerate: pip install accelerate; or name one device")
    directory = local_directory(name, progress)
    if not (directory / "config.json").is_file():
        raise MissingInput(f"no model at {name}: config.json is not there")
    if not (directory / "tokenizer_config.json").is_file() and not (directory / "tokenizer.json").is_file():
        raise MissingInput(f"no tokenizer at {name}: neither tokenizer_config.json nor tokenizer.json is there")
    digest = _digest(directory, os.fspath(name))
    place = device or ("cuda" if torch.cuda.is_available() else "cpu")
    own = "auto" if device_map is not None or not place.startswith("cpu") else "fp32"
    kind = dtype or own
    options: dict[str, Any] = {} if device_map is None else {"device_map": device_map}
    with quiet_transformers():
        try:
            tokenizer: Any = AutoTokenizer.from_pretrained(directory, trust_remote_code=remote_code)
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                directory,
                dtype=kind if kind == "auto" else getattr(torch, DTYPES[kind]),
                output_loading_info=True,
                use_safetensors=True,
                trust_remote_code=remote_code,
                **options,
            )
        except MemoryError:
            raise
        except Exception as error:  # a bad value in a file makes it raise anything, asserts and KeyErrors too
            reason = " ".join(str(error).split()) or type(error).__name__
            said = f"{name}: transformers does not load it ({reason[:300]}); chatvector doctor looks for the cause"
            raise InputError(said) from error
    model, loading = loaded
    for problem in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if loading[problem]:
            names = sorted(str(key) for key in loading[problem])
            raise DamagedFile(f"{name}: {len(names)} {problem.replace('_', ' ')}, the first is {names[0]}")
    if device_map is None:
        model = model.to(place)
    return LoadedModel(os.fspath(name), model.eval(), tokenizer, directory, digest)


def _digest(directory: Path, name: str) -> str:
    with Checkpoint(LocalDirectory(directory, name), name) as checkpoint:
        pickled = sorted({ref.file for ref in checkpoint.tensors.values() if not ref.file.endswith(".safetensors")})
        if pickled:
            raise UnsupportedFormat(
                f"{name}: the weights are pickles ({first_five(pickled)}), which are never executed here; write them "
                f"as safetensors first: `chatvector apply` does for a target, transformers' save_pretrained for others"
            )
        return checkpoint_digest(checkpoint)


def checkpoint_digest(checkpoint: Checkpoint) -> str:
    """SHA-256 of all that a checkpoint on this machine is: side files, and every byte of its weight files.

    Not the fingerprint of a manifest, which takes a sample: weights that differ in one row are other weights to a cache
    of replies.
    """
    found = {"weights": weight_hashes(checkpoint), "fingerprint": fingerprint(checkpoint, Sample(checkpoint)).as_dict()}
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()


def weight_hashes(checkpoint: Checkpoint) -> dict[str, str]:
    """SHA-256 of each weight file on this machine; empty for a checkpoint that is read by range.

    The bytes are read a second time when they are loaded, from the page cache where there is room.
    """
    if checkpoint.local_path is None:
        return {}
    return file_hashes(Path(checkpoint.local_path), checkpoint.model_files.shards)


def file_hashes(directory: Path, names: Sequence[str]) -> dict[str, str]:
    """SHA-256 of the whole of each file."""

    def hashed(name: str) -> str:
        with (directory / name).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return dict(zip(names, pool.map(hashed, names), strict=True))
