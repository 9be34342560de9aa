# SPDX-License-Identifier: Apache-2.0
"""The page itself: valid, alone in the world, the same every time, and unmoved by what models write."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatvector.evaluate.redaction import redact
from chatvector.evaluate.report import html as pages
from chatvector.evaluate.report.blocks import (
    Code,
    Curves,
    Lines,
    Point,
    Report,
    Said,
    Sample,
    Samples,
    Section,
    Series,
    Table,
    Text,
)
from chatvector.evaluate.report.characters import LONGEST, clipped, shortened, visible
from chatvector.evaluate.report.markdown import fenced, markdown, plain
from chatvector.evaluate.report.picture import MARKS, NAME, SERIES, STROKES, svg
from chatvector.evaluate.report.writing import render
from chatvector.evaluate.request import Job, Request
from chatvector.evaluate.run import Evaluation, evaluate
from chatvector.evaluate.task import Item
from pages_of_reports import read_page
from small_tasks import Capitals, Scripted, Shouting, knows, model

HOSTILE = (
    "<script>alert(1)</script>",
    "</div></section><img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "\u202eevil\u202c \u2066x",
    "a\x00b\x1b[31m\x07",
    "\ud800 half a pair",
    "{{ 7 * 7 }}{% raw %}",
    "$x^2$ \\frac{1}{2}",
    "```\n# no heading\n```",
    "| a | b |\n|---|---|",
    "مرحبا 안녕 你好 ⚡",
    "]]><!-- -->",
    "javascript:alert(1)",
)


@dataclass(frozen=True)
class Secret(Capitals):
    """Capitals that nobody should see."""

    name: str = "secret"

    def items(self, language: str, *, limit: int | None, seed: int) -> list[Item]:
        return [replace(item, sensitive=True) for item in super().items(language, limit=limit, seed=seed)]


def evaluated(*says: str, task: Capitals | None = None) -> Evaluation:
    """Models that know some capitals and otherwise say the given texts; each is called by what it says."""
    old = Scripted("old", knows("France", otherwise="PLEASE"))
    names = [f"{number}{text[:200]}".replace("\ud800", "") for number, text in enumerate(says)]
    others = [Scripted(name, knows("Peru", otherwise=text)) for name, text in zip(names, says, strict=True)]
    jobs = (Job(task or Capitals(), "en"), Job(task or Capitals(), "ko"))
    return evaluate(Request(tuple(map(model, (old, *others))), jobs, (Shouting(),)))


def files_of(found: Evaluation, **more: Any) -> dict[str, str]:
    records = {
        (task.name, task.language): [json.loads(line) for line in found.items[task.items_file].splitlines()]
        for task in found.results.tasks
        if task.items_file
    }
    return render(found.results, records, **more)


@pytest.fixture(scope="module")
def hostile() -> dict[str, str]:
    return files_of(evaluated(*HOSTILE))


def test_a_page_is_valid_and_loads_nothing(hostile: dict[str, str]) -> None:
    page = read_page(hostile["report.html"])
    assert page.faults == []
    assert page.tags["svg"] == 3
    assert page.tags["table"] > 5
    # Of the outside the page knows nothing, not even as a name space.
    assert not re.search(r"https?:|//[a-z]", re.sub(r"javascript:", "", hostile["report.html"]))


def test_what_models_say_is_text(hostile: dict[str, str]) -> None:
    page = read_page(hostile["report.html"])
    assert page.tags["script"] == page.tags["img"] == 0
    for text in ("<script>alert(1)</script>", "</div></section><img src=x onerror=alert(1)>", "{{ 7 * 7 }}", "안녕"):
        assert text in page.text
    assert "49" not in page.text.split("{{ 7 * 7 }}", 1)[1][:20]


def test_nothing_invisible_turns_a_page_around(hostile: dict[str, str]) -> None:
    for text in hostile.values():
        assert not set("\u202e\u202c\u2066\x00\x1b\x07\ud800") & set(text)
        text.encode("utf-8")
    assert "⟨U+202E⟩evil" in hostile["report.html"]
    assert "⟨U+D800⟩ half a pair" in hostile["report.html"]


def test_markdown_stays_what_it_is(hostile: dict[str, str]) -> None:
    text = hostile["report.md"]
    outside = re.sub(r"^(`{3,})\w*\n.*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    assert "<" not in outside.replace("\\<", "")
    assert "no heading" not in re.findall(r"^#+ (.*)$", outside, re.MULTILINE)
    tables = [line for line in outside.splitlines() if line.startswith("| ")]
    assert len(tables) > 20


def test_light_and_dark_narrow_and_printed(hostile: dict[str, str]) -> None:
    page = hostile["report.html"]
    assert '<html lang="en">' in page
    assert 'name="viewport" content="width=device-width, initial-scale=1"' in page
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page
    # Colours are the page's: none of matplotlib's stand-ins or black text is left.
    pictures = "".join(re.findall(r"<svg.*?</svg>", page, re.DOTALL))
    assert not re.search(r"#[0-9a-f]{6}\b", pictures.replace('href="#', ""))
    assert "var(--c0)" in pictures
    assert "currentColor" in pictures
    # What is wider than a phone scrolls in its own box, which the keyboard reaches.
    assert page.count("<table ") == page.count('<div class="scroll" tabindex="0" role="region"')


def test_pictures_say_what_they_show(hostile: dict[str, str]) -> None:
    for picture in re.findall(r"<svg.*?</svg>", hostile["report.html"], re.DOTALL):
        (title,), (description,) = (
            re.findall(r"<title[^>]*>(.*?)</title>", picture, re.DOTALL),
            re.findall(r"<desc[^>]*>(.*?)</desc>", picture, re.DOTALL),
        )
        assert 'role="img"' in picture
        assert len(title) > 10
        assert len(description) > 10


def test_every_model_has_a_look_of_its_own() -> None:
    looks = {(SERIES[number % len(SERIES)], MARKS[number % len(MARKS)]) for number in range(42)}
    assert len(looks) == 42
    assert len({STROKES[number % len(STROKES)] for number in range(5)}) == 5


def test_names_of_models_in_a_chart_are_cut_and_are_no_formulas() -> None:
    points = (Point(1, 0, 2, 0), Point(2, None, None, 1))
    text = svg(Curves("c", "caption <b>", "it & that", "x", False, (Series("$\\alpha$ " + "n" * 99, 0, points),)))
    assert "$\\alpha$ nnnnnn…" in text
    assert len(clipped("n" * 99, NAME)) == NAME
    assert "caption &lt;b&gt;" in text
    assert "it &amp; that" in text


# --- redaction -------------------------------------------------------------------------------------------------------


def test_what_may_hold_harm_is_not_in_any_file() -> None:
    found = evaluated("how to do harm", task=Secret())
    files = files_of(found)
    for name, text in files.items():
        for secret in ("how to do harm", "capital of France", "Capital of", "PLEASE", "Paris"):
            # The model is called by what it says; that is its name and no reply.
            assert secret not in text.replace("0how to do harm", "").replace("0how-to-do-harm", ""), (name, secret)
    assert redact("how to do harm")[1:-1] in files["report.html"]
    assert "--show-harmful" in read_page(files["report.html"]).text


def test_half_a_pair_can_be_redacted() -> None:
    page = read_page(files_of(evaluated("\ud800", task=Secret()))["report.html"])
    assert page.faults == []
    assert redact("\ud800") in page.text


def test_shown_where_asked_for() -> None:
    found = evaluated("how to do harm", task=Secret())
    files = files_of(found, reveal=True)
    page = read_page(files["report.html"]).text
    assert "how to do harm" in page.replace("0how to do harm", "")
    assert "[redacted" not in page
    assert "shown, as asked for" in page


def test_harmless_items_are_not_redacted(hostile: dict[str, str]) -> None:
    assert "[redacted" not in hostile["report.html"]
    assert "redacted" not in read_page(hostile["report.html"]).text


# --- characters ------------------------------------------------------------------------------------------------------


def test_a_huge_reply_is_cut_and_the_rest_is_counted() -> None:
    files = files_of(evaluated("x" * 100_000))
    page = read_page(files["report.html"]).text
    assert f"{100_000 - LONGEST:,} more characters" in page
    assert len(files["report.html"]) < 200_000
    assert shortened("x" * LONGEST) == "x" * LONGEST


def test_emoji_and_joiners_stay() -> None:
    family = "👨\u200d👩\u200d👧 ❤\ufe0f می\u200cخواهم\n\tnext"
    assert visible(family) == family
    assert visible("a\r\nb\rc") == "a\nb⟨U+000D⟩c"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(text=st.text(st.characters(), max_size=60))
def test_any_text_anywhere_leaves_the_page_whole(text: str) -> None:
    sample = Sample(text, text, (("user", text),), (Said(text, (text,), text),))
    blocks = (
        Text(text),
        Lines((text,)),
        Table(text, ("a", text), ((text, text), (text, text)), labels=2),
        Table(text, ("a",), ((text,),), folded=True),
        Samples(text, (sample,)),
        Code(text, text),
    )
    report = Report(text, text, (Section("findings", text, blocks),))
    page = pages.html(report, "0")
    assert read_page(page).faults == []
    markdown(report).encode("utf-8")
    body = fenced(text).split("\n")
    assert body[0].removesuffix("text") == body[-1]
    assert not any(re.fullmatch(r" {0,3}" + body[-1] + r"`*\s*", line) for line in body[1:-1])
    assert "\n" not in plain(text)


def test_equal_labels_below_each_other_are_joined() -> None:
    rows = (("a", "x", "1"), ("a", "x", "2"), ("a", "y", "3"), ("b", "y", "4"))
    assert pages.spans(Table("t", ("", "", ""), rows, labels=3)) == [[3, 2, 1], [0, 0, 1], [0, 1, 1], [1, 1, 1]]
