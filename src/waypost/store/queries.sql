-- Every statement of the journal by name. Values are bound (`:name`); the dialect is the part that SQLite and
-- PostgreSQL share, so the text serves both. A state only moves forward: `rank` decides, in the statement itself.

-- === keys and messages ===

-- name: take_key
-- Takes the key of a message in one step, or takes it over from one that expired or whose outcome allows another try.
-- A row comes back only if the key is ours now; this decides repeats that arrive at the same moment (decision D5).
INSERT INTO message_key (key, account_id, message_id, sign, reuse, expires_ms)
VALUES (:key, :account, :id, :sign, 'never', :key_expires_ms)
ON CONFLICT (key, account_id) DO UPDATE
SET message_id = excluded.message_id, sign = excluded.sign, reuse = excluded.reuse, expires_ms = excluded.expires_ms
WHERE message_key.expires_ms <= :created_at_ms
   OR message_key.reuse = 'any'
   OR (message_key.reuse = 'new_signature' AND message_key.sign <> :sign)
RETURNING message_id;

-- name: insert_message
-- Journals the row before anything is sent.
INSERT INTO message (
    id, account, appkey, access_key, business_phone, phone_number_id, waba_id, recipient, type, category, endpoint,
    body, trace_id, key, key_expires_ms, sign, fingerprint, state, rank, attempt, owner, lease_until_ms, created_at_ms,
    cus_message_id, dr_webhook, opaque, token, price, currency, outcome_at_ms, answer_code, meta_message_id, meta_answer
) VALUES (
    :id, :account, :appkey, :access_key, :business_phone, :phone_number_id, :waba_id, :recipient, :type, :category,
    :endpoint, :body, :trace_id, :key, :key_expires_ms, :sign, :fingerprint, :state, :rank, :attempt, :owner,
    :lease_until_ms, :created_at_ms, :cus_message_id, :dr_webhook, :opaque, :token, :price, :currency, :outcome_at_ms,
    :answer_code, :meta_message_id, :meta_answer
);

-- name: holder_of_key
-- Which message holds a key; also past its expiry, because `take_key` has just judged that by its own clock value.
SELECT message.* FROM message_key JOIN message ON message.id = message_key.message_id
WHERE message_key.key = :key AND message_key.account_id = :account;

-- name: current_holder_of_key
-- Which message holds a key at a moment.
SELECT message.* FROM message_key JOIN message ON message.id = message_key.message_id
WHERE message_key.key = :key AND message_key.account_id = :account AND message_key.expires_ms > :now_ms;

-- name: set_reuse
-- Says when the key may be used again, as long as this message still holds it.
UPDATE message_key SET reuse = :reuse
WHERE key = :key AND account_id = :account AND message_id = :message_id AND reuse <> :reuse;

-- name: message
-- One row by its primary key.
SELECT * FROM message WHERE id = :id;

-- name: write_outcome
-- Keeps what an attempt came to. A status may have moved the message further already; an outcome of an attempt that
-- is not the row's matches nothing. Behind the row: whether the message stands in the queue.
UPDATE message SET
    state = CASE WHEN :rank > rank THEN :state ELSE state END,
    rank = CASE WHEN :rank > rank THEN :rank ELSE rank END,
    outcome_at_ms = :at_ms,
    answer_code = :answer_code,
    meta_answer = :meta_answer,
    meta_message_id = COALESCE(:meta_message_id, meta_message_id)
WHERE id = :message_id AND attempt = :attempt
RETURNING *, EXISTS (SELECT 1 FROM queued WHERE queued.message_id = message.id);

-- name: advance
-- Moves the headline forward, never back (decision D7). Behind the row: whether the message stands in the queue.
UPDATE message SET
    state = CASE WHEN :rank > rank THEN :state ELSE state END,
    rank = CASE WHEN :rank > rank THEN :rank ELSE rank END
WHERE id = :id
RETURNING *, EXISTS (SELECT 1 FROM queued WHERE queued.message_id = message.id);

-- name: wipe_secret_body
-- A one-time password is forgotten as soon as nothing can come of it any more (decision D15).
UPDATE message SET body = NULL
WHERE id = :id AND category = 'authentication' AND body IS NOT NULL
  AND state IN ('rejected', 'failed', 'cancelled', 'expired', 'delivered', 'read');

-- === Meta's ids ===

-- name: enter_meta_id
-- Remembers whose Meta id this is. The later word wins: what a status let us conclude yields to Meta's own answer.
INSERT INTO meta_id (meta_id, phone_number_id, account_id, message_id)
VALUES (:meta_message_id, :phone_number_id, :account, :message_id)
ON CONFLICT (meta_id, phone_number_id) DO UPDATE SET account_id = excluded.account_id, message_id = excluded.message_id;

-- name: keep_meta_id
-- Shows a Meta id on the row unless it shows one already.
UPDATE message SET meta_message_id = :meta_message_id WHERE id = :message_id AND meta_message_id IS NULL;

-- name: owner_of_meta_id
-- Which message a status event speaks of.
SELECT message_id FROM meta_id WHERE meta_id = :meta_message_id AND phone_number_id = :phone_number_id;

-- name: owner_of_token
-- Which message sent this token: the id inside it leads to the row, and the row must carry exactly this token, or have
-- carried it in an earlier attempt, for this phone (decision D6).
SELECT id, account FROM message
WHERE id = :id AND phone_number_id = :phone_number_id
  AND (token = :token OR EXISTS (SELECT 1 FROM attempt_token WHERE message_id = :id AND attempt_token.token = :token));

-- name: find
-- One message by any of its three ids; of several the newest.
SELECT * FROM message
WHERE id IN (
    SELECT CAST(:any_id AS TEXT)
    UNION ALL SELECT message_id FROM message_key WHERE key = :key
    UNION ALL SELECT message_id FROM meta_id WHERE meta_id = :any_id
)
ORDER BY id DESC LIMIT 1;

-- name: meta_id_within
-- Whether a Meta id is one of this account's on this phone.
SELECT meta_id FROM meta_id
WHERE meta_id = :any_id AND phone_number_id = :phone_number_id AND account_id = :account;

-- name: meta_id_of
-- Meta's id of the message that carries our id or the customer's, within an account and phone; of several the newest.
SELECT meta_message_id FROM message
WHERE id IN (
    SELECT CAST(:any_id AS TEXT)
    UNION ALL SELECT message_id FROM message_key WHERE key = :key AND account_id = :account
)
AND account = :account AND phone_number_id = :phone_number_id AND meta_message_id IS NOT NULL
ORDER BY id DESC LIMIT 1;

-- name: wire_ids
-- Under which ids an account knows the messages that carry these Meta ids on a phone.
SELECT meta_id.meta_id, COALESCE(message.cus_message_id, message.id)
FROM meta_id JOIN message ON message.id = meta_id.message_id
WHERE meta_id.meta_id IN (SELECT value FROM json_each(:meta_ids))
  AND meta_id.phone_number_id = :phone_number_id AND meta_id.account_id = :account;

-- === work ===

-- name: enter_work
-- Notes that something remains to be done; what is noted already keeps its time.
INSERT INTO work (kind, scope, priority, due_ms, id) VALUES (:kind, :scope, 0, :due_ms, :id)
ON CONFLICT (kind, id) DO NOTHING;

-- name: leave_work
-- The fate of a message is known, or it is not in flight any more.
DELETE FROM work WHERE kind IN ('lease', 'unsettled', 'judged') AND id = :id;

-- name: ended_leases
-- Messages in flight whose owner has had its time; they are few, however large the journal is, and may be many if a
-- process died.
SELECT id FROM work WHERE kind = 'lease' AND due_ms <= :until_ms ORDER BY id;

-- name: lease_has_ended
-- Whether a message is in flight, and its owner has had its time.
SELECT 1 FROM work WHERE kind = 'lease' AND id = :id AND due_ms <= :until_ms;

-- name: count_work
-- How many messages stand in each kind of work; callbacks stand there too, and can be many.
SELECT kind, COUNT(*) FROM work WHERE kind IN ('lease', 'unsettled') GROUP BY kind;

-- === statuses ===

-- name: insert_status
-- Records a status once; a row comes back only the first time (decision D7: duplicates are dropped by the insert).
INSERT INTO status (message_id, status, participant, timestamp_ms, received_at_ms, raw)
VALUES (:message_id, :status, :participant, :timestamp_ms, :received_at_ms, :raw)
ON CONFLICT (message_id, status, participant) DO NOTHING
RETURNING message_id;

-- name: statuses
-- What Meta said about one message, oldest first.
SELECT status, timestamp_ms, received_at_ms, raw FROM status WHERE message_id = :message_id
ORDER BY timestamp_ms, received_at_ms, status, participant;

-- name: park_status
-- Sets a status aside until its message is known; a row comes back only the first time.
INSERT INTO parked_status
    (phone_number_id, meta_id, status, participant, recipient, opaque, timestamp_ms, received_at_ms, raw)
VALUES
    (:phone_number_id, :meta_message_id, :status, :participant, :recipient, :opaque, :timestamp_ms, :received_at_ms,
     :raw)
ON CONFLICT (phone_number_id, meta_id, status, participant) DO NOTHING
RETURNING meta_id;

-- name: fetch_parked
-- Takes out what was parked under a Meta id that now has a message.
DELETE FROM parked_status WHERE phone_number_id = :phone_number_id AND meta_id = :meta_message_id
RETURNING phone_number_id, meta_id, status, timestamp_ms, recipient, participant, opaque, raw, received_at_ms;

-- name: settling_candidates
-- Messages of one phone and recipient, sent with this opaque data, whose fate isn't known for certain.
SELECT message.id, work.kind, message.created_at_ms, message.account
FROM work JOIN message ON message.id = work.id
WHERE work.kind IN ('lease', 'unsettled', 'judged', 'earlier') AND work.scope = :scope AND message.opaque = :opaque
ORDER BY message.created_at_ms, message.id;

-- name: settling_reports
-- Meta ids without a message, reported for one phone and recipient with this opaque data, and when first.
SELECT meta_id, MIN(timestamp_ms) FROM parked_status
WHERE phone_number_id = :phone_number_id AND recipient = :recipient AND opaque = :opaque
GROUP BY meta_id;

-- name: insert_webhook
-- Keeps a POST of Meta's as it came.
INSERT INTO raw_webhook (id, received_at_ms, body) VALUES (:id, :received_at_ms, :body);

-- === lists and tenants ===

-- name: newest
-- A page of the journal, newest first.
SELECT * FROM message WHERE id < :before ORDER BY id DESC LIMIT :limit;

-- name: newest_of_state
-- A page of one state, newest first. It walks the journal backwards: there is no index on state, on purpose.
SELECT * FROM message WHERE id < :before AND state = :state ORDER BY id DESC LIMIT :limit;

-- name: newest_in_work
-- A page of the messages in flight or unknown: the ones that stand in `work`, so nothing is walked.
SELECT message.* FROM work JOIN message ON message.id = work.id
WHERE work.kind = :kind AND work.id < :before AND message.state = :state
ORDER BY work.id DESC LIMIT :limit;

-- name: tenants
-- Every tenant object.
SELECT kind, key, origin, enabled, spec FROM tenant ORDER BY kind, key;

-- name: save_tenant
-- Inserts or replaces one.
INSERT INTO tenant (kind, key, origin, enabled, spec) VALUES (:kind, :key, :origin, :enabled, :spec)
ON CONFLICT (kind, key) DO UPDATE
SET origin = excluded.origin, enabled = excluded.enabled, spec = excluded.spec;

-- === upkeep: bounded steps, so that no writer waits long ===

-- name: oldest
-- The oldest messages after a mark; ids are ordered by time, so the walk can stop at the first young one.
SELECT id, created_at_ms FROM message WHERE id > :mark ORDER BY id LIMIT :limit;

-- name: wipe_bodies
-- Forgets what was said, keeps that it was. A message that waits needs its body: it is wiped when its row goes.
UPDATE message SET body = NULL
WHERE id > :mark AND id <= :last AND body IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM queued WHERE queued.message_id = message.id);

-- name: purge_statuses
-- What hangs on the messages of a stretch goes before them. One that waits is kept with all of it; it has no status,
-- for any would have ended the wait.
DELETE FROM status WHERE message_id > :mark AND message_id <= :last;

-- name: purge_meta_ids
-- As above.
DELETE FROM meta_id
WHERE message_id > :mark AND message_id <= :last
  AND NOT EXISTS (SELECT 1 FROM queued WHERE queued.message_id = meta_id.message_id);

-- name: purge_work
-- As above; other kinds of work are about other ids.
DELETE FROM work
WHERE kind IN ('lease', 'unsettled', 'judged', 'earlier') AND id > :mark AND id <= :last
  AND NOT EXISTS (SELECT 1 FROM queued WHERE queued.message_id = work.id);

-- name: purge_keys_of_messages
-- As above; a key that a newer message has taken over stays.
DELETE FROM message_key
WHERE (key, account_id) IN (SELECT key, account FROM message WHERE id > :mark AND id <= :last)
  AND message_id <= :last
  AND NOT EXISTS (SELECT 1 FROM queued WHERE queued.message_id = message_key.message_id);

-- name: purge_messages
-- The messages of a stretch.
DELETE FROM message
WHERE id > :mark AND id <= :last AND NOT EXISTS (SELECT 1 FROM queued WHERE queued.message_id = message.id);

-- name: purge_keys
-- Keys that don't hold any more.
DELETE FROM message_key WHERE (key, account_id) IN (
    SELECT key, account_id FROM message_key WHERE expires_ms <= :now_ms ORDER BY expires_ms LIMIT :limit
);

-- name: purge_parked
-- Reports that found no message in time: they concern messages of other systems.
DELETE FROM parked_status WHERE (phone_number_id, meta_id, status, participant) IN (
    SELECT phone_number_id, meta_id, status, participant FROM parked_status
    WHERE received_at_ms < :before_ms ORDER BY received_at_ms LIMIT :limit
);

-- name: purge_webhooks
-- The oldest raw POSTs, looking no further than the limit.
DELETE FROM raw_webhook WHERE id IN (
    SELECT id FROM (SELECT id, received_at_ms FROM raw_webhook ORDER BY id LIMIT :limit) AS oldest
    WHERE received_at_ms < :before_ms
);

-- name: read_mark
-- A value the store keeps for itself.
SELECT value FROM mark WHERE name = :name;

-- name: write_mark
-- Sets one.
INSERT INTO mark (name, value) VALUES (:name, :value) ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- === integrity ===

-- name: orphans
-- Rows that hang on something that isn't there: none, unless something other than the gateway wrote to the file.
SELECT 'status', COUNT(*), 'messages' FROM status WHERE NOT EXISTS (SELECT 1 FROM message WHERE message.id = status.message_id)
UNION ALL
SELECT 'message_key', COUNT(*), 'messages' FROM message_key
WHERE NOT EXISTS (SELECT 1 FROM message WHERE message.id = message_key.message_id)
UNION ALL
SELECT 'meta_id', COUNT(*), 'messages' FROM meta_id
WHERE NOT EXISTS (SELECT 1 FROM message WHERE message.id = meta_id.message_id)
UNION ALL
SELECT 'work', COUNT(*), 'messages' FROM work
WHERE kind IN ('lease', 'unsettled', 'judged', 'earlier') AND NOT EXISTS (SELECT 1 FROM message WHERE message.id = work.id)
UNION ALL
SELECT 'attempt_token', COUNT(*), 'messages' FROM attempt_token
WHERE NOT EXISTS (SELECT 1 FROM message WHERE message.id = attempt_token.message_id)
UNION ALL
SELECT 'work', COUNT(*), 'due callbacks' FROM work
WHERE kind = 'callback' AND NOT EXISTS (SELECT 1 FROM callback WHERE callback.id = work.id AND callback.state = 'due')
UNION ALL
SELECT 'attempt', COUNT(*), 'callbacks' FROM attempt
WHERE NOT EXISTS (SELECT 1 FROM callback WHERE callback.id = attempt.callback_id)
UNION ALL
SELECT 'callback', COUNT(*), 'entries of work' FROM callback
WHERE state = 'due' AND NOT EXISTS (SELECT 1 FROM work WHERE work.kind = 'callback' AND work.id = callback.id)
UNION ALL
SELECT 'message', COUNT(*), 'places in the queue' FROM message
WHERE state = 'queued' AND NOT EXISTS (SELECT 1 FROM queued WHERE queued.message_id = message.id)
UNION ALL
SELECT 'queued', COUNT(*), 'waiting messages' FROM queued
WHERE NOT EXISTS (
    SELECT 1 FROM message
    WHERE message.id = queued.message_id AND message.state = CASE queued.standing WHEN 2 THEN 'sending' ELSE 'queued' END
)
UNION ALL
SELECT 'queued', COUNT(*), 'leases' FROM queued
WHERE standing = 2 AND NOT EXISTS (SELECT 1 FROM work WHERE work.kind = 'lease' AND work.id = queued.message_id)
UNION ALL
SELECT 'queued', COUNT(*), 'fronts of lanes' FROM queued
WHERE standing = 1 AND NOT EXISTS (
    SELECT 1 FROM queued AS front
    WHERE front.phone_number_id = queued.phone_number_id AND front.recipient = queued.recipient
      AND front.appkey = queued.appkey AND front.priority = queued.priority AND front.standing IN (0, 2)
);
