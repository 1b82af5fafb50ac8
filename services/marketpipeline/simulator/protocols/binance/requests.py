"""A REST request as Binance reads it: parameters with their limits, and the errors for those that are wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from marketpipeline.simulator.protocols.base import Answer, MarketView

__all__ = ["Refused", "Request"]


_LEGAL = re.compile(r"[A-Z0-9._\-\u0080-\U0010ffff]{1,20}")
"""What it documents, `[A-Z0-9-_.]`, and the names that it lists beyond ASCII."""


class Refused(Exception):
    """A request that gets an error answer."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.answer = Answer(status, msgspec.json.encode({"code": code, "msg": message}))


@dataclass(frozen=True, slots=True)
class Request:
    """One request and what it is answered from; times in answers are divided by `unit`."""

    query: Mapping[str, str]
    market: MarketView
    now: int
    unit: int

    def symbol(self) -> str:
        name = self.query.get("symbol")
        if not name:
            raise Refused(400, -1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.")
        if not _LEGAL.fullmatch(name):
            message = "Illegal characters found in parameter 'symbol'; legal range is '^[A-Z0-9-_.]{1,20}$'."
            raise Refused(400, -1100, message)
        if name not in self.market.symbols():
            raise Refused(400, -1121, "Invalid symbol.")
        return name

    def symbols(self) -> list[str] | None:
        """The symbols of `symbol` or `symbols`; None when the request names none."""
        if "symbol" in self.query and "symbols" in self.query:
            raise Refused(400, -1128, "Combination of optional parameters invalid.")
        if "symbol" in self.query:
            return [self.symbol()]
        if "symbols" not in self.query:
            return None
        try:
            names = msgspec.json.decode(self.query["symbols"].encode(), type=list[str])
        except msgspec.DecodeError as error:
            legal = '^\\[("[A-Z0-9-_.]{1,20}"(,"[A-Z0-9-_.]{1,20}"){0,}){0,1}\\]$'
            message = f"Illegal characters found in parameter 'symbols'; legal range is '{legal}'."
            raise Refused(400, -1100, message) from error
        if not set(names) <= set(self.market.symbols()):
            raise Refused(400, -1121, "Invalid symbol.")
        return names

    def number(self, name: str, default: int | None) -> int | None:
        text = self.query.get(name)
        if text is None:
            return default
        if not text.isdigit():
            message = f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'."
            raise Refused(400, -1100, message)
        return int(text)

    def limit(self, default: int, most: int) -> int:
        limit = self.number("limit", default)
        if not limit:
            raise Refused(400, -1102, "Mandatory parameter 'limit' was not sent, was empty/null, or malformed.")
        return min(limit, most)

    def instant(self, name: str) -> int | None:
        """A time parameter in microseconds; both units are accepted, as there."""
        value = self.number(name, None)
        return None if value is None else value if value >= 10**15 else value * 1000
