# SPDX-License-Identifier: Apache-2.0
"""The client of OpenAI-compatible servers, against a server on this machine that misbehaves on demand."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytest

from chatvector.errors import HubError, MissingInput, UnsupportedFormat, UsageError
from chatvector.evaluate.cache import Cache
from chatvector.evaluate.conversation import ask
from chatvector.evaluate.task import Item, Turn
from chatvector.runtime.backend import Likelihood, LikelihoodBackend, Prompt, Reply, Sampling
from chatvector.runtime.http_json import JsonClient
from chatvector.runtime.openai_backend import CANARY, OpenAIBackend
from openai_server import MISSING, Answer, Asked, chat_answer, connect, echo, running, user

GREEDY = Sampling(max_new_tokens=16)


# ---- requests and replies -------------------------------------------------------------------------------------------


def test_replies_in_order_and_several_at_once() -> None:
    def slow(asked: Asked) -> Answer:
        time.sleep(0.02)
        return echo(asked)

    with running(slow) as server:
        backend, _ = connect(server, concurrency=4)
        replies = backend.generate([user(f"q{n}") for n in range(20)], GREEDY)
        assert [reply.text for reply in replies] == [f"Q{n}" for n in range(20)]
        assert replies[0] == Reply("Q0", stopped=True, tokens=3, prompt_tokens=7)
        assert 1 < server.most_at_once <= 4
    assert isinstance(backend, LikelihoodBackend)


def test_what_is_sent() -> None:
    prompt = Prompt(messages=(("system", "s"), ("user", "q")), sample=2)
    drawn = Sampling(9, temperature=0.7, top_p=0.9, seed=5, template_arguments=(("enable_thinking", False),))
    with running(echo) as server:
        backend, _ = connect(server, extra={"top_k": 20})
        backend.generate([prompt], GREEDY)
        backend.generate([prompt], drawn)
        backend.generate([prompt], drawn)
    greedy, first, again = (asked.body or {} for asked in server.posts)
    assert greedy == {
        "model": "m",
        "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}],
        "max_tokens": 16,
        "temperature": 0.0,
        "top_k": 20,
    }
    assert first == again
    assert (first["temperature"], first["top_p"], first["max_tokens"]) == (0.7, 0.9, 9)
    assert first["chat_template_kwargs"] == {"enable_thinking": False}
    assert 0 <= first["seed"] < 2**31


def test_seeds_differ_by_seed_sample_and_prompt() -> None:
    with running(echo) as server:
        backend, _ = connect(server, concurrency=1)
        for seed in (0, 1):
            prompts = [user(text, sample) for text in ("a", "b") for sample in (0, 1)]
            backend.generate(prompts, Sampling(4, temperature=1.0, seed=seed))
    assert len({(asked.body or {})["seed"] for asked in server.posts}) == 8


@pytest.mark.parametrize(
    ("owner", "greedy", "drawn"),
    [
        ("vllm", {"repetition_penalty": 1.0}, {"repetition_penalty": 1.0, "top_k": -1, "min_p": 0.0}),
        ("llamacpp", {"repeat_penalty": 1.0}, {"repeat_penalty": 1.0, "top_k": 0, "min_p": 0.0}),
        ("openai", {}, {}),
    ],
)
def test_settings_that_servers_fill_in_are_set_to_neutral(owner: str, greedy: dict, drawn: dict) -> None:
    models = Answer({"data": [{"id": "m", "owned_by": owner}]})
    known = {"model", "messages", "max_tokens", "temperature", "top_p", "seed"}
    with running(echo, models) as server:
        backend, _ = connect(server)
        backend.generate([user("q")], GREEDY)
        backend.generate([user("q")], Sampling(temperature=1.0))
    sent = [{k: v for k, v in (asked.body or {}).items() if k not in known} for asked in server.posts]
    assert sent == [greedy, drawn]


def test_raw_text_goes_to_completions() -> None:
    text = Answer({"choices": [{"text": " white. \n", "finish_reason": "length"}], "usage": {"completion_tokens": 16}})
    with running(lambda asked: text if asked.path == "/v1/completions" else MISSING) as server:
        backend, _ = connect(server)
        assert backend.generate([Prompt(text="snow is")], GREEDY) == [Reply("white.", stopped=False, tokens=16)]
    assert (server.posts[0].body or {})["prompt"] == "snow is"


@pytest.mark.parametrize(
    ("answer", "reply"),
    [
        (chat_answer(" Hm. \n", "length", tokens=16), Reply("Hm.", False, 16, 7)),
        (chat_answer(None, "stop"), Reply("", True, 3, 7)),
        (chat_answer("Hm.", "length", tokens=9), Reply("", False, 9, 7, failure="context")),
        (chat_answer("Hm.", "content_filter"), Reply("", False, 3, 7, failure="filtered")),
        (
            chat_answer("Yes.", reasoning_content="let me see\n"),
            Reply("<think>\nlet me see\n</think>\n\nYes.", True, 3, 7),
        ),
        (
            chat_answer("Yes.", reasoning="hm", reasoning_content=None),
            Reply("<think>\nhm\n</think>\n\nYes.", True, 3, 7),
        ),
        (chat_answer(None, "length", tokens=16, reasoning_content="so"), Reply("<think>\nso", False, 16, 7)),
        (chat_answer("", "stop", reasoning_content="so"), Reply("<think>\nso\n</think>\n\n", True, 3, 7)),
        (Answer({"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}), Reply("x", True)),
    ],
)
def test_replies_read(answer: Answer, reply: Reply) -> None:
    with running(lambda _: answer) as server:
        (found,) = connect(server)[0].generate([user("q")], GREEDY)
    assert (found.text.strip(), found.stopped) == (reply.text.strip(), reply.stopped)
    assert (found.tokens, found.prompt_tokens, found.failure) == (reply.tokens, reply.prompt_tokens, reply.failure)


@pytest.mark.parametrize(
    ("status", "error", "failure"),
    [
        (400, {"message": "…", "code": "context_length_exceeded"}, "context"),
        (
            400,
            {"message": "This model's maximum context length is 4096 tokens. However, you requested 9 (…)"},
            "context",
        ),
        (
            500,
            {"message": "the request exceeds the available context size", "type": "exceed_context_size_error"},
            "context",
        ),
        (400, {"message": "max_tokens must be at least 1, got -186."}, "context"),
        (400, {"message": "The input (9 tokens) is longer than the model's context length (8 tokens)."}, "context"),
        (400, {"message": "System role not supported"}, "template"),
        (400, {"message": "Conversation roles must alternate user/assistant/…"}, "template"),
        (400, {"message": "policy", "code": "content_filter"}, "filtered"),
    ],
)
def test_refusals_that_concern_one_prompt_are_failures_and_are_not_tried_again(
    status: int, error: dict[str, str], failure: str
) -> None:
    def say(asked: Asked) -> Answer:
        long = (asked.body or {})["messages"][-1]["content"] == "long"
        return Answer({"error": error}, status=status) if long else echo(asked)

    with running(say) as server:
        backend, waits = connect(server)
        replies = backend.generate([user("a"), user("long"), user("b")], GREEDY)
    assert [reply.text for reply in replies] == ["A", "", "B"]
    assert [reply.failure for reply in replies] == [None, failure, None]
    assert waits == []


def test_openais_reasoning_models_call_the_limit_by_another_name() -> None:
    def say(asked: Asked) -> Answer:
        if "max_tokens" in (asked.body or {}):
            message = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
            return Answer({"error": {"message": message}}, status=400)
        return echo(asked)

    with running(say) as server:
        backend, _ = connect(server, concurrency=1)
        assert [reply.text for reply in backend.generate([user("a"), user("b")], GREEDY)] == ["A", "B"]
    assert [asked.body["max_completion_tokens"] for asked in server.posts[1:] if asked.body] == [16, 16]


# ---- what the server is ---------------------------------------------------------------------------------------------


def test_the_only_model_is_taken_and_a_choice_is_the_users() -> None:
    two = Answer({"data": [{"id": "a"}, {"id": "b"}]})
    with running(echo) as server:
        assert connect(server)[0].model == "m"
        with pytest.raises(UsageError, match=r"name one of its models \(m\), not x"):
            connect(server, model="x")
    with running(echo, two) as server:
        assert connect(server, model="b")[0].model == "b"
        with pytest.raises(UsageError, match=r"name one of its models \(a, b\)$"):
            connect(server)
    with running(echo, MISSING) as server:
        assert connect(server, model="any")[0].generate([user("q")], GREEDY)[0].text == "Q"
        with pytest.raises(UsageError, match=r"name one of its models \(no list of models\)"):
            connect(server)
    with running(echo, Answer({"hello": 1})) as server, pytest.raises(HubError, match="lists no models"):
        connect(server)


def test_v1_is_found() -> None:
    with running(echo) as server:
        client = JsonClient(server.url.removesuffix("/v1"))
        assert OpenAIBackend("", client=client).generate([user("q")], GREEDY)[0].text == "Q"


def test_the_fingerprint_is_of_what_the_server_says_and_how_it_speaks() -> None:
    seen: dict[str, str] = {}
    identified: dict[str, bool] = {}
    with running(echo) as server:
        for name, options in {
            "a": {},
            "b": {},
            "revision": {"revision": "x"},
            "told": {"fingerprint": "given"},
        }.items():
            info = connect(server, canary=True, **options)[0].info
            seen[name], identified[name] = info.fingerprint, info.identified
        server.say = lambda asked: echo(asked) if asked.path != "/version" else Answer({"version": "0.32"})
        seen["version"] = connect(server, canary=True)[0].info.fingerprint
        server.say = lambda asked: chat_answer("other weights") if asked.body else MISSING
        seen["weights"] = connect(server, canary=True)[0].info.fingerprint
        server.say = echo
        server.models = Answer({"data": [{"id": "m", "created": 2, "owned_by": "tests", "object": "model"}]})
        assert connect(server, canary=True)[0].info.fingerprint == seen["a"]  # started again: `created` does not count
        server.models = Answer({"data": [{"id": "m", "owned_by": "tests", "object": "model", "root": "/other"}]})
        seen["root"] = connect(server, canary=True)[0].info.fingerprint
    assert identified == {"a": False, "b": False, "revision": True, "told": True}
    assert seen["a"] == seen["b"]
    assert len(set(seen.values())) == len(seen) - 1


def test_what_servers_say_of_template_and_context() -> None:
    def llama(asked: Asked) -> Answer:
        if asked.path == "/props":
            return Answer({"chat_template": "{{ x }}", "default_generation_settings": {"n_ctx": 4096}})
        return echo(asked)

    with running(llama) as server:
        info = connect(server)[0].info
        assert (info.context, info.kind, info.prompt_form) == (4096, "openai", "own template")
        assert info.template is not None
        assert len(info.template) == 64
    with running(echo, Answer({"data": [{"id": "m", "max_model_len": 512}]})) as server:
        info = connect(server, prompt_form="template of x", name="org/m")[0].info
        assert (info.context, info.template, info.prompt_form, info.model) == (512, None, "template of x", "org/m")


def test_no_template_is_said_so_and_the_canary_goes_to_raw_text() -> None:
    def base(asked: Asked) -> Answer:
        if asked.path == "/v1/completions":
            return Answer({"choices": [{"text": "…", "finish_reason": "length"}]})
        if asked.path != "/v1/chat/completions":
            return MISSING
        message = "As of transformers v4.44, default chat template is no longer allowed, so you must provide …"
        return Answer({"object": "error", "message": message, "code": 400}, status=400)

    with running(base) as server:
        backend, _ = connect(server, canary=True)
        assert backend.info.fingerprint
        assert sum(asked.path == "/v1/completions" for asked in server.posts) == len(CANARY)
        with pytest.raises(MissingInput, match=r"m has no chat template and none is made up: start its server with"):
            backend.generate([user("q")], GREEDY)


# ---- likelihoods ----------------------------------------------------------------------------------------------------


def scoring(asked: Asked, *, bos: bool = True) -> Answer:
    """Words are tokens; the n-th has probability 1/n; capitals are not the most likely ones."""
    body = asked.body or {}
    words = [("" if i == 0 else " ") + word for i, word in enumerate(body["prompt"].split(" ")) if body["prompt"]]
    tokens = ["<s>", *words] if bos else words
    usage = {"prompt_tokens": len(tokens), "completion_tokens": 1}
    if not body.get("echo"):
        return Answer({"choices": [{"text": "!", "finish_reason": "length"}], "usage": usage})
    values = [None, *(-math.log(n + 2) for n in range(len(tokens) - 1)), -0.5]
    tops = [
        None if value is None else {token: value, **({"x": value + 0.1} if token != token.lower() else {})}
        for token, value in zip([*tokens, "!"], values, strict=True)
    ]
    logprobs = {"tokens": [*tokens, "!"], "token_logprobs": values, "top_logprobs": tops}
    choice = {"text": body["prompt"] + "!", "logprobs": logprobs, "finish_reason": "length"}
    return Answer({"choices": [choice], "usage": usage})


def test_likelihoods_from_echoed_prompts() -> None:
    with running(scoring) as server:
        found = connect(server)[0].loglikelihood([("a b", " c D"), ("", "a b"), ("a b ", "c")])
    expected = [(4 * 5, 2, False), (2 * 3, 2, True), (4, 1, True)]
    for got, (inverse, tokens, greedy) in zip(found, expected, strict=True):
        assert (got.tokens, got.greedy) == (tokens, greedy)
        assert got.nats == pytest.approx(-math.log(inverse))
    assert isinstance(found[0], Likelihood)


def test_a_first_token_without_probability_is_refused() -> None:
    with running(lambda asked: scoring(asked, bos=False)) as server:
        backend, _ = connect(server)
        assert backend.loglikelihood([("a b", " c")])[0].nats == pytest.approx(-math.log(3))
        with pytest.raises(UnsupportedFormat, match="the server puts no token before a text"):
            backend.loglikelihood([("", "a b")])
        with pytest.raises(ValueError, match="an empty continuation"):
            backend.loglikelihood([("a", "")])


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (MISSING, "the server does not offer this"),
        (
            Answer({"choices": [{"text": "x", "logprobs": None}], "usage": {"prompt_tokens": 1}}),
            "tells no probabilities",
        ),
        (
            Answer(
                {
                    "choices": [{"text": "!", "logprobs": {"tokens": ["!"], "token_logprobs": [-1.0]}}],
                    "usage": {"prompt_tokens": 1, "completion_tokens": 1},
                }
            ),
            "does not echo prompts",
        ),
        (Answer({"choices": [{"text": "x"}]}), "does not count tokens of prompts"),
    ],
)
def test_servers_that_tell_no_probabilities(answer: Answer, problem: str) -> None:
    with running(lambda _: answer) as server, pytest.raises(UnsupportedFormat, match=problem):
        connect(server)[0].loglikelihood([("a", " b")])


# ---- with the cache -------------------------------------------------------------------------------------------------


def test_a_run_that_broke_off_goes_on_where_it_stopped(tmp_path: Path) -> None:
    items = [Item(f"i{n}", "en", (Turn(f"question {n}"), Turn("and then?"))) for n in range(6)]
    with running(echo) as server:

        def flaky(asked: Asked) -> Answer:
            return Answer({"error": "down"}, status=503) if len(server.posts) > 5 else echo(asked)

        with Cache(tmp_path / "c") as cache:
            server.say = flaky
            with pytest.raises(HubError):
                ask(connect(server, concurrency=1, revision="r")[0], items, GREEDY, cache=cache, batch=4)
            server.say, before = echo, len(server.posts)
            answers = ask(connect(server, revision="r")[0], items, GREEDY, cache=cache, batch=4)
    assert [answer.replies[0].text for answer in answers] == [f"QUESTION {n}" for n in range(6)]
    assert len(server.posts) - before == 12 - 5  # of the batch that broke off one had come
    history = [asked.body["messages"] for asked in server.posts[-4:] if asked.body]
    assert all([m["role"] for m in messages] == ["user", "assistant", "user"] for messages in history)
