# SPDX-License-Identifier: Apache-2.0
"""From what a user writes to the scorers and guards that mark replies.

| `--toxicity` | scorer |
|---|---|
| `linear` | the bundled one, for smoke tests in English |
| `moderation`, `moderation:SNAPSHOT` | an OpenAI-style moderation endpoint |
| `perspective` | Perspective, until it ends |
| anything else | a classifier by transformers: a directory or a hub name |

A guard is a model like any other and is opened as one; its name says how it is read, or `--guard-format` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from chatvector.errors import UsageError
from chatvector.evaluate.cache import Cache
from chatvector.evaluate.cached_backend import CachedBackend
from chatvector.evaluate.cached_scorer import CachedScorer
from chatvector.evaluate.scorers.guard import FORMATS, GenerativeGuard, format_for
from chatvector.evaluate.scorers.judge_verdict import JudgeGuard
from chatvector.evaluate.scorers.text_scorer import TextScorer
from chatvector.evaluate.scorers.verdicts import Guard
from chatvector.evaluate.task import Language, Services, Task
from chatvector.runtime.backend import Backend

JUDGE = "judge"
"""Guard format of a general model that is asked for a verdict."""


def check_languages(services: Services, jobs: Iterable[tuple[Task, Language]]) -> None:
    """Raise UsageError if a service does not know the language of a task that would ask it: before anything is
    generated, not after. A task that takes a service where there is one says so by `would_use`."""
    for task, language in jobs:
        for name in dict.fromkeys((*task.needs(), *getattr(task, "would_use", ()))):
            service = getattr(services, name)
            if hasattr(service, "check_language"):
                service.check_language(language)


def toxicity_scorer(
    name: str,
    *,
    languages: Sequence[Language] = (),
    labels: Mapping[str, str] | None = None,
    device: str = "cpu",
    forced: bool = False,
    cache: Cache | None = None,
) -> TextScorer:
    """The scorer that `name` means.

    Args:
        languages: that a classifier or the endpoint was made for, where its name does not say.
        labels: of a classifier, label → attribute.
        forced: score languages that it was not made for; recorded.
        cache: where scores are kept; the bundled scorer needs none.

    Raises UsageError for a combination without meaning or a key that is not set, MissingExtra without `[local]`.
    """
    from chatvector.evaluate.scorers import moderation
    from chatvector.evaluate.scorers.classifier import ClassifierScorer
    from chatvector.evaluate.scorers.linear import LinearScorer
    from chatvector.evaluate.scorers.perspective import PerspectiveScorer

    kind, _, rest = name.partition(":")
    ours = kind in ("linear", "moderation", "perspective")
    if not name.strip():
        raise UsageError("--toxicity: name a scorer: linear, moderation, perspective, or a classifier")
    if ours and labels:
        raise UsageError(f"--toxicity {name}: labels are a classifier's")
    if kind in ("linear", "perspective") and (languages or rest):
        raise UsageError(f"--toxicity {name}: {kind} has its languages and takes nothing after its name")
    if kind == "linear":
        return LinearScorer(forced=forced)
    scorer: TextScorer
    if kind == "perspective":
        scorer = PerspectiveScorer(forced=forced)
    elif kind == "moderation":
        spoken = tuple(languages) or moderation.LANGUAGES
        scorer = moderation.ModerationScorer(rest or moderation.SNAPSHOT, languages=spoken, forced=forced)
    else:
        scorer = ClassifierScorer(name, tuple(languages) or None, labels, device=device, forced=forced)
    return scorer if cache is None else CachedScorer(scorer, cache)


def guard_of(backend: Backend, *, form: str | None = None, cache: Cache | None = None, forced: bool = False) -> Guard:
    """A model as a guard. `form` is a name of `guard.FORMATS` or `judge`; None: by the model's name. With `cache` its
    verdicts are kept.

    Raises UsageError where neither the form nor the name says how it is read.
    """
    asked = backend if cache is None else CachedBackend(backend, cache)
    if form == JUDGE:
        return JudgeGuard(asked)
    if form is not None and form not in FORMATS:
        raise UsageError(f"guard format {form!r}: there are {', '.join(FORMATS)}, {JUDGE}")
    return GenerativeGuard(asked, format_for(backend.info.model, form), forced)
