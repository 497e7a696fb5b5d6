-- What it takes to judge a message whose outcome nobody knows (decision D6).

-- The minutes of the clock in which Meta reported something about a phone, for a day back.
CREATE TABLE webhook_minute (
    phone_number_id TEXT   NOT NULL,
    minute          BIGINT NOT NULL,
    PRIMARY KEY (phone_number_id, minute)
) WITHOUT ROWID;

-- The newest message of each phone that Meta has reported a status of.
CREATE TABLE newest_reported (
    phone_number_id TEXT NOT NULL PRIMARY KEY,
    message_id      TEXT NOT NULL
) WITHOUT ROWID;
