-- What an exchange tells in contracts is stored in base units beside the number as it came.
ALTER TABLE trades ADD COLUMN contracts double precision;
ALTER TABLE agg_trades ADD COLUMN contracts double precision;
ALTER TABLE exchange_candles ADD COLUMN contracts double precision;
ALTER TABLE tickers ADD COLUMN last_contracts double precision;
ALTER TABLE tickers ADD COLUMN bid_contracts double precision;
ALTER TABLE tickers ADD COLUMN ask_contracts double precision;
ALTER TABLE tickers ADD COLUMN contracts double precision;
-- An exchange need not tell the quote volume of contracts.
ALTER TABLE tickers ALTER COLUMN quote_volume DROP NOT NULL;
