# SPDX-License-Identifier: Apache-2.0
"""What `chatvector demo` measures: a target before and after the merge, beside the usual merge and the controls."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatvector.checkpoint.names import DEMO_PREFIX, FAMILY
from chatvector.errors import UsageError
from chatvector.lab.comparison import TARGETS, Scored, ask, ask_as_persona, ask_plainly
from chatvector.lab.tokens import CHAT_TEMPLATE, END_OF_TURN
from chatvector.lab.usual import usual_merge
from chatvector.lab.world.items import MOST_ITEMS, SKILL_TASKS, TASKS, held_out_items
from chatvector.lab.world.text import Language
from chatvector.pipeline import apply
from chatvector.recipe import Recipe
from chatvector.runtime.loading import quiet_transformers, require_extra
from chatvector.runtime.prompt_form import GivenTemplate
from chatvector.runtime.transformers_backend import TransformersBackend

EVALUATION_SEED = 1
"""Seed of the items that the demo and `docs/demo.md` show. They are of the test part; the scale was chosen on the other
part."""
MOST = MOST_ITEMS["test"]


@dataclass(frozen=True)
class Comparison:
    """Replies of all models to the same items. `models` is by the name that `--json` gives a model."""

    language: Language
    scale: float
    items_per_task: int
    models: dict[str, Scored]

    def as_json(self) -> dict[str, Any]:
        """The documented schema of `chatvector demo --json`."""
        return {
            "language": self.language,
            "scale": self.scale,
            "items_per_task": self.items_per_task,
            "models": {name: scored.as_json() for name, scored in self.models.items()},
        }


def _recipe(target: str, scale: float, out: Path) -> Recipe:
    vector = {"base": f"{DEMO_PREFIX}base", "chat": f"{DEMO_PREFIX}chat", "scale": scale}
    document = {"target": f"{DEMO_PREFIX}{target}", "vectors": [vector], "output": str(out)}
    return Recipe.from_mapping(document, "the demo")


@contextmanager
def one_thread() -> Iterator[None]:
    """Restricts torch to one thread inside the block. Matrices this small gain nothing from more threads, and threads
    that wait for each other are costly on a busy two-core machine (measured under load: 82 s of CPU time with two
    threads, 12 s with one)."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def compare(
    scale: float, items_per_task: int, keep: Path | None, report: Callable[[str], None], language: Language = "ko"
) -> Comparison:
    """Merges members of the embedded family by the ordinary `apply`, asks all models the same unseen prompts and scores
    their replies.

    The merged model is written to `keep`, or to a temporary directory that is removed. Raises UsageError for a number
    of items outside 1 to MOST or a language without a target, MissingExtra without torch and transformers, and whatever
    `apply` raises.
    """
    if not 1 <= items_per_task <= MOST:
        raise UsageError(f"--items {items_per_task}: give a number from 1 to {MOST}")
    if language not in TARGETS:
        raise UsageError(f"--language {language}: the family has targets in {' and '.join(TARGETS)}")
    require_extra("The demo")
    name = TARGETS[language]
    items = held_out_items(items_per_task, EVALUATION_SEED, language, (*TASKS, *SKILL_TASKS))
    with ExitStack() as stack:
        stack.enter_context(one_thread())
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chatvector-demo-")))
        merged = keep if keep is not None else scratch / "merged"
        report(f"chatvector apply demo:{name} --base demo:base --chat demo:chat --scale {scale:g} -o {merged}")
        apply(_recipe(name, scale, merged))
        report("the usual merge: 20 lines of torch, bf16")
        with quiet_transformers():
            usual_merge(FAMILY / "base", FAMILY / "chat", FAMILY / name, scratch / "usual", scale)

        # A template without stop tokens: the usual merge does not take them over.
        by_hand = GivenTemplate(CHAT_TEMPLATE, f"{DEMO_PREFIX}chat")
        load = TransformersBackend.load
        models: dict[str, Scored] = {}
        report(f"asking {len(items)} prompts in {language}: target")
        target = load(FAMILY / name, template=by_hand)
        models["target"] = ask(target, items)
        report("asking: target, in the persona form of its own text")
        models["target_as_persona"] = ask_as_persona(target, items)
        report("asking: target, with no form at all")
        models["target_plainly"] = ask_plainly(target, items)
        report("asking: the English chat model")
        models["chat"] = ask(load(FAMILY / "chat"), items)
        if language == "ko":
            report("asking: the target tuned on Korean instructions")
            models["ft"] = ask(load(FAMILY / "ft"), items)
        report("asking: the usual merge")
        models["usual"] = ask(load(scratch / "usual", template=by_hand), items)
        report("asking: the usual merge with the stop id added by hand")
        told = load(scratch / "usual", template=by_hand, stop_tokens=(END_OF_TURN,))
        models["usual_with_stop"] = ask(told, items)
        report("asking: merged")
        models["merged"] = ask(load(merged), items)
    return Comparison(language, scale, items_per_task, models)
