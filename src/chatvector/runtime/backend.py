# SPDX-License-Identifier: Apache-2.0
"""The common interface of all models that answer, wherever they run: prompts in, replies out.

Implementations: transformers (a directory, or a live merge in memory), any OpenAI-compatible server, and
recorded replies. This module imports none of them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

Role = str
"""`system`, `user` or `assistant`."""


@dataclass(frozen=True)
class Sampling:
    """How a reply is drawn. Temperature 0 is greedy; `seed` matters only above 0.

    Attributes:
        max_new_tokens: limit of a reply, in tokens, thinking included.
        template_arguments: passed to the chat template, e.g. `{"enable_thinking": False}`; sorted pairs.
    """

    max_new_tokens: int = 512
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    template_arguments: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class Prompt:
    """One request: a conversation to be answered in the chat format, or (`text`) raw text to be continued.

    Attributes:
        messages: (role, content) pairs, the last one from the user; empty where `text` is given.
        text: raw text, given to the model without any template.
        sample: number of this sample among several of the same prompt; the seed of the draw depends on it.
    """

    messages: tuple[tuple[Role, str], ...] = ()
    text: str | None = None
    sample: int = 0

    def __post_init__(self) -> None:
        if bool(self.messages) == (self.text is not None):
            raise ValueError("a prompt has either messages or text")


@dataclass(frozen=True)
class Reply:
    """What a model wrote after one prompt.

    Attributes:
        text: decoded without special tokens, up to the stop token, white space stripped at both ends. Thinking is
            still in it (see `evaluate.thinking`), with the opening mark that the template wrote into
            the prompt. Thinking that a server sent separately is put between marks.
        stopped: True if it ended with a stop token, False if it ran into the limit.
        tokens: tokens written, the stop token included; None where a server does not say.
        prompt_tokens: tokens of the rendered prompt; None where a server does not say.
        special: special tokens within the text (without the one that ended it), as text.
        failure: why there is no reply: `"context"` (prompt and limit do not fit into the model's context), `"template"`
            (the chat template refuses it, such as for a system role), `"filtered"` (the server withheld or
            cut it). Such a reply is an error to be reported, never a miss to be scored.
    """

    text: str
    stopped: bool
    tokens: int | None = None
    prompt_tokens: int | None = None
    special: tuple[str, ...] = ()
    failure: str | None = None


@dataclass(frozen=True)
class Likelihood:
    """log p(continuation | context), in nats, over `tokens` tokens; `greedy` if each was the most likely one."""

    nats: float
    tokens: int
    greedy: bool


@dataclass(frozen=True)
class BackendInfo:
    """All facts that decide a model's replies, apart from the prompt. Its digest is part of every cache key.

    Attributes:
        kind: `transformers`, `live`, `openai`, `replay`.
        model: the user's name for it.
        fingerprint: hash of weights and side files (of recipe and parents for a live merge); for a server, of its
            answers about itself, as its weights cannot be seen.
        template: hash of the chat template's source; None if there is none.
        prompt_form: `own template`, `template of NAME`, `raw`: recorded with every result, never silently replaced.
        context: largest number of tokens of prompt and reply; None if not known.
        settings: other facts that decide replies: dtype, stop ids, major versions of libraries; JSON values.
        details: device, full versions, settings of the model that are not used … for the record.
        identified: whether the fingerprint identifies the weights. If not, replies are valid for this run only: no
            cache may reuse them in another run, where the server may have other weights.
    """

    kind: str
    model: str
    fingerprint: str
    template: str | None
    prompt_form: str
    context: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    identified: bool = True

    @property
    def digest(self) -> str:
        """SHA-256 of all facts that decide replies, in hex; without the model's name and the details."""
        decides = [self.kind, self.fingerprint, self.template, self.prompt_form, self.context, dict(self.settings)]
        text = json.dumps(decides, sort_keys=True, ensure_ascii=False)
        # It contains names from the user: half of a surrogate pair stands for a byte of a path that is no UTF-8.
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@runtime_checkable
class Backend(Protocol):
    """A model that answers."""

    @property
    def info(self) -> BackendInfo:
        """All facts that decide the model's replies."""
        ...

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Reply]:
        """One reply for each prompt, in order. Raises MissingInput for a conversation where the model has no chat
        template (none is invented), HubError where a server does not answer."""
        ...


@runtime_checkable
class SeparateBackend(Backend, Protocol):
    """A model that returns each reply once it is complete, such as a server; an interruption loses none of them."""

    def replies(self, prompts: Sequence[Prompt], sampling: Sampling) -> Iterable[tuple[int, Reply]]:
        """(index of the prompt, reply) for every prompt, in any order. Raises as `generate`, after complete replies."""
        ...


@runtime_checkable
class LikelihoodBackend(Backend, Protocol):
    """A model that gives probabilities, for bits per byte, closed tasks by likelihood, and lm-eval."""

    def loglikelihood(self, pairs: Sequence[tuple[str, str]]) -> list[Likelihood]:
        """The likelihood of each (context, continuation). An empty context means the tokens that the tokenizer puts
        before a text. Texts longer than the context are cut into windows, each token counted
        once."""
        ...


@runtime_checkable
class SpellingBackend(Backend, Protocol):
    """A model whose tokenizer can be used directly."""

    def round_trip(self, text: str) -> str:
        """The text that results from tokenising and decoding a text, without special tokens."""
        ...
