# SPDX-License-Identifier: Apache-2.0
"""Dialogues asked of backends whose replies are written here, and of the embedded model, killed in the middle."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import interrupted_program
from chatvector.errors import UsageError
from chatvector.evaluate.cache import Cache
from chatvector.evaluate.conversation import Progress, ask, measure, prompt_at
from chatvector.evaluate.task import Item, Turn
from chatvector.runtime.backend import BackendInfo, Likelihood, Prompt, Reply, Sampling

GREEDY = Sampling(max_new_tokens=8)


class Scripted:
    """Answers by a function of the prompt, and remembers what it was asked, batch by batch."""

    def __init__(self, say: Callable[[Prompt], str | Reply] = lambda prompt: _last(prompt).upper()) -> None:
        self.say = say
        self.info = BackendInfo("scripted", "scripted", "1", None, "raw")
        self.asked: list[list[Prompt]] = []

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Reply]:
        assert sampling.max_new_tokens == 8
        self.asked.append(list(prompts))
        said = [self.say(prompt) for prompt in prompts]
        return [each if isinstance(each, Reply) else Reply(each, stopped=True) for each in said]


class Measuring(Scripted):
    def loglikelihood(self, pairs: Sequence[tuple[str, str]]) -> list[Likelihood]:
        return [Likelihood(-float(len(text)), len(text), greedy=not context) for context, text in pairs]


def _last(prompt: Prompt) -> str:
    return prompt.text if prompt.text is not None else prompt.messages[-1][1]


DIALOGUE = Item(
    "d", "en", (Turn("one"), Turn("two", canned="2"), Turn("three")), system="be brief", cluster="c", samples=2
)


def test_own_replies_and_canned_ones_make_the_history() -> None:
    backend = Scripted()
    first, second = ask(backend, [DIALOGUE], Sampling(8, temperature=1.0))
    assert [reply.text for reply in first.replies] == ["ONE", "THREE"]
    assert [answer.sample for answer in (first, second)] == [0, 1]
    assert backend.asked[1][1] == Prompt(
        messages=(
            ("system", "be brief"),
            ("user", "one"),
            ("assistant", "ONE"),
            ("user", "two"),
            ("assistant", "2"),
            ("user", "three"),
        ),
        sample=1,
    )
    assert backend.asked[1][1] == prompt_at(DIALOGUE, 2, second.replies, 1)


def test_thinking_stays_in_the_reply_and_out_of_the_history() -> None:
    backend = Scripted(lambda prompt: f"<think>\nhm\n</think>\n\n{_last(prompt)}!")
    (answer,) = ask(backend, [Item("d", "en", (Turn("a"), Turn("b")))], GREEDY)
    assert answer.replies[0].text == "<think>\nhm\n</think>\n\na!"
    assert backend.asked[1][0].messages[1] == ("assistant", "a!")


def test_a_failure_ends_the_dialogue_and_is_no_answer() -> None:
    def say(prompt: Prompt) -> Reply:
        return Reply("", stopped=False, failure="context") if _last(prompt) == "b" else Reply("x", stopped=True)

    backend, seen = Scripted(say), list[Progress]()
    bad = Item("bad", "en", (Turn("a"), Turn("b"), Turn("c")))
    good = Item("good", "en", (Turn("a"), Turn("a"), Turn("c")))
    failed, answered = ask(backend, [bad, good], GREEDY, progress=seen.append)
    assert (failed.failed, len(failed.replies)) == ("context", 2)
    assert (answered.failed, len(answered.replies)) == (None, 3)
    assert len(backend.asked[2]) == 1
    assert (seen[-1].done, seen[-1].total) == (5, 5)


def test_failures_are_not_kept(tmp_path: Path) -> None:
    with Cache(tmp_path / "c") as cache:
        item = Item("i", "en", (Turn("a"),))
        ask(Scripted(lambda _: Reply("", stopped=False, failure="filtered")), [item], GREEDY, cache=cache)
        (answer,) = ask(Scripted(), [item], GREEDY, cache=cache)
        assert answer.replies[0].text == "A"


def test_all_modes_in_the_order_of_the_items(tmp_path: Path) -> None:
    items = [
        Item("m", "en", text="abc", mode="likelihood"),
        Item("c", "en", text="go on", mode="continue"),
        Item("d", "en", (Turn("q"),)),
    ]
    with Cache(tmp_path / "c") as cache:
        backend, again = Measuring(), Measuring()
        answers = ask(backend, items, GREEDY, cache=cache)
        assert ask(again, items, GREEDY, cache=cache) == answers
        assert again.asked == []
    assert [answer.item.id for answer in answers] == ["m", "c", "d"]
    assert (answers[0].nats, answers[0].tokens, answers[0].replies) == (-3.0, 3, ())
    assert [answers[i].replies[0].text for i in (1, 2)] == ["GO ON", "Q"]
    assert backend.asked[0][0].text == "go on"


def test_continuations_are_measured_given_the_text() -> None:
    items = [
        Item("c", "en", text="ab", continuations=("x", "yz"), mode="likelihood"),
        Item("whole", "en", text="abc", mode="likelihood"),
        Item("bare", "en", text="", continuations=("q",), mode="likelihood"),
    ]
    heard: list[Progress] = []
    choice, whole, bare = ask(Measuring(), items, GREEDY, progress=heard.append)
    assert choice.likelihoods == (Likelihood(-1.0, 1, False), Likelihood(-2.0, 2, False))
    assert (choice.nats, choice.tokens, whole.likelihoods) == (None, None, ())
    assert (whole.nats, whole.tokens) == (-3.0, 3)
    assert bare.likelihoods == (Likelihood(-1.0, 1, True),)
    assert (heard[-1].done, heard[-1].total) == (4, 4)
    with pytest.raises(ValueError, match="for likelihoods"):
        Item("n", "en", text="ab", continuations=("x",), mode="continue")


def test_likelihoods_need_a_backend_that_has_them() -> None:
    with pytest.raises(UsageError, match="scripted: scripted tells no probabilities"):
        ask(Scripted(), [Item("m", "en", text="abc", mode="likelihood")], GREEDY)
    assert measure(Measuring(), [("a", "bc"), ("", "d")]) == [Likelihood(-2.0, 2, False), Likelihood(-1.0, 1, True)]


def test_equal_greedy_requests_are_asked_once() -> None:
    backend = Scripted()
    item = Item("i", "en", (Turn("a"),), samples=3)
    answers = ask(backend, [item, replace(item, id="j")], GREEDY)
    assert [len(batch) for batch in backend.asked] == [1]
    assert [answer.replies[0].text for answer in answers] == ["A"] * 6
    drawn = Scripted()
    ask(drawn, [item], Sampling(8, temperature=1.0))
    assert [prompt.sample for prompt in drawn.asked[0]] == [0, 1, 2]


def test_batches_are_the_same_whatever_is_in_the_cache(tmp_path: Path) -> None:
    items = [Item(f"i{n}", "en", (Turn("x" * (n + 1)),)) for n in range(10)]
    with Cache(tmp_path / "a") as cache:
        whole = Scripted()
        ask(whole, items, GREEDY, cache=cache, batch=3)
    rows = (tmp_path / "a").read_bytes().splitlines(keepends=True)
    (tmp_path / "b").write_bytes(b"".join(rows[: 1 + 4 + 4]))  # two batches of three
    with Cache(tmp_path / "b") as cache:
        rest = Scripted()
        ask(rest, items, GREEDY, cache=cache, batch=3)
    assert rest.asked == whole.asked[2:]
    assert (tmp_path / "b").read_bytes() == (tmp_path / "a").read_bytes()


def test_a_changed_model_never_meets_an_old_cache(tmp_path: Path) -> None:
    item = Item("i", "en", (Turn("a"),))
    with Cache(tmp_path / "c") as cache:
        ask(Scripted(), [item], GREEDY, cache=cache)
        other = Scripted(lambda _: "other")
        other.info = replace(other.info, fingerprint="2")
        (answer,) = ask(other, [item], GREEDY, cache=cache)
        assert answer.replies[0].text == "other"
        (answer,) = ask(Scripted(lambda _: "never asked"), [item], GREEDY, cache=cache)
        assert answer.replies[0].text == "A"


def test_progress_counts_requests_and_what_the_cache_had(tmp_path: Path) -> None:
    seen: list[Progress] = []
    items = [Item(f"i{n}", "en", (Turn("x" * (n + 1)), Turn("y"))) for n in range(4)]
    with Cache(tmp_path / "c") as cache:
        ask(Scripted(), items[:2], GREEDY, cache=cache)
        ask(Scripted(), items, GREEDY, cache=cache, batch=2, progress=seen.append)
    assert [(each.done, each.total, each.cached) for each in seen] == [(2, 8, 0), (4, 8, 2), (6, 8, 2), (8, 8, 4)]
    assert all(each.seconds_left is not None and each.seconds_left >= 0 for each in seen)
    assert seen[-1].seconds_left == 0


def test_items_that_cannot_be_asked() -> None:
    item = Item("i", "en", (Turn("a"),))
    with pytest.raises(ValueError, match="two items in en are called i"):
        ask(Scripted(), [item, item], GREEDY)
    ask(Scripted(), [item, replace(item, language="ko")], GREEDY)
    with pytest.raises(ValueError, match="j: the last turn is canned"):
        ask(Scripted(), [Item("j", "en", (Turn("a", canned="b"),))], GREEDY)
    assert ask(Scripted(), [], GREEDY) == []


def test_a_backend_that_leaves_replies_out_is_found_out() -> None:
    backend = Scripted()
    backend.generate = lambda prompts, sampling: []  # noqa: ARG005
    with pytest.raises(ValueError, match="0 results to 1 requests"):
        ask(backend, [Item("i", "en", (Turn("a"),))], GREEDY)


@pytest.mark.usefixtures("one_thread")
def test_killed_in_the_middle_and_gone_on_gives_the_same_bytes(tmp_path: Path) -> None:
    """SIGKILL after some batches of a real model with drawn replies: answers and cache come out as without it."""
    whole, _ = interrupted_program.run(str(tmp_path / "whole"))
    killed = tmp_path / "killed"
    with subprocess.Popen([sys.executable, str(interrupted_program.__file__), str(killed)]) as running:
        while not killed.is_file() or killed.read_bytes().count(b'{"commit"') < 4:
            assert running.poll() is None
            time.sleep(0.005)
        running.send_signal(signal.SIGKILL)
    left = killed.read_bytes()
    assert (tmp_path / "whole").read_bytes().startswith(left)
    assert left.count(b'{"commit"') < (tmp_path / "whole").read_bytes().count(b'{"commit"')
    killed.write_bytes(left + b'{"key": "half a rec')  # as if the kill had come while a batch was written
    resumed, notes = interrupted_program.run(str(killed))
    assert killed.read_bytes() == (tmp_path / "whole").read_bytes()
    assert resumed == whole
    assert len(notes) == 1
    assert "bytes of a batch that an interrupted run did not finish" in notes[0]
    drawn = [answer for answer in whole if answer.item.turns]
    assert len(drawn) == 5 * interrupted_program.SAMPLES
    assert len({answer.replies for answer in drawn}) > 10
