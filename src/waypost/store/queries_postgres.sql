-- The statements whose text has to differ on PostgreSQL, by the names that they have in the other files.

-- name: due_callbacks
-- As everywhere; what another process is just claiming is passed over, and not waited for.
SELECT callback.*, callback.order_until_ms, EXISTS (
    SELECT 1 FROM callback AS earlier
    WHERE earlier.message_id = callback.message_id AND earlier.rank < callback.rank
      AND earlier.url = callback.url AND earlier.state = 'due'
)
FROM work JOIN callback ON callback.id = work.id
WHERE work.kind = 'callback' AND work.scope = :endpoint AND work.priority = 0 AND work.due_ms <= :now_ms
ORDER BY work.due_ms LIMIT :limit
FOR UPDATE OF work SKIP LOCKED;

-- name: waits_since_before
-- Whether a message waits that is older than an id: only here do messages go by pieces.
SELECT 1 FROM queued WHERE message_id < :before_id LIMIT 1;

-- name: wire_ids
-- As everywhere; JSON is taken apart by another function.
SELECT meta_id.meta_id, COALESCE(message.cus_message_id, message.id)
FROM meta_id JOIN message ON message.id = meta_id.message_id
WHERE meta_id.meta_id IN (SELECT json_array_elements_text(:meta_ids::json))
  AND meta_id.phone_number_id = :phone_number_id AND meta_id.account_id = :account;
