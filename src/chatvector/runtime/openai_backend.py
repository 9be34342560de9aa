# SPDX-License-Identifier: Apache-2.0
"""A model behind a server that speaks OpenAI's protocol: vLLM, llama.cpp, SGLang, `transformers serve`, Ollama, APIs.

Conversations go to `/chat/completions`, where the server's own template is used; raw text goes to `/completions`.
Several requests run at once; replies do not depend on each other.

**Identity.** A server's weights cannot be seen. Its fingerprint is made of address, model name, the answers of
`/models`, `/version`, `/props` and `/get_model_info`, and three short greedy replies that are requested first. Small
differences of weights do not show in it, so such a server is not `identified` and its replies are not kept for other
runs, unless the user names the weights by `revision` (docs/decisions/0011).

**Requests.** Servers apply a model's generation settings (vLLM) or their own (llama.cpp: top_k 40, min_p 0.05), so all
settings that a server has a name for are sent with neutral values. Ollama silently cuts prompts that are too long: give
it a context that is large enough.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, NoReturn, TypeVar

from chatvector.errors import HubError, InputError, MissingInput, UnsupportedFormat, UsageError, first_five
from chatvector.runtime.backend import BackendInfo, Likelihood, Prompt, Reply, Sampling
from chatvector.runtime.draws import request_seed
from chatvector.runtime.http_json import SILENCE, JsonClient, Refused
from chatvector.runtime.server_answers import (
    NO_TEMPLATE,
    Nonsense,
    failure_of,
    read_chat,
    read_completion,
    read_likelihood,
    read_prompt_tokens,
)
from chatvector.runtime.side_by_side import side_by_side

CONCURRENCY = 16
SECONDS_FOR_LISTS = 30.0
CANARY = ("Write one sentence about rain.", "비에 대해 한 문장으로 써 주세요.", "1, 1, 2, 3, 5,")
CANARY_TOKENS = 32

# Neutral settings by `owned_by` in /models. Greedy decoding needs only the penalties, sampling all of them.
NEUTRAL: Mapping[str, Mapping[str, Any]] = {
    "vllm": {"repetition_penalty": 1.0, "top_k": -1, "min_p": 0.0},
    "sglang": {"repetition_penalty": 1.0, "top_k": -1, "min_p": 0.0},
    "llamacpp": {"repeat_penalty": 1.0, "top_k": 0, "min_p": 0.0},
}

Asked = TypeVar("Asked")
Got = TypeVar("Got")


class OpenAIBackend:
    """A server's model. Satisfies `LikelihoodBackend`; likelihoods need a server that echoes prompts (vLLM, SGLang)."""

    def __init__(
        self,
        url: str,
        *,
        model: str | None = None,
        otherwise: str | None = None,
        name: str | None = None,
        key_variable: str | None = None,
        concurrency: int = CONCURRENCY,
        timeout: float = SILENCE,
        extra: Mapping[str, Any] | None = None,
        prompt_form: str = "own template",
        context: int | None = None,
        revision: str = "",
        fingerprint: str | None = None,
        canary: bool = True,
        client: JsonClient | None = None,
    ) -> None:
        """Connect to the server and find its model.

        Args:
            url: address up to and including `/v1`; without that part it is tried.
            model: the model's name on the server; None takes the only one.
            otherwise: the model to use where `model` is None and the server does not list exactly one: a server that
                loads models on request lists others or none.
            name: the user's name for it; None: the model's name.
            key_variable: environment variable that holds the key. None sends no key, even if variables are set: a key
                for one server must not reach another.
            timeout: longest silence of the server in seconds, see `JsonClient`.
            extra: parameters added to every request, such as `{"top_k": 20}`.
            prompt_form: for the record, where the server was started with another model's template. `raw`: there is no
                template, and conversations are refused.
            context: the model's context, where the server does not tell it. Not all servers refuse longer requests.
            revision: the user's name for the weights, such as a commit or a date, to be changed with them; "" is none.
            fingerprint: replaces the computed one, for a server that was started for known weights.
            canary: whether short replies are part of the fingerprint. Off for services whose replies vary.

        Raises HubError where nothing answers, UsageError for a model that is not there or a choice between several.
        """
        self._client = client or JsonClient(url, key_variable=key_variable, timeout=timeout)
        self._extra = dict(extra or {})
        self._concurrency, self._canary, self._told = concurrency, canary, fingerprint
        self._revision, self._prompt_form = revision, prompt_form
        self._limit_name = "max_tokens"
        models = self._find_models()
        self.model = self._choose(model, models, otherwise)
        self._entry = models.get(self.model, {})
        self.name = name or self.model
        self._said = self._ask_what_it_is()
        self.context = self._said_context() or context

    @property
    def address(self) -> str:
        """`URL#MODEL`: address and model of the requests."""
        return f"{self._client.url}#{self.model}"

    @property
    def info(self) -> BackendInfo:
        """Facts that decide the replies. The first access requests the three short replies."""
        return self._description

    @cached_property
    def _description(self) -> BackendInfo:
        said = self._said
        template = said.get("/props", {}).get("chat_template")
        if self._told is None:
            # Hashed as the server sent them, without values that change with every start or request.
            parts = [self._client.url, self.model, self._entry, said, self._revision, self._canaries()]
            fingerprint = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
        else:
            fingerprint = self._told
        return BackendInfo(
            kind="openai",
            model=self.name,
            fingerprint=fingerprint,
            template=hashlib.sha256(template.encode()).hexdigest() if isinstance(template, str) else None,
            prompt_form=self._prompt_form,
            context=self.context,
            identified=self._told is not None or bool(self._revision),
            settings={"extra": self._extra, "neutral": dict(self._neutral)},
            details={"url": self._client.url, "server": self._entry.get("owned_by"), **said},
        )

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Reply]:
        """See `Backend.generate`. Raises HubError where the server refuses or gives no usable answer."""
        return self._all(prompts, lambda prompt: self._reply(prompt, sampling))

    def replies(self, prompts: Sequence[Prompt], sampling: Sampling) -> Iterator[tuple[int, Reply]]:
        """See `SeparateBackend.replies`. Raises as `generate`."""
        return side_by_side(prompts, lambda prompt: self._reply(prompt, sampling), threads=self._concurrency)

    def loglikelihood(self, pairs: Sequence[tuple[str, str]]) -> list[Likelihood]:
        """See `LikelihoodBackend.loglikelihood`.

        As everywhere, the continuation starts after as many tokens as the context has alone, by the server's count. The
        server decides which tokens come before a text: if there are none, the first token has no probability, and a
        likelihood without a context is refused. So are texts longer than the context: they are not cut into windows.

        Raises UnsupportedFormat where the server gives no probabilities of prompts.
        """
        contexts = sorted({context.rstrip() for context, _ in pairs} - {""})
        counts = dict(zip(contexts, self._all(contexts, self._count_tokens), strict=True))
        return self._all(pairs, lambda pair: self._likelihood(*pair, counts.get(pair[0].rstrip())))

    def _reply(self, prompt: Prompt, sampling: Sampling) -> Reply:
        payload: dict[str, Any] = {"temperature": sampling.temperature}
        if sampling.temperature > 0:
            spoken = prompt.text if prompt.text is not None else json.dumps(prompt.messages, ensure_ascii=False)
            seed = request_seed(sampling.seed, prompt.sample, spoken)
            payload |= {"top_p": sampling.top_p, "seed": seed, **self._neutral}
        else:
            payload |= {key: value for key, value in self._neutral.items() if key.endswith("penalty")}
        if prompt.text is None:
            if self._prompt_form == "raw":
                raise self._no_template()
            payload["messages"] = [{"role": role, "content": content} for role, content in prompt.messages]
            if sampling.template_arguments:
                payload["chat_template_kwargs"] = dict(sampling.template_arguments)
            return self._ask("/chat/completions", payload, sampling.max_new_tokens, read_chat)
        return self._ask("/completions", payload | {"prompt": prompt.text}, sampling.max_new_tokens, read_completion)

    def _ask(self, path: str, payload: Mapping[str, Any], limit: int, read: Callable[[Any, int], Reply]) -> Reply:
        try:
            reply = self._post(path, payload, limit, lambda answer: read(answer, limit))
            if self.context is not None and (reply.prompt_tokens or 0) + limit > self.context:
                return replace(reply, text="", stopped=False, failure="context")
            return reply
        except Refused as refused:
            failure = failure_of(refused.message, refused.body)
            if failure is None:
                self._explain(refused, path)
            return Reply("", stopped=False, failure=failure)

    def _post(self, path: str, payload: Mapping[str, Any], limit: int, read: Callable[[Any], Got]) -> Got:
        """Send a request and read the answer; repeat it once if the answer is unusable. Raises Refused, HubError."""
        problem: Exception | None = None
        for _ in range(2):
            body = {"model": self.model, self._limit_name: limit, **payload, **self._extra}
            try:
                # Some servers use status 500 for a prompt that is too long.
                return read(self._client.post(path, body, lambda it: failure_of(it.message, it.body) is not None))
            except Nonsense as error:
                problem = error
            except Refused as refused:
                if "max_completion_tokens" not in refused.message or self._limit_name != "max_tokens":
                    raise
                self._limit_name, problem = "max_completion_tokens", refused  # OpenAI's own reasoning models
        raise HubError(f"{self._client.url}{path}: the server answers what makes no sense ({problem})")

    def _explain(self, refused: Refused, path: str) -> NoReturn:
        where = f"{self._client.url}{path}"
        if refused.status in (401, 403):
            variable = self._client.key_variable
            have = f"the key in {variable}" if variable else "a request without a key"
            raise HubError(f"{where}: the server refuses {have} ({refused.status}: {refused.message})") from None
        if NO_TEMPLATE.search(refused.message):
            raise self._no_template() from None
        if refused.status in (404, 405, 501):
            raise UnsupportedFormat(f"{where}: the server does not offer this ({refused.message})") from None
        raise InputError(f"{where}: the server refuses the request ({refused.status}: {refused.message})") from None

    def _no_template(self) -> MissingInput:
        return MissingInput(
            f"{self.name} has no chat template and none is made up: start its server with the chat parent's "
            f"(vLLM, SGLang: --chat-template FILE; llama.cpp: --chat-template-file FILE)"
        )

    def _count_tokens(self, text: str) -> int:
        return self._measure({"prompt": text, "temperature": 0}, read_prompt_tokens)

    def _likelihood(self, context: str, continuation: str, context_tokens: int | None) -> Likelihood:
        if not continuation:
            raise ValueError("an empty continuation has no likelihood")
        text = context + continuation
        payload = {"prompt": text, "temperature": 0, "echo": True, "logprobs": 1}
        return self._measure(payload, lambda answer: read_likelihood(answer, text, context_tokens))

    def _measure(self, payload: Mapping[str, Any], read: Callable[[Any], Got]) -> Got:
        try:
            return self._post("/completions", payload, 1, read)
        except Refused as refused:
            self._explain(refused, "/completions")

    def _all(self, requests: Sequence[Asked], work: Callable[[Asked], Got]) -> list[Got]:
        """Results in order. The first error ends it, and requests that have not begun are not sent."""
        found = dict(side_by_side(requests, work, threads=self._concurrency))
        return [found[place] for place in range(len(requests))]

    def _find_models(self) -> dict[str, dict[str, Any]]:
        """The entries of `/models` by name; {} from a server without such a list. Adds `/v1` to the URL if needed."""
        for base in dict.fromkeys((self._client.url, f"{self._client.url}/v1")):
            self._client.url = base
            try:
                listed = self._client.get("/models", attempts=2, timeout=SECONDS_FOR_LISTS)
            except Refused as refused:
                if refused.status == 404 and not base.endswith("/v1"):
                    continue
                if refused.status in (404, 405):
                    return {}
                self._explain(refused, "/models")
            entries = listed.get("data") if isinstance(listed, dict) else None
            if not isinstance(entries, list):
                raise HubError(f"{base}: what answers there lists no models; give the address as far as /v1")
            return {entry["id"]: _steady(entry) for entry in entries if isinstance(entry, dict) and "id" in entry}
        return {}

    def _choose(self, model: str | None, models: Mapping[str, Any], otherwise: str | None) -> str:
        if model is not None and (not models or model in models):
            return model
        if model is None and len(models) == 1:
            return next(iter(models))
        if model is None and otherwise is not None:
            return otherwise
        there = first_five(models) if models else "no list of models"
        raise UsageError(f"{self._client.url}: name one of its models ({there}){f', not {model}' if model else ''}")

    def _ask_what_it_is(self) -> dict[str, Any]:
        """The server's answers about itself, apart from its models; only those that it gives."""
        root = JsonClient(self._client.url.removesuffix("/v1"), key_variable=self._client.key_variable)
        found: dict[str, Any] = {}
        for path in ("/version", "/props", "/get_model_info"):
            try:
                said = root.get(path, attempts=1, timeout=SECONDS_FOR_LISTS)
            except (Refused, HubError):
                continue
            if isinstance(said, dict):
                found[path] = _steady(said)
        return found

    def _said_context(self) -> int | None:
        """Most tokens of prompt and reply, from `/models` (vLLM, SGLang) or `/props` (llama.cpp)."""
        slot = self._said.get("/props", {}).get("default_generation_settings")
        said = self._entry.get("max_model_len") or (slot.get("n_ctx") if isinstance(slot, dict) else None)
        return said if isinstance(said, int) else None

    def _canaries(self) -> list[str]:
        if not self._canary:
            return []
        sampling, replies = Sampling(max_new_tokens=CANARY_TOKENS), list[str]()
        for text in CANARY:
            try:
                reply = self._reply(Prompt(messages=(("user", text),)), sampling)
            except MissingInput:  # no chat template
                reply = self._reply(Prompt(text=text), sampling)
            replies.append(reply.text)
        return replies

    @property
    def _neutral(self) -> Mapping[str, Any]:
        return NEUTRAL.get(str(self._entry.get("owned_by")).lower(), {})


_PASSING = ("created", "permission", "status", "total_slots", "slots", "is_sleeping", "generation_settings")


def _steady(said: Mapping[str, Any]) -> dict[str, Any]:
    """A server's answer without the values that change from one request or start to the next."""
    return {key: value for key, value in said.items() if key not in _PASSING}
