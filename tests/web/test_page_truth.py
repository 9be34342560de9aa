# SPDX-License-Identifier: Apache-2.0
"""What the page shows is so, in a real browser: beside a slider, during a reply, after a restart, for two people."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from browser import Watched, server, watched
from chatvector.web.sentences import BY_TAG
from chatvector.web.words import KO
from page import QUESTION, answered, ask, box, enter, fill, open_tab, replies, rules, scale

pytestmark = pytest.mark.browser
SENTENCES = BY_TAG["ko"]
RAMBLING = "-4"
"""A scale at which nothing but the limit ends a reply to QUESTION."""


def stands(page: Page, value: str, name: str = "scale") -> None:
    """The slider and the number beside it stand there."""
    for field in scale(page, name):
        expect(field).to_have_value(value)


def test_a_number_beside_a_slider_moves_it(korean: Page) -> None:
    page, status = korean, korean.locator("#scale-status")
    page.get_by_text(KO.by_role).click()
    slider, number = scale(page)
    for step, value in (
        (lambda: enter(number, "0.3"), "0.3"),
        (lambda: number.press("ArrowUp"), "0.35"),
        (lambda: number.press("ArrowDown"), "0.3"),
        (lambda: slider.press("ArrowLeft"), "0.25"),
        (lambda: (fill(number, "1.2"), number.press("Tab")), "1.2"),
    ):
        step()
        expect(status).to_contain_text(KO.moved.partition(":")[0].format(scale=value))
        expect(rules(page)).to_have_value(value)
        stands(page, value)
    told = status.inner_text()
    place = slider.bounding_box()
    assert place is not None
    page.mouse.move(place["x"] + place["width"] / 2, place["y"] + 4)
    page.mouse.down()
    page.mouse.move(place["x"] + place["width"] * 0.8, place["y"] + 4)
    expect(number).to_have_value("1.5")
    expect(status).to_have_text(told)  # nothing was told of it yet
    page.mouse.up()
    expect(rules(page)).to_have_value("1.5")
    enter(scale(page, "scale-attention")[1], "0.1")
    expect(rules(page)).to_have_value("1.5, attention=0.1")
    stands(page, "0.1", "scale-attention")
    stands(page, "1.5", "scale-mlp")
    told = status.inner_text()
    number.click()
    number.press("Tab")
    page.wait_for_timeout(500)
    assert status.inner_text() == told, "a number that was only looked at has nothing to say"


def test_a_number_that_no_slider_reaches_is_refused(korean: Page) -> None:
    """By one sentence, and where it was typed stands again what holds; Gradio would take 0 for none, 2 for 7."""
    page, refused = korean, korean.locator("#scale-status .problem")
    page.get_by_text(KO.by_role).click()
    for name in ("scale", "scale-attention"):
        _, number = scale(page, name)
        for typed, key in (("7", "Enter"), ("", "Enter"), ("-0.55", "Tab"), ("", "Tab")):
            number.click()  # tells of a slider that was let go, so that what follows comes right behind it
            number.fill(typed)
            number.press(key)
            told = SENTENCES.beyond_slider.format(value=typed, lowest="-0.5", highest="2")
            expect(refused).to_have_text(told if typed else SENTENCES.no_number)
            stands(page, "0.75", name)


def test_sentences_stay_while_a_reply_is_written_and_it_can_be_stopped(korean: Page) -> None:
    page, status = korean, korean.locator("#chat-status")
    for folded in (KO.by_role, KO.settings):
        page.get_by_text(folded).click()
    enter(rules(page), RAMBLING)
    moved = page.locator("#scale-status")
    expect(moved).to_contain_text(KO.moved.partition(":")[0].format(scale=RAMBLING))
    told = moved.inner_text()
    fill(page.locator("#limit input"), "450")
    enter(box(page), QUESTION)
    enter(box(page), "또?")
    expect(status.locator(".problem")).to_have_text(SENTENCES.still_answering)
    long = len(replies(page, 1).inner_text()) + 20
    page.wait_for_function(f"document.querySelector('#side-1 .bot.message').innerText.length > {long}")
    expect(status.locator(".problem")).to_have_text(SENTENCES.still_answering)
    page.locator("#stop").click()
    assert KO.was_stopped in answered(page)[1]
    assert moved.inner_text() == told
    expect(box(page)).to_have_value("또?")  # what was refused is still there


def test_what_is_said_at_first_and_after_a_reload(korean: Page) -> None:
    page = korean
    for draft in ("", "쓰다 만 말"):
        expect(page.locator(".page-head")).to_contain_text(KO.pair.format(target="demo:target"))
        for side, label in ((0, "적용 전: demo:target"), (1, "적용 후: demo:target + live")):
            expect(page.get_by_role("log", name=label)).to_be_attached()
            expect(page.locator(f"#side-{side} label").first).to_have_text(label)
            expect(replies(page, side)).to_have_count(0)
        stands(page, "0.75")
        expect(page.locator("html")).to_have_attribute("lang", "ko")
        expect(box(page)).to_have_value(draft)
        for name in ("chat", "scale"):
            expect(page.locator(f"#{name}-status")).to_have_text("")
        enter(scale(page)[1], "0.3")
        expect(page.locator("#scale-status")).to_contain_text("0.3")
        if not draft:
            fill(box(page), QUESTION)
        box(page).press("Enter")
        assert KO.at_scale.format(scale="0.3") in answered(page)[1]
        fill(box(page), "쓰다 만 말")
        page.reload()
    expect(box(page)).to_have_value("쓰다 만 말")


def test_two_people_do_not_disturb_each_other(browser: Browser, url: str) -> None:
    with watched(browser, url, locale="ko-KR") as one, watched(browser, url, locale="ko-KR") as other:
        for page in (one, other):
            page.goto(url)
            expect(box(page)).to_be_visible()
        enter(scale(other)[1], "0")
        expect(other.locator("#scale-status")).to_contain_text("0")
        for page in (one, other):
            enter(box(page), QUESTION)
        mine, theirs = answered(one), answered(other)
        assert KO.at_scale.format(scale="0.75") in mine[1]
        assert KO.at_scale.format(scale="0 ") in theirs[1]
        assert mine[0] == theirs[0], "the target has no scale"
        again = ask(one, "하나 더. 이건 좋은 거야, 나쁜 거야? 여행은 신났다.", 2)
        assert KO.at_scale.format(scale="0.75") in again[1]
        expect(replies(other, 1)).to_have_count(1)
        for page, value in ((one, "0.75"), (other, "0")):
            stands(page, value)
            open_tab(page, KO.recipe)
            expect(page.locator("#recipe .command")).to_contain_text(f"--scale {value} -o")
        one.close()
        other.get_by_role("tab", name=KO.chat).click()
        expect(replies(other, 1)).to_have_text(theirs[1])


def test_a_page_left_in_mid_reply_and_a_server_started_again(browser: Browser, tmp_path: Path) -> None:
    """The reply of a page that was closed ends. After a kill, a new server at the same port measures and writes nothing
    for the open page, which shows another scale, until it has been told; then it goes on."""
    with server(tmp_path, "--temperature", "0", "--max-new-tokens", "450") as (url, process):
        port = url.rstrip("/").rpartition(":")[2]
        with watched(browser, url, locale="ko-KR") as page:
            page.goto(url)
            page.get_by_text(KO.by_role).click()
            enter(rules(page), RAMBLING)
            enter(box(page), QUESTION)
            # Looked at in every frame: `expect` looks once a second in the end, and the reply takes no longer.
            begun = """told => {
                const reply = document.querySelector("#side-1 .bot.message")?.innerText.trim()
                return reply && !reply.includes(told) && !document.querySelector("#side-1 small")
            }"""
            page.wait_for_function(begun, arg=KO.in_turn, polling="raf")
        open_page = Watched(browser, url, locale="ko-KR")
        page = open_page.page
        page.goto(url)
        enter(scale(page)[1], "0.5")
        ask(page, QUESTION)
        assert open_page.complaints == []
        process.send_signal(signal.SIGKILL)
        process.wait()
        with server(tmp_path, "--port", port) as (again, _):
            assert again == url
            out = tmp_path / "merged"
            open_tab(page, KO.recipe)
            expect(page.locator("#recipe-status .problem")).to_have_text(SENTENCES.not_here)
            enter(page.locator("#output input"), str(out))
            open_tab(page, KO.evaluate)
            for button in ("#run-suite", "#run-sweep"):
                page.locator(button).click()
                expect(page.locator("#evaluate-status .problem")).to_have_text(SENTENCES.not_here)
            open_tab(page, KO.recipe)
            page.locator("#write").click()
            expect(page.locator("#recipe-status .problem")).to_have_text(SENTENCES.not_here)
            open_tab(page, KO.chat)
            expect(page.locator("#chat-status")).to_have_text(KO.restarted)
            stands(page, "0.75")
            expect(replies(page, 1)).to_have_count(0)
            assert KO.at_scale.format(scale="0.75") in ask(page, QUESTION)[1]
            fill(box(page), "쓰다 만 말")
            for told in (KO.restarted, ""):  # Gradio's own way when a reply was broken off
                page.reload()
                expect(box(page)).to_have_value("쓰다 만 말")
                expect(page.locator("#chat-status")).to_have_text(told)
            open_tab(page, KO.recipe)
            expect(page.locator("#recipe .command")).to_contain_text("--scale 0.75 -o")
            assert not out.exists()
            open_page.complaints.clear()  # that the server was away
            open_page.close()
