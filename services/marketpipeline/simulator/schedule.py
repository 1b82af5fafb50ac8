"""What happens and when, as a user writes it: `NAME[:KEY=VALUE,…][@TIME]`, e.g. `gap:count=5@30s`."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args, get_origin

import msgspec

from marketpipeline.errors import InvalidInput, Problem
from marketpipeline.schema import milliseconds

__all__ = ["Planned", "Schedule", "build", "parse"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Planned:
    """Something that happens `at` so many seconds of exchange time after the start."""

    name: str
    parameters: Mapping[str, str]
    at: float


def parse(text: str, field: str, known: Iterable[str]) -> Planned:
    """Read one; without a time it happens at the start. Raises InvalidInput.

    A value may have an @ in it (names of streams do): the time follows the last one and starts with a digit.
    """
    head, at_sign, time = text.rpartition("@")
    if not at_sign or ("=" in head.rpartition(",")[2] and not time[:1].isdigit()):
        head, at_sign, time = text, "", ""
    name, _, tail = head.partition(":")
    if name not in known:
        raise InvalidInput(field, [Problem(field, name, unknown(name, known))])
    parameters: dict[str, str] = {}
    for part in filter(None, tail.split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            raise InvalidInput(field, [Problem(field, text, f"{part!r} must be KEY=VALUE")])
        parameters[key] = value
    try:
        at = milliseconds(time) / 1000 if at_sign and time != "0s" else 0.0
    except ValueError as error:
        raise InvalidInput(field, [Problem(field, text, f"the time after @ is wrong: {error}")]) from error
    return Planned(name, parameters, at)


def unknown(name: str, known: Iterable[str]) -> str:
    """The hint for a name that does not exist."""
    names = sorted(known)
    nearest = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {nearest[0]!r}? " if nearest else ""
    return f"{hint}known: {', '.join(names)}"


def build(kind: type[T], parameters: Mapping[str, Any], field: str) -> T:
    """A fault or scenario with its parameters from text. Raises InvalidInput that names the parameter."""
    fields = {f.name: f for f in msgspec.structs.fields(kind)}  # type: ignore[arg-type]  # every kind is a Struct
    for key, value in parameters.items():
        if key not in fields:
            raise InvalidInput(field, [Problem(f"{field}.{key}", value, unknown(key, fields))])
        try:
            msgspec.convert(value, fields[key].type, strict=False)
        except msgspec.ValidationError as error:
            choices = get_args(fields[key].type) if get_origin(fields[key].type) is Literal else ()
            expected = f"must be one of {', '.join(choices)}" if choices else str(error).replace("Expected", "must be")
            raise InvalidInput(field, [Problem(f"{field}.{key}", value, expected)]) from error
    return msgspec.convert(dict(parameters), kind, strict=False)


class Schedule:
    """What is still to come, in order; `due` returns each once."""

    def __init__(self, planned: Iterable[Planned]) -> None:
        self._planned = sorted(planned, key=lambda one: one.at, reverse=True)

    def due(self, elapsed: float) -> list[Planned]:
        """What is due by now and was not returned before."""
        now: list[Planned] = []
        while self._planned and self._planned[-1].at <= elapsed:
            now.append(self._planned.pop())
        return now

    @property
    def next_at(self) -> float | None:
        """When the next one is due."""
        return self._planned[-1].at if self._planned else None
