"""What an exchange lists, where it is traded, and what one contract of it stands for.

Every quantity that leaves ingestion is in base units. Where an exchange counts in contracts its mapper gives the
number as it came, and `in_base_units` makes the record of it: the quantity in base units beside the number itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from types import MappingProxyType
from typing import Any

from msgspec.structs import replace

from marketpipeline.records import AggTrade, Book, Level, Quote, Ticker, Trade

__all__ = ["Contract", "Instrument", "Instruments", "Volumes", "in_base_units"]


@dataclass(frozen=True, slots=True)
class Contract:
    """One contract is `size` base units, or `size` quote units where it is `inverse`."""

    size: float
    inverse: bool = False
    per_unit: float = field(init=False, repr=False, compare=False)
    """Contracts for one unit where that is a whole number: to divide by it gives the decimal that is meant."""

    def __post_init__(self) -> None:
        per_unit = round(1 / self.size) if self.size < 1 else 0
        is_whole = per_unit > 0 and abs(per_unit * self.size - 1) < 1e-12
        object.__setattr__(self, "per_unit", float(per_unit) if is_whole else 0.0)

    def base(self, contracts: float, price: float) -> float:
        """So many contracts at a price, in base units; 0 where there is no price to tell by."""
        if not self.inverse:
            return contracts / self.per_unit if self.per_unit else contracts * self.size
        return contracts * self.size / price if price else 0.0


@dataclass(frozen=True, slots=True)
class Instrument:
    """What is listed. `contract` is None where the exchange counts in base units.

    `market` is what it is ranked in beside others: its quote currency, with what tells other kinds than spot apart
    (`USDT`, `USDT-SWAP`); empty where the exchange does not tell. `trading` is False while it is halted.
    """

    contract: Contract | None = None
    market: str = ""
    trading: bool = True


Instruments = Mapping[str, Instrument]
"""By symbol, `exchange:SYMBOL`."""

Volumes = Mapping[str, float]
"""What was traded in the last 24 hours by symbol, in the quote currency."""


def in_base_units(record: Any, contract: Contract) -> Any:
    """A market record whose sizes are contracts, with these in base units; any other record as it is.

    Volumes of tickers and candles are in base units already: a sum over prices cannot be converted.
    """
    convert = _CONVERTERS.get(type(record))
    return record if convert is None else convert(record, contract)


def _match(record: Trade | AggTrade, contract: Contract) -> Any:
    return replace(record, quantity=contract.base(record.quantity, record.price), contracts=record.quantity)


def _book(record: Book, contract: Contract) -> Book:
    bids, asks = record.bids, record.asks
    return Book(
        symbol=record.symbol,
        event_time=record.event_time,
        receive_time=record.receive_time,
        update_id=record.update_id,
        previous_id=record.previous_id,
        bids=_levels(bids, contract),
        asks=_levels(asks, contract),
        bid_contracts=list(map(_quantity, bids)),
        ask_contracts=list(map(_quantity, asks)),
    )


_quantity: Callable[[Level], float] = itemgetter(1)


def _levels(levels: list[Level], contract: Contract) -> list[Level]:
    """Once for every record of a book, so written out."""
    size, per_unit = contract.size, contract.per_unit
    if contract.inverse:
        return [(price, quantity * size / price) for price, quantity in levels]
    if per_unit:
        return [(price, quantity / per_unit) for price, quantity in levels]
    return [(price, quantity * size) for price, quantity in levels]


def _quote(record: Quote, contract: Contract) -> Quote:
    bid, ask = record.bid_quantity, record.ask_quantity
    return Quote(
        symbol=record.symbol,
        event_time=record.event_time,
        receive_time=record.receive_time,
        update_id=record.update_id,
        bid_price=record.bid_price,
        bid_quantity=contract.base(bid, record.bid_price),
        ask_price=record.ask_price,
        ask_quantity=contract.base(ask, record.ask_price),
        bid_contracts=bid,
        ask_contracts=ask,
    )


def _ticker(record: Ticker, contract: Contract) -> Ticker:
    quote_volume = record.quote_volume
    if quote_volume is None and contract.inverse and record.contracts is not None:
        quote_volume = record.contracts * contract.size
    return replace(
        record,
        last_quantity=contract.base(record.last_quantity, record.last_price),
        last_contracts=record.last_quantity,
        quote_volume=quote_volume,
        **_best(record, contract),
    )


def _best(record: Quote | Ticker, contract: Contract) -> dict[str, float]:
    return {
        "bid_quantity": contract.base(record.bid_quantity, record.bid_price),
        "ask_quantity": contract.base(record.ask_quantity, record.ask_price),
        "bid_contracts": record.bid_quantity,
        "ask_contracts": record.ask_quantity,
    }


_CONVERTERS: Mapping[type[Any], Callable[[Any, Contract], Any]] = MappingProxyType(
    {Trade: _match, AggTrade: _match, Book: _book, Quote: _quote, Ticker: _ticker}
)
