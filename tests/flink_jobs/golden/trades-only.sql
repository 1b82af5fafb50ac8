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
    COALESCE((clock - 200000000) / 180000000 > (clock_before - 200000000) / 180000000 OR (clock - 200000000) / 300000000 > (clock_before - 200000000) / 300000000, FALSE) AS crosses,
    COALESCE(trade_time - MOD(trade_time, 180000000) + 380000000 <= clock OR trade_time - MOD(trade_time, 300000000) + 500000000 <= clock, FALSE) AS late
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
    ROW(CAST('3m' AS STRING), CAST(180000000 AS BIGINT), 0),
    ROW(CAST('5m' AS STRING), CAST(300000000 AS BIGINT), 0),
    ROW(CAST('3m' AS STRING), CAST(180000000 AS BIGINT), 1),
    ROW(CAST('3m' AS STRING), CAST(180000000 AS BIGINT), 2),
    ROW(CAST('3m' AS STRING), CAST(180000000 AS BIGINT), 3),
    ROW(CAST('5m' AS STRING), CAST(300000000 AS BIGINT), 1),
    ROW(CAST('5m' AS STRING), CAST(300000000 AS BIGINT), 2)
] ELSE ARRAY[
    ROW(CAST('3m' AS STRING), CAST(180000000 AS BIGINT), 0),
    ROW(CAST('5m' AS STRING), CAST(300000000 AS BIGINT), 0)
] END AS steps
FROM ticks_once
)
CROSS JOIN UNNEST(steps) AS step (`interval`, width, back)
)
WHERE (back = 0 AND trade_id IS NOT NULL AND NOT late)
   OR (back > 0 AND open_time + width + 200000000 > clock_before AND open_time + width + 200000000 <= clock);

CREATE TEMPORARY VIEW candle_groups AS
SELECT
    *,
    CASE `interval` WHEN '3m' THEN 180000000 WHEN '5m' THEN 300000000 END AS width,
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
    open_time >= MIN(since) + 200000000 AS complete,
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

EXECUTE STATEMENT SET BEGIN
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
