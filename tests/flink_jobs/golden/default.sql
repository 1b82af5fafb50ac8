CREATE TEMPORARY TABLE book (
    `type` STRING,
    `v` BIGINT,
    `symbol` STRING,
    `event_time` BIGINT,
    `event_time_estimated` BOOLEAN,
    `receive_time` BIGINT,
    `process_time` BIGINT,
    `update_id` BIGINT,
    `best_bid` DOUBLE,
    `best_bid_quantity` DOUBLE,
    `best_ask` DOUBLE,
    `best_ask_quantity` DOUBLE,
    `mid` DOUBLE,
    `spread` DOUBLE,
    `spread_bps` DOUBLE,
    `imbalance` DOUBLE,
    `weighted_imbalance` DOUBLE,
    `vtob_ratio` DOUBLE,
    `weighted_mid` DOUBLE,
    `bid_quantity` DOUBLE,
    `ask_quantity` DOUBLE,
    `bid_depth` DOUBLE,
    `ask_depth` DOUBLE,
    `bid_slope` DOUBLE,
    `ask_slope` DOUBLE,
    `measured` BOOLEAN,
    `error` STRING,
    `partition` INT NOT NULL METADATA VIRTUAL,
    `offset` BIGINT NOT NULL METADATA VIRTUAL,
    `headers` MAP<STRING, BYTES> NOT NULL METADATA VIRTUAL
) WITH (
    'connector' = 'kafka',
    'topic' = 'crypto.book',
    'properties.bootstrap.servers' = 'broker:9092',
    'properties.security.protocol' = 'PLAINTEXT',
    'properties.group.id' = 'crypto.stream-job',
    'properties.client.id.prefix' = 'crypto.stream-job.book',
    'properties.fetch.max.wait.ms' = '500',
    'properties.isolation.level' = 'read_committed',
    'properties.register.consumer.metrics' = 'false',
    'properties.partition.discovery.interval.ms' = '30000',
    'scan.startup.mode' = 'earliest-offset',
    'format' = 'measured-book',
    'measured-book.calculate' = '10',
    'measured-book.within-bps' = '1.0',
    'measured-book.ignore-parse-errors' = 'true'
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

CREATE TEMPORARY TABLE book_metrics (
    `type` STRING,
    `v` BIGINT,
    `symbol` STRING,
    `event_time` BIGINT,
    `event_time_estimated` BOOLEAN,
    `receive_time` BIGINT,
    `process_time` BIGINT,
    `update_id` BIGINT,
    `best_bid` DOUBLE,
    `best_bid_quantity` DOUBLE,
    `best_ask` DOUBLE,
    `best_ask_quantity` DOUBLE,
    `mid` DOUBLE,
    `spread` DOUBLE,
    `spread_bps` DOUBLE,
    `imbalance` DOUBLE,
    `weighted_imbalance` DOUBLE,
    `vtob_ratio` DOUBLE,
    `weighted_mid` DOUBLE,
    `bid_quantity` DOUBLE,
    `ask_quantity` DOUBLE,
    `bid_depth` DOUBLE,
    `ask_depth` DOUBLE,
    `headers` MAP<STRING, BYTES> METADATA
) WITH (
    'connector' = 'kafka',
    'topic' = 'crypto.book-metrics',
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

CREATE TEMPORARY TABLE book_statistics (
    `type` STRING,
    `v` BIGINT,
    `symbol` STRING,
    `interval` STRING,
    `open_time` BIGINT,
    `close_time` BIGINT,
    `events` BIGINT,
    `mid` DOUBLE,
    `spread_bps` DOUBLE,
    `imbalance` DOUBLE,
    `weighted_imbalance` DOUBLE,
    `bid_depth` DOUBLE,
    `ask_depth` DOUBLE,
    `lowest_imbalance` DOUBLE,
    `lowest_imbalance_time` BIGINT,
    `highest_imbalance` DOUBLE,
    `highest_imbalance_time` BIGINT,
    `lowest_spread_bps` DOUBLE,
    `lowest_spread_time` BIGINT,
    `highest_spread_bps` DOUBLE,
    `highest_spread_time` BIGINT,
    `order_flow_imbalance` DOUBLE,
    `bid_slope` DOUBLE,
    `ask_slope` DOUBLE,
    `normal_spread_bps` DOUBLE,
    `receive_time` BIGINT,
    `process_time` BIGINT
) WITH (
    'connector' = 'kafka',
    'topic' = 'crypto.book-statistics',
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

CREATE TEMPORARY SYSTEM FUNCTION rules_of_book AS 'dev.marketpipeline.flink.book.BookRules' LANGUAGE JAVA;

CREATE TEMPORARY SYSTEM FUNCTION rules_of_trades AS 'dev.marketpipeline.flink.trades.TradeRules' LANGUAGE JAVA;

CREATE TEMPORARY SYSTEM FUNCTION rules_of_patterns AS 'dev.marketpipeline.flink.patterns.PatternRules' LANGUAGE JAVA;

CREATE TEMPORARY VIEW book_measures AS
SELECT
    symbol,
    event_time,
    event_time_estimated,
    receive_time,
    process_time,
    update_id,
    best_bid,
    best_bid_quantity,
    best_ask,
    best_ask_quantity,
    mid,
    spread,
    spread_bps,
    imbalance,
    weighted_imbalance,
    vtob_ratio,
    weighted_mid,
    bid_quantity,
    ask_quantity,
    bid_depth,
    ask_depth,
    bid_slope,
    ask_slope,
    `headers`
FROM book
WHERE measured;

CREATE TEMPORARY VIEW book_events AS
SELECT
    symbol AS symbol,
    event_time AS event_time,
    receive_time AS receive_time,
    process_time AS process_time,
    update_id AS update_id,
    event_time_estimated AS event_time_estimated,
    mid AS mid,
    spread_bps AS spread_bps,
    imbalance AS imbalance,
    bid_quantity AS bid_quantity,
    ask_quantity AS ask_quantity,
    bid_depth AS bid_depth,
    ask_depth AS ask_depth,
    weighted_imbalance AS weighted_imbalance,
    best_bid AS best_bid,
    best_bid_quantity AS best_bid_quantity,
    best_ask AS best_ask,
    best_ask_quantity AS best_ask_quantity,
    bid_slope AS bid_slope,
    ask_slope AS ask_slope,
    CAST(NULL AS MAP<STRING, DOUBLE>) AS limits
FROM book_measures
WHERE TRUE
UNION ALL
SELECT
    symbol,
    CAST(NULL AS BIGINT),
    CAST(NULL AS BIGINT),
    CAST(NULL AS BIGINT),
    CAST(NULL AS BIGINT),
    CAST(NULL AS BOOLEAN),
    CAST(NULL AS DOUBLE),
    CAST(NULL AS DOUBLE),
    CAST(NULL AS DOUBLE),
    CAST(NULL AS DOUBLE),
    CAST(NULL AS DOUBLE),
    CAST(NULL AS DOUBLE),
    CAST(NULL AS DOUBLE),
    CAST(NULL AS DOUBLE),
    CAST(NULL AS DOUBLE),
    CAST(NULL AS DOUBLE),
    CAST(NULL AS DOUBLE),
    CAST(NULL AS DOUBLE),
    CAST(NULL AS DOUBLE),
    CAST(NULL AS DOUBLE),
    `values`
FROM thresholds
WHERE v = 1 AND symbol IS NOT NULL AND `values` IS NOT NULL;

CREATE TEMPORARY VIEW book_found AS
SELECT *
FROM rules_of_book(`input` => TABLE book_events PARTITION BY symbol, `settings` => 'imbalance_medium=0.5,imbalance_high=0.7,imbalance_flip=10.0,liquidity_stress=0.3,spread_widening=2.0,outlier=10.0,price_spike=0.02,trade_burst=5.0,volume_spike=1000000.0,whale_trade=50000.0,cooldown=60.0,volume_spike_usual=0.0,whale_trade_usual=0.0', `widths` => '1m=60000000,5m=300000000,15m=900000000,1h=3600000000', `uid` => 'rules_of_book');

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
FROM rules_of_trades(`input` => TABLE trade_events PARTITION BY symbol, `settings` => 'imbalance_medium=0.5,imbalance_high=0.7,imbalance_flip=10.0,liquidity_stress=0.3,spread_widening=2.0,outlier=10.0,price_spike=0.02,trade_burst=5.0,volume_spike=1000000.0,whale_trade=50000.0,cooldown=60.0,volume_spike_usual=0.0,whale_trade_usual=0.0', `windows` => '1m=60000000,5m=300000000,15m=900000000,1h=3600000000', `lateness` => CAST(2000000 AS BIGINT), `idsKept` => CAST(3600000 AS BIGINT), `ticks` => FALSE, `uid` => 'rules_of_trades');

CREATE TEMPORARY VIEW opened_alerts AS
SELECT symbol, f.alert.event_time AS event_time, f.alert.receive_time AS receive_time, f.alert.process_time AS process_time, f.alert.id AS id, f.alert.rule AS rule, f.alert.side AS side, CAST(NULL AS STRING) AS patterns
FROM book_found AS f
WHERE f.alert.opens
UNION ALL
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
INSERT INTO book_metrics (
    `type`,
    `v`,
    `symbol`,
    `event_time`,
    `event_time_estimated`,
    `receive_time`,
    `process_time`,
    `update_id`,
    `best_bid`,
    `best_bid_quantity`,
    `best_ask`,
    `best_ask_quantity`,
    `mid`,
    `spread`,
    `spread_bps`,
    `imbalance`,
    `weighted_imbalance`,
    `vtob_ratio`,
    `weighted_mid`,
    `bid_quantity`,
    `ask_quantity`,
    `bid_depth`,
    `ask_depth`,
    `headers`
)
SELECT
    'book_metrics',
    CAST(1 AS BIGINT),
    `symbol`,
    `event_time`,
    `event_time_estimated`,
    `receive_time`,
    `process_time`,
    `update_id`,
    `best_bid`,
    `best_bid_quantity`,
    `best_ask`,
    `best_ask_quantity`,
    `mid`,
    `spread`,
    `spread_bps`,
    `imbalance`,
    `weighted_imbalance`,
    `vtob_ratio`,
    `weighted_mid`,
    `bid_quantity`,
    `ask_quantity`,
    `bid_depth`,
    `ask_depth`,
    `headers`
FROM book_measures;
INSERT INTO dead_letters (`type`, v, symbol, payload, encoding, error, source, ingestion_time)
SELECT 'dead_letter', CAST(1 AS BIGINT), symbol, payload, 'utf-8', error, source, EXTRACT(EPOCH FROM LOCALTIMESTAMP) * 1000000 + EXTRACT(MILLISECOND FROM LOCALTIMESTAMP) * 1000
FROM (
    SELECT
        COALESCE(symbol, '') AS symbol,
        JSON_OBJECT('type' VALUE `type`, 'v' VALUE v, 'symbol' VALUE symbol) AS payload,
        'crypto.book[' || CAST(`partition` AS STRING) || ']@' || CAST(`offset` AS STRING) AS source,
        error AS error
    FROM book
)
WHERE error IS NOT NULL;
INSERT INTO book_statistics (`type`, `v`, `symbol`, `interval`, `open_time`, `close_time`, `events`, `mid`, `spread_bps`, `imbalance`, `weighted_imbalance`, `bid_depth`, `ask_depth`, `lowest_imbalance`, `lowest_imbalance_time`, `highest_imbalance`, `highest_imbalance_time`, `lowest_spread_bps`, `lowest_spread_time`, `highest_spread_bps`, `highest_spread_time`, `order_flow_imbalance`, `bid_slope`, `ask_slope`, `normal_spread_bps`, `receive_time`, `process_time`)
SELECT
    'book_statistics',
    CAST(1 AS BIGINT),
    symbol,
    b.statistics.`interval`,
    b.statistics.`open_time`,
    b.statistics.`close_time`,
    b.statistics.`events`,
    b.statistics.`mid`,
    b.statistics.`spread_bps`,
    b.statistics.`imbalance`,
    b.statistics.`weighted_imbalance`,
    b.statistics.`bid_depth`,
    b.statistics.`ask_depth`,
    b.statistics.`lowest_imbalance`,
    b.statistics.`lowest_imbalance_time`,
    b.statistics.`highest_imbalance`,
    b.statistics.`highest_imbalance_time`,
    b.statistics.`lowest_spread_bps`,
    b.statistics.`lowest_spread_time`,
    b.statistics.`highest_spread_bps`,
    b.statistics.`highest_spread_time`,
    b.statistics.`order_flow_imbalance`,
    b.statistics.`bid_slope`,
    b.statistics.`ask_slope`,
    b.statistics.`normal_spread_bps`,
    b.statistics.`receive_time`,
    EXTRACT(EPOCH FROM LOCALTIMESTAMP) * 1000000 + EXTRACT(MILLISECOND FROM LOCALTIMESTAMP) * 1000
FROM book_found AS b
WHERE b.statistics IS NOT NULL;
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
FROM book_found AS f
WHERE f.alert IS NOT NULL;
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
