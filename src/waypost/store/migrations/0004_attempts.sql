-- What a message carried in its earlier attempts, where those may have left: a late report of any still finds it
-- (decision D6). Without a token it was the customer's own string.
CREATE TABLE attempt_token (
    message_id TEXT   NOT NULL,
    attempt    BIGINT NOT NULL,
    token      TEXT,
    PRIMARY KEY (message_id, attempt)
) WITHOUT ROWID;
