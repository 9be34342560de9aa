# SPDX-License-Identifier: Apache-2.0
"""A backend of ours as a model of lm-evaluation-harness.

    from lm_eval import simple_evaluate
    simple_evaluate(model=HarnessModel(backend), tasks=["kobest_boolq"], apply_chat_template=True)

It differs on purpose from the harness's own transformers model. A conversation goes to the backend as a conversation,
so that template, stop tokens and records are those of every other axis. Thinking is removed from a reply, and so is
white space at its beginning. Long texts are read in overlapping windows (`runtime.likelihood`). A request that fails,
for example because it does not fit into the context, stops the run: the harness would count it as a wrong answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

from lm_eval.api.model import LM
from lm_eval.api.registry import register_model

from chatvector.errors import InputError, UsageError, first_five
from chatvector.evaluate.thinking import answer_of
from chatvector.runtime.backend import Backend, LikelihoodBackend, Prompt, Reply, Sampling

MAX_NEW_TOKENS = 256
"""Limit for tasks that do not set one: the harness's own default."""
_MEANT = {"until", "max_gen_toks", "max_new_tokens", "max_tokens", "temperature", "do_sample", "top_p", "seed"}
_IDLE_WHEN_GREEDY = {"top_k", "typical_p", "min_p", "num_beams"}


def sampling_of(settings: Mapping[str, Any], default: int = MAX_NEW_TOKENS) -> Sampling:
    """The sampling settings for a task's `generation_kwargs`. Raises UsageError for settings that our backends do not
    have."""
    drawn = bool(settings.get("do_sample", False))
    temperature = float(settings.get("temperature") or 0.0) if drawn else 0.0
    allowed = _MEANT if temperature > 0 else _MEANT | _IDLE_WHEN_GREEDY
    if unknown := sorted(settings.keys() - allowed):
        raise UsageError(f"generation settings that are not supported: {first_five(unknown)}")
    limit = settings.get("max_gen_toks") or settings.get("max_new_tokens") or settings.get("max_tokens") or default
    return Sampling(int(limit), temperature, float(settings.get("top_p") or 1.0), int(settings.get("seed") or 0))


def cut(text: str, until: str | Sequence[str] | None) -> str:
    """The reply up to the first place where a stop string occurs; the whole reply if none does."""
    ends = [until] if isinstance(until, str) else list(until or ())
    places = [place for end in ends if end and (place := text.find(end)) >= 0]
    return text[: min(places)] if places else text


class HarnessModel(LM):
    """A model of the harness over any backend; likelihoods need a backend that gives probabilities."""

    def __init__(self, backend: Backend) -> None:
        super().__init__()
        self.backend = backend
        self._conversations: dict[str, tuple[tuple[str, str], ...]] = {}

    @classmethod
    def create_from_arg_obj(cls, arg_dict: dict[str, Any], additional_config: dict[str, Any] | None = None) -> Self:
        """The model for `--model_args pretrained=MODEL,dtype=…,device=…,template=MODEL_OR_FILE`. Raises UsageError for
        other arguments."""
        from chatvector.runtime.prompt_form import template_of
        from chatvector.runtime.transformers_backend import TransformersBackend

        del additional_config  # batch size and device from the harness's flags, which default to a GPU
        given = arg_dict
        if "pretrained" not in given or not given.keys() <= {"pretrained", "dtype", "device", "template"}:
            raise UsageError("--model_args: give pretrained=MODEL, and dtype, device, template where wanted")
        template = template_of(given["template"]) if "template" in given else None
        return cls(
            TransformersBackend.load(
                given["pretrained"], dtype=given.get("dtype"), device=given.get("device"), template=template
            )
        )

    @classmethod
    def create_from_arg_string(cls, arg_string: str, additional_config: dict[str, Any] | None = None) -> Self:
        """The model for the same arguments as one text."""
        pairs = [part.partition("=") for part in arg_string.split(",") if part]
        return cls.create_from_arg_obj({key: value for key, _, value in pairs}, additional_config)

    @property
    def tokenizer_name(self) -> str:
        """A name by which the harness's cache of requests keeps rendered prompts of different models apart."""
        return f"chatvector-{self.backend.info.digest[:32]}"

    def chat_template(self, chat_template: bool | str = False) -> str:
        """The hash of the template in use, which the harness records; "" without a template. Raises UsageError if a
        template is named."""
        if isinstance(chat_template, str):
            raise UsageError(f"--apply_chat_template {chat_template}: a backend has one template; name none here")
        return self.backend.info.template or ""

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """The conversation as text. If a reply to this text is asked for later, the backend is given the conversation
        itself.

        Raises UsageError if the task begins the model's reply (`gen_prefix`), and for conversations that the template
        does not accept.
        """
        if not add_generation_prompt:
            raise UsageError("tasks that begin the model's reply (gen_prefix) are not supported in chat form")
        messages = tuple((one["role"], one["content"]) for one in chat_history)
        render = getattr(self.backend, "render", None)
        text = repr(messages) if render is None else render(messages)
        if text is None:
            raise UsageError(f"{self.backend.info.model}: its template takes no conversation of {_roles(messages)}")
        self._conversations[text] = messages
        return text

    def loglikelihood(self, requests: list[Any]) -> list[tuple[float, bool]]:
        """(nats, greedy) for each (context, continuation). Raises UsageError if the backend gives no probabilities."""
        if any(one.args[0] in self._conversations for one in requests) and not hasattr(self.backend, "render"):
            raise UsageError(
                f"{self.backend.info.model}: a server tells no likelihoods behind its template; leave it out"
            )
        found = self._measuring().loglikelihood([(one.args[0], one.args[1]) for one in requests])
        return [(one.nats, one.greedy) for one in found]

    def loglikelihood_rolling(self, requests: list[Any]) -> list[float]:
        """Log-likelihood of each text in nats. Raises UsageError if the backend gives no probabilities."""
        return [one.nats for one in self._measuring().loglikelihood([("", one.args[0]) for one in requests])]

    def generate_until(self, requests: list[Any]) -> list[str]:
        """A reply to each (context, settings). Requests with the same settings are generated together. Raises
        InputError if a request fails."""
        replies: dict[int, str] = {}
        groups: dict[Sampling, list[int]] = {}
        for row, one in enumerate(requests):
            groups.setdefault(sampling_of(one.args[1]), []).append(row)
        for sampling, rows in groups.items():
            seen: dict[str, int] = {}
            prompts = []
            for row in rows:
                context = requests[row].args[0]
                prompts.append(replace(self._prompt(context), sample=seen.get(context, 0)))
                seen[context] = seen.get(context, 0) + 1
            given = self.backend.generate(prompts, sampling)
            self._refuse_failures(given)
            for row, reply in zip(rows, given, strict=True):
                replies[row] = cut(answer_of(reply.text), requests[row].args[1].get("until"))
        return [replies[row] for row in range(len(requests))]

    def _prompt(self, context: str) -> Prompt:
        messages = self._conversations.get(context)
        return Prompt(text=context) if messages is None else Prompt(messages=messages)

    def _measuring(self) -> LikelihoodBackend:
        if not isinstance(self.backend, LikelihoodBackend):
            info = self.backend.info
            raise UsageError(f"{info.model}: {info.kind} tells no probabilities; use a transformers model")
        return self.backend

    def _refuse_failures(self, replies: Sequence[Reply]) -> None:
        failed = [reply.failure for reply in replies if reply.failure]
        if failed:
            why = first_five(sorted(set(failed)))
            raise InputError(
                f"{self.backend.info.model}: {len(failed)} of {len(replies)} requests failed ({why}); fewer examples "
                "in the prompt (num_fewshot) or a lower max_gen_toks may help, or `chatvector eval "
                "--task lm-eval:NAME`, which reports failures apart"
            )


def _roles(messages: Sequence[tuple[str, str]]) -> str:
    return ", ".join(role for role, _ in messages)


register_model("chatvector")(HarnessModel)
