# SPDX-License-Identifier: Apache-2.0
"""Does talking take memory? Resident memory of a live merge over 800 messages and 400 changes of scale.

A process of its own: drawn replies of the trio's merge, eight turns to a conversation, a change of scale after every
second message. What a process holds grows in its first messages (code that is used for the first time, pools of
allocators) and must then stand still: the goal is for the 200 messages and 100 changes after the first 200.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.measure import PROJECT, THREADS

MESSAGES, STEP, WARM, GOAL = 800, 50, 200, 200
TURNS = 8
QUESTIONS = ("눈은 무슨 색이에요?", "안녕하세요", "What colour is snow?", "바다는 어디에 있어요?", "불은 뜨거워요?")
SCALES = (0.5, 0.75, 1.0)


def bench(_folder: Path, _rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Resident bytes after every fifty messages, and the growth over the messages that count."""
    if not Path("/proc/self/smaps_rollup").exists():
        say("talk: this system does not say what a process holds; left out")
        return {}
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.talk"], check=True, cwd=PROJECT, stdout=subprocess.PIPE, text=True
    )
    held = {int(number): nbytes for number, nbytes in json.loads(ran.stdout).items()}
    grown = held[WARM + GOAL] - held[WARM]
    say("talk: resident memory of a live merge of the trio, MiB")
    say(
        "  "
        + ", ".join(f"{number} messages {nbytes / 2**20:.1f}" for number, nbytes in held.items() if number % 200 == 0)
    )
    say(f"  {GOAL} messages and {GOAL // 2} changes of scale, after the first {WARM}: {grown / 2**10:+.0f} KiB")
    return {"resident_bytes": held, "growth_bytes": grown}


def talk() -> dict[int, int]:
    """Resident bytes by messages so far."""
    import torch

    from chatvector.live_merge import open_live
    from chatvector.recipe import Recipe, VectorSpec
    from chatvector.runtime.backend import Sampling
    from chatvector.runtime.session import Session, Speaker

    torch.set_num_threads(1)
    vector = VectorSpec(base="demo:base", chat="demo:chat")
    held = {}
    with open_live(Recipe(target="demo:target", vectors=(vector,)), device="cpu", threads=THREADS) as live:
        session = Session([Speaker("live", live)], Sampling(max_new_tokens=60, temperature=0.7, top_p=0.95))
        held[0] = resident()
        for number in range(1, MESSAGES + 1):
            with session.ask(session.speakers[0], f"{QUESTIONS[number % len(QUESTIONS)]} {number}") as answer:
                for _ in answer:
                    pass
            if number % TURNS == 0:
                session.speakers[0].turns.clear()
            if number % 2 == 0:
                live.set_scale(SCALES[number % len(SCALES)])
            if number % STEP == 0:
                gc.collect()
                held[number] = resident()
    return held


def resident() -> int:
    """Bytes of this process in memory."""
    lines = Path("/proc/self/smaps_rollup").read_text("ascii").splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("Rss:")).split()[1])


if __name__ == "__main__":
    json.dump(talk(), sys.stdout)
