# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer
from vocabulary_models import (
    CHATML,
    GEMMA,
    LLAMA31,
    QWEN,
    QWEN_PLAIN,
    QWEN_TOKENS,
    MemoryModel,
    byte_bpe,
    config_of,
    dump,
    family,
    qwen,
    sentencepiece_model,
    tokenizer_of,
    unigram,
)

from chatvector.errors import DamagedFile, UsageError
from chatvector.vocabulary.chat_format import read_chat_format
from chatvector.vocabulary.choice import choose_chat_format
from chatvector.vocabulary.files import ONE_STOP_ID, output_side_files
from chatvector.vocabulary.rows import VectorTables, VocabularyPlan, plan_vocabulary
from chatvector.vocabulary.selfcheck import check_chat_model
from chatvector.vocabulary.tokens import read_tokens

TEXT = "오늘 the dog <|im_start|> sleeps\n\n  in 今天"


def base_model(tokenizer: bytes, rows: int = 384, /, **files: Any) -> MemoryModel:
    """A target as continued pre-training leaves it: no template, the base model's end of text."""
    return MemoryModel(
        {
            "tokenizer.json": tokenizer,
            "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|endoftext|>"},
            "config.json": config_of(rows, eos_token_id=320, bos_token_id=320, pad_token_id=None),
            "generation_config.json": {"eos_token_id": 320, "temperature": 0.1},
            "LICENSE": b"text",
            **files,
        },
        "target",
    )


def moved(
    target: MemoryModel, chat: MemoryModel, rows: int = 384, **options: Any
) -> tuple[MemoryModel, dict[str, bytes | None], VocabularyPlan]:
    """The output's side files when the chat model's format moves to the target; base is the target."""
    mine, theirs = read_tokens(target), read_tokens(chat)
    choice = choose_chat_format("vector", read_chat_format(target, mine), [read_chat_format(chat, theirs)])
    tables = VectorTables(mine, theirs, rows, max(rows, theirs.size))
    plan = plan_vocabulary(mine, rows, [tables], choice=choice)
    changed = output_side_files(target, plan, choice, chat, **options)
    return target.with_files(changed), changed, plan


def one_line(tokenizer: bytes) -> bytes:
    return Tokenizer.from_str(tokenizer.decode()).to_str(pretty=False).encode()


TARGETS = {
    "bpe": byte_bpe(("<|endoftext|>",)),
    "bpe on one line": one_line(byte_bpe(("<|endoftext|>",))),
    "unigram": unigram(("<|endoftext|>",)),
    "reordered": byte_bpe(("<|im_end|>", "<|x|>", "<|endoftext|>")),
}


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("chat", [family(QWEN), family(LLAMA31), family(GEMMA)], ids=["qwen", "llama31", "gemma"])
def test_the_output_is_a_chat_model(name: str, chat: MemoryModel) -> None:
    target = base_model(TARGETS[name])
    out, changed, plan = moved(target, chat)
    expected = read_chat_format(chat, read_tokens(chat))
    report = check_chat_model(out, expected=expected)
    assert report.problems == ()
    assert expected is not None
    assert {token for token, _row in report.template_tokens} >= set(expected.template_tokens)
    assert all(plan.id_of(token) == row for token, row in report.template_tokens)
    assert set(changed) <= {"tokenizer.json", "tokenizer_config.json", "generation_config.json", "config.json"}


@pytest.mark.parametrize("name", TARGETS)
def test_transformers_loads_it_and_reads_text_as_before(name: str, tmp_path: Path) -> None:
    from transformers import AutoTokenizer, GenerationConfig

    target, chat = base_model(TARGETS[name]), qwen()
    out, _changed, plan = moved(target, chat)
    (tmp_path / "before").mkdir()
    (tmp_path / "after").mkdir()
    before: Any = AutoTokenizer.from_pretrained(target.write(tmp_path / "before"))
    after: Any = AutoTokenizer.from_pretrained(out.write(tmp_path / "after"))
    source: Any = AutoTokenizer.from_pretrained(chat.write(tmp_path))
    plain = TEXT.replace("<|im_start|>", "") if name != "reordered" else TEXT.replace("<|im_start|>", "<|x|>")
    assert after(plain).input_ids == before(plain).input_ids
    for token in (*QWEN_TOKENS, *QWEN_PLAIN):
        assert after.encode(token, add_special_tokens=False) == [plan.id_of(token)]
    assert after.eos_token == "<|im_end|>"
    assert after.pad_token == "<|endoftext|>"
    messages = [{"role": "user", "content": "안녕"}]
    rendered = after.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert rendered == source.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert after.decode(after.encode("hi<|im_end|>", add_special_tokens=False), skip_special_tokens=True) == "hi"
    settings = GenerationConfig.from_pretrained(tmp_path / "after")
    assert settings.eos_token_id == [plan.id_of("<|im_end|>"), plan.id_of("<|endoftext|>")]
    assert settings.top_p == 0.8


def test_only_what_must_change_changes() -> None:
    target = base_model(byte_bpe(("<|endoftext|>",)))
    before = target.json("tokenizer.json")
    out, changed, plan = moved(target, qwen())
    after = out.json("tokenizer.json")
    new = after["added_tokens"][len(before["added_tokens"]) :]
    assert after | {"added_tokens": before["added_tokens"]} == before
    assert [(entry["content"], entry["id"]) for entry in new] == list(plan.added)
    # The library writes the same text when it adds the same tokens itself.
    library = tokenizer_of(target.read_file("tokenizer.json"))
    library.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    library.add_tokens([AddedToken(text, normalized=False) for text in QWEN_PLAIN])
    assert changed["tokenizer.json"] == library.to_str(pretty=True).encode()
    config = out.json("config.json")
    assert config == {
        **target.json("config.json"),
        "eos_token_id": [plan.id_of("<|im_end|>"), 320],
        "pad_token_id": 320,
    }
    assert list(config) == list(target.json("config.json"))
    lines = set(target.read_file("tokenizer_config.json").decode().splitlines())
    kept = set(out.read_file("tokenizer_config.json").decode().splitlines())
    assert '  "tokenizer_class": "PreTrainedTokenizerFast",' in lines & kept


def test_nothing_changes_where_the_format_stays() -> None:
    target = family(QWEN)
    tokens = read_tokens(target)
    choice = choose_chat_format("target", read_chat_format(target, tokens), [None])
    plan = plan_vocabulary(tokens, 384, [VectorTables(tokens, tokens, 384, 384)], choice=choice)
    assert output_side_files(target, plan, choice, None) == {}
    again = family(QWEN)
    assert moved(again, family(QWEN))[1].keys() <= {"generation_config.json"}  # made, as it had none


def test_rows_added_change_vocab_size_wherever_it_stands() -> None:
    nested = config_of(321, text_config={"vocab_size": 321, "eos_token_id": 320}, eos_token_id=320)
    target = base_model(byte_bpe(("<|endoftext|>",)), **{"config.json": nested})
    out, _changed, plan = moved(target, qwen(), rows=321)
    assert plan.rows == 329
    config = out.json("config.json")
    stops = [plan.id_of("<|im_end|>"), plan.id_of("<|endoftext|>")]
    assert (config["vocab_size"], config["text_config"]) == (329, {"vocab_size": 329, "eos_token_id": stops})
    assert check_chat_model(out).ok


@pytest.mark.parametrize("model_type", ONE_STOP_ID)
def test_one_stop_id_where_the_class_takes_no_list(model_type: str) -> None:
    """What ends an answer, where config.json is all that an engine reads; generation_config.json has them all."""
    nested = config_of(384, text_config={"model_type": model_type, "eos_token_id": 320}, eos_token_id=320)
    out, _changed, plan = moved(base_model(byte_bpe(("<|endoftext|>",)), **{"config.json": nested}), qwen())
    stops = [plan.id_of("<|im_end|>"), plan.id_of("<|endoftext|>")]
    config = out.json("config.json")
    assert (config["eos_token_id"], config["text_config"]["eos_token_id"]) == (stops, stops[0])
    assert out.json("generation_config.json")["eos_token_id"] == stops


def test_the_tie_flag_is_written_only_when_asked() -> None:
    target = base_model(byte_bpe(("<|endoftext|>",)), **{"config.json": config_of(384, tie_word_embeddings=True)})
    assert moved(target, qwen())[0].json("config.json")["tie_word_embeddings"] is True
    assert moved(target, qwen(), tie_word_embeddings=False)[0].json("config.json")["tie_word_embeddings"] is False
    bare = base_model(byte_bpe(("<|endoftext|>",)))
    assert "tie_word_embeddings" not in moved(bare, qwen())[0].json("config.json")
    assert moved(bare, qwen(), tie_word_embeddings=True)[0].json("config.json")["tie_word_embeddings"] is True


def test_generation_settings_are_the_chat_models_with_ids_by_string() -> None:
    chat = qwen()
    ids = read_tokens(chat).ids
    settings = {
        "_from_model_config": True,
        "bos_token_id": ids["<|endoftext|>"],
        "decoder_start_token_id": None,
        "eos_token_id": ids["<|im_end|>"],
        "pad_token_id": 9_999,
        "suppress_tokens": [ids["<think>"], 9_999],
        "bad_words_ids": [[ids["<tool_call>"]], [9_999]],
        "temperature": 0.70,
        "top_k": 20,
    }
    chat = qwen(**{"generation_config.json": settings, "config.json": config_of(384)})
    out, _changed, plan = moved(base_model(byte_bpe(("<|x|>", "<|endoftext|>"))), chat)
    assert out.json("generation_config.json") == {
        "bos_token_id": 321,
        "decoder_start_token_id": None,
        "eos_token_id": plan.id_of("<|im_end|>"),
        "suppress_tokens": [plan.id_of("<think>")],
        "bad_words_ids": [[plan.id_of("<tool_call>")]],
        "temperature": 0.7,
        "top_k": 20,
    }


def test_stop_ids_without_any_generation_settings() -> None:
    target = base_model(byte_bpe(("<|endoftext|>",)))
    del target.contents["generation_config.json"]
    out, _changed, plan = moved(target, family(CHATML))
    assert out.json("generation_config.json") == {"pad_token_id": 320, "eos_token_id": plan.id_of("<|im_end|>")}
    assert out.read_file("generation_config.json").endswith(b"\n}\n")


def test_the_template_goes_where_it_wins() -> None:
    target = base_model(
        byte_bpe(("<|endoftext|>",)),
        **{
            "chat_template.jinja": GEMMA.replace("bos_token", "''").encode(),
            "additional_chat_templates/old.jinja": CHATML.encode(),
            "chat_template.json": {"chat_template": "stale", "other": 1},
        },
    )
    out, changed, _plan = moved(target, qwen())
    assert changed["additional_chat_templates/old.jinja"] is None
    assert out.read_file("chat_template.jinja").decode() == QWEN == out.json("tokenizer_config.json")["chat_template"]
    assert out.json("chat_template.json") == {"chat_template": QWEN, "other": 1}


def test_a_chat_model_with_a_jinja_file_brings_it(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    chat = qwen(**{"chat_template.jinja": QWEN.encode(), "additional_chat_templates/tool_use.jinja": CHATML.encode()})
    out, _changed, _plan = moved(base_model(byte_bpe(("<|endoftext|>",))), chat)
    assert out.read_file("chat_template.jinja").decode() == QWEN
    assert out.read_file("additional_chat_templates/tool_use.jinja").decode() == CHATML
    both = [{"name": "default", "template": QWEN}, {"name": "tool_use", "template": CHATML}]
    assert out.json("tokenizer_config.json")["chat_template"] == both
    loaded: Any = AutoTokenizer.from_pretrained(out.write(tmp_path))
    assert loaded.chat_template == {"default": QWEN, "tool_use": CHATML}


def test_a_template_in_the_json_key_alone_makes_no_jinja_file() -> None:
    assert "chat_template.jinja" not in moved(base_model(byte_bpe(("<|endoftext|>",))), qwen())[0].files


def test_special_tokens_in_the_old_map_keep_its_shape() -> None:
    flags = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
    old = {
        "eos_token": {"content": "<|endoftext|>", **flags},
        "pad_token": "<|x|>",
        "additional_special_tokens": ["<|x|>"],
    }
    target = base_model(byte_bpe(("<|endoftext|>", "<|x|>")), **{"special_tokens_map.json": old})
    out = moved(target, qwen())[0]
    assert out.json("special_tokens_map.json") == {
        "eos_token": {"content": "<|im_end|>", **flags},
        "pad_token": "<|endoftext|>",
        "additional_special_tokens": ["<|x|>", "<|im_start|>", "<|im_end|>"],
    }
    assert "additional_special_tokens" not in out.json("tokenizer_config.json")


def test_tokens_of_the_target_that_are_cut_into_pieces_become_added_ones() -> None:
    tokenizer = json.loads(byte_bpe(("<|endoftext|>",)))
    tokenizer["model"]["vocab"] |= {
        "<|endoftext|>": 320,
        "<|im_end|>": 321,
    }  # in the vocabulary, yet no text is ever read as it
    target = base_model(dump(tokenizer))
    library = tokenizer_of(target.read_file("tokenizer.json"))
    assert len(library.encode("<|im_end|>").ids) > 1
    out, _changed, plan = moved(target, qwen())
    assert plan.id_of("<|im_end|>") == 321
    assert tokenizer_of(out.read_file("tokenizer.json")).encode("<|im_end|>").ids == [321]
    assert check_chat_model(out).ok


def test_flags_that_cut_text_differently_become_the_chat_models() -> None:
    chat = qwen()
    tokenizer = chat.json("tokenizer.json")
    tokenizer["added_tokens"][2]["rstrip"] = True
    chat.contents["tokenizer.json"] = dump(tokenizer)
    target = base_model(byte_bpe((), ("<|endoftext|>", "<|im_end|>")))
    entries = {entry["content"]: entry for entry in moved(target, chat)[0].json("tokenizer.json")["added_tokens"]}
    assert (entries["<|im_end|>"]["rstrip"], entries["<|im_end|>"]["special"], entries["<|im_end|>"]["id"]) == (
        True,
        True,
        321,
    )
    assert entries["<|endoftext|>"]["special"]


def test_the_decoder_table_and_the_old_list_are_kept_in_step(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    decoder = {"320": {"content": "<|endoftext|>", "special": True}}
    target = base_model(
        byte_bpe(("<|endoftext|>",)),
        **{
            "tokenizer_config.json": {"added_tokens_decoder": decoder, "tokenizer_class": "PreTrainedTokenizerFast"},
            "added_tokens.json": {"<|endoftext|>": 320},
        },
    )
    out, _changed, plan = moved(target, qwen())
    assert {
        row: entry["content"] for row, entry in out.json("tokenizer_config.json")["added_tokens_decoder"].items()
    } == {
        "320": "<|endoftext|>",
        **{str(row): token for token, row in plan.added},
    }
    assert out.json("added_tokens.json") == {"<|endoftext|>": 320, **dict(plan.added)}
    loaded: Any = AutoTokenizer.from_pretrained(out.write(tmp_path))
    assert loaded.convert_tokens_to_ids("<|im_end|>") == plan.id_of("<|im_end|>")
    assert len(loaded) == 329


@pytest.mark.parametrize("pinned", [True, False])
def test_a_vocabulary_with_gaps(pinned: bool) -> None:
    tokenizer = json.loads(byte_bpe(("<|endoftext|>",)))
    tokenizer["model"]["vocab"] |= {"<far>": 350, **({"<|endoftext|>": 320} if pinned else {})}
    tokenizer["model"]["vocab"].pop("!")
    target = base_model(dump(tokenizer))
    out, _changed, plan = moved(target, qwen())
    assert plan.added[0] == ("<|im_start|>", 351)
    library = tokenizer_of(out.read_file("tokenizer.json"))
    assert library.encode("<|im_start|>").ids == [351]
    assert library.encode("<|endoftext|>").ids == [320]
    assert check_chat_model(out).problems == ()


def test_two_names_for_one_row() -> None:
    """The tokenizers library numbers added tokens by how many names there are, not by how many rows."""
    tokenizer = json.loads(byte_bpe(("<|endoftext|>",)))
    tokenizer["model"]["vocab"] |= {"<twin>": 5}
    tokenizer["added_tokens"][0]["id"] += 1
    out, _changed, plan = moved(base_model(dump(tokenizer)), qwen())
    token, row = plan.added[0]
    assert tokenizer_of(out.read_file("tokenizer.json")).encode(token).ids == [row]
    assert check_chat_model(out).problems == ()


@pytest.mark.parametrize("decoder", [True, False])
def test_a_sentencepiece_target(decoder: bool, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    config: dict[str, Any] = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>"}
    if decoder:
        specials = ("<unk>", "<s>", "</s>")
        config["added_tokens_decoder"] = {
            str(row): {"content": text, "special": True, "normalized": False} for row, text in enumerate(specials)
        }
    pieces = sentencepiece_model()
    size = read_tokens(MemoryModel({"tokenizer.model": pieces})).size
    target = MemoryModel(
        {
            "tokenizer.model": pieces,
            "tokenizer_config.json": config,
            "special_tokens_map.json": {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"},
            "config.json": config_of(size, eos_token_id=2),
        },
        "target",
    )
    out, changed, plan = moved(target, qwen(), rows=size)
    assert plan.id_of("<|im_start|>") is not None
    assert ("added_tokens.json" in changed) != decoder
    assert check_chat_model(out, expected=read_chat_format(qwen(), read_tokens(qwen()))).problems == ()
    assert out.json("config.json")["vocab_size"] == plan.rows >= size + 9
    (tmp_path / "before").mkdir()
    (tmp_path / "after").mkdir()
    before: Any = AutoTokenizer.from_pretrained(target.write(tmp_path / "before"))
    after: Any = AutoTokenizer.from_pretrained(out.write(tmp_path / "after"))
    assert after("the dog 오늘").input_ids == before("the dog 오늘").input_ids
    for token, row in plan.added:
        assert after.encode(token, add_special_tokens=False) == [row]
    assert after.decode([*after("the dog").input_ids, plan.id_of("<|im_end|>")], skip_special_tokens=True) == "the dog"


def test_korean_and_escapes_in_configurations_stay_as_they_are() -> None:
    raw = '{"가": "나", "x": "\\u00e9" }\n\n'
    target = base_model(byte_bpe(("<|endoftext|>",)), **{"tokenizer_config.json": raw.encode()})
    text = moved(target, qwen())[0].read_file("tokenizer_config.json").decode()
    assert text.startswith('{"가": "나", "x": "\\u00e9"')
    assert text.endswith("}\n\n")


@pytest.mark.parametrize(("wish", "said"), [("none", ""), ("You are 김.", "You are 김.")])
@pytest.mark.parametrize("choice", ["vector", "target"])
def test_the_system_prompt_is_replaced_everywhere_when_asked(wish: str, said: str, choice: str) -> None:
    chat = qwen(**{"chat_template.jinja": QWEN.encode()})
    target = base_model(byte_bpe(("<|endoftext|>",))) if choice == "vector" else chat
    if choice == "vector":
        out = moved(target, chat, system_prompt=wish)[0]
    else:
        tokens = read_tokens(target)
        chosen = choose_chat_format("target", read_chat_format(target, tokens), [None])
        plan = plan_vocabulary(tokens, 384, [VectorTables(tokens, tokens, 384, 384)], choice=chosen)
        changed = output_side_files(target, plan, chosen, None, system_prompt=wish)
        assert set(changed) == {"chat_template.jinja", "tokenizer_config.json"}
        out = target.with_files(changed)
    found = read_chat_format(out, read_tokens(out))
    assert found is not None
    assert (found.injected_system_prompt or "") == said
    assert check_chat_model(out).ok


def test_a_system_prompt_without_a_template() -> None:
    target = base_model(byte_bpe(("<|endoftext|>",)))
    tokens = read_tokens(target)
    choice = choose_chat_format("target", None, [None])
    plan = plan_vocabulary(tokens, 384, [VectorTables(tokens, tokens, 384, 384)], choice=choice)
    assert output_side_files(target, plan, choice, None) == {}
    with pytest.raises(UsageError, match="--system-prompt: target has no chat template"):
        output_side_files(target, plan, choice, None, system_prompt="none")


def test_a_broken_file_of_the_target_is_named() -> None:
    target = base_model(byte_bpe(("<|endoftext|>",)), **{"config.json": b"{"})
    with pytest.raises(DamagedFile, match=r"target/config.json: line 1, column 2 is no JSON"):
        moved(target, qwen())


def test_the_chat_models_ids_mean_nothing_in_the_output() -> None:
    """What a copied configuration would do: the chat model's stop id is another token in the target."""
    target = base_model(byte_bpe(("<|x|>", "<|y|>", "<|z|>", "<|endoftext|>")))
    out, _changed, plan = moved(target, qwen())
    theirs = read_tokens(qwen()).ids["<|im_end|>"]
    assert read_tokens(out).names()[theirs] == "<|z|>"
    assert theirs not in out.json("generation_config.json")["eos_token_id"]
    assert plan.id_of("<|im_end|>") in out.json("generation_config.json")["eos_token_id"]
