"""Both tasks with Pathway: `python pathway.py TASK ADDRESS IN OUT STATE`; run in an environment of its own."""

# mypy: ignore-errors

import sys

sys.path.pop(0)  # this file's folder, where the module of its name is not the library

import orjson
import pathway as pw

MINUTE_US, LATENESS_US = 60_000_000, 2_000_000
SYMBOLS = ("binance:BTCUSDT", "binance:ETHUSDT")


def measures(value: bytes) -> str:
    book = orjson.loads(value)
    bids, asks = book["bids"][:10], book["asks"][:10]
    bid, ask = sum(q for _, q in bids), sum(q for _, q in asks)
    near_bid = sum(q / level for level, (_, q) in enumerate(bids, 1))
    near_ask = sum(q / level for level, (_, q) in enumerate(asks, 1))
    values = {
        "symbol": book["symbol"],
        "update_id": book["update_id"],
        "imbalance": (bid - ask) / (bid + ask),
        "weighted_imbalance": (near_bid - near_ask) / (near_bid + near_ask),
        "spread": asks[0][0] - bids[0][0],
    }
    return orjson.dumps(values).decode()


class Trade(pw.Schema):
    symbol: str
    trade_id: int
    trade_time: int
    price: float
    quantity: float


def candle(symbol: str, opened: int, trades: tuple) -> str:
    """`trades` are (time, id, price, quantity) in order."""
    volume = sum(quantity for *_, quantity in trades)
    prices = [price for _, _, price, _ in trades]
    values = {
        "symbol": symbol, "open_time": opened, "open": prices[0], "high": max(prices), "low": min(prices),
        "close": prices[-1], "volume": volume, "trades": len(trades),
        "vwap": sum(price * quantity for _, _, price, quantity in trades) / volume,
    }  # fmt: skip
    return orjson.dumps(values).decode()


def candles(settings, source):
    read = pw.io.kafka.read(settings, topic=source, format="json", schema=Trade, autocommit_duration_ms=100)
    once = read.groupby(read.symbol, read.trade_id).reduce(
        read.symbol,
        read.trade_id,
        time=pw.reducers.min(read.trade_time),
        price=pw.reducers.min(read.price),
        quantity=pw.reducers.min(read.quantity),
    )
    found = [windows(once.filter(once.symbol == symbol)) for symbol in SYMBOLS]
    rows = found[0].concat_reindex(*found[1:])
    return rows.select(out=pw.apply(candle, rows.symbol, rows.opened, rows.trades))


def windows(trades):
    """Those of one symbol: what a window waits for is the newest time of its whole table, whatever its `instance`.

    Partitions are read in any order, so of two symbols in one table the one that is read later would be late.
    """
    closing = pw.temporal.exactly_once_behavior(LATENESS_US)
    tumbling = pw.temporal.tumbling(MINUTE_US, origin=0)
    return trades.windowby(trades.time, window=tumbling, instance=trades.symbol, behavior=closing).reduce(
        symbol=pw.this._pw_instance,
        opened=pw.this._pw_window_start,
        trades=pw.reducers.sorted_tuple(pw.make_tuple(pw.this.time, pw.this.trade_id, pw.this.price, pw.this.quantity)),
    )


def main(task, address, source, target, state):
    settings = {
        "bootstrap.servers": address, "group.id": f"{target}.pathway", "auto.offset.reset": "earliest",
        "linger.ms": "5", "compression.type": "lz4",
    }  # fmt: skip
    if task == "book":
        read = pw.io.kafka.read(settings, topic=source, format="raw", autocommit_duration_ms=100)
        rows = read.select(out=pw.apply(measures, read.data))
    else:
        rows = candles(settings, source)
    pw.io.kafka.write(rows, settings, target, format="plaintext", value=rows.out)
    kept = pw.persistence.Config(pw.persistence.Backend.filesystem(state), snapshot_interval_ms=1_000)
    pw.run(persistence_config=kept, monitoring_level=pw.MonitoringLevel.NONE)


if __name__ == "__main__":
    main(*sys.argv[1:])
