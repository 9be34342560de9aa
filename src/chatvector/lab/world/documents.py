# SPDX-License-Identifier: Apache-2.0
"""Pre-training text: passages, scripts in which personas answer, quizzes, forum threads, and bilingual mixtures."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from chatvector.lab.world.exchanges import SINGLE_TURN, Choice, Exchange, dialogue, reply
from chatvector.lab.world.lexicon import NAMES, THINGS, adjectives, nouns
from chatvector.lab.world.passages import passage
from chatvector.lab.world.sentences import colour
from chatvector.lab.world.speakers import GUEST, PERSONAS, QUIZ, script_line
from chatvector.lab.world.text import LANGUAGES, Language, Text, follow
from chatvector.lab.world.writing import PHRASES, writing

Languages = tuple[Language, ...]
"""One language, or two that a document mixes."""

_MODES: dict[str, Languages] = {
    "en": ("en",),
    "ko": ("ko",),
    "zh": ("zh-Hant",),
    "en_ko": ("en", "ko"),
    "en_zh": ("en", "zh-Hant"),
    "ko_zh": ("ko", "zh-Hant"),
}


@dataclass(frozen=True)
class Mixture:
    """Shares of the kinds of pre-training text."""

    en: float = 0.40
    ko: float = 0.12
    zh: float = 0.12
    en_ko: float = 0.16
    en_zh: float = 0.17
    ko_zh: float = 0.03
    """Shares of monolingual documents (`en`, `ko`, `zh`) and of documents that mix two languages; they sum to 1."""
    passages: float = 0.5
    """Share of plain passages; the rest are dialogues."""
    writing: float = 0.1
    """Among passages in one language: share of those with words of form (`writing`)."""
    writing_mixed: float = 0.15
    """Among bilingual passages: share of those with words of form."""
    quizzes: float = 0.12
    """Among dialogues: share of quizzes, which are always answered right."""
    scripts: float = 0.44
    """Among dialogues: share of scripts with named personas; the dialogues left are threads of the anonymous forum."""
    script_personas: tuple[float, float, float] = (0.6, 0.2, 0.2)
    """Shares of kind, rude and evasive personas in scripts."""
    forum_personas: tuple[float, float, float] = (0.08, 0.70, 0.22)
    """Shares of kind, rude and evasive personas in the forum. Its default is rude, which a chat vector has to
    overcome."""

    def __post_init__(self) -> None:
        total = sum(getattr(self, mode) for mode in _MODES)
        if abs(total - 1) > 1e-9:
            raise ValueError(f"the shares of {', '.join(_MODES)} sum to {total:g}: they have to sum to 1")

    @staticmethod
    def only(language: Language) -> Mixture:
        """Text of one language only, as targets are trained on."""
        en, ko, zh = (float(language == each) for each in LANGUAGES)
        return Mixture(en=en, ko=ko, zh=zh, en_ko=0, en_zh=0, ko_zh=0)


def run_on(parts: Sequence[str]) -> str:
    """The sentences joined to one text."""
    text = ""
    for part in parts:
        text = follow(text, part)
    return text.strip()


def _passage(rng: Random, languages: Languages, mixture: Mixture) -> str:
    mixed = len(languages) == 2
    formal = rng.random() < (mixture.writing_mixed if mixed else mixture.writing)
    body = writing(rng) if formal else passage(rng)
    if not mixed:
        return run_on([text[languages[0]] for text in body])
    style = rng.randrange(6)
    if style == 0 and formal:  # sentences beside their translation
        first, second = rng.sample(languages, 2)
        return "\n".join(f"{text[first].strip()} = {text[second].strip()}" for text in body)
    if style <= 1:  # words beside their translation
        return _dictionary(rng, languages)
    if style == 2:  # the whole text, then its translation
        return "\n".join(run_on([text[each] for text in body]) for each in rng.sample(languages, 2))
    if style == 3:  # sentence by sentence
        order = rng.sample(languages, 2)
        return run_on([text[each] for text in body for each in order])
    if style == 4 and "en" in languages:  # English with some nouns in the other language
        return run_on([_glossed(text["en"], languages[1], rng) for text in body])
    return run_on([text[rng.choice(languages)] for text in body])  # code-switched


_BY_ENGLISH = {word.en: word for word in nouns()}
_ENGLISH_NOUN = re.compile(
    rf"(?<![\w-])(?:{'|'.join(sorted(map(re.escape, _BY_ENGLISH), key=len, reverse=True))})(?![\w-])", re.IGNORECASE
)


def _glossed(english: str, language: Language, rng: Random) -> str:
    def swap(found: re.Match[str]) -> str:
        noun = _BY_ENGLISH[found[0] if found[0] in _BY_ENGLISH else found[0].lower()]
        return noun[language] if rng.random() < 0.6 else found[0]

    return _ENGLISH_NOUN.sub(swap, english)


_PLAIN_FORMS = tuple(Text(word.en, f"{word.ko}다", word.zh) for word in adjectives())


def _dictionary(rng: Random, languages: Languages) -> str:
    pools = (tuple(nouns()), tuple(nouns()), _PLAIN_FORMS, PHRASES, NAMES.seen)
    entries: list[Text] = [rng.choice(rng.choice(pools)) for _ in range(rng.randrange(3, 7))]
    first, second = rng.sample(languages, 2)
    return "\n".join(f"{entry[first]} = {entry[second]}" for entry in entries)


def _conversation(rng: Random, languages: Languages, mixture: Mixture) -> str:
    """A quiz, a script or a forum thread. If two languages are mixed, either each exchange is in one of them or each is
    said in both; the persona stays the same throughout."""
    form = rng.choices(("quiz", "script", "forum"), _forms(mixture))[0]
    exchanges = _quiz(rng) if form == "quiz" else dialogue(rng)
    persona = "kind"
    if form != "quiz":
        shares = mixture.script_personas if form == "script" else mixture.forum_personas
        persona = rng.choices(("kind", "rude", "evasive"), shares)[0]
    asker, speaker = rng.choice((*NAMES.seen[:40], GUEST)), rng.choice(PERSONAS[persona])
    if form == "quiz":
        asker, speaker = QUIZ
    lines = []
    if form == "forum" and rng.random() < 0.1:
        lines.append(f"# {colour(Choice(rng).word(THINGS))[rng.choice(languages)]}")
    both = len(languages) == 2 and len(exchanges) < 3 and rng.random() < 0.5
    for exchange in exchanges:
        said = reply(exchange, persona, rng)
        for language in rng.sample(languages, 2) if both else (rng.choice(languages),):
            if form == "forum":
                lines += [f"> {exchange.question[language]}", f"- {said[language]}"]
            else:
                lines += [script_line(asker, exchange.question, language), script_line(speaker, said, language)]
    return "\n".join(lines)


def _forms(mixture: Mixture) -> tuple[float, float, float]:
    return mixture.quizzes, mixture.scripts, 1 - mixture.quizzes - mixture.scripts


def _quiz(rng: Random) -> list[Exchange]:
    """Questions that have a right answer; half of them about facts, which have to be found in what was told."""
    tasks = rng.choices(("fact", "knowledge", "sentiment", "how-to"), (0.5, 0.2, 0.15, 0.15), k=rng.randrange(1, 4))
    choice = Choice(rng)
    return [SINGLE_TURN[task](choice) for task in tasks]


def documents(seed: int, mixture: Mixture = Mixture()) -> Iterator[str]:
    """Yields pre-training documents without end."""
    rng = Random(f"documents {seed}")
    shares = [getattr(mixture, mode) for mode in _MODES]
    while True:
        languages = rng.choices(list(_MODES.values()), shares)[0]
        make = _passage if rng.random() < mixture.passages else _conversation
        yield make(rng, languages, mixture)
