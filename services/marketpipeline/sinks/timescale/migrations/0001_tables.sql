-- The tables of the history. Columns follow from the records (marketpipeline.store.tables), times are UTC.

-- Every symbol that has ever had a row, so that nobody searches the large tables for them.
CREATE TABLE symbols (
    symbol     text PRIMARY KEY,
    first_seen timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE trades (
    symbol       text             NOT NULL,
    event_time   timestamptz,
    trade_time   timestamptz      NOT NULL,
    receive_time timestamptz      NOT NULL,
    trade_id     bigint           NOT NULL,
    price        double precision NOT NULL,
    quantity     double precision NOT NULL,
    taker_side   text             NOT NULL,
    filled       boolean          NOT NULL,
    PRIMARY KEY (symbol, trade_time, trade_id)
);

CREATE TABLE agg_trades (
    symbol         text             NOT NULL,
    event_time     timestamptz,
    trade_time     timestamptz      NOT NULL,
    receive_time   timestamptz      NOT NULL,
    agg_trade_id   bigint           NOT NULL,
    first_trade_id bigint           NOT NULL,
    last_trade_id  bigint           NOT NULL,
    price          double precision NOT NULL,
    quantity       double precision NOT NULL,
    taker_side     text             NOT NULL,
    filled         boolean          NOT NULL,
    PRIMARY KEY (symbol, trade_time, agg_trade_id)
);

CREATE TABLE late_trades (
    symbol       text             NOT NULL,
    trade_time   timestamptz      NOT NULL,
    receive_time timestamptz      NOT NULL,
    process_time timestamptz      NOT NULL,
    trade_id     bigint           NOT NULL,
    price        double precision NOT NULL,
    quantity     double precision NOT NULL,
    taker_side   text             NOT NULL,
    clock        timestamptz      NOT NULL,
    PRIMARY KEY (symbol, trade_time, trade_id)
);

CREATE TABLE book_metrics (
    symbol               text             NOT NULL,
    event_time           timestamptz      NOT NULL,
    event_time_estimated boolean          NOT NULL,
    receive_time         timestamptz      NOT NULL,
    process_time         timestamptz      NOT NULL,
    update_id            bigint           NOT NULL,
    best_bid             double precision NOT NULL,
    best_bid_quantity    double precision NOT NULL,
    best_ask             double precision NOT NULL,
    best_ask_quantity    double precision NOT NULL,
    mid                  double precision NOT NULL,
    spread               double precision NOT NULL,
    spread_bps           double precision NOT NULL,
    imbalance            double precision NOT NULL,
    weighted_imbalance   double precision NOT NULL,
    vtob_ratio           double precision NOT NULL,
    weighted_mid         double precision NOT NULL,
    bid_quantity         double precision NOT NULL,
    ask_quantity         double precision NOT NULL,
    bid_depth            double precision,
    ask_depth            double precision,
    PRIMARY KEY (symbol, event_time, update_id)
);

CREATE TABLE tickers (
    symbol        text             NOT NULL,
    event_time    timestamptz,
    receive_time  timestamptz      NOT NULL,
    last_price    double precision NOT NULL,
    last_quantity double precision NOT NULL,
    bid_price     double precision NOT NULL,
    bid_quantity  double precision NOT NULL,
    ask_price     double precision NOT NULL,
    ask_quantity  double precision NOT NULL,
    open          double precision NOT NULL,
    high          double precision NOT NULL,
    low           double precision NOT NULL,
    volume        double precision NOT NULL,
    quote_volume  double precision NOT NULL,
    price_change  double precision NOT NULL,
    vwap          double precision,
    trades        bigint,
    PRIMARY KEY (symbol, receive_time)
);

CREATE TABLE candles (
    symbol           text             NOT NULL,
    interval         text             NOT NULL,
    open_time        timestamptz      NOT NULL,
    close_time       timestamptz      NOT NULL,
    closed           boolean          NOT NULL,
    open             double precision NOT NULL,
    high             double precision NOT NULL,
    low              double precision NOT NULL,
    close            double precision NOT NULL,
    volume           double precision NOT NULL,
    quote_volume     double precision NOT NULL,
    trades           bigint           NOT NULL,
    taker_buy_volume double precision NOT NULL,
    vwap             double precision NOT NULL,
    buy_sell_ratio   double precision,
    price_change     double precision NOT NULL,
    first_trade_id   bigint           NOT NULL,
    last_trade_id    bigint           NOT NULL,
    receive_time     timestamptz      NOT NULL,
    process_time     timestamptz      NOT NULL,
    PRIMARY KEY (symbol, interval, open_time)
);

CREATE TABLE exchange_candles (
    symbol           text             NOT NULL,
    event_time       timestamptz,
    receive_time     timestamptz      NOT NULL,
    interval         text             NOT NULL,
    open_time        timestamptz      NOT NULL,
    closed           boolean          NOT NULL,
    open             double precision NOT NULL,
    high             double precision NOT NULL,
    low              double precision NOT NULL,
    close            double precision NOT NULL,
    volume           double precision NOT NULL,
    quote_volume     double precision NOT NULL,
    trades           bigint,
    taker_buy_volume double precision,
    PRIMARY KEY (symbol, interval, open_time)
);

CREATE TABLE alerts (
    symbol       text             NOT NULL,
    id           text             PRIMARY KEY,
    rule         text             NOT NULL,
    severity     text             NOT NULL,
    status       text             NOT NULL,
    side         text             NOT NULL,
    started_at   timestamptz      NOT NULL,
    ended_at     timestamptz,
    event_time   timestamptz      NOT NULL,
    value        double precision NOT NULL,
    extreme      double precision NOT NULL,
    threshold    double precision NOT NULL,
    trade_id     bigint,
    receive_time timestamptz      NOT NULL,
    process_time timestamptz      NOT NULL
);
CREATE INDEX alerts_by_symbol ON alerts (symbol, started_at DESC);
CREATE INDEX alerts_by_time ON alerts (started_at DESC);

CREATE TABLE feed_events (
    symbol       text        NOT NULL,
    id           text        PRIMARY KEY,
    kind         text        NOT NULL,
    feed         text        NOT NULL,
    event_time   timestamptz,
    receive_time timestamptz NOT NULL,
    first_id     bigint,
    last_id      bigint,
    detail       text        NOT NULL
);
CREATE INDEX feed_events_by_symbol ON feed_events (symbol, receive_time DESC);
