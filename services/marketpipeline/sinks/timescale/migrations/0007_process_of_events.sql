-- Which process of ingestion wrote an event: several may follow a symbol. Rows of earlier releases do not say.

ALTER TABLE feed_events ADD COLUMN process text NOT NULL DEFAULT '';
