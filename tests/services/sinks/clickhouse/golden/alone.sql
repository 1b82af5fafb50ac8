CREATE TABLE IF NOT EXISTS symbols
(`symbol` String CODEC(ZSTD(1)), `seen_at` DateTime64(6, 'UTC') CODEC(ZSTD(1)), version UInt64 MATERIALIZED toUInt64(toUnixTimestamp64Micro(seen_at)))
ENGINE = ReplacingMergeTree(version)
ORDER BY (symbol)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS trades
(`symbol` LowCardinality(String) CODEC(ZSTD(1)), `event_time` Nullable(DateTime64(6, 'UTC')) CODEC(DoubleDelta, ZSTD(1)), `trade_time` DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)), `receive_time` DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)), `trade_id` Int64 CODEC(Delta(8), ZSTD(1)), `price` Float64 CODEC(Gorilla, ZSTD(1)), `quantity` Float64 CODEC(Gorilla, ZSTD(1)), `taker_side` LowCardinality(String) CODEC(ZSTD(1)), `backfilled` Bool CODEC(ZSTD(1)), `contracts` Nullable(Float64) CODEC(Gorilla, ZSTD(1)))
ENGINE = ReplacingMergeTree()
PARTITION BY toYYYYMM(trade_time)
ORDER BY (symbol, trade_time, trade_id)
TTL toDateTime(trade_time) + toIntervalSecond(7776000)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS agg_trades
(`symbol` LowCardinality(String) CODEC(ZSTD(1)), `event_time` Nullable(DateTime64(6, 'UTC')) CODEC(DoubleDelta, ZSTD(1)), `trade_time` DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)), `receive_time` DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)), `agg_trade_id` Int64 CODEC(Delta(8), ZSTD(1)), `first_trade_id` Int64 CODEC(Delta(8), ZSTD(1)), `last_trade_id` Int64 CODEC(Delta(8), ZSTD(1)), `price` Float64 CODEC(Gorilla, ZSTD(1)), `quantity` Float64 CODEC(Gorilla, ZSTD(1)), `taker_side` LowCardinality(String) CODEC(ZSTD(1)), `backfilled` Bool CODEC(ZSTD(1)), `contracts` Nullable(Float64) CODEC(Gorilla, ZSTD(1)))
ENGINE = ReplacingMergeTree()
PARTITION BY toYYYYMM(trade_time)
ORDER BY (symbol, trade_time, agg_trade_id)
TTL toDateTime(trade_time) + toIntervalSecond(7776000)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS tickers
(`symbol` LowCardinality(String) CODEC(ZSTD(1)), `event_time` Nullable(DateTime64(6, 'UTC')) CODEC(DoubleDelta, ZSTD(1)), `receive_time` DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)), `last_price` Float64 CODEC(Gorilla, ZSTD(1)), `last_quantity` Float64 CODEC(Gorilla, ZSTD(1)), `bid_price` Float64 CODEC(Gorilla, ZSTD(1)), `bid_quantity` Float64 CODEC(Gorilla, ZSTD(1)), `ask_price` Float64 CODEC(Gorilla, ZSTD(1)), `ask_quantity` Float64 CODEC(Gorilla, ZSTD(1)), `open` Float64 CODEC(Gorilla, ZSTD(1)), `high` Float64 CODEC(Gorilla, ZSTD(1)), `low` Float64 CODEC(Gorilla, ZSTD(1)), `volume` Float64 CODEC(Gorilla, ZSTD(1)), `quote_volume` Nullable(Float64) CODEC(Gorilla, ZSTD(1)), `price_change` Float64 CODEC(Gorilla, ZSTD(1)), `vwap` Nullable(Float64) CODEC(Gorilla, ZSTD(1)), `trades` Nullable(Int64) CODEC(Delta(8), ZSTD(1)), `last_contracts` Nullable(Float64) CODEC(Gorilla, ZSTD(1)), `bid_contracts` Nullable(Float64) CODEC(Gorilla, ZSTD(1)), `ask_contracts` Nullable(Float64) CODEC(Gorilla, ZSTD(1)), `contracts` Nullable(Float64) CODEC(Gorilla, ZSTD(1)))
ENGINE = ReplacingMergeTree()
PARTITION BY toYYYYMM(receive_time)
ORDER BY (symbol, receive_time)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS exchange_candles
(`symbol` LowCardinality(String) CODEC(ZSTD(1)), `event_time` Nullable(DateTime64(6, 'UTC')) CODEC(DoubleDelta, ZSTD(1)), `receive_time` DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)), `interval` LowCardinality(String) CODEC(ZSTD(1)), `open_time` DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)), `closed` Bool CODEC(ZSTD(1)), `open` Float64 CODEC(Gorilla, ZSTD(1)), `high` Float64 CODEC(Gorilla, ZSTD(1)), `low` Float64 CODEC(Gorilla, ZSTD(1)), `close` Float64 CODEC(Gorilla, ZSTD(1)), `volume` Float64 CODEC(Gorilla, ZSTD(1)), `quote_volume` Float64 CODEC(Gorilla, ZSTD(1)), `trades` Nullable(Int64) CODEC(Delta(8), ZSTD(1)), `taker_buy_volume` Nullable(Float64) CODEC(Gorilla, ZSTD(1)), `contracts` Nullable(Float64) CODEC(Gorilla, ZSTD(1)), version UInt64 MATERIALIZED bitShiftLeft(toUInt64(closed), 63))
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(open_time)
ORDER BY (symbol, interval, open_time)
TTL toDateTime(open_time) + toIntervalSecond(157680000)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS feed_events
(`symbol` LowCardinality(String) CODEC(ZSTD(1)), `id` String CODEC(ZSTD(1)), `kind` LowCardinality(String) CODEC(ZSTD(1)), `feed` String CODEC(ZSTD(1)), `event_time` Nullable(DateTime64(6, 'UTC')) CODEC(DoubleDelta, ZSTD(1)), `receive_time` DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)), `first_id` Nullable(Int64) CODEC(Delta(8), ZSTD(1)), `last_id` Nullable(Int64) CODEC(Delta(8), ZSTD(1)), `detail` String CODEC(ZSTD(1)), `process` String CODEC(ZSTD(1)), INDEX by_time receive_time TYPE minmax GRANULARITY 1)
ENGINE = ReplacingMergeTree()
ORDER BY (id)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS book_metrics
(`symbol` LowCardinality(String) CODEC(ZSTD(1)), `event_time` DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)), `event_time_estimated` Bool CODEC(ZSTD(1)), `receive_time` DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)), `process_time` DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)), `update_id` Int64 CODEC(Delta(8), ZSTD(1)), `best_bid` Float64 CODEC(Gorilla, ZSTD(1)), `best_bid_quantity` Float64 CODEC(Gorilla, ZSTD(1)), `best_ask` Float64 CODEC(Gorilla, ZSTD(1)), `best_ask_quantity` Float64 CODEC(Gorilla, ZSTD(1)), `mid` Float64 CODEC(Gorilla, ZSTD(1)), `spread` Float64 CODEC(Gorilla, ZSTD(1)), `spread_bps` Float64 CODEC(Gorilla, ZSTD(1)), `imbalance` Float64 CODEC(Gorilla, ZSTD(1)), `weighted_imbalance` Float64 CODEC(Gorilla, ZSTD(1)), `vtob_ratio` Float64 CODEC(Gorilla, ZSTD(1)), `weighted_mid` Float64 CODEC(Gorilla, ZSTD(1)), `bid_quantity` Float64 CODEC(Gorilla, ZSTD(1)), `ask_quantity` Float64 CODEC(Gorilla, ZSTD(1)), `bid_depth` Nullable(Float64) CODEC(Gorilla, ZSTD(1)), `ask_depth` Nullable(Float64) CODEC(Gorilla, ZSTD(1)))
ENGINE = ReplacingMergeTree()
PARTITION BY toYYYYMM(event_time)
ORDER BY (symbol, event_time, update_id)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS candles
(`symbol` LowCardinality(String) CODEC(ZSTD(1)), `interval` LowCardinality(String) CODEC(ZSTD(1)), `open_time` DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)), `close_time` DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)), `closed` Bool CODEC(ZSTD(1)), `complete` Bool CODEC(ZSTD(1)), `open` Float64 CODEC(Gorilla, ZSTD(1)), `high` Float64 CODEC(Gorilla, ZSTD(1)), `low` Float64 CODEC(Gorilla, ZSTD(1)), `close` Float64 CODEC(Gorilla, ZSTD(1)), `volume` Float64 CODEC(Gorilla, ZSTD(1)), `quote_volume` Float64 CODEC(Gorilla, ZSTD(1)), `trades` Int64 CODEC(Delta(8), ZSTD(1)), `taker_buy_volume` Float64 CODEC(Gorilla, ZSTD(1)), `vwap` Float64 CODEC(Gorilla, ZSTD(1)), `buy_sell_ratio` Nullable(Float64) CODEC(Gorilla, ZSTD(1)), `price_change` Float64 CODEC(Gorilla, ZSTD(1)), `first_trade_id` Int64 CODEC(Delta(8), ZSTD(1)), `last_trade_id` Int64 CODEC(Delta(8), ZSTD(1)), `receive_time` DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)), `process_time` DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)), version UInt64 MATERIALIZED bitShiftLeft(toUInt64(trades), 2) + bitShiftLeft(toUInt64(closed), 1) + toUInt64(complete))
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(open_time)
ORDER BY (symbol, interval, open_time)
TTL toDateTime(open_time) + toIntervalSecond(157680000)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS trade_statistics
(`symbol` LowCardinality(String) CODEC(ZSTD(1)), `interval` LowCardinality(String) CODEC(ZSTD(1)), `open_time` DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)), `close_time` DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)), `complete` Bool CODEC(ZSTD(1)), `trades` Int64 CODEC(Delta(8), ZSTD(1)), `quote_volume` Float64 CODEC(Gorilla, ZSTD(1)), `taker_buy_volume` Float64 CODEC(Gorilla, ZSTD(1)), `taker_sell_volume` Float64 CODEC(Gorilla, ZSTD(1)), `vwap` Float64 CODEC(Gorilla, ZSTD(1)), `price_change` Float64 CODEC(Gorilla, ZSTD(1)), `range_bps` Float64 CODEC(Gorilla, ZSTD(1)), `realised_volatility` Nullable(Float64) CODEC(Gorilla, ZSTD(1)), `largest_trade` Float64 CODEC(Gorilla, ZSTD(1)), `largest_trade_id` Int64 CODEC(Delta(8), ZSTD(1)), `outliers` Int64 CODEC(Delta(8), ZSTD(1)), `receive_time` DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)), `process_time` DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)), version UInt64 MATERIALIZED bitShiftLeft(toUInt64(trades), 1) + toUInt64(complete))
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(open_time)
ORDER BY (symbol, interval, open_time)
TTL toDateTime(open_time) + toIntervalSecond(157680000)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS book_statistics
(`symbol` LowCardinality(String) CODEC(ZSTD(1)), `interval` LowCardinality(String) CODEC(ZSTD(1)), `open_time` DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)), `close_time` DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)), `events` Int64 CODEC(Delta(8), ZSTD(1)), `mid` Float64 CODEC(Gorilla, ZSTD(1)), `spread_bps` Float64 CODEC(Gorilla, ZSTD(1)), `imbalance` Float64 CODEC(Gorilla, ZSTD(1)), `weighted_imbalance` Float64 CODEC(Gorilla, ZSTD(1)), `bid_depth` Nullable(Float64) CODEC(Gorilla, ZSTD(1)), `ask_depth` Nullable(Float64) CODEC(Gorilla, ZSTD(1)), `lowest_imbalance` Float64 CODEC(Gorilla, ZSTD(1)), `lowest_imbalance_time` DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)), `highest_imbalance` Float64 CODEC(Gorilla, ZSTD(1)), `highest_imbalance_time` DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)), `lowest_spread_bps` Float64 CODEC(Gorilla, ZSTD(1)), `lowest_spread_time` DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)), `highest_spread_bps` Float64 CODEC(Gorilla, ZSTD(1)), `highest_spread_time` DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)), `order_flow_imbalance` Float64 CODEC(Gorilla, ZSTD(1)), `bid_slope` Nullable(Float64) CODEC(Gorilla, ZSTD(1)), `ask_slope` Nullable(Float64) CODEC(Gorilla, ZSTD(1)), `normal_spread_bps` Nullable(Float64) CODEC(Gorilla, ZSTD(1)), `receive_time` DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)), `process_time` DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)), version UInt64 MATERIALIZED toUInt64(events))
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(open_time)
ORDER BY (symbol, interval, open_time)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS alerts
(`symbol` LowCardinality(String) CODEC(ZSTD(1)), `id` String CODEC(ZSTD(1)), `rule` String CODEC(ZSTD(1)), `severity` LowCardinality(String) CODEC(ZSTD(1)), `status` LowCardinality(String) CODEC(ZSTD(1)), `side` LowCardinality(String) CODEC(ZSTD(1)), `started_at` DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)), `ended_at` Nullable(DateTime64(6, 'UTC')) CODEC(DoubleDelta, ZSTD(1)), `event_time` DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)), `value` Float64 CODEC(Gorilla, ZSTD(1)), `extreme` Float64 CODEC(Gorilla, ZSTD(1)), `threshold` Float64 CODEC(Gorilla, ZSTD(1)), `trade_id` Nullable(Int64) CODEC(Delta(8), ZSTD(1)), `receive_time` DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)), `process_time` DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)), `made_of` Nullable(String) CODEC(ZSTD(1)), version UInt64 MATERIALIZED bitShiftLeft(toUInt64(indexOf(['open', 'escalated', 'closed'], status)), 62), INDEX by_time started_at TYPE minmax GRANULARITY 1)
ENGINE = ReplacingMergeTree(version)
ORDER BY (id)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS late_trades
(`symbol` LowCardinality(String) CODEC(ZSTD(1)), `trade_time` DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)), `receive_time` DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)), `process_time` DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)), `trade_id` Int64 CODEC(Delta(8), ZSTD(1)), `price` Float64 CODEC(Gorilla, ZSTD(1)), `quantity` Float64 CODEC(Gorilla, ZSTD(1)), `taker_side` LowCardinality(String) CODEC(ZSTD(1)), `clock` DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)))
ENGINE = ReplacingMergeTree()
PARTITION BY toYYYYMM(trade_time)
ORDER BY (symbol, trade_time, trade_id)
TTL toDateTime(trade_time) + toIntervalSecond(7776000)
SETTINGS non_replicated_deduplication_window = 1000;

ALTER TABLE trades ADD COLUMN IF NOT EXISTS `price` Float64 CODEC(Gorilla, ZSTD(1));

ALTER TABLE trades MODIFY TTL toDateTime(trade_time) + toIntervalSecond(7776000);

ALTER TABLE symbols REMOVE TTL;
