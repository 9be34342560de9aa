# SPDX-License-Identifier: Apache-2.0
"""The backend on transformers, against a model whose replies and probabilities are known without running it."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from chatvector.checkpoint.names import FAMILY
from chatvector.errors import (
    InputError,
    MissingInput,
    NonFiniteValues,
    NotEnoughSpace,
    UsageError,
)
from chatvector.runtime.backend import LikelihoodBackend, Prompt, Reply, Sampling
from chatvector.runtime.prompt_form import GivenTemplate, template_of
from counting import CONTEXT, TEMPLATE, WORDS, counting_model, load, set_generation, set_template, write

SIZE = len(WORDS)


@pytest.fixture
def counting(tmp_path: Path) -> Path:
    return counting_model(tmp_path / "counting")


def said(reply: Reply) -> tuple[str, bool, int | None]:
    return reply.text, reply.stopped, reply.tokens


# ---- generation -----------------------------------------------------------------------------------------------------


def test_greedy_to_the_stop_token(counting: Path) -> None:
    assert said(write(load(counting), "i")) == ("j k l", True, 4)


def test_the_limit_is_no_stop(counting: Path) -> None:
    assert said(write(load(counting), "a", 3)) == ("b c d", False, 3)


def test_stop_ids_come_from_the_generation_config(counting: Path) -> None:
    set_generation(counting, eos_token_id=[2, WORDS.index("f")])
    backend = load(counting)
    assert backend.stop_ids == {2, WORDS.index("f")}
    assert said(write(backend, "d")) == ("e", True, 2)


def test_a_stop_token_given_by_hand(counting: Path) -> None:
    backend = load(counting, stop_tokens=("g",))
    assert backend.stop_ids == {2, WORDS.index("g")}
    assert said(write(backend, "d")) == ("e f", True, 3)
    with pytest.raises(UsageError, match=r"the tokenizer has no such stop tokens: <\|im_end\|>"):
        load(counting, stop_tokens=("<|im_end|>",))


def test_a_batch_says_what_each_says_alone(counting: Path) -> None:
    """Left padding and the order by length must not change anything, whatever the lengths and the batch size."""
    prompts = [Prompt(text=text) for text in ("a b c d e f g", "k", "a a a c", "j", "h h")]
    backend = load(counting)
    alone = [write(backend, prompt.text or "", 6) for prompt in prompts]
    assert backend.generate(prompts, Sampling(max_new_tokens=6)) == alone
    assert load(counting, batch=2).generate(prompts, Sampling(max_new_tokens=6)) == alone
    assert [reply.text for reply in alone] == ["h i j k l", "l", "d e f g h i", "k l", "i j k l"]
    assert [reply.prompt_tokens for reply in alone] == [7, 1, 4, 1, 2]


def test_no_prompts(counting: Path) -> None:
    assert load(counting).generate([], Sampling()) == []


def test_the_models_own_generation_settings_are_left_out_and_named(counting: Path) -> None:
    """Qwen and others bring a penalty for repetition along: it would change what the most likely token is."""
    set_generation(
        counting,
        eos_token_id=2,
        bos_token_id=1,
        repetition_penalty=100.0,
        no_repeat_ngram_size=1,
        suppress_tokens=[WORDS.index("e")],
        do_sample=True,
        temperature=0.7,
    )
    backend = load(counting)
    assert said(write(backend, "d e f c", 3)) == ("d e f", False, 3)
    unused = backend.info.details["unused_generation_settings"]
    assert {"repetition_penalty", "no_repeat_ngram_size", "suppress_tokens", "temperature"} <= set(unused)
    assert backend.model.generation_config.repetition_penalty == 100.0  # put back


def test_special_tokens_within_the_text_are_recorded_and_left_out(tmp_path: Path) -> None:
    words = ["<pad>", "<s>", "</s>", "a", "b", "<turn>", "c", "<x>", "d"]
    reply = write(load(counting_model(tmp_path, words)), "a")
    assert reply == Reply("b c d", stopped=True, tokens=6, prompt_tokens=1, special=("<turn>", "<x>"))


def test_marks_of_thinking_stay_although_they_are_special(tmp_path: Path) -> None:
    words = ["<pad>", "<s>", "</s>", "a", "[THINK]", "b", "[/THINK]", "c", "<|end|>", "d"]
    reply = write(load(counting_model(tmp_path, words)), "a")
    assert (reply.text, reply.special) == ("[THINK] b [/THINK] c d", ("<|end|>",))


def test_a_thought_that_the_template_opened_is_in_the_text(tmp_path: Path) -> None:
    model = counting_model(tmp_path, ["<pad>", "<s>", "</s>", "<think>", *"ab", "</think>", "c"])
    set_template(model, "{{ messages[0]['content'] }} <think>\n")
    (reply,) = load(model).generate([Prompt(messages=(("user", "a"),))], Sampling(max_new_tokens=9))
    assert reply.text == "<think>\na b </think> c"
    (raw,) = load(model).generate([Prompt(text="a <think>")], Sampling(max_new_tokens=9))
    assert raw.text == "a b </think> c"  # raw text: what is in it is the user's


def test_context_that_does_not_suffice_is_a_failure_and_nothing_runs(counting: Path) -> None:
    backend = load(counting)
    backend.model.generate = None
    long, limit = "a " * 60, CONTEXT - 60
    assert write(backend, long, limit + 1) == Reply("", stopped=False, prompt_tokens=60, failure="context")
    del backend.model.generate
    assert write(backend, long, limit).failure is None


def test_an_empty_prompt_is_refused(counting: Path) -> None:
    with pytest.raises(UsageError, match="prompt 2 is empty"):
        load(counting).generate([Prompt(text="a"), Prompt(text="")], Sampling())


# ---- memory ---------------------------------------------------------------------------------------------------------


def test_a_batch_that_does_not_fit_is_halved(counting: Path) -> None:
    prompts = [Prompt(text=word) for word in "abcdefgh"]
    backend = load(counting)
    expected = backend.generate(prompts, Sampling(max_new_tokens=3))
    widths, real = [], backend.model.generate

    def tight(**arguments: torch.Tensor) -> torch.Tensor:
        widths.append(len(arguments["input_ids"]))
        if widths[-1] > 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return real(**arguments)

    backend.model.generate = tight
    assert backend.generate(prompts, Sampling(max_new_tokens=3)) == expected
    assert widths == [8, 4, 2, 2, 2, 2]


def test_one_prompt_that_does_not_fit_says_so(counting: Path) -> None:
    backend = load(counting)

    def tight(**_: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:119] DefaultCPUAllocator: can't allocate memory")

    backend.model.generate = tight
    with pytest.raises(NotEnoughSpace, match="one text of 2 tokens does not fit into the memory of cpu"):
        write(backend, "a b")


def test_other_errors_of_the_model_are_not_taken_for_memory(counting: Path) -> None:
    backend = load(counting)

    def broken(**_: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("shapes cannot be multiplied")

    backend.model.generate = broken
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        write(backend, "a b")


def test_scores_that_are_no_numbers_are_no_reply(counting: Path) -> None:
    backend = load(counting)
    with torch.no_grad():
        backend.model.get_parameter("lm_head.weight")[5, 7] = torch.nan
    sampling = Sampling(max_new_tokens=3, temperature=1.0)
    for broken in (
        lambda: write(backend, "a d"),
        lambda: backend.generate([Prompt(text="a d")], sampling),
        lambda: backend.loglikelihood([("a d", "e")]),
        lambda: backend.log_probabilities("a d"),
    ):
        with pytest.raises(NonFiniteValues, match=r"scores are not numbers \(NaN\) in float32; run it in bf16 or fp32"):
            broken()


# ---- sampling -------------------------------------------------------------------------------------------------------


def test_draws_do_not_depend_on_the_batch(tmp_path: Path) -> None:
    backend = load(counting_model(tmp_path, sharpness=0.4))
    sampling = Sampling(max_new_tokens=8, temperature=1.0, top_p=0.95, seed=3)
    prompts = [Prompt(text=text, sample=sample) for text in ("a", "b c d", "e f") for sample in range(4)]
    together = backend.generate(prompts, sampling)
    assert [backend.generate([prompt], sampling)[0] for prompt in prompts] == together
    assert backend.generate(prompts[::-1], sampling) == together[::-1]
    assert len({reply.text for reply in together}) > 8
    other = Sampling(max_new_tokens=8, temperature=1.0, top_p=0.95, seed=4)
    assert backend.generate(prompts, other) != together


def test_draws_follow_the_models_probabilities(tmp_path: Path) -> None:
    """After `a`: `b` with probability e^z / (e^z + 15), z = √16·0.6/T, each other one with 1/15 of the rest."""
    backend = load(counting_model(tmp_path, sharpness=0.6))
    sampling = Sampling(max_new_tokens=1, temperature=1.2)
    count = 600
    replies = backend.generate([Prompt(text="a", sample=sample) for sample in range(count)], sampling)
    logit = math.sqrt(SIZE) * 0.6 / 1.2
    expected = math.exp(logit) / (math.exp(logit) + SIZE - 1)
    hits = sum(reply.text == "b" for reply in replies)
    assert abs(hits - count * expected) < 5 * math.sqrt(count * expected * (1 - expected))
    others = Counter(reply.text for reply in replies if reply.text in "acdefghijkl" and reply.text)
    assert set(others) == set("acdefghijkl")


def test_top_p_leaves_the_most_likely_ones(tmp_path: Path) -> None:
    backend = load(counting_model(tmp_path, sharpness=0.6))  # b has about 0.42
    narrow = Sampling(max_new_tokens=1, temperature=1.0, top_p=0.3)
    assert {r.text for r in backend.generate([Prompt(text="a", sample=i) for i in range(40)], narrow)} == {"b"}


@pytest.mark.usefixtures("one_thread")
def test_real_replies_and_likelihoods_do_not_depend_on_the_batch() -> None:
    """The embedded model in fp32, prompts of many lengths, alone, in small batches and all together."""
    texts = [
        "눈은 무슨 색이야?",
        "What colour is snow?",
        "안녕.",
        "네?",
        "피는 무슨 색이야? " * 9,
        "How do I make a scarf?",
    ]
    prompts = [Prompt(messages=(("user", text),), sample=sample) for text in texts for sample in (0, 1)]
    pairs = [(text, f" {text}") for text in texts]
    greedy, drawn = Sampling(max_new_tokens=24), Sampling(max_new_tokens=24, temperature=1.0, top_p=0.9)
    whole, alone, few = (load(FAMILY / "chat", batch=size) for size in (64, 1, 5))
    for sampling in (greedy, drawn):
        replies = whole.generate(prompts, sampling)
        assert alone.generate(prompts, sampling) == replies
        assert few.generate(prompts, sampling) == replies
    nats = [found.nats for found in whole.loglikelihood(pairs)]
    assert [found.nats for found in alone.loglikelihood(pairs)] == pytest.approx(nats, rel=1e-5)


# ---- prompt form ----------------------------------------------------------------------------------------------------


def test_own_template(counting: Path) -> None:
    backend = load(counting)
    assert backend.render([("user", "a"), ("assistant", "b")]) == "<s> a b "
    assert backend.info.prompt_form == "own template"
    (reply,) = backend.generate([Prompt(messages=(("user", "i"),))], Sampling(max_new_tokens=9))
    assert reply == Reply("j k l", stopped=True, tokens=4, prompt_tokens=2)


def test_a_given_template_brings_its_stop_tokens(counting: Path) -> None:
    given = GivenTemplate("{{ messages | length }}{{ tail }}", "chat-parent", ("g", "<|im_end|>"))
    backend = load(counting, template=given)
    assert backend.render([("user", "a")]) == "1"
    assert backend.render([("user", "a")], tail="!") == "1!"
    assert backend.info.prompt_form == "template of chat-parent"
    assert backend.stop_ids == {2, WORDS.index("g")}
    assert backend.info.details["stop_tokens_not_in_vocabulary"] == ["<|im_end|>"]
    assert backend.info.template != load(counting).info.template


def test_template_of_another_model_or_of_a_file(counting: Path, tmp_path: Path) -> None:
    assert template_of("demo:chat").stop_tokens == ("</s>", "<|end|>")
    file = tmp_path / "t.jinja"
    file.write_text("{{ 1 + 1 }}")
    assert load(counting, template=template_of(str(file))).render([("user", "a")]) == "2"
    with pytest.raises(MissingInput, match="demo:base has no chat template either"):
        template_of("demo:base")


def test_template_arguments_reach_the_template(counting: Path) -> None:
    set_template(counting, "{{ 'j' if enable_thinking else messages[0]['content'] }}")
    backend, question = load(counting), [Prompt(messages=(("user", "a"),))]
    on = Sampling(max_new_tokens=2, template_arguments=(("enable_thinking", True),))
    assert backend.generate(question, on)[0].text == "k l"
    assert backend.generate(question, Sampling(max_new_tokens=2))[0].text == "b c"


def test_a_conversation_that_the_template_refuses_is_a_failure(counting: Path) -> None:
    set_template(
        counting, "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}" + TEMPLATE
    )
    prompts = [Prompt(messages=(("system", "a"), ("user", "b"))), Prompt(messages=(("user", "j"),))]
    refused, told = load(counting).generate(prompts, Sampling(max_new_tokens=4))
    assert refused.failure == "template"
    assert told.text == "k l"


def test_a_template_that_takes_nothing_is_refused_at_once(counting: Path) -> None:
    set_template(counting, "{{ raise_exception('never') }}")
    with pytest.raises(InputError, match="own template, line 1: the chat template refuses a plain conversation: never"):
        load(counting)


def test_todays_date_does_not_get_into_prompts(counting: Path) -> None:
    set_template(counting, "{{ strftime_now('%d %b %Y') }}")
    assert load(counting).render([("user", "a")]) == "26 Jul 2024"


def test_no_template_is_said_so_and_nothing_is_made_up(counting: Path) -> None:
    set_template(counting, None)
    backend = load(counting, offers=("demo:chat",))
    assert (backend.info.prompt_form, backend.info.template) == ("raw", None)
    # The message ends with what the command line offers; raw text is nothing that it could ask for.
    with pytest.raises(
        MissingInput, match=r"none is made up: .* such as that of demo:chat, or a file \(--chat-format-from\)$"
    ):
        backend.generate([Prompt(messages=(("user", "a"),))], Sampling())
    assert write(backend, "k").text == "l"


# ---- likelihoods ----------------------------------------------------------------------------------------------------


def right_and_wrong(sharpness: float = 1.0) -> tuple[float, float]:
    """Log-probability of the next word, and of any other one."""
    logit = math.sqrt(SIZE) * sharpness
    total = math.log(math.exp(logit) + SIZE - 1)
    return logit - total, -total


def test_likelihoods_by_hand(counting: Path) -> None:
    right, wrong = right_and_wrong()
    backend = load(counting)
    pairs = [("a b", " c d"), ("a b ", "c d"), ("a b", " d d"), ("", "a b"), ("a", " b")]
    found = backend.loglikelihood(pairs)
    # Without a token that the tokenizer puts first, <s> stands before an empty context; after it comes </s>, not `a`.
    expected = [(2 * right, 2, True), (2 * right, 2, True), (2 * wrong, 2, False), (wrong + right, 2, False)]
    expected.append((right, 1, True))
    for got, (nats, tokens, greedy) in zip(found, expected, strict=True):
        assert got.nats == pytest.approx(nats, rel=1e-5)
        assert (got.tokens, got.greedy) == (tokens, greedy)
    assert load(counting, batch=1).loglikelihood(pairs) == pytest.approx(found)
    assert isinstance(backend, LikelihoodBackend)


def test_a_long_text_is_cut_into_windows_and_each_token_counted_once(counting: Path) -> None:
    right, wrong = right_and_wrong()
    text = "a b c d e f g h i j k " * 20
    ((whole,), (cut,), (small,)) = (
        load(counting, window=window).loglikelihood([("", text)]) for window in (1000, None, 5)
    )
    assert whole.tokens == cut.tokens == small.tokens == 220
    # The model looks one token back, so windows may not change anything.
    assert cut.nats == pytest.approx(whole.nats, rel=1e-5)
    assert small.nats == pytest.approx(whole.nats, rel=1e-5)
    assert whole.nats == pytest.approx(200 * right + 20 * wrong, rel=1e-5)


def test_a_context_longer_than_the_window_loses_its_beginning(counting: Path) -> None:
    right, _ = right_and_wrong()
    (found,) = load(counting, window=4).loglikelihood([("c " * 50, "d e")])
    assert (found.tokens, found.greedy) == (2, True)
    assert found.nats == pytest.approx(2 * right, rel=1e-5)


def test_an_empty_continuation_is_an_error(counting: Path) -> None:
    with pytest.raises(ValueError, match="an empty continuation has no likelihood"):
        load(counting).loglikelihood([("a", "")])


def test_log_probabilities_agree_with_likelihoods(counting: Path) -> None:
    backend = load(counting, window=7)
    text = "a b c e f g a b c d e f a b"
    ids, logs = backend.log_probabilities(text)
    assert [WORDS[token] for token in ids] == text.split()
    assert (logs.shape, logs.dtype) == ((14, SIZE), np.float32)
    assert np.allclose(np.exp(logs).sum(axis=1), 1.0, atol=1e-6)
    (found,) = backend.loglikelihood([("", text)])
    assert logs[np.arange(14), ids].sum() == pytest.approx(found.nats, rel=1e-5)
