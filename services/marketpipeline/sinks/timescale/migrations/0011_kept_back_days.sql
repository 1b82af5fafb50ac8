-- Days beyond the retention that could not go yet, as the last run of the job found them, and since when that is so.
CREATE TABLE kept_back_days (
    table_name text NOT NULL,
    day        date NOT NULL,
    reason     text NOT NULL,
    since      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (table_name, day)
);
