# SPDX-License-Identifier: Apache-2.0
"""The last subject of `verify`: transformers loads the model whole, and it answers and stops."""

from __future__ import annotations

from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

from chatvector.checkpoint.remote import RemoteStorage
from chatvector.checkpoint.storage import LocalDirectory, Storage
from chatvector.errors import HubError, InputError, NotEnoughSpace
from chatvector.messages import Say
from chatvector.sizes import disk_size
from chatvector.verification.report import Check

# Without --generate or --no-generate a reply is written when the weights take at most so many bytes: float32 copies of
# them then fit a laptop, and the reply takes seconds.
GENERATE_BYTES = 1 << 30
# The same for a model that would have to be downloaded first.
DOWNLOAD_BYTES = 256 << 20
PROMPTS = ("Hello!", "안녕하세요?", "你好", "こんにちは")
REPLY_TOKENS = 256


def check_reply(storage: Storage, checks: list[Check], generate: bool | None, say: Say) -> Check:
    """Load through transformers with an empty load report, and let it answer; from afar it is downloaded for that."""
    if generate is False:
        return Check("reply", None, "not asked for")
    if any(check.ok is False for check in checks):
        return Check("reply", None, "left out: what is loaded is not what was meant")
    if not checks[-1].figures["conversations"]:
        return Check("reply", None, "the model has no chat template")
    nbytes = sum(size for name, size in storage.listing().items() if name.endswith(".safetensors"))
    here = isinstance(storage, LocalDirectory)
    if generate is None:
        if find_spec("torch") is None or find_spec("transformers") is None:
            return Check("reply", None, "needs an optional part: pip install 'chatvector[local]'")
        if nbytes > (GENERATE_BYTES if here else DOWNLOAD_BYTES):
            verb = "loads" if here else "downloads and loads"
            return Check("reply", None, f"{disk_size(nbytes)} of weights; --generate {verb} them")
    if isinstance(storage, LocalDirectory):
        return speak(storage.path)
    assert isinstance(storage, RemoteStorage)
    with ExitStack() as stack:
        try:
            path = storage.download(stack, say)
        except (HubError, NotEnoughSpace) as problem:
            if generate:
                raise
            return Check("reply", None, f"the model could not be downloaded ({problem})")
        return speak(path)


def speak(path: Path) -> Check:
    """Greet the model in `path` in four languages. It fails where transformers does not load it, or no reply ends."""
    from chatvector.runtime.backend import Prompt, Sampling
    from chatvector.runtime.transformers_backend import TransformersBackend

    try:
        model = TransformersBackend.load(path)
    except InputError as problem:
        return Check("reply", False, "transformers does not load it", (str(problem),))
    prompts = [Prompt(messages=(("user", text),)) for text in PROMPTS]
    limit = REPLY_TOKENS if model.context is None else min(REPLY_TOKENS, model.context // 2)
    replies = model.generate(prompts, Sampling(max_new_tokens=limit))
    stopped = sum(reply.stopped for reply in replies)
    figures = {"prompts": list(PROMPTS), "stopped": stopped, "replies": [reply.text for reply in replies]}
    summary = f"loaded by transformers without a missing or unexpected tensor; {stopped} of {len(replies)} replies stop"
    problems = () if stopped else (f"no reply to {len(replies)} greetings ended within {limit} tokens",)
    return Check("reply", not problems, summary, problems, figures)
