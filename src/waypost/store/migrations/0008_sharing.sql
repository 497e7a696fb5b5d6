-- What processes that share a journal agree on.

-- Which process sends what waits for a phone, and until when it said so.
CREATE TABLE queue_owner (
    phone_number_id TEXT   NOT NULL PRIMARY KEY,
    owner           TEXT   NOT NULL,
    until_ms        BIGINT NOT NULL
) WITHOUT ROWID;
