-- The outbox: callbacks, their attempts, and what may be journalled only once. What waits stands in `work` under the
-- kind `callback`, scope the endpoint. Its `priority` tells why: 0 is claimed once it is due (a lease and a pause before
-- another try are due times too); 1 was due, but waits for a callback of the same message before it, until `due_ms` at
-- the latest.

-- One row per callback, in the order of the struct `Callback`; after its fields comes what only the store needs:
-- since when the callback waits to be delivered (its creation, or its last replay), from which its horizon counts.
CREATE TABLE callback (
    id                  TEXT   NOT NULL PRIMARY KEY,
    account             TEXT   NOT NULL,
    appkey              TEXT   NOT NULL,
    url                 TEXT   NOT NULL,
    endpoint            TEXT   NOT NULL,
    kind                TEXT   NOT NULL,
    body                BLOB   NOT NULL,
    access_key          TEXT,
    message_id          TEXT,
    status              TEXT,
    rank                BIGINT NOT NULL,
    state               TEXT   NOT NULL,
    created_at_ms       BIGINT NOT NULL,
    attempts            BIGINT NOT NULL,
    first_attempt_at_ms BIGINT,
    settled_at_ms       BIGINT,
    http_status         BIGINT,
    error               TEXT,
    waits_since_ms      BIGINT NOT NULL
);

-- Finds what goes before and after a callback of the same message.
CREATE INDEX callback_message ON callback (message_id, rank) WHERE message_id IS NOT NULL;

-- Finds the ones to purge; grows at its end only, so it costs a write next to nothing.
CREATE INDEX callback_settled ON callback (settled_at_ms) WHERE settled_at_ms IS NOT NULL;

-- Finds what somebody may want replayed, however much was delivered in between.
CREATE INDEX callback_abandoned ON callback (id) WHERE state = 'abandoned';

-- Finds the events of an application among its many statuses, for the customer who asks for them.
CREATE INDEX callback_event ON callback (appkey, id) WHERE kind = 'event';

-- Tries to push a callback: the last ones of each, none where the first succeeded.
CREATE TABLE attempt (
    callback_id TEXT   NOT NULL,
    number      BIGINT NOT NULL,
    at_ms       BIGINT NOT NULL,
    duration_ms BIGINT NOT NULL,
    http_status BIGINT,
    error       TEXT,
    excerpt     TEXT,
    PRIMARY KEY (callback_id, number)
);

-- What has been journalled and must not be again: Meta repeats a POST for seven days.
CREATE TABLE once_key (
    key        TEXT   NOT NULL PRIMARY KEY,
    seen_at_ms BIGINT NOT NULL
) WITHOUT ROWID;

-- Finds the ones to purge.
CREATE INDEX once_key_seen ON once_key (seen_at_ms);
