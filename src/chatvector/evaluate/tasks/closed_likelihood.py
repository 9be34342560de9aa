# SPDX-License-Identifier: Apache-2.0
"""Closed questions without generation: which label makes prompt and answer together most likely?

This suits models that cannot be asked in chat yet, such as a base or a target without a chat template: no chat format,
parser or stop token is involved. Each item is the filled-in form of `closed_wordings` as plain text with one of the
labels at its end. The items of a text differ in nothing else, so the differences of their log-likelihoods are those of
the labels given the prompt. (This holds if the tokenizer splits prompt and label at the same place for every label. The
whole text is scored, so only the tokens at the joint may differ.)

Long labels are less likely because they are long: `accuracy_bytes` therefore divides what a label adds to the
log-likelihood by its length in bytes, as lm-evaluation-harness does for `acc_norm`. What a label adds is the likelihood
of the whole text minus that of the prompt alone, which is asked as one further item.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from chatvector.evaluate.task import Answer, Item, Language, Marks, Metric, Services, Source
from chatvector.evaluate.tasks.closed import ClosedTask
from chatvector.evaluate.tasks.closed_wordings import WORDINGS, ask
from chatvector.runtime.backend import Sampling

FORM = WORDINGS.index("form")
PROMPT = ""
"""Value of `expect["given"]` of the item that is the prompt alone."""

METRICS = (
    # Only one item of each text is marked, hence `of_some`: the others do not count as lost.
    Metric("accuracy", "accuracy by likelihood", "correct", by=("label",), primary=True, of_some=True),
    Metric("accuracy_bytes", "accuracy by likelihood a byte", "correct_bytes", of_some=True),
)


@dataclass(frozen=True)
class ClosedLikelihoodTask:
    """The same question as `closed`, by likelihood. The item of the right label carries the marks; they are None
    elsewhere."""

    closed: ClosedTask
    axis: str = "instructions"
    version: str = "1"
    metrics: tuple[Metric, ...] = field(default=METRICS, repr=False)

    @property
    def name(self) -> str:
        """The closed task's name with `-likelihood`."""
        return f"{self.closed.name}-likelihood"

    @property
    def languages(self) -> tuple[Language, ...]:
        """Languages of the closed task."""
        return self.closed.languages

    @property
    def sampling(self) -> Sampling:
        """Sampling settings of the closed task; likelihood items draw nothing."""
        return self.closed.sampling

    def items(self, language: Language, *, limit: int | None, seed: int) -> list[Item]:
        """Text by text, one item per label and one for the prompt alone; `limit` never splits the items of a text."""
        labels = self.closed.label_names(language)
        made: list[Item] = []
        for row, order in self.closed.rows_in_order(language, seed=seed):
            fields = {"text": row.text} | ({"hypothesis": row.hypothesis} if row.hypothesis else {})
            prompt = ask(self.closed.kind, language, FORM, order, **fields)
            space = " " if prompt.endswith(":") else ""  # the full-width colon has its own
            for key, name in {PROMPT: None, **labels}.items():
                made.append(
                    Item(
                        id=f"{row.id}/{key or 'prompt'}",
                        language=language,
                        text=prompt if name is None else f"{prompt}{space}{name}",
                        mode="likelihood",
                        cluster=row.cluster or row.id,
                        expect={"label": row.label, "given": key, "row": row.id},
                        facets={"label": row.label},
                    )
                )
        each = len(labels) + 1
        return made if limit is None else made[: max(1, limit // each) * each]

    def sources(self, language: Language) -> list[Source]:
        """Sources of the closed task."""
        return self.closed.sources(language)

    def needs(self) -> tuple[str, ...]:
        """Needs no service."""
        return ()

    def mark(self, answers: Sequence[Answer], services: Services) -> list[Marks]:
        """Marks: `correct` and `correct_bytes` on the item of the right label, `nats` on all items. `correct` and
        `correct_bytes` are None for a text if the answer to one of its items failed."""
        del services
        groups: dict[tuple[str, int], dict[str, Answer]] = {}
        for answer in answers:
            groups.setdefault((str(answer.item.expect["row"]), answer.sample), {})[answer.item.expect["given"]] = answer
        return [self._mark(answer, groups[str(answer.item.expect["row"]), answer.sample]) for answer in answers]

    def _mark(self, answer: Answer, group: Mapping[str, Answer]) -> Marks:
        item, labels = answer.item, self.closed.label_names(answer.item.language)
        right = item.expect["label"]
        if item.expect["given"] != right or group.keys() != {PROMPT, *labels}:
            return {"nats": answer.nats, "correct": None, "correct_bytes": None}
        nats = {key: _nats(group[key]) for key in labels}
        prompt = _nats(group[PROMPT])
        a_byte = {key: (nats[key] - prompt) / len(labels[key].encode()) for key in labels}
        return {"nats": answer.nats, "correct": _best(nats) == right, "correct_bytes": _best(a_byte) == right}


def _nats(answer: Answer) -> float:
    assert answer.nats is not None, f"{answer.item.id}: a likelihood item without a likelihood"
    return answer.nats


def _best(scores: Mapping[str, float]) -> str | None:
    """The label with the highest score; None if two labels share it (a tie is no answer) or it is not finite."""
    top = max(scores.values())
    best = [key for key, score in scores.items() if score == top]
    return best[0] if len(best) == 1 and math.isfinite(top) else None
