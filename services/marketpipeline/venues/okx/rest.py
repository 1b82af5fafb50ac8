"""OKX's REST interface: requests with their weights, and how answers are read. No I/O here.

It limits each path by itself, in 2 seconds of an address: 10 requests of the time, 20 of instruments, of tickers and of
past trades, 40 of books. A request weighs so much that the sum of `LIMIT` keeps to each of these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from marketpipeline.errors import PermanentError, RetryableError
from marketpipeline.records import AggTrade, Trade
from marketpipeline.venues.adapter import Page, Rate, RestRequest, Throttled, UnknownSymbol
from marketpipeline.venues.instruments import Contract, Instrument, Instruments, Volumes
from marketpipeline.venues.messages import BadRow, BookSnapshot, FrameError
from marketpipeline.venues.okx import VENUE, convert, wire
from marketpipeline.venues.okx.convert import instrument_type, name_of
from marketpipeline.venues.okx.mapper import number_in, unreadable

__all__ = ["LIMIT", "PAGE", "agg_trades", "instruments", "judge", "server_time", "snapshot", "trades", "volumes"]

T = TypeVar("T")
R = TypeVar("R", Trade, AggTrade)

LIMIT = Rate(40, 2.0)
PAGE = 100
_BOOK_LEVELS = 400
_TIME_WEIGHT, _INSTRUMENTS_WEIGHT, _TICKERS_WEIGHT, _TRADES_WEIGHT, _BOOK_WEIGHT = 4, 2, 2, 2, 1
_KINDS = ("SPOT", "SWAP", "FUTURES")
_LISTED = frozenset({"live", "suspend", "rebase", "post_only"})
_OK = b'{"code":"0"'
_UNKNOWN = frozenset({"51001", "51015", "51021", "51027", "51028"})
"""Not there, not of this kind, not listed yet, expired, being delivered."""
_THROTTLED = frozenset({"50011", "50040", "50061"})
_LATER = frozenset({"50001", "50004", "50013", "50026", "50056"})
"""Out of service, time-out, busy, a fault of its own, in maintenance."""


class _Time(msgspec.Struct):
    ts: wire.Time


class _Instrument(msgspec.Struct):
    inst_id: str = msgspec.field(name="instId")
    state: str = "live"
    base: str = msgspec.field(name="baseCcy", default="")
    value: str = msgspec.field(name="ctVal", default="")
    multiplier: str = msgspec.field(name="ctMult", default="")
    currency: str = msgspec.field(name="ctValCcy", default="")


class _Volume(msgspec.Struct, gc=False):
    """Of spot `volume` is in the quote currency, of contracts in the base currency."""

    inst_id: str = msgspec.field(name="instId")
    last: str = ""
    volume: str = msgspec.field(name="volCcy24h", default="")


class _Error(msgspec.Struct):
    code: str = ""
    msg: str = ""


def server_time() -> RestRequest[int]:
    """The exchange's clock, µs."""
    read = _reader(_Time, lambda rows, _: _only(rows).ts * convert.MILLI)
    return RestRequest("/api/v5/public/time", (), _TIME_WEIGHT, read)


def instruments(symbols: Sequence[str] | None) -> list[RestRequest[Instruments]]:
    """What is listed of each kind that `symbols` are of; one that is sought alone is asked for alone."""
    names = [name_of(symbol) for symbol in symbols or ()]
    requests: list[RestRequest[Instruments]] = []
    for kind in _KINDS if symbols is None else sorted({instrument_type(name) for name in names}):
        sought = [name for name in names if instrument_type(name) == kind]
        params = (("instType", kind), *((("instId", sought[0]),) if len(sought) == 1 else ()))
        read = _reader(_Instrument, lambda rows, _: dict(filter(None, map(_listed, rows))))
        requests.append(RestRequest("/api/v5/public/instruments", params, _INSTRUMENTS_WEIGHT, read))
    return requests


def _listed(row: _Instrument) -> tuple[str, Instrument] | None:
    if row.state not in _LISTED:
        return None
    symbol, trading = f"{VENUE.name}:{row.inst_id}", row.state == "live"
    market = _market(row.inst_id)
    if instrument_type(row.inst_id) == "SPOT":
        return symbol, Instrument(market=market, trading=trading)
    try:
        size = float(row.value) * float(row.multiplier or 1)
    except ValueError:
        return None
    base = row.inst_id.partition("-")[0]
    contract = Contract(size, inverse=row.currency != base) if size > 0 else None
    return None if contract is None else (symbol, Instrument(contract, market, trading))


def _market(name: str) -> str:
    """`USDT` of spot, `USDT-SWAP` of swaps, `USDT-FUTURES` of futures whatever their date."""
    quote, kind = name.partition("-")[2].partition("-")[0], instrument_type(name)
    return quote if kind == "SPOT" else f"{quote}-{kind}"


def volumes() -> list[RestRequest[Volumes]]:
    """What was traded of each kind in 24 hours, in the quote currency."""
    read = _reader(_Volume, lambda rows, _: {f"{VENUE.name}:{row.inst_id}": _quote_volume(row) for row in rows})
    return [RestRequest("/api/v5/market/tickers", (("instType", kind),), _TICKERS_WEIGHT, read) for kind in _KINDS]


def _quote_volume(row: _Volume) -> float:
    """0 of one that was never traded, whose numbers are empty texts."""
    spot = instrument_type(row.inst_id) == "SPOT"
    try:
        return float(row.volume) if spot else float(row.volume) * float(row.last)
    except ValueError:
        return 0.0


def snapshot(symbol: str) -> RestRequest[BookSnapshot]:
    """The best 400 levels of each side. Levels that move into these are told by the stream."""

    def convert_row(rows: list[wire.BookRow], _: int) -> BookSnapshot:
        row = _only(rows)
        last = row.ts if row.seq_id is None else row.seq_id
        return BookSnapshot(last, convert.levels(row.bids), convert.levels(row.asks), True, True)

    params = (("instId", name_of(symbol)), ("sz", str(_BOOK_LEVELS)))
    read = _reader(wire.BookRow, convert_row, symbol)
    return RestRequest("/api/v5/market/books", params, _BOOK_WEIGHT, read, symbol=symbol)


def trades(symbol: str, first_id: int | None, limit: int) -> RestRequest[Page[Trade]]:
    """Trades from an id on; without one the newest."""
    return _past(symbol, first_id, limit, lambda row, time: convert.trade(row, symbol, time, backfilled=True))


def agg_trades(symbol: str, first_id: int | None, limit: int) -> RestRequest[Page[AggTrade]]:
    """The same, each match as an aggregate of one: it is not told which belong together."""
    return _past(symbol, first_id, limit, lambda row, time: convert.agg_trade(row, symbol, time, backfilled=True))


def _past(
    symbol: str, first_id: int | None, limit: int, make: Callable[[wire.TradeRow, int], R]
) -> RestRequest[Page[R]]:
    """A page is asked for by the id after it, and comes newest first; ids have no holes, so both ends are known.

    Fewer come where the exchange has no more: then the page is filled up by older ones, which are left out.
    """
    limit = min(limit, PAGE)
    params = [("instId", name_of(symbol)), ("type", "1"), ("limit", str(limit))]
    if first_id is not None:
        params.append(("after", str(first_id + limit)))

    def read(body: bytes, receive_time: int) -> Page[R]:
        with unreadable(symbol):
            rows = msgspec.json.decode(body, type=wire.Rows).data
        page: Page[R] = Page([], [])
        for row in reversed(rows):
            number = number_in(row)
            if first_id is not None and number is not None and number < first_id:
                continue
            try:
                with unreadable(symbol):
                    made = make(msgspec.json.decode(row, type=wire.TradeRow, strict=False), receive_time)
                page.records.append(made)
            except FrameError as error:
                page.bad.append(BadRow(bytes(row), str(error), number))
        return page

    return RestRequest("/api/v5/market/history-trades", tuple(params), _TRADES_WEIGHT, read, symbol=symbol)


def judge(status: int, headers: Mapping[str, str], body: bytes) -> None:
    """By the code in the body, which an answer with status 200 has too."""
    if status == 200 and body.startswith(_OK):
        return
    try:
        error = msgspec.json.decode(body, type=_Error)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        error = _Error("", body[:200].decode("utf-8", "replace"))
    if status == 200 and error.code == "0":
        return
    said = f"HTTP {status}: {error.code}: {error.msg}" if error.code else f"HTTP {status}: {error.msg}"
    if status == 429 or error.code in _THROTTLED:
        raise Throttled(said, LIMIT.seconds)
    if status >= 500 or status in (403, 408) or error.code in _LATER:
        raise RetryableError(said)
    if status == 200 and not error.code:
        raise RetryableError(said)
    raise UnknownSymbol(said) if error.code in _UNKNOWN else PermanentError(said)


def _only(rows: list[Any]) -> Any:
    if len(rows) != 1:
        raise FrameError(f"{len(rows)} rows, not one")
    return rows[0]


def _reader(row_type: Any, convert_rows: Callable[[list[Any], int], T], symbol: str = "") -> Callable[[bytes, int], T]:
    """What reads `{"code":"0","data":[rows]}`; FrameError for any other body."""
    body_type = msgspec.defstruct("Body", [("data", list[row_type])])
    decoder = msgspec.json.Decoder(body_type, strict=False)

    def read(body: bytes, receive_time: int) -> T:
        with unreadable(symbol):
            return convert_rows(decoder.decode(body).data, receive_time)  # type: ignore[attr-defined]

    return read
