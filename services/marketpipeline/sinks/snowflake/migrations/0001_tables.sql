-- Tables of the warehouse, clustered by symbol and day. Times are UTC. Natural keys are kept by the sink: Snowflake
-- enforces none.
CREATE TABLE IF NOT EXISTS alerts (
    symbol VARCHAR NOT NULL,
    id VARCHAR NOT NULL,
    rule VARCHAR NOT NULL,
    severity VARCHAR NOT NULL,
    status VARCHAR NOT NULL,
    side VARCHAR NOT NULL,
    started_at TIMESTAMP_NTZ(6) NOT NULL,
    ended_at TIMESTAMP_NTZ(6),
    event_time TIMESTAMP_NTZ(6) NOT NULL,
    value FLOAT NOT NULL,
    extreme FLOAT NOT NULL,
    threshold FLOAT NOT NULL,
    trade_id NUMBER(19, 0),
    receive_time TIMESTAMP_NTZ(6) NOT NULL,
    process_time TIMESTAMP_NTZ(6) NOT NULL,
    made_of VARCHAR
)
CLUSTER BY (symbol, TO_DATE(started_at))
COMMENT = 'One row for each id';

CREATE TABLE IF NOT EXISTS candles (
    symbol VARCHAR NOT NULL,
    interval VARCHAR NOT NULL,
    open_time TIMESTAMP_NTZ(6) NOT NULL,
    close_time TIMESTAMP_NTZ(6) NOT NULL,
    closed BOOLEAN NOT NULL,
    complete BOOLEAN NOT NULL,
    open FLOAT NOT NULL,
    high FLOAT NOT NULL,
    low FLOAT NOT NULL,
    close FLOAT NOT NULL,
    volume FLOAT NOT NULL,
    quote_volume FLOAT NOT NULL,
    trades NUMBER(19, 0) NOT NULL,
    taker_buy_volume FLOAT NOT NULL,
    vwap FLOAT NOT NULL,
    buy_sell_ratio FLOAT,
    price_change FLOAT NOT NULL,
    first_trade_id NUMBER(19, 0) NOT NULL,
    last_trade_id NUMBER(19, 0) NOT NULL,
    receive_time TIMESTAMP_NTZ(6) NOT NULL,
    process_time TIMESTAMP_NTZ(6) NOT NULL
)
CLUSTER BY (symbol, TO_DATE(open_time))
COMMENT = 'One row for each symbol, interval, open_time';

CREATE TABLE IF NOT EXISTS feed_events (
    symbol VARCHAR NOT NULL,
    id VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    feed VARCHAR NOT NULL,
    event_time TIMESTAMP_NTZ(6),
    receive_time TIMESTAMP_NTZ(6) NOT NULL,
    first_id NUMBER(19, 0),
    last_id NUMBER(19, 0),
    detail VARCHAR NOT NULL,
    process VARCHAR NOT NULL
)
CLUSTER BY (symbol, TO_DATE(receive_time))
COMMENT = 'One row for each id';

CREATE TABLE IF NOT EXISTS trade_statistics (
    symbol VARCHAR NOT NULL,
    interval VARCHAR NOT NULL,
    open_time TIMESTAMP_NTZ(6) NOT NULL,
    close_time TIMESTAMP_NTZ(6) NOT NULL,
    complete BOOLEAN NOT NULL,
    trades NUMBER(19, 0) NOT NULL,
    quote_volume FLOAT NOT NULL,
    taker_buy_volume FLOAT NOT NULL,
    taker_sell_volume FLOAT NOT NULL,
    vwap FLOAT NOT NULL,
    price_change FLOAT NOT NULL,
    range_bps FLOAT NOT NULL,
    realised_volatility FLOAT,
    largest_trade FLOAT NOT NULL,
    largest_trade_id NUMBER(19, 0) NOT NULL,
    outliers NUMBER(19, 0) NOT NULL,
    receive_time TIMESTAMP_NTZ(6) NOT NULL,
    process_time TIMESTAMP_NTZ(6) NOT NULL
)
CLUSTER BY (symbol, TO_DATE(open_time))
COMMENT = 'One row for each symbol, interval, open_time';

CREATE TABLE IF NOT EXISTS book_samples (
    symbol VARCHAR NOT NULL,
    event_time TIMESTAMP_NTZ(6) NOT NULL,
    event_time_estimated BOOLEAN NOT NULL,
    receive_time TIMESTAMP_NTZ(6) NOT NULL,
    process_time TIMESTAMP_NTZ(6) NOT NULL,
    update_id NUMBER(19, 0) NOT NULL,
    best_bid FLOAT NOT NULL,
    best_bid_quantity FLOAT NOT NULL,
    best_ask FLOAT NOT NULL,
    best_ask_quantity FLOAT NOT NULL,
    mid FLOAT NOT NULL,
    spread FLOAT NOT NULL,
    spread_bps FLOAT NOT NULL,
    imbalance FLOAT NOT NULL,
    weighted_imbalance FLOAT NOT NULL,
    vtob_ratio FLOAT NOT NULL,
    weighted_mid FLOAT NOT NULL,
    bid_quantity FLOAT NOT NULL,
    ask_quantity FLOAT NOT NULL,
    bid_depth FLOAT,
    ask_depth FLOAT,
    interval VARCHAR NOT NULL,
    open_time TIMESTAMP_NTZ(6) NOT NULL,
    close_time TIMESTAMP_NTZ(6) NOT NULL,
    lowest_mid FLOAT NOT NULL,
    highest_mid FLOAT NOT NULL,
    lowest_spread_bps FLOAT NOT NULL,
    highest_spread_bps FLOAT NOT NULL,
    lowest_imbalance FLOAT NOT NULL,
    highest_imbalance FLOAT NOT NULL
)
CLUSTER BY (symbol, TO_DATE(open_time))
COMMENT = 'One row for each symbol, interval, open_time';

CREATE TABLE IF NOT EXISTS trades (
    symbol VARCHAR NOT NULL,
    event_time TIMESTAMP_NTZ(6),
    trade_time TIMESTAMP_NTZ(6) NOT NULL,
    receive_time TIMESTAMP_NTZ(6) NOT NULL,
    trade_id NUMBER(19, 0) NOT NULL,
    price FLOAT NOT NULL,
    quantity FLOAT NOT NULL,
    taker_side VARCHAR NOT NULL,
    backfilled BOOLEAN NOT NULL,
    contracts FLOAT
)
CLUSTER BY (symbol, TO_DATE(trade_time))
COMMENT = 'One row for each symbol, trade_time, trade_id';
