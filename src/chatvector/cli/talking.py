# SPDX-License-Identifier: Apache-2.0
"""What `chat` and `ui` have in common: the models that one talks to, loaded after the memory they take was stated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chatvector.messages import Say

if TYPE_CHECKING:
    from chatvector.recipe import Recipe
    from chatvector.runtime.prompt_form import GivenTemplate
    from chatvector.runtime.session import Speaker


@dataclass(frozen=True)
class Loading:
    """How models are loaded. `batch`: most prompts that are asked at once."""

    say: Say
    dtype: str | None
    device: str | None
    remote_code: bool
    template: str | None
    batch: int = 1


@contextmanager
def merged(recipe: Recipe, loading: Loading, *, beside: bool = False) -> Iterator[Speaker]:
    """The live merge of a recipe; `beside` says that another model is loaded, whose template `loading` may be about.

    Raises UsageError for a flag that is not for it, MissingInput where neither target nor vector has a template.
    """
    from chatvector.errors import MissingInput, UsageError
    from chatvector.live_merge import open_live
    from chatvector.runtime.session import Speaker

    if loading.template is not None and not beside:
        raise UsageError("--chat-format-from is for models without a template; a merge takes --chat-format FILE")
    with open_live(
        recipe,
        dtype=loading.dtype,
        device=loading.device,
        remote_code=loading.remote_code,
        batch=loading.batch,
        say=loading.say,
    ) as live:
        if live.form.template is None:
            raise MissingInput(
                f"{recipe.target}: neither it nor the vector has a chat template; give --chat-format FILE"
            )
        yield Speaker(live.name, live)


def loaded(name: str, loading: Loading, named: Sequence[str], given: GivenTemplate | None = None) -> Speaker:
    """A model as it is; `given` is the template for it if it has none, instead of the one in `loading`.

    Raises MissingInput where it has no chat template, and what loading raises.
    """
    from chatvector.evaluate.opening import has_template, template_from
    from chatvector.runtime.loading import parameter_bytes
    from chatvector.runtime.memory import require_memory
    from chatvector.runtime.prompt_form import no_template
    from chatvector.runtime.session import Speaker
    from chatvector.runtime.transformers_backend import TransformersBackend
    from chatvector.sizes import memory_size

    own = has_template(name, loading.say)
    if not own and given is None and loading.template is None:
        offers = [other for other in named if other != name and has_template(other, loading.say)]
        raise no_template(name, offers)
    if given is None and not own and loading.template is not None:
        given = template_from(loading.template, loading.say)
    need = parameter_bytes(name, dtype=loading.dtype, device=loading.device, progress=loading.say)
    on_card = loading.device is not None and not loading.device.startswith("cpu")
    loading.say(f"{name} takes {memory_size(need)}" if on_card else require_memory(need, name))
    backend = TransformersBackend.load(
        name,
        dtype=loading.dtype,
        device=loading.device,
        remote_code=loading.remote_code,
        progress=loading.say,
        template=None if own else given,
        batch=loading.batch,
    )
    return Speaker(name, backend)


def before(recipe: Recipe, merge: Speaker, loading: Loading) -> Speaker:
    """The target of a live merge as it is, asked in its own chat format; if it has none, in that of `loading`, or else
    in the merge's. Raises what loading raises."""
    from chatvector.runtime.prompt_form import GivenTemplate

    source = merge.backend.form.template
    assert source is not None
    if loading.template is not None:
        return loaded(recipe.target, loading, ())
    stops = merge.backend.tokenizer.convert_ids_to_tokens(sorted(merge.backend.stop_ids))
    return loaded(recipe.target, loading, (), GivenTemplate(source.source, merge.name, tuple(stops)))
