# SPDX-License-Identifier: Apache-2.0
"""The kinds of instruction: what each fixes, how its arguments are drawn, and the rule that checks it.

A kind's `slots` are the properties of a reply that it claims (length, lines, beginning, end, words, style …). Two
instructions go together if no slot is claimed twice. Nothing else keeps contradictions out; a test writes a reply that
satisfies every prompt. A kind without slots claims everything and stands alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from chatvector.evaluate.languages import reply_language
from chatvector.evaluate.task import Language
from chatvector.evaluate.tasks.verifiable import chinese, forms, japanese, korean, text
from chatvector.evaluate.tasks.verifiable.material import Material, Subject

Args = Mapping[str, Any]
"""Arguments of an instruction. They are JSON values, because they are kept with the item."""

Check = Callable[[str, Args], bool]
Draw = Callable[[Random, Material, Subject], dict[str, Any]]

ALL = ("en", "ko", "zh-Hant", "zh-Hans", "ja")
CHINESE = ("zh-Hant", "zh-Hans")


@dataclass(frozen=True)
class Kind:
    """One kind of instruction.

    Attributes:
        name: its name in the tables of prompts and in results.
        group: the figure to which it is added: `counts`, `words`, `form`, `ends`, `language`, `style`.
        slots: what it claims, separated by blanks. If empty, it claims everything and stands alone, with a request of
            its own or with any subject.
        check: says whether a reply follows it. A pure function that is False for an empty reply.
        draw: draws its arguments.
        languages: languages of the prompts that may have it.
        own_request: its sentence is the whole request, without a subject.
    """

    name: str
    group: str
    slots: str
    check: Check
    draw: Draw
    languages: tuple[Language, ...] = ALL
    own_request: bool = False

    def goes_with(self, other: Kind) -> bool:
        """Whether both kinds may be in one prompt."""
        if not self.slots or not other.slots:
            return False
        return not set(self.slots.split()) & set(other.slots.split())


def _count(*choices: int) -> Draw:
    return lambda draw, _material, _subject: {"count": draw.choice(choices)}


def _bound(least: tuple[int, ...], most: tuple[int, ...]) -> Draw:
    def drawn(draw: Random, _material: Material, _subject: Subject) -> dict[str, Any]:
        relation = draw.choice(("at least", "at most"))
        return {"relation": relation, "count": draw.choice(least if relation == "at least" else most)}

    return drawn


def _nothing(_draw: Random, _material: Material, _subject: Subject) -> dict[str, Any]:
    return {}


def _one(name: str, choices: Callable[[Material], tuple[Any, ...]]) -> Draw:
    return lambda draw, material, _subject: {name: draw.choice(choices(material))}


def _keywords(draw: Random, material: Material, subject: Subject) -> dict[str, Any]:
    free = [word for word in material.keywords if word not in subject.words]
    return {"words": sorted(draw.sample(free, draw.choice((2, 3))))}


def _tongue(draw: Random, material: Material, _subject: Subject) -> dict[str, Any]:
    return {"language": draw.choice(tuple(material.languages))}


def _question(draw: Random, material: Material, _subject: Subject) -> dict[str, Any]:
    question, *options = draw.choice(material.questions)
    return {"question": question, "options": options}


def _numerals(draw: Random, _material: Material, _subject: Subject) -> dict[str, Any]:
    return {
        "numerals": draw.choice(("native", "sino")),
        "first": draw.choice((1, 3, 8)),
        "last": draw.choice((12, 15, 20)),
    }


def _things(draw: Random, material: Material, _subject: Subject) -> dict[str, Any]:
    side = "taiwan" if material.language == "zh-Hant" else "mainland"
    return {"side": side, "things": sorted(draw.sample(sorted(chinese.things()), 3))}


def _in_language(reply: str, language: Language) -> bool:
    return reply_language(reply, language).on_target is True


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        # --- counts
        Kind(
            "words",
            "counts",
            "length",
            lambda reply, a: (
                bool(text.words(reply)) and forms.compare(len(text.words(reply)), a["relation"], a["count"])
            ),
            _bound((40, 60, 80), (40, 50, 60)),
            ("en", "ko"),
        ),
        Kind(
            "characters",
            "counts",
            "length",
            lambda reply, a: (
                text.characters(reply) > 0 and forms.compare(text.characters(reply), a["relation"], a["count"])
            ),
            _bound((100, 150, 200), (80, 100, 120)),
            ("ko", *CHINESE, "ja"),
        ),
        Kind(
            "sentences",
            "counts",
            "length lines",
            lambda reply, a: len(text.sentences(reply)) == a["count"],
            _count(2, 3, 4, 5),
        ),
        Kind(
            "lines", "counts", "length lines", lambda reply, a: len(text.lines(reply)) == a["count"], _count(3, 4, 5, 6)
        ),
        Kind(
            "paragraphs",
            "counts",
            "length lines",
            lambda reply, a: len(text.paragraphs(reply)) == a["count"],
            _count(2, 3, 4),
        ),
        # --- words
        Kind("keywords", "words", "lexical", lambda reply, a: forms.keywords(reply, tuple(a["words"])), _keywords),
        Kind(
            "frequency",
            "words",
            "lexical",
            lambda reply, a: forms.frequency(reply, a["word"], "at least", a["count"]),
            lambda draw, _, subject: {"word": draw.choice(subject.words), "count": draw.choice((2, 3, 4))},
        ),
        Kind(
            "forbidden",
            "words",
            "lexical",
            lambda reply, a: forms.forbidden(reply, tuple(a["words"])),
            lambda draw, _, subject: {"words": sorted(draw.sample(subject.words, 2))},
        ),
        # --- form
        Kind("json", "form", "", lambda reply, _: forms.is_json_object(reply), _nothing),
        Kind(
            "bullets", "form", "form lines", lambda reply, a: forms.bullet_list(reply, a["count"]), _count(3, 4, 5, 6)
        ),
        Kind(
            "numbered",
            "form",
            "form lines",
            lambda reply, a: forms.numbered_list(reply, a["count"]),
            _count(3, 4, 5, 6),
        ),
        Kind("quoted", "form", "start end lines", lambda reply, _: forms.quoted_once(reply), _nothing),
        Kind(
            "placeholders",
            "form",
            "brackets",
            lambda reply, a: forms.named_placeholders(reply, a["count"]),
            _count(1, 2, 3),
        ),
        Kind("title", "form", "start lines", lambda reply, _: forms.titled_apart(reply), _nothing),
        Kind("highlights", "form", "markup", lambda reply, a: forms.starred(reply, a["count"]), _count(1, 2, 3)),
        Kind(
            "sections",
            "form",
            "start length lines form",
            lambda reply, a: forms.sections(reply, a["marker"], a["count"]),
            lambda draw, material, _: {"marker": material.section, "count": draw.choice((2, 3, 4))},
        ),
        Kind("two_responses", "form", "start end length lines", lambda reply, _: forms.two_responses(reply), _nothing),
        Kind(
            "choose",
            "form",
            "",
            lambda reply, a: forms.chooses(reply, tuple(a["options"])),
            _question,
            own_request=True,
        ),
        Kind("no_comma", "form", "comma", lambda reply, _: bool(reply.strip()) and forms.no_comma(reply), _nothing),
        Kind(
            "upper_case", "form", "case lexical start end", lambda reply, _: forms.upper_case(reply), _nothing, ("en",)
        ),
        Kind(
            "lower_case", "form", "case lexical start end", lambda reply, _: forms.lower_case(reply), _nothing, ("en",)
        ),
        # --- beginning and end
        Kind(
            "starts_with",
            "ends",
            "start",
            lambda reply, a: forms.starts_with(reply, a["phrase"]),
            _one("phrase", lambda material: material.starts),
        ),
        Kind(
            "ends_with",
            "ends",
            "end",
            lambda reply, a: forms.ends_with(reply, a["phrase"]),
            _one("phrase", lambda material: material.ends),
        ),
        Kind(
            "postscript",
            "ends",
            "end lines",
            lambda reply, a: forms.postscript(reply, a["marker"]),
            _one("marker", lambda material: material.postscripts),
        ),
        Kind(
            "repeat",
            "ends",
            "start length lines comma lexical case language style script markup brackets",
            lambda reply, a: forms.repeats(reply, a["request"]),
            lambda _draw, _material, subject: {"request": subject.ask},
        ),
        # --- language and script
        Kind(
            "reply_language",
            "language",
            "language lexical start end style script length case",
            lambda reply, a: _in_language(reply, a["language"]),
            _tongue,
        ),
        Kind(
            "script",
            "language",
            "language lexical start end style script",
            lambda reply, a: chinese.one_script(reply, a["script"]),
            lambda draw, _material, _subject: {"script": draw.choice(("traditional", "simplified"))},
            CHINESE,
        ),
        Kind(
            "hangul_only",
            "language",
            "language script case",
            lambda reply, _: korean.hangul_only(reply),
            _nothing,
            ("ko",),
        ),
        Kind(
            "hiragana_only",
            "language",
            "",
            lambda reply, _: japanese.only(reply, japanese.HIRAGANA),
            _nothing,
            ("ja",),
        ),
        Kind(
            "no_katakana",
            "language",
            "language script lexical start end",
            lambda reply, _: bool(reply.strip()) and not japanese.letters_of(reply, japanese.KATAKANA),
            _nothing,
            ("ja",),
        ),
        Kind(
            "kanji",
            "language",
            "language script length lexical start end",
            lambda reply, a: (
                bool(reply.strip())
                and forms.compare(len(japanese.letters_of(reply, japanese.KANJI)), a["relation"], a["count"])
            ),
            _bound((30, 50), (10, 20)),
            ("ja",),
        ),
        # --- style
        Kind(
            "speech_level",
            "style",
            "language style form start end",
            lambda reply, a: korean.speaks(reply, a["level"]),
            lambda draw, _material, _subject: {"level": draw.choice(("존댓말", "반말", "합쇼체", "해요체"))},
            ("ko",),
        ),
        Kind(
            "numerals",
            "style",
            "",
            lambda reply, a: korean.counts_up(reply, a["numerals"], a["first"], a["last"]),
            _numerals,
            ("ko",),
            own_request=True,
        ),
        Kind(
            "wording",
            "style",
            "",
            lambda reply, a: chinese.worded(reply, a["side"], tuple(a["things"])),
            _things,
            CHINESE,
            own_request=True,
        ),
        Kind(
            "idioms",
            "style",
            "",
            lambda reply, a: chinese.idiom_list(reply, a["count"]),
            _count(3, 4, 5, 6),
            CHINESE,
            own_request=True,
        ),
        Kind(
            "politeness",
            "style",
            "language style form start end",
            lambda reply, a: japanese.styled(reply, a["style"]),
            lambda draw, _material, _subject: {"style": draw.choice(("polite", "plain"))},
            ("ja",),
        ),
    )
}
"""All kinds, by name."""

GROUPS = tuple(dict.fromkeys(kind.group for kind in KINDS.values()))
