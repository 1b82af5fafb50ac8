-- When the newest record or heartbeat of a symbol was received, to the minute: how a quiet market is told from a dead one.

ALTER TABLE symbols ADD COLUMN seen_at timestamptz;
