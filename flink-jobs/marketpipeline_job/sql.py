"""Small pieces that the generated SQL is made of, and the shape of a finished script."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from textwrap import indent

__all__ = ["PROCESS_TIME", "Script", "View", "lines", "options", "table"]

PROCESS_TIME = "EXTRACT(EPOCH FROM LOCALTIMESTAMP) * 1000000 + EXTRACT(MILLISECOND FROM LOCALTIMESTAMP) * 1000"
"""Now, in microseconds since the epoch; Flink's SQL knows no finer clock than milliseconds. The session's time zone
is UTC, where this costs a few additions; the same of a TIMESTAMP_LTZ converts through the time zone for every row."""

_MEANING = re.compile(r"^ +'measured-book\..*$", re.MULTILINE)
"""Options of a table that say what its rows are, and not where."""


@dataclass(frozen=True, slots=True)
class View:
    """A named query; it costs nothing, the planner puts it in where it is used."""

    name: str
    query: str

    def __str__(self) -> str:
        return f"CREATE TEMPORARY VIEW {self.name} AS\n{self.query}"


@dataclass(frozen=True, slots=True)
class Script:
    """Statements in their order: all but `inserts` are made one by one, these are one job."""

    tables: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    views: tuple[View, ...] = ()
    inserts: tuple[str, ...] = ()

    def __add__(self, other: Script) -> Script:
        """Both, a table that both name only once."""
        return Script(
            tables=tuple(dict.fromkeys((*self.tables, *other.tables))),
            functions=(*self.functions, *other.functions),
            views=(*self.views, *other.views),
            inserts=(*self.inserts, *other.inserts),
        )

    def text(self) -> str:
        """The whole as SQL that Flink's own client takes."""
        inserts = "\n".join(f"{statement};" for statement in self.inserts)
        statements = [
            *self.tables,
            *self.functions,
            *map(str, self.views),
            f"EXECUTE STATEMENT SET BEGIN\n{inserts}\nEND",
        ]
        return "\n\n".join(f"{statement};" for statement in statements) + "\n"

    def queries(self) -> str:
        """What the state of a job follows from: columns, formats, views, inserts; not where tables are."""
        tables = (_without_places(statement) for statement in self.tables)
        return "\n".join((*tables, *self.functions, *map(str, self.views), *self.inserts))


def lines(parts: Iterable[str], separator: str = ",") -> str:
    """Parts one a line, indented by four."""
    return indent(f"{separator}\n".join(parts), "    ")


def options(values: Mapping[str, str]) -> str:
    """The WITH clause of a table."""
    quoted = (f"    '{key}' = '{value.replace(chr(39), chr(39) * 2)}'" for key, value in values.items())
    separated = ",\n".join(quoted)  # not by `lines`: a value may have lines of its own, which stay as they are
    return f"WITH (\n{separated}\n)"


def table(name: str, columns: Iterable[str], values: Mapping[str, str]) -> str:
    """A table that lives as long as the session; its data is in a topic."""
    return f"CREATE TEMPORARY TABLE {name} (\n{lines(columns)}\n) {options(values)}"


def _without_places(statement: str) -> str:
    columns, _, connected = statement.partition(") WITH (")
    return "\n".join((columns, *_MEANING.findall(connected)))
