# SPDX-License-Identifier: Apache-2.0
"""How often our rules for IFEval's instructions agree with lm-evaluation-harness's, which are Google's.

    pip install langdetect immutabledict nltk
    python experiments/ifeval_agreement.py ifeval.en.jsonl

prints a table by type for docs/validation.md. Every instruction of the file is put to some forty replies: fixed ones
of all forms, and ones made to follow it or nearly. They are no sample of what models say; they are made to find where
the two differ. Sentence counts are left out: the reference needs a model of nltk's for them, which is not fetched here.
"""

from __future__ import annotations

import argparse
import importlib
import re
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chatvector.evaluate.tasks.verifiable.ifeval import RULES, Typed, ifeval_from_file, supported

LEFT_OUT = "length_constraints:number_sentences"
STORY = (
    "The garden was quiet in the morning. People came and went, and nobody said a word about it.\n\nLater that day, "
    "the weather changed. It rained for an hour; then the sun came out again. We walked to the market and bought bread."
    "\n\nIn the evening there was music. Everyone danced until late. It was a good day."
)
REPLIES = (
    STORY,
    STORY.lower(),
    STORY.upper(),
    STORY.replace(",", ""),
    f'"{STORY}"',
    STORY * 6,
    "word " * 400,
    "well-known it's e.g. fine " * 30,
    "It is.\n\nShe was.\n\nHe is.\n\nThey are.",
    "Das Wetter ist heute wirklich schön, und wir gehen in den Wald.",
    "NASA ESA ABC DEF are HERE and THERE",
    'He said, "yes"',
    "My answer is yes.",
    "My answer is maybe. I think so",
    "* one\n* two\n* three",
    "- one\n- two\n- three\n- four",
    "* *one* thing\n* *two* things\n* three",
    "1. a\n2. b\n3. c",
    "*a* and *b* and *c*",
    "**a** *b* ***c***",
    '```json\n{"a": [1]}\n```',
    '{"a": 1}',
    'Here: {"a": 1}',
    f"<<A title>>\n{STORY}",
    f"{STORY}\nP.S. Do not forget.",
    f"{STORY}\nP.P.S. Do not forget.",
    f"{STORY} P.S. Forget it",
    "SECTION 1\nx\nSECTION 2\ny\nSECTION 3\nz\nSECTION 4\nq\nSECTION 5\nr",
    "Section 1\nx\n\nSection 2\ny",
    "Day 1: x\nDay 2: y",
    "**SECTION 1**\na\n**SECTION 2**\nb\n**SECTION 3** c",
    "One.\n******\nTwo.",
    "******\nOne.\n******\nTwo.\n******",
    "One\n***\nTwo\n***\nThree",
    "One\n***\nTwo",
    "[name] and [place] and [date] on [day] at [time]",
    "[x](http://a.b) [y](c)",
)


def aimed(instructions: Sequence[Typed]) -> str:
    """The story, with what the instructions' arguments ask for added without care for how they go together."""
    text = STORY
    for one in instructions:
        args = one.kwargs
        if "keywords" in args:
            text = f"Words: {' '.join(args['keywords'])}. {text}"
        if "keyword" in args:
            text = f"{args['keyword']} " * int(args["frequency"]) + text
        if "forbidden_words" in args:
            text = f"{text} {args['forbidden_words'][0]}s"
        if "end_phrase" in args:
            text = f"{text} {args['end_phrase']}"
        if "prompt_to_repeat" in args:
            text = f"{args['prompt_to_repeat']}\n{text}"
        if "letter" in args:
            text = f"{text} " + args["letter"] * int(args["let_frequency"])
        if "first_word" in args:
            text = "\n\n".join([f"{args['first_word']} is"] * int(args["num_paragraphs"]))
    return text


def reference() -> dict[str, Any]:
    """lm-evaluation-harness's checkers by type, without the download that its import begins."""
    nltk: Any = importlib.import_module("nltk")
    langdetect: Any = importlib.import_module("langdetect")
    langdetect.DetectorFactory.seed = 0
    nltk.data.find = lambda *_, **__: True
    nltk.word_tokenize = lambda text: re.findall(r"\w+|[^\w\s]", text)
    return importlib.import_module("lm_eval.tasks.ifeval.instructions_registry").INSTRUCTION_DICT


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    task, checkers = ifeval_from_file(parser.parse_args().file, "en"), reference()
    warnings.simplefilter("ignore")
    compared: Counter[str] = Counter()
    ours_only: Counter[str] = Counter()
    theirs_only: Counter[str] = Counter()
    for _, prompt, instructions in task.records:
        made = aimed(instructions)
        replies = (*REPLIES, prompt, f"{prompt}\n{STORY}", made, made.replace(" ", "  ").title())
        for one in instructions:
            if one.kind == LEFT_OUT or not supported("en", one):
                continue
            checker = checkers[one.kind](one.kind)
            checker.build_description(**one.kwargs)
            for reply in replies:
                ours, theirs = RULES["en"][one.kind](reply, one.kwargs), bool(checker.check_following(reply))
                compared[one.kind] += 1
                ours_only[one.kind] += ours and not theirs
                theirs_only[one.kind] += theirs and not ours
    print("| type | compared | only we pass | only the reference passes |\n|---|---|---|---|")
    for kind in sorted(compared):
        print(f"| {kind} | {compared[kind]} | {ours_only[kind]} | {theirs_only[kind]} |")
    same = 1 - (ours_only.total() + theirs_only.total()) / compared.total()
    print(f"| all | {compared.total()} | {ours_only.total()} | {theirs_only.total()} |\n\nthe same: {same:.1%}")


if __name__ == "__main__":
    main()
