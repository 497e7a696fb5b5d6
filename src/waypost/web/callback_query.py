"""`POST /api/wa/callback`: a customer asks again for what it was told."""

import msgspec

from waypost.clock import first_id_of
from waypost.gateway import routing
from waypost.gateway.registry import Registry
from waypost.model import Callback, CallbackKind
from waypost.protocol import callback_query, replies
from waypost.protocol.callback_events import MESSAGES, STATUSES, subscription_of
from waypost.protocol.callback_query import CallbackQuery
from waypost.protocol.errors import ParameterInvalid, SystemBusy
from waypost.store.base import CallbackFilter, Store, StoreUnavailable
from waypost.telemetry import WideLine
from waypost.web import signed
from waypost.web.asgi import BodyRefused

MAX_READ = 5_000  # callbacks that one query looks through
MAX_BYTES = 8 * 1_048_576  # of what one answer holds: coexistence history comes in large pieces
_AT_ONCE = 50  # read from the journal together; others read in between
_OTHERS = (CallbackKind.INBOUND, CallbackKind.EVENT)
# What has no name of its field in it: the array that it comes in instead. The first and last may come as events too.
_FLAT = {
    MESSAGES: ("messages", _OTHERS),
    STATUSES: ("statuses", (CallbackKind.STATUS,)),
    "calls": ("calls", _OTHERS),
}
_EVENTS = ("", (CallbackKind.EVENT,))
_ABSENT = msgspec.Raw()


class _Value(msgspec.Struct):
    business_phone: str | None = None


class _Told(msgspec.Struct):
    """As much of a stored callback as a query chooses by; `field` and `value` are those of events."""

    field: str | None = None
    value: _Value | None = None
    business_phone: str | None = None
    messages: msgspec.Raw = _ABSENT
    statuses: msgspec.Raw = _ABSENT
    calls: msgspec.Raw = _ABSENT


_decoder = msgspec.json.Decoder(_Told)


class CallbackQueryEndpoint:
    """Answers the stored callbacks of one field, number and time, each as the text that was pushed."""

    def __init__(self, registry: Registry, store: Store) -> None:
        self._registry = registry
        self._store = store

    async def answer(self, headers: dict[str, str], body: bytes | BodyRefused, line: WideLine, now_ms: int) -> bytes:
        """Return the answer to a query; raises the `Failure` to answer instead, in the order of decision D12."""
        tenants = self._registry.tenants
        caller, raw = signed.caller_of(tenants, headers, body, line, now_ms)
        query = callback_query.decode(raw)
        since_ms, until_ms = query.window(now_ms)
        line.note(appkey=query.appkey, business_phone=query.business_phone, field=query.field)
        place = routing.locate(tenants, caller.account, query.appkey, query.business_phone)
        try:
            found, cursor = await self._read(caller.account.name, query, place.phone.number, since_ms, until_ms)
        except StoreUnavailable as error:
            raise SystemBusy(f"journal unavailable: {error}") from None
        line.note(callbacks=len(found))
        if query.page_size is not None:
            items = [{"id": callback.id, "payload": callback.body.decode()} for callback in found]
            return replies.answered({"callbacks": items, "next_cursor": cursor}, line.trace_id)
        if cursor is not None:
            details = "there are too many in this time; ask for a shorter one, or page by page with a limit"
            raise ParameterInvalid(details, path="$.end_time")
        return replies.answered([callback.body.decode() for callback in found], line.trace_id)

    async def _read(
        self, account: str, query: CallbackQuery, number: str, since_ms: int, until_ms: int
    ) -> tuple[list[Callback], str | None]:
        """Return what fits, and behind which one to go on; None if nothing follows.

        The time is that of the ids, which never steps back: so neighbouring times share no callback and miss none, and
        what comes after the end is not read.
        """
        name = _name_of(query.field)
        wanted = [
            CallbackFilter(account=account, appkey=query.appkey, kind=kind) for kind in _FLAT.get(name, _EVENTS)[1]
        ]
        cursor, end = max(query.cursor or "", first_id_of(since_ms)), first_id_of(until_ms)
        found: list[Callback] = []
        read = size = 0
        while True:
            page = await self._store.callbacks(*wanted, limit=_AT_ONCE, cursor=cursor)
            for callback in page.callbacks:
                if callback.id >= end:
                    return found, None
                if len(found) == query.page_size or read == MAX_READ or size > MAX_BYTES:
                    return found, cursor
                cursor = callback.id
                read += 1
                if _fits(callback, name, number):
                    found.append(callback)
                    size += len(callback.body)
            if page.next_cursor is None:
                return found, None


def _name_of(field: str) -> str:
    name = subscription_of(field)
    return name if name in _FLAT else field


def _fits(callback: Callback, name: str, number: str) -> bool:
    told = _decoder.decode(callback.body)
    if told.value is not None:
        return told.field == name and told.value.business_phone == number
    member, _ = _FLAT.get(name, _EVENTS)
    return told.business_phone == number and getattr(told, member, _ABSENT) is not _ABSENT
