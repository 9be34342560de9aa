# SPDX-License-Identifier: Apache-2.0
"""Every error a user can meet, with the exit code the command line gives it.

Adding an error: subclass the group whose exit code fits (`UsageError`, `InputError`, …), keep the double
inheritance from a built-in so that `except ValueError` in a caller's code works, write a docstring that says
when it happens, and raise it with one line: what, where, how many, what to do.

| code | meaning                                                              |
|------|----------------------------------------------------------------------|
| 0    | done                                                                 |
| 1    | unexpected: a bug of ours                                            |
| 2    | usage, or a choice that only the user can make                       |
| 3    | an input is missing, damaged, unsupported, non-finite or does not fit |
| 4    | a verification or a required figure failed                           |
| 5    | not enough disk or memory                                            |
| 6    | network or hub                                                       |
| 7    | an optional extra is missing                                         |
| 130, 143 | interrupted (Ctrl-C, SIGTERM); the same command continues        |
"""

from __future__ import annotations

from collections.abc import Iterable


class ChatVectorError(Exception):
    """Base of all errors that the user can mend. `exit_code` is what the command line returns."""

    exit_code: int = 1


class UsageError(ChatVectorError, ValueError):
    """A flag, a recipe or a combination of them is wrong, or the user has to make a choice."""

    exit_code = 2


class RecipeError(UsageError):
    """A recipe has an unknown key, a bad value, or contradicts itself."""


class OutputRefused(UsageError):
    """The output is there already, overlaps an input, is being written by another run, or cannot be written."""


class InputError(ChatVectorError, ValueError):
    """An input is missing, damaged, unsupported, non-finite, or does not fit the others."""

    exit_code = 3


class MissingInput(InputError, FileNotFoundError):
    """A file or directory that an input needs is not there."""


class ReadFailed(InputError, OSError):
    """The storage of an input failed while it was read: a disk, a mount. The input itself may be whole."""


class DamagedFile(InputError):
    """A file is there but its bytes are not what its format promises."""


class UnsupportedFormat(InputError):
    """The weights are quantised, packed, an adapter, a pickle, or of a kind that has no meaning here."""


class IncompatibleParents(InputError):
    """Names, shapes, architectures or vocabularies of the parents do not fit together."""


class LineageError(InputError):
    """The parents are probably swapped, or the target descends from the chat model."""


class NonFiniteValues(InputError):
    """A parent holds NaN or infinity, or the result overflows its dtype."""


class VerificationFailed(ChatVectorError):
    """What was written is not what the recipe means."""

    exit_code = 4


class NotEnoughSpace(ChatVectorError, OSError):
    """Disk or memory does not suffice."""

    exit_code = 5


class HubError(ChatVectorError, ConnectionError):
    """The hub or the network did not give what was asked for."""

    exit_code = 6


class MissingExtra(ChatVectorError, ImportError):
    """An optional part is not installed. The message names the `pip install` that brings it."""

    exit_code = 7

    def __init__(self, extra: str, what: str, *, install: str = "") -> None:
        """`install`: argument of `pip install` where no extra of chatvector brings the part."""
        wanted = install or f"'chatvector[{extra}]'"
        super().__init__(f"{what} needs an optional part: pip install {wanted}")
        self.extra = extra


# Longest value, and longest entry of a list, in a message: hostile files hold names of thousands of characters.
VALUE_CHARACTERS = 100
SENTENCE_CHARACTERS = 600


def brief(value: object, most: int = VALUE_CHARACTERS) -> str:
    """A value from a file as a message quotes it: on one line, cut after `most` characters, safe for any stream."""
    text = "\\n".join(str(value).splitlines())
    cut = text if len(text) <= most else f"{text[:most]}…"
    return cut.encode("utf-8", "backslashreplace").decode()


def first_five(items: Iterable[object]) -> str:
    """Render a list for a message: the first five, then how many more."""
    listed = [brief(item, SENTENCE_CHARACTERS) for item in items]
    shown = ", ".join(listed[:5])
    return shown if len(listed) <= 5 else f"{shown}, … ({len(listed) - 5} more)"
