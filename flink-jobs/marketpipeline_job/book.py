"""Measures of every book event: definitions are with `BookMetrics` in the core.

Two views. `book_levels` takes every level out of the arrays once, as columns, absent ones as 0. `book_measures`
computes on these columns. The planner would put the first into the second, and read an array again for every use of a
level; it does not because `now` is not deterministic and is used twice (docs/decisions/0023).
"""

from __future__ import annotations

from marketpipeline.records import BookMetrics
from marketpipeline.settings import JobSettings
from marketpipeline.topics import TopicKind

from marketpipeline_job.ddl import columns, sink, source
from marketpipeline_job.deadletters import dead_letters
from marketpipeline_job.sql import PROCESS_TIME, Script, View, lines, literal, total

__all__ = ["EVENT", "MOST_MEASURED", "book"]

MOST_MEASURED = 100
EVENT = "v = 1 AND `type` = 'book' AND receive_time IS NOT NULL AND update_id IS NOT NULL AND symbol IS NOT NULL"
_BOTH_SIDES = "bids[1][1] > 0e0 AND asks[1][1] > 0e0 AND bids[1][2] > 0e0 AND asks[1][2] > 0e0"
_FAULTS = (
    (f"NOT COALESCE({EVENT}, FALSE)", "no book event of version 1 with its symbol, update_id and receive_time"),
    (f"NOT COALESCE({_BOTH_SIDES}, FALSE)", "a side of the book is empty, so that there is no mid price"),
)
_KNOWN = "COALESCE(v = 1 AND `type` = 'heartbeat', FALSE)"


def book(settings: JobSettings) -> Script:
    """Book events to rows of measures; a book that cannot be measured is a dead letter."""
    reported, faults = dead_letters(settings, TopicKind.BOOK, _KNOWN, _FAULTS)
    own = Script(
        tables=(source(settings, TopicKind.BOOK), sink(settings, TopicKind.BOOK_METRICS)),
        views=(_levels(settings), _sums(settings), _measures()),
        inserts=(_insert(),),
    )
    return own + Script(tables=(reported,), inserts=(faults,))


def _levels(settings: JobSettings) -> View:
    taken = [
        f"COALESCE({side}s[{n}][{position}], 0e0) AS {side}_{name}{n}"
        for side in ("bid", "ask")
        for n in range(1, _measured(settings) + 1)
        for position, name in ((1, "p"), (2, "q"))
    ]
    # mid ∓ mid · bps / 10⁴, where mid is half the sum of the best prices
    limit = {
        side: f"(bids[1][1] + asks[1][1]) * {literal((1 + sign * settings.within_bps / 10_000) / 2)} AS {side}_limit"
        for side, sign in (("bid", -1), ("ask", 1))
    }
    fields = [
        "symbol",
        "event_time",
        "receive_time",
        "update_id",
        "`headers`",
        "arrival",
        "LOCALTIMESTAMP AS now",
        *limit.values(),
        *(f"{side}s[{_last(side, settings)}][1] AS {side}_last" for side in ("bid", "ask")),
        *taken,
    ]
    return View("book_levels", f"SELECT\n{lines(fields)}\nFROM book\nWHERE {EVENT}\n  AND {_BOTH_SIDES}")


def _measured(settings: JobSettings) -> int:
    """How many levels are looked at: of a deeper book the best, since each is a column (docs/decisions/0097)."""
    return min(settings.levels, MOST_MEASURED)


def _last(side: str, settings: JobSettings) -> str:
    known = f"CARDINALITY({side}s)"
    return known if settings.levels <= MOST_MEASURED else f"LEAST({known}, {MOST_MEASURED})"


def _sums(settings: JobSettings) -> View:
    counted = range(1, settings.calculate + 1)
    fields = [
        "*",
        f"{PROCESS_TIME.replace('LOCALTIMESTAMP', 'now')} AS process_time",
        "(bid_p1 + ask_p1) / 2e0 AS mid",
        *(f"{total(f'{side}_q{n}' for n in counted)} AS {side}_quantity" for side in ("bid", "ask")),
        *(
            f"{total(f'{side}_q{n} / {literal(n)}' if n > 1 else f'{side}_q1' for n in counted)} AS {side}_weighted"
            for side in ("bid", "ask")
        ),
    ]
    fields += [_depth(side, settings) for side in ("bid", "ask")]
    return View("book_sums", f"SELECT\n{lines(fields)}\nFROM book_levels")


def _depth(side: str, settings: JobSettings) -> str:
    """ΣP·Q within reach of the mid; null unless the outermost known level is as far, for more may lie behind it."""
    inside, beyond = (">=", "<=") if side == "bid" else ("<=", ">=")
    within = (
        f"CASE WHEN {side}_p{n} {inside} {side}_limit THEN {side}_p{n} * {side}_q{n} ELSE 0e0 END"
        for n in range(1, _measured(settings) + 1)
    )
    return f"CASE WHEN {side}_last {beyond} {side}_limit THEN {total(within)} END AS {side}_depth"


def _measures() -> View:
    fields = {
        "symbol": "symbol",
        "event_time": "COALESCE(event_time, receive_time)",
        "event_time_estimated": "event_time IS NULL",
        "receive_time": "receive_time",
        "process_time": "process_time",
        "update_id": "update_id",
        "best_bid": "bid_p1",
        "best_bid_quantity": "bid_q1",
        "best_ask": "ask_p1",
        "best_ask_quantity": "ask_q1",
        "mid": "mid",
        "spread": "ask_p1 - bid_p1",
        "spread_bps": "(ask_p1 - bid_p1) / mid * 1e4",
        "imbalance": "(bid_quantity - ask_quantity) / (bid_quantity + ask_quantity)",
        "weighted_imbalance": "(bid_weighted - ask_weighted) / (bid_weighted + ask_weighted)",
        "vtob_ratio": "(bid_q1 + ask_q1) / (bid_quantity + ask_quantity)",
        "weighted_mid": "(bid_p1 * ask_q1 + ask_p1 * bid_q1) / (bid_q1 + ask_q1)",
        "bid_quantity": "bid_quantity",
        "ask_quantity": "ask_quantity",
        "bid_depth": "bid_depth",
        "ask_depth": "ask_depth",
    }
    selected = [f"{expression} AS {name}" for name, expression in fields.items()]
    return View("book_measures", f"SELECT\n{lines([*selected, '`headers`', 'arrival'])}\nFROM book_sums")


def _insert() -> str:
    names = [f"`{name}`" for name in columns(BookMetrics)]
    values = ["'book_metrics'", "CAST(1 AS BIGINT)", *names[2:]]
    into = f"INSERT INTO book_metrics (\n{lines([*names, '`headers`'])}\n)"
    return f"{into}\nSELECT\n{lines([*values, '`headers`'])}\nFROM book_measures"
