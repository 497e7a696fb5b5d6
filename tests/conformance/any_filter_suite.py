"""What every engine of the journal must do where callbacks are asked for by several filters at once."""

from tests.conformance.journal_rows import SteppedClock
from tests.conformance.outbox_rows import Outlet, entered, inbound
from waypost.model import CallbackKind, CallbackState
from waypost.store.base import CallbackFilter, Store

NOT_ACCEPTED = (CallbackFilter(state=CallbackState.DUE), CallbackFilter(state=CallbackState.ABANDONED))


class AnyFilterSuite:
    """A list by several filters has what fits one of them, each once, on pages that are full until the end."""

    async def test_pages_are_full_however_much_between_them_does_not_fit(
        self, store: Store, clock: SteppedClock, outlet: Outlet
    ) -> None:
        callbacks = await entered(store, clock, *(inbound() for _ in range(30)))
        await outlet.claim()
        await outlet.accept(*(one for number, one in enumerate(callbacks) if number % 3 == 0 or 5 < number < 20))
        await outlet.give_up(callbacks[1], callbacks[22], callbacks[25])
        expected = [one.id for number, one in enumerate(callbacks) if number % 3 and not 5 < number < 20]
        listed: list[str] = []
        cursor: str | None = None
        for size in (4, 4, 3):
            page = await store.callbacks(*NOT_ACCEPTED, limit=4, cursor=cursor)
            assert len(page.callbacks) == size
            listed += [one.id for one in page.callbacks]
            cursor = page.next_cursor
        assert cursor is None
        assert listed == expected

    async def test_what_fits_several_comes_once(self, store: Store, clock: SteppedClock) -> None:
        event = inbound(kind=CallbackKind.EVENT)
        callbacks = await entered(store, clock, inbound(), event, inbound(appkey="shop"), event)
        wanted = (CallbackFilter(kind=CallbackKind.EVENT), CallbackFilter(appkey="f543ertg"))
        page = await store.callbacks(*wanted, limit=3, cursor=None)
        assert [one.id for one in page.callbacks] == [callbacks[0].id, callbacks[1].id, callbacks[3].id]
        assert page.next_cursor is None
        assert (await store.callbacks(limit=3, cursor=None)).callbacks == (), "no filter, nothing fits"
