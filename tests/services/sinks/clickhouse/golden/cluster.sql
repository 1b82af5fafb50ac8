CREATE TABLE IF NOT EXISTS symbols ON CLUSTER `main`
(`symbol` String CODEC(ZSTD(1)), `seen_at` DateTime64(6, 'UTC') CODEC(ZSTD(1)), version UInt64 MATERIALIZED toUInt64(toUnixTimestamp64Micro(seen_at)))
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', version)
ORDER BY (symbol);

CREATE TABLE IF NOT EXISTS candles ON CLUSTER `main`
(`symbol` LowCardinality(String) CODEC(ZSTD(1)), `interval` LowCardinality(String) CODEC(ZSTD(1)), `open_time` DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)), `close_time` DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)), `closed` Bool CODEC(ZSTD(1)), `complete` Bool CODEC(ZSTD(1)), `open` Float64 CODEC(ZSTD(1)), `high` Float64 CODEC(ZSTD(1)), `low` Float64 CODEC(ZSTD(1)), `close` Float64 CODEC(ZSTD(1)), `volume` Float64 CODEC(ZSTD(1)), `quote_volume` Float64 CODEC(ZSTD(1)), `trades` Int64 CODEC(Delta(8), ZSTD(1)), `taker_buy_volume` Float64 CODEC(ZSTD(1)), `vwap` Float64 CODEC(ZSTD(1)), `buy_sell_ratio` Nullable(Float64) CODEC(ZSTD(1)), `price_change` Float64 CODEC(ZSTD(1)), `first_trade_id` Int64 CODEC(Delta(8), ZSTD(1)), `last_trade_id` Int64 CODEC(Delta(8), ZSTD(1)), `receive_time` DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)), `process_time` DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)), version UInt64 MATERIALIZED bitShiftLeft(toUInt64(trades), 2) + bitShiftLeft(toUInt64(closed), 1) + toUInt64(complete))
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', version)
PARTITION BY toYYYYMM(open_time)
ORDER BY (symbol, interval, open_time)
TTL toDateTime(open_time) + toIntervalSecond(157680000);

CREATE TABLE IF NOT EXISTS alerts ON CLUSTER `main`
(`symbol` LowCardinality(String) CODEC(ZSTD(1)), `id` String CODEC(ZSTD(1)), `rule` String CODEC(ZSTD(1)), `severity` LowCardinality(String) CODEC(ZSTD(1)), `status` LowCardinality(String) CODEC(ZSTD(1)), `side` LowCardinality(String) CODEC(ZSTD(1)), `started_at` DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)), `ended_at` Nullable(DateTime64(6, 'UTC')) CODEC(DoubleDelta, ZSTD(1)), `event_time` DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)), `value` Float64 CODEC(ZSTD(1)), `extreme` Float64 CODEC(ZSTD(1)), `threshold` Float64 CODEC(ZSTD(1)), `trade_id` Nullable(Int64) CODEC(Delta(8), ZSTD(1)), `receive_time` DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)), `process_time` DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)), `made_of` Nullable(String) CODEC(ZSTD(1)), version UInt64 MATERIALIZED bitShiftLeft(toUInt64(indexOf(['open', 'escalated', 'closed'], status)), 62), INDEX by_time started_at TYPE minmax GRANULARITY 1)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', version)
ORDER BY (id);

CREATE VIEW IF NOT EXISTS candles_over ON CLUSTER `main` AS
SELECT c.symbol AS symbol, toDateTime64(toStartOfInterval(c.open_time, toIntervalSecond({seconds:UInt32})), 6, 'UTC') AS open_time, toDateTime64(toStartOfInterval(c.open_time, toIntervalSecond({seconds:UInt32})), 6, 'UTC') + toIntervalSecond({seconds:UInt32}) AS close_time, min(c.closed) AND max(c.close_time) >= any(toDateTime64(toStartOfInterval(c.open_time, toIntervalSecond({seconds:UInt32})), 6, 'UTC')) + toIntervalSecond({seconds:UInt32}) AS closed, min(c.complete) AS complete, argMin(c.open, c.open_time) AS open, max(c.high) AS high, min(c.low) AS low, argMax(c.close, c.open_time) AS close, sum(c.volume) AS volume, sum(c.quote_volume) AS quote_volume, sum(c.trades) AS trades, sum(c.taker_buy_volume) AS taker_buy_volume, sum(c.quote_volume) / nullIf(sum(c.volume), 0) AS vwap, min(c.first_trade_id) AS first_trade_id, max(c.last_trade_id) AS last_trade_id
FROM candles AS c FINAL
WHERE c.interval = {base:String} AND c.open_time >= {since:DateTime64(6, 'UTC')} AND c.open_time < {until:DateTime64(6, 'UTC')}
GROUP BY c.symbol, toDateTime64(toStartOfInterval(c.open_time, toIntervalSecond({seconds:UInt32})), 6, 'UTC')
SETTINGS do_not_merge_across_partitions_select_final = 1;

ALTER TABLE candles ON CLUSTER `main` ADD COLUMN IF NOT EXISTS `trades` Int64 CODEC(Delta(8), ZSTD(1));

ALTER TABLE candles ON CLUSTER `main` MODIFY TTL toDateTime(open_time) + toIntervalSecond(157680000);

ALTER TABLE symbols ON CLUSTER `main` REMOVE TTL;

