# SPDX-License-Identifier: Apache-2.0
"""A model behind a server that speaks OpenAI's protocol: vLLM, llama.cpp, SGLang, `transformers serve`, Ollama, APIs.

Conversations go to `/chat/completions`, where the server's own template is used; raw text goes to `/completions`.
Several requests run at once; every reply stands for itself.

**What the server is** cannot be seen but by what it says. Its fingerprint is made of address, model name, what
`/models`, `/version`, `/props` and `/get_model_info` say, and of three short greedy replies that are asked for first.
Weights that differ too little for that are not noticed, so such a server is not `identified` and its replies are kept
for no other run, unless the user says by `revision` which weights they are (docs/decisions/0011).

**What is sent.** Servers fill in a model's own generation settings (vLLM) or their own (llama.cpp: top_k 40, min_p
0.05), so those that have a name there are set to neutral. Ollama cuts prompts that are too long without a word: give it
a context that is large enough.
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

# By `owned_by` in /models. Greedy decoding needs the penalties only, drawing all of them.
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
        """Ask the server what it is.

        Args:
            url: as far as `/v1`; without that part it is looked for.
            model: its name there; None takes the only one.
            otherwise: the model where None does not settle it: a server that loads what it is asked for lists others
                or none.
            name: what the user calls it; None is the model's name.
            key_variable: environment variable that holds the key. None sends none, whatever is set: a key meant for one
                server must not reach another.
            timeout: longest silence of the server in seconds, see `JsonClient`.
            extra: parameters added to every request, such as `{"top_k": 20}`.
            prompt_form: for the record, where the server was started with another model's template; `raw` says that
                there is none, and conversations are refused.
            context: the model's, where the server does not say it. Not all servers refuse what does not fit.
            revision: the user's name for the weights, a commit or a date, to be changed with them; "" is none.
            fingerprint: instead of all that: for a server whose weights are known because it was started for them.
            canary: whether short replies are part of the fingerprint. Off for services that never answer alike.

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
        """`URL#MODEL`: where it is asked, and for what."""
        return f"{self._client.url}#{self.model}"

    @property
    def info(self) -> BackendInfo:
        """What it is; the first time, the server is asked for the three short replies."""
        return self._description

    @cached_property
    def _description(self) -> BackendInfo:
        said = self._said
        template = said.get("/props", {}).get("chat_template")
        if self._told is None:
            # Hashed as they were said, save what changes with every start or request.
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
        """See `Backend.generate`. Raises HubError where the server does not answer, answers nonsense or refuses."""
        return self._all(prompts, lambda prompt: self._reply(prompt, sampling))

    def replies(self, prompts: Sequence[Prompt], sampling: Sampling) -> Iterator[tuple[int, Reply]]:
        """See `SeparateBackend.replies`. Raises as `generate`."""
        return side_by_side(prompts, lambda prompt: self._reply(prompt, sampling), threads=self._concurrency)

    def loglikelihood(self, pairs: Sequence[tuple[str, str]]) -> list[Likelihood]:
        """See `LikelihoodBackend.loglikelihood`.

        The continuation is what follows as many tokens as the context has alone, as everywhere; the server counts. What
        stands before a text is the server's affair: where it puts nothing, the first token has no probability, and a
        likelihood without a context is refused. So are texts longer than the context: no windows are cut here.

        Raises UnsupportedFormat where the server tells no probabilities of prompts.
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
        """Ask, and read the answer; one that makes no sense is asked for once more. Raises Refused, HubError."""
        problem: Exception | None = None
        for _ in range(2):
            body = {"model": self.model, self._limit_name: limit, **payload, **self._extra}
            try:
                # Some servers say with status 500 that a prompt is too long.
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
        """Results in order; the first error ends it, and what has not begun is not asked."""
        found = dict(side_by_side(requests, work, threads=self._concurrency))
        return [found[place] for place in range(len(requests))]

    def _find_models(self) -> dict[str, dict[str, Any]]:
        """The entries of `/models` by name; {} from a server that has no such list. Completes the URL by `/v1`."""
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
        """What the server says of itself beside its models, as far as it does."""
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
        """Tokens of prompt and reply, as vLLM and SGLang say in `/models`, llama.cpp in `/props`."""
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
    """What a server says, without what changes from one request or start to the next."""
    return {key: value for key, value in said.items() if key not in _PASSING}
