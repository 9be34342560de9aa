# SPDX-License-Identifier: Apache-2.0
"""The live merge: bytes of `apply` at every scale, whatever the vocabulary and the ties; and what goes wrong."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from builders import BF16, Shape, Trio, trio_specs, write_trio
from chatvector.arithmetic.scales import ScaleRules
from chatvector.checkpoint.checkpoint import Checkpoint
from chatvector.checkpoint.fingerprint import Sample
from chatvector.checkpoint.storage import LocalDirectory
from chatvector.errors import NonFiniteValues, NotEnoughSpace, UsageError
from chatvector.extraction import extract
from chatvector.live_merge import open_live
from chatvector.pipeline import apply
from chatvector.recipe import Recipe, VectorSpec
from chatvector.runtime.backend import Prompt, Sampling
from chatvector.runtime.live import LiveBackend, choose_holding
from chatvector.runtime.loading import load

SCALES = (0.0, 1.0, 0.35, -0.8, 1.5)
ASKED = Prompt(messages=(("user", "hello world"),))
SHORT = Sampling(max_new_tokens=4)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """No thread pool for matrices of this size."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def recipe(trio: Trio, scale: float = 1.0, output: Path | None = None, **vector: Any) -> Recipe:
    spec = VectorSpec(base=str(trio.base), chat=str(trio.chat), scale=scale, **vector)
    return Recipe(target=str(trio.target), vectors=(spec,), output=None if output is None else str(output))


def bits(model: Any) -> dict[str, bytes]:
    return {
        name: values.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        for name, values in model.state_dict().items()
    }


def same_as_applied(live: LiveBackend, made: Recipe, dtype: str | None) -> None:
    """Every parameter equals what transformers loads from the directory that `apply` writes."""
    written = bits(load(str(apply(made).output), dtype=dtype, device="cpu").model)
    actual = bits(live.model)
    assert [name for name, values in written.items() if actual[name] != values] == []


@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
@pytest.mark.parametrize("hold", [True, False], ids=["held", "streamed"])
@pytest.mark.parametrize("dtype", ["auto", None], ids=["as-stored", "fp32"])
def test_five_scales(tmp_path: Path, *, tied: bool, hold: bool, dtype: str | None) -> None:
    trio = write_trio(tmp_path, shape=Shape(tied=tied))
    with open_live(recipe(trio), hold=hold, dtype=dtype, device="cpu") as live:
        assert all(hasattr(live, part) for part in ("generate", "loglikelihood", "info"))
        assert bool(live.need.held) == hold
        for scale in SCALES:
            live.set_scale(scale)
            same_as_applied(live, recipe(trio, scale, tmp_path / f"{scale}"), dtype)


def test_a_head_that_the_scales_part_from_its_embedding(tmp_path: Path) -> None:
    """The target's flag says tied, and its files hold both, equal: `apply` clears the flag when scales part them."""
    specs = trio_specs(Shape(tied=True))
    specs["target"].weights["lm_head.weight"] = specs["target"].weights["model.embed_tokens.weight"].copy()
    trio = write_trio(tmp_path, specs)
    apart = {"scale_role": {"head": 0.0}}
    with open_live(recipe(trio), dtype="auto", device="cpu") as live:
        live.set_scales([ScaleRules(0.5, roles={"head": 0.0})])
        same_as_applied(live, recipe(trio, 0.5, tmp_path / "apart", **apart), "auto")
        live.set_scale(0.5)
        head, embedding = live.model.get_output_embeddings().weight, live.model.get_input_embeddings().weight
        assert torch.equal(head, embedding)
        assert head.data_ptr() != embedding.data_ptr()


def test_two_vectors_one_of_them_from_disk(tmp_path: Path) -> None:
    trio = write_trio(tmp_path / "first")
    other = write_trio(tmp_path / "second", seed=0, dtype=np.dtype(np.float32))
    extract(str(trio.base), str(trio.chat), str(tmp_path / "vector"))
    vectors = [
        VectorSpec(vector=str(tmp_path / "vector"), scale=0.5),
        VectorSpec(base=str(other.base), chat=str(other.chat), scale=0.25),
    ]

    def made(scales: Sequence[float], output: str | None = None) -> Recipe:
        specs = tuple(one.model_copy(update={"scale": scale}) for one, scale in zip(vectors, scales, strict=True))
        return Recipe(target=str(trio.target), vectors=specs, output=output, chat_format="vector:1")

    with open_live(made((0.5, 0.25)), dtype="auto", device="cpu") as live:
        for number, scales in enumerate([(0.5, 0.25), (0.5, 0.0), (0.0, 1.0), (0.0, 0.0)]):
            live.set_scales([ScaleRules(scale) for scale in scales])
            same_as_applied(live, made(scales, str(tmp_path / f"{number}")), "auto")


def test_replies_and_fingerprint_follow_the_scale(tmp_path: Path) -> None:
    trio = write_trio(tmp_path)
    with open_live(recipe(trio, 1.0)) as live:
        first, replies = live.info, live.generate([ASKED], SHORT)
        assert (first.kind, first.model) == ("live", f"{trio.target} + live")
        live.set_scale(0.25)
        assert live.info.digest != first.digest
        live.set_scales([ScaleRules(0.25, roles=dict.fromkeys(["attention", "mlp", "norm", "embedding", "head"], 1.0))])
        assert live.info.digest == first.digest  # other rules, the same scale of every tensor
        assert live.generate([ASKED], SHORT) == replies
    with open_live(recipe(trio, 0.25)) as again:
        again.set_scale(1.0)
        assert again.info.digest == first.digest


@pytest.mark.parametrize("role", ["base", "chat", "target"])
def test_one_weight_that_no_sample_holds_makes_another_merge(tmp_path: Path, role: str) -> None:
    """The cache of replies goes by the whole weights of all sources, a plan by a sample of them."""
    trio = write_trio(tmp_path, shape=Shape(hidden=64, mlp=512))
    folder = Path(getattr(trio, role))

    def seen() -> tuple[str, str]:
        with Checkpoint(LocalDirectory(folder, role), role) as checkpoint, open_live(recipe(trio, 0.5)) as live:
            return Sample(checkpoint).digest(), live.info.digest

    sample, digest = seen()
    file = folder / "model.safetensors"
    data = bytearray(file.read_bytes())
    with Checkpoint(LocalDirectory(folder, role), role) as checkpoint:
        entry = max(checkpoint.tensors.values(), key=lambda ref: ref.nbytes)
        data[entry.offset + 2 * 300] ^= 1  # the lowest bit of element 300, between two sampled blocks
    file.write_bytes(data)
    changed_sample, changed = seen()
    assert changed_sample == sample, "a test that could not fail"
    assert changed != digest


def test_only_what_changes_is_computed(tmp_path: Path) -> None:
    with open_live(recipe(write_trio(tmp_path), 1.0)) as live:
        assert live.set_scale(1.0).tensors == 0
        change = live.set_scales([ScaleRules(1.0, layers={(1, 1): 0.5})])
        assert change.tensors == 9
        assert change.nbytes == 2 * (4 * 16 * 16 - 2 * 8 * 16 + 3 * 16 * 24 + 2 * 16)
        assert change.seconds > 0


def test_a_scale_that_overflows_changes_nothing(tmp_path: Path) -> None:
    with open_live(recipe(write_trio(tmp_path), 0.5)) as live:
        before, told = bits(live.model), live.fingerprint
        with pytest.raises(NonFiniteValues, match="non-finite"):
            live.set_scale(1e39)
        assert bits(live.model) == before
        assert live.fingerprint == told


def test_rules_that_match_nothing_change_nothing(tmp_path: Path) -> None:
    with open_live(recipe(write_trio(tmp_path), 0.5)) as live:
        before = bits(live.model)
        with pytest.raises(UsageError, match="layers 7 match nothing"):
            live.set_scales([ScaleRules(1.0, layers={(7, 7): 0.0})])
        with pytest.raises(ValueError, match="sets of scales: 2; vectors: 1"):
            live.set_scales([ScaleRules(), ScaleRules()])
        assert bits(live.model) == before
        assert live.scales == (ScaleRules(0.5),)


def test_a_change_that_is_broken_off_is_told_and_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_live(recipe(write_trio(tmp_path), 0.5)) as live:
        good = bits(live.model)

        def stopped(*_: Any) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr("chatvector.runtime.live_weights._Hand.work", stopped)
            with pytest.raises(KeyboardInterrupt):
                live.set_scale(1.0)
        with pytest.raises(UsageError, match="set the scale again"):
            live.generate([ASKED], SHORT)
        live.set_scales([ScaleRules(0.5)])
        assert bits(live.model) == good


def test_a_change_waits_for_the_reply(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reply that began at one scale ends at it."""
    with open_live(recipe(write_trio(tmp_path), 1.0)) as live:
        inside, go_on, order = threading.Event(), threading.Event(), []
        generate = live.model.generate

        def slow(**arguments: Any) -> Any:
            inside.set()
            assert go_on.wait(20)
            order.append(("reply", live.scales[0].scale))
            return generate(**arguments)

        monkeypatch.setattr(live.model, "generate", slow)
        speaking = threading.Thread(target=lambda: live.generate([ASKED], SHORT))
        speaking.start()
        assert inside.wait(20)

        def change() -> None:
            live.set_scale(0.0)
            order.append(("change", live.scales[0].scale))

        changing = threading.Thread(target=change)
        changing.start()
        changing.join(0.2)
        assert changing.is_alive()
        go_on.set()
        speaking.join(20)
        changing.join(20)
        assert order == [("reply", 1.0), ("change", 0.0)]


def test_memory_is_stated_and_refused_before_loading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trio = write_trio(tmp_path)
    said: list[str] = []
    with open_live(recipe(trio), say=said.append, dtype="auto") as live:
        elements = sum(values.numel() for values in live.model.parameters())
        assert live.need.parameters == 2 * elements
        assert live.need.held == 3 * 2 * elements  # target, chat and base
    assert any("a live merge takes" in line and "parameters" in line for line in said)

    def loaded(*_: Any, **__: Any) -> Any:
        raise AssertionError("loaded")

    monkeypatch.setattr("chatvector.runtime.live.load", loaded)
    monkeypatch.setattr("chatvector.runtime.live.available_bytes", lambda: 100 << 10)
    with (
        pytest.raises(NotEnoughSpace, match=r"needs .* KiB: .*; 100\.0 KiB of memory are free"),
        open_live(recipe(trio)),
    ):
        pass


def test_sources_are_held_only_where_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    from test_placement import plan_of

    plan = plan_of({"w": ((1024, 1024), BF16)})
    streamed = replace(choose_holding(plan, dtype="bf16", hold=False)[1])
    monkeypatch.setattr("chatvector.runtime.live.available_bytes", lambda: streamed.total)
    assert choose_holding(plan, dtype="bf16") == (False, streamed)
    monkeypatch.setattr("chatvector.runtime.live.available_bytes", lambda: None)
    assert choose_holding(plan, dtype="bf16")[0]
