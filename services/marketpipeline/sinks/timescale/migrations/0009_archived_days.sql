-- Days of a table that the archive answers for; one that was restored is here again, until then.
CREATE TABLE archived_days (
    table_name     text NOT NULL,
    day            date NOT NULL,
    rows           bigint NOT NULL,
    archived_at    timestamptz NOT NULL DEFAULT now(),
    restored_until timestamptz,
    PRIMARY KEY (table_name, day)
);
