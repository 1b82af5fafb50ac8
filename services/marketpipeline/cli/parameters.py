"""Types of options that several commands take."""

from __future__ import annotations

from typing import Any

import click

from marketpipeline.spec import seconds

__all__ = ["Duration", "Speed"]


class Duration(click.ParamType[Any]):
    """A length of time as the spec writes it, in seconds."""

    name = "DURATION"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """`2m` as 120.0."""
        try:
            return seconds(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Speed(click.ParamType[Any]):
    """How many times as fast as it was: a positive number, or `max`."""

    name = "N|max"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | None:
        """`max` as None."""
        if value is None or value == "max":
            return None
        try:
            speed = float(value)
        except (TypeError, ValueError):
            speed = 0.0
        if not 0 < speed < float("inf"):
            self.fail(f"{value!r} must be a number above 0, e.g. 20, or max", param, ctx)
        return speed
