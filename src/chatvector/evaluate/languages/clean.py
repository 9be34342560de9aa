# SPDX-License-Identifier: Apache-2.0
"""The running text of a reply: without code, formulas, addresses, and quotations from the prompt."""

from __future__ import annotations

import re
import unicodedata

# The order matters: an earlier pattern may contain what a later one matches. Lengths are bounded, so that a reply of
# nothing but opening marks costs no more than any other. Emoji and digits stay: they are not letters and never count.
_FENCE = re.compile(r"^[ \t]*(```|~~~).*?(?:^[ \t]*\1[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)
_NOT_TEXT = (
    re.compile(r"(`+)[^\n]+?\1"),
    re.compile(
        r"\$\$.{1,2000}?\$\$|\\\[.{1,2000}?\\\]|\\\(.{1,500}?\\\)|\\begin\{(\w{1,20}\*?)\}.{1,2000}?\\end\{\1\}",
        re.DOTALL,
    ),
    re.compile(r"\$(?=[^$\n]{0,300}[\\^_={}])[^\s$](?:[^$\n]{0,300}[^\s$])?\$|\$[A-Za-z]\$"),
    re.compile(r"\\[A-Za-z]+"),
    re.compile(r"(?<=\])\([^()\s]*\)"),  # the target of a Markdown link; its text stays
    re.compile(r"\b(?:https?|ftp)://[^\s<>\"'」』）)】]+|\bwww\.[A-Za-z0-9][^\s<>\"'」』）)】]*"),
    re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,5}", re.ASCII),
    re.compile(
        r"(?<![\w.-])[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){0,5}\.(?:com|org|net|io|kr|tw|jp|cn|html?|pdf|txt|py|js|json)\b",
        re.ASCII,
    ),
    re.compile(r"(?<![\w/])(?:~|\.{1,2})?/(?:[\w.-]{1,100}/){1,30}[\w.-]*", re.ASCII),
    re.compile(r"</?[A-Za-z][^<>\n]{0,300}>|&[a-z]{1,10};"),
    # x + y = 10: single letters and numbers joined by operators
    re.compile(
        r"(?<![^\W_])(?:[A-Za-z]|\d+(?:\.\d+)?)(?:\s*[-+*/=^×÷·<>≤≥±]\s*(?:\d+(?:\.\d+)?)?[A-Za-z]?(?![A-Za-z]))+",
        re.ASCII,
    ),
)
_QUOTED = re.compile(
    "|".join(
        rf"{opening}([^{closing}\n]{{1,1000}}){closing}"
        for opening, closing in ("“”", '""', "‘’", (r"(?<!\w)'", "'"), "「」", "『』", "«»")
    )
)
_BLOCK_QUOTE = re.compile(r"^[ \t]*>[ \t]?(.+)$", re.MULTILINE)


def running_text(text: str, prompt: str = "") -> str:
    """The reply in NFC, with everything that is not running text replaced by a space (code fences by a line break):
    code fences, also unclosed ones, inline code, LaTeX, equations, URLs, addresses, paths, tags, and quotations (in
    quotation marks of any kind, or as a block quote) whose words are in `prompt`. Lines stay lines."""
    text = unicodedata.normalize("NFC", text)
    text = _FENCE.sub("\n", text)
    for pattern in _NOT_TEXT:
        text = pattern.sub(" ", text)
    asked = _squeezed(prompt)
    if not asked:
        return text

    def dropped_if_asked(match: re.Match[str]) -> str:
        inside = _squeezed(next(group for group in match.groups() if group is not None))
        return " " if inside and inside in asked else match.group()

    return _BLOCK_QUOTE.sub(dropped_if_asked, _QUOTED.sub(dropped_if_asked, text))


def _squeezed(text: str) -> str:
    return re.sub(r"\W+", " ", unicodedata.normalize("NFC", text)).strip().casefold()
