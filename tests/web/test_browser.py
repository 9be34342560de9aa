# SPDX-License-Identifier: Apache-2.0
"""The page as somebody uses it, in a real browser: talk, turn the knob, look, measure, take the recipe along.

Screenshots go to `$CHATVECTOR_SCREENSHOTS`, or to pytest's temporary folder.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Browser, Page, expect

from browser import watched
from chatvector.web.plot_words import KOREAN
from chatvector.web.sentences import BY_TAG
from chatvector.web.words import EN, KO, ZH_HANT, Words
from page import QUESTION, ask, box, fill, nameless, open_tab, pale_texts, replies, stops

pytestmark = pytest.mark.browser
SENTENCES = BY_TAG["ko"]


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    named = os.environ.get("CHATVECTOR_SCREENSHOTS")
    place = Path(named) if named else tmp_path_factory.mktemp("screenshots")
    place.mkdir(parents=True, exist_ok=True)
    return place


def shoot(page: Page, shots: Path, name: str) -> None:
    page.screenshot(path=shots / f"{name}.png", full_page=True)


def test_talking_and_turning_the_knob(korean: Page, shots: Path) -> None:
    page = korean
    assert page.url.endswith("/ko/")
    for _ in range(6):  # a busy browser may draw a short answer at once
        grown: set[int] = set()
        fill(box(page), QUESTION)
        box(page).press("Enter")
        for _ in range(10_000):
            said = replies(page, 0)
            grown.add(len(said.last.inner_text()) if said.count() else 0)
            if page.locator("#side-0 small").count() == 1:
                break
        expect(page.locator("#side-1 small")).to_have_count(1)
        if len(grown) > 2:
            break
        page.locator("#again").click()
        expect(replies(page, 1)).to_have_count(0)
    else:
        pytest.fail("the answer is never streamed")
    before = [replies(page, side).last.inner_text() for side in (0, 1)]
    assert before[0].splitlines()[0] != before[1].splitlines()[0]
    assert "0.75" in before[1]
    expect(replies(page, 0).locator("blockquote, ul, h1")).to_have_count(0)  # a target's > and - are its words
    shoot(page, shots, "chat-ko")
    slider = page.locator("#scale input[type=range]")
    slider.focus()
    slider.press("ArrowLeft")
    expect(page.locator("#scale-status")).to_contain_text("0.7")
    slider.press("Home")
    expect(page.locator("#scale-status")).to_contain_text("-0.5")
    expect(page.locator("#scale-status")).to_contain_text("ms")
    page.locator("#again").click()
    expect(replies(page, 1)).to_have_count(0)
    after = ask(page, QUESTION)
    assert "-0.5" in after[1]
    assert after[1].splitlines()[0] != before[1].splitlines()[0]
    assert after[0] == before[0], "the target itself is as it was"


def test_scales_by_role_and_as_text(korean: Page, shots: Path) -> None:
    page = korean
    page.get_by_text(KO.by_role).click()
    line = page.locator("#rules input, #rules textarea")
    for text, answer in (
        ("viel", "is no number"),
        ("0.5 tail=1", "'tail' is no role"),
        ("", SENTENCES.no_scale),
        ("0.5 nothing.*=1", "matches none of"),
    ):
        fill(line, text)
        line.press("Enter")
        expect(page.locator("#scale-status .problem")).to_contain_text(answer)
        expect(line).to_have_value("0.75")
    fill(line, "0.5 attention=0 0-1=1")
    line.press("Enter")
    expect(page.locator("#scale-status")).to_contain_text("0.5, attention=0, 0-1=1")
    expect(page.locator("#scale-attention input[type=number]")).to_have_value("0")
    expect(page.locator("#scale-mlp input[type=number]")).to_have_value("0.5")
    shoot(page, shots, "roles-ko")
    mlp = page.locator("#scale-mlp input[type=range]")
    mlp.focus()
    mlp.press("ArrowRight")
    expect(line).to_have_value("0.5, attention=0, mlp=0.55, 0-1=1")


def test_what_is_typed_wrong_is_answered_by_a_sentence(korean: Page) -> None:
    page = korean
    box(page).press("Enter")
    expect(page.locator("#chat-status .problem")).to_have_text(SENTENCES.empty_message)
    fill(box(page), "가나다 " * 3000)
    box(page).press("Enter")
    expect(replies(page, 1).last).to_contain_text(KO.context_full.format(context=512))
    expect(replies(page, 0).last).to_contain_text(KO.context_full.format(context=512))


def test_the_vector(korean: Page, shots: Path) -> None:
    page = korean
    open_tab(page, KO.vector)
    expect(page.locator("#vector svg")).to_have_count(3)
    expect(page.locator("#vector")).to_contain_text(f"{KO.verdict_fine}: ok")
    expect(page.locator("#vector svg").first).to_contain_text(KOREAN["Size of the chat vector"])
    shoot(page, shots, "vector-ko")


def test_measuring(korean: Page, shots: Path) -> None:
    page = korean
    open_tab(page, KO.evaluate)
    fill(page.locator("#items input"), "1")
    page.locator("#items input").press("Tab")
    page.locator("#run-suite").click()
    report = page.frame_locator("#report iframe")
    expect(report.locator("h1")).to_contain_text("demo:target + 0.75·τ")
    shoot(page, shots, "evaluate-ko")
    fill(page.locator("#scales input, #scales textarea"), "0.75")
    page.locator("#run-sweep").click()
    expect(report.locator("pre")).to_contain_text("chatvector apply demo:target")
    expect(report.locator("svg")).to_contain_text(KOREAN["Figure of merit"])
    shoot(page, shots, "sweep-ko")


def test_cancelling(korean: Page) -> None:
    page = korean
    open_tab(page, KO.evaluate)
    page.locator("#run-suite").click()
    expect(page.locator("#evaluate-status progress")).to_be_visible()
    page.locator("#cancel").click()
    expect(page.locator("#evaluate-status")).to_contain_text(KO.cancelled)


def test_the_recipe(korean: Page, shots: Path, tmp_path: Path) -> None:
    page = korean
    line = page.locator("#rules input, #rules textarea")
    page.get_by_text(KO.by_role).click()
    fill(line, "0.5 norm=0")
    line.press("Enter")
    expect(page.locator("#scale-status")).to_contain_text("0.5, norm=0")
    open_tab(page, KO.recipe)
    command = "chatvector apply demo:target --base demo:base --chat demo:chat --scale 0.5 --scale-role norm=0 -o OUT"
    expect(page.locator("#recipe .command")).to_have_text(command)
    with page.expect_download() as waiting:
        page.locator("a[download='recipe.yaml']").click()
    saved = yaml.safe_load(Path(waiting.value.path()).read_text("utf-8"))
    pair = {"base": "demo:base", "chat": "demo:chat", "scale": 0.5, "scale_role": {"norm": 0.0}}
    assert saved == {"target": "demo:target", "vectors": [pair]}
    place = page.locator("#output input, #output textarea")
    page.locator("#write").click()
    expect(page.locator("#recipe-status .problem")).to_have_text(SENTENCES.no_output)
    out = tmp_path / "merged"
    fill(place, str(out))
    page.locator("#write").click()
    expect(page.locator("#recipe-status")).to_contain_text(KO.written.partition("{output}")[2].partition(":")[0])
    assert (out / "chat_vector.json").is_file()
    shoot(page, shots, "recipe-ko")
    page.locator("#write").click()
    refused = page.locator("#recipe-status .problem")
    expect(refused).to_contain_text(f"{SENTENCES.of_usage} ")
    expect(refused.locator("[lang=en]")).to_contain_text("exists already")


@pytest.mark.parametrize("words", [EN, ZH_HANT], ids=lambda words: words.tag)
def test_other_languages_a_phone_and_the_dark(browser: Browser, url: str, shots: Path, words: Words) -> None:
    dark = words is EN
    phone = {"width": 360, "height": 740}
    scheme = "dark" if dark else "light"
    with watched(browser, url, locale="en-US", viewport=phone, color_scheme=scheme) as page:
        page.goto(f"{url}{words.tag}/")
        for name in (words.chat, words.vector, words.evaluate, words.recipe):
            expect(page.get_by_role("tab", name=name)).to_be_visible()
        expect(page.locator("html")).to_have_attribute("lang", words.tag)
        expect(page.locator("#scale")).to_contain_text(words.scale)
        ask(page, QUESTION)
        shoot(page, shots, f"phone-chat-{scheme}-{words.tag}")
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= phone["width"], "nothing sticks out to the side"
        places = [page.locator(f"#side-{side}").bounding_box() for side in (0, 1)]
        assert places[0] is not None
        assert places[1] is not None
        assert places[0]["width"] > 0.9 * phone["width"], "a phone has no room for margins"
        assert places[1]["y"] >= places[0]["y"] + places[0]["height"], "one below the other"
        page.get_by_role("tab", name=words.vector).click()
        expect(page.locator("#vector svg")).to_have_count(3)
        shoot(page, shots, f"phone-vector-{scheme}-{words.tag}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_can_be_read_and_reached(browser: Browser, url: str, shots: Path, scheme: str) -> None:
    """Contrast, names for screen readers, a way for the keyboard; and nothing jumps."""
    with watched(browser, url, locale="zh-TW", color_scheme=scheme) as page:
        page.goto(url)
        place = page.locator("#scale").bounding_box()
        box(page).press("Enter")
        expect(page.locator("#chat-status .problem")).to_be_visible()
        assert pale_texts(page) == {}
        assert page.locator("#scale").bounding_box() == place
        ask(page, QUESTION)
        label, scrolled = (page.locator(f"#side-0 {part}").first.bounding_box() for part in ("label", ".bubble-wrap"))
        assert label is not None
        assert scrolled is not None
        assert scrolled["y"] >= label["y"] + label["height"], "messages do not scroll behind the label"
        shoot(page, shots, f"chat-{scheme}-zh-Hant")
        assert nameless(page) == []
        for folded in (ZH_HANT.by_role, ZH_HANT.settings):
            page.get_by_role("button", name=folded).click()
        expect(page.locator("#limit input")).to_be_visible()
        assert pale_texts(page) == {}
        names = stops(page)
        ordered = [ZH_HANT.chat, ZH_HANT.recipe, ZH_HANT.message, ZH_HANT.send, ZH_HANT.stop, ZH_HANT.again]
        places = [names.index(name) for name in ordered]
        assert places == sorted(places)
        assert names.index(f"number input for {ZH_HANT.scale}") > places[-1]
        for tab, there in ((ZH_HANT.evaluate, "#suite"), (ZH_HANT.recipe, "#recipe"), (ZH_HANT.vector, "#vector svg")):
            page.get_by_role("tab", name=tab).press("Enter")
            expect(page.locator(there).first).to_be_visible()
            assert pale_texts(page) == {}
            assert nameless(page) == []
            if tab == ZH_HANT.evaluate:
                fields = [page.locator(f"#{name} input").locator("..").bounding_box() for name in ("items", "scales")]
                fields.append(page.locator("#suite .wrap").last.bounding_box())
                ends = [0 if field is None else round(field["y"] + field["height"]) for field in fields]
                assert len({*ends}) == 1, f"fields of one row end at {ends}"
        shoot(page, shots, f"vector-{scheme}-zh-Hant")
