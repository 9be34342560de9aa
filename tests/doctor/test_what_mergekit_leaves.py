# SPDX-License-Identifier: Apache-2.0
"""Every way in which a merge by mergekit 0.1.5 was seen to go wrong with exit code 0, and the planted fault for it.

The list is that of runs with small models. What ends with an error message
leaves no model to examine, and is not listed.
"""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given

from chatvector.checks.doctor.origin import CARD, MERGEKIT_CONFIG, check_origin
from chatvector.checks.doctor.patient import Patient
from doctor import planted_files, planted_numbers, planted_weights
from doctor.patients import GRID, Body, merge
from mergekit_recipes.documents import DOCUMENTS

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
    assert planted_numbers
    assert planted_weights
    names = {planted.name for planted in GRID}
    assert [fault for fault, planted in FOUND.items() if planted not in names] == []


@pytest.fixture(scope="module")
def merged(tmp_path_factory: pytest.TempPathFactory) -> Body:
    body = Body(merge(tmp_path_factory.mktemp("merged")))
    body.write(MERGEKIT_CONFIG)
    return body


def said(body: Body, recipe: str) -> str:
    body.write(MERGEKIT_CONFIG, recipe)
    return "\n".join(finding.detail for finding in check_origin(Patient.open(str(body.path))))


@pytest.mark.parametrize(
    ("part", "problem"),
    [
        ("models: 3", "models is no list"),
        ("models: true", "models is no list"),
        ("slices: 3", "slices is no list"),
        ("slices: true", "slices is no list"),
        (f"models: [{{model: a, parameters: {{weight: {'9' * 400}}}}}]", "a weight is an integer of hundreds of"),
        ("base_model: " + "0x" + "f" * 5000, "no YAML (a value cannot be read: Exceeds the limit"),
    ],
)
def test_recipes_that_mergekit_could_not_have_read(merged: Body, part: str, problem: str) -> None:
    found = said(merged, f"merge_method: task_arithmetic\n{part}\n")
    assert f"its recipe ({MERGEKIT_CONFIG}) cannot be read: {problem}" in found


def test_a_model_that_is_inside_itself(merged: Body) -> None:
    assert "tokenizer and template from ?" in said(merged, "merge_method: linear\nbase_model: &a {model: *a}\n")


@pytest.mark.parametrize("root", ["~nobody-of-that-name/x", "/" + "a" * 5000, '"/a\\0b"', "/dev/null", "relative"])
def test_a_root_that_is_no_directory_here(merged: Body, root: str) -> None:
    assert said(merged, f"merge_method: linear\nbase_model: {root}\n").startswith("linear of ")


@pytest.mark.parametrize("tags", ["3", "true", "{mergekit: 1}"])
def test_tags_of_a_card_that_are_no_list(merged: Body, tags: str) -> None:
    other = merged.copy(merged.path.parent / f"tags {tags[0]}")
    other.remove(MERGEKIT_CONFIG)
    other.write(CARD, f"---\ntags: {tags}\n---\n# merge\n")
    assert list(check_origin(Patient.open(str(other.path)))) == []


@given(DOCUMENTS)
def test_any_document_is_examined(merged: Body, document: Any) -> None:
    said(merged, yaml.safe_dump(document, allow_unicode=True))
