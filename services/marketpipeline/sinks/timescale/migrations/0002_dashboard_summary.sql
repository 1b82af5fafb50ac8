-- One row a symbol with what a dashboard's first screen shows; each part is one look-up by its key.

CREATE VIEW dashboard_summary AS
SELECT
    s.symbol,
    trade.price              AS last_price,
    trade.trade_time         AS last_trade_time,
    book.best_bid,
    book.best_ask,
    book.mid,
    book.spread,
    book.spread_bps,
    book.imbalance,
    book.weighted_imbalance,
    book.vtob_ratio,
    book.event_time          AS book_time,
    minute.open_time         AS minute_open_time,
    minute.open              AS minute_open,
    minute.high              AS minute_high,
    minute.low               AS minute_low,
    minute.close             AS minute_close,
    minute.volume            AS minute_volume,
    minute.closed            AS minute_closed,
    day.low                  AS day_low,
    day.high                 AS day_high,
    day.volume               AS day_volume,
    day.quote_volume         AS day_quote_volume,
    day.trades               AS day_trades,
    coalesce(alert.open, 0)  AS open_alerts,
    alert.last_started_at    AS last_alert_at
FROM symbols AS s
LEFT JOIN LATERAL (
    SELECT price, trade_time FROM trades
    WHERE trades.symbol = s.symbol ORDER BY trade_time DESC, trade_id DESC LIMIT 1
) AS trade ON true
LEFT JOIN LATERAL (
    SELECT * FROM book_metrics
    WHERE book_metrics.symbol = s.symbol ORDER BY event_time DESC, update_id DESC LIMIT 1
) AS book ON true
LEFT JOIN LATERAL (
    SELECT * FROM candles
    WHERE candles.symbol = s.symbol AND candles.interval = '1m' ORDER BY open_time DESC LIMIT 1
) AS minute ON true
LEFT JOIN LATERAL (
    -- the 24 hours up to the newest minute, which in a replay are not those up to now
    SELECT min(low) AS low, max(high) AS high, sum(volume) AS volume, sum(quote_volume) AS quote_volume,
           sum(trades)::bigint AS trades
    FROM candles
    WHERE candles.symbol = s.symbol AND candles.interval = '1m'
      AND candles.open_time > minute.open_time - interval '24 hours' AND candles.open_time <= minute.open_time
) AS day ON true
LEFT JOIN LATERAL (
    SELECT count(*) FILTER (WHERE status <> 'closed') AS open, max(started_at) AS last_started_at
    FROM alerts WHERE alerts.symbol = s.symbol
) AS alert ON true;
