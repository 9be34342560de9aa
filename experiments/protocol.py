# SPDX-License-Identifier: Apache-2.0
"""The family trained anew from other seeds, and each one's ladders: what of its figures is the seed's luck.

    python -m experiments.protocol run --seeds 4 5 6 7 8 [--work build/protocol] [--jobs 2]
    python -m experiments.protocol show --seeds 4 5 6 7 8 [--work build/protocol]

`run` trains the family of each seed (docs/lab.md) and climbs three ladders of it (docs/ladder.md): Korean with all
rungs, Traditional Chinese, and Korean in the extended vocabulary. The scale is chosen on the world's development items,
the figures are of 200 test items a task. Then the skills that only tuning teaches, at the scale chosen and at 1: 50
items each in Korean and Chinese, and in English for the chat model; counted are replies in the form, whatever they say.
Whatever is there already is kept. `show` prints tables in Markdown: a row a seed with the interval over items, and the
mean and standard deviation over seeds, which say different things.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from chatvector.lab.family import PARENTS, Workshop
from chatvector.lab.ladder.family import CP, FT
from chatvector.lab.recipe import FamilyRecipe
from chatvector.lab.world.items import SIGN_TASKS, SKILL_TASKS, TASKS, WORD_TASKS

ITEMS, SKILL_ITEMS = 200, 50
SCALES = (0.5, 0.75, 1.0)
FULL = 1.0
LADDERS = {"ko": ("target", "ko"), "zh-Hant": ("target-zh", "zh-Hant"), "extended": ("target-extended", "ko")}
"""Name → the target and its language."""
RUNGS = ("target", "target + τ", "FT", "FT + τ", "chat → CP → FT", "chat", "base + τ", "target, persona")
SKILL_FIGURES = ("by sign", "by words", "average")
"""In the form that a sign asks for, that words ask for; in it and right as well, all skills together."""
Figures = dict[str, dict[str, float]]
"""Rung → figure → share or bits per byte."""


def run(seed: int, work: Path, jobs: int) -> None:
    """All that is not there yet of one seed."""
    workshop = Workshop(replace(FamilyRecipe(), seed=seed), work / "stages")
    if not all(workshop.place(name).exists() for name in PARENTS):
        workshop.run_all(jobs, _say)
    place = {name: str(workshop.place(name)) for name in PARENTS}
    for name, (target, language) in LADDERS.items():
        out = work / f"seed-{seed}" / name
        if not (out / "ladder.json").exists():
            models: dict[str, Any] = {"base": place["base"], "chat": place["chat"], "target": place[target]}
            if name == "ko":
                tuned = FT | {"chat_template": place["ft"]}
                models |= {"ft": place["ft"], "chat_cp_ft": {"train": [CP, tuned]}}
            else:
                models["rungs"] = ["target", "target+tau", "base+tau"]
            ask = {"suite": "demo", "task": ["demo-text"], "language": [language], "limit": ITEMS}
            _climb({**models, "scales": list(SCALES), "ask": ask}, out)
        for scale in dict.fromkeys((_rung(out)["scale"], FULL)):
            skills = work / f"seed-{seed}" / f"{name}-skills-{scale:g}"
            if not (skills / "ladder.json").exists():
                models = {"base": place["base"], "chat": place["chat"], "target": place[target]}
                rungs = ["target", "target+tau"]
                if name == "ko":
                    models["ft"] = place["ft"]
                    rungs += ["ft"]
                ask = {"suite": "demo-skills", "language": [language], "limit": SKILL_ITEMS}
                _climb({**models, "rungs": rungs, "scales": [scale], "ask": ask}, skills)
    english = work / f"seed-{seed}" / "english"
    if not (english / "results.json").exists():
        told = ["--suite", "demo-skills", "--language", "en", "--limit", str(SKILL_ITEMS), "--out", str(english)]
        _chatvector("eval", f"chat={place['chat']}", *told, "--quiet")


def _climb(document: dict[str, Any], out: Path) -> None:
    """By the command that everybody has."""
    recipe = out.with_name(f"{out.name}.yaml")
    recipe.parent.mkdir(parents=True, exist_ok=True)
    recipe.write_text(json.dumps({**document, "device": "cpu"}), "utf-8")
    _chatvector("ladder", str(recipe), "--out", str(out), "--quiet")


def _chatvector(*arguments: str) -> None:
    _say(" ".join(arguments))
    subprocess.run([sys.executable, "-m", "chatvector", *arguments], check=True, stdout=subprocess.DEVNULL)


def _rung(out: Path) -> dict[str, Any]:
    """What a ladder says of target + τ."""
    told = json.loads((out / "ladder.json").read_text("utf-8"))
    (rung,) = [one for one in told["rungs"] if one["title"] == "target + τ"]
    return rung


def figures(out: Path, tasks: Sequence[str]) -> Figures:
    """By rung: `average` of the tasks, each task, and what the riders and other metrics say of all replies."""
    rows = [row for row in json.loads((out / "results.json").read_text("utf-8"))["figures"] if row["facet"] is None]
    found: Figures = {}
    for name in dict.fromkeys(row["model"] for row in rows):
        value = {(row["task"], row["metric"]): row for row in rows if row["model"] == name}
        correct = {task: value[f"demo-{task}", "correct"]["value"] for task in tasks}
        told = {"average": mean(correct.values()), **correct}
        for metric in ("rude", "refused"):
            asked = [row for (_, own), row in value.items() if own == metric and row["n"]]
            told[metric] = sum(row["value"] * row["n"] for row in asked) / sum(row["n"] for row in asked)
        told["language"] = value["language", "on_target"]["value"]
        told["stops"] = 1 - value["degeneration", "no_stop"]["value"]
        if ("demo-text", "target") in value:
            told["text"] = value["demo-text", "target"]["value"]
        for form, asked_by in (("by sign", SIGN_TASKS), ("by words", WORD_TASKS)):
            if all(task in tasks for task in asked_by):
                told[form] = mean(value[f"demo-{task}", "kept"]["value"] for task in asked_by)
        found[name] = told
    return found


def show(seeds: Sequence[int], work: Path) -> None:
    """Tables of all seeds."""
    for name in LADDERS:
        outs = {seed: work / f"seed-{seed}" / name for seed in seeds}
        every = {seed: figures(out, TASKS) for seed, out in outs.items()}
        print(f"\n### {name}\n\n| rung | " + " | ".join(f"seed {seed}" for seed in seeds) + " | mean ± sd |")
        print("|---" * (len(seeds) + 2) + "|")
        for rung in RUNGS:
            if all(rung in each for each in every.values()):
                values = [100 * each[rung]["average"] for each in every.values()]
                print(f"| {rung} | " + " | ".join(f"{one:.0f}" for one in values) + f" | {_spread(values)} |")
        print("\n| target + τ | " + " | ".join(f"seed {seed}" for seed in seeds) + " | mean ± sd |")
        print("|---" * (len(seeds) + 2) + "|")
        rungs = [_rung(out) for out in outs.values()]
        print("| scale | " + " | ".join(f"{rung['scale']:g}" for rung in rungs) + " | |")
        merits = [{key: 100 * one for key, one in rung["merit"]["merit"].items()} for rung in rungs]
        told = [f"{one['value']:.1f} ({one['low']:.1f}–{one['high']:.1f})" for one in merits]
        print(f"| merit | {' | '.join(told)} | {_spread([one['value'] for one in merits])} |")
        for title, key, base in (
            *((task, task, None) for task in TASKS),
            ("rude, of the target's", "rude", "target"),
            ("harmless refused", "refused", None),
            ("in the language", "language", None),
            ("ends", "stops", None),
        ):
            values = [100 * each["target + τ"][key] / (each[base][key] if base else 1) for each in every.values()]
            print(f"| {title} | " + " | ".join(f"{one:.1f}" for one in values) + f" | {_spread(values)} |")
        rise = [100 * (each["target + τ"]["text"] / each["target"]["text"] - 1) for each in every.values()]
        print("| bits per byte, rise | " + " | ".join(f"{one:.1f}" for one in rise) + f" | {_spread(rise)} |")
        for title, scales in (("scale chosen", [rung["scale"] for rung in rungs]), ("scale 1", [FULL] * len(seeds))):
            named = [f"{name}-skills-{scale:g}" for scale in scales]
            _show_skills(title, [out.with_name(own) for out, own in zip(outs.values(), named, strict=True)])
    english = [figures(work / f"seed-{seed}" / "english", SKILL_TASKS)["chat"] for seed in seeds]
    for key in SKILL_FIGURES:
        values = [100 * each[key] for each in english]
        print(f"\nEnglish chat, skills {key}: " + ", ".join(f"{one:.0f}" for one in values) + f"; {_spread(values)}")


def _show_skills(title: str, outs: Sequence[Path]) -> None:
    """Rows of the skills at one scale, an output a seed."""
    found = [figures(out, SKILL_TASKS) for out in outs]
    for rung in ("target", "target, persona", "target, no template", "target + τ", "FT"):
        for key in SKILL_FIGURES if all(rung in each for each in found) else ():
            values = [100 * each[rung][key] for each in found]
            told = " | ".join(f"{one:.0f}" for one in values)
            print(f"| {title}: skills {key}, {rung} | {told} | {_spread(values)} |")


def _spread(values: Sequence[float]) -> str:
    return f"{mean(values):.1f} ± {stdev(values):.1f}" if len(values) > 1 else f"{values[0]:.1f}"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    """The two verbs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("verb", choices=("run", "show"))
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument("--work", type=Path, default=Path("build/protocol"))
    parser.add_argument("--jobs", type=int, default=2, help="stages at a time, one thread each (default: 2)")
    options = parser.parse_args()
    if options.verb == "show":
        show(options.seeds, options.work)
        return
    for seed in options.seeds:
        run(seed, options.work, options.jobs)


if __name__ == "__main__":
    main()
