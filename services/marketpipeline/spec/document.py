"""YAML as `kubectl` reads it, with a bound for everything, and every error with its line and column.

`kubectl` turns YAML into JSON by Go's YAML 1.1: `yes` is true, `010` is 8, `1e2` is 100, and `2025-02-30` is a text. So
that `validate` says of a file what the API server says, plain scalars are resolved here by the same rules, and what
has no form in JSON is refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import yaml

from marketpipeline.errors import InvalidSpec, Problem

__all__ = ["dotted", "read_document"]

MAX_BYTES = 1 << 20
"""Bytes of a file; the API server takes an object of about this size."""
MAX_DEPTH = 64
MAX_NODES = 20_000
"""Values of a document, those that an alias repeats counted each time."""

MAX_DIGITS = 1_000
"""Signs of a number, more than any has that is not infinite in JSON; Python writes no whole one of 4,300."""

Path = tuple[int | str, ...]

_TAG = "tag:yaml.org,2002:"
_TRUE = frozenset(["y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE"])
_FALSE = frozenset(["n", "N", "no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE"])
_NULL = frozenset(["", "~", "null", "Null", "NULL"])
_NO_NUMBERS = frozenset(
    [".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF", ".nan", ".NaN", ".NAN"]
)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_OCTAL = re.compile(r"([-+]?)0([0-7]+)")


def read_document(text: str, source: str) -> tuple[Any, yaml.Node]:
    """The one document of a YAML text, as plain data and as nodes with their places. Raises InvalidSpec."""
    if len(text) > MAX_BYTES:
        expected = f"is longer than {MAX_BYTES:,} bytes; a MarketPipeline is far smaller"
        raise InvalidSpec(source, [Problem("file", f"{len(text):,} characters", expected)])
    nodes = []
    try:
        loader = _Loader(text)
        while loader.check_node():
            node = loader.get_node()
            if node is not None and node.tag != f"{_TAG}null":
                nodes.append(node)
        if len(nodes) == 1:
            _refuse_duplicate_keys(nodes[0], source)
            return loader.construct_document(nodes[0]), nodes[0]
    except yaml.YAMLError as error:
        raise InvalidSpec(source, [_syntax_problem(error, text)]) from error
    except (ValueError, OverflowError) as error:  # an escape like "\\UFFFFFFFF", of which the reader makes no sign
        place = loader.get_mark()
        unknown = _marked("an escape in a text names no sign of Unicode", place)
        raise InvalidSpec(source, [_syntax_problem(unknown, text)]) from error
    found = "no document" if not nodes else f"{len(nodes)} documents"
    expected = "must hold one MarketPipeline" + (", in one file each" if nodes else "; it is empty")
    raise InvalidSpec(source, [Problem("file", found, expected)])


def dotted(path: Path) -> str:
    """A path as a user writes it: `spec.symbols[0]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


class _Loader(yaml.SafeLoader):
    """Nodes are counted while they are composed: nothing grows, and nothing recurses, before it is found too large."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = self._nodes = 0
        self._sizes: dict[int, int] = {}
        """Nodes below each finished node, by its identity; one that is not finished is above us."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]  # PyYAML's stubs lack it
        if self._depth >= MAX_DEPTH:
            raise _marked(f"values are nested in one another more than {MAX_DEPTH} deep", event.start_mark)
        before = self._nodes
        self._depth += 1
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        if isinstance(event, yaml.AliasEvent):
            if id(node) not in self._sizes:
                raise _marked(f"*{event.anchor} stands within what it is an alias of", event.start_mark)
            self._nodes += self._sizes[id(node)]
        else:
            self._nodes += 1
            self._sizes[id(node)] = self._nodes - before
        if self._nodes > MAX_NODES:
            raise _marked(f"more than {MAX_NODES:,} values, with those that aliases repeat", event.start_mark)
        return node

    def resolve(self, kind: type[yaml.Node], value: str, implicit: Any) -> str:
        if kind is yaml.ScalarNode and implicit[0]:
            return _TAG + _sort_of(value)
        found: str = super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]  # PyYAML's stubs lack it
        return found


def _construct(loader: _Loader, node: yaml.ScalarNode) -> Any:
    """A scalar of a tag, given or found. Raises a marked error for one that does not have the tag's form."""
    value, sort = str(loader.construct_scalar(node)), node.tag.removeprefix(_TAG)
    match sort:
        case "null" if value in _NULL:
            return None
        case "bool" if value in _TRUE | _FALSE:
            return value in _TRUE
        case "int" | "float" if (number := _number(value)) is not None:
            return number
        case "str" if not any("\ud800" <= sign <= "\udfff" for sign in value):
            return value
    raise _marked(f"{value!r} is no {sort}", node.start_mark)


_Loader.yaml_implicit_resolvers = {}
_Loader.yaml_constructors = {
    f"{_TAG}map": yaml.SafeLoader.construct_yaml_map,
    f"{_TAG}seq": yaml.SafeLoader.construct_yaml_seq,
    **{f"{_TAG}{sort}": _construct for sort in ("null", "bool", "int", "float", "str")},
    None: yaml.SafeLoader.construct_undefined,
}


def _sort_of(value: str) -> str:
    """What a plain scalar is."""
    if value in _NULL:
        return "null"
    if value in _TRUE or value in _FALSE:
        return "bool"
    if value == "<<":
        return "merge"
    return "str" if _number(value) is None else "float"


def _number(text: str) -> int | float | None:
    """A number as Go has it, None for any other text. A whole one is an int, however it is written, as in JSON."""
    if text in _NO_NUMBERS:
        return float(text.replace(".", ""))
    plain = text.replace("_", "")
    if len(plain) > MAX_DIGITS:
        return None
    if not plain.isascii() or plain[:1] not in set("+-.0123456789"):
        return None
    try:
        octal = _OCTAL.fullmatch(plain)
        return int(octal[1] + octal[2], 8) if octal else int(plain, 0)
    except ValueError:
        pass
    number = float(plain) if _FLOAT.fullmatch(plain) else math.inf
    if math.isinf(number):
        return None
    return int(number) if number.is_integer() else number


def _refuse_duplicate_keys(node: yaml.Node, source: str) -> None:
    """YAML's own reader keeps the last of two equal keys and says nothing; a user loses a line that way."""
    problems = []
    for path, key, previous in _duplicate_keys(node, ()):
        mark = key.start_mark
        expected = f"stands twice (first in line {previous.start_mark.line + 1}); keep one"
        problems.append(Problem(dotted((*path, key.value)), key.value, expected, mark.line + 1, mark.column + 1))
    if problems:
        raise InvalidSpec(source, problems)


def _duplicate_keys(node: yaml.Node, path: Path) -> Iterator[tuple[Path, yaml.Node, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        seen: dict[Any, yaml.Node] = {}
        for key, value in node.value:
            name = str(key.value)
            if name in seen:
                yield path, key, seen[name]
            seen[name] = key
            yield from _duplicate_keys(value, (*path, name))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _duplicate_keys(value, (*path, index))


def _marked(problem: str, mark: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


def _syntax_problem(error: yaml.YAMLError, text: str) -> Problem:
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        what = getattr(error, "problem", None) or str(error)
        return Problem("file", "YAML", f"does not parse: {what}", mark.line + 1, mark.column + 1)
    lines = text[: getattr(error, "position", 0)].split("\n")  # a sign that YAML does not allow
    what = getattr(error, "reason", None) or str(error)
    return Problem("file", "YAML", f"does not parse: {what}", len(lines), len(lines[-1]) + 1)
