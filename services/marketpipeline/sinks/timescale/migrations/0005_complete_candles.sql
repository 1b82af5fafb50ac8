-- Whether the stream job had read a candle's beginning. Rows of earlier releases do not say, so they do not claim it.

ALTER TABLE candles ADD COLUMN complete boolean NOT NULL DEFAULT false;
