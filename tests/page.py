# SPDX-License-Identifier: Apache-2.0
"""What somebody does on the page of `chatvector ui`, and what those need who see it badly or have no pointer."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Locator, Page, expect

from browser import PATIENCE_MS

QUESTION = "오늘 기분이 어때?"
USED = {"button", "textbox", "slider", "spinbutton", "combobox", "tab", "link", "log", "navigation"}
"""Roles that need a name."""
PALE = """() => {
  const ink = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const colour = (css) => {
    ink.clearRect(0, 0, 1, 1); ink.fillStyle = css; ink.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = ink.getImageData(0, 0, 1, 1).data;
    return { rgb: [r, g, b], alpha: a / 255 };
  };
  const over = (below, { rgb, alpha }) => below.map((value, i) => value * (1 - alpha) + rgb[i] * alpha);
  const ground = (element) => over(element.parentElement ? ground(element.parentElement) : [255, 255, 255],
                                   colour(getComputedStyle(element).backgroundColor));
  const light = (rgb) => [0.2126, 0.7152, 0.0722].reduce((sum, part, i) => {
    const value = rgb[i] / 255;
    return sum + part * (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  }, 0);
  const found = {}, texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let seen = 0;
  while (texts.nextNode()) {
    const text = texts.currentNode.data.trim(), element = texts.currentNode.parentElement;
    const shown = element.checkVisibility({ visibilityProperty: true, opacityProperty: true });
    if (!text || !shown || element.closest("svg")) continue;
    const below = ground(element), above = over(below, colour(getComputedStyle(element).color));
    const [less, more] = [light(below), light(above)].sort((a, b) => a - b), contrast = (more + 0.05) / (less + 0.05);
    seen += 1;
    if (contrast < 4.5) found[text] = contrast;
  }
  return [seen, found];
}"""
"""Visible texts, and those of less contrast than WCAG 2.2 (1.4.3, AA) asks of small ones."""


def box(page: Page) -> Locator:
    """Where a message is typed."""
    return page.locator("#message textarea")


def replies(page: Page, side: int) -> Locator:
    """A model's bubbles; `side` counts from the left."""
    return page.locator(f"#side-{side} .bot.message")


def scale(page: Page, name: str = "scale") -> tuple[Locator, Locator]:
    """A slider, and the number beside it."""
    return page.locator(f"#{name} input[type=range]"), page.locator(f"#{name} input[type=number]")


def rules(page: Page) -> Locator:
    """The line of all scales; unfold *Scale by role* first."""
    return page.locator("#rules input")


def fill(field: Locator, text: str) -> None:
    """Type, and let the page take notice, as it does long before a person's next key: pressed in the same instant, that
    would act upon what stood there before. A field that was only just unfolded may still be given its first value."""
    for _ in range(20):
        field.fill(text)
        field.page.wait_for_timeout(200)
        if field.input_value() == text:
            return
    raise AssertionError(f"{field} does not keep {text!r}")


def enter(field: Locator, text: str) -> None:
    """Type a line, and Enter."""
    fill(field, text)
    field.press("Enter")


def answered(page: Page, turns: int = 1) -> list[str]:
    """What both models said last, when they have ended: their tokens are named then."""
    for side in (0, 1):
        expect(replies(page, side)).to_have_count(turns)
        expect(page.locator(f"#side-{side} small")).to_have_count(turns)
    return [replies(page, side).last.inner_text() for side in (0, 1)]


def ask(page: Page, text: str, turns: int = 1) -> list[str]:
    """Send a message by the keyboard; what both models said."""
    enter(box(page), text)
    return answered(page, turns)


def open_tab(page: Page, name: str) -> None:
    """*Chat*, *Vector*, *Evaluate* or *Recipe*, in the page's language."""
    page.get_by_role("tab", name=name).click()


def pale_texts(page: Page) -> dict[str, float]:
    """Texts that are hard to read, with their contrast."""
    seen, found = page.evaluate(PALE)
    assert seen > 10
    return found


def nameless(page: Page) -> list[dict[str, Any]]:
    """What screen readers come across and cannot name."""
    nodes = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    found = [node for node in nodes if not node["ignored"] and node["role"]["value"] in USED]
    assert len(found) > 7
    return [node for node in found if not node["name"]["value"].strip()]


def stops(page: Page) -> list[str]:
    """Where Tab leads, from the head of the page once around: each by name; fails where focus is not seen."""
    page.locator("h1").click()
    found: list[str] = []
    for _ in range(100):
        page.keyboard.press("Tab")
        name, seen, last = page.evaluate(
            """() => {
              const at = document.activeElement, { outlineStyle, outlineWidth } = getComputedStyle(at);
              const name = at.ariaLabel || at.labels?.[0]?.innerText || at.innerText || at.placeholder;
              return [name, outlineStyle !== "none" && parseFloat(outlineWidth) >= 1, at === document.body];
            }"""
        )
        if last:
            return found
        assert seen, f"focus on {name!r} is not seen"
        found.append(name)
    raise AssertionError(f"no end: {found}")


expect.set_options(timeout=PATIENCE_MS)
