"""What is paused, by hand or by the gateway: kept in the journal where it lasts, in memory where it is short."""

from collections.abc import Callable, Iterable

import structlog

from waypost.clock import Clock
from waypost.gateway.brakes import APP, Brakes, Hold
from waypost.gateway.registry import Change, Registry
from waypost.store.base import Store, StoreUnavailable
from waypost.store.base_queue import Pause, PausedBy, PauseKind

log = structlog.get_logger("waypost.pauses")


async def lift_for(store: Store, registry: Registry, changes: Iterable[Change]) -> None:
    """Lift the gateway's own pauses of changed WABAs and of their phones; raises `StoreUnavailable`."""
    held = {(pause.kind, pause.key) for pause in await store.pauses()}
    for kind, key in concerned(registry, changes):
        if (kind, key) in held:
            await store.lift_pause(kind, key, by="gateway")


def concerned(registry: Registry, changes: Iterable[Change]) -> list[tuple[PauseKind, str]]:
    """Name the WABAs that were changed, and their phones: what Meta said of them may hold no more."""
    changed = {change.key for change in changes if change.kind == "waba"}
    about: list[tuple[PauseKind, str]] = [("waba", waba_id) for waba_id in changed]
    phones = registry.tenants.phones_by_id.values()
    about += [("phone", phone.phone_number_id) for phone in phones if phone.waba_id in changed]
    return about


class Pauses:
    """Pauses and resumes; `brakes` says what holds now."""

    def __init__(self, store: Store, registry: Registry, clock: Clock) -> None:
        self._store = store
        self._registry = registry
        self._clock = clock
        self.brakes = Brakes()
        self._seen: set[tuple[PauseKind, str]] = set()  # in the journal, as far as this process knows
        self._entered: set[tuple[PauseKind, str]] = set()  # there by this process, since the last look began
        self._lifted: Callable[[], None] = lambda: None
        self._tell: Callable[[], None] = lambda: None

    def answered_by(self, lifted: Callable[[], None]) -> None:
        """Say who is to be told when something may leave again."""
        self._lifted = lifted

    def tell(self, tell: Callable[[], None]) -> None:
        """Say who tells other processes of a change."""
        self._tell = tell

    async def load(self) -> None:
        """Make the brakes what the journal says, also after the tenants or another process changed it."""
        self._entered = set()
        found = await self._store.pauses()
        self._seen = {(pause.kind, pause.key) for pause in found} | self._entered
        for pause in found:
            self.brakes.put_on(
                pause.kind,
                pause.key,
                Hold(reason=pause.reason, until_ms=pause.until_ms),
                now_ms=self._clock.now_ms(),
            )

    async def catch_up(self) -> None:
        """Take over what other processes paused and resumed; raises `StoreUnavailable`."""
        before = frozenset(self._seen)
        await self.load()
        for kind, key in before - self._seen:
            if self.brakes.take_off(kind, key, self._clock.now_ms()):
                log.warning("resumed", kind=kind, key=key, by="another process")
        if before - self._seen:
            self._lifted()

    def app_of(self, waba_id: str) -> str:
        """Name the Meta app of a WABA, whose calls are counted together: by its secret's owner, else by the WABA."""
        wabas = self._registry.tenants.wabas
        waba = wabas.get(waba_id)
        if waba is None or waba.app_secret is None:
            return waba_id
        return min(other.waba_id for other in wabas.values() if other.app_secret == waba.app_secret)

    async def hold(self, kind: str, key: str, hold: Hold, *, began_ms: int, by: PausedBy) -> None:
        """Hold something because of what Meta said; what lasts until it is lifted outlives this process, with an alarm.

        Told once, though every message that was under way brings the same news.
        """
        if not self.brakes.put_on(kind, key, hold, now_ms=self._clock.now_ms(), began_ms=began_ms):
            return
        if hold.until_ms is not None:
            log.info("held", kind=kind, key=key, reason=hold.reason, until_ms=hold.until_ms)
            return
        log.error("paused", kind=kind, key=key, reason=hold.reason)
        if kind != APP:
            await self._save(kind, key, hold, by)  # type: ignore[arg-type]  # the kinds of brakes but the app's

    async def _save(self, kind: PauseKind, key: str, hold: Hold, by: PausedBy) -> None:
        pause = Pause(
            kind=kind,
            key=key,
            reason=hold.reason,
            since_ms=self._clock.now_ms(),
            until_ms=hold.until_ms,
            by=by,
        )
        try:
            await self._enter(pause)
        except StoreUnavailable as error:  # it holds in this process all the same, and Meta will say it again
            log.warning("pause_not_journalled", kind=kind, key=key, reason=str(error))

    async def _enter(self, pause: Pause) -> None:
        await self._store.save_pause(pause)
        self._seen.add((pause.kind, pause.key))
        self._entered.add((pause.kind, pause.key))
        self._tell()

    async def pause(self, kind: PauseKind, key: str, reason: str) -> Pause:
        """Pause something by hand, until it is resumed; raises `StoreUnavailable`."""
        pause = Pause(kind=kind, key=key, reason=reason, since_ms=self._clock.now_ms(), until_ms=None, by="operator")
        await self._enter(pause)
        self.brakes.put_on(kind, key, Hold(reason=reason, until_ms=None), now_ms=pause.since_ms)
        log.warning("paused", kind=kind, key=key, reason=reason, by="operator")
        return pause

    async def tenants_changed(self, changes: Iterable[Change]) -> None:
        """Lift what the gateway itself paused for the sake of a WABA whose token or settings were changed.

        Also what it could not write down. News of attempts that began before count no more, whether or not anything
        was paused yet.
        """
        changed = tuple(changes)
        now = self._clock.now_ms()
        await lift_for(self._store, self._registry, changed)
        kept = {(pause.kind, pause.key) for pause in await self._store.pauses()}
        for kind, key in concerned(self._registry, changed):
            if (kind, key) not in kept and self.brakes.take_off(kind, key, now):
                log.warning("resumed", kind=kind, key=key, by="tenants")
        self._lifted()  # also what was held for a phone, WABA or application that was missing

    async def resume(self, kind: PauseKind, key: str) -> bool:
        """Lift whatever holds something, and return whether anything did; raises `StoreUnavailable`."""
        was = await self._store.lift_pause(kind, key)
        self._tell()
        held = self.brakes.take_off(kind, key, self._clock.now_ms())
        log.warning("resumed", kind=kind, key=key)
        self._lifted()
        return was or held
