"""The journal: each operation as a transaction or a read, for whichever engine runs it."""

import asyncio
from collections.abc import Callable

import msgspec

from waypost.model import (
    Attempt,
    AttemptOutcome,
    AuditEntry,
    Callback,
    CallbackDraft,
    Message,
    Outcome,
    State,
    StatusRecord,
)
from waypost.store import audit, deliveries, judging, outbox_rows, purging, sharing, transactions
from waypost.store.base import (
    Accepted,
    CallbackFilter,
    CallbackPage,
    DueEndpoint,
    Judgement,
    Page,
    Replayed,
    Store,
    TenantRow,
    WebhookEffect,
    WebhookReceipt,
)
from waypost.store.base_queue import QueueEntry
from waypost.store.journal_queue import JournalQueue
from waypost.store.purging import Bounds
from waypost.store.rows import message_of, messages_of, status_record_of, tenant_of
from waypost.store.session import Session, Value

LAST_PROBE = "last_probe"

_MANY_STATUSES = 50  # of one POST, one after the other; Meta may send a thousand

FOREVER_MS = (1 << 63) - 1
_ENDED_AT_ONCE = 200  # leases: others get their turn between

_AFTER_EVERY_ID = "\U0010ffff"  # sorts behind whatever text an id can be

# Where the messages of a state can be found without walking the journal.
_WORK_OF_STATE: dict[str, str] = {State.SENDING: "lease", State.UNKNOWN: "unsettled"}


class Journal(JournalQueue, Store):
    """Everything but the engine; fulfils `waypost.store.base.Store`."""

    # --- writes ---

    async def accept(
        self, message: Message, entry: QueueEntry | None = None, *, behind: QueueEntry | None = None
    ) -> Accepted:
        return await self._write("accept_commit", lambda session: transactions.accept(session, message, entry, behind))

    async def record_outcome(self, outcome: Outcome, callback: CallbackDraft | None = None) -> Message:
        return await self._write(
            "outcome_commit", lambda session: transactions.record_outcome(session, self._outbox, outcome, callback)
        )

    async def expire_leases(self, now_ms: int, *, all_owners: bool) -> tuple[Message, ...]:
        until_ms = FOREVER_MS if all_owners else now_ms

        def ending(message_id: str) -> Callable[[Session], Message | None]:
            return lambda session: transactions.expire_lease(session, self._outbox, message_id, until_ms, now_ms)

        ended: list[Message] = []
        leases = await self._rows("ended_leases", until_ms=until_ms)
        for first in range(0, len(leases), _ENDED_AT_ONCE):
            some = leases[first : first + _ENDED_AT_ONCE]
            works = (self._write("expiry_commit", ending(str(message_id))) for (message_id,) in some)
            ended += [message for message in await asyncio.gather(*works) if message is not None]
        return tuple(ended)

    async def record_webhook(self, receipt: WebhookReceipt) -> WebhookEffect:
        return await self._write(
            "webhook_commit",
            lambda session: transactions.record_webhook(session, self._outbox, receipt),
            is_long=len(receipt.statuses) > _MANY_STATUSES,
        )

    async def judgeable(self, *, minutes: int, given_up_before_ms: int, limit: int) -> tuple[Message, ...]:
        return await self._walk(lambda session: judging.judgeable(session, minutes, given_up_before_ms, limit))

    async def fail_unknown(self, judgements: tuple[Judgement, ...], *, now_ms: int) -> tuple[Message, ...]:
        return await self._write(
            "judge_commit", lambda session: judging.fail_unknown(session, self._outbox, judgements, now_ms)
        )

    async def tenants_version(self) -> str:
        return await self._read(sharing.tenants_version)

    async def save_tenants(self, rows: tuple[TenantRow, ...]) -> None:
        await self._write("tenants_commit", lambda session: transactions.save_tenants(session, rows))

    async def purge(
        self, *, bodies_before_ms: int, webhooks_before_ms: int, messages_before_ms: int, now_ms: int
    ) -> int:
        bounds = Bounds(bodies_ms=bodies_before_ms, webhooks_ms=webhooks_before_ms, messages_ms=messages_before_ms)
        return await self._purge(bounds, now_ms)

    async def _purge(self, bounds: Bounds, now_ms: int) -> int:
        return await self._write("purge_commit", lambda session: purging.purge(session, bounds, now_ms))

    async def ping(self) -> None:
        now = str(self._clock.now_ms())
        await self._write("ping_commit", lambda session: session.run("write_mark", name=LAST_PROBE, value=now))

    # --- the outbox ---

    async def due_endpoints(self) -> tuple[DueEndpoint, ...]:
        return await self._read(deliveries.due_endpoints)

    async def next_due(self, endpoint: str) -> int | None:
        return await self._read(lambda session: deliveries.next_due(session, endpoint))

    async def claim_callbacks(
        self, endpoint: str, *, now_ms: int, lease_until_ms: int, limit: int, order_wait_ms: int
    ) -> tuple[Callback, ...]:
        return await self._write(
            "claim_commit",
            lambda session: deliveries.claim(session, endpoint, now_ms, lease_until_ms, limit, order_wait_ms),
        )

    async def record_attempts(self, outcomes: tuple[AttemptOutcome, ...]) -> None:
        await self._write(
            "attempts_commit",
            lambda session: deliveries.record_attempts(session, outcomes, self._clock.now_ms()),
        )

    async def abandon_callbacks(self, endpoint: str, *, created_before_ms: int, now_ms: int, limit: int) -> int:
        return await self._write(
            "abandon_commit",
            lambda session: deliveries.abandon(session, endpoint, created_before_ms, now_ms, limit),
        )

    async def replay_callbacks(
        self, wanted: CallbackFilter, *, now_ms: int, limit: int, cursor: str | None, audit_id: str
    ) -> Replayed:
        # Looked up beside the writer, which decides once more: a search may be long, and nobody should wait for it.
        found = await self._walk(lambda session: outbox_rows.ids(session, wanted, now_ms, limit, cursor))
        if not found:
            return Replayed(endpoints=(), next_cursor=None)
        endpoints = await self._write(
            "replay_commit", lambda session: deliveries.revive(session, wanted, found, now_ms, audit_id)
        )
        return Replayed(endpoints=endpoints, next_cursor=found[-1])

    async def begin_audit(self, *, who: str, action: str, selection: str) -> str:
        made = AuditEntry(
            id=self._clock.uuid7_hex(), at_ms=self._clock.now_ms(), who=who, action=action, selection=selection
        )
        await self._write("audit_commit", lambda session: audit.begin(session, made))
        return made.id

    async def audit(self, *, limit: int) -> tuple[AuditEntry, ...]:
        return tuple(map(audit.entry_of, await self._rows("audit", limit=limit)))

    async def callbacks(self, *wanted: CallbackFilter, limit: int, cursor: str | None) -> CallbackPage:
        return await self._walk(lambda session: outbox_rows.page_of_any(session, wanted, limit, cursor))

    async def count_callbacks(self, wanted: CallbackFilter) -> int:
        return await self._walk(lambda session: outbox_rows.count(session, wanted))

    async def count_due_callbacks(self) -> int:
        ((number,),) = await self._walk(lambda session: session.rows("count_due_callbacks"))
        return msgspec.convert(number, int)

    async def attempts(self, callback_id: str) -> tuple[Attempt, ...]:
        return tuple(map(outbox_rows.attempt_of, await self._rows("attempts", callback_id=callback_id)))

    async def callbacks_of(self, message_id: str) -> tuple[Callback, ...]:
        return tuple(map(outbox_rows.callback_of, await self._rows("callbacks_of", message_id=message_id)))

    # --- reads ---

    async def find_by_key(self, account: str, key: str, now_ms: int) -> Message | None:
        rows = await self._rows("current_holder_of_key", key=key, account=account, now_ms=now_ms)
        return message_of(rows[0]) if rows else None

    async def find(self, any_id: str) -> Message | None:
        rows = await self._rows("find", any_id=any_id, key=_cus_key(any_id))
        return message_of(rows[0]) if rows else None

    async def resolve_meta_id(self, account: str, phone_number_id: str, any_id: str) -> str | None:
        within = {"account": account, "phone_number_id": phone_number_id, "any_id": any_id}
        rows = await self._rows("meta_id_within", **within) or await self._rows(
            "meta_id_of", key=_cus_key(any_id), **within
        )
        return str(rows[0][0]) if rows else None

    async def wire_ids(self, account: str, phone_number_id: str, meta_ids: tuple[str, ...]) -> dict[str, str]:
        rows = await self._rows(
            "wire_ids",
            account=account,
            phone_number_id=phone_number_id,
            meta_ids=msgspec.json.encode(meta_ids).decode(),
        )
        return dict(msgspec.convert(rows, list[tuple[str, str]]))

    async def statuses(self, message_id: str) -> tuple[StatusRecord, ...]:
        return tuple(map(status_record_of, await self._rows("statuses", message_id=message_id)))

    async def count_by_state(self) -> dict[str, int]:
        counted = msgspec.convert(await self._rows("count_work"), tuple[tuple[str, int], ...])
        # The others are few; these can be a million, so that counting them takes a moment.
        ((queued,),) = await self._walk(lambda session: session.rows("count_queued"))
        return {"lease": 0, "unsettled": 0} | dict(counted) | {"queued": msgspec.convert(queued, int)}

    async def count_unsettled(self) -> int:
        counted = msgspec.convert(await self._rows("count_work"), tuple[tuple[str, int], ...])
        return dict(counted).get("unsettled", 0)

    async def tenants(self) -> tuple[TenantRow, ...]:
        return tuple(map(tenant_of, await self._rows("tenants")))

    async def list(self, *, state: str | None, limit: int, cursor: str | None) -> Page:
        where: dict[str, Value] = {"before": _AFTER_EVERY_ID if cursor is None else cursor, "limit": limit + 1}
        if state is None:
            rows = await self._rows("newest", **where)
        elif state == State.QUEUED:
            rows = await self._rows("newest_queued", **where)
        elif kind := _WORK_OF_STATE.get(state):
            rows = await self._rows("newest_in_work", kind=kind, state=state, **where)
        else:
            rows = await self._walk(lambda session: session.rows("newest_of_state", state=state, **where))
        messages = messages_of(rows[:limit])
        return Page(messages=messages, next_cursor=messages[-1].id if len(rows) > limit else None)


def _cus_key(cus_message_id: str) -> str:
    """Name the key under which a message with this `cus_message_id` is held (see `Message.key`)."""
    return f"cus:{cus_message_id}"
