# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501  (a table: one fault a row)
"""The fault list: each bad input gets one clear line and the right exit code, and nothing is lost or left behind.

A row is: what is wrong · how it is made · the error · what the line must say. Every row runs through the library and
through the command line.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from fault_models import (
    INDEX,
    SINGLE,
    Fault,
    both,
    command_line,
    cut,
    drop,
    edit_json,
    edit_weights,
    nothing,
    ones,
    prefix,
    put,
    raw_tensor,
    remove,
    rename,
    set_value,
    tree,
)

from builders import TEMPLATE, Shape, nudged, tokenizer_json, trio_specs, write_trio
from chatvector.errors import (
    DamagedFile,
    IncompatibleParents,
    InputError,
    LineageError,
    MissingInput,
    NonFiniteValues,
    UnsupportedFormat,
    UsageError,
)
from chatvector.pipeline import apply
from chatvector.recipe import Recipe

Q, UP, EMBED = (
    "model.layers.1.self_attn.q_proj.weight",
    "model.layers.0.mlp.up_proj.weight",
    "model.embed_tokens.weight",
)
NAN, INF = float("nan"), float("inf")
SHARD = "model-00001-of-00002.safetensors"
QUANT = "quantization_config"


def template(text: str) -> Fault:
    """A chat template in the chat model's tokenizer_config.json; the error is filled in by the row."""
    return Fault(edit_json("chat", "tokenizer_config.json", chat_template=text), InputError, "")


FILES = {
    "no weights": Fault(remove("chat", SINGLE), MissingInput, "chat: there are no weights"),
    "empty weights file": Fault(cut("base", SINGLE, 0), DamagedFile, "0 bytes is too short"),
    "header cut": Fault(cut("base", SINGLE, 100), DamagedFile, "base/model.safetensors: the header claims"),
    "half of the file": Fault(cut("target", SINGLE, 0.5), DamagedFile, "target/model.safetensors: truncated"),
    "last byte missing": Fault(cut("chat", SINGLE, 1 - 1e-9), DamagedFile, "chat/model.safetensors: truncated"),
    "an HTML page": Fault(put("chat", SINGLE, "<html>" + " " * 3000), DamagedFile, "not a safetensors file"),
    "a Git LFS pointer": Fault(
        put("chat", SINGLE, "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"), MissingInput, "git lfs pull"
    ),
    "stale index": Fault(
        put("target", INDEX, '{"weight_map": {"a": "model-00001-of-00001.safetensors"}}'), DamagedFile, "stale"
    ),
    "index names a missing file": Fault(
        both(remove("target", SINGLE), put("target", INDEX, f'{{"weight_map": {{"a": "{SHARD}"}}}}')),
        MissingInput,
        rf"names 1 files, 1 are not there: {SHARD}",
    ),
    "index is no JSON": Fault(put("base", INDEX, "{"), DamagedFile, f"{INDEX} is no index"),
    "index leaves the directory": Fault(
        both(remove("base", SINGLE), put("base", INDEX, '{"weight_map": {"a": "../chat/model.safetensors"}}')),
        DamagedFile,
        "no safetensors file inside the directory",
    ),
    "one of two shards": Fault(rename("base", SINGLE, SHARD), MissingInput, "1 of 2 shards are not there"),
    "only a pickle": Fault(rename("base", SINGLE, "weights.bin"), UnsupportedFormat, "a pickle, which is never executed"),
    "a PyTorch file that is none": Fault(rename("base", SINGLE, "pytorch_model.bin"), DamagedFile, "neither torch's archive"),
    "only GGUF": Fault(rename("chat", SINGLE, "m.gguf"), UnsupportedFormat, "GGUF"),
    "a LoRA directory": Fault(
        both(rename("chat", SINGLE, "adapter_model.safetensors"), put("chat", "adapter_config.json", '{"base_model_name_or_path": "x/y"}')),
        UnsupportedFormat,
        r"adapter \(LoRA\) of x/y, not a model: merge it into its base first",
    ),
    "no config": Fault(remove("base", "config.json"), MissingInput, "config.json is missing"),
    "config cut": Fault(cut("base", "config.json", 50), DamagedFile, "base/config.json: no valid JSON"),
    "config is a list": Fault(put("chat", "config.json", "[]"), DamagedFile, "must be a JSON object, is a list"),
    "no tokenizer": Fault(remove("chat", "tokenizer.json"), MissingInput, "chat: .*tokenizer"),
    "tokenizer cut": Fault(cut("base", "tokenizer.json", 0.5), DamagedFile, "base/tokenizer.json"),
    "tokenizer_config cut": Fault(cut("chat", "tokenizer_config.json", 30), DamagedFile, "chat/tokenizer_config.json"),
    "generation_config cut": Fault(cut("chat", "generation_config.json", 9), DamagedFile, "chat/generation_config.json"),
}  # fmt: skip

VALUES = {
    **{
        f"NaN in {role}": Fault(
            edit_weights(role, set_value(Q, NAN, 7, 9, 100)), NonFiniteValues,
            rf"{role}: {Q} in {SINGLE} holds 3 non-finite values \(NaN or Inf\), the first at element 7;",
        )
        for role in ("base", "chat", "target")
    },
    **{
        f"infinities in {role}": Fault(
            both(edit_weights(role, set_value(UP, INF, 3)), edit_weights(role, set_value(UP, -INF, 5))), NonFiniteValues,
            rf"{role}: {UP} in {SINGLE} holds 2 non-finite values",
        )
        for role in ("base", "chat", "target")
    },
    "infinity in base and chat at one place": Fault(
        both(edit_weights("base", set_value(Q, INF, 3)), edit_weights("chat", set_value(Q, INF, 3))),
        NonFiniteValues, rf"{Q} in {SINGLE} holds 1 non-finite value ",
    ),
    "infinities of both signs in chat": Fault(
        both(edit_weights("chat", set_value(Q, INF, 3)), edit_weights("chat", set_value(UP, -INF, 3))),
        NonFiniteValues, "chat: .* holds 1 non-finite value ",
    ),
    "NaN in a shared row of base's embedding": Fault(
        edit_weights("base", set_value(EMBED, NAN, 3 * 16 + 5)), NonFiniteValues,
        rf"base: {EMBED} in {SINGLE} holds 1 non-finite value \(NaN or Inf\), the first at element 53;",
    ),
    "NaN in a template token's row": Fault(
        edit_weights("chat", set_value("lm_head.weight", NAN, 5 * 16)), NonFiniteValues,
        rf"chat: lm_head.weight in {SINGLE} holds 1 non-finite value \(NaN or Inf\), the first at element 80;",
    ),
    "the result overflows": Fault(
        edit_weights("chat", set_value(UP, 1e38, 3)), NonFiniteValues, f"{UP}: the result overflows BF16 .*lower the scale",
        vector={"scale": 5}, flags=("--scale", "5"),
    ),
    "a scale beyond the working format": Fault(
        nothing, NonFiniteValues, "the result overflows BF16 .*lower the scale",
        vector={"scale": 1e300}, flags=("--scale", "1e300"),
    ),
}  # fmt: skip

QUANTISED = {
    "FP8 by dtype": Fault(raw_tensor("chat", Q, "F8_E4M3", (16, 16)), UnsupportedFormat, "chat: the weights are quantised .FP8; .*BF16 sibling"),
    "FP8 by config": Fault(edit_json("chat", "config.json", **{QUANT: {"quant_method": "fp8"}}), UnsupportedFormat, "FP8"),
    "GPTQ": Fault(edit_weights("base", lambda w: w.update({"model.layers.0.mlp.up_proj.qweight": ones(4, 4)})), UnsupportedFormat, "GPTQ"),
    "AWQ by config": Fault(edit_json("target", "config.json", **{QUANT: {"quant_method": "awq", "bits": 4}}), UnsupportedFormat, "AWQ"),
    "bitsandbytes by tensors": Fault(edit_weights("chat", lambda w: w.update({f"{Q}.absmax": np.ones(4, np.float32)})), UnsupportedFormat, "bitsandbytes 4-bit"),
    "bitsandbytes by config": Fault(edit_json("chat", "config.json", **{QUANT: {"load_in_8bit": True}}), UnsupportedFormat, "bitsandbytes 8-bit"),
    "FP4": Fault(raw_tensor("target", Q, "F4", (16, 16)), UnsupportedFormat, "FP4"),
}  # fmt: skip

FIT = {
    "another architecture": Fault(edit_json("chat", "config.json", model_type="gpt_neox"), IncompatibleParents, "model_type.*llama.*gpt_neox"),
    "another class": Fault(edit_json("base", "config.json", architectures=["OPTForCausalLM"]), IncompatibleParents, "OPTForCausalLM"),
    "a class without a name": Fault(edit_json("base", "config.json", architectures=["a\nb"]), IncompatibleParents, r"architectures: .*base a\\nb, chat Llama"),
    "a value of 5,000 characters": Fault(edit_json("base", "config.json", hidden_act="y" * 5000), IncompatibleParents, "hidden_act: target silu, base y{100}…, chat silu"),
    "half of a character": Fault(edit_json("chat", "config.json", model_type="\ud800"), IncompatibleParents, r"model_type: .*chat \\ud800"),
    "other head counts": Fault(edit_json("chat", "config.json", num_attention_heads=8), IncompatibleParents, "num_attention_heads: target 4.*chat 8"),
    "other key-value heads": Fault(edit_json("base", "config.json", num_key_value_heads=4), IncompatibleParents, "num_key_value_heads"),
    "another activation": Fault(edit_json("target", "config.json", hidden_act="gelu"), IncompatibleParents, "hidden_act"),
    **{
        f"a tensor that {role} lacks": Fault(edit_weights(role, drop(Q)), IncompatibleParents, rf"1 tensors are in .* but not in {role}: {Q}")
        for role in ("base", "chat", "target")
    },
    **{
        f"a tensor that only {role} has": Fault(edit_weights(role, lambda w: w.update({"model.layers.0.extra.weight": w[Q]})), IncompatibleParents, f"1 tensors are in {role} but not in ")
        for role in ("base", "chat", "target")
    },
    "other shapes": Fault(edit_weights("chat", lambda w: w.update({UP: w[UP][:20]})), IncompatibleParents, rf"1 tensors differ in shape: {UP} .*24, 16.*20, 16"),
    "other width of the embedding": Fault(edit_weights("base", lambda w: w.update({EMBED: np.ascontiguousarray(w[EMBED][:, :8])})), IncompatibleParents, rf"{EMBED} .*64, 8"),
    "other names": Fault(
        edit_weights("chat", prefix("transformer.")),
        IncompatibleParents, "tensors are in",
    ),
    "more layers": Fault(edit_weights("chat", lambda w: w.update({n.replace(".1.", ".2."): w[n] for n in list(w) if ".1." in n})), IncompatibleParents, "9 tensors are in chat"),
}  # fmt: skip

CHAT_FORMAT = {
    "no template anywhere": Fault(edit_json("chat", "tokenizer_config.json", chat_template=None), UsageError, "no chat template.*--chat-format"),
    "template is no Jinja": Fault(template("{% for %}").spoil, DamagedFile, "tokenizer_config.json.*line 1"),
    "template raises": Fault(template("{{ raise_exception('no users here') }}").spoil, InputError, "no users here"),
    "template that Python does not compile": Fault(template("{% continue %}").spoil, DamagedFile, "no Jinja that can be run: 'continue' not properly in loop"),
    "template of 25 loops in each other": Fault(template("{% for i in [] %}" * 25 + "{% endfor %}" * 25).spoil, DamagedFile, "too many statically nested blocks"),
    "template with a number of 5,000 digits": Fault(template("{{ " + "9" * 5000 + " }}").spoil, DamagedFile, "no Jinja that can be run: Exceeds the limit"),
    "template nested too deeply": Fault(template("{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}").spoil, DamagedFile, "nested too deeply"),
    "template with half of a character": Fault(template("\ud800").spoil, DamagedFile, "half of a UTF-16 character"),
    "template that writes half of a character": Fault(template("{{ '%c' % 55296 }}").spoil, InputError, "fails on a plain conversation: 'utf-8' codec"),
    "template that fails as no operation does": Fault(template("{{ cycler() }}{{ 'a'|truncate(0) }}").spoil, InputError, "fails on a plain conversation: at least one item"),
    "template that wants more memory than there is": Fault(template("{{ 'a' * 10**17 }}").spoil, InputError, "fails on a plain conversation: MemoryError"),
    "template that takes no second turn": Fault(template(TEMPLATE + "{% if messages[1] %}{{ raise_exception('one turn') }}{% endif %}").spoil, InputError, "the output would be no chat model: the template does not render: three turns.*--chat-format FILE"),
    "nothing ends a turn": Fault(
        both(
            edit_json("chat", "tokenizer_config.json", chat_template="{{ messages[0].content }}", eos_token=None),
            edit_json("chat", "generation_config.json", eos_token_id=None), edit_json("chat", "config.json", eos_token_id=None),
            edit_json("target", "tokenizer_config.json", eos_token=None), edit_json("target", "config.json", eos_token_id=None),
        ),
        InputError, "would be no chat model: nothing ends the assistant's turn",
    ),
    "a target's tokenizer that no library loads": Fault(edit_json("target", "tokenizer.json", decoder={"type": "none"}), DamagedFile, "target/tokenizer.json: does not load"),
    "a token id beyond all numbers": Fault(edit_json("base", "tokenizer.json", added_tokens=[{"content": "<s>", "id": 10**40}], model={"type": "WordLevel", "vocab": {"<s>": 10**40, "a": 0}}), InputError, "base.*the tokenizer .*is larger than the embedding"),
    "template divides by zero": Fault(template("{{ 1 // 0 }}").spoil, InputError, "template"),
    "template uses an undefined token": Fault(template(TEMPLATE + "{{ eot_token }}").spoil, InputError, "eot_token"),
    "template never ends": Fault(template("{% for i in range(999999999) %}x{% endfor %}").spoil, InputError, "template"),
    "template reaches for Python": Fault(template("{{ ().__class__.__bases__[0].__subclasses__() }}").spoil, InputError, "template"),
    "two different formats": Fault(edit_json("target", "tokenizer_config.json", chat_template="{{ messages[0]['content'] }}</s>"), UsageError, "different chat templates; choose one: --chat-format target, --chat-format vector"),
    "a template file that is not there": Fault(nothing, UsageError, "no such file", settings={"chat_format": "nope.jinja"}, flags=("--chat-format", "nope.jinja")),
    **{
        f"tokenizer of {role} larger than its embedding": Fault(
            put(role, "tokenizer.json", tokenizer_json([f"w{n}" for n in range(70)])), InputError,
            r"the tokenizer \(tokenizer.json\) is larger than the embedding: 9 tokens have no row among its 64: 'w61' \(id 64\)",
        )
        for role in ("base", "chat", "target")
    },
}  # fmt: skip

RULES = {
    "pattern that matches nothing": Fault(nothing, UsageError, r"'\*\.mpl\.\*' matches none of the 21 tensors", vector={"scale_tensors": {"*.mpl.*": 0.5}}, flags=("--scale-tensors", "*.mpl.*=0.5")),
    "layers that are not there": Fault(nothing, UsageError, "layers 5-9 match nothing: the model has layers 0-1", vector={"scale_layers": {"5-9": 0.5}}, flags=("--scale-layers", "5-9=0.5")),
    "a role that is not there": Fault(nothing, UsageError, "no tensor has the role router", vector={"scale_role": {"router": 0.5}}, flags=("--scale-role", "router=0.5")),
    "an unknown role": Fault(nothing, UsageError, "'mpl' is no role|no role", vector={"scale_role": {"mpl": 0.5}}, flags=("--scale-role", "mpl=0.5")),
    "a range backwards": Fault(nothing, UsageError, "'3-1' runs backwards", vector={"scale_layers": {"3-1": 0.5}}, flags=("--scale-layers", "3-1=0.5")),
}  # fmt: skip

FAULTS = FILES | VALUES | QUANTISED | FIT | CHAT_FORMAT | RULES


@pytest.mark.parametrize("case", FAULTS)
def test_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str) -> None:
    fault = FAULTS[case]
    trio = write_trio(tmp_path / "in")
    fault.spoil(tmp_path / "in")
    before = tree(tmp_path / "in")
    output = tmp_path / "place" / "out"
    vector = {"base": str(trio.base), "chat": str(trio.chat), **fault.vector}
    with pytest.raises(fault.error, match=fault.message) as raised:
        apply(
            Recipe.from_mapping(
                {"target": str(trio.target), "vectors": [vector], "output": str(output), **fault.settings}
            )
        )
    assert "\n" not in str(raised.value)
    assert_nothing_left(tmp_path, before)

    code, out, err = command_line(capsys, "apply", *trio.arguments(), "-o", str(output), "--quiet", *fault.flags)
    assert (code, out) == (fault.error.exit_code, "")
    assert re.fullmatch(rf"chatvector: .*(?:{fault.message}).*\n", err)
    assert_nothing_left(tmp_path, before)


def assert_nothing_left(tmp_path: Path, before: dict[str, bytes]) -> None:
    assert tree(tmp_path / "in") == before
    assert [entry.name for entry in tmp_path.rglob("*out*")] == []


SWAPS = {
    "base and chat swapped": (("target", "chat", "base"), "base and chat are swapped .*exchange them"),
    "the target is the chat model's child": (("chat", "base", "chat"), "descends from the chat model"),
}


@pytest.mark.parametrize("case", SWAPS)
def test_swapped_parents(tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str) -> None:
    """From the sample, before the first byte, on a trio as far apart as real ones; `--force-lineage` goes on."""
    (target, base, chat), message = SWAPS[case]
    specs = trio_specs(Shape(hidden=48, layers=12, mlp=64))
    for seed, (role, step) in enumerate({"chat": 0.002, "target": 0.004}.items()):
        specs[role].weights = nudged(specs["base"].weights, 5 + seed, step)
    write_trio(tmp_path, specs)
    names = {role: str(tmp_path / role) for role in ("base", "chat", "target")}
    recipe = Recipe.from_mapping(
        {
            "target": names[target],
            "vectors": [{"base": names[base], "chat": names[chat]}],
            "output": str(tmp_path / "out"),
            "chat_format": "target",
        }
    )
    with pytest.raises(LineageError, match=rf"lineage.*{message}.*--force-lineage") as raised:
        apply(recipe)
    assert raised.value.exit_code == 3
    assert not (tmp_path / "out").exists()
    flags = ("--base", names[base], "--chat", names[chat], "--chat-format", "target", "-o", str(tmp_path / "out"))
    code, _, err = command_line(capsys, "apply", names[target], "--quiet", *flags)
    assert (code, err) == (3, f"chatvector: {raised.value}\n")
    result = apply(recipe.model_copy(update={"force_lineage": True}))
    assert any("lineage" in line for line in result.manifest["run"]["warnings"])


WARNED = {
    "context": ({"max_position_embeddings": 4096}, "max_position_embeddings"),
    "epsilon": ({"rms_norm_eps": 1e-6}, "rms_norm_eps"),
    "rope base": ({"rope_theta": 500000.0}, "rope theta"),
    "rope scaling": ({"rope_scaling": {"rope_type": "linear", "factor": 2.0}}, "rope factor"),
    "another head class": ({"architectures": ["LlamaForSequenceClassification"]}, "architectures"),
}


@pytest.mark.parametrize("case", WARNED)
def test_differences_that_are_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str) -> None:
    changes, message = WARNED[case]
    specs = trio_specs()
    specs["chat"].config |= changes
    trio = write_trio(tmp_path, specs)
    code, _, err = command_line(capsys, "apply", *trio.arguments(), "-o", str(tmp_path / "out"))
    assert code == 0
    assert [line for line in err.splitlines() if line.startswith("warning: ") and message in line]
