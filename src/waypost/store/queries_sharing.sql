-- The statements by which processes that share a journal agree, by name, like those in `queries.sql`.

-- name: own_queue
-- Takes the queue of a phone, or keeps it; a row comes back unless another process has it.
INSERT INTO queue_owner (phone_number_id, owner, until_ms) VALUES (:phone_number_id, :owner, :until_ms)
ON CONFLICT (phone_number_id) DO UPDATE SET owner = excluded.owner, until_ms = excluded.until_ms
WHERE queue_owner.owner = excluded.owner OR queue_owner.until_ms <= :now_ms
RETURNING owner;

-- name: lane_stands
-- Whether anything waits or is in flight in the lane of a message that could go at once.
SELECT 1 FROM queued
WHERE phone_number_id = :phone_number_id AND recipient = :recipient AND appkey = :appkey AND priority = :priority
  AND standing IN (0, 2);

-- name: count_mark
-- Counts in a mark, so that whoever looks at it learns of a change.
INSERT INTO mark (name, value) VALUES (:name, '1')
ON CONFLICT (name) DO UPDATE SET value = CAST(CAST(mark.value AS BIGINT) + 1 AS TEXT);
