"""What may never be in a journal, whoever wrote it in whatever order, and what was done to it but is not there."""

import asyncpg

from tests.fault.postgres_stress import Stress

_NEVER = {
    "a status is parked whose message is known": """
        SELECT meta_id, status FROM parked_status JOIN meta_id USING (meta_id, phone_number_id)""",
    "a message has gone back behind what was reported": """
        SELECT message.id, message.state FROM message JOIN status ON status.message_id = message.id
        WHERE message.rank < CASE status.status WHEN 'sent' THEN 40 WHEN 'delivered' THEN 60 ELSE 70 END""",
    "a reported message still waits, or is in doubt": """
        SELECT message.id, work.kind FROM message JOIN status ON status.message_id = message.id
        JOIN work ON work.id = message.id AND work.kind IN ('lease', 'unsettled', 'judged')""",
    "a status has not exactly one callback": """
        SELECT status.message_id, status.status FROM status
        LEFT JOIN callback ON callback.message_id = status.message_id AND callback.status = status.status
        GROUP BY status.message_id, status.status HAVING COUNT(callback.id) <> 1""",
    "a callback is of a status that was not reported": """
        SELECT message_id, status FROM callback WHERE status IN ('sent', 'delivered', 'read') AND NOT EXISTS (
            SELECT 1 FROM status WHERE status.message_id = callback.message_id AND status.status = callback.status)""",
    "a callback waits for another that is settled": """
        SELECT callback.message_id, callback.status FROM work JOIN callback ON callback.id = work.id
        WHERE work.kind = 'callback' AND work.priority = 1 AND NOT EXISTS (
            SELECT 1 FROM callback AS earlier WHERE earlier.message_id = callback.message_id
            AND earlier.rank < callback.rank AND earlier.url = callback.url AND earlier.state = 'due')""",
}


async def faults_of(stress: Stress, url: str) -> list[str]:
    """Compare the journal with what was done to it, and return what should not be, a line each."""
    done = stress.done
    faults = list(done.faults)
    faults += [f"attempt {attempt} of {one} began twice" for (one, attempt), times in done.begun.items() if times > 1]
    faults += [f"{key} made {times} messages" for key, times in done.new_of_key.items() if times > 1]
    faults += [f"{event} was new {times} times" for event, times in done.recorded.items() if times > 1]
    connection = await asyncpg.connect(url)
    try:
        for fault, query in _NEVER.items():
            faults += [f"{fault}: {tuple(row)}" for row in await connection.fetch(query)]
        recorded = {tuple(row) for row in await connection.fetch("SELECT message_id, status FROM status")}
    finally:
        await connection.close()
    return faults + [f"never recorded: {missing}" for missing in sorted(done.reported - recorded)]
