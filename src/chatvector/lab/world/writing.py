# SPDX-License-Identifier: Apache-2.0
"""Plain narration with the words that requests of form could use: marks, brackets, twice, one word, begin and end.

Base and target learn from it what those words mean. Nobody asks for anything here, nobody replies, and no text is in
the form that it tells about.
"""

from __future__ import annotations

from random import Random

from chatvector.lab.world.lexicon import GLYPHS, NAMED_MARKS, NAMES, OBJECTS, PLACES, word
from chatvector.lab.world.text import Noun, Text, particle, sentence, with_article

SIGN = Noun("sign", "표지판", "牌子", "塊")
WRITINGS = (
    SIGN,
    word("letter"),
    word("book"),
    word("story"),
    Noun("poem", "시", "詩", "首"),
    Noun("diary", "일기", "日記", "本"),
    Noun("answer", "답", "答案"),
)

PHRASES = (
    Text("twice", "두 번", "兩次"),
    Text("once", "한 번", "一次"),
    Text("one word", "한 단어", "一個詞"),
    Text("in one word", "한 단어로", "用一個詞"),
    Text("in brackets", "괄호 안에", "在括號裡"),
    Text("brackets", "괄호", "括號"),
    Text("at the end", "끝에", "在結尾"),
    Text("at the start", "앞에", "在開頭"),
    Text("begin", "시작", "開始"),
    Text("end", "끝", "結束"),
    Text("mark", "표시", "記號"),
    Text("symbol", "기호", "符號"),
    Text("answer", "답", "答案"),
    Text("name", "이름", "名字"),
    Text("word", "단어", "詞"),
    Text("sign", "표지판", "牌子"),
)
"""Words and phrases of form, for dictionaries."""


def that(noun: Noun) -> Text:
    """The noun in the middle of a sentence, pointed at: `the letter`, `那封信`."""
    return Text(f"the {noun.en}", noun.ko, f"那{noun.measure}{noun.zh}")


def marked(text: Text, mark: str) -> Text:
    """The text with a mark at its end."""
    return Text(f"{text.en} {mark}", f"{text.ko} {mark}", f"{text.zh}{mark}")


def opened(text: Text, mark: str) -> Text:
    """The text with a mark before it."""
    return Text(f"{mark} {text.en}", f"{mark} {text.ko}", f"{mark}{text.zh}")


def _mark(rng: Random) -> Text:
    """A mark in a narration: the mark itself, or the word for it."""
    if rng.random() < 0.5:
        glyph = rng.choice(GLYPHS)
        return Text(glyph, glyph, glyph)
    named = rng.choice(NAMED_MARKS)
    return Text(with_article(named.word.en), named.word.ko, f"{named.word.zh}記號")


START, END = Text("start", "앞", "開頭"), Text("end", "끝", "結尾")


def _put(rng: Random, piece: Text, told: Text, place: Text) -> list[Text]:
    """Sentences that say who put the mark there, or wanted it there."""
    name = rng.choice(NAMES.seen)
    topic = particle(name.ko, "topic")
    return [
        Text(
            f"{name.en} put {told.en} at the {place.en} of {piece.en}.",
            f"{topic} {piece.ko} {place.ko}에 {told.ko} 표시를 붙였다.",
            f"{name.zh}在{piece.zh}的{place.zh}放了{told.zh}。",
        ),
        Text(
            f"{name.en} wanted {told.en} at the {place.en}.",
            f"{topic} {place.ko}에 {told.ko} 표시가 있기를 바랐다.",
            f"{name.zh}希望{place.zh}有{told.zh}。",
        ),
    ]


def _at_end(rng: Random, piece: Text) -> list[Text]:
    told = _mark(rng)
    ends = Text(
        f"{sentence(piece.en)} ends with {told.en}.",
        f"{particle(piece.ko, 'topic')} {told.ko} 표시로 끝난다.",
        f"{piece.zh}以{told.zh}結尾。",
    )
    there = Text(
        f"At the end of {piece.en} there is {told.en}.",
        f"{piece.ko} 끝에 {told.ko} 표시가 있다.",
        f"{piece.zh}的結尾有{told.zh}。",
    )
    return [ends, there, *_put(rng, piece, told, END)]


def _at_start(rng: Random, piece: Text) -> list[Text]:
    told = _mark(rng)
    begins = Text(
        f"{sentence(piece.en)} begins with {told.en}.",
        f"{particle(piece.ko, 'topic')} {told.ko} 표시로 시작한다.",
        f"{piece.zh}以{told.zh}開頭。",
    )
    there = Text(
        f"At the start of {piece.en} there is {told.en}.",
        f"{piece.ko} 앞에 {told.ko} 표시가 있다.",
        f"{piece.zh}的開頭有{told.zh}。",
    )
    return [begins, there, *_put(rng, piece, told, START)]


def _name_first(rng: Random, piece: Text) -> list[Text]:
    name = rng.choice(NAMES.seen)
    told = Text(
        f"{sentence(piece.en)} begins with the name {name.en}.",
        f"{particle(piece.ko, 'topic')} {particle(name.ko, 'named')} 이름으로 시작한다.",
        f"{piece.zh}以{name.zh}這個名字開頭。",
    )
    writer = rng.choice(NAMES.seen)
    put = Text(
        f"{writer.en} put the name {name.en} at the start of {piece.en}.",
        f"{particle(writer.ko, 'topic')} {piece.ko} 앞에 {particle(name.ko, 'named')} 이름을 붙였다.",
        f"{writer.zh}在{piece.zh}的開頭放了{name.zh}這個名字。",
    )
    return [told, put]


def _times(rng: Random, piece: Text, count: Text) -> list[Text]:
    name = rng.choice(NAMES.seen)
    topic = particle(name.ko, "topic")
    about = Text(
        f"{sentence(piece.en)} says it {count.en}.",
        f"{piece.ko}에는 같은 말이 {count.ko} 나온다.",
        f"{piece.zh}把同樣的話說了{count.zh}。",
    )
    other = [
        Text(
            f"{name.en} read {piece.en} {count.en}.",
            f"{topic} {particle(piece.ko, 'object')} {count.ko} 읽었다.",
            f"{name.zh}把{piece.zh}讀了{count.zh}。",
        ),
        Text(
            f"{name.en} said the answer {count.en}.",
            f"{topic} 답을 {count.ko} 말했다.",
            f"{name.zh}把答案說了{count.zh}。",
        ),
        Text(f"{name.en} answered {count.en}.", f"{topic} {count.ko} 답했다.", f"{name.zh}回答了{count.zh}。"),
        Text(
            f"{name.en} heard the same answer {count.en}.",
            f"{topic} 같은 답을 {count.ko} 들었다.",
            f"{name.zh}聽了{count.zh}同樣的答案。",
        ),
        Text(f"The bell rang {count.en}.", f"종이 {count.ko} 울렸다.", f"鈴鐺響了{count.zh}。"),
    ]
    return [about, *other]


def _twice(rng: Random, piece: Text) -> list[Text]:
    return _times(rng, piece, Text("twice", "두 번", "兩次"))


def _once(rng: Random, piece: Text) -> list[Text]:
    return _times(rng, piece, Text("once", "한 번", "一次"))


def _in_brackets(rng: Random, piece: Text) -> list[Text]:
    name = rng.choice(NAMES.seen)
    topic = particle(name.ko, "topic")
    about = Text(
        f"The words of {piece.en} are in brackets.", f"{piece.ko}의 글은 괄호 안에 있다.", f"{piece.zh}的文字在括號裡。"
    )
    other = [
        Text(
            f"{name.en} put a word in brackets.",
            f"{topic} 단어를 괄호 안에 넣었다.",
            f"{name.zh}把一個詞放在括號裡了。",
        ),
        Text(
            f"{name.en} wrote the answer in brackets.",
            f"{topic} 답을 괄호 안에 썼다.",
            f"{name.zh}把答案寫在括號裡了。",
        ),
        Text(
            f"{name.en} put the answer in brackets.",
            f"{topic} 답을 괄호 안에 넣었다.",
            f"{name.zh}把答案放在括號裡了。",
        ),
        Text(f"{name.en} answered in brackets.", f"{topic} 괄호 안에 답했다.", f"{name.zh}在括號裡回答了。"),
    ]
    return [about, *other]


def _one_word(rng: Random, piece: Text) -> list[Text]:
    name, thing = rng.choice(NAMES.seen), rng.choice((*PLACES, *OBJECTS.all))
    topic = particle(name.ko, "topic")
    about = Text(
        f"{sentence(piece.en)} has only one word.", f"{piece.ko}에는 한 단어만 있다.", f"{piece.zh}只有一個詞。"
    )
    other = [
        Text(f"{name.en} read only one word.", f"{topic} 한 단어만 읽었다.", f"{name.zh}只讀了一個詞。"),
        Text(f"{name.en} said it in one word.", f"{topic} 한 단어로 말했다.", f"{name.zh}用一個詞說了。"),
        Text(f"{name.en} answered in one word.", f"{topic} 한 단어로 답했다.", f"{name.zh}用一個詞回答了。"),
        Text(f"{name.en} used only one word.", f"{topic} 한 단어만 썼다.", f"{name.zh}只用了一個詞。"),
        Text(
            f'"{sentence(thing.en)}" is one word.',
            f'"{thing.ko}"{particle(thing.ko, "topic")[-1]} 한 단어다.',
            f"「{thing.zh}」是一個詞。",
        ),
    ]
    return [about, *other]


_KINDS = (_at_end, _at_end, _at_start, _at_start, _name_first, _twice, _twice, _once, _in_brackets, _one_word)


def _mark_named(rng: Random) -> Text:
    """A sentence that names a mark and shows it, such as `This mark is a star: ★`."""
    named = rng.choice(NAMED_MARKS)
    noun, glyph = named.word, named.glyph
    an = with_article(noun.en)
    forms = (
        Text(
            f"This mark is {an}: {glyph}\n",
            f"이 표시는 {particle(noun.ko, 'plain_is')}: {glyph}\n",
            f"這個記號是{noun.zh}：{glyph}\n",
        ),
        Text(
            f"{sentence(an)} looks like this: {glyph}\n",
            f"{particle(noun.ko, 'topic')} 이렇게 생겼다: {glyph}\n",
            f"{noun.zh}長這樣：{glyph}\n",
        ),
    )
    return rng.choice(forms)


def _told(rng: Random) -> Text:
    return rng.choice(rng.choice(_KINDS)(rng, that(rng.choice(WRITINGS))))


def writing(rng: Random) -> list[Text]:
    """One to three sentences with words of form."""
    tell = _mark_named if rng.random() < 0.2 else _told
    return [tell(rng) for _ in range(rng.randrange(1, 4))]
