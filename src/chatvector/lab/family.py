# SPDX-License-Identifier: Apache-2.0
"""Train the embedded family: `python -m chatvector.lab.family`, or `make lab`.

    drill -> base -> target -> ft
                  -> target-zh
                  -> target-extended
                  -> sft -> chat

Each stage writes a model directory that is named by a digest of everything that determines it. A stage is not run again
while that is unchanged, and a killed stage continues from its last saved step. Independent stages run side by side,
each on one thread: the same machine and versions give the same bytes.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import pickle
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from chatvector.checkpoint.names import FAMILY
from chatvector.lab.examples import chat_examples, drill_examples, plain_examples
from chatvector.lab.loop import Example, train
from chatvector.lab.models import begin_as_end, extended, new_model, put_back, reserved_rows, write_model
from chatvector.lab.recipe import FamilyRecipe, Stage, Tuning
from chatvector.lab.tokens import CHAT_TEMPLATE, FT_TEMPLATE, PAD, extend_tokenizer, train_tokenizer
from chatvector.lab.world import VERSION
from chatvector.lab.world.documents import Mixture
from chatvector.lab.world.drill import drill
from chatvector.lab.world.text import LANGUAGES, Language
from chatvector.lab.world.tuning import instructions, preferences
from chatvector.runtime.loading import quiet_transformers

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Report = Callable[[str], None]
_POLL_SECONDS = 0.2

PARENTS: dict[str, str | None] = {
    "drill": None,
    "base": "drill",
    "sft": "base",
    "target": "base",
    "target-zh": "base",
    "target-extended": "base",
    "chat": "sft",
    "ft": "target",
}
"""Stage → stage that it starts from, in an order in which they can run."""
MEMBERS = tuple(name for name in PARENTS if name != "drill")
"""The stages that are kept in the package."""
_LANGUAGE: dict[str, Language] = {"target": "ko", "target-zh": "zh-Hant", "target-extended": "ko"}
_SEEDS = {name: 1000 * number for number, name in enumerate(PARENTS)}
"""Stage → number added to the recipe's seed, so that no two stages read the same text."""


class Workshop:
    """The stages of one recipe in one working directory."""

    def __init__(self, recipe: FamilyRecipe, directory: Path) -> None:
        self.recipe, self.directory = recipe, directory
        directory.mkdir(parents=True, exist_ok=True)

    def place(self, name: str) -> Path:
        """The directory of a stage. Its name holds a digest of everything that determines the stage, including the
        stages before it."""
        recipe = self.recipe
        decides: dict[str, tuple[object, ...]] = {
            "drill": (VERSION, recipe.seed, recipe.shape, recipe.drill),
            "base": (recipe.base, recipe.base_text, recipe.drill_share),
            "sft": (recipe.sft, recipe.skills, CHAT_TEMPLATE),
            "chat": (recipe.dpo, recipe.beta, recipe.preferred_skills),
            "target": (recipe.target, recipe.drill_share),
            "target-zh": (recipe.target, recipe.drill_share),
            "target-extended": (recipe.target, recipe.drill_share, recipe.added_tokens),
            "ft": (recipe.ft, recipe.skills, FT_TEMPLATE),
        }
        parent = PARENTS[name]
        led = None if parent is None else self.place(parent).name
        return self.directory / f"{name}-{_digest(led, *decides[name])}"

    def tokenizer(self, report: Report) -> Tokenizer:
        """The tokenizer of base. It is learned from the world's text once and kept in the directory."""
        from tokenizers import Tokenizer

        path = self.directory / f"tokenizer-{_digest(VERSION, self.recipe.shape.vocabulary)}.json"
        if not path.exists():
            report("tokenizer")
            partial = path.with_suffix(".partial")
            train_tokenizer(self.recipe.shape.vocabulary, seed=0).save(str(partial))
            partial.replace(path)
        return Tokenizer.from_file(str(path))

    def run(self, name: str, report: Report) -> None:
        """Runs a stage whose parent exists, unless its result exists already."""
        out = self.place(name)
        if out.exists():
            report(f"{name}: found in {out}")
        elif name in ("chat", "ft"):
            self._tune(name, out, lambda line: report(f"{name}: {line}"))
        else:
            self._learn(name, out, lambda line: report(f"{name}: {line}"))

    def _learn(self, name: str, out: Path, report: Report) -> None:
        """Runs a stage by the lab's own loop, which keeps rows untrained and has a learning rate for the embedding
        alone."""
        from transformers import LlamaForCausalLM

        recipe, tokenizer, parent = self.recipe, self.tokenizer(report), PARENTS[name]
        frozen = reserved_rows(tokenizer)
        if parent is None:
            model = new_model(recipe.shape, frozen, recipe.seed)
        else:
            model = LlamaForCausalLM.from_pretrained(self.place(parent))
        if name == "target-extended":
            before, tokenizer = tokenizer, extend_tokenizer(tokenizer, recipe.added_tokens, seed=0)
            model = extended(model, before, tokenizer)
        if name == "sft":
            begin_as_end(model, tokenizer)
            frozen = frozen[1:]
        partial = out.with_name(out.name + ".partial")
        partial.mkdir(exist_ok=True)
        train(
            model,
            self._numbers(name),
            self._examples(name, tokenizer),
            pad=_id(tokenizer, PAD),
            frozen_rows=frozen,
            rng=Random(f"{name} {recipe.seed}"),
            report=report,
            state=partial / "state.pt",
        )
        write_model(model, tokenizer, partial, CHAT_TEMPLATE if name == "sft" else None)
        (partial / "state.pt").unlink(missing_ok=True)
        partial.rename(out)  # a stage appears whole or not at all

    def _numbers(self, name: str) -> Stage:
        recipe = self.recipe
        own = {"drill": recipe.drill, "base": recipe.base, "sft": recipe.sft}
        return own.get(name, recipe.target)

    def _examples(self, name: str, tokenizer: Tokenizer) -> Iterator[Example]:
        recipe, seed = self.recipe, self.recipe.seed + _SEEDS[name]
        if name == "drill":
            return drill_examples(tokenizer, drill(seed))
        if name == "sft":
            return chat_examples(tokenizer, instructions(seed, "en", recipe.skills))
        language = _LANGUAGE.get(name)
        text = Mixture.only(language) if language else recipe.base_text
        return plain_examples(tokenizer, seed, text, (language,) if language else LANGUAGES, recipe.drill_share)

    def _tune(self, name: str, out: Path, report: Report) -> None:
        """Runs a stage by `chatvector.training`. The trainer's changes to the reserved rows are undone."""
        from chatvector.training.recipe import TrainingRecipe
        from chatvector.training.run import train as tune

        recipe, parent = self.recipe, PARENTS[name]
        assert parent is not None
        seed = recipe.seed + _SEEDS[name]
        numbers: Tuning = recipe.dpo if name == "chat" else recipe.ft
        count = numbers.steps * numbers.batch_size
        rows = (
            preferences(seed, "en", recipe.preferred_skills)
            if name == "chat"
            else ({"messages": messages} for messages in instructions(seed, "ko", recipe.skills))
        )
        data, template = out.with_name(out.name + ".jsonl"), out.with_name(out.name + ".jinja")
        data.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in islice(rows, count)), "utf-8")
        template.write_text(FT_TEMPLATE, "utf-8")
        document: dict[str, object] = {
            "stage": "dpo" if name == "chat" else "sft",
            "model": str(self.place(parent)),
            "data": [str(data)],
            "output": str(out.with_name(out.name + ".trained")),
            "steps": numbers.steps,
            "batch_size": numbers.batch_size,
            "learning_rate": numbers.learning_rate,
            "warmup": numbers.warmup,
            "schedule": "cosine",
            "device": "cpu",
            "seed": recipe.seed,
            **({"beta": recipe.beta} if name == "chat" else {"chat_template": str(template)}),
        }
        shutil.rmtree(out.with_name(out.name + ".trained"), ignore_errors=True)
        trained = tune(TrainingRecipe.from_mapping(document, name), say=report)
        put_back(trained.output, self.place(parent), reserved_rows(self.tokenizer(report))[name == "chat" :])
        trained.output.rename(out)

    def run_all(self, jobs: int, report: Report, stages: Sequence[str] = tuple(PARENTS)) -> None:
        """Runs the stages, at most `jobs` at a time, each in its own process.

        Raises RuntimeError, which names the stage, if a stage fails. The others are then stopped; in the next call they
        continue from their last saved step.
        """
        self.tokenizer(report)
        waiting, running = list(stages), dict[str, subprocess.Popen[bytes]]()
        try:
            while waiting or running:
                ready = [name for name in waiting if (up := PARENTS[name]) is None or self.place(up).exists()]
                for name in ready[: jobs - len(running)]:
                    waiting.remove(name)
                    running[name] = self._begin(name)
                time.sleep(_POLL_SECONDS)
                for name, process in list(running.items()):
                    if process.poll() is not None:
                        del running[name]
                        if process.returncode:
                            raise RuntimeError(f"stage {name} failed with exit code {process.returncode}")
        finally:
            for process in running.values():
                process.terminate()
                process.wait()

    def _begin(self, name: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "chatvector.lab.family", "--in-process"], stdin=subprocess.PIPE
        )
        assert process.stdin is not None
        with process.stdin as pipe:
            pickle.dump((self.recipe, self.directory, name), pipe)
        return process


def _run_in_process() -> None:
    """Runs in a process of `run_all`: the stage that is described on standard input."""
    import torch

    recipe, directory, name = pickle.load(sys.stdin.buffer)
    torch.set_num_threads(1)
    with quiet_transformers():
        Workshop(recipe, directory).run(name, _to_stderr)


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _id(tokenizer: Tokenizer, token: str) -> int:
    index = tokenizer.token_to_id(token)
    assert index is not None, token
    return index


def _digest(*parts: object) -> str:
    def plain(value: object) -> object:
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return dataclasses.asdict(value)
        return value

    return hashlib.sha256(json.dumps([plain(part) for part in parts], default=plain).encode()).hexdigest()[:12]


def main(arguments: list[str] | None = None) -> None:
    """The command line of `make lab`."""
    parser = argparse.ArgumentParser(prog="python -m chatvector.lab.family", description="Train the embedded family.")
    parser.add_argument("--out", type=Path, default=FAMILY, help=f"a directory a model goes here (default: {FAMILY})")
    parser.add_argument("--work", type=Path, default=Path("build/lab"), help="for the stages (default: build/lab)")
    parser.add_argument("--seed", type=int, default=FamilyRecipe().seed)
    parser.add_argument("--jobs", type=int, default=2, help="stages at a time, one thread each (default: 2)")
    parser.add_argument("--in-process", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.in_process:
        _run_in_process()
        return

    from chatvector.lab.export import export

    workshop = Workshop(dataclasses.replace(FamilyRecipe(), seed=options.seed), options.work)
    workshop.run_all(options.jobs, _to_stderr)
    export({name: workshop.place(name) for name in MEMBERS}, options.out)


if __name__ == "__main__":
    main()
