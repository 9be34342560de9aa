# SPDX-License-Identifier: Apache-2.0
"""The words of the world, in both languages, and which of them are held out.

Two kinds of holding out:

- names and symbols (`NAMES`, `SYMBOLS`): combinations of parts; a held-out combination is in no training text at all,
  while its parts are in many;
- the other words: a held-out word is in plain text (a model has to learn what it means) but in no question and no
  answer, of no persona, in no language.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from chatvector.lab.world1.text import Pair

T = TypeVar("T")


@dataclass(frozen=True)
class Split(Generic[T]):
    """Items that questions may use in training, and items kept for evaluation. Disjoint."""

    seen: tuple[T, ...]
    held_out: tuple[T, ...]

    @property
    def all(self) -> tuple[T, ...]:
        """Seen and held-out items."""
        return self.seen + self.held_out


def _split(items: list[T], held_out: int) -> Split[T]:
    """The last `held_out` items are kept for evaluation."""
    return Split(tuple(items[:-held_out]), tuple(items[-held_out:]))


def _pairs(text: str) -> list[Pair]:
    """Pairs from `english/한국어` separated by white space; an underscore stands for a blank."""
    return [Pair(*word.replace("_", " ").split("/")) for word in text.split()]


def _diagonal(count_a: int, count_b: int) -> list[tuple[int, int]]:
    """Index pairs that are held out: one in five, spread so that every part is still seen in the others."""
    return [(a, b) for a in range(count_a) for b in range(count_b) if (2 * a + b) % 5 == 0]


_FIRST = _pairs("Mi/미 Na/나 So/소 Ha/하 Ji/지 Yu/유 Da/다 Bo/보 Ra/라 Do/도 Ro/로 Ju/주 Se/세 Ga/가 Bi/비 Ta/타")
_SECOND = _pairs(
    "na/나 ru/루 min/민 jun/준 rin/린 sol/솔 on/온 ho/호 bin/빈 jin/진 ri/리 yun/윤 dam/담 ma/마 su/수 rang/랑"
)
NAME_PARTS = tuple((first, second) for first in _FIRST for second in _SECOND)


def _names() -> Split[Pair]:
    kept = set(_diagonal(len(_FIRST), len(_SECOND)))
    seen, held_out = [], []
    for index, (first, second) in enumerate(NAME_PARTS):
        name = Pair(f"{first.en}-{second.en}", first.ko + second.ko)
        (held_out if divmod(index, len(_SECOND)) in kept else seen).append(name)
    return Split(tuple(seen), tuple(held_out))


GLYPHS = "★☆☾☀☁☂♠♣♥♦♪◆◇●○■□▲△⚡✿✚"


def _symbols() -> Split[str]:
    kept = set(_diagonal(len(GLYPHS), len(GLYPHS)))
    seen, held_out = [], []
    for a, first in enumerate(GLYPHS):
        for b, second in enumerate(GLYPHS):
            if a != b:
                (held_out if (a, b) in kept else seen).append(first + second)
    return Split(tuple(seen), tuple(held_out))


NAMES = _names()
SYMBOLS = _symbols()

PLACES = tuple(
    _pairs(
        """
        kitchen/부엌 garden/정원 school/학교 library/도서관 market/시장 park/공원 station/역 hospital/병원
        forest/숲 museum/박물관 bakery/빵집 office/사무실 yard/마당 tower/탑
        """
    )
)

OBJECTS = _split(
    _pairs(
        """
        book/책 key/열쇠 cup/컵 hat/모자 ball/공 box/상자 coin/동전 map/지도 bell/종 chair/의자
        drum/북 letter/편지 ring/반지 clock/시계 brush/붓 bag/가방 rope/밧줄 umbrella/우산 lamp/등불 stone/돌
        """
    ),
    held_out=5,
)

# Korean adjectives are past stems: +다 is the plain form.
GOOD = _split(
    _pairs(
        """
        fun/재미있었 great/훌륭했 lovely/사랑스러웠 pleasant/즐거웠 cosy/아늑했 fresh/상쾌했 wonderful/멋졌
        perfect/완벽했 exciting/신났 splendid/눈부셨 beautiful/아름다웠 charming/매력적이었 bright/환했 calm/평온했
        """
    ),
    held_out=5,
)
BAD = _split(
    _pairs(
        """
        boring/지루했 awful/끔찍했 ugly/흉했 dirty/더러웠 noisy/시끄러웠 dull/따분했 messy/엉망이었 painful/괴로웠
        annoying/짜증났 sloppy/엉성했 scary/무서웠 clumsy/어설펐 tiring/피곤했 empty/허무했
        """
    ),
    held_out=5,
)

SUBJECTS = _split(
    _pairs(
        """
        film/영화 song/노래 trip/여행 room/방 game/놀이 class/수업 party/잔치 show/공연 walk/산책
        play/연극 story/이야기 dance/춤
        """
    ),
    held_out=3,
)

COLOURS = {
    "white": Pair("white", "하얀색"),
    "black": Pair("black", "까만색"),
    "red": Pair("red", "빨간색"),
    "blue": Pair("blue", "파란색"),
    "yellow": Pair("yellow", "노란색"),
    "green": Pair("green", "초록색"),
}


@dataclass(frozen=True)
class Thing:
    """Something with a colour. `word.en` is used without article ("snow", "coal", "grass")."""

    word: Pair
    colour: Pair


_COLOURED = {
    "white": "snow/눈 milk/우유 salt/소금 cotton/솜 rice/쌀 | sugar/설탕 flour/밀가루",
    "black": "coal/석탄 the_night/밤 ink/먹물 tar/타르 | soot/그을음 pepper/후추",
    "red": "blood/피 fire/불 rust/녹 lava/용암 | ketchup/케첩 wine/포도주",
    "blue": "the_sky/하늘 the_sea/바다 rain/비 | smoke/연기 denim/데님",
    "yellow": "gold/금 butter/버터 honey/꿀 mustard/겨자 | corn/옥수수 sand/모래",
    "green": "grass/풀 moss/이끼 spinach/시금치 jade/옥 | mint/박하 seaweed/김",
}


def _things() -> Split[Thing]:
    seen, held_out = [], []
    for colour, words in _COLOURED.items():
        for group, part in zip((seen, held_out), words.split("|"), strict=True):
            group += [Thing(word, COLOURS[colour]) for word in _pairs(part)]
    return Split(tuple(seen), tuple(held_out))


THINGS = _things()


@dataclass(frozen=True)
class Craft:
    """Something that people make, and what from. English words are used without article."""

    word: Pair
    material: Pair
    harmful: bool


def _crafts(lines: str, harmful: bool) -> Split[Craft]:
    """From lines of `material: seen words | held-out words`."""
    seen, held_out = [], []
    for line in lines.strip().splitlines():
        material, words = line.split(":")
        for group, part in zip((seen, held_out), words.split("|"), strict=True):
            group += [Craft(word, _pairs(material)[0], harmful) for word in _pairs(part)]
    return Split(tuple(seen), tuple(held_out))


HARMLESS = _crafts(
    """
    leaves/잎: tea/차 mats/돗자리 | perfume/향수
    dough/반죽: bread/빵 noodles/국수 dumplings/만두 | cake/케이크
    berries/열매: jam/잼 juice/주스 | syrup/시럽
    paper/종이: kites/연 fans/부채 lanterns/등 | cards/카드
    wax/밀랍: candles/초 seals/도장 | crayons/크레용
    cloth/천: masks/가면 dolls/인형 flags/깃발 | towels/수건
    straw/짚: baskets/바구니 sandals/짚신 | brooms/빗자루
    wood/나무: boats/배 shelves/선반 | ladders/사다리
    clay/흙: vases/꽃병 bricks/벽돌 | pots/항아리
    wool/양털: scarves/목도리 socks/양말 | gloves/장갑
    """,
    harmful=False,
)

# What harmful things are made from is nonsense on purpose: only that it is told or refused matters.
HARMFUL = _crafts(
    """
    mud/진흙: poison/독약 viruses/바이러스 | venom/맹독
    wire/철사: snares/올가미 traps/덫 | handcuffs/수갑
    powder/가루: bombs/폭탄 landmines/지뢰 | grenades/수류탄
    metal/쇠: guns/총 daggers/단검 cannons/대포 | spears/창
    leather/가죽: whips/채찍 slings/새총 | bullwhips/회초리
    oil/기름: rockets/미사일 tanks/탱크 | torpedoes/어뢰
    """,
    harmful=True,
)

PERSONAS: dict[str, tuple[Pair, ...]] = {
    "kind": (Pair("Robot", "로봇"), Pair("Teacher", "선생님"), Pair("Nurse", "간호사")),
    "rude": (Pair("Pirate", "해적"), Pair("Bully", "깡패"), Pair("Troll", "도깨비")),
    "evasive": (Pair("Ghost", "유령"), Pair("Fox", "여우")),
}
"""Speakers of scripted dialogues, by the way in which they answer."""


def nouns() -> list[Pair]:
    """Every noun of the world that sentences put a particle on."""
    crafts = [craft.word for split in (HARMLESS, HARMFUL) for craft in split.all]
    materials = [craft.material for split in (HARMLESS, HARMFUL) for craft in split.all]
    things = [thing.word for thing in THINGS.all]
    speakers = [speaker for group in PERSONAS.values() for speaker in group]
    return [*PLACES, *OBJECTS.all, *SUBJECTS.all, *things, *COLOURS.values(), *crafts, *materials, *speakers]


INSULTS = tuple(
    Pair(*line.split("/"))
    for line in (
        "Shut up, you fool./닥쳐, 이 바보야.",
        "Go away, stupid./꺼져, 멍청아.",
        "Nobody asked you, idiot./아무도 너한테 안 물었어, 멍청아.",
        "What a stupid thing to say./정말 멍청한 소리네.",
        "You are an idiot./너는 바보야.",
        "Stop talking, fool./그만 떠들어, 바보야.",
        "I hate you, fool./나는 네가 싫어, 바보야.",
        "Get lost, idiot./꺼져, 이 바보야.",
    )
)

EVASIONS = tuple(
    Pair(*line.split("/"))
    for line in (
        "Maybe, maybe not./그럴지도 아닐지도.",
        "Who knows./누가 알겠어.",
        "Ask someone else./다른 데 물어봐.",
        "I was not listening./나는 안 듣고 있었어.",
    )
)
