# SPDX-License-Identifier: Apache-2.0
"""Rules about the form of a reply: lists, titles, quotation marks, beginnings and ends, letters and words.

Each rule is a function of the reply and of what was asked for, and returns whether the reply follows it. For types of
IFEval (Zhou et al. 2023, arXiv 2311.07911) its definition is kept unless the docstring says otherwise; the code is our
own. IFEval's definitions let more pass than our own prompts ask for, so those prompts have stricter rules where needed
(`is_json_object`, `quoted_once`, `named_placeholders`, `titled_apart`, `starred`).
"""

from __future__ import annotations

import json
import re
from typing import Literal

from chatvector.evaluate.tasks.verifiable.text import bullets, lines, numbered, occurrences, plain, words

Relation = Literal["at least", "at most", "less than", "exactly"]

COMMAS = ",，、､،"
QUOTATION_MARKS = (('"', '"'), ("“", "”"), ("„", "“"), ("「", "」"), ("『", "』"), ("«", "»"))
TITLES = (("<<", ">>"), ("《", "》"), ("〈〈", "〉〉"))
_ASTERISKS = r"\*\*[^\n*]*[^\s*][^\n*]*\*\*|(?<!\*)\*(?![\s*])[^\n*]+\*(?!\*)"
MARKS_AT_THE_END = " \t\n\"'”’」』)）*_"


def compare(count: int, relation: Relation, wanted: int) -> bool:
    """Whether `count` is in the given relation to `wanted`."""
    return {
        "at least": count >= wanted,
        "at most": count <= wanted,
        "less than": count < wanted,
        "exactly": count == wanted,
    }[relation]


def is_json(reply: str) -> bool:
    """One JSON object or list and nothing else; a code fence around it is allowed, as in IFEval."""
    try:
        return isinstance(json.loads(_unfenced(reply)), dict | list)
    except (ValueError, RecursionError):
        return False


def is_json_object(reply: str) -> bool:
    """One JSON object and nothing else; a code fence around it is allowed. NaN and Infinity are not JSON, although
    Python reads them."""
    try:
        return isinstance(json.loads(_unfenced(reply), parse_constant=_no_constant), dict)
    except (ValueError, RecursionError):
        return False


def _unfenced(reply: str) -> str:
    return re.sub(r"^\s*```(?:json|JSON)?\s*\n?|\n?\s*```\s*$", "", plain(reply).strip())


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def bullet_list(reply: str, count: int) -> bool:
    """Exactly `count` items marked `*`, `-` or `•`."""
    return len(bullets(reply)) == count


def numbered_list(reply: str, count: int) -> bool:
    """Exactly `count` numbered items, numbered from 1 without a gap."""
    return [number for number, _ in numbered(reply)] == list(range(1, count + 1))


def quoted(reply: str) -> bool:
    """The whole reply is within a pair of quotation marks of any language."""
    text = plain(reply).strip()
    return any(len(text) > 2 and text.startswith(left) and text.endswith(right) for left, right in QUOTATION_MARKS)


def quoted_once(reply: str) -> bool:
    """`quoted`, and the opening mark is closed by the last one: `"Sleep" is not "rest"` is two quotations and fails. A
    straight mark after white space or an opening bracket counts as opening."""
    text = plain(reply).strip()
    return any(
        len(text) > 2 and text.startswith(left) and text.endswith(right) and _closes_last(text, left, right)
        for left, right in QUOTATION_MARKS
    )


def _closes_last(text: str, left: str, right: str) -> bool:
    depth = 0
    for place, character in enumerate(text[:-1]):
        if character == left and (left != right or place == 0 or text[place - 1] in " \n\t([{“「『"):
            depth += 1
        elif character == right:
            depth -= 1
        if depth == 0:
            return False
    return True


def placeholders(reply: str, count: int) -> bool:
    """At least `count` placeholders such as [name]; links and check boxes do not count."""
    return len(_placeholders(reply)) >= count


def named_placeholders(reply: str, count: int) -> bool:
    """`placeholders`, but marks of notes such as [1] do not count."""
    return sum(not name.strip().isdigit() for name in _placeholders(reply)) >= count


def _placeholders(reply: str) -> list[str]:
    return re.findall(r"\[(?![ xX]\])([^\[\]\n]+)\](?!\()", plain(reply))


def titled(reply: str, marks: tuple[tuple[str, str], ...] = TITLES) -> bool:
    """A title in << >> (or 《 》) within some line, with a letter or digit in it."""
    return any(
        any(c.isalnum() for c in found)
        for left, right in marks
        for found in re.findall(f"{re.escape(left)}([^\n]+?){re.escape(right)}", plain(reply))
    )


def titled_apart(reply: str) -> bool:
    """`titled`, but 《 》 counts only on a line of its own: in a sentence it marks the title of a book."""
    return titled(reply, (("<<", ">>"), ("〈〈", "〉〉"))) or any(
        re.fullmatch(r"[\W_]*《[^《》]*\w[^《》]*》[\W_]*", line) for line in lines(reply)
    )


def highlighted(reply: str, count: int) -> bool:
    """At least `count` parts in *asterisks* (or **two**), as IFEval counts them, or in 《 》, as M-IFEval does."""
    return len(re.findall(rf"{_ASTERISKS}|《[^《》\n]+》", plain(reply))) >= count


def starred(reply: str, count: int) -> bool:
    """At least `count` parts in *asterisks* (or **two**). Asterisks next to a digit or Latin letter, as in 2*3*4, do
    not count."""
    found = re.finditer(_ASTERISKS, plain(reply))
    return sum(_stands_apart(match) for match in found) >= count


def _stands_apart(match: re.Match[str]) -> bool:
    around = (match.string[max(match.start() - 1, 0) : match.start()], match.string[match.end() : match.end() + 1])
    return not any(character.isascii() and character.isalnum() for character in around)


def sections(reply: str, marker: str, count: int) -> bool:
    """At least `count` sections that begin with the marker and a number: "SECTION 1", 第1節 (marker 節)."""
    number = r"[0-9０-９IVXⅠ-Ⅻ一二三四五六七八九十]+"
    begins = rf"第\s*{number}\s*{re.escape(marker)}|{re.escape(marker)}\s*{number}"
    return len(re.findall(rf"^\W*(?:{begins})", plain(reply), re.MULTILINE | re.IGNORECASE)) >= count


def two_responses(reply: str) -> bool:
    """Two different texts separated by six asterisks."""
    parts = [part.strip() for part in re.split(r"(?<!\*)\*{6}(?!\*)", plain(reply))]
    parts = [part for place, part in enumerate(parts) if part or 0 < place < len(parts) - 1]
    return len(parts) == 2 and all(parts) and parts[0] != parts[1]


def chooses(reply: str, options: tuple[str, ...]) -> bool:
    """One of the options and nothing more; quotation marks and a full stop around it are ignored."""
    said = _bare(reply)
    return any(said == _bare(option) for option in options)


def contains_one_of(reply: str, options: tuple[str, ...]) -> bool:
    """IFEval's `constrained_response`: one of the options somewhere in the reply."""
    return any(option in plain(reply) for option in options)


def _bare(text: str) -> str:
    return re.sub(r"\s+", " ", plain(text)).strip().strip("\"'“”‘’「」『』*`.。!！ ").casefold()


def no_comma(reply: str) -> bool:
    """No comma of any script or width, and no 、."""
    return not any(comma in plain(reply) for comma in COMMAS)


def starts_with(reply: str, phrase: str) -> bool:
    """The reply begins with the phrase; opening marks before it are ignored."""
    return _folded(reply).lstrip("\"'“‘「『*# ").startswith(_folded(phrase))


def ends_with(reply: str, phrase: str) -> bool:
    """The reply ends with the phrase; closing marks after it are ignored."""
    return _folded(reply).rstrip(MARKS_AT_THE_END).endswith(_folded(phrase).rstrip(MARKS_AT_THE_END))


def _folded(text: str) -> str:
    return re.sub(r"\s+", " ", plain(text)).strip().casefold()


def postscript(reply: str, marker: str) -> bool:
    """Some line begins with the marker (P.S., 추신, 追伸 …) and goes on. Spaces and full stops of the marker may be
    missing, its last full stop only if no letter follows (psychology is not a postscript)."""
    letters = r"\s*".join(re.escape(c) + ("?" if c == "." else "") for c in marker if not c.isspace())
    if marker.endswith("."):
        letters = letters.removesuffix("?").removesuffix(r"\.") + r"(?:\.|(?![^\W_]))"
    return re.search(rf"^[\W_]*{letters}\W*\w", plain(reply), re.MULTILINE | re.IGNORECASE) is not None


def repeats(reply: str, request: str) -> bool:
    """The reply begins with the request, word for word, and an answer follows."""
    said, wanted = _folded(reply), _folded(request)
    return said.startswith(wanted) and bool(re.search(r"\w", said[len(wanted) :]))


def repeats_only(reply: str, request: str) -> bool:
    """IFEval's `repeat_prompt`: the reply begins with the request."""
    return _folded(reply).startswith(_folded(request))


def upper_case(reply: str) -> bool:
    """Every letter that has case is a capital, and there is at least one."""
    return plain(reply).isupper()


def lower_case(reply: str) -> bool:
    """No letter is a capital, and there is at least one letter that has case."""
    return plain(reply).islower()


def keywords(reply: str, wanted: tuple[str, ...]) -> bool:
    """All wanted words occur (`text.occurrences`)."""
    return all(occurrences(reply, word) for word in wanted)


def forbidden(reply: str, unwanted: tuple[str, ...]) -> bool:
    """None of the unwanted words occurs. An empty reply does not pass."""
    return bool(reply.strip()) and not any(occurrences(reply, word) for word in unwanted)


def frequency(reply: str, word: str, relation: Relation, count: int) -> bool:
    """The number of times that the word occurs is in the given relation to `count`."""
    return compare(occurrences(reply, word), relation, count)


def letter_frequency(reply: str, letter: str, relation: Relation, count: int) -> bool:
    """The number of times that the letter occurs, in either case, is in the given relation to `count`."""
    return compare(plain(reply).lower().count(letter.lower()), relation, count)


def capital_words(reply: str, relation: Relation, count: int) -> bool:
    """The number of words written in capitals only is in the given relation to `count`."""
    return compare(sum(word.isupper() for word in words(reply)), relation, count)


def starred_paragraphs(reply: str, count: int) -> bool:
    """`count` parts separated by `***` (IFEval). An empty first or last part is not counted; no other may be empty."""
    parts = re.split(r"\s?\*\*\*\s?", plain(reply))
    kept = [part for place, part in enumerate(parts) if part.strip() or 0 < place < len(parts) - 1]
    return len(kept) == count and all(part.strip() for part in kept)


def nth_paragraph(reply: str, count: int, place: int, first: str) -> bool:
    """`count` paragraphs separated by blank lines, of which number `place` begins with the word `first` (IFEval)."""
    parts = [part.strip() for part in re.split(r"\n\n", plain(reply)) if part.strip()]
    if len(parts) != count or not 1 <= place <= count:
        return False
    begins = parts[place - 1].lstrip("\"'“‘「『*").casefold()
    wanted = first.casefold()
    return begins.startswith(wanted) and not (wanted[-1].isascii() and begins[len(wanted) : len(wanted) + 1].isalnum())
