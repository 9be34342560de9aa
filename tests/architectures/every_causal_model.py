# SPDX-License-Identifier: Apache-2.0
"""Every causal language model of the installed transformers, as small as its configuration allows, through `apply`.

    python tests/architectures/every_causal_model.py [MODEL_TYPE …]

No test: a look at architectures that nobody has tried. Each is a trio as in family_models.py. The output has to equal
the formula bit for bit, transformers has to load it with no tensor too many or too few, and `doctor` has to find
nothing in any of the four. A line for each that fails, with the reason; those that cannot be made small by the sizes
below, and those that hold a text model beside another, are counted by themselves.
"""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(PROJECT / "tests"), str(PROJECT / "tests" / "architectures")]

import torch  # noqa: E402
import transformers  # noqa: E402
from family_models import BASE_ROWS, OUTPUT_ROWS, Family, write_family  # noqa: E402
from formula import load_tensors, merge_files, read_rows, same_bits  # noqa: E402
from transformers import CONFIG_MAPPING, AutoModelForCausalLM  # noqa: E402
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES  # noqa: E402

from chatvector.checks.doctor.examine import examine  # noqa: E402
from chatvector.errors import ChatVectorError  # noqa: E402
from chatvector.pipeline import apply  # noqa: E402
from chatvector.recipe import Recipe, VectorSpec  # noqa: E402

SCALE = 0.7
LARGEST = 3_000_000
"""Parameters. What is larger has a size that is not named below."""
SIZES: dict[int | None, str] = {
    BASE_ROWS: "vocab_size vocab_size_per_layer_input",
    64: "max_position_embeddings n_positions n_ctx max_seq_len max_sequence_length",
    24: "intermediate_size ffn_dim n_inner ffn_hidden_size moe_intermediate_size shared_expert_intermediate_size"
    " expert_intermediate_size shared_intermediate_size decoder_ffn_dim intermediate_size_mlp dense_intermediate_size",
    16: "hidden_size n_embd d_model embed_dim word_embed_proj_dim embedding_size model_dim attention_hidden_size"
    " lru_width",
    8: "q_lora_rank kv_lora_rank state_size mamba_d_state mamba_d_head mamba_head_dim hidden_size_per_layer_input"
    " index_head_dim",
    4: "num_attention_heads n_head n_heads num_heads decoder_attention_heads num_experts num_local_experts"
    " n_routed_experts moe_num_experts qk_rope_head_dim qk_nope_head_dim v_head_dim head_dim rotary_dim mamba_n_heads"
    " mamba_num_heads linear_key_head_dim linear_value_head_dim",
    2: "num_hidden_layers n_layer n_layers num_layers decoder_layers num_blocks num_key_value_heads num_kv_heads"
    " n_head_kv multi_query_group_num num_experts_per_tok num_experts_per_token experts_per_token moe_k moe_topk"
    " index_n_heads linear_num_key_heads linear_num_value_heads",
    1: "n_shared_experts num_shared_experts moe_num_shared_experts n_group topk_group first_k_dense_replace"
    " eos_token_id",
    0: "bos_token_id",
    None: "pad_token_id",
}


class NotMade(Exception):
    """This script cannot make such a model."""


def small(model_type: str) -> dict[str, Any]:
    """Arguments that make the model's configuration small."""
    kind = CONFIG_MAPPING[model_type]
    default = kind()
    known = default.to_dict()
    if isinstance(known.get("text_config"), dict):
        raise NotMade("holds a text model")
    options: dict[str, Any] = {
        name: value
        for value, names in SIZES.items()
        for name in names.split()
        if (name in known or hasattr(default, name)) and not isinstance(getattr(kind, name, None), property)
    }
    for other, own in kind.attribute_map.items():
        if other in options and own in options:
            del options[other]
    if known.get("layer_types"):
        options["layer_types"] = (list(dict.fromkeys(known["layer_types"])) * 2)[:2]
    return options


def faults(model_type: str, folder: Path) -> Iterator[str]:
    """What is wrong with a merge of this architecture. Raises NotMade."""
    try:
        options = small(model_type)
        family = Family(model_type, CONFIG_MAPPING[model_type].__name__, options, (), tied=False)
        config = CONFIG_MAPPING[model_type](**options)
        with torch.device("meta"):
            model: Any = AutoModelForCausalLM.from_config(config)
            count = sum(each.numel() for each in model.parameters())
        if count > LARGEST:
            raise NotMade(f"{count} parameters")
        trio = write_family(family, folder)
    except NotMade:
        raise
    except Exception as problem:  # whatever a model's own code says of sizes that do not fit each other
        raise NotMade(f"{type(problem).__name__}: {problem}") from problem
    vector = VectorSpec(base=str(trio.base), chat=str(trio.chat), scale=SCALE)
    output = apply(Recipe(target=str(trio.target), vectors=(vector,), output=str(folder / "out"))).output
    base, target, merged = (load_tensors(each) for each in (trio.base, trio.target, output))
    vocabulary = tuple(name for name, tensor in target.items() if tensor.shape != base[name].shape)
    expected = merge_files(trio, vocabulary, SCALE, read_rows(trio, output, OUTPUT_ROWS))
    if merged.keys() != expected.keys():
        yield f"other tensors: {sorted(merged.keys() ^ expected.keys())[:3]}"
    for name, tensor in expected.items():
        if name in merged and not same_bits(merged[name], tensor):
            yield f"{name} is not the formula's"
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(output, output_loading_info=True)
    except Exception as problem:  # of a configuration, of shapes: none of them may come
        yield f"transformers: {type(problem).__name__}: {' '.join(str(problem).split())[:200]}"
        return
    for complaint, names in loaded[1].items():
        if names:
            yield f"transformers: {complaint} {sorted(map(str, names))[:3]}"
    for place in (trio.base, trio.chat, trio.target, output):
        for finding in examine(str(place)).findings:
            yield f"doctor of {place.name}: {finding.code}"


def main(model_types: list[str]) -> int:
    """Try each; the exit code is 1 where one fails."""
    warnings.simplefilter("ignore")
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    counted: Counter[str] = Counter()
    for model_type in model_types or MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        with TemporaryDirectory() as folder:
            try:
                found = list(faults(model_type, Path(folder)))
            except NotMade as problem:
                counted["not made"] += 1
                print(f"{model_type}: not made: {str(problem).splitlines()[0][:150]}", flush=True)
                continue
            except ChatVectorError as problem:
                counted["refused"] += 1
                print(f"{model_type}: refused: {str(problem).replace(folder, '')[:200]}", flush=True)
                continue
        counted["wrong" if found else "right"] += 1
        for fault in found:
            print(f"{model_type}: {fault}", flush=True)
    print(", ".join(f"{count} {name}" for name, count in counted.most_common()))
    return 1 if counted["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
