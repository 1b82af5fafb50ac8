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
    'format' = 'plain-json',
    'plain-json.ignore-parse-errors' = 'true'
);

CREATE TEMPORARY TABLE thresholds (
    `type` STRING,
    `v` BIGINT,
    `symbol` STRING,
    `effective_from` BIGINT,
    `values` MAP<STRING, DOUBLE>,
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

CREATE TEMPORARY SYSTEM FUNCTION measures_of_book AS 'dev.marketpipeline.flink.book.BookMeasures' LANGUAGE JAVA;

CREATE TEMPORARY SYSTEM FUNCTION rules_of_book AS 'dev.marketpipeline.flink.book.BookRules' LANGUAGE JAVA;

CREATE TEMPORARY VIEW book_records AS
SELECT
    `type`,
    v,
    symbol,
    event_time,
    receive_time,
    update_id,
    bids,
    asks,
    `headers`,
    `partition`,
    `offset`
FROM book;

CREATE TEMPORARY VIEW book_measured AS
SELECT *
FROM measures_of_book(`input` => TABLE book_records, `calculate` => 2, `withinBps` => 5.0e0);

CREATE TEMPORARY VIEW book_measures AS
SELECT
    COALESCE(event_time, receive_time) AS event_time,
    event_time IS NULL AS event_time_estimated,
    EXTRACT(EPOCH FROM LOCALTIMESTAMP) * 1000000 + EXTRACT(MILLISECOND FROM LOCALTIMESTAMP) * 1000 AS process_time,
    symbol,
    receive_time,
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
    `headers`
FROM book_measured
WHERE v = 1 AND `type` = 'book' AND receive_time IS NOT NULL AND update_id IS NOT NULL AND symbol IS NOT NULL
  AND error IS NULL;

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
    `values`
FROM thresholds
WHERE v = 1 AND symbol IS NOT NULL AND `values` IS NOT NULL;

CREATE TEMPORARY VIEW book_found AS
SELECT *
FROM rules_of_book(`input` => TABLE book_events PARTITION BY symbol, `settings` => 'imbalance_medium=0.5,imbalance_high=0.7,imbalance_flip=10.0,liquidity_stress=0.3,spread_widening=2.0,outlier=10.0,price_spike=0.02,trade_burst=5.0,volume_spike=1000000.0,whale_trade=50000.0,volume_spike_usual=0.0,whale_trade_usual=0.0,cooldown=60.0', `uid` => 'rules_of_book');

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
        WHEN (v = 1 AND `type` = 'book' AND receive_time IS NOT NULL AND update_id IS NOT NULL AND symbol IS NOT NULL) IS NOT TRUE THEN 'no book event of version 1 with its symbol, update_id and receive_time'
        WHEN TRUE THEN error
        END AS error
    FROM book_measured
    WHERE (v = 1 AND `type` = 'heartbeat') IS NOT TRUE
)
WHERE error IS NOT NULL;
INSERT INTO alerts (`type`, `v`, `symbol`, `id`, `rule`, `severity`, `status`, `side`, `started_at`, `ended_at`, `event_time`, `value`, `extreme`, `threshold`, `trade_id`, `receive_time`, `process_time`)
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
    f.alert.`process_time`
FROM book_found AS f
WHERE f.alert IS NOT NULL;
END;
