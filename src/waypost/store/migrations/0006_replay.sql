-- Until when a callback waits for an earlier one of its message: two minutes from when it first had to, which is later
-- than its creation where the gateway was down, or where it is replayed. Unset until then.
ALTER TABLE callback ADD COLUMN order_until_ms BIGINT;

-- What operators did through the admin API: who, when, to what (JSON), and how many rows it has touched so far. The id
-- is ordered by time; only the last entries are kept.
CREATE TABLE audit (
    id        TEXT   NOT NULL PRIMARY KEY,
    at_ms     BIGINT NOT NULL,
    who       TEXT   NOT NULL,
    action    TEXT   NOT NULL,
    selection TEXT   NOT NULL,
    affected  BIGINT NOT NULL
);
