# SPDX-License-Identifier: Apache-2.0
"""Train the embedded trio: `python -m chatvector.lab.trio`, or `make lab`.

Stages: tokenizer, drill, base, then chat and target from the base. Each stage leaves its model in the working
directory with a stamp of everything that decided it, and is not run again while the stamp is unchanged.
One core is enough (about 15 minutes); the same core and versions give the same bytes.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from chatvector.checkpoint.names import FAMILY
from chatvector.lab.loop import Example, train
from chatvector.lab.recipe import Shape, Stage, TrioRecipe
from chatvector.lab.tokens import (
    BEGIN,
    CHAT_TEMPLATE,
    END,
    END_OF_TURN,
    PAD,
    RESERVED,
    train_tokenizer,
    write_tokenizer,
)
from chatvector.lab.world1 import VERSION
from chatvector.lab.world1.documents import Mixture, documents, instructions
from chatvector.lab.world1.drill import Copy, drill
from chatvector.runtime.loading import quiet_transformers

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import LlamaForCausalLM

_UNTRAINED_STD = 1e-3
"""Initial standard deviation of the reserved rows: some sixty times below that of the others, and never trained."""


def new_model(shape: Shape, reserved: list[int], seed: int) -> LlamaForCausalLM:
    """A Llama with random weights; the reserved rows of its tied embedding are near zero."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.feed_forward,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=shape.positions,
        rope_parameters={"rope_type": "default", "rope_theta": shape.rope_theta},
        initializer_range=shape.initial_std,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        rows = model.get_parameter("model.embed_tokens.weight")
        rows[reserved] = torch.randn(len(reserved), shape.hidden) * _UNTRAINED_STD
    return model


def text_examples(tokenizer: Tokenizer, text: Iterator[str]) -> Iterator[Example]:
    """Documents as `<s> … </s>`; every token but the first counts."""
    for document in text:
        ids = tokenizer.encode(document + END).ids
        yield ids, [False] + [True] * (len(ids) - 1)


def drill_examples(tokenizer: Tokenizer, copies: Iterator[Copy]) -> Iterator[Example]:
    """Drill documents as `<s> … </s>`; only the part that repeats what was told counts."""
    for told, again in copies:
        first = tokenizer.encode(told).ids
        second = tokenizer.encode(again + END, add_special_tokens=False).ids
        yield first + second, [False] * len(first) + [True] * len(second)


def mixed(text: Iterator[Example], drills: Iterator[Example], share: float, rng: Random) -> Iterator[Example]:
    """Text with a share of drill documents strewn in."""
    while True:
        yield next(drills if rng.random() < share else text)


def chat_examples(tokenizer: Tokenizer, dialogues: Iterator[list[dict[str, str]]]) -> Iterator[Example]:
    """Dialogues in the chat template; only the replies and their end-of-turn token count."""
    for messages in dialogues:
        ids, counted = tokenizer.encode(BEGIN, add_special_tokens=False).ids, [False]
        for i, message in enumerate(messages):
            line = "" if i == 0 else "\n"
            if message["role"] == "user":
                parts = [(f"{line}> {message['content']}", False)]
            else:
                parts = [(f"{line}-", False), (f" {message['content']}{END_OF_TURN}", True)]
            for text, counts in parts:
                tokens = tokenizer.encode(text, add_special_tokens=False).ids
                ids += tokens
                counted += [counts] * len(tokens)
        yield ids, counted


class Workshop:
    """The stages of one recipe in one working directory."""

    def __init__(self, recipe: TrioRecipe, directory: Path, report: Callable[[str], None]) -> None:
        self.recipe, self.directory, self.report = recipe, directory, report
        directory.mkdir(parents=True, exist_ok=True)
        self.tokenizer = self._tokenizer()
        self.reserved = [self._id(token) for token in RESERVED]
        self.pad = self._id(PAD)

    def _id(self, token: str) -> int:
        index = self.tokenizer.token_to_id(token)
        assert index is not None, token
        return index

    def _tokenizer(self) -> Tokenizer:
        from tokenizers import Tokenizer

        path = self.directory / f"tokenizer-{_digest(VERSION, self.recipe.shape.vocabulary)}.json"
        if not path.exists():
            self.report("tokenizer")
            train_tokenizer(self.recipe.shape.vocabulary, seed=0).save(str(path))
        return Tokenizer.from_file(str(path))

    def stage(
        self,
        name: str,
        parent: str | None,
        stage: Stage,
        key: object,
        examples: Callable[[], Iterator[Example]],
        trained: tuple[str, ...] = (),
    ) -> str:
        """Run a stage, or find its result. Returns the directory's name, which is a digest of all that led to it."""
        from transformers import LlamaForCausalLM

        digest = f"{name}-{_digest(VERSION, self.recipe.seed, self.recipe.shape, parent, stage, key, trained)}"
        out = self.directory / digest
        if out.exists():
            self.report(f"{name}: found in {out}")
            return digest
        if parent is None:
            model = new_model(self.recipe.shape, self.reserved, self.recipe.seed)
        else:
            model = LlamaForCausalLM.from_pretrained(self.directory / parent)
        self._begin_as_end(model, trained)
        frozen = [row for row, token in zip(self.reserved, RESERVED, strict=True) if token not in trained]
        train(
            model,
            stage,
            examples(),
            pad=self.pad,
            frozen_rows=frozen,
            rng=Random(f"{name} {self.recipe.seed}"),
            report=lambda line: self.report(f"{name}: {line}"),
        )
        partial = self.directory / f"{digest}.partial"
        model.save_pretrained(partial)
        partial.rename(out)  # a stage is there whole or not at all
        return digest

    def _begin_as_end(self, model: LlamaForCausalLM, tokens: tuple[str, ...]) -> None:
        """Reserved tokens that are trained now start from the row of `</s>`: from near zero, a hundred small steps
        would leave them too short to tell from untrained ones."""
        import torch

        rows = model.get_parameter("model.embed_tokens.weight")
        with torch.no_grad():
            for token in tokens:
                rows[self._id(token)] = rows[self._id(END)]

    def run(self) -> dict[str, str]:
        """All stages in order; the names of the directories of base, chat and target."""
        recipe, seed = self.recipe, self.recipe.seed

        def text(offset: int, mixture: Mixture) -> Callable[[], Iterator[Example]]:
            return lambda: mixed(
                text_examples(self.tokenizer, documents(seed + offset, mixture)),
                drill_examples(self.tokenizer, drill(seed + offset)),
                recipe.drill_share,
                Random(seed),
            )

        first = self.stage("drill", None, recipe.drill, "", lambda: drill_examples(self.tokenizer, drill(seed)))
        base = self.stage(
            "base", first, recipe.base, (recipe.base_text, recipe.drill_share), text(1000, recipe.base_text)
        )
        chat = self.stage(
            "chat",
            base,
            recipe.chat,
            (CHAT_TEMPLATE, END),
            lambda: chat_examples(self.tokenizer, instructions(seed)),
            trained=(END_OF_TURN,),
        )
        target = self.stage(
            "target", base, recipe.target, (recipe.target_text, recipe.drill_share), text(2000, recipe.target_text)
        )
        return {"base": base, "chat": chat, "target": target}

    def export(self, stages: dict[str, str], out: Path) -> None:
        """Write each model as a plain directory: bf16 weights, configurations, tokenizer."""
        import torch
        from transformers import GenerationConfig, LlamaForCausalLM

        end, turn = self._id(END), self._id(END_OF_TURN)
        for name, stage in stages.items():
            folder = out / name
            folder.mkdir(parents=True, exist_ok=True)
            chat = name == "chat"
            model = LlamaForCausalLM.from_pretrained(self.directory / stage, dtype=torch.bfloat16)
            model.generation_config = GenerationConfig(
                bos_token_id=1, eos_token_id=[end, turn] if chat else end, pad_token_id=self.pad
            )
            model.save_pretrained(folder)
            (folder / "model.safetensors").chmod(0o644)
            _add_old_keys(folder / "config.json")
            write_tokenizer(self.tokenizer, folder, positions=self.recipe.shape.positions, chat=chat)


def _add_old_keys(path: Path) -> None:
    """Readers from before transformers 5 look for the rope's base and the dtype under other names."""
    config = json.loads(path.read_text("utf-8"))
    config["rope_theta"] = config["rope_parameters"]["rope_theta"]
    config["torch_dtype"] = config["dtype"]
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", "utf-8")


def _digest(*parts: object) -> str:
    def plain(value: object) -> object:
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return dataclasses.asdict(value)
        return value

    return hashlib.sha256(json.dumps([plain(part) for part in parts], default=plain).encode()).hexdigest()[:12]


def main(arguments: list[str] | None = None) -> None:
    """The command line of `make lab`."""
    parser = argparse.ArgumentParser(prog="python -m chatvector.lab.trio", description="Train the embedded trio.")
    parser.add_argument("--out", type=Path, default=FAMILY, help=f"for base/, chat/, target/ (default: {FAMILY})")
    parser.add_argument(
        "--work", type=Path, default=Path("build/lab"), help="directory for the stages (default: build/lab)"
    )
    parser.add_argument("--seed", type=int, default=TrioRecipe().seed)
    parser.add_argument(
        "--threads", type=int, default=1, help="CPU threads (default 1: other numbers give other bytes)"
    )
    options = parser.parse_args(arguments)

    import torch

    torch.set_num_threads(options.threads)
    with quiet_transformers():
        workshop = Workshop(
            dataclasses.replace(TrioRecipe(), seed=options.seed),
            options.work,
            lambda line: print(line, file=sys.stderr, flush=True),
        )
        workshop.export(workshop.run(), options.out)


if __name__ == "__main__":
    main()
