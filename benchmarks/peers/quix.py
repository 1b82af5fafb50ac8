"""Both tasks with Quix Streams: `python quix.py TASK ADDRESS IN OUT STATE`; run in an environment of its own."""

# mypy: ignore-errors

import sys
from datetime import timedelta

import orjson
from quixstreams import Application
from quixstreams.models import Deserializer, Serializer


class ReadJson(Deserializer):
    def __call__(self, value, ctx):
        return orjson.loads(value)


class WriteJson(Serializer):
    def __call__(self, value, ctx):
        return orjson.dumps(value)


def measures(book):
    bids, asks = book["bids"][:10], book["asks"][:10]
    bid, ask = sum(q for _, q in bids), sum(q for _, q in asks)
    near_bid = sum(q / level for level, (_, q) in enumerate(bids, 1))
    near_ask = sum(q / level for level, (_, q) in enumerate(asks, 1))
    return {
        "symbol": book["symbol"],
        "update_id": book["update_id"],
        "imbalance": (bid - ask) / (bid + ask),
        "weighted_imbalance": (near_bid - near_ask) / (near_bid + near_ask),
        "spread": asks[0][0] - bids[0][0],
    }


def is_new(trade, state):
    name = str(trade["trade_id"])
    if state.exists(name):
        return False
    state.set(name, 1, ttl=timedelta(minutes=5))
    return True


def first(trade):
    price, quantity = trade["price"], trade["quantity"]
    return {
        "symbol": trade["symbol"], "open": price, "high": price, "low": price, "close": price,
        "volume": quantity, "value": price * quantity, "trades": 1,
    }  # fmt: skip


def add(candle, trade):
    price, quantity = trade["price"], trade["quantity"]
    candle["high"] = max(candle["high"], price)
    candle["low"] = min(candle["low"], price)
    candle["close"] = price
    candle["volume"] += quantity
    candle["value"] += price * quantity
    candle["trades"] += 1
    return candle


def closed(window):
    candle = window["value"]
    return {**candle, "open_time": window["start"] * 1000, "vwap": candle["value"] / candle["volume"]}


def main(task, address, source, target, state):
    app = Application(
        address, consumer_group=f"{target}.quix", auto_offset_reset="earliest", commit_interval=1.0, state_dir=state,
        auto_create_topics=True, loglevel="WARNING", producer_extra_config={"linger.ms": 5, "compression.type": "lz4"},
    )  # fmt: skip
    when = None if task == "book" else (lambda value, *_: value["trade_time"] // 1000)
    frame = app.dataframe(app.topic(source, value_deserializer=ReadJson(), timestamp_extractor=when))
    if task == "book":
        frame = frame.apply(measures)
    else:
        frame = frame.filter(is_new, stateful=True)
        window = frame.tumbling_window(timedelta(minutes=1), grace_ms=timedelta(seconds=2))
        frame = window.reduce(reducer=add, initializer=first).final().apply(closed)
    frame.to_topic(app.topic(target, value_serializer=WriteJson()))
    app.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
