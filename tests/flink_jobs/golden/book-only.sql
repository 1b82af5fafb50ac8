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
    (bids[1][1] + asks[1][1]) * 0.49975e0 AS bid_limit,
    (bids[1][1] + asks[1][1]) * 0.50025e0 AS ask_limit,
    bids[CARDINALITY(bids)][1] AS bid_last,
    asks[CARDINALITY(asks)][1] AS ask_last,
    COALESCE(bids[1][1], 0e0) AS bid_p1,
    COALESCE(bids[1][2], 0e0) AS bid_q1,
    COALESCE(bids[2][1], 0e0) AS bid_p2,
    COALESCE(bids[2][2], 0e0) AS bid_q2,
    COALESCE(bids[3][1], 0e0) AS bid_p3,
    COALESCE(bids[3][2], 0e0) AS bid_q3,
    COALESCE(asks[1][1], 0e0) AS ask_p1,
    COALESCE(asks[1][2], 0e0) AS ask_q1,
    COALESCE(asks[2][1], 0e0) AS ask_p2,
    COALESCE(asks[2][2], 0e0) AS ask_q2,
    COALESCE(asks[3][1], 0e0) AS ask_p3,
    COALESCE(asks[3][2], 0e0) AS ask_q3
FROM book
WHERE v = 1 AND `type` = 'book' AND receive_time IS NOT NULL AND update_id IS NOT NULL AND symbol IS NOT NULL
  AND bids[1][1] > 0e0 AND asks[1][1] > 0e0 AND bids[1][2] > 0e0 AND asks[1][2] > 0e0;

CREATE TEMPORARY VIEW book_sums AS
SELECT
    *,
    EXTRACT(EPOCH FROM now) * 1000000 + EXTRACT(MILLISECOND FROM now) * 1000 AS process_time,
    (bid_p1 + ask_p1) / 2e0 AS mid,
    bid_q1 + bid_q2 AS bid_quantity,
    ask_q1 + ask_q2 AS ask_quantity,
    bid_q1 + bid_q2 / 2.0e0 AS bid_weighted,
    ask_q1 + ask_q2 / 2.0e0 AS ask_weighted,
    CASE WHEN bid_last <= bid_limit THEN CASE WHEN bid_p1 >= bid_limit THEN bid_p1 * bid_q1 ELSE 0e0 END + CASE WHEN bid_p2 >= bid_limit THEN bid_p2 * bid_q2 ELSE 0e0 END + CASE WHEN bid_p3 >= bid_limit THEN bid_p3 * bid_q3 ELSE 0e0 END END AS bid_depth,
    CASE WHEN ask_last >= ask_limit THEN CASE WHEN ask_p1 <= ask_limit THEN ask_p1 * ask_q1 ELSE 0e0 END + CASE WHEN ask_p2 <= ask_limit THEN ask_p2 * ask_q2 ELSE 0e0 END + CASE WHEN ask_p3 <= ask_limit THEN ask_p3 * ask_q3 ELSE 0e0 END END AS ask_depth
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
END;
