"""The dashboards of the market, for each store that keeps the history. Names of their columns are the legends."""

from __future__ import annotations

from marketpipeline.spec import PipelineSpec

from marketpipeline_operator.dashboards.board import Board, Level, Query
from marketpipeline_operator.dashboards.stores import Store

__all__ = ["market_overview", "order_book_monitor", "symbol_deep_dive", "trading_analytics"]

_ONE = "symbol = ${symbol:sqlstring}"
_SOME = "symbol IN (${symbol:sqlstring})"
_IMBALANCE: tuple[Level, ...] = ((-0.7, "red"), (-0.5, "orange"), (0.5, "orange"), (0.7, "red"))
_RATIO: tuple[Level, ...] = ((-1, "red"), (-0.7, "orange"), (-0.5, "text"), (0.5, "orange"), (0.7, "red"))
_UP_OR_DOWN: tuple[Level, ...] = ((-1, "red"), (-0.001, "text"), (0.001, "green"))
_INTERVALS = PipelineSpec.model_fields["windows"].get_default(call_default_factory=True)


def order_book_monitor(store: Store) -> Board:
    """How the books of some symbols lean, how wide and how deep they are, and which alerts came of it."""
    board = _board(store, "Order Book Monitor", "Imbalance, spread, depth and alerts of order books.", several=True)

    board.number(
        "Imbalance now",
        "(bid − ask) / (bid + ask) of the best levels' quantity.",
        _by_symbol(store, "imbalance"),
        "none",
        decimals=3,
        levels=_RATIO,
    )
    board.number(
        "Weighted imbalance now",
        "The same with levels near the middle counting more.",
        _by_symbol(store, "weighted_imbalance"),
        "none",
        decimals=3,
        levels=_RATIO,
    )
    board.number(
        "Spread now",
        "Best ask less best bid, in basis points of the middle.",
        _by_symbol(store, "spread_bps"),
        "none",
        decimals=2,
    )
    board.number(
        "Top-of-book ratio now",
        "Quantity at the best prices as a share of all that is counted.",
        _by_symbol(store, "vtob_ratio"),
        "percentunit",
        decimals=1,
    )
    board.number("Middle", "Mean of best bid and best ask.", _by_symbol(store, "mid"), "none")
    board.number("Quantity", "Quantity of the best bids.", _by_symbol(store, "bid_quantity"), "short")
    board.lines(
        "Imbalance",
        "Above 0 there is more to buy than to sell; dashed where alerts begin.",
        [_by_symbol(store, "imbalance")],
        "none",
        levels=_IMBALANCE,
        bounds=(-1, 1),
    )
    board.lines(
        "Weighted imbalance",
        "Levels near the middle count more.",
        [_by_symbol(store, "weighted_imbalance")],
        "none",
        levels=_IMBALANCE,
        bounds=(-1, 1),
    )
    board.lines(
        "Spread", "In hundredths of a percent of the middle (basis points).", [_by_symbol(store, "spread_bps")], "none"
    )
    board.lines(
        "Top-of-book ratio",
        "Low where the best prices hold little of what is there.",
        [_by_symbol(store, "vtob_ratio")],
        "percentunit",
        bounds=(0, 1),
    )
    for side in ("bid", "ask"):
        board.lines(
            f"Depth of {side}s",
            f"Price × quantity of the {side}s within `depth.withinBps` of the mid; nothing where the `depth.levels` "
            "that are kept end before.",
            [_by_symbol(store, f"{side}_depth")],
            "short",
        )
    _alerts(board, store, _SOME)
    return board


def market_overview(store: Store) -> Board:
    """All symbols of an exchange beside each other."""
    board = _board(store, "Market Overview", "Prices, volumes and movers of every symbol.")
    board.choose_of("interval", "Interval", _INTERVALS)
    chosen = f"{store.exchange} = ${{exchange:sqlstring}} AND interval = ${{interval:sqlstring}}"
    rows = f"FROM {store.table('candles')} WHERE {chosen} AND $__timeFilter(open_time)"
    change = f"{store.last('close', 'open_time')} / {store.first('open', 'open_time')} - 1"
    board.table(
        "Symbols",
        "Over the chosen time; the change is from the first open to the last close.",
        Query(
            store,
            f"SELECT symbol, {store.last('close', 'open_time')} AS price, {change} AS change, min(low) AS low,"
            f" max(high) AS high, sum(candles.volume) AS volume,"
            f" sum(candles.quote_volume) AS quote_volume, sum(candles.trades) AS trades,"
            f" sum(taker_buy_volume) / nullif(sum(candles.volume), 0) AS bought {rows}"
            " GROUP BY symbol ORDER BY quote_volume DESC",
            over_time=False,
        ),
        {"change": "percentunit", "volume": "short", "quote_volume": "short", "bought": "percentunit"},
    )
    board.ranking(
        "Movers",
        "Change of the price over the chosen time.",
        Query(store, f"SELECT symbol, {change} AS change {rows} GROUP BY symbol ORDER BY change DESC", over_time=False),
        "percentunit",
        _UP_OR_DOWN,
    )
    board.ranking(
        "Busiest",
        "Trades over the chosen time.",
        Query(
            store,
            f"SELECT symbol, sum(candles.trades) AS trades {rows} GROUP BY symbol ORDER BY 2 DESC",
            over_time=False,
        ),
        "short",
        (),
    )
    board.heat(
        "Heat map",
        "Change of the price within each interval.",
        Query(
            store, f"SELECT open_time AS time, symbol, price_change / 100 AS change {rows} ORDER BY 1", over_time=True
        ),
        "percentunit",
        _UP_OR_DOWN,
    )
    board.lines(
        "Volume",
        "In the quote currency, each interval.",
        [Query(store, f"SELECT open_time AS time, symbol, quote_volume {rows} ORDER BY 1", over_time=True)],
        "short",
        width=24,
        bars=True,
        stacked=True,
    )
    _alerts(board, store, f"{store.exchange} = ${{exchange:sqlstring}}")
    return board


def symbol_deep_dive(store: Store) -> Board:
    """One symbol: its candles, its book and its trades, with large trades marked."""
    board = _board(store, "Symbol Deep Dive", "Candles, book measures, trades and alerts of one symbol.", symbol=True)
    board.choose_of("interval", "Interval", _INTERVALS)
    candles = (
        f"FROM {store.table('candles')} WHERE {_ONE} AND interval = ${{interval:sqlstring}}"
        " AND $__timeFilter(open_time) ORDER BY 1"
    )
    board.mark(
        "Whales",
        f"SELECT started_at AS time, rule AS title, value AS text FROM {store.table('alerts')}"
        f" WHERE {_ONE} AND rule = 'whale_trade' AND $__timeFilter(started_at) ORDER BY 1",
        "purple",
        store,
    )
    board.candles(
        "Candles",
        "Open, high, low and close, with the volume below.",
        Query(store, f"SELECT open_time AS time, open, high, low, close, volume {candles}", over_time=False),
    )
    board.lines(
        "Price and VWAP",
        "Close of each interval beside the volume-weighted average price.",
        [Query(store, f"SELECT open_time AS time, close, vwap {candles}", over_time=True)],
        "none",
    )
    board.lines(
        "Bought and sold",
        "Volume by who took the price: buyers, sellers.",
        [
            Query(
                store,
                f"SELECT open_time AS time, taker_buy_volume AS bought, volume - taker_buy_volume AS sold {candles}",
                over_time=True,
            )
        ],
        "short",
        bars=True,
        stacked=True,
    )
    board.lines(
        "Imbalance",
        "Of the best levels, at the end of each step; dashed where alerts begin.",
        [Query(store, store.sampled("imbalance", "weighted_imbalance", several=False), over_time=True)],
        "none",
        levels=_IMBALANCE,
        bounds=(-1, 1),
    )
    board.lines(
        "Spread",
        "At the end of each step, in hundredths of a percent of the middle.",
        [Query(store, store.sampled("spread_bps", several=False), over_time=True)],
        "none",
    )
    board.table(
        "Latest trades",
        "Newest first.",
        Query(
            store,
            "SELECT trade_time, price, quantity, price * quantity AS worth, taker_side, trade_id"
            f" FROM {store.table('trades')} WHERE {_ONE} AND $__timeFilter(trade_time)"
            " ORDER BY trade_time DESC, trade_id DESC LIMIT 100",
            over_time=False,
        ),
        {"worth": "short"},
        width=12,
    )
    _alerts(board, store, _ONE, width=12)
    return board


def trading_analytics(store: Store) -> Board:
    """How much, by whom and how restlessly is traded."""
    board = _board(store, "Trading Analytics", "Volume, buyers and sellers, volatility and spikes.", several=True)
    board.choose_of("interval", "Interval", _INTERVALS)
    rows = (
        f"FROM {store.table('candles')} WHERE {_SOME} AND interval = ${{interval:sqlstring}}"
        " AND $__timeFilter(open_time)"
    )

    def over_time(value: str) -> list[Query]:
        return [Query(store, f"SELECT open_time AS time, symbol, {value} {rows} ORDER BY 1", over_time=True)]

    board.lines("Volume", "In the quote currency.", over_time("quote_volume"), "short", bars=True, stacked=True)
    board.lines("Trades", "Number of trades.", over_time("trades"), "short", bars=True, stacked=True)
    board.lines(
        "Share of buyers",
        "Volume of trades in which the buyer took the price, as a share of all.",
        over_time("taker_buy_volume / nullif(volume, 0) AS bought"),
        "percentunit",
        bounds=(0, 1),
        levels=((0.5, "text"),),
    )
    board.lines(
        "Range",
        "Highest less lowest price, as a share of the open.",
        over_time("(high - low) / nullif(open, 0) AS range"),
        "percentunit",
    )
    board.table(
        "Volatility",
        "Standard deviation of the logarithms of close over open, over the chosen time, and the largest move.",
        Query(
            store,
            f"SELECT symbol, {store.deviation}(ln(close / open)) AS volatility, max(abs(price_change)) / 100"
            f" AS largest, count(*) AS candles {rows} AND open > 0 AND close > 0 GROUP BY symbol ORDER BY 2 DESC",
            over_time=False,
        ),
        {"volatility": "percentunit", "largest": "percentunit"},
        width=12,
    )
    board.table(
        "Spikes",
        "The intervals in which the price moved most.",
        Query(
            store,
            f"SELECT open_time, symbol, price_change / 100 AS change, volume, trades {rows}"
            " ORDER BY abs(price_change) DESC, open_time DESC, symbol LIMIT 50",
            over_time=False,
        ),
        {"change": "percentunit", "volume": "short"},
        width=12,
    )
    board.lines(
        "Alerts",
        "Alerts that began, by rule.",
        [
            Query(
                store,
                f"SELECT {store.bucket('started_at')} AS time, rule, count(*) AS alerts"
                f" FROM {store.table('alerts')} WHERE {_SOME} AND $__timeFilter(started_at)"
                " GROUP BY 1, 2 ORDER BY 1",
                over_time=True,
            )
        ],
        "short",
        width=24,
        bars=True,
        stacked=True,
    )
    return board


def _board(store: Store, title: str, about: str, *, several: bool = False, symbol: bool = False) -> Board:
    """A dashboard with the choice of an exchange and, where it is asked for, of one or several of its symbols."""
    uid = f"mp-{title.lower().replace(' ', '-')}-{store.name}"
    board = Board(uid, f"{title} ({store.title})", about, store.plugin)
    symbols = store.table("symbols")
    board.choose("exchange", "Exchange", f"SELECT DISTINCT {store.exchange} FROM {symbols}")
    if several or symbol:
        chosen = f"SELECT symbol FROM {symbols} WHERE {store.exchange} = ${{exchange:sqlstring}}"
        board.choose("symbol", "Symbol", chosen, several=several)
    return board


def _by_symbol(store: Store, measure: str) -> Query:
    return Query(store, store.sampled(measure, several=True), over_time=True)


def _alerts(board: Board, store: Store, which: str, width: int = 24) -> None:
    moment = "toUnixTimestamp64Milli({})" if store.is_clickhouse else "(extract(epoch FROM {}) * 1000)::bigint"
    begin = moment.format("started_at")
    board.table(
        "Alerts",
        "Newest first; the symbol leads to its dashboard at that time.",
        Query(
            store,
            f"SELECT started_at, symbol, rule, severity, status, side, value, extreme, threshold, ended_at,"
            f" {begin} - 300000 AS from_ms, {begin} + 300000 AS to_ms FROM {store.table('alerts')}"
            f" WHERE {which} AND $__timeFilter(started_at) ORDER BY started_at DESC, id LIMIT 100",
            over_time=False,
        ),
        {},
        width=width,
        at_its_time=True,
    )
