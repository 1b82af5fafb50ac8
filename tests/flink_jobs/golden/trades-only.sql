CREATE TEMPORARY TABLE trades (
    `type` STRING,
    `v` BIGINT,
    `symbol` STRING,
    `event_time` BIGINT,
    `trade_time` BIGINT,
    `receive_time` BIGINT,
    `trade_id` BIGINT,
    `price` DOUBLE,
    `quantity` DOUBLE,
    `taker_side` STRING,
    `backfilled` BOOLEAN,
    `contracts` DOUBLE,
    `process` STRING,
    `partition` INT NOT NULL METADATA VIRTUAL,
    `offset` BIGINT NOT NULL METADATA VIRTUAL
) WITH (
    'connector' = 'kafka',
    'topic' = 'crypto.trades',
    'properties.bootstrap.servers' = 'broker:9092',
    'properties.security.protocol' = 'PLAINTEXT',
    'properties.group.id' = 'crypto.stream-job',
    'properties.client.id.prefix' = 'crypto.stream-job.trades',
    'properties.fetch.max.wait.ms' = '500',
    'properties.isolation.level' = 'read_committed',
    'properties.register.consumer.metrics' = 'false',
    'properties.partition.discovery.interval.ms' = '30000',
    'scan.startup.mode' = 'earliest-offset',
    'format' = 'plain-json',
    'plain-json.ignore-parse-errors' = 'true'
);

CREATE TEMPORARY TABLE thresholds (
    `type` STRING,
    `v` BIGINT,
    `symbol` STRING,
    `effective_from` BIGINT,
    `values` MAP<STRING, DOUBLE>,
    `patterns` STRING,
    `partition` INT NOT NULL METADATA VIRTUAL,
    `offset` BIGINT NOT NULL METADATA VIRTUAL
) WITH (
    'connector' = 'kafka',
    'topic' = 'crypto.thresholds',
    'properties.bootstrap.servers' = 'broker:9092',
    'properties.security.protocol' = 'PLAINTEXT',
    'properties.group.id' = 'crypto.stream-job',
    'properties.client.id.prefix' = 'crypto.stream-job.thresholds',
    'properties.fetch.max.wait.ms' = '500',
    'properties.isolation.level' = 'read_committed',
    'properties.register.consumer.metrics' = 'false',
    'properties.partition.discovery.interval.ms' = '30000',
    'scan.startup.mode' = 'earliest-offset',
    'format' = 'plain-json',
    'plain-json.ignore-parse-errors' = 'true'
);

CREATE TEMPORARY TABLE dead_letters (
    `type` STRING,
    `v` BIGINT,
    `symbol` STRING,
    `payload` STRING,
    `encoding` STRING,
    `error` STRING,
    `source` STRING,
    `ingestion_time` BIGINT
) WITH (
    'connector' = 'kafka',
    'topic' = 'crypto.dead-letters',
    'properties.bootstrap.servers' = 'broker:9092',
    'properties.security.protocol' = 'PLAINTEXT',
    'properties.linger.ms' = '5',
    'properties.batch.size' = '262144',
    'properties.compression.type' = 'lz4',
    'properties.delivery.timeout.ms' = '600000',
    'properties.register.producer.metrics' = 'false',
    'key.format' = 'raw',
    'key.fields' = 'symbol',
    'value.format' = 'plain-json',
    'value.fields-include' = 'ALL',
    'sink.delivery-guarantee' = 'at-least-once'
);

CREATE TEMPORARY TABLE alerts (
    `type` STRING,
    `v` BIGINT,
    `symbol` STRING,
    `id` STRING,
    `rule` STRING,
    `severity` STRING,
    `status` STRING,
    `side` STRING,
    `started_at` BIGINT,
    `ended_at` BIGINT,
    `event_time` BIGINT,
    `value` DOUBLE,
    `extreme` DOUBLE,
    `threshold` DOUBLE,
    `trade_id` BIGINT,
    `receive_time` BIGINT,
    `process_time` BIGINT,
    `made_of` STRING
) WITH (
    'connector' = 'kafka',
    'topic' = 'crypto.alerts',
    'properties.bootstrap.servers' = 'broker:9092',
    'properties.security.protocol' = 'PLAINTEXT',
    'properties.linger.ms' = '5',
    'properties.batch.size' = '262144',
    'properties.compression.type' = 'lz4',
    'properties.delivery.timeout.ms' = '600000',
    'properties.register.producer.metrics' = 'false',
    'key.format' = 'raw',
    'key.fields' = 'symbol',
    'value.format' = 'plain-json',
    'value.fields-include' = 'ALL',
    'sink.delivery-guarantee' = 'at-least-once'
);

CREATE TEMPORARY TABLE candles (
    `type` STRING,
    `v` BIGINT,
    `symbol` STRING,
    `interval` STRING,
    `open_time` BIGINT,
    `close_time` BIGINT,
    `closed` BOOLEAN,
    `complete` BOOLEAN,
    `open` DOUBLE,
    `high` DOUBLE,
    `low` DOUBLE,
    `close` DOUBLE,
    `volume` DOUBLE,
    `quote_volume` DOUBLE,
    `trades` BIGINT,
    `taker_buy_volume` DOUBLE,
    `vwap` DOUBLE,
    `buy_sell_ratio` DOUBLE,
    `price_change` DOUBLE,
    `first_trade_id` BIGINT,
    `last_trade_id` BIGINT,
    `receive_time` BIGINT,
    `process_time` BIGINT,
    PRIMARY KEY (`symbol`, `interval`, `open_time`) NOT ENFORCED
) WITH (
    'connector' = 'upsert-kafka',
    'topic' = 'crypto.candles',
    'properties.bootstrap.servers' = 'broker:9092',
    'properties.security.protocol' = 'PLAINTEXT',
    'properties.linger.ms' = '5',
    'properties.batch.size' = '262144',
    'properties.compression.type' = 'lz4',
    'properties.delivery.timeout.ms' = '600000',
    'properties.register.producer.metrics' = 'false',
    'key.format' = 'json',
    'value.format' = 'plain-json',
    'value.fields-include' = 'ALL',
    'sink.delivery-guarantee' = 'at-least-once',
    'sink.buffer-flush.max-rows' = '5000',
    'sink.buffer-flush.interval' = '50 ms'
);

CREATE TEMPORARY TABLE trade_statistics (
    `type` STRING,
    `v` BIGINT,
    `symbol` STRING,
    `interval` STRING,
    `open_time` BIGINT,
    `close_time` BIGINT,
    `complete` BOOLEAN,
    `trades` BIGINT,
    `quote_volume` DOUBLE,
    `taker_buy_volume` DOUBLE,
    `taker_sell_volume` DOUBLE,
    `vwap` DOUBLE,
    `price_change` DOUBLE,
    `range_bps` DOUBLE,
    `realised_volatility` DOUBLE,
    `largest_trade` DOUBLE,
    `largest_trade_id` BIGINT,
    `outliers` BIGINT,
    `receive_time` BIGINT,
    `process_time` BIGINT
) WITH (
    'connector' = 'kafka',
    'topic' = 'crypto.trade-statistics',
    'properties.bootstrap.servers' = 'broker:9092',
    'properties.security.protocol' = 'PLAINTEXT',
    'properties.linger.ms' = '5',
    'properties.batch.size' = '262144',
    'properties.compression.type' = 'lz4',
    'properties.delivery.timeout.ms' = '600000',
    'properties.register.producer.metrics' = 'false',
    'key.format' = 'raw',
    'key.fields' = 'symbol',
    'value.format' = 'plain-json',
    'value.fields-include' = 'ALL',
    'sink.delivery-guarantee' = 'at-least-once'
);

CREATE TEMPORARY TABLE late (
    `type` STRING,
    `v` BIGINT,
    `symbol` STRING,
    `trade_time` BIGINT,
    `receive_time` BIGINT,
    `process_time` BIGINT,
    `trade_id` BIGINT,
    `price` DOUBLE,
    `quantity` DOUBLE,
    `taker_side` STRING,
    `clock` BIGINT
) WITH (
    'connector' = 'kafka',
    'topic' = 'crypto.late',
    'properties.bootstrap.servers' = 'broker:9092',
    'properties.security.protocol' = 'PLAINTEXT',
    'properties.linger.ms' = '5',
    'properties.batch.size' = '262144',
    'properties.compression.type' = 'lz4',
    'properties.delivery.timeout.ms' = '600000',
    'properties.register.producer.metrics' = 'false',
    'key.format' = 'raw',
    'key.fields' = 'symbol',
    'value.format' = 'plain-json',
    'value.fields-include' = 'ALL',
    'sink.delivery-guarantee' = 'at-least-once'
);

CREATE TEMPORARY SYSTEM FUNCTION rules_of_trades AS 'dev.marketpipeline.flink.trades.TradeRules' LANGUAGE JAVA;

CREATE TEMPORARY SYSTEM FUNCTION rules_of_patterns AS 'dev.marketpipeline.flink.patterns.PatternRules' LANGUAGE JAVA;

CREATE TEMPORARY VIEW trade_events AS
SELECT
    symbol AS symbol,
    COALESCE(trade_time, event_time) AS reached,
    trade_time AS trade_time,
    receive_time AS receive_time,
    EXTRACT(EPOCH FROM LOCALTIMESTAMP) * 1000000 + EXTRACT(MILLISECOND FROM LOCALTIMESTAMP) * 1000 AS process_time,
    trade_id AS trade_id,
    price AS price,
    quantity AS quantity,
    taker_side AS taker_side,
    CAST(NULL AS MAP<STRING, DOUBLE>) AS limits
FROM trades
WHERE (v = 1 AND `type` = 'trade' AND symbol IS NOT NULL AND trade_time IS NOT NULL AND receive_time IS NOT NULL AND trade_id IS NOT NULL AND taker_side IN ('buy', 'sell') AND price > 0e0 AND quantity > 0e0)
   OR (v = 1 AND `type` = 'heartbeat' AND symbol IS NOT NULL AND event_time IS NOT NULL)
UNION ALL
SELECT
    symbol,
    CAST(NULL AS BIGINT),
    CAST(NULL AS BIGINT),
    CAST(NULL AS BIGINT),
    CAST(NULL AS BIGINT),
    CAST(NULL AS BIGINT),
    CAST(NULL AS DOUBLE),
    CAST(NULL AS DOUBLE),
    CAST(NULL AS STRING),
    `values`
FROM thresholds
WHERE v = 1 AND symbol IS NOT NULL AND `values` IS NOT NULL;

CREATE TEMPORARY VIEW trades_found AS
SELECT *
FROM rules_of_trades(`input` => TABLE trade_events PARTITION BY symbol, `settings` => 'imbalance_medium=0.5,imbalance_high=0.7,imbalance_flip=10.0,liquidity_stress=0.3,spread_widening=2.0,outlier=10.0,price_spike=0.02,trade_burst=5.0,volume_spike=1000000.0,whale_trade=50000.0,cooldown=60.0,volume_spike_usual=0.0,whale_trade_usual=0.0', `windows` => '3m=180000000,5m=300000000', `lateness` => CAST(200000000 AS BIGINT), `idsKept` => CAST(3600000 AS BIGINT), `ticks` => FALSE, `uid` => 'rules_of_trades');

CREATE TEMPORARY VIEW opened_alerts AS
SELECT symbol, f.alert.event_time AS event_time, f.alert.receive_time AS receive_time, f.alert.process_time AS process_time, f.alert.id AS id, f.alert.rule AS rule, f.alert.side AS side, CAST(NULL AS STRING) AS patterns
FROM trades_found AS f
WHERE f.alert.opens
UNION ALL
SELECT symbol, effective_from, effective_from, effective_from, CAST(NULL AS STRING), CAST(NULL AS STRING),
    CAST(NULL AS STRING), COALESCE(patterns, '')
FROM thresholds
WHERE v = 1 AND symbol IS NOT NULL AND `values` IS NOT NULL;

CREATE TEMPORARY VIEW patterns_found AS
SELECT *
FROM rules_of_patterns(`input` => TABLE opened_alerts PARTITION BY symbol, `uid` => 'rules_of_patterns');

EXECUTE STATEMENT SET BEGIN
INSERT INTO dead_letters (`type`, v, symbol, payload, encoding, error, source, ingestion_time)
SELECT 'dead_letter', CAST(1 AS BIGINT), symbol, payload, 'utf-8', error, source, EXTRACT(EPOCH FROM LOCALTIMESTAMP) * 1000000 + EXTRACT(MILLISECOND FROM LOCALTIMESTAMP) * 1000
FROM (
    SELECT
        COALESCE(symbol, '') AS symbol,
        JSON_OBJECT('type' VALUE `type`, 'v' VALUE v, 'symbol' VALUE symbol) AS payload,
        'crypto.trades[' || CAST(`partition` AS STRING) || ']@' || CAST(`offset` AS STRING) AS source,
        CASE WHEN (v = 1 AND `type` = 'trade' AND symbol IS NOT NULL AND trade_time IS NOT NULL AND receive_time IS NOT NULL AND trade_id IS NOT NULL AND taker_side IN ('buy', 'sell') AND price > 0e0 AND quantity > 0e0
            OR v = 1 AND `type` = 'heartbeat' AND symbol IS NOT NULL AND event_time IS NOT NULL) IS NOT TRUE
        THEN 'no trade of version 1 with all its fields' END AS error
    FROM trades
)
WHERE error IS NOT NULL;
INSERT INTO alerts (`type`, `v`, `symbol`, `id`, `rule`, `severity`, `status`, `side`, `started_at`, `ended_at`, `event_time`, `value`, `extreme`, `threshold`, `trade_id`, `receive_time`, `process_time`, `made_of`)
SELECT
    'alert',
    CAST(1 AS BIGINT),
    symbol,
    f.alert.`id`,
    f.alert.`rule`,
    f.alert.`severity`,
    f.alert.`status`,
    f.alert.`side`,
    f.alert.`started_at`,
    f.alert.`ended_at`,
    f.alert.`event_time`,
    f.alert.`value`,
    f.alert.`extreme`,
    f.alert.`threshold`,
    f.alert.`trade_id`,
    f.alert.`receive_time`,
    f.alert.`process_time`,
    f.alert.`made_of`
FROM trades_found AS f
WHERE f.alert IS NOT NULL;
INSERT INTO candles (`type`, `v`, `symbol`, `interval`, `open_time`, `close_time`, `closed`, `complete`, `open`, `high`, `low`, `close`, `volume`, `quote_volume`, `trades`, `taker_buy_volume`, `vwap`, `buy_sell_ratio`, `price_change`, `first_trade_id`, `last_trade_id`, `receive_time`, `process_time`)
SELECT
    'candle',
    CAST(1 AS BIGINT),
    symbol,
    t.candle.`interval`,
    t.candle.`open_time`,
    t.candle.`close_time`,
    t.candle.`closed`,
    t.candle.`complete`,
    t.candle.`open`,
    t.candle.`high`,
    t.candle.`low`,
    t.candle.`close`,
    t.candle.`volume`,
    t.candle.`quote_volume`,
    t.candle.`trades`,
    t.candle.bought,
    t.candle.quote_volume / t.candle.volume,
    t.candle.bought / NULLIF(t.candle.sold, 0e0),
    t.candle.`close` / t.candle.`open` - 1e0,
    t.candle.`first_trade_id`,
    t.candle.`last_trade_id`,
    t.candle.`receive_time`,
    EXTRACT(EPOCH FROM LOCALTIMESTAMP) * 1000000 + EXTRACT(MILLISECOND FROM LOCALTIMESTAMP) * 1000
FROM trades_found AS t
WHERE t.candle IS NOT NULL;
INSERT INTO trade_statistics (`type`, `v`, `symbol`, `interval`, `open_time`, `close_time`, `complete`, `trades`, `quote_volume`, `taker_buy_volume`, `taker_sell_volume`, `vwap`, `price_change`, `range_bps`, `realised_volatility`, `largest_trade`, `largest_trade_id`, `outliers`, `receive_time`, `process_time`)
SELECT
    'trade_statistics',
    CAST(1 AS BIGINT),
    symbol,
    t.candle.`interval`,
    t.candle.`open_time`,
    t.candle.`close_time`,
    t.candle.`complete`,
    t.candle.`trades`,
    t.candle.`quote_volume`,
    t.candle.bought,
    t.candle.sold,
    t.candle.quote_volume / t.candle.volume,
    t.candle.`close` / t.candle.`open` - 1e0,
    (t.candle.high / t.candle.low - 1e0) * 1e4,
    CASE WHEN t.candle.`returns` > 0 THEN SQRT(t.candle.squares) END,
    t.candle.`largest_trade`,
    t.candle.`largest_trade_id`,
    t.candle.`outliers`,
    t.candle.`receive_time`,
    EXTRACT(EPOCH FROM LOCALTIMESTAMP) * 1000000 + EXTRACT(MILLISECOND FROM LOCALTIMESTAMP) * 1000
FROM trades_found AS t
WHERE t.candle IS NOT NULL AND t.candle.closed;
INSERT INTO late (`type`, `v`, `symbol`, `trade_time`, `receive_time`, `process_time`, `trade_id`, `price`, `quantity`, `taker_side`, `clock`)
SELECT
    'late_trade',
    CAST(1 AS BIGINT),
    symbol,
    t.late.`trade_time`,
    t.late.`receive_time`,
    EXTRACT(EPOCH FROM LOCALTIMESTAMP) * 1000000 + EXTRACT(MILLISECOND FROM LOCALTIMESTAMP) * 1000,
    t.late.`trade_id`,
    t.late.`price`,
    t.late.`quantity`,
    t.late.`taker_side`,
    t.late.`clock`
FROM trades_found AS t
WHERE t.late IS NOT NULL;
INSERT INTO alerts (`type`, `v`, `symbol`, `id`, `rule`, `severity`, `status`, `side`, `started_at`, `ended_at`, `event_time`, `value`, `extreme`, `threshold`, `trade_id`, `receive_time`, `process_time`, `made_of`)
SELECT
    'alert',
    CAST(1 AS BIGINT),
    symbol,
    f.alert.`id`,
    f.alert.`rule`,
    f.alert.`severity`,
    f.alert.`status`,
    f.alert.`side`,
    f.alert.`started_at`,
    f.alert.`ended_at`,
    f.alert.`event_time`,
    f.alert.`value`,
    f.alert.`extreme`,
    f.alert.`threshold`,
    f.alert.`trade_id`,
    f.alert.`receive_time`,
    f.alert.`process_time`,
    f.alert.`made_of`
FROM patterns_found AS f
WHERE f.alert IS NOT NULL;
END;
