# SPDX-License-Identifier: Apache-2.0
"""The directory that llama.cpp's converter and Ollama take: the model's weights, its side files fitted, a Modelfile."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from chatvector.arithmetic.roles import find_vocabulary
from chatvector.checkpoint.checkpoint import Checkpoint
from chatvector.checkpoint.staging import check_output_place, free_bytes, open_staging, output_path, unwritable
from chatvector.checkpoint.storage import LocalDirectory
from chatvector.errors import IncompatibleParents, NotEnoughSpace, UnsupportedFormat
from chatvector.handoff.converter_files import ConverterFiles, converter_files, rows_match
from chatvector.handoff.modelfile import Modelfile, modelfile
from chatvector.messages import Say
from chatvector.runtime.texts import LANGUAGES, packaged
from chatvector.sizes import disk_size

MODELFILE = "Modelfile"
ENGLISH: tuple[str, ...] = (
    "The ferry leaves at half past six, and the tickets are sold on board.",
    "She had never seen so many books: novels, maps, cookery, and a dictionary of Old Norse.",
    "What is the difference between a metaphor and a simile? Give an example of each.",
    "1. Preheat the oven to 180 °C.\n2. Mix 250 g of flour with two eggs.\n3. Bake for 35 minutes.",
    "def mean(values):\n    return sum(values) / len(values)  # fails for an empty list",
    "Don't worry; it's only the neighbours' dog, isn't it?",
    "In 1969, after eight years of work, three people flew 384,400 km and came back.",
    "Brushes, breathing, thoroughly, unhappiness, internationalisation, strengths.",
    "A frog is green. Grass is green. Fire is red. What colour is snow?",
    '{"name": "Ada", "born": 1815, "fields": ["mathematics", "computing"]}',
)
"""Small talk, lists, code and long words: the texts of the package have other languages only."""


@dataclass(frozen=True)
class Handoff:
    """What was written.

    Attributes:
        output: the directory.
        files: what the converter gets, and what was found out on the way.
        modelfile: Ollama's.
        linked: weight files that are hard links of the model's.
        copied: weight files that had to be copied: another file system, or one without links.
        rows, tokens: rows of the embedding, and tokens of the tokenizer.
    """

    output: Path
    files: ConverterFiles
    modelfile: Modelfile
    linked: tuple[str, ...]
    copied: tuple[str, ...]
    rows: int
    tokens: int


def hand_over(name: str, output: str, say: Say) -> Handoff:
    """Write the directory. The weights are not read; no file of the model is changed.

    Raises MissingInput (no model, no chat template), UnsupportedFormat (a tokenizer or storage that cannot be handed
    over), IncompatibleParents (rows and vocabulary disagree), OutputRefused, NotEnoughSpace, and what opening a model
    raises.
    """
    place = output_path(output)
    with Checkpoint.open(name, say) as model:
        if not isinstance(model.storage, LocalDirectory):
            raise UnsupportedFormat(f"{name}: its weights can be linked only here; copy it to this machine first")
        source = model.storage.path
        check_output_place(place, [source])
        # 1. What the converter needs, all of it known before a file is written.
        files = converter_files(model, _texts())
        embedding = find_vocabulary(model.tensors, model.config).embedding
        if embedding is None:
            raise UnsupportedFormat(f"{name}: no embedding was found, so rows and tokens cannot be compared")
        rows = model.tensors[embedding].shape[0]
        if (fault := rows_match(model, rows, files.tokens)) is not None:
            raise IncompatibleParents(f"{name}: {fault}; `chatvector doctor {name} --fix DIR` mends what it can")
        ollama = modelfile(files, model.config)
        # 2. Side files, then the weights by links, and the whole appears at once.
        index = () if model.model_files.index is None else (model.model_files.index,)
        weights: tuple[str, ...] = (*model.model_files.shards, *index)
        digest = hashlib.sha256(f"{source.resolve()}\0{model.model_files.shards}".encode()).hexdigest()[:12]
        with open_staging(place, digest, restart=True, on_resume=say) as staging:
            try:
                for side in model.files:
                    if side not in files.files:
                        staging.write_file(side, model.read_file(side))
                for side, content in {**files.files, MODELFILE: ollama.text.encode()}.items():
                    staging.write_file(side, content)
                linked = tuple(one for one in weights if _bring(source / one, staging.path / one, place))
            except BaseException:
                staging.discard()  # begun anew the next time: what is there serves nothing
                raise
            staging.publish()
    copied = tuple(one for one in weights if one not in linked)
    return Handoff(place, files, ollama, linked, copied, rows, len(set(files.tokens.ids.values())))


def _texts() -> list[str]:
    """Texts in English, and the package's in its languages: documents, and what is said in conversations."""
    texts: list[str] = [*ENGLISH]
    for language in LANGUAGES:
        found = packaged(language)
        texts += found.documents
        texts += [message["content"] for one in found.conversations for message in one]
    return texts


def _bring(source: Path, place: Path, output: Path) -> bool:
    """A weight file at its new place: True as a link, False as a copy."""
    real = Path(os.path.realpath(source))  # the hub's cache holds links to its blobs
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        os.link(real, place)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS):
            raise unwritable(error, output.parent, f"{output}: cannot be written") from error
    else:
        return True
    need, free = real.stat().st_size, free_bytes(output)
    if need > free:
        raise NotEnoughSpace(
            f"{output.parent}: the weights cannot be linked there, and a copy needs {disk_size(need)} where"
            f" {disk_size(free)} are free; choose a place on the model's own disk"
        )
    try:
        shutil.copyfile(real, place)
    except OSError as error:
        raise unwritable(error, output.parent, f"{output}: cannot be written") from error
    return False
