"""`marketpipeline query`: what a run has stored, whether it is on or has ended."""

from __future__ import annotations

import csv
import itertools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, TextIO, TypeVar, get_args

import click
import msgspec

from marketpipeline.alert_kinds import Severity, watched_alerts
from marketpipeline.errors import InvalidQuery, Problem
from marketpipeline.local.stored import Stored, only_folder, open_stored
from marketpipeline.readers import HistoryQuery, Span
from marketpipeline.readers.asking import choose, find_symbol, read_time
from marketpipeline.store import TABLES as ALL_TABLES
from marketpipeline.store import table_of
from marketpipeline.store.rows import JsonRow

__all__ = ["query"]

Rows = Iterator[JsonRow]
T = TypeVar("T")

TABLES = {
    "candles": "candles",
    "book": "book_metrics",
    "trades": "trades",
    "statistics": "trade_statistics",
    "book-statistics": "book_statistics",
    "alerts": "alerts",
    "gaps": "feed_events",
    "events": "feed_events",
}
"""What can be asked for, and the table that has it. `gaps` are the feed events that name what is missing."""

TABLE_ROWS = 1_000
"""Rows of a table on the screen without `--limit`, and rows that the widths of its columns are taken from."""

SHOWN: dict[str, tuple[str, ...]] = {
    "candles": ("open_time", "open", "high", "low", "close", "volume", "trades", "vwap", "buy_sell_ratio",
                "price_change", "closed", "complete"),
    "book": ("event_time", "update_id", "best_bid", "best_ask", "mid", "spread", "spread_bps", "imbalance",
             "weighted_imbalance", "vtob_ratio"),
    "trades": ("trade_time", "trade_id", "price", "quantity", "taker_side", "backfilled"),
    "statistics": ("open_time", "trades", "quote_volume", "taker_buy_volume", "taker_sell_volume", "vwap",
                   "price_change", "range_bps", "realised_volatility", "largest_trade", "outliers"),
    "book-statistics": ("open_time", "events", "mid", "spread_bps", "imbalance", "lowest_imbalance",
                        "highest_imbalance", "lowest_spread_bps", "highest_spread_bps", "order_flow_imbalance",
                        "bid_slope", "ask_slope", "normal_spread_bps"),
    "alerts": ("started_at", "ended_at", "rule", "severity", "status", "side", "value", "extreme", "threshold"),
    "gaps": ("event_time", "receive_time", "feed", "first_id", "last_id", "detail"),
    "events": ("event_time", "receive_time", "kind", "feed", "first_id", "last_id", "detail"),
    "coverage": ("symbol", "day", "store", "rows", "first", "last", "gaps"),
    "tiers": ("tier", "store", "error", "archived_days", "kept_back"),
}  # fmt: skip
"""Columns of a table on the screen; JSON and CSV have all."""


@click.group(short_help="Read what a run has stored.")
def query() -> None:
    """Read what a run has stored, while it is on or after it has ended.

    SYMBOL is exchange:SYMBOL, or SYMBOL where only one exchange has it. Rows come in order of time. --from is included,
    --to is not; a time is ISO 8601 (UTC where it names no zone) or seconds or milliseconds since the epoch. --limit
    gives the first rows after --from, and without --from the newest.
    """


def _options(command: Callable[..., None]) -> Callable[..., None]:
    """What every query takes."""
    for option in reversed(
        (
            click.argument("symbol"),
            click.option("--from", "since", metavar="T", help="Beginning, included."),
            click.option("--to", "until", metavar="T", help="End, not included."),
            click.option(
                "--limit",
                type=click.IntRange(min=1),
                help=f"Most rows. [{TABLE_ROWS} as a table, else all]",
            ),
            click.option(
                "--format",
                "form",
                type=click.Choice(["table", "json", "csv"]),
                default="table",
                show_default=True,
                help="JSON is one object a line.",
            ),
            click.option("--state", type=click.Path(path_type=Path), help="State folder. [the one in .marketpipeline]"),
        )
    ):
        command = option(command)
    return command


@query.command()
@_options
@click.option("--interval", default="1m", show_default=True, help="Length of a candle.")
def candles(interval: str, **options: Any) -> None:
    """Candles, the one that still forms with closed=false."""
    _show("candles", interval=interval, **options)


@query.command()
@_options
def book(**options: Any) -> None:
    """Measures of the order book, a row for each of its updates."""
    _show("book", **options)


@query.command()
@_options
@click.option("--interval", default="1m", show_default=True, help="Length of a window.")
def statistics(interval: str, **options: Any) -> None:
    """Statistics of the trades of each window that has closed."""
    _show("statistics", interval=interval, **options)


@query.command("book-statistics")
@_options
@click.option("--interval", default="1s", show_default=True, help="Length of a window; 1s is the reduced book.")
def book_statistics(interval: str, **options: Any) -> None:
    """The book of each window that has ended, a second or longer."""
    _show("book-statistics", interval=interval, **options)


@query.command()
@_options
@click.option("--without-outliers", is_flag=True, help="Leave out those that the alert `outlier` was raised for.")
def trades(without_outliers: bool, **options: Any) -> None:
    """Trades, each once."""
    _show("trades", without_outliers=without_outliers, **options)


@query.command()
@_options
@click.option("--rule", help=f"Of this rule only: {', '.join(watched_alerts())}, or the name of a pattern.")
@click.option("--severity", type=click.Choice(get_args(Severity)), help="Of this severity only.")
def alerts(rule: str | None, severity: str | None, **options: Any) -> None:
    """Alerts by the time they started, each in its last state."""
    _show("alerts", {"rule": rule, "severity": severity}, **options)


@query.command()
@_options
@click.option("--all", "everything", is_flag=True, help="Also backfills, reconnects, resyncs and the other events.")
def gaps(everything: bool, **options: Any) -> None:
    """What is missing: ids from first_id to last_id, both included, of a feed. No row means that nothing is.

    --from, --to and the order go by event_time, the exchange's, and by receive_time where a row has no other. Trades
    that are there but came too late for any candle are counted at the end.
    """
    _show("events" if everything else "gaps", {"kind": None if everything else "gap"}, **options)


@query.command()
@_options
@click.option(
    "--table",
    type=click.Choice([table.name for table in ALL_TABLES]),
    default="candles",
    show_default=True,
    help="What is counted.",
)
@click.option("--interval", default="1m", show_default=True, help="Length of the windows in a table of windows.")
def coverage(
    table: str,
    interval: str,
    symbol: str,
    since: str | None,
    until: str | None,
    limit: int | None,
    form: str,
    state: Path | None,
) -> None:
    """What there is of each UTC day, in which store, and how many gaps are known. --limit gives the newest days."""
    with open_stored(only_folder("query") if state is None else state) as stored:
        of_windows = "interval" in table_of(table).column_names
        found = _asked(stored, table, {}, symbol, since, until, None, interval if of_windows else None)
        days = stored.readers.days_held(found)
    rows = ({**asdict(day), "day": day.day.isoformat()} for day in days[-limit if limit else None :])
    _WRITERS[form](rows, "coverage", sys.stdout)


@query.command()
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", help="JSON is one a line.")
@click.option("--state", type=click.Path(path_type=Path), help="State folder. [the one in .marketpipeline]")
def tiers(form: str, state: Path | None) -> None:
    """The stores that keep a history as tiers, the days that the cold one answers for, and those that it lacks."""
    with open_stored(only_folder("query") if state is None else state) as stored:
        found = [asdict(tier) for tier in stored.readers.tiers()]
    for tier in found if form == "table" else ():
        tier["archived_days"] = ", ".join(f"{name} {days}" for name, days in tier["archived_days"].items()) or None
        tier["kept_back"] = ", ".join(f"{day['table']} {day['day']}" for day in tier["kept_back"]) or None
    _WRITERS[form](iter(found), "tiers", sys.stdout)


def _show(
    what: str,
    only: Mapping[str, str | None] = MappingProxyType({}),
    *,
    symbol: str,
    since: str | None,
    until: str | None,
    limit: int | None,
    form: str,
    state: Path | None,
    interval: str | None = None,
    without_outliers: bool = False,
) -> None:
    folder = only_folder("query") if state is None else state
    limit = TABLE_ROWS if limit is None and form == "table" else limit
    with open_stored(folder) as stored:
        query = _asked(stored, what, only, symbol, since, until, limit, interval)
        rows = stored.readers.history(replace(query, without_outliers=without_outliers))
        try:
            _WRITERS[form](rows, what, sys.stdout)
            sys.stdout.flush()
        finally:
            rows.close()
        if what in ("gaps", "events"):
            _tell_late(stored.readers.history(_late_of(query)), table=form == "table")


def _asked(
    stored: Stored,
    what: str,
    only: Mapping[str, str | None],
    symbol: str,
    since: str | None,
    until: str | None,
    limit: int | None,
    interval: str | None,
) -> HistoryQuery:
    """The query, its arguments read as a user typed them. Raises InvalidQuery that names each wrong one.

    Of symbols and intervals that the pipeline follows there need be no rows.
    """
    holdings = stored.readers.holdings()
    windows = {kind.partition(":")[2] for kinds in holdings.values() for kind in kinds if kind.startswith("candle:")}
    problems: list[Problem] = []

    def read(field: str, value: str | None, reader: Callable[[str], T]) -> T | None:
        try:
            return None if value is None else reader(value)
        except ValueError as error:
            problems.append(Problem(field, value, str(error)))
            return None

    symbols = sorted(holdings.keys() | set(stored.symbols))
    intervals = sorted(
        windows | set(stored.windows) | ({"1s"} if TABLES.get(what, what) == "book_statistics" else set())
    )
    filters = {
        "symbol": read("SYMBOL", symbol, lambda text: find_symbol(text, symbols)),
        "interval": read("--interval", interval, lambda text: choose("interval", text, intervals)),
        **only,
    }
    span = Span(read("--from", since, read_time), read("--to", until, read_time), limit)
    if span.since is not None and span.until is not None and span.since >= span.until:
        problems.append(Problem("--to", until, f"must be later than `--from` ({since})"))
    if problems:
        raise InvalidQuery("query", problems)
    given = {name: value for name, value in filters.items() if value is not None}
    return HistoryQuery(table_of(TABLES.get(what, what)), given, span)


def _late_of(query: HistoryQuery) -> HistoryQuery:
    """The late trades of the same symbol and time, all of them."""
    span = Span(query.span.since, query.span.until)
    return HistoryQuery(table_of("late_trades"), {"symbol": query.filters["symbol"]}, span)


def _tell_late(rows: Iterator[JsonRow], *, table: bool) -> None:
    """How many trades are in no candle, beside the rows: where those are for a program, on standard error."""
    count, times = 0, ["", ""]
    for row in rows:
        times = [times[0] or row["trade_time"], row["trade_time"]]
        count += 1
    if count:
        words = f"{count} late trade{'s' if count > 1 else ''}, in no candle: from {times[0]} to {times[1]}"
        click.echo(words, err=not table)


def _write_json(rows: Rows, what: str, out: TextIO) -> None:
    for row in rows:
        out.write(msgspec.json.encode(row).decode() + "\n")


def _write_csv(rows: Rows, what: str, out: TextIO) -> None:
    """A header always; an empty field is null, true and false as in JSON."""
    names = table_of(TABLES[what]).column_names if what in TABLES else SHOWN[what]
    writer = csv.writer(out, lineterminator="\n")
    first = next(rows, None)
    writer.writerow(names)
    for row in itertools.chain([] if first is None else [first], rows):
        writer.writerow([_text(row[name], "") for name in names])


def _write_table(rows: Rows, what: str, out: TextIO) -> None:
    names = SHOWN[what]
    first = list(itertools.islice(rows, TABLE_ROWS))
    if not first:
        out.write("no rows\n")
        return
    cells = [[_text(row[name], "-") for name in names] for row in first]
    widths = [max(map(len, column)) for column in zip(names, *cells, strict=True)]
    left = [any(isinstance(row[name], str) for row in first) for name in names]

    def line(values: Sequence[str]) -> str:
        padded = [v.ljust(w) if to_left else v.rjust(w) for v, w, to_left in zip(values, widths, left, strict=True)]
        return "  ".join(padded).rstrip() + "\n"

    out.write(line(names))
    out.writelines(map(line, cells))
    for row in rows:
        out.write(line([_text(row[name], "-") for name in names]))
    if len(first) == TABLE_ROWS:
        out.flush()
        click.echo(f"(--limit says how many rows; without it {TABLE_ROWS} at most)", err=True)


def _text(value: Any, null: str) -> str:
    """Numbers with every digit that they have."""
    if value is None:
        return null
    return str(value).lower() if isinstance(value, bool) else str(value)


_WRITERS: dict[str, Callable[[Rows, str, TextIO], None]] = {
    "table": _write_table,
    "json": _write_json,
    "csv": _write_csv,
}
