# SPDX-License-Identifier: Apache-2.0
"""Writes trained weights as an ordinary checkpoint with the names, shapes, dtypes and other files of the model it
started from.

Tokenizer, configurations and licences are copied byte for byte, because older readers may not accept files that a
library writes anew. Two things change if a chat template was trained: the template itself, if another one was named,
and the stop ids of the generation configuration.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from chatvector.checkpoint.checkpoint import Checkpoint
from chatvector.checkpoint.staging import Staging
from chatvector.checkpoint.storage import LocalDirectory
from chatvector.errors import InputError, NonFiniteValues, first_five

RECORD = "training_recipe.json"
TEMPLATE = "chat_template.jinja"
TOKENIZER_CONFIG = "tokenizer_config.json"
GENERATION = "generation_config.json"
# Templates that would contradict a new one.
OTHER_TEMPLATES = ("chat_template.json", "additional_chat_templates/")
SHARD = "5GB"


def merged(model: Any) -> Any:
    """The model with its low-rank differences, if any, added to its weights. This is done in fp32 on the CPU, so that
    weights are rounded only once, when they are stored."""
    import torch

    if not hasattr(model, "merge_and_unload"):
        return model
    return model.to("cpu", torch.float32).merge_and_unload()


def write_weights(model: Any, start: Checkpoint, staging: Staging) -> None:
    """Writes the model's tensors, each in the dtype that it has in the files of the starting model.

    Raises NonFiniteValues, which names the tensors, if training left NaN or infinity; InputError if names or shapes
    differ from those of the starting model.
    """
    import torch

    dtypes = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32, "F64": torch.float64}
    common = max((ref.dtype.code for ref in start.tensors.values()), key=_counts(start).__getitem__)
    broken = []
    for name, parameter in model.named_parameters():
        code = start.tensors[name].dtype.code if name in start.tensors else common
        parameter.data = parameter.data.to(dtypes.get(code, parameter.dtype))
        if not bool(torch.isfinite(parameter.data).all()):
            broken.append(name)
    if broken:
        raise NonFiniteValues(
            f"training left NaN or infinity in {len(broken)} tensors ({first_five(broken)}); lower learning_rate and"
            " begin again with --restart"
        )
    model.save_pretrained(staging.path, max_shard_size=SHARD)
    with Checkpoint(LocalDirectory(staging.path, str(staging.output)), str(staging.output)) as made:
        ours = {name: ref.shape for name, ref in made.tensors.items()}
    theirs = {name: ref.shape for name, ref in start.tensors.items()}
    # A tied head may be stored or not; everything else must be as it was.
    differ = [name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)]
    differ = sorted(name for name in differ if not (_tied(start) and name.endswith("lm_head.weight")))
    if differ:
        raise InputError(
            f"{start.name}: transformers writes {len(differ)} tensors under other names or shapes than the files have"
            f" ({first_five(differ)}); the result is in {staging.path.name} and would not fit its parents"
        )


def write_side_files(
    start: Checkpoint, staging: Staging, template: str | None, stops: Iterable[int], record: dict[str, Any]
) -> None:
    """Copies the files beside the weights, sets `template` (None keeps the model's own) and the stop ids, and adds the
    record."""
    jinja = TEMPLATE in start.files
    for name in start.files:
        if template is not None and name.startswith(OTHER_TEMPLATES):
            continue
        staging.write_file(name, start.read_file(name))
    if template is not None:
        settings = start.read_json(TOKENIZER_CONFIG) if TOKENIZER_CONFIG in start.files else {}
        staging.write_file(TOKENIZER_CONFIG, _json(settings | {"chat_template": template}))
        if jinja:
            staging.write_file(TEMPLATE, template.encode("utf-8"))
    generation = _generation_with(start, sorted(stops))
    if generation is not None:
        staging.write_file(GENERATION, _json(generation))
    elif GENERATION not in start.files:
        (staging.path / GENERATION).unlink(missing_ok=True)
    staging.write_file(RECORD, _json(record))
    mode = (staging.path / RECORD).stat().st_mode
    for weights in staging.path.glob("*.safetensors"):
        weights.chmod(mode)  # the library lets only their owner read them


def _generation_with(start: Checkpoint, stops: list[int]) -> dict[str, Any] | None:
    """generation_config.json with `stops` among its eos_token_id; None if the starting model's file needs no change.

    If that file names no eos_token_id, the ids of config.json were meant. Transformers ignores them, because it reads
    config.json only if generation_config.json is missing. For the same reason a new file also takes over the other ids.
    """
    there = start.read_json(GENERATION) if GENERATION in start.files else None
    inner = start.config.get("text_config")
    meant = {
        key: value
        for place in (inner if isinstance(inner, dict) else {}, start.config, there or {})
        for key in ("bos_token_id", "eos_token_id", "pad_token_id")
        if (value := place.get(key)) is not None
    }
    known = meant.pop("eos_token_id", [])
    before = known if isinstance(known, list) else [known]
    new = [stop for stop in stops if stop not in before]
    unheard = there is not None and there.get("eos_token_id") is None
    if not new and not (unheard and stops):
        return None
    return (meant if there is None else there) | {"eos_token_id": [*before, *new]}


def read_template(name: str) -> str:
    """The chat template in a file, or that of a model. Raises InputError if the file cannot be read or the model has
    none."""
    path = Path(name).expanduser()
    if path.is_file():
        try:
            return path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: cannot be read as a chat template ({error})") from None
    with Checkpoint.open(name) as model:
        if TEMPLATE in model.files:
            return model.read_file(TEMPLATE).decode("utf-8")
        found = model.read_json(TOKENIZER_CONFIG).get("chat_template") if TOKENIZER_CONFIG in model.files else None
    if not isinstance(found, str):
        raise InputError(f"{name}: has no chat template; name a .jinja file, or a chat model")
    return found


def _tied(start: Checkpoint) -> bool:
    return bool(start.config.get("tie_word_embeddings", False))


def _counts(start: Checkpoint) -> dict[str, int]:
    counts: dict[str, int] = {}
    for ref in start.tensors.values():
        counts[ref.dtype.code] = counts.get(ref.dtype.code, 0) + 1
    return counts


def _json(document: Any) -> bytes:
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode("utf-8")
