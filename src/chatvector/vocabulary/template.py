# SPDX-License-Identifier: Apache-2.0
"""Chat templates: compile and render them in a sandbox, with what loaders offer a template.

A template comes from a stranger, so it runs in Jinja's immutable sandbox and sees plain data only. The environment
offers what model authors rely on: trimmed blocks, `break` and `continue`, `tojson` without HTML escapes,
`raise_exception`, `strftime_now` and the `{% generation %}` block.

One thing is stricter than in loaders: a special token (`bos_token`, …) that is written out but not defined is an
error. Loaders render it as nothing, and the model then reads a prompt that it has never seen.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn

import jinja2
import jinja2.ext
import jinja2.meta
import jinja2.nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from chatvector.errors import DamagedFile, InputError

# Probes must not depend on the day they run: outputs carry no time.
PROBE_CLOCK = datetime(2024, 7, 26, 12, 0, 0)

Message = Mapping[str, Any]

NOT_VARIABLES = ("self", "messages", "add_generation_prompt")
"""Names that every rendering sets by itself, so that no variable of a user's can have them."""


class Refusal(jinja2.TemplateError):
    """The template called `raise_exception`: it does not take such a conversation."""


class UndefinedToken(jinja2.UndefinedError):
    """The template writes a special token that nothing defines."""


class _Undefined(jinja2.Undefined):
    """Undefined as usual, but writing out an undefined `*_token` is an error; asking `is defined` is not."""

    __slots__ = ()

    def __str__(self) -> str:
        name = self._undefined_name
        if isinstance(name, str) and name.endswith("_token") and self._undefined_obj is jinja2.utils.missing:
            raise UndefinedToken(name)
        return super().__str__()

    def _concatenated(self, *_: object) -> NoReturn:
        str(self)
        self._fail_with_undefined_error()

    __add__ = __radd__ = _concatenated  # pyright: ignore[reportAssignmentType]


class _GenerationBlock(jinja2.ext.Extension):
    """`{% generation %}…{% endgeneration %}` marks the assistant's words for training masks; it renders its body."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Any) -> Any:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


@dataclass(frozen=True)
class Template:
    """A compiled chat template. `where` names its file in messages."""

    source: str
    where: str
    special_tokens: Mapping[str, str]
    """Variables such as `bos_token` that the template can write, and their strings."""
    compiled: jinja2.Template

    def render(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        add_generation_prompt: bool = False,
        **variables: Any,
    ) -> str:
        """The prompt text for a conversation.

        Raises `InputError` with file and line when the template raises, or writes an undefined special token.
        """
        try:
            return self._render(messages, tools, add_generation_prompt, variables)
        except Exception as problem:  # a template is a stranger's program: whatever it raises is the template's fault
            raise InputError(self._explain(problem)) from problem

    def try_render(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        add_generation_prompt: bool = False,
        **variables: Any,
    ) -> str | None:
        """As `render`, but None when the template does not take such a conversation.

        An undefined special token is an `InputError` here too: it is never meant.
        """
        try:
            return self._render(messages, tools, add_generation_prompt, variables)
        except UndefinedToken as problem:
            raise InputError(self._explain(problem)) from problem
        except Exception:  # see `render`
            return None

    def _render(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] | None,
        add_generation_prompt: bool,
        variables: Mapping[str, Any],
    ) -> str:
        text = self.compiled.render(
            **{
                "messages": [dict(message) for message in messages],
                "tools": None if tools is None else [dict(tool) for tool in tools],
                "documents": None,
                "add_generation_prompt": add_generation_prompt,
                **self.special_tokens,
                **variables,
            }
        )
        text.encode()  # half of a UTF-16 character is no text: no tokenizer takes it, no file holds it
        return text

    def _explain(self, problem: BaseException) -> str:
        where = f"{self.where}, line {_line(problem)}"
        if isinstance(problem, UndefinedToken):
            name = problem.message
            return f"{where}: writes {name}, which no tokenizer file defines; add {name} to tokenizer_config.json"
        if isinstance(problem, Refusal):
            return f"{where}: the chat template refuses a plain conversation: {problem.message}"
        what = str(problem).strip().splitlines()
        return (
            f"{where}: the chat template fails on a plain conversation: {what[0] if what else type(problem).__name__}"
        )

    def literals(self) -> list[str]:
        """Every piece of text in the source, in all branches: plain text and string constants."""
        tree = self.compiled.environment.parse(self.source)
        texts = [node.data for node in tree.find_all(jinja2.nodes.TemplateData)]
        texts += [node.value for node in tree.find_all(jinja2.nodes.Const) if isinstance(node.value, str)]
        return texts

    def variables(self) -> frozenset[str]:
        """Names that the source expects from outside."""
        return frozenset(jinja2.meta.find_undeclared_variables(self.compiled.environment.parse(self.source)))


def compile_template(
    source: str, where: str, special_tokens: Mapping[str, str], *, clock: datetime = PROBE_CLOCK
) -> Template:
    """Compile a template. `clock` is what `strftime_now` tells. Raises `DamagedFile` when it is no Jinja."""
    environment = _environment(clock)
    try:
        source.encode()
        compiled = environment.from_string(source)
    except jinja2.TemplateSyntaxError as problem:
        raise DamagedFile(
            f"{where}, line {problem.lineno}: the chat template is no Jinja: {problem.message}"
        ) from problem
    except UnicodeEncodeError as problem:
        raise DamagedFile(f"{where}: the chat template holds half of a UTF-16 character, which is no text") from problem
    except (RecursionError, MemoryError) as problem:
        raise DamagedFile(f"{where}: the chat template is nested too deeply to be compiled") from problem
    except (SyntaxError, ArithmeticError, ValueError) as problem:
        # Jinja makes Python of it, which is stricter: `break` outside a loop, 21 blocks deep, a number of 5,000 digits.
        what = problem.msg if isinstance(problem, SyntaxError) else problem
        raise DamagedFile(f"{where}: the chat template is no Jinja that can be run: {what}") from problem
    return Template(source=source, where=where, special_tokens=dict(special_tokens), compiled=compiled)


def _environment(clock: datetime) -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=_Undefined,
        extensions=[jinja2.ext.loopcontrols, _GenerationBlock],
    )

    def raise_exception(message: object) -> NoReturn:
        raise Refusal(str(message))

    def to_json(value: Any, ensure_ascii: bool = False, **options: Any) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, **options)

    environment.filters["tojson"] = to_json
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = clock.strftime
    return environment


def _line(problem: BaseException) -> int | str:
    """The template line an error came from: Jinja rewrites its tracebacks to template lines."""
    lines = [frame.lineno for frame in traceback.extract_tb(problem.__traceback__) if frame.filename == "<template>"]
    return lines[-1] if lines and lines[-1] is not None else "?"
