-- The statements of the queue by name, like those in `queries.sql`. A lane is what one application sends through one
-- phone to one recipient at one priority. A list that is filtered is put together in `queue_rows.py`.

-- === lanes ===

-- name: enter_queue
-- Lets a new message wait: in front of its lane where nobody is, else behind.
INSERT INTO queued (
    message_id, phone_number_id, waba_id, account, appkey, recipient, priority, template, since_ms, due_ms, expires_ms,
    tries, reason, standing
) VALUES (
    :message_id, :phone_number_id, :waba_id, :account, :appkey, :recipient, :priority, :template, :since_ms,
    :due_at_ms, :expires_at_ms, :tries, :reason,
    CASE WHEN EXISTS (
        SELECT 1 FROM queued
        WHERE phone_number_id = :phone_number_id AND recipient = :recipient AND appkey = :appkey AND priority = :priority
          AND standing IN (0, 2)
    ) THEN 1 ELSE 0 END
);

-- name: return_to_queue
-- Lets a message wait again, or one that was sent without waiting; at first behind, or aside.
INSERT INTO queued (
    message_id, phone_number_id, waba_id, account, appkey, recipient, priority, template, since_ms, due_ms, expires_ms,
    tries, reason, standing
) VALUES (
    :message_id, :phone_number_id, :waba_id, :account, :appkey, :recipient, :priority, :template, :since_ms,
    :due_at_ms, :expires_at_ms, :tries, :reason, CASE WHEN :aside = 1 THEN 3 ELSE 1 END
)
ON CONFLICT (message_id) DO UPDATE SET
    due_ms = excluded.due_ms, expires_ms = excluded.expires_ms, tries = excluded.tries, reason = excluded.reason,
    standing = excluded.standing
RETURNING phone_number_id, recipient, appkey, priority;

-- name: due_aside
-- What waits aside and is due, longest overdue first.
SELECT * FROM queued WHERE standing = 3 AND due_ms <= :now_ms ORDER BY due_ms, message_id LIMIT :limit;

-- name: stand_behind
-- Takes a row into its lane again.
UPDATE queued SET standing = 1 WHERE message_id = :id AND standing = 3 RETURNING message_id;

-- name: step_back
-- Whoever is ready in a lane makes room for an earlier one; who is in flight does not.
UPDATE queued SET standing = 1
WHERE phone_number_id = :phone_number_id AND recipient = :recipient AND appkey = :appkey AND priority = :priority
  AND standing IN (0, 2) AND standing = 0;

-- name: step_forward
-- The earliest of those behind comes to the front of its lane, if nobody is there.
UPDATE queued SET standing = 0
WHERE message_id = (
    SELECT message_id FROM queued
    WHERE phone_number_id = :phone_number_id AND recipient = :recipient AND appkey = :appkey AND priority = :priority
      AND standing = 1
    ORDER BY message_id LIMIT 1
) AND NOT EXISTS (
    SELECT 1 FROM queued AS front
    WHERE front.phone_number_id = :phone_number_id AND front.recipient = :recipient AND front.appkey = :appkey
      AND front.priority = :priority AND front.standing IN (0, 2)
);

-- name: leave_queue
-- A message doesn't wait any more.
DELETE FROM queued WHERE message_id = :id RETURNING phone_number_id, recipient, appkey, priority;

-- name: wipe_overdue_body
-- Forgets a body that was kept beyond its time because the message waited.
UPDATE message SET body = NULL
WHERE id = :id AND body IS NOT NULL AND id <= (SELECT value FROM mark WHERE name = 'bodies_wiped_to');

-- name: defer_queued
-- Whoever is ready in a lane is due at another time, and its lane with it.
UPDATE queued SET due_ms = :due_at_ms, reason = :reason WHERE message_id = :id AND standing = 0 RETURNING message_id;

-- === attempts ===

-- name: ready_message
-- A message whose turn it is.
SELECT message.* FROM queued JOIN message ON message.id = queued.message_id
WHERE queued.message_id = :id AND queued.standing = 0 AND message.state = 'queued';

-- name: take_off
-- A row is in flight.
UPDATE queued SET standing = 2 WHERE message_id = :id;

-- name: begin_attempt
-- Counts an attempt, under a lease and a token of its own.
UPDATE message SET
    state = 'sending', rank = :rank, attempt = attempt + 1, owner = :owner, lease_until_ms = :lease_until_ms,
    token = :token, body = :body
WHERE id = :id
RETURNING *;

-- name: back_to_queued
-- Undoes an attempt that sent nothing; one that something else is known of matches nothing.
UPDATE message SET state = 'queued', rank = :rank, answer_code = :answer_code, outcome_at_ms = :now_ms
WHERE id = :id AND attempt = :attempt AND state = 'sending'
RETURNING *;

-- name: end_queued
-- Ends a message that waits; one that is being sent or has gone matches nothing.
UPDATE message SET state = :state, rank = :rank, outcome_at_ms = :now_ms WHERE id = :id AND state = 'queued'
RETURNING *;

-- === looking ===

-- name: next_ready_group
-- The first group (phone, priority, application) with ready rows behind another, and when its first row is due. The
-- bound is behind the last row that the other can have: a bound at the group itself is sought by walking it.
SELECT phone_number_id, priority, appkey, due_ms, since_ms FROM queued
WHERE standing = 0
  AND (phone_number_id, priority, appkey, due_ms) > (:phone_number_id, :priority, :appkey, 9223372036854775807)
ORDER BY phone_number_id, priority, appkey, due_ms LIMIT 1;

-- name: lanes_stand
-- Whether any lane of a phone has rows: each that has any has one in front.
SELECT 1 FROM queued WHERE phone_number_id = :phone_number_id AND standing IN (0, 2) LIMIT 1;

-- name: heads_of_group
-- The first rows of a group that are due.
SELECT * FROM queued
WHERE standing = 0 AND phone_number_id = :phone_number_id AND priority = :priority AND appkey = :appkey
  AND due_ms <= :now_ms
ORDER BY due_ms, message_id LIMIT :limit;

-- name: expired_waiting
-- What it is too late to send, longest overdue first; of what is in flight the outcome decides.
SELECT * FROM queued WHERE expires_ms <= :now_ms AND standing <> 2
ORDER BY expires_ms, message_id LIMIT :limit;

-- name: queue_depths
-- Counts the next rows behind a message by what they are and wait for, and tells how far that went.
SELECT phone_number_id, account, appkey, priority, reason, CASE WHEN standing = 3 THEN 1 ELSE 0 END AS aside,
    SUM(CASE WHEN standing = 2 THEN 0 ELSE 1 END), MIN(CASE WHEN standing = 2 THEN NULL ELSE since_ms END),
    MAX(message_id)
FROM (
    SELECT message_id, phone_number_id, account, appkey, priority, reason, since_ms, standing FROM queued
    WHERE message_id > :after ORDER BY message_id LIMIT :limit
) AS stretch
GROUP BY phone_number_id, account, appkey, priority, reason, aside;

-- name: count_queued
-- How many messages wait, those in flight not counted: by the three narrow indexes that hold each of them once.
SELECT
    (SELECT COUNT(*) FROM queued WHERE standing = 0 AND phone_number_id >= '')
    + (SELECT COUNT(*) FROM queued WHERE standing = 1 AND phone_number_id >= '')
    + (SELECT COUNT(*) FROM queued WHERE standing = 3 AND due_ms >= 0);

-- name: newest_queued
-- A page of the messages that wait, newest first: the ones that stand in `queued`, so nothing is walked.
SELECT message.* FROM queued JOIN message ON message.id = queued.message_id
WHERE queued.message_id < :before AND message.state = 'queued'
ORDER BY queued.message_id DESC LIMIT :limit;

-- === slots and pauses ===

-- name: lease_slots
-- Gives out the next free slots of a phone. What has been given out further ahead than `:ahead_us` was so by a clock
-- that has been put back since: it does not count.
INSERT INTO pace (phone_number_id, next_free_us) VALUES (:phone_number_id, :now_us + :taken_us)
ON CONFLICT (phone_number_id) DO UPDATE SET next_free_us = :taken_us + CASE
    WHEN pace.next_free_us > :now_us AND pace.next_free_us <= :now_us + :ahead_us THEN pace.next_free_us
    ELSE :now_us
END
RETURNING next_free_us;

-- name: pauses
-- Everything that stands still.
SELECT kind, key, reason, since_ms, until_ms, set_by FROM pause ORDER BY kind, key;

-- name: save_pause
-- Pauses something; what an operator said holds, for as long as it was said to, until an operator says otherwise.
INSERT INTO pause (kind, key, reason, since_ms, until_ms, set_by)
VALUES (:kind, :key, :reason, :since_ms, :until_ms, :by)
ON CONFLICT (kind, key) DO UPDATE SET
    reason = excluded.reason, since_ms = excluded.since_ms, until_ms = excluded.until_ms, set_by = excluded.set_by
WHERE excluded.set_by = 'operator' OR pause.set_by = 'gateway' OR pause.until_ms <= excluded.since_ms;

-- name: lift_pause
-- Lets it go on; a row comes back if it was paused by whoever is meant.
DELETE FROM pause WHERE kind = :kind AND key = :key AND set_by = COALESCE(:by, set_by) RETURNING key;
