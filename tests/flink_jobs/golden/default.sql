CREATE TEMPORARY TABLE book (
    `type` STRING,
    `v` BIGINT,
    `symbol` STRING,
    `event_time` BIGINT,
    `receive_time` BIGINT,
    `update_id` BIGINT,
    `previous_id` BIGINT,
    `bids` ARRAY<ARRAY<DOUBLE>>,
    `asks` ARRAY<ARRAY<DOUBLE>>,
    `bid_contracts` ARRAY<DOUBLE>,
    `ask_contracts` ARRAY<DOUBLE>,
    `process` STRING,
    `partition` INT METADATA VIRTUAL,
    `offset` BIGINT METADATA VIRTUAL,
    `headers` MAP<STRING NOT NULL, BYTES NOT NULL> METADATA VIRTUAL,
    `arrival` AS PROCTIME()
) WITH (
    'connector' = 'kafka',
    'topic' = 'crypto.book',
    'properties.bootstrap.servers' = 'broker:9092',
    'properties.security.protocol' = 'PLAINTEXT',
    'properties.group.id' = 'crypto.stream-job',
    'properties.client.id.prefix' = 'crypto.stream-job.book',
    'properties.fetch.max.wait.ms' = '20',
    'properties.isolation.level' = 'read_committed',
    'properties.register.consumer.metrics' = 'false',
    'properties.partition.discovery.interval.ms' = '30000',
    'scan.startup.mode' = 'earliest-offset',
    'format' = 'json',
    'json.ignore-parse-errors' = 'true'
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
    `headers` MAP<STRING NOT NULL, BYTES NOT NULL> METADATA
) WITH (
    'connector' = 'kafka',
    'topic' = 'crypto.book-metrics',
    'properties.bootstrap.servers' = 'broker:9092',
    'properties.security.protocol' = 'PLAINTEXT',
    'properties.linger.ms' = '2',
    'properties.batch.size' = '262144',
    'properties.compression.type' = 'lz4',
    'properties.delivery.timeout.ms' = '600000',
    'properties.register.producer.metrics' = 'false',
    'key.format' = 'raw',
    'key.fields' = 'symbol',
    'value.format' = 'json',
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
    'properties.linger.ms' = '2',
    'properties.batch.size' = '262144',
    'properties.compression.type' = 'lz4',
    'properties.delivery.timeout.ms' = '600000',
    'properties.register.producer.metrics' = 'false',
    'key.format' = 'raw',
    'key.fields' = 'symbol',
    'value.format' = 'json',
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
    `partition` INT METADATA VIRTUAL,
    `offset` BIGINT METADATA VIRTUAL,
    `arrival` AS PROCTIME()
) WITH (
    'connector' = 'kafka',
    'topic' = 'crypto.trades',
    'properties.bootstrap.servers' = 'broker:9092',
    'properties.security.protocol' = 'PLAINTEXT',
    'properties.group.id' = 'crypto.stream-job',
    'properties.client.id.prefix' = 'crypto.stream-job.trades',
    'properties.fetch.max.wait.ms' = '20',
    'properties.isolation.level' = 'read_committed',
    'properties.register.consumer.metrics' = 'false',
    'properties.partition.discovery.interval.ms' = '30000',
    'scan.startup.mode' = 'earliest-offset',
    'format' = 'json',
    'json.ignore-parse-errors' = 'true'
);

CREATE TEMPORARY TABLE thresholds (
    `type` STRING,
    `v` BIGINT,
    `symbol` STRING,
    `effective_from` BIGINT,
    `values` MAP<STRING, DOUBLE>,
    `partition` INT METADATA VIRTUAL,
    `offset` BIGINT METADATA VIRTUAL,
    `imbalance_medium` AS `values`['imbalance_medium'],
    `imbalance_high` AS `values`['imbalance_high'],
    `whale_trade` AS `values`['whale_trade'],
    `arrival` AS PROCTIME()
) WITH (
    'connector' = 'kafka',
    'topic' = 'crypto.thresholds',
    'properties.bootstrap.servers' = 'broker:9092',
    'properties.security.protocol' = 'PLAINTEXT',
    'properties.group.id' = 'crypto.stream-job',
    'properties.client.id.prefix' = 'crypto.stream-job.thresholds',
    'properties.fetch.max.wait.ms' = '20',
    'properties.isolation.level' = 'read_committed',
    'properties.register.consumer.metrics' = 'false',
    'properties.partition.discovery.interval.ms' = '30000',
    'scan.startup.mode' = 'earliest-offset',
    'format' = 'json',
    'json.ignore-parse-errors' = 'true'
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
    'properties.linger.ms' = '2',
    'properties.batch.size' = '262144',
    'properties.compression.type' = 'lz4',
    'properties.delivery.timeout.ms' = '600000',
    'properties.register.producer.metrics' = 'false',
    'key.format' = 'raw',
    'key.fields' = 'symbol',
    'value.format' = 'json',
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
    'properties.linger.ms' = '2',
    'properties.batch.size' = '262144',
    'properties.compression.type' = 'lz4',
    'properties.delivery.timeout.ms' = '600000',
    'properties.register.producer.metrics' = 'false',
    'key.format' = 'json',
    'value.format' = 'json',
    'value.fields-include' = 'ALL',
    'sink.delivery-guarantee' = 'at-least-once',
    'sink.buffer-flush.max-rows' = '5000',
    'sink.buffer-flush.interval' = '50 ms'
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
    `process_time` BIGINT
) WITH (
    'connector' = 'kafka',
    'topic' = 'crypto.alerts',
    'properties.bootstrap.servers' = 'broker:9092',
    'properties.security.protocol' = 'PLAINTEXT',
    'properties.linger.ms' = '2',
    'properties.batch.size' = '262144',
    'properties.compression.type' = 'lz4',
    'properties.delivery.timeout.ms' = '600000',
    'properties.register.producer.metrics' = 'false',
    'key.format' = 'raw',
    'key.fields' = 'symbol',
    'value.format' = 'json',
    'value.fields-include' = 'ALL',
    'sink.delivery-guarantee' = 'at-least-once'
);

CREATE TEMPORARY VIEW book_levels AS
SELECT
    symbol,
    event_time,
    receive_time,
    update_id,
    `headers`,
    arrival,
    LOCALTIMESTAMP AS now,
    (bids[1][1] + asks[1][1]) * 0.4995e0 AS bid_limit,
    (bids[1][1] + asks[1][1]) * 0.5005e0 AS ask_limit,
    bids[CARDINALITY(bids)][1] AS bid_last,
    asks[CARDINALITY(asks)][1] AS ask_last,
    COALESCE(bids[1][1], 0e0) AS bid_p1,
    COALESCE(bids[1][2], 0e0) AS bid_q1,
    COALESCE(bids[2][1], 0e0) AS bid_p2,
    COALESCE(bids[2][2], 0e0) AS bid_q2,
    COALESCE(bids[3][1], 0e0) AS bid_p3,
    COALESCE(bids[3][2], 0e0) AS bid_q3,
    COALESCE(bids[4][1], 0e0) AS bid_p4,
    COALESCE(bids[4][2], 0e0) AS bid_q4,
    COALESCE(bids[5][1], 0e0) AS bid_p5,
    COALESCE(bids[5][2], 0e0) AS bid_q5,
    COALESCE(bids[6][1], 0e0) AS bid_p6,
    COALESCE(bids[6][2], 0e0) AS bid_q6,
    COALESCE(bids[7][1], 0e0) AS bid_p7,
    COALESCE(bids[7][2], 0e0) AS bid_q7,
    COALESCE(bids[8][1], 0e0) AS bid_p8,
    COALESCE(bids[8][2], 0e0) AS bid_q8,
    COALESCE(bids[9][1], 0e0) AS bid_p9,
    COALESCE(bids[9][2], 0e0) AS bid_q9,
    COALESCE(bids[10][1], 0e0) AS bid_p10,
    COALESCE(bids[10][2], 0e0) AS bid_q10,
    COALESCE(bids[11][1], 0e0) AS bid_p11,
    COALESCE(bids[11][2], 0e0) AS bid_q11,
    COALESCE(bids[12][1], 0e0) AS bid_p12,
    COALESCE(bids[12][2], 0e0) AS bid_q12,
    COALESCE(bids[13][1], 0e0) AS bid_p13,
    COALESCE(bids[13][2], 0e0) AS bid_q13,
    COALESCE(bids[14][1], 0e0) AS bid_p14,
    COALESCE(bids[14][2], 0e0) AS bid_q14,
    COALESCE(bids[15][1], 0e0) AS bid_p15,
    COALESCE(bids[15][2], 0e0) AS bid_q15,
    COALESCE(bids[16][1], 0e0) AS bid_p16,
    COALESCE(bids[16][2], 0e0) AS bid_q16,
    COALESCE(bids[17][1], 0e0) AS bid_p17,
    COALESCE(bids[17][2], 0e0) AS bid_q17,
    COALESCE(bids[18][1], 0e0) AS bid_p18,
    COALESCE(bids[18][2], 0e0) AS bid_q18,
    COALESCE(bids[19][1], 0e0) AS bid_p19,
    COALESCE(bids[19][2], 0e0) AS bid_q19,
    COALESCE(bids[20][1], 0e0) AS bid_p20,
    COALESCE(bids[20][2], 0e0) AS bid_q20,
    COALESCE(asks[1][1], 0e0) AS ask_p1,
    COALESCE(asks[1][2], 0e0) AS ask_q1,
    COALESCE(asks[2][1], 0e0) AS ask_p2,
    COALESCE(asks[2][2], 0e0) AS ask_q2,
    COALESCE(asks[3][1], 0e0) AS ask_p3,
    COALESCE(asks[3][2], 0e0) AS ask_q3,
    COALESCE(asks[4][1], 0e0) AS ask_p4,
    COALESCE(asks[4][2], 0e0) AS ask_q4,
    COALESCE(asks[5][1], 0e0) AS ask_p5,
    COALESCE(asks[5][2], 0e0) AS ask_q5,
    COALESCE(asks[6][1], 0e0) AS ask_p6,
    COALESCE(asks[6][2], 0e0) AS ask_q6,
    COALESCE(asks[7][1], 0e0) AS ask_p7,
    COALESCE(asks[7][2], 0e0) AS ask_q7,
    COALESCE(asks[8][1], 0e0) AS ask_p8,
    COALESCE(asks[8][2], 0e0) AS ask_q8,
    COALESCE(asks[9][1], 0e0) AS ask_p9,
    COALESCE(asks[9][2], 0e0) AS ask_q9,
    COALESCE(asks[10][1], 0e0) AS ask_p10,
    COALESCE(asks[10][2], 0e0) AS ask_q10,
    COALESCE(asks[11][1], 0e0) AS ask_p11,
    COALESCE(asks[11][2], 0e0) AS ask_q11,
    COALESCE(asks[12][1], 0e0) AS ask_p12,
    COALESCE(asks[12][2], 0e0) AS ask_q12,
    COALESCE(asks[13][1], 0e0) AS ask_p13,
    COALESCE(asks[13][2], 0e0) AS ask_q13,
    COALESCE(asks[14][1], 0e0) AS ask_p14,
    COALESCE(asks[14][2], 0e0) AS ask_q14,
    COALESCE(asks[15][1], 0e0) AS ask_p15,
    COALESCE(asks[15][2], 0e0) AS ask_q15,
    COALESCE(asks[16][1], 0e0) AS ask_p16,
    COALESCE(asks[16][2], 0e0) AS ask_q16,
    COALESCE(asks[17][1], 0e0) AS ask_p17,
    COALESCE(asks[17][2], 0e0) AS ask_q17,
    COALESCE(asks[18][1], 0e0) AS ask_p18,
    COALESCE(asks[18][2], 0e0) AS ask_q18,
    COALESCE(asks[19][1], 0e0) AS ask_p19,
    COALESCE(asks[19][2], 0e0) AS ask_q19,
    COALESCE(asks[20][1], 0e0) AS ask_p20,
    COALESCE(asks[20][2], 0e0) AS ask_q20
FROM book
WHERE v = 1 AND `type` = 'book' AND receive_time IS NOT NULL AND update_id IS NOT NULL AND symbol IS NOT NULL
  AND bids[1][1] > 0e0 AND asks[1][1] > 0e0 AND bids[1][2] > 0e0 AND asks[1][2] > 0e0;

CREATE TEMPORARY VIEW book_sums AS
SELECT
    *,
    EXTRACT(EPOCH FROM now) * 1000000 + EXTRACT(MILLISECOND FROM now) * 1000 AS process_time,
    (bid_p1 + ask_p1) / 2e0 AS mid,
    bid_q1 + bid_q2 + bid_q3 + bid_q4 + bid_q5 + bid_q6 + bid_q7 + bid_q8 + bid_q9 + bid_q10 AS bid_quantity,
    ask_q1 + ask_q2 + ask_q3 + ask_q4 + ask_q5 + ask_q6 + ask_q7 + ask_q8 + ask_q9 + ask_q10 AS ask_quantity,
    bid_q1 + bid_q2 / 2.0e0 + bid_q3 / 3.0e0 + bid_q4 / 4.0e0 + bid_q5 / 5.0e0 + bid_q6 / 6.0e0 + bid_q7 / 7.0e0 + bid_q8 / 8.0e0 + bid_q9 / 9.0e0 + bid_q10 / 10.0e0 AS bid_weighted,
    ask_q1 + ask_q2 / 2.0e0 + ask_q3 / 3.0e0 + ask_q4 / 4.0e0 + ask_q5 / 5.0e0 + ask_q6 / 6.0e0 + ask_q7 / 7.0e0 + ask_q8 / 8.0e0 + ask_q9 / 9.0e0 + ask_q10 / 10.0e0 AS ask_weighted,
    CASE WHEN bid_last <= bid_limit THEN CASE WHEN bid_p1 >= bid_limit THEN bid_p1 * bid_q1 ELSE 0e0 END + CASE WHEN bid_p2 >= bid_limit THEN bid_p2 * bid_q2 ELSE 0e0 END + CASE WHEN bid_p3 >= bid_limit THEN bid_p3 * bid_q3 ELSE 0e0 END + CASE WHEN bid_p4 >= bid_limit THEN bid_p4 * bid_q4 ELSE 0e0 END + CASE WHEN bid_p5 >= bid_limit THEN bid_p5 * bid_q5 ELSE 0e0 END + CASE WHEN bid_p6 >= bid_limit THEN bid_p6 * bid_q6 ELSE 0e0 END + CASE WHEN bid_p7 >= bid_limit THEN bid_p7 * bid_q7 ELSE 0e0 END + CASE WHEN bid_p8 >= bid_limit THEN bid_p8 * bid_q8 ELSE 0e0 END + CASE WHEN bid_p9 >= bid_limit THEN bid_p9 * bid_q9 ELSE 0e0 END + CASE WHEN bid_p10 >= bid_limit THEN bid_p10 * bid_q10 ELSE 0e0 END + CASE WHEN bid_p11 >= bid_limit THEN bid_p11 * bid_q11 ELSE 0e0 END + CASE WHEN bid_p12 >= bid_limit THEN bid_p12 * bid_q12 ELSE 0e0 END + CASE WHEN bid_p13 >= bid_limit THEN bid_p13 * bid_q13 ELSE 0e0 END + CASE WHEN bid_p14 >= bid_limit THEN bid_p14 * bid_q14 ELSE 0e0 END + CASE WHEN bid_p15 >= bid_limit THEN bid_p15 * bid_q15 ELSE 0e0 END + CASE WHEN bid_p16 >= bid_limit THEN bid_p16 * bid_q16 ELSE 0e0 END + CASE WHEN bid_p17 >= bid_limit THEN bid_p17 * bid_q17 ELSE 0e0 END + CASE WHEN bid_p18 >= bid_limit THEN bid_p18 * bid_q18 ELSE 0e0 END + CASE WHEN bid_p19 >= bid_limit THEN bid_p19 * bid_q19 ELSE 0e0 END + CASE WHEN bid_p20 >= bid_limit THEN bid_p20 * bid_q20 ELSE 0e0 END END AS bid_depth,
    CASE WHEN ask_last >= ask_limit THEN CASE WHEN ask_p1 <= ask_limit THEN ask_p1 * ask_q1 ELSE 0e0 END + CASE WHEN ask_p2 <= ask_limit THEN ask_p2 * ask_q2 ELSE 0e0 END + CASE WHEN ask_p3 <= ask_limit THEN ask_p3 * ask_q3 ELSE 0e0 END + CASE WHEN ask_p4 <= ask_limit THEN ask_p4 * ask_q4 ELSE 0e0 END + CASE WHEN ask_p5 <= ask_limit THEN ask_p5 * ask_q5 ELSE 0e0 END + CASE WHEN ask_p6 <= ask_limit THEN ask_p6 * ask_q6 ELSE 0e0 END + CASE WHEN ask_p7 <= ask_limit THEN ask_p7 * ask_q7 ELSE 0e0 END + CASE WHEN ask_p8 <= ask_limit THEN ask_p8 * ask_q8 ELSE 0e0 END + CASE WHEN ask_p9 <= ask_limit THEN ask_p9 * ask_q9 ELSE 0e0 END + CASE WHEN ask_p10 <= ask_limit THEN ask_p10 * ask_q10 ELSE 0e0 END + CASE WHEN ask_p11 <= ask_limit THEN ask_p11 * ask_q11 ELSE 0e0 END + CASE WHEN ask_p12 <= ask_limit THEN ask_p12 * ask_q12 ELSE 0e0 END + CASE WHEN ask_p13 <= ask_limit THEN ask_p13 * ask_q13 ELSE 0e0 END + CASE WHEN ask_p14 <= ask_limit THEN ask_p14 * ask_q14 ELSE 0e0 END + CASE WHEN ask_p15 <= ask_limit THEN ask_p15 * ask_q15 ELSE 0e0 END + CASE WHEN ask_p16 <= ask_limit THEN ask_p16 * ask_q16 ELSE 0e0 END + CASE WHEN ask_p17 <= ask_limit THEN ask_p17 * ask_q17 ELSE 0e0 END + CASE WHEN ask_p18 <= ask_limit THEN ask_p18 * ask_q18 ELSE 0e0 END + CASE WHEN ask_p19 <= ask_limit THEN ask_p19 * ask_q19 ELSE 0e0 END + CASE WHEN ask_p20 <= ask_limit THEN ask_p20 * ask_q20 ELSE 0e0 END END AS ask_depth
FROM book_levels;

CREATE TEMPORARY VIEW book_measures AS
SELECT
    symbol AS symbol,
    COALESCE(event_time, receive_time) AS event_time,
    event_time IS NULL AS event_time_estimated,
    receive_time AS receive_time,
    process_time AS process_time,
    update_id AS update_id,
    bid_p1 AS best_bid,
    bid_q1 AS best_bid_quantity,
    ask_p1 AS best_ask,
    ask_q1 AS best_ask_quantity,
    mid AS mid,
    ask_p1 - bid_p1 AS spread,
    (ask_p1 - bid_p1) / mid * 1e4 AS spread_bps,
    (bid_quantity - ask_quantity) / (bid_quantity + ask_quantity) AS imbalance,
    (bid_weighted - ask_weighted) / (bid_weighted + ask_weighted) AS weighted_imbalance,
    (bid_q1 + ask_q1) / (bid_quantity + ask_quantity) AS vtob_ratio,
    (bid_p1 * ask_q1 + ask_p1 * bid_q1) / (bid_q1 + ask_q1) AS weighted_mid,
    bid_quantity AS bid_quantity,
    ask_quantity AS ask_quantity,
    bid_depth AS bid_depth,
    ask_depth AS ask_depth,
    `headers`,
    arrival
FROM book_sums;

CREATE TEMPORARY VIEW trade_feed AS
SELECT
    symbol,
    COALESCE(trade_time, event_time) AS reached,
    trade_time,
    receive_time,
    trade_id,
    price,
    quantity,
    taker_side,
    CAST(NULL AS DOUBLE) AS whale_trade,
    FALSE AS is_threshold,
    arrival
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
    CAST(NULL AS DOUBLE),
    CAST(NULL AS DOUBLE),
    CAST(NULL AS STRING),
    whale_trade,
    TRUE,
    arrival
FROM thresholds
WHERE v = 1 AND symbol IS NOT NULL;

CREATE TEMPORARY VIEW trade_clock AS
SELECT
    symbol,
    trade_time,
    receive_time,
    trade_id,
    price,
    quantity,
    taker_side,
    is_threshold,
    arrival,
    MAX(reached) OVER of_symbol AS clock,
    MAX(trade_time) OVER of_symbol AS newest,
    FIRST_VALUE(reached) OVER of_symbol AS since,
    COALESCE(LAST_VALUE(whale_trade) OVER of_symbol, 50000.0e0) AS whale_trade
FROM trade_feed
WINDOW of_symbol AS (PARTITION BY symbol ORDER BY arrival);

CREATE TEMPORARY VIEW ticks AS
SELECT
    symbol,
    trade_time,
    receive_time,
    trade_id,
    price,
    quantity,
    taker_side,
    arrival,
    clock,
    since,
    whale_trade,
    clock_before,
    newest_before,
    COALESCE((clock - 2000000) / 60000000 > (clock_before - 2000000) / 60000000, FALSE) AS crosses,
    COALESCE(trade_time - MOD(trade_time, 60000000) + 62000000 <= clock, FALSE) AS late
FROM (
SELECT
    symbol,
    trade_time,
    receive_time,
    trade_id,
    price,
    quantity,
    taker_side,
    arrival,
    clock,
    since,
    whale_trade,
    LAG(clock) OVER of_symbol AS clock_before,
    LAG(newest) OVER of_symbol AS newest_before
FROM trade_clock
WHERE NOT is_threshold
WINDOW of_symbol AS (PARTITION BY symbol ORDER BY arrival)
);

CREATE TEMPORARY VIEW ticks_once AS
SELECT symbol, trade_time, receive_time, trade_id, price, quantity, taker_side, clock, since, clock_before, newest_before, crosses, late, whale_trade
FROM (
SELECT *, ROW_NUMBER() OVER (PARTITION BY symbol, COALESCE(trade_id, -clock) ORDER BY arrival) AS nth
FROM ticks
WHERE trade_id IS NOT NULL OR crosses
)
WHERE nth = 1;

CREATE TEMPORARY VIEW candle_parts AS
SELECT
    symbol,
    `interval`,
    open_time,
    since,
    back,
    CASE WHEN back = 0 THEN price END AS price,
    CASE WHEN back = 0 THEN quantity END AS quantity,
    CASE WHEN back = 0 THEN taker_side END AS taker_side,
    CASE WHEN back = 0 THEN trade_key END AS trade_key
FROM (
SELECT *, CASE WHEN back = 0 THEN trade_time - MOD(trade_time, width) ELSE newest_before - MOD(newest_before, width) - (back - 1) * width END AS open_time
FROM (
SELECT *, CAST(trade_time + 1000000000000000000 AS STRING) || CAST(trade_id + 1000000000000000000 AS STRING) || CAST(receive_time + 1000000000000000000 AS STRING) || CAST(price AS STRING) AS trade_key,
CASE WHEN crosses THEN ARRAY[
    ROW(CAST('1m' AS STRING), CAST(60000000 AS BIGINT), 0),
    ROW(CAST('5m' AS STRING), CAST(300000000 AS BIGINT), 0),
    ROW(CAST('15m' AS STRING), CAST(900000000 AS BIGINT), 0),
    ROW(CAST('1h' AS STRING), CAST(3600000000 AS BIGINT), 0),
    ROW(CAST('1m' AS STRING), CAST(60000000 AS BIGINT), 1),
    ROW(CAST('1m' AS STRING), CAST(60000000 AS BIGINT), 2),
    ROW(CAST('5m' AS STRING), CAST(300000000 AS BIGINT), 1),
    ROW(CAST('5m' AS STRING), CAST(300000000 AS BIGINT), 2),
    ROW(CAST('15m' AS STRING), CAST(900000000 AS BIGINT), 1),
    ROW(CAST('15m' AS STRING), CAST(900000000 AS BIGINT), 2),
    ROW(CAST('1h' AS STRING), CAST(3600000000 AS BIGINT), 1),
    ROW(CAST('1h' AS STRING), CAST(3600000000 AS BIGINT), 2)
] ELSE ARRAY[
    ROW(CAST('1m' AS STRING), CAST(60000000 AS BIGINT), 0),
    ROW(CAST('5m' AS STRING), CAST(300000000 AS BIGINT), 0),
    ROW(CAST('15m' AS STRING), CAST(900000000 AS BIGINT), 0),
    ROW(CAST('1h' AS STRING), CAST(3600000000 AS BIGINT), 0)
] END AS steps
FROM ticks_once
)
CROSS JOIN UNNEST(steps) AS step (`interval`, width, back)
)
WHERE (back = 0 AND trade_id IS NOT NULL AND NOT late)
   OR (back > 0 AND open_time + width + 2000000 > clock_before AND open_time + width + 2000000 <= clock);

CREATE TEMPORARY VIEW candle_groups AS
SELECT
    *,
    CASE `interval` WHEN '1m' THEN 60000000 WHEN '5m' THEN 300000000 WHEN '15m' THEN 900000000 WHEN '1h' THEN 3600000000 END AS width,
    CAST(SUBSTRING(first_key FROM 58) AS DOUBLE) AS `open`,
    CAST(SUBSTRING(last_key FROM 58) AS DOUBLE) AS `close`,
    CAST(SUBSTRING(first_key FROM 20 FOR 19) AS BIGINT) - 1000000000000000000 AS first_trade_id,
    CAST(SUBSTRING(last_key FROM 20 FOR 19) AS BIGINT) - 1000000000000000000 AS last_trade_id,
    CAST(SUBSTRING(last_key FROM 39 FOR 19) AS BIGINT) - 1000000000000000000 AS receive_time
FROM (
SELECT
    symbol,
    `interval`,
    open_time,
    MAX(back) > 0 AS closed,
    open_time >= MIN(since) + 2000000 AS complete,
    MIN(trade_key) AS first_key,
    MAX(trade_key) AS last_key,
    MAX(price) AS high,
    MIN(price) AS low,
    SUM(quantity) AS volume,
    SUM(price * quantity) AS quote_volume,
    COUNT(price) AS trades,
    SUM(CASE WHEN taker_side = 'buy' THEN quantity ELSE 0e0 END) AS bought,
    SUM(CASE WHEN taker_side = 'sell' THEN quantity ELSE 0e0 END) AS sold
FROM candle_parts
GROUP BY symbol, `interval`, open_time
HAVING COUNT(price) > 0
);

CREATE TEMPORARY VIEW imbalance_feed AS
SELECT symbol, event_time, receive_time, process_time, arrival, imbalance,
    CAST(NULL AS DOUBLE) AS medium, CAST(NULL AS DOUBLE) AS high
FROM book_measures
UNION ALL
SELECT symbol, effective_from, effective_from, effective_from, arrival, CAST(NULL AS DOUBLE),
    imbalance_medium, imbalance_high
FROM thresholds
WHERE v = 1 AND symbol IS NOT NULL;

CREATE TEMPORARY VIEW imbalance_sides AS
SELECT *,
    CASE WHEN ABS(imbalance) >= medium THEN CAST(SIGN(imbalance) AS INT) ELSE 0 END AS side
FROM (
    SELECT symbol, event_time, receive_time, process_time, arrival, imbalance,
        COALESCE(LAST_VALUE(medium) OVER of_symbol, 0.5e0) AS medium,
        COALESCE(LAST_VALUE(high) OVER of_symbol, 0.7e0) AS high
    FROM imbalance_feed
    WINDOW of_symbol AS (PARTITION BY symbol ORDER BY arrival)
)
WHERE imbalance IS NOT NULL;

CREATE TEMPORARY VIEW imbalance_steps AS
SELECT symbol, event_time, receive_time, process_time, arrival, imbalance, medium, high, belongs,
    CASE WHEN belongs = 1 THEN side ELSE side_before END AS side,
    belongs = 1 AND side <> side_before AS opens,
    belongs = 1 AND ABS(imbalance) >= high AS is_high
FROM (
    SELECT *,
        CASE
            WHEN side = side_before THEN ARRAY[1]
            WHEN side_before = 0 THEN ARRAY[1]
            WHEN side = 0 THEN ARRAY[0]
            ELSE ARRAY[0, 1]
        END AS steps
    FROM (
        SELECT *, COALESCE(LAG(side) OVER of_symbol, 0) AS side_before
        FROM imbalance_sides
        WINDOW of_symbol AS (PARTITION BY symbol ORDER BY arrival)
    )
    WHERE side <> 0 OR side_before <> 0
)
CROSS JOIN UNNEST(steps) AS step (belongs);

CREATE TEMPORARY VIEW imbalance_episodes AS
SELECT symbol, event_time, receive_time, process_time, arrival, imbalance, medium, high, belongs, side, opens, is_high,
    SUM(CASE WHEN opens THEN 1 ELSE 0 END) OVER of_symbol AS episode,
    LAST_VALUE(CASE WHEN opens THEN event_time END) OVER of_symbol AS started_at,
    SUM(CASE WHEN is_high THEN 1 ELSE 0 END) OVER of_symbol AS highs
FROM imbalance_steps
WINDOW of_symbol AS (PARTITION BY symbol ORDER BY arrival);

CREATE TEMPORARY VIEW imbalance_extremes AS
SELECT *,
    side * CAST(furthest - CAST(episode * 2 AS DECIMAL(14, 0)) AS DOUBLE) AS extreme,
    highs - highs_before AS highs_within
FROM (
    SELECT symbol, event_time, receive_time, process_time, arrival, imbalance, medium, high, belongs, side, opens, is_high, episode, started_at, highs,
        MAX(CASE WHEN belongs = 1 THEN CAST(episode * 2 AS DECIMAL(14, 0)) + CAST(ABS(imbalance) AS DECIMAL(22, 20)) END) OVER of_symbol AS furthest,
        LAST_VALUE(CASE WHEN opens THEN highs - CASE WHEN is_high THEN 1 ELSE 0 END END) OVER of_symbol AS highs_before
    FROM imbalance_episodes
    WINDOW of_symbol AS (PARTITION BY symbol ORDER BY arrival)
);

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
        CASE
        WHEN NOT COALESCE(v = 1 AND `type` = 'book' AND receive_time IS NOT NULL AND update_id IS NOT NULL AND symbol IS NOT NULL, FALSE) THEN 'no book event of version 1 with its symbol, update_id and receive_time'
        WHEN NOT COALESCE(bids[1][1] > 0e0 AND asks[1][1] > 0e0 AND bids[1][2] > 0e0 AND asks[1][2] > 0e0, FALSE) THEN 'a side of the book is empty, so that there is no mid price'
        END AS error
    FROM book
    WHERE NOT COALESCE(v = 1 AND `type` = 'heartbeat', FALSE)
)
WHERE error IS NOT NULL;
INSERT INTO late (`type`, `v`, `symbol`, `trade_time`, `receive_time`, `process_time`, `trade_id`, `price`, `quantity`, `taker_side`, `clock`)
SELECT
    `type`,
    CAST(1 AS BIGINT),
    `symbol`,
    `trade_time`,
    `receive_time`,
    EXTRACT(EPOCH FROM LOCALTIMESTAMP) * 1000000 + EXTRACT(MILLISECOND FROM LOCALTIMESTAMP) * 1000,
    `trade_id`,
    `price`,
    `quantity`,
    `taker_side`,
    `clock`
FROM (
    SELECT *, ARRAY['late_trade'] AS types
    FROM ticks_once
    WHERE trade_id IS NOT NULL AND late
)
CROSS JOIN UNNEST(types) AS unnested (`type`);
INSERT INTO dead_letters (`type`, v, symbol, payload, encoding, error, source, ingestion_time)
SELECT 'dead_letter', CAST(1 AS BIGINT), symbol, payload, 'utf-8', error, source, EXTRACT(EPOCH FROM LOCALTIMESTAMP) * 1000000 + EXTRACT(MILLISECOND FROM LOCALTIMESTAMP) * 1000
FROM (
    SELECT
        COALESCE(symbol, '') AS symbol,
        JSON_OBJECT('type' VALUE `type`, 'v' VALUE v, 'symbol' VALUE symbol) AS payload,
        'crypto.trades[' || CAST(`partition` AS STRING) || ']@' || CAST(`offset` AS STRING) AS source,
        CASE
        WHEN NOT COALESCE(v = 1 AND `type` = 'trade' AND symbol IS NOT NULL AND trade_time IS NOT NULL AND receive_time IS NOT NULL AND trade_id IS NOT NULL AND taker_side IN ('buy', 'sell') AND price > 0e0 AND quantity > 0e0, FALSE) THEN 'no trade of version 1 with all its fields'
        END AS error
    FROM trades
    WHERE NOT COALESCE(v = 1 AND `type` = 'heartbeat' AND symbol IS NOT NULL AND event_time IS NOT NULL, FALSE)
)
WHERE error IS NOT NULL;
INSERT INTO candles (`type`, `v`, `symbol`, `interval`, `open_time`, `close_time`, `closed`, `complete`, `open`, `high`, `low`, `close`, `volume`, `quote_volume`, `trades`, `taker_buy_volume`, `vwap`, `buy_sell_ratio`, `price_change`, `first_trade_id`, `last_trade_id`, `receive_time`, `process_time`)
SELECT
    'candle',
    CAST(1 AS BIGINT),
    `symbol`,
    `interval`,
    `open_time`,
    open_time + width,
    `closed`,
    `complete`,
    `open`,
    `high`,
    `low`,
    `close`,
    `volume`,
    `quote_volume`,
    `trades`,
    bought,
    quote_volume / volume,
    bought / NULLIF(sold, 0e0),
    `close` / `open` - 1e0,
    `first_trade_id`,
    `last_trade_id`,
    `receive_time`,
    EXTRACT(EPOCH FROM LOCALTIMESTAMP) * 1000000 + EXTRACT(MILLISECOND FROM LOCALTIMESTAMP) * 1000
FROM candle_groups;
INSERT INTO alerts (`type`, `v`, `symbol`, `id`, `rule`, `severity`, `status`, `side`, `started_at`, `ended_at`, `event_time`, `value`, `extreme`, `threshold`, `trade_id`, `receive_time`, `process_time`)
SELECT
    'alert',
    CAST(1 AS BIGINT),
    `symbol`,
    'extreme_imbalance:' || symbol || ':' || CAST(started_at AS STRING),
    'extreme_imbalance',
    CASE WHEN highs_within > 0 THEN 'HIGH' ELSE 'MEDIUM' END,
    CASE WHEN belongs = 0 THEN 'closed' WHEN opens THEN 'open' ELSE 'escalated' END,
    CASE WHEN side > 0 THEN 'buy' ELSE 'sell' END,
    `started_at`,
    CASE WHEN belongs = 0 THEN event_time END,
    `event_time`,
    imbalance,
    `extreme`,
    CASE WHEN highs_within > 0 THEN high ELSE medium END,
    CAST(NULL AS BIGINT),
    `receive_time`,
    `process_time`
FROM imbalance_extremes
WHERE belongs = 0 OR opens OR (is_high AND highs_within = 1);
INSERT INTO alerts (`type`, `v`, `symbol`, `id`, `rule`, `severity`, `status`, `side`, `started_at`, `ended_at`, `event_time`, `value`, `extreme`, `threshold`, `trade_id`, `receive_time`, `process_time`)
SELECT
    'alert',
    CAST(1 AS BIGINT),
    `symbol`,
    'whale_trade:' || symbol || ':' || CAST(trade_time AS STRING) || ':' || CAST(trade_id AS STRING),
    'whale_trade',
    'MEDIUM',
    `status`,
    taker_side,
    trade_time,
    CASE WHEN status = 'closed' THEN trade_time END,
    trade_time,
    price * quantity,
    price * quantity,
    whale_trade,
    `trade_id`,
    `receive_time`,
    EXTRACT(EPOCH FROM LOCALTIMESTAMP) * 1000000 + EXTRACT(MILLISECOND FROM LOCALTIMESTAMP) * 1000
FROM (
    SELECT *, ARRAY['open', 'closed'] AS stages
    FROM ticks_once
    WHERE trade_id IS NOT NULL AND price * quantity > whale_trade
)
CROSS JOIN UNNEST(stages) AS stage (status);
END;
