# SPDX-License-Identifier: Apache-2.0
"""Every way in which a merge by mergekit 0.1.5 was seen to go wrong with exit code 0, and the planted fault for it.

The list is that of runs with small models. What ends with an error message
leaves no model to examine, and is not listed.
"""

from __future__ import annotations

from doctor import planted_files, planted_weights
from doctor.patients import GRID

FOUND = {
    "arithmetic in bf16": "summed_in_bfloat16",
    "mixed dtypes, output silently fp32": "silently_float32",
    "--unsafe-truncate-embeddings: added rows lost, vocab_size stale": "embedding_cut_to_the_shortest_vocabulary",
    "tokenizer source base: generation config lost": "generation_config_lost",
    "rooted at the English base: its tokenizer and configuration": "rearranged_recipe_rooted_at_the_english_base",
    "rooted at the English base: vocab_size of another parent": "vocab_size_of_another_parent",
    "NaN of a parent": "nan_of_a_parent_went_through",
    "biases that the architecture file does not list": "attention_biases_dropped",
    "biases of the MLP": "mlp_biases_dropped",
    "v_proj of one family lost": "one_layer_lost_v_proj",
    "norms of query and key lost": "query_and_key_norms_dropped",
    "tied target, untied parents: a head of its own": "flag_says_tied_head_differs",
    "FP8 scales ignored": "scales_of_fp8_ignored",
    "truncated shard": "truncated_shard",
    "index names a tensor that its file lacks": "index_names_a_tensor_that_is_in_no_file",
    "disk full: the first shards only": "disk_was_full_after_the_first_shard",
    "killed: orphans beside the next model": "orphans_of_a_killed_run",
    "second run with fewer shards: stale index": "a_second_run_with_fewer_shards",
    "typo in a key": "keys_that_mergekit_passes_over",
    "path with @ or +": "paths_that_mergekit_misreads",
    "the card fails: no tokenizer": "tokenizer_lost_because_the_card_failed",
    "the card names an unrelated repository": "card_names_an_unrelated_repository",
    "tokenizer of the target: no template": "mergekit_takes_the_tokenizer_of_the_target",
    "template in a .jinja file lost": "template_lost",
    "stop ids of a base model": "generation_config_of_the_target",
    "template's tokens of another vocabulary": "template_names_a_token_of_another_vocabulary",
    "rows of turn tokens are the target's": "end_of_turn_row_is_the_target_s",
    "padding rows cut": "padding_rows_cut",
    "experts written in the layout of memory": "experts_fused_as_in_memory",
    "re-serialised tokenizer configuration leaks keys": "keys_of_the_machine",
}


def test_each_is_planted() -> None:
    """That a planted fault is found, and nothing else, is what test_faults.py asserts of every one."""
    assert planted_files
    assert planted_weights
    names = {planted.name for planted in GRID}
    assert [fault for fault, planted in FOUND.items() if planted not in names] == []
