-- For whoever computes something further in Snowflake: a stream of the candles that closed, and a task that takes them
-- into a table of one's own. Not applied by marketpipeline. Fill in the warehouse; then, as a role that may EXECUTE TASK:
--     snow sql -f downstream.sql -D "warehouse=REPORTING" --database MARKETPIPELINE --schema PUBLIC
-- The stream keeps its place by itself: each MERGE of the sink is one change, and a candle that grows truer comes again as
-- a deletion and an insertion, so the task merges by the key. The task runs, and wakes the warehouse, only where there is
-- something new.

CREATE STREAM IF NOT EXISTS candles_changes ON TABLE candles;

CREATE TABLE IF NOT EXISTS daily_volume (
    symbol VARCHAR NOT NULL,
    day DATE NOT NULL,
    volume FLOAT NOT NULL,
    quote_volume FLOAT NOT NULL,
    trades NUMBER(19, 0) NOT NULL
);

CREATE TASK IF NOT EXISTS daily_volume_task
    WAREHOUSE = <% warehouse %>
    SCHEDULE = '60 MINUTE'
    WHEN SYSTEM$STREAM_HAS_DATA('candles_changes')
AS
MERGE INTO daily_volume AS t
USING (
    SELECT c.symbol, TO_DATE(c.open_time) AS day, SUM(c.volume) AS volume, SUM(c.quote_volume) AS quote_volume,
        SUM(c.trades) AS trades
    FROM candles AS c
    WHERE c.interval = '1m'
        AND (c.symbol, TO_DATE(c.open_time)) IN (
            SELECT DISTINCT symbol, TO_DATE(open_time) FROM candles_changes WHERE METADATA$ACTION = 'INSERT'
        )
    GROUP BY c.symbol, TO_DATE(c.open_time)
) AS s
ON t.symbol = s.symbol AND t.day = s.day
WHEN MATCHED THEN UPDATE SET volume = s.volume, quote_volume = s.quote_volume, trades = s.trades
WHEN NOT MATCHED THEN INSERT (symbol, day, volume, quote_volume, trades)
    VALUES (s.symbol, s.day, s.volume, s.quote_volume, s.trades);

ALTER TASK daily_volume_task RESUME;
