# SPDX-License-Identifier: Apache-2.0
"""Files in IFEval's form: the original (Zhou et al. 2023, arXiv 2311.07911) and M-IFEval (arXiv 2502.04688).

Each line has `prompt`, `instruction_id_list` and `kwargs`. The types of English and Japanese are mapped to our rules.
What no rule can check is always reported. A prompt that asks for a reply in a language that the meter does not know is
left out; the number of such prompts is in the source's version, which is kept with the results. An instruction of an
unknown type is marked `unsupported`, and its prompt is left out of the figures by prompt.

There are two differences from the published checkers, which need a sentence splitter and a language detector from other
packages. Sentences end as in `text.sentences`, where the end of a line ends a sentence too, and a reply's language is
read by our meter. How often the rules agree with those of lm-evaluation-harness is in docs/validation.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from chatvector.errors import InputError, UsageError, first_five
from chatvector.evaluate import items as item_files
from chatvector.evaluate.languages import reply_language
from chatvector.evaluate.languages.known import SCRIPTS
from chatvector.evaluate.task import Answer, Item, Language, Marks, Metric, Services, Source, Turn
from chatvector.evaluate.tasks.answers import answer_text
from chatvector.evaluate.tasks.verifiable import forms, japanese, text
from chatvector.evaluate.tasks.verifiable.marking import Outcome, marks_of, metrics, outcome, unsupported
from chatvector.runtime.backend import Sampling

_SAMPLING = Sampling(max_new_tokens=1280)

Kwargs = Mapping[str, Any]
Rule = Callable[[str, Kwargs], bool]

_WORD = re.compile(r"\w+")
"""A word as IFEval counts it: "it's" is two words."""

RELATIONS: dict[str, forms.Relation] = {
    "at least": "at least",
    "less than": "less than",
    "以上": "at least",
    "未満": "less than",
}
GROUPS = (
    "keywords",
    "language",
    "length_constraints",
    "detectable_content",
    "detectable_format",
    "combination",
    "change_case",
    "startend",
    "punctuation",
    "letters",
)
"""IFEval's groups of types, and M-IFEval's `letters`."""

_OPTIONS = {
    "en": ("My answer is yes.", "My answer is no.", "My answer is maybe."),
    "ja": ("はい、そうです。", "いいえ、違います。", "どちらとも言えません。"),
}


def _relation(kwargs: Kwargs, prefix: str = "") -> forms.Relation:
    return RELATIONS[kwargs[f"{prefix}relation"]]


def _in(reply: str, language: str) -> bool:
    return reply_language(reply, language).on_target is True


def _may_be(reply: str, language: str) -> bool:
    """Whether the reply is in the language, or too short to tell. IFEval requires English for its rules on capitals,
    and such short texts pass."""
    return reply_language(reply, language).on_target is not False


BOTH: dict[str, Rule] = {
    "combination:repeat_prompt": lambda r, k: forms.repeats_only(r, k["prompt_to_repeat"]),
    "combination:two_responses": lambda r, _: forms.two_responses(r),
    "detectable_content:number_placeholders": lambda r, k: forms.placeholders(r, k["num_placeholders"]),
    "detectable_content:postscript": lambda r, k: forms.postscript(r, k["postscript_marker"]),
    "detectable_format:json_format": lambda r, _: forms.is_json(r),
    "detectable_format:multiple_sections": lambda r, k: forms.sections(r, k["section_spliter"], k["num_sections"]),
    "detectable_format:number_bullet_lists": lambda r, k: forms.bullet_list(r, k["num_bullets"]),
    "detectable_format:number_highlighted_sections": lambda r, k: forms.highlighted(r, k["num_highlights"]),
    "keywords:existence": lambda r, k: forms.keywords(r, tuple(k["keywords"])),
    "keywords:forbidden_words": lambda r, k: forms.forbidden(r, tuple(k["forbidden_words"])),
    "keywords:frequency": lambda r, k: forms.frequency(r, k["keyword"], _relation(k), k["frequency"]),
    "keywords:letter_frequency": lambda r, k: forms.letter_frequency(
        r, k["letter"], _relation(k, "let_"), k["let_frequency"]
    ),
    "language:response_language": lambda r, k: _in(r, k["language"]),
    "length_constraints:nth_paragraph_first_word": lambda r, k: forms.nth_paragraph(
        r, k["num_paragraphs"], k["nth_paragraph"], k["first_word"]
    ),
    "length_constraints:number_paragraphs": lambda r, k: forms.starred_paragraphs(r, k["num_paragraphs"]),
    "length_constraints:number_sentences": lambda r, k: forms.compare(
        len(text.sentences(r)), _relation(k), k["num_sentences"]
    ),
    "punctuation:no_comma": lambda r, _: forms.no_comma(r),
    "startend:end_checker": lambda r, k: forms.ends_with(r, k["end_phrase"]),
    "startend:quotation": lambda r, _: forms.quoted(r),
}
RULES: dict[str, dict[str, Rule]] = {
    "en": {
        **BOTH,
        "change_case:capital_word_frequency": lambda r, k: forms.capital_words(
            r, _relation(k, "capital_"), k["capital_frequency"]
        ),
        "change_case:english_capital": lambda r, _: forms.upper_case(r) and _may_be(r, "en"),
        "change_case:english_lowercase": lambda r, _: forms.lower_case(r) and _may_be(r, "en"),
        "detectable_format:constrained_response": lambda r, _: forms.contains_one_of(r, _OPTIONS["en"]),
        "detectable_format:title": lambda r, _: forms.titled(r),
        "length_constraints:number_words": lambda r, k: forms.compare(
            len(_WORD.findall(r)), _relation(k), k["num_words"]
        ),
    },
    "ja": {
        **BOTH,
        "detectable_format:constrained_response": lambda r, _: forms.contains_one_of(r, _OPTIONS["ja"]),
        "detectable_format:nominal_ending": lambda r, k: japanese.nominal_endings(r) >= k["count"],
        "detectable_format:number_numbered_lists": lambda r, k: forms.numbered_list(r, k["num_items"]),
        "detectable_format:title": lambda r, _: forms.titled(r, (("『", "』"),)),
        "length_constraints:number_letters": lambda r, k: forms.compare(
            text.characters(r), _relation(k), k["num_letters"]
        ),
        "letters:furigana": lambda r, _: japanese.furigana(r),
        "letters:hiragana_only": lambda r, _: japanese.only(r, japanese.HIRAGANA),
        "letters:kanji": lambda r, k: forms.compare(
            len(japanese.letters_of(r, japanese.KANJI)), _relation(k), k["kanji_limit"]
        ),
        "letters:kansuuji": lambda r, _: japanese.kanji_numbers_only(r),
        "letters:katakana_only": lambda r, _: japanese.only(r, japanese.KATAKANA),
        "letters:no_hiragana": lambda r, _: not japanese.letters_of(r, japanese.HIRAGANA),
        "letters:no_katakana": lambda r, _: not japanese.letters_of(r, japanese.KATAKANA),
        "punctuation:no_period": lambda r, _: not any(mark in r for mark in "。．｡"),
        "startend:sentence_unified_end": lambda r, k: japanese.ends_alike(r, k["ending"]),
    },
}
"""Language of the file → type → rule."""


@dataclass(frozen=True)
class Typed:
    """An instruction of a file: its type without the language, and its arguments."""

    kind: str
    kwargs: Kwargs

    @property
    def group(self) -> str:
        """The part of the type before the colon."""
        return self.kind.partition(":")[0]


def supported(language: Language, one: Typed) -> bool:
    """Whether there is a rule for the instruction and the meter knows the language it asks for, if any."""
    if one.kind not in RULES[language]:
        return False
    wanted = one.kwargs.get("language")
    return wanted is None or wanted in SCRIPTS


@dataclass(frozen=True)
class IFEvalTask:
    """The prompts of a file in IFEval's form.

    Attributes:
        language: language of the file.
        records: (key, prompt, instructions) in file order.
    """

    language: Language
    records: tuple[tuple[str, str, tuple[Typed, ...]], ...]
    source: Source
    axis: str = "instructions"
    version: str = "1"
    sampling: Sampling = _SAMPLING
    metrics: tuple[Metric, ...] = field(default=metrics(GROUPS), repr=False)

    @property
    def name(self) -> str:
        """`ifeval-` and the file's name."""
        return f"ifeval-{Path(self.source.name).stem}"

    @property
    def languages(self) -> tuple[Language, ...]:
        """The language of the file."""
        return (self.language,)

    def unsupported(self) -> dict[str, int]:
        """Types that no rule can check (with the language asked for) → number of their instructions."""
        found: dict[str, int] = {}
        for _, _, instructions in self.records:
            for one in instructions:
                if not supported(self.language, one):
                    name = one.kind + (f" {one.kwargs['language']}" if one.kwargs.get("language") else "")
                    found[name] = found.get(name, 0) + 1
        return dict(sorted(found.items()))

    def items(self, language: Language, *, limit: int | None, seed: int) -> list[Item]:
        """One item per prompt in the file's order, without prompts that ask for an unknown language. An item's language
        is the one that the reply has to be in. The seed changes nothing."""
        del seed
        if language != self.language:
            raise UsageError(f"{self.name}: its prompts are in {self.language!r}, not in {language!r}")
        made: list[Item] = []
        for key, prompt, instructions in self.records:
            asked = _asked(instructions)
            if asked is not None and asked not in SCRIPTS:
                continue
            made.append(
                Item(
                    id=key,
                    language=asked or language,
                    turns=(Turn(prompt),),
                    expect={"instructions": [{"kind": one.kind, "args": dict(one.kwargs)} for one in instructions]},
                    facets={"instructions": str(len(instructions))},
                )
            )
        return made[:limit]

    def sources(self, language: Language) -> list[Source]:
        """The file; its version says how many prompts were left out."""
        del language
        left_out = sum(asked not in {None, *SCRIPTS} for asked in (_asked(one) for _, _, one in self.records))
        note = f"{left_out} of {len(self.records)} prompts left out: reply in a language that the meter does not know"
        version = "; ".join(part for part in (self.source.version, note if left_out else "") if part)
        return [replace(self.source, version=version)]

    def needs(self) -> tuple[str, ...]:
        """Needs no service."""
        return ()

    def mark(self, answers: Sequence[Answer], services: Services) -> list[Marks]:
        """Marks as in `marking.marks_of`."""
        del services
        return [marks_of([self._outcome(entry, answer_text(answer)) for entry in _typed(answer)]) for answer in answers]

    def _outcome(self, one: Typed, reply: str) -> Outcome:
        if not supported(self.language, one):
            return unsupported(one.kind)
        rule = RULES[self.language][one.kind]
        return outcome(one.kind, one.group, lambda form: rule(form, one.kwargs), reply)


def _asked(instructions: Sequence[Typed]) -> str | None:
    """The language that the instructions ask the reply to be in; None if they do not ask for one."""
    return next((str(one.kwargs["language"]) for one in instructions if one.kwargs.get("language")), None)


def _typed(answer: Answer) -> list[Typed]:
    return [Typed(entry["kind"], entry["args"]) for entry in answer.item.expect["instructions"]]


def ifeval_from_file(path: Path | str, language: Language, *, licence: str = "not stated") -> IFEvalTask:
    """The task over a file in IFEval's form, in English or Japanese.

    Raises UsageError for another language; InputError if the two lists of a record differ in length, an argument that
    a type needs is missing or invalid, or a key occurs twice; and what `items.read_records` raises.
    """
    if language not in RULES:
        raise UsageError(f"{path}: no rules for IFEval files in {language!r}; there are some for {', '.join(RULES)}")
    source, path = item_files.file_source(path, licence), item_files.local_file(path)
    records = []
    for number, record in enumerate(item_files.read_records(path, ("prompt", "instruction_id_list", "kwargs")), 1):
        kinds, kwargs = record["instruction_id_list"], record["kwargs"]
        if not isinstance(kinds, list) or not isinstance(kwargs, list) or len(kinds) != len(kwargs):
            raise InputError(f"{path}: record {number}: instruction_id_list and kwargs are no lists of the same length")
        typed = tuple(
            Typed(kind.removeprefix(f"{language}:"), {k: v for k, v in one.items() if v is not None})
            for kind, one in zip(kinds, kwargs, strict=True)
        )
        for one in typed:
            _probe(path, number, language, one)
        records.append((str(record.get("key", number)), str(record["prompt"]), typed))
    keys = [key for key, _, _ in records]
    if twice := sorted({key for key in keys if keys.count(key) > 1}):
        raise InputError(f"{path}: {len(twice)} keys come twice: {first_five(twice)}")
    return IFEvalTask(language, tuple(records), source)


def _probe(path: Path, number: int, language: Language, one: Typed) -> None:
    """Runs the rule once, so that a wrong argument is reported now and not after an hour of generation. Raises
    InputError."""
    if not supported(language, one) or "language" in one.kwargs:
        return
    try:
        RULES[language][one.kind]("a", one.kwargs)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise InputError(f"{path}: record {number}: {one.kind} does not fit its kwargs {dict(one.kwargs)}") from error
