# SPDX-License-Identifier: Apache-2.0
"""Help of a verb with many options, by groups, as plain text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from typer.core import TyperCommand

REST = "Options"


def grouped(groups: Mapping[str, str]) -> type[TyperCommand]:
    """A command class whose help has arguments first, then each group with its options, the rest last.

    `groups`: title → parameters in Python's spelling, separated by spaces. When help is asked for, raises KeyError for
    a parameter that the verb does not have.
    """
    titles = {name: title for title, names in groups.items() for name in names.split()}

    class Grouped(TyperCommand):
        def format_options(self, ctx: Any, formatter: Any) -> None:
            parameters = {str(one.name): one for one in self.get_params(ctx)}
            if unknown := titles.keys() - parameters.keys():
                raise KeyError(*sorted(unknown))
            sections: dict[str, list[tuple[str, str]]] = {title: [] for title in ("Arguments", *groups, REST)}
            for name, one in parameters.items():
                record = one.get_help_record(ctx)
                if record is not None:
                    argument = one.param_type_name == "argument"
                    sections["Arguments" if argument else titles.get(name, REST)].append(record)
            for title, records in sections.items():
                if records:
                    with formatter.section(title):
                        formatter.write_dl(records)

    return Grouped
