"""Both tasks with Bytewax: `python bytewax.py TASK ADDRESS IN OUT STATE`; run in an environment of its own."""

# mypy: ignore-errors

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.pop(0)  # this file's folder, where the module of its name is not the library

import bytewax.operators as op
import orjson
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.operators.windowing import EventClock, TumblingWindower, fold_window
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import run_main

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
KEPT_US = 300_000_000


def measures(message):
    book = orjson.loads(message.value)
    bids, asks = book["bids"][:10], book["asks"][:10]
    bid, ask = sum(q for _, q in bids), sum(q for _, q in asks)
    near_bid = sum(q / level for level, (_, q) in enumerate(bids, 1))
    near_ask = sum(q / level for level, (_, q) in enumerate(asks, 1))
    return row(
        book["symbol"],
        {
            "symbol": book["symbol"],
            "update_id": book["update_id"],
            "imbalance": (bid - ask) / (bid + ask),
            "weighted_imbalance": (near_bid - near_ask) / (near_bid + near_ask),
            "spread": asks[0][0] - bids[0][0],
        },
    )


def row(symbol, values):
    return KafkaSinkMessage(symbol.encode(), orjson.dumps(values))


def trade(message):
    read = orjson.loads(message.value)
    return read["symbol"], read


def once(ids, new):
    """`ids` are known by when each came first, in trade time, oldest first."""
    ids = {} if ids is None else ids
    number, time = new["trade_id"], new["trade_time"]
    if number in ids:
        return ids, ()
    ids[number] = time
    while ids[oldest := next(iter(ids))] < time - KEPT_US:
        del ids[oldest]
    return ids, (new,)


def time_of(new):
    return EPOCH + timedelta(microseconds=new["trade_time"])


def add(candle, new):
    price, quantity = new["price"], new["quantity"]
    if candle is None:
        return {
            "open": price, "high": price, "low": price, "close": price,
            "volume": quantity, "value": price * quantity, "trades": 1,
        }  # fmt: skip
    candle["high"] = max(candle["high"], price)
    candle["low"] = min(candle["low"], price)
    candle["close"] = price
    candle["volume"] += quantity
    candle["value"] += price * quantity
    candle["trades"] += 1
    return candle


def merged(_one, _other):
    raise NotImplementedError("tumbling windows are never merged")


def closed(keyed):
    symbol, (number, candle) = keyed
    opened = number * 60_000_000
    return row(symbol, {**candle, "symbol": symbol, "open_time": opened, "vwap": candle["value"] / candle["volume"]})


def main(task, address, source, target, state):
    flow = Dataflow(task)
    read = op.input("in", flow, KafkaSource([address], [source], tail=True, batch_size=1_000))
    if task == "book":
        rows = op.map("measures", read, measures)
    else:
        trades = op.stateful_flat_map("once", op.map("trade", read, trade), once)
        clock, minutes = EventClock(time_of, timedelta(seconds=2)), TumblingWindower(MINUTE, EPOCH)
        rows = op.map("closed", fold_window("candles", trades, clock, minutes, lambda: None, add, merged).down, closed)
    settings = {"linger.ms": "5", "compression.type": "lz4"}
    op.output("out", rows, KafkaSink([address], target, add_config=settings))
    Path(state).mkdir(exist_ok=True)
    init_db_dir(state, 1)
    kept = RecoveryConfig(state, backup_interval=timedelta(0))
    run_main(flow, epoch_interval=timedelta(seconds=1), recovery_config=kept)


if __name__ == "__main__":
    main(*sys.argv[1:])
