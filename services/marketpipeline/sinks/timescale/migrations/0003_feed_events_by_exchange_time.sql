-- Feed events are asked for by the exchange's time, and by ours where they have none: what a query orders by, as it is.

CREATE INDEX feed_events_by_exchange_time ON feed_events (symbol, coalesce(event_time, receive_time), id);
