-- A fill is an execution in this field: what was missed on the stream and fetched over REST is a backfill.

ALTER TABLE trades RENAME COLUMN filled TO backfilled;
ALTER TABLE agg_trades RENAME COLUMN filled TO backfilled;
UPDATE feed_events SET kind = 'backfill', id = 'back' || id WHERE kind = 'fill';
