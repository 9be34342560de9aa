# SPDX-License-Identifier: Apache-2.0
"""The model card of a merged model: README.md, made from the manifest and nothing else.

The same manifest gives the same bytes. Metadata are the hub's ("Model Cards" in its documentation); the text says what
the model is, how to run it, how it was made, what was checked, and what its parents' licences ask. Written as plain
YAML and Markdown: huggingface_hub's card classes cost half a second to import and would give the same bytes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from chatvector.provenance.card_licence import licence_metadata, licence_section
from chatvector.provenance.licences import DISCLAIMER
from chatvector.provenance.manifest import MANIFEST, adds_to_rows
from chatvector.provenance.parent_cards import CARD

PAPER = "https://arxiv.org/abs/2310.04799"
TAGS = ("merge", "chat-vector", "task-arithmetic", "chatvector")
UNNAMED = "path/to/this/model"
"""Stands for the model in examples as long as nobody has published it."""


def model_card(manifest: Mapping[str, Any], name: str | None = None) -> str:
    """The card of the model that `manifest` describes; `name` is its hub name, once it has one."""
    parts = [
        "---\n" + to_yaml(metadata(manifest)) + "---",
        "# " + (name.partition("/")[2] if name else "A chat model made with a chat vector"),
        *_display(manifest),
        _introduction(manifest),
        "## How to run it\n\n" + _usage(manifest, name or UNNAMED),
        "## How it was made\n\n" + _recipe(manifest),
        "## Chat format\n\n" + _chat_format(manifest),
        "## What was checked and measured\n\n" + _measured(manifest),
        "## Licence\n\n" + licence_section(manifest) + "\n\n" + DISCLAIMER,
        "## Limits\n\n" + _limits(),
    ]
    return "\n\n".join(parts) + "\n"


def with_card(manifest: Mapping[str, Any], name: str | None = None) -> dict[str, Any]:
    """The manifest with its card's size and SHA-256 among its files: a card changed by hand is known by them."""
    data = model_card(manifest, name).encode()
    entry = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return {**manifest, "files": dict(sorted({**manifest["files"], CARD: entry}.items()))}


def metadata(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The card's metadata: hub names of parents only, languages of the target's card, a licence if determined."""
    origins: Mapping[str, Mapping[str, Any]] = manifest["origins"]
    order = sorted(origins, key=lambda role: (role != "target", not role.endswith("chat")))
    parents = [origins[role]["model"] for role in order]
    on_hub = list(dict.fromkeys(name for name in parents if name and not name.startswith("demo:")))
    found: dict[str, Any] = {}
    if on_hub:
        found |= {"base_model": on_hub, "base_model_relation": "merge"}
    found |= {"library_name": "transformers", "pipeline_tag": "text-generation", "tags": list(TAGS)}
    if manifest["languages"]:
        found["language"] = list(manifest["languages"])
    return found | licence_metadata(manifest["licences"])


def to_yaml(document: Mapping[str, Any]) -> str:
    """Plain YAML, keys in the order given."""
    import yaml

    return yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True, width=1000)


def code(text: str) -> str:
    """Text as a code span, whatever backticks it holds."""
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}".replace("\n", " ")


def _display(manifest: Mapping[str, Any]) -> list[str]:
    texts = [rule["text"] for rule in manifest["licences"]["rules"] if rule["rule"] == "display"]
    return ["**" + " · ".join(dict.fromkeys(texts)) + "**"] if texts else []


def _introduction(manifest: Mapping[str, Any]) -> str:
    terms = " ".join(
        f"+ {vector['scale']:g} · ({_name(manifest, f'vectors.{number}.chat')} −"
        f" {_name(manifest, f'vectors.{number}.base')})"
        for number, vector in enumerate(manifest["recipe"]["vectors"])
    )
    return (
        f"```text\n{_name(manifest, 'target')} {terms}\n```\n\n"
        f"A chat vector is what instruction tuning changed in a model's weights. Added to a model that was trained"
        f" further on another language, it brings the ability to chat along, without training"
        f" ([Chat Vector, ACL 2024]({PAPER})). The sum was computed by chatvector {manifest['chatvector']}; no"
        f" gradient step was made."
    )


def _usage(manifest: Mapping[str, Any], name: str) -> str:
    remote = any(file.endswith(".py") for file in manifest["files"])
    trust = ", trust_remote_code=True" if remote else ""
    if manifest["chat_format"].get("templates") is None:
        call = 'inputs = tokenizer("…", return_tensors="pt")'
    else:
        call = (
            'messages = [{"role": "user", "content": "…"}]\n'
            "inputs = tokenizer.apply_chat_template(\n"
            '    messages, add_generation_prompt=True, return_tensors="pt", return_dict=True\n'
            ")"
        )
    return (
        "```python\n"
        "from transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        f'tokenizer = AutoTokenizer.from_pretrained("{name}"{trust})\n'
        f'model = AutoModelForCausalLM.from_pretrained("{name}"{trust})\n'
        f"{call}\n"
        "reply = model.generate(**inputs, max_new_tokens=256)\n"
        'print(tokenizer.decode(reply[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))\n'
        "```\n\n"
        "```sh\n"
        f"vllm serve {name}{' --trust-remote-code' if remote else ''}\n"
        "```"
    )


def _recipe(manifest: Mapping[str, Any]) -> str:
    recipe = manifest["recipe"]
    vectors: list[dict[str, Any]] = []
    for number, vector in enumerate(recipe["vectors"]):
        rules = {key: dict(vector[key]) for key in ("scale_role", "scale_layers", "scale_tensors") if vector[key]}
        sides = {side: _name(manifest, f"vectors.{number}.{side}") for side in ("base", "chat")}
        vectors.append(sides | {"scale": vector["scale"]} | rules)
    shown = {"target": _name(manifest, "target"), "vectors": vectors}
    shown |= {key: recipe[key] for key in ("vocabulary", "chat_format", "system_prompt")}
    commits = [
        f"- {_name(manifest, role)}: commit {code(origin['commit'])}"
        for role, origin in manifest["origins"].items()
        if origin["commit"]
    ]
    return (
        "```yaml\n" + to_yaml(shown) + "```\n\n"
        "Every weight is target + scale · (chat − base), computed in float32 or wider and rounded once; rows of the"
        " vocabulary meet by token. Names in angle brackets stand for directories that have no public name."
        + ("\n\n" + "\n".join(dict.fromkeys(commits)) if commits else "")
        + f"\n\n{code(MANIFEST)} holds the whole: fingerprints of the parents, the scale of every tensor, what happened"
        " to every token of the template."
    )


def _chat_format(manifest: Mapping[str, Any]) -> str:
    found = manifest["chat_format"]
    if found.get("templates") is None:
        return "None: neither the target nor the vector brought a chat template."
    stops = ", ".join(code(token) for token in found["stop_tokens"]) or "nothing"
    moved = "the vector's chat model" if str(found["source"]).startswith("vector") else "a file of its own"
    lines = [
        f"The template is {f'that of {moved}' if found['moves'] else 'the target’s own'}"
        f" ({', '.join(found['templates'])}). A reply ends with {stops}; `generation_config.json` lists their ids."
    ]
    if found["injected_system_prompt"]:
        lines.append(f"Without a system message the template says by itself: {code(found['injected_system_prompt'])}")
    rows = manifest["vocabulary"]
    shared = " and ".join(map(str, rows["rows_shared"]))
    added = adds_to_rows(manifest)
    difference = f"a difference, at its scale, was added to {shared}"
    if any(rows["rows_shared"]) and not added:
        difference = f"of {shared} with a difference none got it, as embedding and head have scale 0"
    lines.append(
        f"Vocabulary ({rows['policy']}): {rows['rows']} rows; {difference}, {rows['rows_transplanted']} were copied"
        f" from the chat model, {rows['rows_kept']} are the target's, {rows['tokens_added']} tokens are new."
    )
    lines.append(
        "\n".join(
            f"- {code(entry['token'])}, id {entry['out']}: {done_to(entry, added=added)}"
            for entry in rows["template_tokens"]
        )
    )
    return "\n\n".join(line for line in lines if line)


def done_to(entry: Mapping[str, Any], *, added: bool) -> str:
    """What became of a template token's row, for people; `added` is what `adds_to_rows` says."""
    done = str(entry["done"])
    return done if added or done != "difference added" else "kept: scale 0"


def _rows_counted(rows: Mapping[str, Any]) -> str:
    """What `inspect`, which takes all rows, has and these norms have not."""
    without = {"copied from the chat model": rows["rows_transplanted"], "kept from the target": rows["rows_kept"]}
    told = " and ".join(f"{count} {why}" for why, count in without.items() if count)
    return f"; of the vocabulary's rows without {told}" if told else ""


def _measured(manifest: Mapping[str, Any]) -> str:
    checks = manifest["checks"]
    lines = [
        f"- Weights: the headers of {checks['weights']['tensors']} tensors were read back;"
        f" {checks['weights']['elements']} elements were computed a second time by other code and were equal."
    ]
    if (chat := checks.get("chat")) is not None:
        lines.append(
            f"- Chat format: {'passed' if chat['ok'] else 'FAILED'};"
            f" the template renders {'; '.join(chat['probes'])}; every template token is one id."
        )
        lines += [f"- Problem: {problem}" for problem in chat["problems"]]
    for number, verdict in enumerate(manifest["lineage"], 1):
        if verdict is not None:
            lines.append(f"- Lineage of vector {number}: {_lineage(verdict)}")
    norms = ", ".join(
        f"{role} {' + '.join(f'{norm:.4g}' for norm in figures['tau_norm'])}"
        for role, figures in manifest["statistics"]["roles"].items()
    )
    rows = _rows_counted(manifest["vocabulary"])
    lines.append(f"- Norm of the vector by role, unscaled, without tensors of scale 0: {norms}{rows}.")
    lines += [f"- Warning: {line}" for line in manifest["warnings"]]
    lines.append("- Answers: not evaluated. Nothing here says how well the model speaks.")
    return "\n".join(lines)


def _lineage(verdict: Mapping[str, Any]) -> str:
    """The verdict on the parents' relation with its main figures."""
    figures: list[str] = []
    if verdict.get("chat_in_target") is not None:
        error = verdict.get("chat_in_target_error")
        spread = "" if error is None else f" ± {error:.3f}"
        figures.append(f"share of the chat vector that the target had before {verdict['chat_in_target']:+.3f}{spread}")
    if verdict.get("drift_over_tau") is not None:
        figures.append(f"distance of target and base over that of chat and base {verdict['drift_over_tau']:.2f}")
    reasons = "".join(f" {reason}." for reason in verdict.get("reasons", ()))
    return f"{verdict['verdict']}{'; ' if figures else ''}{', '.join(figures)}.{reasons}"


def _limits() -> str:
    return (
        "The model has the faults of all its parents. Its scale is the recipe's and was not searched for unless the"
        " text above says so. Refusals and other safety behaviour of the chat model may be weakened by the addition:"
        " test them before you let people use it."
    )


def _name(manifest: Mapping[str, Any], role: str) -> str:
    """The public name of a parent, else its role in angle brackets."""
    model = manifest["origins"][role]["model"]
    if model:
        return str(model)
    parts: Sequence[str] = role.split(".")
    if len(parts) == 1:
        return f"<{role}>"
    several = len(manifest["recipe"]["vectors"]) > 1
    return f"<{parts[2]}{f'-{int(parts[1]) + 1}' if several else ''}>"
