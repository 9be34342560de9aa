# SPDX-License-Identifier: Apache-2.0
"""Every fault the doctor knows: a stable code, its severity, its consequence, its cure. Data, no code.

`fault`: the model cannot be loaded, does not compute what it was made for, or does not chat or stop.
`warning`: it works here and breaks elsewhere, or wastes space. `note`: worth knowing. The code of a fault never changes
its meaning; docs/doctor.md is made from this table.
"""

from __future__ import annotations

from dataclasses import dataclass

from chatvector.checks.doctor.fault import Fault, Level

TABLE = (
    # ---- files of any kind
    Fault(
        "file-unreadable",
        "fault",
        "the model cannot be loaded, or not as it was meant: the file is there and you cannot read it",
        "give yourself the right to read it (chmod, chown), or bring back what the link leads to",
    ),
    # ---- files of weights
    Fault(
        "index-damaged",
        "fault",
        "no loader finds the weights",
        "copy the mended index, or delete it beside a single model.safetensors",
        mended=True,
    ),
    Fault(
        "index-missing",
        "fault",
        "transformers and most engines look for numbered shards in the index only: the model cannot be loaded",
        "copy the mended index",
        mended=True,
    ),
    Fault(
        "index-stale",
        "fault",
        "some loaders read the files the index names, others model.safetensors: two different models in one directory",
        "delete the older of the two; the mended index names model.safetensors",
        mended=True,
    ),
    Fault(
        "index-missing-files",
        "fault",
        "the model cannot be loaded",
        "fetch the missing shards again, or merge again; where the set is whole without them, copy the mended index",
        mended=True,
    ),
    Fault(
        "index-wrong",
        "fault",
        "tensors are not found, or are left out without a word",
        "copy the mended index, which lists what the shards hold",
        mended=True,
    ),
    Fault(
        "index-size", "warning", "tools that plan memory by the index are misled", "copy the mended index", mended=True
    ),
    Fault("shards-incomplete", "fault", "the model cannot be loaded", "fetch the missing shards again, or merge again"),
    Fault(
        "shards-orphaned",
        "warning",
        "no loader reads them, but they are uploaded and downloaded with the model; often left by an interrupted run",
        "delete them, after a look whether the index should name them",
    ),
    Fault("weights-damaged", "fault", "the model cannot be loaded", "fetch the file again, or merge again"),
    Fault(
        "tensor-twice", "fault", "which of the two is taken depends on the loader", "keep the shards of one run only"
    ),
    Fault(
        "weights-pickled",
        "warning",
        "loading a pickle can run code of whoever wrote it, so many loaders refuse it",
        "take the model's safetensors version, or write one: chatvector apply does for a target",
    ),
    Fault(
        "other-weights",
        "warning",
        "the same weights, or others, a second time: which are read depends on the loader",
        "delete what is not meant",
    ),
    Fault(
        "adapter",
        "fault",
        "where peft is installed, transformers loads the base that the adapter names and not these weights, or fails",
        "delete adapter_config.json; to use the adapter, merge it into its own base first",
    ),
    Fault("leftovers", "warning", "files of an interrupted or training run travel with the model", "delete them"),
    # ---- tensors against the configuration
    Fault(
        "config-missing",
        "fault",
        "no loader knows the architecture",
        "copy config.json of the parent that the weights were made from",
    ),
    Fault(
        "config-damaged",
        "fault",
        "no loader reads it, so none knows the architecture",
        "copy config.json of the parent that the weights were made from, as UTF-8 without a byte-order mark",
    ),
    Fault(
        "config-values",
        "fault",
        "values that are no sizes, no numbers, no name, no way to turn positions or no type: no loader accepts them, or"
        " every reply is noise",
        "copy config.json of the parent that the weights were made from",
    ),
    Fault(
        "embedding-missing",
        "fault",
        "transformers fills it with random numbers and only warns",
        "merge again with a tool that keeps every tensor",
    ),
    Fault(
        "layers-missing",
        "fault",
        "transformers fills them with random numbers and only warns",
        "merge again, or set num_hidden_layers to what is there if layers were cut on purpose",
    ),
    Fault(
        "layers-extra",
        "fault",
        "loaders ignore them: the model is shorter than its file",
        "set num_hidden_layers to what is there",
    ),
    Fault(
        "tensors-irregular",
        "fault",
        "single layers lack tensors that all their sisters have; loaders fill them with random numbers",
        "merge again with a tool that keeps every tensor",
    ),
    Fault(
        "tensors-missing",
        "fault",
        "layers lack what every layer of this architecture has; transformers fills it with random numbers and only"
        " warns",
        "merge again with a tool that keeps every tensor",
    ),
    Fault(
        "biases-dropped",
        "fault",
        "the configuration promises biases that are not there: loaders take random or zero ones, trained ones are lost",
        "merge again with a tool that keeps every tensor; setting the flag to false does not bring them back",
    ),
    Fault(
        "biases-ignored",
        "fault",
        "the file holds biases that the configuration switches off: loaders leave them out",
        "set the flag that the message names to true",
    ),
    Fault(
        "norms-dropped",
        "fault",
        "query and key norms of this architecture are missing: loaders take gains of one",
        "merge again with a tool that keeps every tensor",
    ),
    Fault("norm-missing", "fault", "the last norm is missing: loaders take gains of one", "merge again"),
    Fault("experts-missing", "fault", "loaders fill the experts with random numbers", "merge again"),
    Fault(
        "experts-fused",
        "warning",
        "the layout of transformers 5 in memory: converters and other engines look for one tensor an expert",
        "load it with transformers 5 and save it again, which writes the published layout",
    ),
    Fault("shapes-differ", "fault", "the model cannot be loaded", "take the configuration that belongs to the weights"),
    Fault("code-missing", "fault", "the model cannot be loaded", "copy the *.py files of the parent"),
    # ---- vocabulary
    Fault(
        "vocab-size",
        "fault",
        "the model cannot be loaded, or loads with an embedding of random numbers",
        "set vocab_size to the rows of the embedding, as the mended config.json does",
        mended=True,
    ),
    Fault(
        "head-missing",
        "fault",
        "the configuration promises an output head of its own and there is none: it becomes random numbers",
        "merge again; if head and embedding were meant to be one, set tie_word_embeddings to true",
    ),
    Fault(
        "head-ignored",
        "fault",
        "the head in the file differs from the embedding, but tie_word_embeddings says they are one:"
        " engines that follow the flag compute other words",
        "set tie_word_embeddings to false, as the mended config.json does",
        mended=True,
    ),
    Fault(
        "head-doubled",
        "warning",
        "a tied head is stored a second time: the file is larger by one embedding",
        "leave it, or save the model again with transformers",
    ),
    Fault(
        "head-rows",
        "fault",
        "head and embedding have different numbers of rows: the model cannot be loaded",
        "merge again with one vocabulary policy for both",
    ),
    Fault(
        "tokenizer-missing",
        "fault",
        "nobody can talk to the model",
        "copy the tokenizer of the parent whose vocabulary the weights have",
    ),
    Fault("side-file-damaged", "fault", "no loader reads the file", "copy it from the parent again"),
    Fault("tokenizer-damaged", "fault", "the tokenizer does not load", "copy the parent's files again"),
    Fault(
        "tokenizer-larger",
        "fault",
        "tokens without a row: the first text that holds one ends with an index error",
        "take the tokenizer that belongs to the weights; rows that were cut off need another merge",
    ),
    Fault(
        "padding-lost",
        "warning",
        "the embedding was cut to the tokenizer's length: other merges of the family and tensor parallelism do not fit",
        "merge again with a tool that keeps padding rows",
    ),
    Fault(
        "ids-beyond-vocab",
        "fault",
        "bos, eos or pad is an id that the embedding lacks: index errors, replies that never end, or, for pad in"
        " config.json, a model that does not load",
        "copy the ids of the tokenizer's own special tokens, which the mended files have",
        mended=True,
    ),
    Fault(
        "ids-of-another-family",
        "fault",
        "eos is the id of an ordinary word, or of none: replies break off at that word, or never end",
        "copy the ids of the tokenizer's own special tokens; the mended generation_config.json has them",
        mended=True,
    ),
    Fault(
        "bos-differs",
        "warning",
        "engines that take bos from the configuration begin prompts unlike those that ask the tokenizer",
        "make bos_token_id the id of the tokenizer's bos_token",
    ),
    # ---- chat format
    Fault(
        "template-missing",
        "fault",
        "calls it a chat model and cannot be chatted with: prompts are rendered by guesswork or not at all",
        "put the chat parent's chat_template into tokenizer_config.json, with its special tokens and stop ids",
    ),
    Fault(
        "template-absent",
        "warning",
        "the model was tuned to turns and nothing says how to write them",
        "put the chat parent's chat_template into tokenizer_config.json, with its special tokens and stop ids",
    ),
    Fault("template-damaged", "fault", "no prompt can be rendered", "copy the chat parent's template again"),
    Fault(
        "template-ignores-user",
        "fault",
        "the template leaves out what the user writes: the model answers something else",
        "copy the chat parent's template again",
    ),
    Fault(
        "template-no-prompt",
        "warning",
        "the template never begins the assistant's turn, asked to or not: the model has to, and may go on as the user",
        "write the assistant's header where add_generation_prompt is true, as the chat parent's template does",
    ),
    Fault(
        "templates-differ",
        "fault",
        "chat_template.jinja and tokenizer_config.json hold different templates; loaders take different ones",
        "keep the one that was meant; where one alone fits the tokenizer, copy the mended file, which has it",
        mended=True,
    ),
    Fault(
        "template-one-place",
        "warning",
        "the template lies in chat_template.jinja alone: older loaders and some engines look only into"
        " tokenizer_config.json",
        "copy the mended tokenizer_config.json",
        mended=True,
    ),
    Fault(
        "turn-end-is-text",
        "fault",
        "what ends a turn in the template is no token of this tokenizer but several: the model cannot stop at it",
        "add the token with the chat parent's row, as `chatvector apply` does",
    ),
    Fault(
        "template-tokens-missing",
        "warning",
        "control tokens of the template are no tokens of this tokenizer: the model reads them as plain text",
        "if the chat parent's tokenizer has them, they and their rows have to be added",
    ),
    Fault(
        "token-split",
        "fault",
        "a token of the template is cut into pieces: the model reads a prompt it has never seen",
        "mark it as an added special token in tokenizer.json",
    ),
    Fault(
        "token-untrained",
        "fault",
        "the template uses a token whose row nobody trained: the model cannot read turns, or cannot end its own",
        "copy the chat parent's rows of these tokens, as `chatvector apply` does",
    ),
    Fault(
        "tool-token-untrained",
        "warning",
        "tool calls or thinking use a token whose row nobody trained",
        "copy the chat parent's rows of these tokens, if you use tools or thinking",
    ),
    Fault(
        "stop-missing",
        "fault",
        "the reply does not end: what ends the assistant's turn is no stop id",
        "add it to eos_token_id, as the mended generation_config.json does",
        mended=True,
    ),
    Fault(
        "stop-unknown",
        "fault",
        "nothing ends the assistant's turn: no eos, and no special token after a reply",
        "name the end-of-turn token in tokenizer_config.json and its id in generation_config.json",
    ),
    Fault(
        "generation-config-missing",
        "warning",
        "stop ids stand in config.json alone: transformers takes them from there, what reads generation_config.json"
        " only has none",
        "copy the mended generation_config.json",
        mended=True,
    ),
    # ---- numbers
    Fault(
        "non-finite",
        "fault",
        "NaN or infinity in the weights: every reply is noise",
        "merge again; look for the parent that has them",
    ),
    Fault(
        "weight-huge",
        "fault",
        "a number beyond 1,000 in a weight matrix, where trained ones are hundredths to tenths: replies are noise",
        "fetch the file again, or merge again: bits that flipped on a disk or on the way make such numbers",
    ),
    Fault(
        "tensor-zero",
        "fault",
        "a weight matrix or the last norm is all zero, as far as it was looked at: its layer does nothing, and behind"
        " such a norm every reply is noise",
        "merge again; zero is what some tools write for what they cannot find",
    ),
    Fault(
        "rows-zero",
        "warning",
        "tokens whose row is zero mean nothing to the model",
        "merge again with rows matched by token, or retrain them",
    ),
    Fault(
        "scales-ignored",
        "fault",
        "the weights are codes of a quantised parent without its scales: they are wrong by factors of hundreds",
        "merge again from the parent's BF16 version",
    ),
    Fault(
        "quantised-unsaid",
        "fault",
        "the weights are quantised and config.json does not say how: loaders read codes as numbers",
        "copy quantization_config from the parent, or take the BF16 version",
    ),
    Fault(
        "quantised-stale",
        "fault",
        "config.json says quantised, every tensor is plain: loaders refuse the model or look for scales",
        "delete quantization_config from config.json",
    ),
    Fault("quantised", "note", "weights cannot be checked and cannot be merged", "take the BF16 version for merging"),
    Fault(
        "dtype-differs",
        "warning",
        "the file is larger (or coarser) than the configuration says",
        "merge again with the output dtype of the target, or correct dtype in config.json",
    ),
    # ---- where it comes from
    Fault(
        "manifest-damaged",
        "warning",
        "what was merged cannot be shown: verify, run and push refuse the model",
        "take the manifest from where the model came, or merge again",
    ),
    Fault(
        "mergekit",
        "note",
        "made by mergekit",
        "compare the parent named with the one whose vocabulary and chat format you want",
    ),
    Fault(
        "tokenizer-parent",
        "warning",
        "tokenizer and configuration come from the parent that was subtracted: words that the target learnt have no"
        " token",
        "merge again with tokenizer and root of the continually pre-trained model: chatvector apply",
    ),
    Fault(
        "positions-differ",
        "warning",
        "positions are turned otherwise than in the parent that gave the configuration: unless the weights were tuned"
        " for it, replies are noise",
        "take rope_scaling, rope_theta or rope_parameters of that parent",
    ),
    Fault(
        "not-a-chat-vector",
        "note",
        "the recipe adds no difference of chat and base: it moves from one model towards another",
        "if a chat vector was meant: chatvector apply TARGET --base BASE --chat CHAT",
    ),
    Fault(
        "recipe-keys",
        "warning",
        "mergekit passes over keys that it does not know: what was meant by them did not happen",
        "correct them and merge again; chatvector run refuses such a recipe",
    ),
    Fault(
        "recipe-path",
        "warning",
        "mergekit takes what follows @ for a revision and + for an adapter: another model may have been read",
        "rename the directory and merge again",
    ),
    Fault(
        "half-arithmetic",
        "note",
        "differences and sums were rounded to 16 bits on the way: some weights are not what the formula gives",
        "merge with dtype: float32 and out_dtype: bfloat16, or by chatvector apply",
    ),
    Fault(
        "tokenizer-class",
        "warning",
        "tokenizer_class TokenizersBackend: transformers before 5 and engines built on it do not know the class",
        "put the parent's tokenizer_class back",
    ),
    Fault(
        "config-leak",
        "warning",
        "keys of the machine that saved it (is_local, local_files_only) keep others from loading or updating it",
        "copy the mended tokenizer_config.json",
        mended=True,
    ),
    Fault(
        "readme-base",
        "warning",
        "the card names other parents than the merge recipe beside it",
        "correct base_model in README.md",
    ),
)

CATALOGUE: dict[str, Fault] = {fault.code: fault for fault in TABLE}


@dataclass(frozen=True)
class Finding:
    """A fault that was found: its code, and a text that says where and how many."""

    code: str
    detail: str

    @property
    def fault(self) -> Fault:
        """The entry of the catalogue."""
        return CATALOGUE[self.code]

    @property
    def level(self) -> Level:
        """Severity of the fault."""
        return self.fault.level

    def as_dict(self) -> dict[str, object]:
        """Plain data."""
        known = self.fault
        return {
            "code": known.code,
            "level": known.level,
            "detail": self.detail,
            "consequence": known.consequence,
            "cure": known.cure,
            "mended_by_fix": known.mended,
        }
