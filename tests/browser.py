# SPDX-License-Identifier: Apache-2.0
"""A page in a headless Chromium that fails on any request to another machine and on any error in its console."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
PATIENCE_MS = 120_000
"""For anything that has to happen: machines that run tests are busy. Nothing is timed."""


def find_browser() -> str:
    """An installed Chromium or Chrome. Skips aloud where there is none; fails where CI should have installed one."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        why = f"no browser: none of {', '.join(NAMES)} is installed, the page is not tested"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    return found


@contextmanager
def server(folder: Path, *arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """`chatvector ui` in a process of its own: its address, and the process."""
    variables = {**os.environ, "CHATVECTOR_CACHE": str(folder / "replies.jsonl"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "chatvector", "ui", "--port", "0", *arguments]
    with (folder / "stderr.txt").open("w", encoding="utf-8") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=variables)
        assert process.stdout is not None
        try:
            url = process.stdout.readline().strip()
            assert url.startswith("http://127.0.0.1:"), (folder / "stderr.txt").read_text("utf-8")
            yield url, process
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser; playwright downloads none."""
    path = find_browser()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS, timeout=PATIENCE_MS)
        yield browser
        browser.close()


class Watched:
    """A page, and what it should not have done.

    Attributes:
        outside: addresses on other machines that it asked for.
        complaints: errors and warnings in its console, and what its scripts did not catch.
    """

    def __init__(self, browser: Browser, url: str, **context: Any) -> None:
        self.url = url
        self._context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **context})
        self._context.set_default_timeout(PATIENCE_MS)
        self.outside: list[str] = []
        self.complaints: list[str] = []
        self.page: Page = self._context.new_page()
        self.page.on("request", self._on_request)
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _on_request(self, request: Request) -> None:
        if not request.url.startswith((self.url, "data:", "blob:", "about:")):
            self.outside.append(request.url)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text} ({message.location.get('url')})")

    def close(self) -> None:
        """Close it, and fail for what it should not have done."""
        self._context.close()
        assert self.outside == []
        assert self.complaints == []


@contextmanager
def watched(browser: Browser, url: str, **context: Any) -> Iterator[Page]:
    """A page that is looked at while it is used."""
    found = Watched(browser, url, **context)
    try:
        yield found.page
    except BaseException:
        found._context.close()
        print(f"outside: {found.outside}\ncomplaints: {found.complaints}")
        raise
    found.close()
