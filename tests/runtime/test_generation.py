# SPDX-License-Identifier: Apache-2.0
"""Generation against a model whose replies are known without running it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.utils import logging

from chatvector.errors import DamagedFile, MissingExtra, MissingInput
from chatvector.runtime.generation import Speaker, quiet_transformers

WORDS = ["<pad>", "<s>", "</s>", "<turn>", *"abcdefghijkl"]


@pytest.fixture
def counting(tmp_path: Path) -> Path:
    """A model that answers every token with the next one of the vocabulary: after `d` it writes `e f g …`.

    With attention and MLP outputs at zero the residual stream is the last token's embedding, row i is the i-th unit
    vector, and the head maps unit i to token i + 1; the last token leads to </s>.
    """
    size = len(WORDS)
    config = LlamaConfig(
        vocab_size=size,
        hidden_size=size,
        intermediate_size=4,
        num_hidden_layers=1,
        num_attention_heads=1,
        max_position_embeddings=64,
        tie_word_embeddings=False,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.get_parameter("model.norm.weight").fill_(1.0)
        model.get_parameter("model.embed_tokens.weight").copy_(torch.eye(size))
        head = model.get_parameter("lm_head.weight")
        for token in range(size - 1):
            head[token + 1, token] = 1.0
        head[2, size - 1] = 1.0
    with quiet_transformers():
        model.save_pretrained(tmp_path)
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(WORDS[:4])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    side = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "pad_token": "<pad>",
        "chat_template": "{{ bos_token }} {% for m in messages %}{{ m['content'] }} {% endfor %}",
    }
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(side))
    _stop_at(tmp_path, [2])
    return tmp_path


def _stop_at(model: Path, ids: list[int]) -> None:
    (model / "generation_config.json").write_text(json.dumps({"eos_token_id": ids, "pad_token_id": 0}))


def test_greedy_to_the_stop_token(counting: Path) -> None:
    (reply,) = Speaker(counting).continue_(["i"], max_new_tokens=10)
    assert (reply.text, reply.stopped, reply.tokens) == ("j k l", True, 4)


def test_the_limit_is_no_stop(counting: Path) -> None:
    (reply,) = Speaker(counting).continue_(["a"], max_new_tokens=3)
    assert (reply.text, reply.stopped, reply.tokens) == ("b c d", False, 3)


def test_stop_ids_come_from_the_generation_config(counting: Path) -> None:
    _stop_at(counting, [2, WORDS.index("f")])
    speaker = Speaker(counting)
    assert speaker.stop_ids == {2, WORDS.index("f")}
    (reply,) = speaker.continue_(["d"], max_new_tokens=9)
    assert (reply.text, reply.stopped, reply.tokens) == ("e", True, 2)


def test_a_stop_token_given_by_hand(counting: Path) -> None:
    speaker = Speaker(counting, stop_tokens=("g",))
    assert speaker.stop_ids == {2, WORDS.index("g")}
    (reply,) = speaker.continue_(["d"], max_new_tokens=9)
    assert (reply.text, reply.stopped, reply.tokens) == ("e f", True, 3)


def test_a_batch_says_what_each_says_alone(counting: Path) -> None:
    """Left padding must not change anything, whatever the lengths and the batch size."""
    speaker = Speaker(counting)
    prompts = ["a b c d e f g", "k", "a a a c", "j", "h h"]
    alone = [speaker.continue_([prompt], max_new_tokens=6)[0] for prompt in prompts]
    assert speaker.continue_(prompts, max_new_tokens=6) == alone
    assert speaker.continue_(prompts, max_new_tokens=6, batch=2) == alone
    assert [reply.text for reply in alone] == ["h i j k l", "l", "d e f g h i", "k l", "i j k l"]


def test_template_of_the_model_or_the_one_given(counting: Path) -> None:
    speaker = Speaker(counting)
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    assert speaker.render(messages) == "<s> a b "
    assert speaker.render(messages, "{{ messages | length }}") == "2"


def test_no_template_is_said_so(counting: Path) -> None:
    path = counting / "tokenizer_config.json"
    side = json.loads(path.read_text())
    del side["chat_template"]
    path.write_text(json.dumps(side))
    with pytest.raises(MissingInput, match=r"has no chat template: give one, or use a chat model"):
        Speaker(counting).render([{"role": "user", "content": "a"}])


def test_missing_weights_are_refused(counting: Path) -> None:
    weights = load_file(counting / "model.safetensors")
    del weights["model.norm.weight"]
    save_file(weights, counting / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DamagedFile, match=r"1 missing keys, the first is model\.norm\.weight"):
        Speaker(counting)


def test_left_over_weights_are_refused(counting: Path) -> None:
    weights = load_file(counting / "model.safetensors")
    weights["model.extra.weight"] = torch.zeros(2)
    save_file(weights, counting / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DamagedFile, match=r"1 unexpected keys, the first is model\.extra\.weight"):
        Speaker(counting)


def test_missing_directory(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match=r"no model at .*nowhere: config.json is not there"):
        Speaker(tmp_path / "nowhere")


def test_missing_tokenizer(counting: Path) -> None:
    (counting / "tokenizer_config.json").unlink()
    with pytest.raises(MissingInput, match=r"no tokenizer at .*tokenizer_config.json is not there"):
        Speaker(counting)


def test_missing_extra_names_the_install(counting: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtra, match=r"pip install 'chatvector\[local\]'") as caught:
        Speaker(counting)
    assert caught.value.exit_code == 7


def test_quiet_puts_everything_back() -> None:
    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    with quiet_transformers():
        assert logging.get_verbosity() == 40  # logging.ERROR of the standard library
        assert not logging.is_progress_bar_enabled()
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before
