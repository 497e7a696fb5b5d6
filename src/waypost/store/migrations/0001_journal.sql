-- The first schema. TEXT ids made by us (time-ordered, so a table grows at its end), BIGINT milliseconds given by the
-- caller, JSON and decimals as TEXT: what both engines can hold. Tables whose rows carry a body keep the plain layout;
-- WITHOUT ROWID is for the narrow ones, where the primary key is the row.

-- One row per message. No index on state or time: what still needs something done stands in `work`, and the id is
-- ordered by time. New columns go to the end, in the order of the struct `Message`.
CREATE TABLE message (
    id              TEXT   NOT NULL PRIMARY KEY,
    account         TEXT   NOT NULL,
    appkey          TEXT   NOT NULL,
    access_key      TEXT   NOT NULL,
    business_phone  TEXT   NOT NULL,
    phone_number_id TEXT   NOT NULL,
    waba_id         TEXT   NOT NULL,
    recipient       TEXT   NOT NULL,
    type            TEXT   NOT NULL,
    category        TEXT   NOT NULL,
    endpoint        TEXT   NOT NULL,
    body            BLOB,
    trace_id        TEXT   NOT NULL,
    key             TEXT   NOT NULL,
    key_expires_ms  BIGINT NOT NULL,
    sign            TEXT   NOT NULL,
    fingerprint     TEXT   NOT NULL,
    state           TEXT   NOT NULL,
    rank            BIGINT NOT NULL,
    attempt         BIGINT NOT NULL,
    owner           TEXT   NOT NULL,
    lease_until_ms  BIGINT NOT NULL,
    created_at_ms   BIGINT NOT NULL,
    cus_message_id  TEXT,
    dr_webhook      TEXT,
    opaque          TEXT,
    token           TEXT,
    price           TEXT,
    currency        TEXT,
    outcome_at_ms   BIGINT,
    answer_code     BIGINT,
    meta_message_id TEXT,
    meta_answer     TEXT
);

-- Every distinct thing that Meta said about a message. The key is what makes Meta's repeats one row.
CREATE TABLE status (
    message_id     TEXT   NOT NULL,
    status         TEXT   NOT NULL,
    participant    TEXT   NOT NULL,
    timestamp_ms   BIGINT NOT NULL,
    received_at_ms BIGINT NOT NULL,
    raw            TEXT   NOT NULL,
    PRIMARY KEY (message_id, status, participant)
);

-- What makes a repeat a repeat. The key column comes first, so that a look-up across accounts uses the same key.
CREATE TABLE message_key (
    key        TEXT   NOT NULL,
    account_id TEXT   NOT NULL,
    message_id TEXT   NOT NULL,
    sign       TEXT   NOT NULL,
    reuse      TEXT   NOT NULL,
    expires_ms BIGINT NOT NULL,
    PRIMARY KEY (key, account_id)
) WITHOUT ROWID;

-- Finds the keys to purge; two ends of growth only (24 h and 30 days ahead), so it costs a write next to nothing.
CREATE INDEX message_key_expiry ON message_key (expires_ms);

-- Which message a Meta id belongs to, within a phone. A message sent in two attempts may own two.
CREATE TABLE meta_id (
    meta_id         TEXT NOT NULL,
    phone_number_id TEXT NOT NULL,
    account_id      TEXT NOT NULL,
    message_id      TEXT NOT NULL,
    PRIMARY KEY (meta_id, phone_number_id)
) WITHOUT ROWID;

-- Finds what hangs on a message that is purged.
CREATE INDEX meta_id_message ON meta_id (message_id);

-- What still needs something done; a row is deleted when it is. (kind, id) is the key, because every deletion names
-- one message and must not search; claims of what is due go through the index below, which holds the whole row.
CREATE TABLE work (
    kind     TEXT   NOT NULL,
    scope    TEXT   NOT NULL,
    priority BIGINT NOT NULL,
    due_ms   BIGINT NOT NULL,
    id       TEXT   NOT NULL,
    PRIMARY KEY (kind, id)
) WITHOUT ROWID;

CREATE INDEX work_due ON work (kind, scope, priority, due_ms);

-- Status events that overtook their message, or that concern messages of other systems on the WABA.
CREATE TABLE parked_status (
    phone_number_id TEXT   NOT NULL,
    meta_id         TEXT   NOT NULL,
    status          TEXT   NOT NULL,
    participant     TEXT   NOT NULL,
    recipient       TEXT   NOT NULL,
    opaque          TEXT,
    timestamp_ms    BIGINT NOT NULL,
    received_at_ms  BIGINT NOT NULL,
    raw             TEXT   NOT NULL,
    PRIMARY KEY (phone_number_id, meta_id, status, participant)
);

-- Finds the reports that may settle an unknown message of this pair; the Meta id is in it because they are grouped by
-- it: otherwise the primary key, in that order already, is preferred and every parked report of the phone is read.
CREATE INDEX parked_status_pair ON parked_status (phone_number_id, recipient, meta_id);

-- Finds the ones to purge.
CREATE INDEX parked_status_received ON parked_status (received_at_ms);

-- Each POST of Meta's as it came, for as long as the setting says.
CREATE TABLE raw_webhook (
    id             TEXT   NOT NULL PRIMARY KEY,
    received_at_ms BIGINT NOT NULL,
    body           BLOB   NOT NULL
);

-- Accounts, applications, WABAs, phones and templates as JSON, their secrets sealed.
CREATE TABLE tenant (
    kind    TEXT   NOT NULL,
    key     TEXT   NOT NULL,
    origin  TEXT   NOT NULL,
    enabled BIGINT NOT NULL,
    spec    TEXT   NOT NULL,
    PRIMARY KEY (kind, key)
);

-- Named values the store keeps for itself: how far bodies have been wiped, the last probe.
CREATE TABLE mark (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);
