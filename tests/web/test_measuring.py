# SPDX-License-Identifier: Apache-2.0
"""Evaluations and sweeps from the page: reports that stand alone, called off, refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from chatvector.arithmetic.scales import ScaleRules
from chatvector.cli.tasks import known
from chatvector.errors import UsageError
from chatvector.runtime.backend import Sampling
from chatvector.web.errand import Errand
from chatvector.web.measuring import Chosen, measure, measure_along, suites
from chatvector.web.visitors import Models, Visitor, Visitors
from chatvector.web.words import KO

pytestmark = [pytest.mark.usefixtures("own_cache")]
REGISTRY = known()
# What a browser would fetch from elsewhere by itself; links to be followed are none.
FETCHED = re.compile(r'(?:src|srcset|data|poster)\s*=\s*"(?!data:|#)|<link|@import|url\((?!["\']?(?:data:|#))')


@pytest.fixture
def visitor(models: Models) -> Visitor:
    return Visitors(models, Sampling(max_new_tokens=16)).get("a")


def done(errand: Errand[str]) -> tuple[str, list[tuple[int, int]]]:
    steps = [(seen.done, seen.total) for seen in errand.watch()]
    assert errand.problem is None
    assert errand.result is not None
    return errand.result, steps


def test_the_quick_suite_of_both_models(visitor: Visitor, models: Models, own_cache: Path) -> None:
    visitor.move(ScaleRules(0.5, roles={"norm": 0.0}))
    report, steps = done(measure(visitor, models, REGISTRY, Chosen.of("quick", "ko", 1)))
    assert "demo:target + 0.5 norm=0·τ" in report
    assert "<!doctype html>" in report.lower()
    assert not FETCHED.search(report)
    assert steps[-1][0] == steps[-1][1] > 0
    assert own_cache.is_file()


def test_the_knob_may_be_turned_meanwhile(visitor: Visitor, models: Models) -> None:
    """What is measured are the scales of the moment it was asked for."""
    errand = measure(visitor, models, REGISTRY, Chosen.of("quick", "ko", 1))
    visitor.move(ScaleRules(0.0))
    report, _ = done(errand)
    assert "demo:target + 0.75·τ" in report
    assert visitor.rules() == ScaleRules(0.0)


def test_a_sweep(visitor: Visitor, models: Models) -> None:
    report, _ = done(measure_along(visitor, models, REGISTRY, Chosen.of("demo", "ko", 1), "0.5,0.75", KO))
    assert f'<th scope="col">{KO.scale}</th>' in report
    for scale in ("0", "0.5", "0.75"):
        assert f'<th scope="row">{scale}</th>' in report
    assert "chatvector apply demo:target --base demo:base --chat demo:chat --scale " in report
    assert "<svg" in report
    assert not FETCHED.search(report)
    assert visitor.rules() == ScaleRules(0.75), "the visitor's own scale is as it was"


def test_called_off(visitor: Visitor, models: Models) -> None:
    errand = measure(visitor, models, REGISTRY, Chosen.of("quick", "ko", 1))
    for seen in errand.watch():
        seen.call_off()
    assert (errand.result, errand.problem) == (None, None)


def test_one_may_talk_meanwhile(visitor: Visitor, models: Models) -> None:
    watching = measure(visitor, models, REGISTRY, Chosen.of("quick", "ko", 1)).watch()
    next(watching)
    (*_, said) = visitor.ask("오늘 기분이 어때?")
    assert all(one.done and one.problem is None for one in said)
    for _ in watching:
        pass


@pytest.mark.parametrize(
    ("suite", "language", "limit", "message"),
    [
        ("quick", "xx", 0, "unknown language 'xx'"),
        ("quick", "ko", -1, "-1 is no number of items"),
        ("quick", "ko", 1.5, "1.5 is no number of items"),
        ("quick", "ko", "many", "'many' is no number of items"),
    ],
)
def test_choices_that_mean_nothing(suite: str, language: str, limit: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Chosen.of(suite, language, limit)


def test_choices() -> None:
    assert Chosen.of("quick", "ko", 0) == Chosen.of("quick", "ko", None) == Chosen("quick", "ko", None)
    assert Chosen.of("quick", "ko", 3.0) == Chosen("quick", "ko", 3)


def test_an_unknown_suite_is_a_sentence(visitor: Visitor, models: Models) -> None:
    (*_, last) = measure(visitor, models, REGISTRY, Chosen.of("quickest", "ko", 1)).watch()
    assert str(last.problem).startswith("unknown suite 'quickest'")


def test_scales_that_cannot_be_read(visitor: Visitor, models: Models) -> None:
    with pytest.raises(UsageError, match="--scales"):
        measure_along(visitor, models, REGISTRY, Chosen.of("demo", "ko", 1), "some", KO)


def test_a_sweep_without_a_vector(models: Models) -> None:
    alone = Models(models.speakers[:1])  # the target as it is
    visitor = Visitors(alone, Sampling()).get("a")
    with pytest.raises(UsageError, match="none is loaded"):
        measure_along(visitor, alone, REGISTRY, Chosen.of("demo", "ko", 1), "0,1", KO)
    with pytest.raises(UsageError, match="no vector is loaded"):
        visitor.move(ScaleRules(0.5))


def test_the_suites_that_are_offered(models: Models) -> None:
    assert suites(REGISTRY, models) == ["quick", "sweep", "demo"]
    assert set(suites(REGISTRY, models)) <= set(REGISTRY.suites)
