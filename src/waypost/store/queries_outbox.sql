-- The statements of the outbox by name, like those in `queries.sql`. A list that is filtered is put together in
-- `outbox_rows.py`, because which index serves it depends on what is asked.

-- === entering ===

-- name: take_once_key
-- Notes a key; a row comes back only the first time.
INSERT INTO once_key (key, seen_at_ms) VALUES (:once, :now_ms) ON CONFLICT (key) DO NOTHING RETURNING key;

-- name: insert_callback
-- Enters a callback; that it waits is said in `work`.
INSERT INTO callback (
    id, account, appkey, url, endpoint, kind, body, access_key, message_id, status, rank, state, created_at_ms,
    attempts, waits_since_ms
) VALUES (
    :id, :account, :appkey, :url, :endpoint, :kind, :body, :access_key, :message_id, :status, :rank, 'due', :now_ms,
    0, :now_ms
);

-- name: status_recorded
-- Whether Meta has reported this status of a message.
SELECT 1 FROM status WHERE message_id = :message_id AND status = :status LIMIT 1;

-- name: waiting_callbacks
-- The callbacks of a status of a message that wait, and when they were made.
SELECT id, created_at_ms FROM callback WHERE message_id = :message_id AND status = :status AND state = 'due';

-- name: release_held
-- The status that a held callback waited for has come. One that is held is due a while after its creation, and can't have
-- been claimed before; so no lease is taken for a hold.
UPDATE work SET due_ms = :due_ms WHERE kind = 'callback' AND id = :id AND due_ms = :held_until_ms;

-- === claiming ===

-- name: ended_waits
-- Callbacks that have waited long enough for one before them.
SELECT id FROM work
WHERE kind = 'callback' AND scope = :endpoint AND priority = 1 AND due_ms <= :now_ms
ORDER BY due_ms LIMIT :limit;

-- name: end_wait
-- From now on it goes by its due time alone.
UPDATE work SET priority = 0 WHERE kind = 'callback' AND id = :id AND priority = 1;

-- name: due_callbacks
-- What an endpoint may be sent now, earliest due first; until when it waits for one before it in the same message, if it
-- had to already, and whether there is one that has not been settled.
SELECT callback.*, callback.order_until_ms, EXISTS (
    SELECT 1 FROM callback AS earlier
    WHERE earlier.message_id = callback.message_id AND earlier.rank < callback.rank
      AND earlier.url = callback.url AND earlier.state = 'due'
)
FROM work JOIN callback ON callback.id = work.id
WHERE work.kind = 'callback' AND work.scope = :endpoint AND work.priority = 0 AND work.due_ms <= :now_ms
ORDER BY work.due_ms LIMIT :limit;

-- name: earlier_callback
-- Whether a callback of a message to the same URL, with a lower rank, has not been settled.
SELECT 1 FROM callback
WHERE message_id = :message_id AND rank < :rank AND url = :url AND state = 'due' LIMIT 1;

-- name: begin_order_wait
-- Says until when a callback waits for one before it.
UPDATE callback SET order_until_ms = :until_ms WHERE id = :id;

-- name: set_due
-- Says when a callback is looked at again: the end of a lease, another try, the end of a wait (priority 1).
UPDATE work SET priority = :priority, due_ms = :due_ms WHERE kind = 'callback' AND id = :id;

-- name: due_endpoints
-- Every endpoint with callbacks that wait, and when the first is due: of those that go by their due time, and of those
-- that wait for another. It steps from endpoint to endpoint, so its cost does not grow with what waits for each.
WITH RECURSIVE endpoint (scope) AS (
    SELECT MIN(scope) FROM work WHERE kind = 'callback'
    UNION ALL
    SELECT (SELECT MIN(scope) FROM work WHERE kind = 'callback' AND scope > endpoint.scope)
    FROM endpoint WHERE endpoint.scope IS NOT NULL
)
SELECT
    scope,
    (SELECT MIN(due_ms) FROM work WHERE kind = 'callback' AND work.scope = endpoint.scope AND priority = 0),
    (SELECT MIN(due_ms) FROM work WHERE kind = 'callback' AND work.scope = endpoint.scope AND priority = 1)
FROM endpoint WHERE scope IS NOT NULL;

-- name: next_due
-- When an endpoint needs a look again: at what goes by its due time, and at what waits for another.
SELECT
    (SELECT MIN(due_ms) FROM work WHERE kind = 'callback' AND scope = :endpoint AND priority = 0),
    (SELECT MIN(due_ms) FROM work WHERE kind = 'callback' AND scope = :endpoint AND priority = 1);

-- === settling ===

-- name: write_attempt
-- What an attempt came to; a callback that is settled already matches nothing.
UPDATE callback SET
    state = :state,
    attempts = attempts + 1,
    first_attempt_at_ms = COALESCE(first_attempt_at_ms, :at_ms),
    settled_at_ms = :settled_at_ms,
    http_status = :http_status,
    error = :error
WHERE id = :callback_id AND state = 'due'
RETURNING attempts, message_id, url;

-- name: insert_attempt
-- Keeps one attempt.
INSERT INTO attempt (callback_id, number, at_ms, duration_ms, http_status, error, excerpt)
VALUES (:callback_id, :number, :at_ms, :duration_ms, :http_status, :error, :excerpt);

-- name: trim_attempts
-- Only the last ones are kept.
DELETE FROM attempt WHERE callback_id = :callback_id AND number <= :number;

-- name: leave_outbox
-- Nothing remains to be done for a callback.
DELETE FROM work WHERE kind = 'callback' AND id = :id;

-- name: followers
-- What comes first among the callbacks of a message that are left needs to wait for no other any more. Those behind it
-- stay as they are: a look at each of them after each callback would be wasted.
SELECT id FROM callback
WHERE message_id = :message_id AND url = :url AND state = 'due' AND rank = (
    SELECT rank FROM callback
    WHERE message_id = :message_id AND url = :url AND state = 'due'
    ORDER BY rank LIMIT 1
);

-- name: release_follower
-- It waits for none any more.
UPDATE work SET priority = 0, due_ms = :now_ms WHERE kind = 'callback' AND id = :id AND priority = 1;

-- name: overdue_callbacks
-- Callbacks of an endpoint that have waited too long. It walks what waits from the oldest id on, up to the first that is
-- young; the scope is hidden from the planner, whose index by scope would lead through everything that waits there.
SELECT work.id FROM work JOIN callback ON callback.id = work.id
WHERE work.kind = 'callback' AND work.id < :before_id AND work.scope || '' = :endpoint
  AND callback.waits_since_ms < :before_ms
ORDER BY work.id LIMIT :limit;

-- name: abandon_callback
-- Gives a callback up.
UPDATE callback SET state = 'abandoned', settled_at_ms = :now_ms WHERE id = :id AND state = 'due'
RETURNING message_id, url;

-- name: revive_callback
-- Makes a callback wait from now on, with a horizon of its own, if its state is still the one that was asked for;
-- attempts are counted on.
UPDATE callback SET state = 'due', settled_at_ms = NULL, waits_since_ms = :now_ms, order_until_ms = NULL
WHERE id = :id AND (:state IS NULL OR state = :state) AND (:settled = 0 OR state <> 'due')
RETURNING endpoint;

-- name: enter_work_again
-- What waited already waits no longer.
INSERT INTO work (kind, scope, priority, due_ms, id) VALUES ('callback', :endpoint, 0, :now_ms, :id)
ON CONFLICT (kind, id) DO UPDATE SET priority = 0, due_ms = :now_ms;

-- === lists ===

-- name: callbacks_of
-- The callbacks of a message, oldest first.
SELECT * FROM callback WHERE message_id = :message_id ORDER BY id;

-- name: attempts
-- The kept attempts of a callback, oldest first.
SELECT callback_id, number, at_ms, duration_ms, http_status, error, excerpt FROM attempt
WHERE callback_id = :callback_id ORDER BY number;

-- name: count_due_callbacks
-- How many callbacks wait: a walk over all of them, but through the narrow table.
SELECT COUNT(*) FROM work WHERE kind = 'callback';

-- === audit ===

-- name: insert_audit
-- Notes what is about to be done.
INSERT INTO audit (id, at_ms, who, action, selection, affected)
VALUES (:id, :at_ms, :who, :action, :selection, :affected);

-- name: trim_audit
-- Only the last entries are kept.
DELETE FROM audit WHERE id <= (SELECT id FROM audit ORDER BY id DESC LIMIT 1 OFFSET :kept);

-- name: count_affected
-- Counts what has been done, in the transaction that does it.
UPDATE audit SET affected = affected + :number WHERE id = :id;

-- name: audit
-- Entries, newest first.
SELECT * FROM audit ORDER BY id DESC LIMIT :limit;

-- === upkeep ===

-- name: purge_attempts
-- What hangs on the callbacks that go next.
DELETE FROM attempt WHERE callback_id IN (
    SELECT id FROM callback WHERE settled_at_ms < :before_ms ORDER BY settled_at_ms LIMIT :limit
);

-- name: purge_callbacks
-- The callbacks that have been settled longest; what still waits is never erased.
DELETE FROM callback WHERE id IN (
    SELECT id FROM callback WHERE settled_at_ms < :before_ms ORDER BY settled_at_ms LIMIT :limit
);

-- name: purge_once_keys
-- Keys whose repeats Meta has given up.
DELETE FROM once_key WHERE key IN (
    SELECT key FROM once_key WHERE seen_at_ms < :before_ms ORDER BY seen_at_ms LIMIT :limit
);
