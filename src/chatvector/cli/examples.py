# SPDX-License-Identifier: Apache-2.0
"""Examples under `--help`, laid out so that they can be copied: a long command is continued as a shell continues it.

The help's own wrapping breaks lines at hyphens too, which makes two words of a flag.
"""

from __future__ import annotations

# Of 80 columns, what the help's own margins leave.
WIDTH = 76


def examples(*commands: str, note: str = "") -> str:
    """The end of a verb's help: its examples, one command each, and a note below them."""
    # A paragraph that begins with \b is printed as it stands.
    lines = ["\b", "Examples:", *(line for command in commands for line in _laid_out(command))]
    return "\n".join(lines) + (f"\n\n{note}" if note else "")


def _laid_out(command: str) -> list[str]:
    """A command of any length on lines of at most `WIDTH` columns; flags keep their values."""
    lines, line = [], ""
    for part in _parts(command):
        longer = f"{line} {part}" if line else f"  {part}"
        if line and len(longer) > WIDTH - 2:
            lines.append(line + " \\")
            line = f"      {part}"
        else:
            line = longer
    return [*lines, line]


def _parts(command: str) -> list[str]:
    """The words, each flag with what follows it."""
    parts: list[str] = []
    for word in command.split(" "):
        if parts and parts[-1].startswith("-") and " " not in parts[-1] and not word.startswith("-"):
            parts[-1] += f" {word}"
        else:
            parts.append(word)
    return parts
