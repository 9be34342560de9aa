# SPDX-License-Identifier: Apache-2.0
"""Servers that are busy, slow, cut, hostile or not there, and keys that must not be seen."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from chatvector.cli.main import app
from chatvector.errors import ChatVectorError, HubError, InputError, UsageError
from chatvector.runtime.backend import Sampling
from chatvector.runtime.http_json import ATTEMPTS, LONGEST_WAIT, JsonClient
from chatvector.runtime.openai_backend import OpenAIBackend
from openai_server import Answer, Asked, chat_answer, connect, echo, one_by_one, running, user

GREEDY = Sampling(max_new_tokens=16)
KEY = "sk-test-0123456789"

# ---- patience -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "trouble",
    [
        Answer({"error": {"message": "slow down"}}, status=429),
        Answer(b"<html>bad gateway</html>", status=502),
        Answer({"error": "loading"}, status=503),
        Answer({"choices": []}, headers={"content-length": "1000"}),
        Answer(chat_answer("x").body, cut=20),
        Answer(b"<html>welcome</html>"),
        Answer(b""),
        Answer(b"\xff\xfe"),
        Answer(chat_answer("late").body, wait=0.6),
    ],
    ids=["429", "502", "503", "short", "cut", "html", "empty", "binary", "silent"],
)
def test_trouble_that_goes_away(trouble: Answer) -> None:
    with running(one_by_one(trouble, trouble, chat_answer("at last"))) as server:
        backend, waits = connect(server, timeout=0.3)
        assert backend.generate([user("q")], GREEDY)[0].text == "at last"
    assert len(waits) == 2
    assert 0.75 <= waits[0] <= 1.25
    assert 1.5 <= waits[1] <= 2.5


def test_trouble_that_stays() -> None:
    with running(lambda _: Answer({"error": {"message": "overloaded"}}, status=503)) as server:
        backend, waits = connect(server)
        with pytest.raises(
            HubError,
            match=rf"answered 503: overloaded in {ATTEMPTS} attempts; look after it and run the same command again",
        ):
            backend.generate([user("q")], GREEDY)
    assert len(server.posts) == ATTEMPTS
    assert 20 < sum(waits) < 40


def test_retry_after_is_obeyed_or_taken_at_its_word() -> None:
    busy = Answer({}, status=429, headers={"retry-after": "17"})
    with running(one_by_one(busy, chat_answer("ok"))) as server:
        backend, waits = connect(server)
        backend.generate([user("q")], GREEDY)
        assert waits == [17.0]
    tomorrow = Answer({"error": "daily limit"}, status=429, headers={"retry-after": str(LONGEST_WAIT + 1)})
    with running(lambda _: tomorrow) as server:
        backend, waits = connect(server)
        with pytest.raises(HubError, match=r"answered 429: daily limit; it asks to wait 301 s"):
            backend.generate([user("q")], GREEDY)
        assert waits == []


@pytest.mark.parametrize(
    "nonsense",
    [
        {},
        {"choices": []},
        {"choices": ["a"]},
        {"choices": [{"finish_reason": "stop"}]},
        {"choices": [{"message": {"content": ["a"]}, "finish_reason": "stop"}]},
        {"choices": [{"message": {"content": "a"}, "finish_reason": "abort"}]},
        {"choices": [{"message": {"content": "a"}}]},
        [1],
        "a",
    ],
)
def test_nonsense_is_asked_for_once_more_and_never_taken_for_a_reply(nonsense: Any) -> None:
    with running(one_by_one(Answer(nonsense), chat_answer("sense"))) as server:
        assert connect(server)[0].generate([user("q")], GREEDY)[0].text == "sense"
    with running(lambda _: Answer(nonsense)) as server:
        with pytest.raises(HubError, match="the server answers what makes no sense"):
            connect(server)[0].generate([user("q")], GREEDY)
        assert len(server.posts) == 2


def test_an_error_ends_it_and_what_has_not_begun_is_not_asked() -> None:
    with running(lambda _: Answer({"error": "no"}, status=418)) as server:
        with pytest.raises(InputError, match=r"refuses the request \(418: no\)"):
            connect(server, concurrency=2)[0].generate([user(str(n)) for n in range(100)], GREEDY)
        assert len(server.posts) < 20


def test_ctrl_c_does_not_wait_for_a_server_and_keeps_what_it_said(tmp_path: Path) -> None:
    """Three canaries and three replies come; then it is silent until the second run."""
    silent, awake = threading.Event(), threading.Event()

    def say(asked: Asked) -> Answer:
        if asked.body is not None and len(server.posts) > 6:
            silent.set()
            awake.wait(60)
        return echo(asked)

    with running(say) as server:
        command = [sys.executable, "-m", "chatvector", "eval", f"m={server.url}", "--task", "reply-language"]
        command += ["-l", "ko", "--limit", "8", "--server-revision", "one", "--cache", str(tmp_path / "cache.jsonl")]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as run:
            assert silent.wait(60)
            time.sleep(0.5)  # three replies are on their way
            run.send_signal(signal.SIGINT)
            try:
                _, said = run.communicate(timeout=10)
            finally:
                run.kill()
                awake.set()
        assert run.returncode == 130
        assert b"interrupted; the same command continues" in said
        before = len(server.posts)
        again = subprocess.run(command, capture_output=True, timeout=120)
        assert again.returncode == 0, again.stderr
        assert len(server.posts) - before == 3 + 5


def test_how_long_a_server_may_be_silent_is_the_users_choice() -> None:
    replies = iter([Answer(chat_answer("late").body, wait=4.0)])

    def say(asked: Asked) -> Answer:
        return echo(asked) if asked.body is None or len(server.posts) < 4 else next(replies, echo(asked))

    words = ["-l", "ko", "--task", "reply-language", "--limit", "1", "--no-cache", "--server-timeout", "1"]
    with running(say) as server:
        done = CliRunner().invoke(app, ["eval", f"m={server.url}", *words])
        assert done.exit_code == 0, done.exception
        assert len(server.posts) == 3 + 2  # canaries, the question and the same again
    refused = CliRunner().invoke(app, ["eval", "demo:chat", *words])
    assert isinstance(refused.exception, UsageError)
    assert "--server-timeout 1: of which server?" in str(refused.exception)


# ---- keys and addresses ---------------------------------------------------------------------------------------------


def test_the_key_is_sent_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", f" {KEY}\n")
    with running(lambda _: Answer({"error": f"Incorrect API key provided: {KEY}"}, status=401)) as server:
        backend, _ = connect(server, key_variable="MY_KEY")
        with pytest.raises(
            HubError, match=r"refuses the key in MY_KEY \(401: Incorrect API key provided: …\)"
        ) as caught:
            backend.generate([user("q")], GREEDY)
    assert server.posts[0].headers["Authorization"] == f"Bearer {KEY}"
    shown = [str(caught.value), repr(caught.value), repr(backend.__dict__), repr(backend._client.__dict__)]
    shown += [repr(backend.info), str(caught.value.__cause__), str(caught.value.__context__)]
    assert not any(KEY in text for text in shown)


def test_no_key_is_sent_unless_its_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with running(echo) as server:
        connect(server)[0].generate([user("q")], GREEDY)
    assert "Authorization" not in server.posts[0].headers


def test_keys_that_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    with pytest.raises(UsageError, match="the environment variable MY_KEY, which holds its key, is not set"):
        JsonClient("http://127.0.0.1:9/v1", key_variable="MY_KEY")
    monkeypatch.setenv("MY_KEY", "sk-a\nb")
    with pytest.raises(UsageError, match="MY_KEY holds characters that no key has") as caught:
        JsonClient("http://127.0.0.1:9/v1", key_variable="MY_KEY")
    assert "sk-a" not in str(caught.value)


def test_redirects_are_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    with running(echo) as other:
        moved = Answer({}, status=307, headers={"location": f"{other.url}/chat/completions"})
        with running(lambda _: moved) as server, pytest.raises(InputError, match=r"307: it redirects to http://127"):
            connect(server, key_variable="MY_KEY")[0].generate([user("q")], GREEDY)
        assert other.asked == []


def test_an_endpoint_that_is_not_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
    with pytest.raises(HubError, match=r"the server did not answer \(.*refused.*\) in 2 attempts") as caught:
        OpenAIBackend(url, client=JsonClient(url, sleep=lambda _: None))
    assert caught.value.exit_code == 6


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://h/v1", "http://"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(UsageError, match="is no address of a server"):
        OpenAIBackend(url)


def test_a_password_in_the_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError, match="holds a password") as caught:
        OpenAIBackend("http://me:hunter2@127.0.0.1/v1")
    assert "hunter2" not in str(caught.value)


def test_every_error_is_one_of_ours() -> None:
    """Whatever comes back, a user sees one line with an exit code."""
    hostile = [
        Answer(b"HTTP nonsense", status=200, headers={"content-length": "-1"}),
        Answer({"error": {"message": ["a"]}}, status=400),
        Answer({"error": {"message": "x" * 10_000, "code": [1]}}, status=400),
        Answer(b"\x00" * 100, status=400),
        Answer([], status=403),
        Answer({"detail": [{"msg": "field required"}]}, status=422),
        Answer(b"[" * 100_000),
    ]
    for answer in hostile:
        with running(lambda _, answer=answer: answer) as server, pytest.raises(ChatVectorError) as caught:
            connect(server)[0].generate([user("q")], GREEDY)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 600


def test_a_server_that_answers_no_http() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(5)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"

        def speak() -> None:
            for _ in range(2):
                peer, _ = listener.accept()
                peer.recv(1000)
                peer.sendall(b"220 smtp ready\r\n")
                peer.close()

        thread = threading.Thread(target=speak)
        thread.start()
        with pytest.raises(HubError, match="did not answer"):
            OpenAIBackend(url, client=JsonClient(url, sleep=lambda _: None))
        thread.join()
