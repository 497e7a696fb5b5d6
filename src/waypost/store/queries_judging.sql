-- The statements that judge unknown messages (decision D6) by name, like those in `queries.sql`.

-- name: webhook_minute
-- Whether a POST of Meta's about a phone came in during a minute.
SELECT 1 FROM webhook_minute WHERE phone_number_id = :phone_number_id AND minute = :minute;

-- name: enter_webhook_minute
-- Notes that one did.
INSERT INTO webhook_minute (phone_number_id, minute) VALUES (:phone_number_id, :minute)
ON CONFLICT (phone_number_id, minute) DO NOTHING;

-- name: forget_webhook_minutes
-- Minutes that can't matter any more: by then a message is judged without them.
DELETE FROM webhook_minute WHERE phone_number_id = :phone_number_id AND minute < :before_minute;

-- name: note_reported
-- Notes the newest message of a phone that a status is known of; writes only where there is a newer one.
INSERT INTO newest_reported (phone_number_id, message_id) VALUES (:phone_number_id, :message_id)
ON CONFLICT (phone_number_id) DO UPDATE SET message_id = excluded.message_id
WHERE excluded.message_id > newest_reported.message_id;

-- name: reported_phones
-- Every phone that a status is known of, with its newest such message.
SELECT phone_number_id, message_id FROM newest_reported;

-- name: minute_from_the_end
-- The minute that so many later ones of the phone follow.
SELECT minute FROM webhook_minute WHERE phone_number_id = :phone_number_id
ORDER BY minute DESC LIMIT 1 OFFSET :later;

-- name: judgeable_of_phone
-- Unknown messages of one phone, unknown since before a time and older than a message.
SELECT message.* FROM work JOIN message ON message.id = work.id
WHERE work.kind = 'unsettled' AND work.scope >= :scope_from AND work.scope < :scope_to
AND work.due_ms < :since_before_ms AND work.id < :before_id AND message.state = 'unknown'
LIMIT :limit;

-- name: judgeable_by_age
-- Unknown messages of any phone, unknown since before a time.
SELECT message.* FROM work JOIN message ON message.id = work.id
WHERE work.kind = 'unsettled' AND work.due_ms < :since_before_ms AND message.state = 'unknown'
LIMIT :limit;

-- name: fail_unknown
-- Calls an unknown message failed; one that a report has settled meanwhile matches nothing.
UPDATE message SET state = 'failed', rank = :rank WHERE id = :id AND state = 'unknown' RETURNING *;
