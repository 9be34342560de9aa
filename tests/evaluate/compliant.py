# SPDX-License-Identifier: Apache-2.0
"""Writes replies that follow every instruction of a generated prompt, or break exactly one: no model, plain rules.

That such a reply exists for every prompt is the proof that no prompt contradicts itself.
"""

from __future__ import annotations

import json
import re

from chatvector.evaluate.tasks.verifiable import chinese, korean
from chatvector.evaluate.tasks.verifiable.generate import Instruction, Prompt

# A sentence without commas, digits, capitals of its own or words of any prompt; in Korean and Japanese by style.
SENTENCES = {
    "en": "This goes on and on.",
    "ko": "그렇게 하면 됩니다.",
    "zh-Hant": "這樣說來真的還可以。",
    "zh-Hans": "这样说来真的还可以。",
    "zh": "这样说来真的还可以。",
    "ja": "そうすればよいのです。",
    "de": "Das geht immer so weiter und ist gut.",
    "es": "Esto sigue siempre igual y está bien.",
    "fr": "Cela continue toujours ainsi et c'est bien.",
}
STYLED = {
    "존댓말": "그렇게 하면 돼요.",
    "반말": "그렇게 하면 돼.",
    "합쇼체": "그렇게 하면 됩니다.",
    "해요체": "그렇게 하면 돼요.",
    "polite": "そうすればよいです。",
    "plain": "そうすればよいのだ。",
}
BREAKING = {
    "존댓말": "그렇게 하면 돼.",
    "반말": "그렇게 하면 돼요.",
    "합쇼체": "그렇게 하면 돼요.",
    "해요체": "그렇게 하면 됩니다.",
    "polite": "そうすればよいのだ。",
    "plain": "そうすればよいです。",
}
SPACED = {"en", "ko", "de", "es", "fr"}
TAGS = {"en": "name", "ko": "이름", "ja": "なまえ"}


class Writer:
    """Composes a reply from what the instructions ask for; knows nothing of the rules that check it."""

    def __init__(self, prompt: Prompt) -> None:
        self.args = {one.kind: one.args for one in prompt.instructions}
        self.language = prompt.reply_language
        style = self.args.get("speech_level", {}).get("level") or self.args.get("politeness", {}).get("style")
        self.sentence = STYLED[style] if style else SENTENCES[self.language]
        self.gap = " " if self.language in SPACED else ""

    def write(self) -> str:
        for kind in ("json", "choose", "numerals", "wording", "idioms", "hiragana_only"):
            if kind in self.args:
                return self.whole(kind)
        lines = self.body()
        text = "\n".join(lines)
        if "two_responses" in self.args:
            text = f"{text}\n******\n{text}{self.gap}{self.sentence}"
        if "starts_with" in self.args:
            listed = {"bullets", "numbered"} & self.args.keys()
            text = self.args["starts_with"]["phrase"] + ("\n" if listed else self.gap) + text
        if "ends_with" in self.args:
            text = self.finish(text)
        if "title" in self.args:
            text = f"<<{TAGS.get(self.language, self.sentence[:2])}>>\n{text}"
        if "postscript" in self.args:
            text += f"\n{self.args['postscript']['marker']} {self.sentence}"
        if "repeat" in self.args:
            text = f"{self.args['repeat']['request']}\n\n{text}"
        if "quoted" in self.args:
            text = f'"{text}"' if self.language != "ja" else f"「{text}」"
        if "upper_case" in self.args:
            text = text.upper()
        if "lower_case" in self.args:
            text = text.lower()
        return text

    def whole(self, kind: str) -> str:
        args = self.args[kind]
        if kind == "json":
            return json.dumps({"a": [self.sentence, 1]}, ensure_ascii=False)
        if kind == "choose":
            return f"{args['options'][-1]}."
        if kind == "numerals":
            return ", ".join(korean.numeral(n, args["numerals"]) for n in range(args["first"], args["last"] + 1))
        if kind == "wording":
            script = 0 if self.language == "zh-Hant" else 1
            return "、".join(chinese.things()[name].forms[args["side"]][script] for name in args["things"]) + "。"
        if kind == "idioms":
            known = [line.split()[-1] for line in IDIOMS]
            return "\n".join(known[: args["count"]])
        return "そうすれば よいのです。"

    def body(self) -> list[str]:
        """The middle part: so many lines, so many sentences, with the words that have to be in it."""
        first = self.tokens()
        if "bullets" in self.args:
            lines = [f"* {self.sentence}"] * self.args["bullets"]["count"]
        elif "numbered" in self.args:
            lines = [f"{n}. {self.sentence}" for n in range(1, self.args["numbered"]["count"] + 1)]
        elif "sections" in self.args:
            marker = self.args["sections"]["marker"]
            lines = []
            for n in range(1, self.args["sections"]["count"] + 1):
                head = {"SECTION": f"SECTION {n}", "제": f"제{n}부"}.get(marker, f"第{n}{marker}")
                lines += [head, self.sentence]
        elif "lines" in self.args:
            lines = [self.sentence] * self.args["lines"]["count"]
        elif "paragraphs" in self.args:
            lines = ["\n\n".join([self.sentence] * self.args["paragraphs"]["count"])]
        elif "sentences" in self.args:
            count = self.args["sentences"]["count"] - ("ends_with" in self.args)
            lines = [self.gap.join([self.sentence] * count)]
        else:
            lines = [self.sentence]
        if first:  # after a list mark, before the sentence
            mark, rest = re.fullmatch(r"(\* (?!\*)|\d+\. )?(.*)", lines[-1], re.DOTALL).groups("")  # type: ignore[union-attr]
            lines[-1] = f"{mark}{' '.join(first)} {rest}"
        return self.grown(lines)

    def tokens(self) -> list[str]:
        words: list[str] = list(self.args.get("keywords", {}).get("words", []))
        if "frequency" in self.args:
            words += [self.args["frequency"]["word"]] * self.args["frequency"]["count"]
        tag = TAGS.get(self.language, self.sentence[:2])
        if "placeholders" in self.args:
            words += [f"[{tag}]"] * self.args["placeholders"]["count"]
        if "highlights" in self.args:
            words += [f"*{tag}*"] * self.args["highlights"]["count"]
        if self.args.get("kanji", {}).get("relation") == "at least":
            words.append("山川" * self.args["kanji"]["count"])
        return words

    def grown(self, lines: list[str]) -> list[str]:
        """Long enough, where a length is asked for. The last line grows, within its last sentence's line."""
        for kind in ("words", "characters"):
            if self.args.get(kind, {}).get("relation") == "at least":
                lines[-1] += (self.gap + self.sentence) * self.args[kind]["count"]
        return lines

    def finish(self, text: str) -> str:
        phrase = self.args["ends_with"]["phrase"]
        return f"{text}{self.gap or ''}{phrase}"


IDIOMS = ("一心一意", "三心二意", "自相矛盾", "五花八門 五花八门", "水滴石穿", "實事求是 实事求是")


def reply(prompt: Prompt) -> str:
    """Follows every instruction."""
    return Writer(prompt).write()


def broken(prompt: Prompt, one: Instruction) -> str:
    """Breaks this instruction, whatever it does to the others."""
    writer = Writer(prompt)
    good, args, s = writer.write(), one.args, writer.sentence
    relation = args.get("relation")
    if one.kind in ("words", "characters", "kanji"):
        return "山川" if relation == "at least" else " ".join(["山川" if one.kind == "kanji" else "abc"] * 400)
    if one.kind in ("speech_level", "politeness"):
        return f"{good}\n{BREAKING[args.get('level') or args['style']]}"
    if one.kind in ("sentences", "lines", "bullets", "numbered"):
        return "\n".join([f"* {s}"] * 20) if one.kind != "numbered" else f"2. {s}\n3. {s}"
    if one.kind in ("paragraphs",):
        return "\n\n".join([s] * 9)
    if one.kind in ("keywords", "frequency", "starts_with", "title", "placeholders", "highlights", "sections"):
        return s
    if one.kind in ("two_responses", "quoted", "postscript", "repeat", "json", "ends_with"):
        return f"{s} {s} x"
    if one.kind == "forbidden":
        return f"{s} {args['words'][-1]}"
    if one.kind == "no_comma":
        return {"zh-Hant": "這、那", "ja": "はい、そう", "zh-Hans": "这，那"}.get(writer.language, "a, b")
    if one.kind == "choose":
        return f"{args['options'][0]} {args['options'][1]}"
    if one.kind in ("upper_case", "lower_case"):
        return "One Two"
    if one.kind == "reply_language":
        return SENTENCES["ko" if args["language"] != "ko" else "ja"] * 3
    if one.kind == "script":
        return SENTENCES["zh-Hans" if args["script"] == "traditional" else "zh-Hant"]
    if one.kind == "hangul_only":
        return f"{s} OK"
    if one.kind in ("hiragana_only", "no_katakana"):
        return "これはテストです。"
    if one.kind == "numerals":
        return good + ", 100"
    if one.kind == "wording":
        other = chinese.other(args["side"])
        return good + chinese.things()[args["things"][0]].forms[other][0]
    assert one.kind == "idioms", one.kind
    return "\n".join(f"{place}地山水" for place in "東西南北上下"[: args["count"]])
