-- The statements of second attempts by name, like those in `queries.sql`.

-- name: resend
-- Lets an unknown message wait again, once: a report, a judgement or another attempt that came first leaves nothing to
-- match.
UPDATE message SET state = 'queued', rank = :rank
WHERE id = :id AND attempt = :attempt AND state = 'unknown' AND body IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM attempt_token WHERE attempt_token.message_id = message.id)
RETURNING *;

-- name: keep_token
-- Remembers what an attempt that may have left carried.
INSERT INTO attempt_token (message_id, attempt, token) VALUES (:id, :attempt, :token);

-- name: leave_earlier
-- The report that an earlier attempt was waiting for has come.
DELETE FROM work WHERE kind = 'earlier' AND id = :id;

-- name: purge_tokens
-- What hangs on the messages up to this one goes before them.
DELETE FROM attempt_token
WHERE message_id > :mark AND message_id <= :last
  AND NOT EXISTS (SELECT 1 FROM queued WHERE queued.message_id = attempt_token.message_id);
