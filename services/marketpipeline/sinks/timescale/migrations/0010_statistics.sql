-- Statistics of windows, of the trades and of the book; the book's windows of one second are the reduced book.
-- `made_of` names the alerts that completed a pattern.

CREATE TABLE trade_statistics (
    symbol              text             NOT NULL,
    interval            text             NOT NULL,
    open_time           timestamptz      NOT NULL,
    close_time          timestamptz      NOT NULL,
    complete            boolean          NOT NULL,
    trades              bigint           NOT NULL,
    quote_volume        double precision NOT NULL,
    taker_buy_volume    double precision NOT NULL,
    taker_sell_volume   double precision NOT NULL,
    vwap                double precision NOT NULL,
    price_change        double precision NOT NULL,
    range_bps           double precision NOT NULL,
    realised_volatility double precision,
    largest_trade       double precision NOT NULL,
    largest_trade_id    bigint           NOT NULL,
    outliers            bigint           NOT NULL,
    receive_time        timestamptz      NOT NULL,
    process_time        timestamptz      NOT NULL,
    PRIMARY KEY (symbol, interval, open_time)
);

CREATE TABLE book_statistics (
    symbol                 text             NOT NULL,
    interval               text             NOT NULL,
    open_time              timestamptz      NOT NULL,
    close_time             timestamptz      NOT NULL,
    events                 bigint           NOT NULL,
    mid                    double precision NOT NULL,
    spread_bps             double precision NOT NULL,
    imbalance              double precision NOT NULL,
    weighted_imbalance     double precision NOT NULL,
    bid_depth              double precision,
    ask_depth              double precision,
    lowest_imbalance       double precision NOT NULL,
    lowest_imbalance_time  timestamptz      NOT NULL,
    highest_imbalance      double precision NOT NULL,
    highest_imbalance_time timestamptz      NOT NULL,
    lowest_spread_bps      double precision NOT NULL,
    lowest_spread_time     timestamptz      NOT NULL,
    highest_spread_bps     double precision NOT NULL,
    highest_spread_time    timestamptz      NOT NULL,
    order_flow_imbalance   double precision NOT NULL,
    bid_slope              double precision,
    ask_slope              double precision,
    normal_spread_bps      double precision,
    receive_time           timestamptz      NOT NULL,
    process_time           timestamptz      NOT NULL,
    PRIMARY KEY (symbol, interval, open_time)
);

ALTER TABLE alerts ADD COLUMN made_of text;
