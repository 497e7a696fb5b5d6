"""`POST /api/wa/callback`: a customer asks again for what it was told about its templates, account and phones."""

import msgspec

from waypost.gateway import routing
from waypost.gateway.registry import Registry
from waypost.model import Callback, CallbackKind
from waypost.protocol import callback_query, replies
from waypost.protocol.errors import ParameterInvalid, SystemBusy
from waypost.store.base import CallbackFilter, Store, StoreUnavailable
from waypost.telemetry import WideLine
from waypost.web import signed
from waypost.web.answers import MAX_PAGE
from waypost.web.asgi import BodyRefused

MAX_EVENTS = 5_000  # of an application that one query looks through; an account has a few in a week


class _Value(msgspec.Struct):
    business_phone: str | None = None


class _Event(msgspec.Struct):
    """As much of a stored event as a query chooses by."""

    field: str
    value: _Value


_event_decoder = msgspec.json.Decoder(_Event)


class CallbackQueryEndpoint:
    """Answers the stored events of one field, number and time, each as the text that was pushed."""

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
        wanted = CallbackFilter(
            account=caller.account.name,
            appkey=query.appkey,
            kind=CallbackKind.EVENT,
            since_ms=since_ms,
            until_ms=until_ms,
        )
        try:
            events = await self._events(wanted)
        except StoreUnavailable as error:
            raise SystemBusy(f"journal unavailable: {error}") from None
        found = [event.body.decode() for event in events if _fits(event, query.field, place.phone.number)]
        line.note(events=len(found))
        return replies.answered(found, line.trace_id)

    async def _events(self, wanted: CallbackFilter) -> list[Callback]:
        events: list[Callback] = []
        cursor: str | None = None
        while True:
            page = await self._store.callbacks(wanted, limit=MAX_PAGE, cursor=cursor)
            events += page.callbacks
            if len(events) > MAX_EVENTS:
                raise ParameterInvalid("there are too many in this time; ask for a shorter one", path="$.end_time")
            if page.next_cursor is None:
                return events
            cursor = page.next_cursor


def _fits(event: Callback, field: str, number: str) -> bool:
    told = _event_decoder.decode(event.body)
    return told.field == field and told.value.business_phone == number
