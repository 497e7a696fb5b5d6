-- The queue: messages that wait for their turn, who may send how fast, and what stands still.

-- One row per message that waits, or that is being sent and may have to wait again; in the order of the struct
-- `Waiting`. A lane is what one application sends through one phone to one recipient at one priority, one by one (an
-- application that stands still must not stop another that writes to the same people). Of its rows one is in front (ready,
-- `standing` 0, or in flight, 2) and the others stand behind it (1). A row aside (3) is in no lane until it is due.
CREATE TABLE queued (
    message_id      TEXT   NOT NULL PRIMARY KEY,
    phone_number_id TEXT   NOT NULL,
    waba_id         TEXT   NOT NULL,
    account         TEXT   NOT NULL,
    appkey          TEXT   NOT NULL,
    recipient       TEXT   NOT NULL,
    priority        BIGINT NOT NULL,
    template        TEXT,
    since_ms        BIGINT NOT NULL,
    due_ms          BIGINT NOT NULL,
    expires_ms      BIGINT,
    tries           BIGINT NOT NULL,
    reason          TEXT,
    standing        BIGINT NOT NULL
) WITHOUT ROWID;

-- Who is in front of a lane; there can be but one.
CREATE UNIQUE INDEX queued_front ON queued (phone_number_id, recipient, appkey, priority) WHERE standing IN (0, 2);

-- Who is next in a lane.
CREATE INDEX queued_behind ON queued (phone_number_id, recipient, appkey, priority, message_id) WHERE standing = 1;

-- What a phone may send, application by application; whatever stands behind is not in it.
CREATE INDEX queued_ready ON queued (phone_number_id, priority, appkey, due_ms, message_id) WHERE standing = 0;

-- What waits aside, by when it comes back.
CREATE INDEX queued_aside ON queued (due_ms, message_id) WHERE standing = 3;

-- What it is too late to send.
CREATE INDEX queued_expiry ON queued (expires_ms) WHERE expires_ms IS NOT NULL;

-- From when on the slots of a phone are free, in microseconds: what is before it has been given to somebody.
CREATE TABLE pace (
    phone_number_id TEXT   NOT NULL PRIMARY KEY,
    next_free_us    BIGINT NOT NULL
) WITHOUT ROWID;

-- What stands still by somebody's word: a phone, an application or a WABA.
CREATE TABLE pause (
    kind     TEXT   NOT NULL,
    key      TEXT   NOT NULL,
    reason   TEXT   NOT NULL,
    since_ms BIGINT NOT NULL,
    until_ms BIGINT,
    set_by   TEXT   NOT NULL,
    PRIMARY KEY (kind, key)
);
