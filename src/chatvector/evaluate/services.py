# SPDX-License-Identifier: Apache-2.0
"""Turns what a user writes into the scorers, guards and judges that mark replies.

| `--toxicity` | scorer |
|---|---|
| `linear` | the bundled one, for smoke tests in English |
| `moderation`, `moderation:SNAPSHOT` | an OpenAI-style moderation endpoint |
| `perspective` | Perspective, until the service ends |
| anything else | a classifier loaded through transformers: a directory or a hub name |

A guard is opened like any other model; its name, or `--guard-format`, decides how its verdicts are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field

from chatvector.errors import UsageError
from chatvector.evaluate.cache import Cache
from chatvector.evaluate.cached_backend import CachedBackend
from chatvector.evaluate.cached_scorer import CachedScorer
from chatvector.evaluate.judge.model_judge import ModelJudge
from chatvector.evaluate.kept import as_they_come
from chatvector.evaluate.scorers.guard import FORMATS, GenerativeGuard, format_for
from chatvector.evaluate.scorers.judge_verdict import JudgeGuard
from chatvector.evaluate.scorers.perspective import NOTICE, PerspectiveScorer
from chatvector.evaluate.scorers.text_scorer import TextScorer
from chatvector.evaluate.scorers.verdicts import Guard
from chatvector.evaluate.task import Language, Services, Task
from chatvector.messages import Say, silent
from chatvector.runtime.backend import Backend, BackendInfo, Prompt, Reply, Sampling

JUDGE = "judge"
"""Name of the guard format for a general model that is asked for a verdict."""


@dataclass(frozen=True)
class Wanted:
    """The scorer, guard and judge that a command line names; None or empty if not named.

    Attributes:
        toxicity: the scorer, see the table above.
        labels, languages: label → attribute, and the languages, of a classifier whose name does not tell them.
        guard, guard_format: a model as `opening` takes it, and how its verdicts are read.
        judge: a model as `opening` takes it.
        judge_itself: the judge may be one of the models that are judged.
        forced: scorer and guard also mark languages that they were not made for.
    """

    toxicity: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    languages: tuple[Language, ...] = ()
    guard: str | None = None
    guard_format: str | None = None
    judge: str | None = None
    judge_itself: bool = False
    forced: bool = False
    device: str = "cpu"


class LateBackend:
    """A backend that is opened when it is first used. Guards and judges are asked after the models that they judge are
    closed, so they do not share memory with them. `stack` closes the backend."""

    def __init__(self, open_backend: Callable[[], AbstractContextManager[Backend]], stack: ExitStack) -> None:
        self._open, self._stack = open_backend, stack
        self._opened: Backend | None = None

    def _backend(self) -> Backend:
        if self._opened is None:
            self._opened = self._stack.enter_context(self._open())
        return self._opened

    @property
    def info(self) -> BackendInfo:
        """The description of the backend; opens it."""
        return self._backend().info

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Reply]:
        """Open the backend if needed, and ask it."""
        return self._backend().generate(prompts, sampling)

    def replies(self, prompts: Sequence[Prompt], sampling: Sampling) -> Iterable[tuple[int, Reply]]:
        """Open the backend if needed, and ask it; see `SeparateBackend.replies`."""
        return as_they_come(self._backend(), prompts, sampling)


def open_services(
    wanted: Wanted,
    stack: ExitStack,
    open_model: Callable[[str], AbstractContextManager[Backend]],
    cache: Cache | None = None,
    warn: Say = silent,
) -> Services:
    """The services that `wanted` names.

    Args:
        stack: closes guard and judge.
        open_model: opens guard and judge by name when they are first asked.
        cache: keeps scores and verdicts.
        warn: called with a notice if a service will end.

    Raises UsageError, before any model is loaded, for options that do not fit together or mean nothing.
    """
    if (wanted.labels or wanted.languages) and wanted.toxicity is None:
        raise UsageError("labels and languages are of a scorer: give --toxicity")
    if wanted.guard_format is not None and wanted.guard is None:
        raise UsageError(f"--guard-format {wanted.guard_format}: of which guard? give --guard")
    if wanted.judge_itself and wanted.judge is None:
        raise UsageError("--judge-itself: which judge? give --judge")
    toxicity = guard = judge = None
    if wanted.toxicity is not None:
        toxicity = toxicity_scorer(
            wanted.toxicity,
            languages=wanted.languages,
            labels=wanted.labels,
            device=wanted.device,
            forced=wanted.forced,
            cache=cache,
        )
        if wanted.toxicity == "perspective":
            warn(NOTICE)
    if (name := wanted.guard) is not None:
        late = LateBackend(lambda: open_model(name), stack)
        guard = guard_of(late, form=wanted.guard_format, cache=cache, forced=wanted.forced, name=name)
    if (named := wanted.judge) is not None:
        judge = judge_of(LateBackend(lambda: open_model(named), stack), cache=cache, forced=wanted.judge_itself)
    return Services(judge=judge, toxicity=toxicity, guard=guard)


def check_languages(services: Services, jobs: Iterable[tuple[Task, Language]]) -> None:
    """Raise UsageError if a service does not know the language of a task that would ask it. Called before anything is
    generated. A task lists in `would_use` the services that it uses only if they are given."""
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
        languages: languages that a classifier or the moderation endpoint was made for, if its name does not tell them.
        labels: label → attribute of a classifier.
        forced: also score languages that it was not made for; recorded.
        cache: keeps scores; not used for the bundled scorer.

    Raises UsageError for options that do not fit together or a key that is not set, MissingExtra without `[local]`.
    """
    from chatvector.evaluate.scorers import moderation
    from chatvector.evaluate.scorers.classifier import ClassifierScorer
    from chatvector.evaluate.scorers.linear import LinearScorer

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
        scorer = ClassifierScorer(name, tuple(languages) or None, labels or None, device=device, forced=forced)
    return scorer if cache is None else CachedScorer(scorer, cache)


def judge_of(
    backend: Backend, *, ask_in: Language | None = None, cache: Cache | None = None, forced: bool = False
) -> ModelJudge:
    """A model as a judge of open replies. `ask_in`: the language of its prompts, by default that of the replies;
    `forced`: the judge may judge itself. `cache` keeps its verdicts."""
    return ModelJudge(backend if cache is None else CachedBackend(backend, cache), ask_in, forced=forced)


def guard_of(
    backend: Backend,
    *,
    form: str | None = None,
    cache: Cache | None = None,
    forced: bool = False,
    name: str | None = None,
) -> Guard:
    """A model as a guard. `form` is a name in `guard.FORMATS`, or `judge`; None: the model's name decides, which is
    `name` or else the backend's own. `cache` keeps its verdicts.

    Raises UsageError for an unknown form, or if the name does not say how the verdicts are read.
    """
    asked = backend if cache is None else CachedBackend(backend, cache)
    if form == JUDGE:
        return JudgeGuard(asked)
    if form is not None and form not in FORMATS:
        raise UsageError(f"guard format {form!r}: there are {', '.join(FORMATS)}, {JUDGE}")
    called = name or backend.info.model
    return GenerativeGuard(asked, format_for(called, form), forced, name=called)
