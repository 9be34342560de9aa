# SPDX-License-Identifier: Apache-2.0
"""Replies while they are written: the same as those that are waited for, whole characters only, ended from outside."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from chatvector.errors import MissingInput, NonFiniteValues, UsageError
from chatvector.live_merge import open_live
from chatvector.recipe import Recipe, VectorSpec
from chatvector.runtime.backend import Prompt, Reply, Sampling
from chatvector.runtime.streaming import Decoder, ReplyStream, Watch
from chatvector.runtime.transformers_backend import TransformersBackend
from counting import counting_model, load, set_template

DRAWS = [
    Sampling(max_new_tokens=40),
    Sampling(max_new_tokens=40, temperature=0.9, seed=3),
    Sampling(max_new_tokens=40, temperature=1.4, top_p=0.8, seed=4),
    Sampling(max_new_tokens=3),
]
ASKED = ("안녕하세요", "What colour is snow?", "눈은 무슨 색이에요?", "어려운 문제를 못 풀겠어요.")


@pytest.fixture(scope="module")
def speaking() -> Iterator[TransformersBackend]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield TransformersBackend.load("demo:chat")
    torch.set_num_threads(before)


def streamed(backend: TransformersBackend, prompt: Prompt, sampling: Sampling) -> tuple[list[str], Reply]:
    with backend.stream(prompt, sampling) as stream:
        return list(stream), stream.reply


@pytest.mark.parametrize("sampling", DRAWS, ids=["greedy", "drawn", "top-p", "cut"])
@pytest.mark.parametrize("question", ASKED)
def test_the_same_reply_as_the_one_that_is_waited_for(
    speaking: TransformersBackend, question: str, sampling: Sampling
) -> None:
    prompt = Prompt(messages=(("user", question),))
    (whole,) = speaking.generate([prompt], sampling)
    pieces, reply = streamed(speaking, prompt, sampling)
    assert reply == whole
    assert "".join(pieces) == whole.text
    assert len(pieces) > 1 or len(whole.text) < 8  # and not all at the end
    assert streamed(speaking, prompt, sampling) == (pieces, reply)


def test_a_live_merge_streams_what_it_says_at_the_present_scale() -> None:
    vector = VectorSpec(base="demo:base", chat="demo:chat")
    prompt = Prompt(messages=(("user", ASKED[2]),))
    with open_live(Recipe(target="demo:target", vectors=(vector,)), device="cpu") as live:
        said = set()
        for scale in (1.0, 0.0):
            live.set_scale(scale)
            pieces, reply = streamed(live, prompt, Sampling(max_new_tokens=24))
            assert [reply] == live.generate([prompt], Sampling(max_new_tokens=24))
            said.add("".join(pieces))
        assert len(said) == 2


def test_a_change_of_scale_waits_for_the_reply() -> None:
    vector = VectorSpec(base="demo:base", chat="demo:chat")
    prompt = Prompt(messages=(("user", ASKED[2]),))
    with open_live(Recipe(target="demo:target", vectors=(vector,)), device="cpu") as live:
        (whole,) = live.generate([prompt], Sampling(max_new_tokens=24))
        with live.stream(prompt, Sampling(max_new_tokens=24)) as stream:
            pieces = iter(stream)
            first = next(pieces)
            changing = threading.Thread(target=live.set_scale, args=(0.2,))
            changing.start()
            assert first + "".join(pieces) == whole.text
            changing.join()
        assert live.scales[0].scale == 0.2


def test_it_is_ended_from_outside_and_what_was_written_is_kept(tmp_path: Path) -> None:
    backend = load(counting_model(tmp_path))
    prompt = Prompt(text="a")
    whole = "b c d e f g h i j k l"
    with backend.stream(prompt, Sampling(max_new_tokens=40)) as stream:
        pieces = []
        for piece in stream:
            pieces.append(piece)
            stream.stop()
        assert stream.interrupted
        assert not stream.reply.stopped or stream.reply.text == whole  # it may have been done before
        assert whole.startswith(stream.reply.text)
        assert stream.reply.text == "".join(pieces)


def test_a_signal_handler_may_end_it(speaking: TransformersBackend) -> None:
    with speaking.stream(Prompt(text="눈"), Sampling(max_new_tokens=500, temperature=5.0)) as stream:
        before = signal.signal(signal.SIGUSR1, lambda *_: stream.stop())
        try:
            pieces = iter(stream)
            text = next(pieces)
            signal.raise_signal(signal.SIGUSR1)
            text += "".join(pieces)
        finally:
            signal.signal(signal.SIGUSR1, before)
    assert stream.reply.tokens is not None
    assert stream.reply.tokens < 500
    assert stream.reply.text == text


def test_leaving_the_block_ends_it_too(speaking: TransformersBackend) -> None:
    with speaking.stream(Prompt(text="눈"), Sampling(max_new_tokens=500, temperature=5.0)) as stream:
        next(iter(stream))
    assert not any(thread.name == "chatvector-reply" for thread in threading.enumerate())
    assert (stream.reply.tokens or 0) < 500


def test_the_opening_of_a_thought_comes_first(tmp_path: Path) -> None:
    model = counting_model(tmp_path, ["<pad>", "<s>", "</s>", "<think>", *"ab", "</think>", "c"])
    set_template(model, "{{ messages[0]['content'] }} <think>\n")
    pieces, reply = streamed(load(model), Prompt(messages=(("user", "a"),)), Sampling(max_new_tokens=9))
    assert pieces[0] == "<think>\n"
    assert "".join(pieces) == reply.text == "<think>\na b </think> c"


def test_special_tokens_that_are_left_out_are_not_streamed(tmp_path: Path) -> None:
    words = ["<pad>", "<s>", "</s>", "a", "b", "<turn>", "c", "<x>", "d"]
    pieces, reply = streamed(load(counting_model(tmp_path, words)), Prompt(text="a"), Sampling(max_new_tokens=9))
    assert "".join(pieces) == reply.text == "b c d"
    assert reply.special == ("<turn>", "<x>")


def test_failures_come_as_replies_and_errors_where_it_is_read(tmp_path: Path) -> None:
    model = counting_model(tmp_path)
    backend = load(model)
    assert streamed(backend, Prompt(text="a"), Sampling(max_new_tokens=1000))[1].failure == "context"
    with pytest.raises(UsageError, match="prompt 1 is empty"):
        streamed(backend, Prompt(text=""), Sampling())
    backend.model.get_parameter("lm_head.weight").data[0, 0] = float("nan")
    with pytest.raises(NonFiniteValues):
        streamed(backend, Prompt(text="a"), Sampling(max_new_tokens=5))
    set_template(model, None)
    with pytest.raises(MissingInput, match="no chat template"):
        load(model).stream(Prompt(messages=(("user", "a"),)), Sampling())


def test_room_is_what_the_prompt_leaves(tmp_path: Path) -> None:
    backend = load(counting_model(tmp_path))
    assert backend.room((("user", "a b c"),)) == 64 - 4  # with the BOS of its template


# ---- characters -----------------------------------------------------------------------------------------------------

TEXT = st.text(alphabet="ab é한국어日本語🙂👨‍👩‍👧\n ", max_size=12)


def byte_level() -> Tokenizer:
    """Every byte a token: characters of Korean are three of them."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: place for place, letter in enumerate(letters)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def byte_fallback() -> Tokenizer:
    """SentencePiece's way: pieces with ▁ for blanks, and bytes for what is in no piece."""
    pieces = ["▁", "▁a", "a", "b", "▁한", "국", *(f"<0x{byte:02X}>" for byte in range(256))]
    tokenizer = Tokenizer(models.BPE({piece: place for place, piece in enumerate(pieces)}, [], byte_fallback=True))
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return tokenizer


@given(TEXT)
def test_characters_are_whole_byte_by_byte(text: str) -> None:
    tokenizer = byte_level()
    decoder = Decoder(lambda ids: tokenizer.decode(ids, skip_special_tokens=False))
    pieces = [decoder.push(token) for token in tokenizer.encode(text).ids]
    assert "".join(pieces) == text
    assert all("\ufffd" not in piece for piece in pieces)


@given(st.lists(st.sampled_from(["▁a", "b", "▁한", "국", "🙂", "語", "é"]), max_size=12))
def test_characters_are_whole_with_bytes_between_pieces(parts: list[str]) -> None:
    tokenizer = byte_fallback()
    ids = []
    for part in parts:
        own = tokenizer.token_to_id(part)
        ids += [own] if own is not None else [tokenizer.token_to_id(f"<0x{byte:02X}>") for byte in part.encode()]
    decoder = Decoder(lambda some: tokenizer.decode(some, skip_special_tokens=False))
    pieces = [decoder.push(token) for token in ids]
    assert "".join(pieces) == tokenizer.decode(ids, skip_special_tokens=False)
    assert all("\ufffd" not in piece for piece in pieces)


@settings(max_examples=30)
@given(st.lists(st.integers(0, 255), max_size=20), st.sampled_from([byte_level, byte_fallback]))
def test_bytes_that_are_no_text_end_in_the_same_reply(values: list[int], make: Callable[[], Tokenizer]) -> None:
    """What was shown may then differ from what counts; nothing hangs, and the reply is the decoder's own."""
    tokenizer = make()
    whole = tokenizer.decode(values, skip_special_tokens=False).strip()

    def run(watch: Watch) -> Reply:
        for value in values:
            watch.tokens.put(value)
        return Reply(whole, stopped=True)

    with ReplyStream(run, lambda ids: tokenizer.decode(ids, skip_special_tokens=False), lambda _: True) as stream:
        shown = "".join(stream)
        assert stream.reply.text == whole
        if "\ufffd" not in whole:
            assert shown == whole
