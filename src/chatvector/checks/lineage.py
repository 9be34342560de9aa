# SPDX-License-Identifier: Apache-2.0
"""The family tree of base, chat and target as one verdict with its figures.

| verdict                     | meaning                                                                   | apply   |
|-----------------------------|---------------------------------------------------------------------------|---------|
| ok                          | base stands where the paths of chat and target part                       | goes on |
| swapped                     | base and chat are exchanged                                               | both²   |
| holds the vector            | the target descends from chat, or τ was added to it before                | both³   |
| swapped or holds the vector | one of the two; the weights are the same in both, and no file tells       | both³   |
| doubled                     | the target's own manifest says that this vector was added                 | refuses |
| in another order            | the weights say who is base, the files who is chat: another permutation   | refuses |
| target is the ancestor      | base and target are exchanged, or chat was tuned from the target          | both¹   |
| holds part of the vector    | between a third and most of τ is in the target                            | warns   |
| chat and target exchanged   | of chat and target only the target is a chat model by its files           | warns   |
| other base version          | chat − base is too large for tuning alone: base is not chat's own base    | warns⁴  |
| unrelated                   | two of the three are strangers                                            | warns   |
| zero vector                 | base and chat hold the same sampled weights                               | warns   |
| undecided                   | the target moved so far that a whole vector is not seen, nor improbable   | goes on |
| unknown                     | nothing to compare, or no numbers                                         | goes on |

¹ refuses where the files agree, else warns. ² warns where only the files say so, and the weights cannot tell.
³ warns where only the rows of the template's tokens say so, and the weights cannot tell.
⁴ refuses where the target holds all of chat − base: chat and target share that step, or the target descends from chat.

Thresholds were fixed on generated families and measured on others: docs/lineage.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

from chatvector.checks.geometry import Geometry, Share, ratio
from chatvector.checks.signs import Signs
from chatvector.errors import LineageError, first_five

Verdict = Literal[
    "ok",
    "swapped",
    "holds the vector",
    "swapped or holds the vector",
    "doubled",
    "target is the ancestor",
    "in another order",
    "holds part of the vector",
    "chat and target exchanged",
    "other base version",
    "unrelated",
    "zero vector",
    "undecided",
    "unknown",
]

Decision = tuple[Verdict, bool, tuple[str, ...]]
"""Verdict, whether it refuses, reasons."""

# A vector is seen at so many standard errors above none: what an honest target holds is none, so that is what a false
# alarm is measured against. Fewer where the files point the same way, more where they contradict.
CERTAINTY, CERTAINTY_WITH_SIGNS, CERTAINTY_AGAINST_SIGNS = 2.5, 1.5, 4.0
# From so much on it is the whole rather than a part; below so much it is not worth a word.
WHOLE, PART = 0.6, 0.3
# Where both shares are seen, the one whose line the tensors keep to this many times as closely is the truth.
STRAIGHTER = 1.3
# The rows of special tokens are looked at unless a whole vector is so many standard errors away.
EXCLUDED = 3.0
# Nearer than that, a share of 0 must be so many times as likely as one of 1; less where the files say who of base and
# chat is which, so that only a descendant of chat could hold a vector.
LIKELIER, LIKELIER_WITH_SIGNS = 10.0, 5.0
# Cosine of two models' weights below which they are strangers. Tuning by a tenth leaves 0.995, by as much again 0.7.
RELATED = 0.5
# ‖τ‖/‖base‖ above which tuning alone is no explanation, and above which it is a doubtful one: none where configurations
# differ too, or the target's rows of the template's tokens.
LARGE_VECTOR, LARGE_VECTOR_WITH_SIGNS = 0.1, 0.05
# Chat tuning touches the embedding's rows of the tokens it sees; further pre-training moves all.
STILL_ROWS = 0.2


@dataclass(frozen=True)
class Lineage:
    """What the sampled weights and the files say about the three models' descent.

    Attributes:
        verdict: one of the table above.
        refused: whether `apply` refuses.
        reasons: one line each: what was seen, and what to do.
        geometry: the figures.
        signs: the evidence beside the weights.
    """

    verdict: Verdict
    refused: bool
    reasons: tuple[str, ...]
    geometry: Geometry
    signs: Signs

    def as_dict(self) -> dict[str, Any]:
        """Everything, for `check --json`."""
        return {
            "verdict": self.verdict,
            "refused": self.refused,
            "reasons": list(self.reasons),
            "figures": self.geometry.as_dict(),
            "signs": self.signs.as_dict(),
        }

    def summary(self) -> dict[str, Any]:
        """The main figures, for the manifest and `plan --json`."""
        total, held = self.geometry.total, self.geometry.chat_in_target
        return {
            "verdict": self.verdict,
            "reasons": list(self.reasons),
            "chat_in_target": None if held is None else held.value,
            "chat_in_target_error": None if held is None else held.error,
            **{key: value for key, value in total.as_dict().items() if key in ("projection", "cosine")},
            "drift_over_tau": ratio(total.drift, total.tau),
            "tau_over_base": ratio(total.tau, total.base),
            "elements": total.elements,
        }

    def raise_if_refused(self, names: tuple[str, str, str]) -> None:
        """Raise LineageError when the verdict is a refusal. `names`: target, base, chat as the user wrote them."""
        if self.refused:
            raise LineageError(
                f"lineage of {', '.join(names)} (target, base, chat): {'; '.join(self.reasons)};"
                " --force-lineage goes on all the same"
            )


def judge(geometry: Geometry, signs: Signs) -> Lineage:
    """The verdict that figures and files make together; the first rule that holds counts."""
    verdict, refused, reasons = _decide(geometry, signs)
    if signs.recipe is not None:
        reasons = (*reasons, f"the target holds {signs.recipe}: it is a merge itself; see what went into it")
    return Lineage(verdict, refused, reasons, geometry, signs)


def alarming(geometry: Geometry) -> bool:
    """Whether the weights give reason to look at the rows of special tokens too, which costs some reading.

    They do where they show a share, and where the target moved so far that they do not exclude a whole vector.
    """
    held, other = geometry.chat_in_target, geometry.target_in_chat
    if held is not None and held.above(1) > -EXCLUDED:
        return True
    return any(share is not None and share.value >= PART and share.above(0) > 1 for share in (held, other))


def _decide(geometry: Geometry, signs: Signs) -> Decision:
    total = geometry.total
    if signs.merged:
        scales = ", ".join(f"{scale:g}" for scale in signs.merged)
        return "doubled", True, (f"the target's own chat_vector.json says that this chat vector was added at {scales}",)
    if geometry.non_finite:
        names = first_five(geometry.non_finite)
        why = f"non-finite values (NaN or infinity) in {len(geometry.non_finite)} sampled tensors: {names}"
        return "unknown", False, (f"{why}; no merge comes of them, chatvector doctor --full names all of a model's",)
    if not total.elements or not geometry.finite:
        return "unknown", False, ()
    if total.tau == 0:
        return "zero vector", False, ("base and chat hold the same sampled weights: the vector is zero",)
    if total.rest == 0:
        return _at_chat(Share(1.0, 0.0), signs)
    if total.drift == 0:
        why = "base and target hold the same sampled weights: nothing was pre-trained on, the sum is base + scale · τ"
        return "ok", False, (why,)
    strangers = [pair for pair, cosine in geometry.similarity().items() if cosine < RELATED]
    if strangers:
        pairs = ", ".join(pair.replace(" ", " and ") for pair in strangers)
        return "unrelated", False, (f"{pairs} look unrelated; a chat vector needs one ancestor of all three",)
    held, taken = geometry.chat_in_target, geometry.target_in_chat
    if taken is not None and not _whole(taken, signs, agreeing=signs.only_base_talks):
        taken = None
    if held is not None and _whole(held, signs, agreeing=signs.only_base_talks or _target_like_chat(signs)):
        if taken is not None and taken.scatter * STRAIGHTER < held.scatter:
            return _at_target(taken, geometry, signs)
        return _far_base(held, geometry, signs) or _at_chat(held, signs, _or_far_base(geometry))
    part = held is not None and held.value >= PART and _believed(held, signs, agreeing=False)
    if taken is not None and (held is None or not part or signs.only_base_talks or _ancestor(held, taken, signs)):
        return _at_target(taken, geometry, signs)
    if held is not None and part:
        reason = f"the target already holds {held} of the chat vector; is a smaller scale or another target meant?"
        return "holds part of the vector", False, (reason, *_or_far_base(geometry))
    return _smaller_things(geometry, signs)


def _ancestor(held: Share, taken: Share, signs: Signs) -> bool:
    """Whether chat was tuned from the target, where by the triangle's sides the target could hold part of τ as well."""
    if held.scatter * STRAIGHTER < taken.scatter:
        return False
    if taken.scatter * STRAIGHTER < held.scatter:
        return True
    # A target on the way to chat: chat then goes more than the whole of the target's step, or the target talks.
    return taken.above(1) <= CERTAINTY and "target" not in signs.templates


def _whole(share: Share, signs: Signs, *, agreeing: bool) -> bool:
    """Whether a share is a whole arrow, and no accident of an honest target."""
    return share.value >= WHOLE and _believed(share, signs, agreeing=agreeing)


def _believed(share: Share, signs: Signs, *, agreeing: bool) -> bool:
    """Whether a share is far enough above none. What it has beyond 1 makes it no surer that one is there."""
    return replace(share, value=min(share.value, 1.0)).above(0) >= _needed(signs, agreeing=agreeing)


def _needed(signs: Signs, *, agreeing: bool) -> float:
    """Standard errors above none from which a share is believed."""
    if _target_like_base(signs):
        return CERTAINTY_AGAINST_SIGNS
    return CERTAINTY_WITH_SIGNS if agreeing else CERTAINTY


def _target_like_chat(signs: Signs) -> bool:
    """Whether the target's files show the chat model: its template, or its rows of the template's tokens."""
    if signs.rows is not None and signs.rows.moved:
        return signs.rows.like_chat > signs.rows.moved / 2
    return False


def _target_like_base(signs: Signs) -> bool:
    """Whether the target's rows of the template's tokens are base's."""
    return signs.rows is not None and signs.rows.like_base > signs.rows.like_chat


def _too_large(geometry: Geometry, threshold: float) -> bool:
    """Whether chat − base is longer than `threshold` of base, and not by tuning that leaves most embedding rows."""
    still = geometry.still_rows is not None and geometry.still_rows >= STILL_ROWS
    return not still and _size(geometry) >= threshold


def _size(geometry: Geometry) -> float:
    """‖τ‖ / ‖base‖."""
    return ratio(geometry.total.tau, geometry.total.base) or 0.0


def _far_base(held: Share, geometry: Geometry, signs: Signs) -> Decision | None:
    """Chat and target share one step away from base that tuning does not make; None where tuning may have made it.

    A target that holds the vector has chat's rows of the template's tokens: base's rows there contradict it.
    """
    doubtful = bool(signs.differences) or _target_like_base(signs)
    if signs.only_base_talks or not _too_large(geometry, LARGE_VECTOR_WITH_SIGNS if doubtful else LARGE_VECTOR):
        return None
    why = "base is another version than the one that chat and target grew from; name that one as base"
    other = "If chat was tuned from this very base, the target descends from chat or had the vector added: take another"
    seen = f"{_large_step(geometry, signs)}, and the target holds {held} of that step"
    return "other base version", True, (f"{seen}: {why}. {other} target", *_told(signs))


def _large_step(geometry: Geometry, signs: Signs) -> str:
    differ = f", and they differ in {'; '.join(signs.differences)}" if signs.differences else ""
    return f"chat differs from base by {_size(geometry):.0%} of its norm{differ}, more than chat tuning makes"


def _or_far_base(geometry: Geometry) -> tuple[str, ...]:
    """The other cause of a share, where chat − base is large for tuning: the weights are alike in both."""
    if not _too_large(geometry, LARGE_VECTOR_WITH_SIGNS):
        return ()
    size = f"chat − base is {_size(geometry):.0%} of base's norm"
    usual = f"tuning seldom makes more than {LARGE_VECTOR_WITH_SIGNS:.0%}"
    why = "base is another version than the one that chat and target grew from"
    return (f"another cause of the same figures: {why} ({size}, {usual}); then name that one as base",)


def _told(signs: Signs) -> tuple[str, ...]:
    """What the rows of the template's tokens say, if they say something."""
    return (str(signs.rows),) if signs.rows is not None and signs.rows.like_chat + signs.rows.like_base > 0 else ()


def _at_chat(held: Share, signs: Signs, other: tuple[str, ...] = ()) -> Decision:
    """The paths part at the model given as chat, or the target went on from there: the weights look the same.

    `other`: a reason more, where that is not the only explanation.
    """
    seen = f"the target holds {held} of the step from base to chat, where a child of base holds 0"
    rows = _told(signs)
    if signs.only_base_talks:
        why = "base and chat are swapped (of the two only the one given as base is a chat model by its files)"
        return "swapped", True, (f"{seen}: {why}; exchange them", *rows)
    if signs.only_chat_talks:
        why = "it descends from the chat model, or a chat vector was added to it before (the weights are alike in both)"
        return "holds the vector", True, (f"{seen}: {why}; take a target without it", *other, *rows)
    if "target" in signs.templates and not {"base", "chat"} & set(signs.templates):
        return "in another order", True, (f"{seen}, and of the three only the target has a chat template: {_ORDER[2]}",)
    why = "either base and chat are swapped, or the target already descends from the chat model"
    return "swapped or holds the vector", True, (f"{seen}: {why} (nothing in the files tells which)", *other, *rows)


_ORDER = {
    1: "they read as base = the one given as target, chat = the one given as base, target = the one given as chat",
    2: "they read as base = the one given as chat, chat = the one given as target, target = the one given as base",
}


def _at_target(taken: Share, geometry: Geometry, signs: Signs) -> Decision:
    """The paths of base and chat part at the model given as target."""
    seen = f"the chat model holds {taken} of the step from base to target, where a child of base holds 0"
    if signs.only_base_talks:
        why = f"and of base and chat only the one given as base is a chat model by its files: {_ORDER[1]}"
        return "in another order", True, (f"{seen}, {why}",)
    why = "base and target are exchanged, or chat was tuned from the target (then that is its base)"
    return "target is the ancestor", signs.only_chat_talks, (f"{seen}: {why}", *_or_far_base(geometry))


def _smaller_things(geometry: Geometry, signs: Signs) -> Decision:
    """What deserves a word although the vector is not seen in the target."""
    held = geometry.chat_in_target
    too_far = held is not None and held.above(1) > -EXCLUDED
    if signs.only_base_talks and too_far:
        why = "of base and chat only the one given as base is a chat model by its files: are the two swapped?"
        return "swapped", False, (f"{why} The target moved too far for the weights to tell (it holds {held})",)
    if too_far and _target_like_chat(signs):
        verdict: Verdict = "holds the vector" if signs.only_chat_talks else "swapped or holds the vector"
        why = "plain text leaves these rows as they were, so the target may have grown from the model given as chat"
        return verdict, False, (f"{signs.rows}: {why}. It moved too far for the weights to tell (it holds {held})",)
    if "target" in signs.templates and "chat" not in signs.templates:
        return (
            "chat and target exchanged",
            False,
            (
                "the target has a chat template and the chat model has none: are the two exchanged?"
                " (chat + (target − base) is the same sum at scale 1, with the other's tokenizer and rows)",
            ),
        )
    if _too_large(geometry, LARGE_VECTOR_WITH_SIGNS if signs.differences else LARGE_VECTOR):
        why = "was chat tuned from another version of base?"
        return "other base version", False, (f"{_large_step(geometry, signs)}: {why}",)
    if "base" in signs.templates and "chat" not in signs.templates:
        return "ok", False, ("of base and chat only base has a chat template",)
    open_question = held is not None and too_far and not _target_like_base(signs) and not _is_none(held, signs)
    return ("undecided" if open_question else "ok"), False, ()


def _is_none(held: Share, signs: Signs) -> bool:
    """Whether a share is that of an honest target rather than of one that holds the whole vector.

    Of two normal distributions of the share's error e around 0 and 1 the first gives the value v the likelihood of the
    second times exp((1/2 − v) / e²).
    """
    odds = LIKELIER_WITH_SIGNS if signs.only_chat_talks else LIKELIER
    return 0.5 - held.value >= math.log(odds) * held.error**2
