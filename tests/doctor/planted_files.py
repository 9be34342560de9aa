# SPDX-License-Identifier: Apache-2.0
"""Faults beside the weights: vocabulary, chat format, traces of other tools."""

from __future__ import annotations

import numpy as np
import yaml

from builders import BF16
from doctor.patients import EMBEDDING, HEAD, Body, planted

# ---- vocabulary -----------------------------------------------------------------------------------------------------


@planted("vocab-size", words=("vocab_size 128", "64 rows"))
def vocab_size_of_another_parent(body: Body) -> None:
    with body.json("config.json") as config:
        config["vocab_size"] = 128


@planted("vocab-size", words=("vocab_size_per_layer_input 40", "embed_tokens_per_layer.weight has 64 rows"))
def per_layer_embeddings_of_another_size(body: Body) -> None:
    with body.weights() as weights:
        weights["model.embed_tokens_per_layer.weight"] = weights[EMBEDDING].copy()
    with body.json("config.json") as config:
        config["vocab_size_per_layer_input"] = 40


@planted("vocab-size", "tokenizer-larger", "ids-beyond-vocab", words=("beyond 12 rows",))
def embedding_cut_to_the_shortest_vocabulary(body: Body) -> None:
    with body.weights() as weights:
        for name in (EMBEDDING, HEAD):
            weights[name] = weights[name][:12].copy()


@planted("head-missing")
def head_dropped(body: Body) -> None:
    with body.weights() as weights:
        del weights[HEAD]


@planted("head-missing", model="tied", words=("means false for model_type llama",))
def tie_flag_lost(body: Body) -> None:
    with body.json("config.json") as config:
        del config["tie_word_embeddings"]


@planted("head-ignored", words=(HEAD,))
def flag_says_tied_head_differs(body: Body) -> None:
    with body.json("config.json") as config:
        config["tie_word_embeddings"] = True


@planted("head-doubled", model="tied")
def tied_head_stored_again(body: Body) -> None:
    with body.weights() as weights:
        weights[HEAD] = weights[EMBEDDING].copy()


@planted("head-rows", words=("48 rows",))
def head_of_another_length(body: Body) -> None:
    with body.weights() as weights:
        weights[HEAD] = weights[HEAD][:48].copy()


@planted("tokenizer-missing")
def tokenizer_lost_because_the_card_failed(body: Body) -> None:
    body.remove("tokenizer.json", "tokenizer_config.json")


@planted("tokenizer-damaged", words=("tokenizer.json",))
def broken_tokenizer(body: Body) -> None:
    body.write("tokenizer.json", "{")


@planted("padding-lost", "vocab-size", words=("multiples of 64",))
def padding_rows_cut(body: Body) -> None:
    with body.json("config.json") as config:
        config |= {"model_type": "phi3", "vocab_size": 64}
    rng = np.random.default_rng(0)
    rows = 1025
    with body.json("tokenizer.json") as tokenizer:
        ids = body.ids()
        tokenizer["model"]["vocab"] |= ids
        for row in sorted(set(range(rows)) - set(ids.values())):
            tokenizer["model"]["vocab"][f"word{row}"] = row
    with body.weights() as weights:
        for name in (EMBEDDING, HEAD):
            extra = (rng.standard_normal((rows - 64, 16)) * 0.05).astype(BF16)
            weights[name] = np.concatenate([weights[name], extra])


@planted("ids-beyond-vocab", "stop-missing", words=("eos_token_id 128009",))
def eos_beyond_the_vocabulary(body: Body) -> None:
    with body.json("generation_config.json") as config:
        config["eos_token_id"] = 128009


@planted("ids-beyond-vocab", words=("pad_token_id 9999 of config.json; the embedding has 64 rows",))
def pad_beyond_the_embedding_in_config_json_alone(body: Body) -> None:
    with body.json("config.json") as config:
        config["pad_token_id"] = 9999
    with body.json("generation_config.json") as settings:
        settings["pad_token_id"] = 1


@planted("ids-beyond-vocab", words=("pad_token_id -65 of config.json",))
def pad_beyond_the_embedding_counted_from_its_end(body: Body) -> None:
    with body.json("config.json") as config:
        config["pad_token_id"] = -65


@planted("side-file-damaged", words=("generation_config.json: pad_token_id is [1], no number",))
def list_of_pads(body: Body) -> None:
    with body.json("generation_config.json") as settings:
        settings["pad_token_id"] = [1]


@planted("ids-of-another-family", "stop-missing", words=("bos_token_id 4", "eos_token_id 3", "pad_token_id 3"))
def ids_of_another_family(body: Body) -> None:
    with body.json("generation_config.json") as config:
        config |= {"bos_token_id": 4, "eos_token_id": 3, "pad_token_id": 3}


@planted("bos-differs", words=("bos_token '<s>'",))
def bos_of_the_configuration_is_another(body: Body) -> None:
    with body.json("generation_config.json") as config:
        config["bos_token_id"] = 1


# ---- chat format ----------------------------------------------------------------------------------------------------

MERGEKIT = """\
merge_method: task_arithmetic
base_model: {root}
models:
  - model: org/ko-base
    parameters: {{weight: {target}}}
  - model: org/llama-chat
    parameters: {{weight: 1.0}}
  - model: org/llama
    parameters: {{weight: {base}}}
dtype: float32
out_dtype: bfloat16
"""


def without_template(body: Body) -> None:
    with body.json("tokenizer_config.json") as config:
        del config["chat_template"]


@planted("template-missing", "mergekit", words=("org/llama-chat is among its parents", "from org/ko-base"))
def mergekit_takes_the_tokenizer_of_the_target(body: Body) -> None:
    without_template(body)
    body.write("mergekit_config.yml", MERGEKIT.format(root="org/ko-base", target=1.0, base=-1.0))


@planted("template-no-prompt", words=("an answer begins with '<|assistant|>', no prompt ends with it",))
def template_that_never_begins_an_answer(body: Body) -> None:
    with body.template() as text:
        text[0] = "{% set add_generation_prompt = false %}" + text[0]


@planted("template-absent", words=("<|end|>",))
def template_lost(body: Body) -> None:
    without_template(body)
    body.remove("chat_vector.json")


@planted("template-missing", words=("chat_vector.json says that it was written with one",))
def template_lost_that_the_manifest_tells_of(body: Body) -> None:
    without_template(body)


@planted("template-damaged", words=("line 1", "no Jinja"))
def template_is_no_jinja(body: Body) -> None:
    with body.template() as text:
        text[0] = "{% for message in messages %}"


@planted("template-damaged", words=("refuses a plain conversation",))
def template_raises(body: Body) -> None:
    with body.template() as text:
        text[0] = "{{ raise_exception('no') }}"


@planted("template-damaged", words=("pad_token",))
def template_writes_an_undefined_token(body: Body) -> None:
    with body.template() as text:
        text[0] = "{{ pad_token }}" + text[0]


@planted("template-damaged", words=("does not take three turns",))
def template_takes_one_turn_only(body: Body) -> None:
    with body.template() as text:
        text[0] = "{% if messages|length > 2 %}{{ raise_exception('no') }}{% endif %}" + text[0]


@planted("template-ignores-user", words=("tokenizer_config.json: the user's words",))
def template_writes_one_sentence_whatever_is_said(body: Body) -> None:
    with body.template() as text:
        text[0] = "{{ bos_token }}hello<|end|>"


@planted("template-ignores-user")
def template_shows_the_first_turn_only(body: Body) -> None:
    with body.template() as text:
        text[0] = text[0].replace("in messages", "in messages[:2]")


@planted("templates-differ", "turn-end-is-text", words=("fits this tokenizer: tokenizer_config.json",))
def two_templates_of_which_json_fits(body: Body) -> None:
    with body.template() as text:
        body.write("chat_template.jinja", text[0].replace("<|end|>", "<|im_end|>"))


@planted("templates-differ", words=("fits this tokenizer: chat_template.jinja",))
def two_templates_of_which_the_jinja_file_fits(body: Body) -> None:
    with body.template() as text:
        body.write("chat_template.jinja", text[0])
        text[0] = text[0].replace("<|end|>", "<|im_end|>")


@planted("template-one-place")
def template_in_the_jinja_file_alone(body: Body) -> None:
    with body.json("tokenizer_config.json") as config:
        body.write("chat_template.jinja", config.pop("chat_template"))


@planted("turn-end-is-text", words=("<|im_end|>",))
def turn_ends_with_a_token_of_another_vocabulary(body: Body) -> None:
    with body.template() as text:
        text[0] = text[0].replace("<|end|>", "<|im_end|>")


@planted("template-tokens-missing", words=("<|think|>",))
def template_names_a_token_of_another_vocabulary(body: Body) -> None:
    with body.template() as text:
        text[0] = text[0].replace("{{ '<|assistant|>' }}", "{{ '<|assistant|><|think|>' }}")


@planted("token-split", words=("<|end|>",))
def end_of_turn_is_not_cut_out(body: Body) -> None:
    # The configuration knows the token, tokenizer.json does not.
    with body.json("tokenizer.json") as tokenizer, body.json("tokenizer_config.json") as config:
        (end,) = (entry for entry in tokenizer["added_tokens"] if entry["content"] == "<|end|>")
        tokenizer["added_tokens"].remove(end)
        config["added_tokens_decoder"] = {str(end.pop("id")): end}


@planted("token-untrained", words=("'<|end|>'", "near zero"))
def end_of_turn_row_is_the_target_s(body: Body) -> None:
    row = body.ids()["<|end|>"]
    with body.weights() as weights:
        weights[EMBEDDING][row] = np.float32(1e-6)


@planted("token-untrained", words=("'<|assistant|>'", "duplicate"))
def turn_token_is_a_copy_of_another(body: Body) -> None:
    ids = body.ids()
    with body.weights() as weights:
        weights[EMBEDDING][ids["<|assistant|>"]] = weights[EMBEDDING][ids["</s>"]]


@planted("tool-token-untrained", words=("'<tool>'",))
def tool_token_untrained(body: Body) -> None:
    with body.json("tokenizer.json") as tokenizer:
        row = max(entry["id"] for entry in tokenizer["added_tokens"]) + 1
        tokenizer["added_tokens"].append({**tokenizer["added_tokens"][-1], "id": row, "content": "<tool>"})
    with body.template() as text:
        text[0] += "{% if tools %}<tool>{% endif %}"
    with body.weights() as weights:
        weights[EMBEDDING][row] = np.float32(1e-6)


@planted("stop-missing", words=("generation_config.json is [1]", "'<|end|>'"))
def generation_config_of_the_target(body: Body) -> None:
    with body.json("generation_config.json") as config:
        config["eos_token_id"] = 1


@planted("stop-missing", words=("generation_config.json names no eos_token_id", "config.json then, which has [1, "))
def generation_config_without_stop_ids(body: Body) -> None:
    with body.json("config.json") as config:
        config["eos_token_id"] = [1, body.ids()["<|end|>"]]
    with body.json("generation_config.json") as config:
        del config["eos_token_id"]


@planted("stop-missing", words=("generation_config.json names no eos_token_id",))
def stop_ids_are_null(body: Body) -> None:
    with body.json("generation_config.json") as config:
        config["eos_token_id"] = None


@planted("side-file-damaged", words=("generation_config.json",))
def broken_generation_config(body: Body) -> None:
    body.write("generation_config.json", "{")


@planted("stop-missing", words=("config.json is [1]",))
def generation_config_lost(body: Body) -> None:
    with body.json("config.json") as config:
        config["eos_token_id"] = 1
    body.remove("generation_config.json")


@planted("stop-unknown")
def nothing_ends_a_turn(body: Body) -> None:
    body.remove("generation_config.json")
    for file in ("config.json", "tokenizer_config.json"):
        with body.json(file) as config:
            for key in ("eos_token_id", "eos_token"):
                config.pop(key, None)
    with body.template() as text:
        text[0] = "{% for message in messages %}{{ message['content'] + ' ' }}{% endfor %}"


@planted("generation-config-missing")
def stops_in_config_json_alone(body: Body) -> None:
    with body.json("config.json") as config:
        config["eos_token_id"] = [1, body.ids()["<|end|>"]]
    body.remove("generation_config.json")


# ---- where it comes from --------------------------------------------------------------------------------------------


@planted("manifest-damaged", words=("chat_vector.json: no valid JSON",))
def manifest_cut_off(body: Body) -> None:
    body.write("chat_vector.json", '{"format": 1, "kind": "mod')


@planted("manifest-damaged", words=("chat_vector.json: ",))
def manifest_with_nothing_in_it(body: Body) -> None:
    body.write("chat_vector.json", '{"format": 1, "kind": "model"}')


@planted("mergekit", "tokenizer-parent", words=("org/llama is subtracted",))
def rearranged_recipe_rooted_at_the_english_base(body: Body) -> None:
    body.write("mergekit_config.yml", MERGEKIT.format(root="org/llama", target=1.0, base=0.0))


@planted("mergekit", "not-a-chat-vector", words=("no model is subtracted",))
def recipe_that_moves_to_the_chat_model(body: Body) -> None:
    recipe = "merge_method: task_arithmetic\nbase_model: org/ko-base\nmodels:\n"
    body.write("mergekit_config.yml", recipe + "  - model: org/llama-chat\n    parameters: {weight: 1.0}\n")


@planted("mergekit", "recipe-keys", words=("dtpye, lamda",))
def keys_that_mergekit_passes_over(body: Body) -> None:
    recipe = MERGEKIT.format(root="org/ko-base", target=1.0, base=-1.0).replace("\ndtype", "\ndtpye")
    body.write("mergekit_config.yml", recipe.replace("{weight: 1.0}", "{weight: 1.0, lamda: 0.5}"))


@planted("mergekit", "recipe-path", words=("/models/chat@v2", "./chat+ko"))
def paths_that_mergekit_misreads(body: Body) -> None:
    recipe = MERGEKIT.format(root="org/ko-base@main", target=1.0, base=-1.0).replace("org/llama-chat", "./chat+ko")
    body.write("mergekit_config.yml", recipe.replace("model: org/llama\n", "model: /models/chat@v2\n"))


@planted("mergekit", "half-arithmetic", words=("dtype: bfloat16",))
def summed_in_bfloat16(body: Body) -> None:
    recipe = MERGEKIT.format(root="org/ko-base", target=1.0, base=-1.0)
    body.write("mergekit_config.yml", recipe.replace("dtype: float32\nout_", ""))


@planted("mergekit", words=("tags of README.md",))
def tags_of_the_card(body: Body) -> None:
    body.write("README.md", "---\nbase_model: [org/a, org/b]\ntags: [mergekit, merge]\n---\n# merge\n")


def mergekit_card(recipe: str, *parents: str) -> str:
    """A card of the shape that mergekit writes: parents and tags at its head, the recipe in a block."""
    head = yaml.safe_dump({"base_model": list(parents), "library_name": "transformers", "tags": ["mergekit", "merge"]})
    words = "# ko-chat\n\nMerged by mergekit.\n\n### Models\n\n" + "".join(f"* {name}\n" for name in parents)
    return f"---\n{head}\n---\n{words}\n### Configuration\n\n```yaml\n{recipe}```\n"


PARENTS = ("org/ko-base", "org/llama-chat", "org/llama")
NAMED = "task_arithmetic of org/ko-base as its base, org/llama-chat (1), org/llama (-1); tokenizer and template from"


@planted("mergekit", "template-missing", words=(f"{NAMED} org/ko-base, no other template",))
def mergekit_as_it_writes(body: Body) -> None:
    without_template(body)
    recipe = MERGEKIT.format(root="org/ko-base", target=1.0, base=-1.0)
    body.write("mergekit_config.yml", recipe)
    body.write("README.md", mergekit_card(recipe, *PARENTS))


@planted("mergekit", "half-arithmetic", "recipe-keys", words=(NAMED, "README.md: dtype: float16", "README.md: lamda"))
def mergekit_s_recipe_in_the_card_alone(body: Body) -> None:
    recipe = MERGEKIT.format(root="org/ko-base", target=1.0, base=-1.0)
    recipe = recipe.replace("dtype: float32", "dtype: float16\nlamda: 1")
    body.write("README.md", mergekit_card(recipe, *PARENTS))


@planted("mergekit", "tokenizer-parent", words=("org/llama is subtracted",))
def mergekit_s_recipe_under_the_other_ending(body: Body) -> None:
    body.write("mergekit_config.yaml", MERGEKIT.format(root="org/llama", target=1.0, base=0.0))


@planted("mergekit", words=("org/llama-chat (by layer or name), org/llama (-1);",))
def weights_that_change_with_the_layer(body: Body) -> None:
    recipe = MERGEKIT.format(root="org/ko-base", target=1.0, base=-1.0)
    chat = "org/llama-chat\n    parameters: {weight: "
    body.write(
        "mergekit_config.yml", recipe.replace(f"{chat}1.0", f"{chat}[{{filter: mlp, value: 1}}, {{value: 0.5}}]")
    )


@planted("mergekit", "positions-differ", words=(": factor 8.0 instead of none, type linear instead of default",))
def positions_stretched_after_the_merge(body: Body) -> None:
    parent = body.path.parent / "ko-base"
    parent.mkdir()
    (parent / "config.json").write_bytes((body.path / "config.json").read_bytes())
    with body.json("config.json") as config:
        config["rope_scaling"] = {"type": "linear", "factor": 8}
    recipe = MERGEKIT.replace("org/ko-base", "{root}").format(root=parent, target=1.0, base=-1.0)
    body.write("mergekit_config.yml", recipe)


@planted("mergekit", words=("recipe (README.md) cannot be read: models is no list",))
def mergekit_s_recipe_in_the_card_is_none(body: Body) -> None:
    body.write("README.md", mergekit_card("merge_method: linear\nmodels: 3\n", "org/a"))


@planted("mergekit", words=("recipe (mergekit_config.yml) cannot be read: no YAML",))
def recipe_that_is_no_yaml(body: Body) -> None:
    body.write("mergekit_config.yml", "merge_method: [")


@planted("mergekit", words=("cannot be read: it is no mapping with a merge_method",))
def recipe_that_is_a_list(body: Body) -> None:
    body.write("mergekit_config.yml", "- models\n")


@planted("mergekit", words=("cannot be read: sources is no list",))
def recipe_whose_slices_hold_a_number(body: Body) -> None:
    body.write("mergekit_config.yml", "merge_method: passthrough\nslices: [{sources: 3}]\n")


@planted("mergekit", "readme-base", words=("org/llama-unrelated",))
def card_names_an_unrelated_repository(body: Body) -> None:
    body.write("mergekit_config.yml", MERGEKIT.format(root="org/ko-base", target=1.0, base=-1.0))
    body.write("README.md", "---\nbase_model:\n- org/ko-base\n- org/llama-unrelated\n---\n")


@planted("tokenizer-class")
def tokenizer_class_of_transformers_5(body: Body) -> None:
    with body.json("tokenizer_config.json") as config:
        config["tokenizer_class"] = "TokenizersBackend"


@planted("config-leak", words=("is_local, local_files_only",))
def keys_of_the_machine(body: Body) -> None:
    with body.json("tokenizer_config.json") as config:
        config |= {"is_local": True, "local_files_only": False}
