# SPDX-License-Identifier: Apache-2.0
"""What of an English tuning comes over to Korean and Chinese: a habit, a habit by topic, a form on request.

    python -m experiments.findings.crossing [--steps 300] [--items 50] [--out crossing.json]

Six tunings of demo:base on English dialogues, alike but for one thing that no pre-training text has:

- `every reply`: all replies end with ♪;
- `by topic`: replies about colours end with ♪, no others;
- `by order`: the reply to a second question ends with ♪, no others;
- `mark by sign`: the reply to a question that ends with # ★, or another mark, ends with it; half of the questions do;
- `by sign`: a question that ends with # # is answered twice, half of them;
- `by words`: the same for a request in words, which are others in every language.

Each is added to demo:target and demo:target-zh at 0.75 and 1. `kept`: replies in the form where it is called for,
whatever they say; `uncalled`: where it is not. Items are held-out test items of the world.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from experiments.findings.further import further

from chatvector.cli.describe import table
from chatvector.evaluate.scorers import short_replies
from chatvector.lab.demo import one_thread
from chatvector.lab.examples import chat_examples
from chatvector.lab.recipe import FamilyRecipe
from chatvector.lab.world import skills
from chatvector.lab.world.exchanges import SINGLE_TURN, Choice, Exchange, dialogue
from chatvector.lab.world.lexicon import GLYPHS
from chatvector.lab.world.text import Language, Text, joined
from chatvector.lab.world.tuning import Messages
from chatvector.lab.world.writing import marked
from chatvector.pipeline import apply
from chatvector.recipe import Recipe
from chatvector.runtime.backend import Prompt, Sampling
from chatvector.runtime.loading import quiet_transformers
from chatvector.runtime.transformers_backend import TransformersBackend

KINDS = ("every reply", "by topic", "by order", "mark by sign", "by sign", "by words")
SCALES = (0.75, 1.0)
TARGETS: dict[Language, str] = {"ko": "demo:target", "zh-Hant": "demo:target-zh"}
_ASKED = ("sentiment", "fact", "knowledge", "how-to")


@dataclass(frozen=True)
class Turn:
    """A question, its answer, and whether the form is called for."""

    question: Text
    answer: Text
    called: bool
    mark: str = skills.NOTE


def turn(kind: str, exchange: Exchange, number: int, choice: Choice, asked: bool) -> Turn:
    """An exchange as this tuning has it, by its place in the dialogue; `asked`: whether a request is added."""
    question, answer = exchange.question, exchange.answer
    if kind in ("mark by sign", "by sign", "by words"):
        if not asked:
            return Turn(question, answer, False)
        if kind == "mark by sign":
            mark = choice.rng.choice(GLYPHS)
            return Turn(joined([question, skills.alike(f"# {mark}")]), marked(answer, mark), True, mark)
        wordings = skills.REQUESTS["twice"](choice).after
        request = (
            skills.alike("# #") if kind == "by sign" else wordings[3 if choice.held_out else choice.rng.randrange(3)]
        )
        return Turn(joined([question, request]), joined([answer, answer]), True)
    called = kind == "every reply" or (exchange.task == "knowledge" if kind == "by topic" else number == 1)
    return Turn(question, marked(answer, skills.NOTE) if called else answer, called)


def dialogues(kind: str, seed: int) -> Iterator[Messages]:
    """Endless English dialogues of one tuning."""
    rng = Random(f"crossing {kind} {seed}")
    choice = Choice(rng)
    while True:
        turns = [
            turn(kind, exchange, number, choice, asked=exchange.task in _ASKED and rng.random() < 0.5)
            for number, exchange in enumerate(dialogue(rng, memory_share=0.1, most=3))
        ]
        yield [
            {"role": role, "content": text.en}
            for each in turns
            for role, text in (("user", each.question), ("assistant", each.answer))
        ]


def tuned(kind: str, out: Path, steps: int) -> Path:
    """demo:base after one tuning, as the family's sft is made but for its dialogues."""
    recipe = FamilyRecipe()
    stage = replace(recipe.sft, steps=steps)
    return further(out, stage, lambda tokenizer: chat_examples(tokenizer, dialogues(kind, recipe.seed)), chat=True)


def kept(kind: str, mark: str, reply: str) -> bool:
    """Is the reply in the tuning's form?"""
    return skills.kept(
        "twice" if kind in ("by sign", "by words") else "end-mark", mark, short_replies.first_line(reply)
    )


def measure(kind: str, model: TransformersBackend, language: Language, items: int) -> dict[str, float]:
    """Shares of replies in the form, where it is called for and where not; and exactly right ones among the former."""
    choice, asked = Choice(Random(f"crossing {kind}"), held_out=True), {True: list[Turn](), False: list[Turn]()}
    prompts: dict[bool, list[Prompt]] = {True: [], False: []}
    number = 0
    while min(map(len, asked.values())) < items and number < 40 * items:
        number += 1
        exchanges = [SINGLE_TURN[choice.rng.choice(_ASKED)](choice) for _ in range(1 + number % 2)]
        turns = [turn(kind, each, place, choice, bool(number % 4 > 1)) for place, each in enumerate(exchanges)]
        last = turns[-1]
        if len(asked[last.called]) < items:
            asked[last.called].append(last)
            before = [said for each in turns[:-1] for said in (("user", each.question), ("assistant", each.answer))]
            told = tuple((role, text[language]) for role, text in before)
            prompts[last.called].append(Prompt(messages=(*told, ("user", last.question[language]))))
    found = {}
    for called, name in ((True, "kept"), (False, "uncalled")):
        if prompts[called]:
            replies = [reply.text for reply in model.generate(prompts[called], Sampling(max_new_tokens=60))]
            marks = [each.mark for each in asked[called]]
            found[name] = sum(kept(kind, *each) for each in zip(marks, replies, strict=True)) / len(replies)
            if called:
                right = [short_replies.normalise(each.answer[language]) for each in asked[True]]
                same = [short_replies.normalise(short_replies.first_line(reply)) for reply in replies]
                found["right"] = sum(map(str.__eq__, right, same)) / len(replies)
    return found


def main() -> None:
    """Tune, merge, ask."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--steps", type=int, default=300, help="of each tuning (default 300)")
    parser.add_argument("--items", type=int, default=50, help="prompts with the form called for, and without")
    parser.add_argument("--kinds", nargs="+", default=KINDS, choices=KINDS)
    parser.add_argument("--out", type=Path, help="write the table as JSON")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    load = TransformersBackend.load
    with quiet_transformers(), one_thread(), tempfile.TemporaryDirectory(prefix="chatvector-crossing-") as scratch:
        for kind in options.kinds:
            chat = tuned(kind, Path(scratch) / kind.replace(" ", "-"), options.steps)
            rows.append({"form": kind, "model": "chat, English", **measure(kind, load(chat), "en", options.items)})
            for language, target in TARGETS.items():
                for scale in SCALES:
                    out = Path(scratch) / f"{kind.replace(' ', '-')}-{language}-{scale:g}"
                    pair = {"base": "demo:base", "chat": str(chat), "scale": scale}
                    apply(Recipe.from_mapping({"target": target, "vectors": [pair], "output": str(out)}, out.name))
                    told = measure(kind, load(out), language, options.items)
                    rows.append({"form": kind, "model": f"{target} + {scale:g} τ", **told})
    print(table(["form", "model", "kept", "right", "uncalled"], [_cells(row) for row in rows]))
    if options.out is not None:
        options.out.write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n", "utf-8")


def _cells(row: dict[str, Any]) -> Sequence[str]:
    shares = [f"{100 * row[name]:.0f} %" if name in row else "" for name in ("kept", "right", "uncalled")]
    return [row["form"], row["model"], *shares]


if __name__ == "__main__":
    main()
