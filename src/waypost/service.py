"""Builds the gateway from its settings, starts its parts in order and stops them in reverse."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Coroutine, Iterable
from enum import StrEnum
from pathlib import Path
from typing import Any

import structlog

from waypost import engines
from waypost.clock import Clock
from waypost.data_dir import DataDir
from waypost.gateway.attempt import SendLimits
from waypost.gateway.checkup import Checkup, Finding
from waypost.gateway.deliver import Deliverer
from waypost.gateway.endpoints import PushLimits
from waypost.gateway.gate import GateLimits
from waypost.gateway.judge import Judge
from waypost.gateway.neighbours import Neighbours
from waypost.gateway.outbox import Outbox
from waypost.gateway.pauses import lift_for
from waypost.gateway.registry import Change, Registry
from waypost.gateway.sending import Sending, SendingLimits, sending
from waypost.gateway.shares import SharedQueues
from waypost.gateway.upkeep import Retention, Upkeep
from waypost.gateway.vault import Vault
from waypost.meta.client import MetaClient
from waypost.model import CallbackDraft, Message, StatusEvent
from waypost.net.safe_http import SafeHttp
from waypost.queue.base import Queue, Ring
from waypost.settings import Settings, database_path, is_shared
from waypost.site import Inside, Site
from waypost.store.base import Store, StoreUnavailable
from waypost.store.database_file import schema_version
from waypost.store.effects import Effects
from waypost.store.postgres_connection import without_password
from waypost.store.postgres_database import schema_version as schema_version_there
from waypost.store.schema import newest_version
from waypost.store.sqlite import SqliteStore
from waypost.web.server import HttpServer

log = structlog.get_logger("waypost.service")

_STOP_MARGIN_S = 5
_LINGER_S = 0.3  # a balancer that knows of other processes may just be sending something here


class Role(StrEnum):
    """What a process does; several of each may share a journal that is a server's."""

    ALL = "all"
    WEB = "web"  # takes requests and Meta's webhooks
    WORKER = "worker"  # sends what waits, pushes callbacks, does the upkeep


class Service:
    """One gateway process: `start`, then `stop`; the tokens that the settings left open are known after `start`."""

    def __init__(
        self, settings: Settings, clock: Clock | None = None, *, role: Role = Role.ALL, effects: Effects | None = None
    ) -> None:
        """`effects` lets a fault test break the journal's commits; there are none in production."""
        self.settings = settings
        self.role = role
        self._effects = effects
        self.clock = clock or Clock()
        self.admin_token = settings.admin_token
        self.verify_token = settings.meta_verify_token
        self.made_admin_token = False
        self.url = ""
        self._folder = DataDir(Path(settings.data_dir))
        self._queue: Queue = engines.doorbell(settings, self.clock)
        self._owned: list[DataDir] = []
        self._running = contextlib.AsyncExitStack()

    async def start(self, host: str, port: int, listener: socket.socket | None = None) -> str:
        """Start everything and return the gateway's base URL; a listener that is given is served instead of an address.

        Order: own the data folder, open the journal and recover what a crash left, load the tenants, then listen. If a
        step fails, what was started is stopped again. Raises `DataDirBusy`, `DataDirUnusable`, `StoreUnavailable`,
        `SealBroken`, `AddressUnusable`.
        """
        async with contextlib.AsyncExitStack() as running:
            self.url = await self._start(running, host, port, listener)
            self._running = running.pop_all()
        log.info("started", url=self.url, role=self.role)
        return self.url

    async def stop(self) -> None:
        """Stop in reverse order: no new requests, those under way finish, then journal and lock."""
        await self._running.aclose()
        log.info("stopped")

    async def _start(
        self, running: contextlib.AsyncExitStack, host: str, port: int, listener: socket.socket | None
    ) -> str:
        store, registry = await self.open_journal(running)
        await registry.load()
        await self._queue.start()
        running.push_async_callback(self._queue.close)
        deliverer = await self._deliverer(running, store, registry)
        upkeep = self._upkeep(store)
        if not is_shared(self.settings):
            await upkeep.recover()
        self._take_tokens()

        meta = self.meta_client()
        await meta.start()
        running.push_async_callback(meta.close)
        parts = sending(store, registry, self._outbox, meta, self.clock, self._sending_limits())
        neighbours = self._neighbours(store, registry, parts, deliverer)
        await parts.load()

        self._run(running, parts.dispatcher.run(), "dispatcher")
        if neighbours is not None:
            self._run(running, neighbours.run(), "neighbours")
        if self.role != Role.WEB:
            judge = Judge(store, self.clock, self._outbox, parts.resender, self.settings.settle_within)
            self._run(running, upkeep.run(), "upkeep")
            self._run(running, deliverer.run(), "deliverer")
            self._run(running, judge.run(), "judge")
            self._run(running, self._answer_rings(deliverer, parts), "doorbell")
        site = Site(
            Inside(store, registry, self._outbox, meta, parts, deliverer, self._queue), self.settings, self.clock
        )
        is_worker = self.role == Role.WORKER
        app = site.health_alone() if is_worker else site.whole(self.admin_token, self.verify_token)
        server = HttpServer(app, drain_s=self._longest_request_s(), linger_s=_LINGER_S if neighbours else 0.0)
        url = server.start(host, port, listener)
        running.push_async_callback(server.stop)
        for folder in self._owned:
            folder.announce(url)
        return url

    async def _answer_rings(self, deliverer: Deliverer, parts: Sending) -> None:
        while True:
            for ring in await self._queue.take():
                if ring.kind == "callbacks":
                    deliverer.ring((ring.name,))
                else:
                    parts.dispatcher.ring(ring.name)

    def _neighbours(self, store: Store, registry: Registry, parts: Sending, deliverer: Deliverer) -> Neighbours | None:
        """Return what keeps this process in step with others; None where there can be none."""
        if not is_shared(self.settings):
            return None
        neighbours = Neighbours(store, registry, self._queue, parts, self.clock)
        sends = self.role != Role.WEB
        parts.dispatcher.shared_by(SharedQueues(store, self._queue, neighbours.owner_of, self.clock, sends=sends))
        parts.turns.pace.share()
        neighbours.deliver_with(deliverer)
        registry.tell(neighbours.changed)
        parts.pauses.tell(neighbours.changed)
        return neighbours

    async def open_journal(self, running: contextlib.AsyncExitStack) -> tuple[engines.AnyStore, Registry]:
        """Own the data folder, open the journal in it, and return it with the registry of tenants, not loaded yet."""
        for folder in engines.folders_to_own(self.settings):
            await folder.lock()
            running.callback(folder.release)
            self._owned.append(folder)
        secret_key = self.settings.secret_key or self._folder.secret("secret-key")[0]
        store = engines.journal(self.settings, self.clock, effects=self._effects, draft=self._draft, entered=self._ring)
        await store.open()
        running.push_async_callback(store.close)
        registry = Registry(store, Vault(secret_key), self.clock)
        self._outbox = Outbox(registry)
        return store, registry

    def _ring(self, endpoints: Iterable[str]) -> None:
        for endpoint in endpoints:
            self._queue.put(Ring(kind="callbacks", name=endpoint))

    def _draft(self, message: Message, event: StatusEvent) -> CallbackDraft | None:
        return self._outbox.draft(message, event)  # which is built after the store, from the tenants in it

    async def _deliverer(self, running: contextlib.AsyncExitStack, store: Store, registry: Registry) -> Deliverer:
        http = SafeHttp(
            self.clock,
            timeout_s=self.settings.callback_timeout,
            allow_private=self.settings.allow_private_callbacks,
        )
        await http.start()
        running.push_async_callback(http.close)
        limits = PushLimits(timeout_s=self.settings.callback_timeout)
        return Deliverer(store, http, registry, self.clock, limits)

    def _take_tokens(self) -> None:
        """Read or make the tokens that the settings left open."""
        if not self.admin_token:
            self.admin_token, self.made_admin_token = self._folder.secret("admin-token")
        if not self.verify_token:
            self.verify_token, _ = self._folder.secret("verify-token")

    def meta_client(self) -> MetaClient:
        """Return a client for Meta as the settings say, not started yet."""
        return MetaClient(
            self.settings.meta_base_url,
            self.settings.meta_api_version,
            connect_timeout_s=self.settings.meta_connect_timeout,
            read_timeout_s=self.settings.meta_read_timeout,
        )

    def _sending_limits(self) -> SendingLimits:
        send = SendLimits(
            connect_s=self.settings.meta_connect_timeout,
            read_s=self.settings.meta_read_timeout,
            in_flight=self.settings.max_in_flight,
        )
        gate = GateLimits(
            answer_within_s=self.settings.answer_within,
            waiting=self.settings.max_waiting,
            waiting_of_application=self.settings.max_waiting_per_application,
        )
        return SendingLimits(send, gate)

    def _upkeep(self, store: Store) -> Upkeep:
        retention = Retention(
            bodies=self.settings.retain_bodies,
            raw_webhooks=self.settings.retain_raw_webhooks,
            messages=self.settings.retain_messages,
        )
        return Upkeep(store, self.clock, retention)

    def _longest_request_s(self) -> float:
        return self.settings.meta_connect_timeout + self.settings.meta_read_timeout + _STOP_MARGIN_S

    def _run(self, running: contextlib.AsyncExitStack, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run something beside the server, and end it when the service stops."""
        task = asyncio.create_task(work, name=name)

        async def end() -> None:
            task.cancel()
            await asyncio.wait((task,))
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error

        running.push_async_callback(end)


async def apply_offline(settings: Settings, tables: dict[str, Any]) -> list[Change]:
    """Make the tenants what a tenant file's tables say while no gateway runs; makes the database if there is none.

    Raises like `Service.start`, and `TenantFileInvalid`.
    """
    service = Service(settings)
    async with contextlib.AsyncExitStack() as running:
        store, registry = await service.open_journal(running)
        changes = await registry.apply(tables)
        await lift_for(store, registry, changes)
        return changes


async def check_up_offline(settings: Settings) -> list[Finding]:
    """Return what `Checkup` finds while no gateway runs; raises like `Service.start`."""
    service = Service(settings)
    async with contextlib.AsyncExitStack() as running:
        _, registry = await service.open_journal(running)
        await registry.load()
        meta = service.meta_client()
        await meta.start()
        running.push_async_callback(meta.close)
        return await Checkup(registry, meta).findings()


@contextlib.asynccontextmanager
async def journal_to_read(settings: Settings) -> AsyncIterator[Store]:
    """Open the journal for looking: nothing of it is made, locked or upgraded.

    Raises `StoreUnavailable`, also for a journal of another schema version than this program reads.
    """
    shared, path = is_shared(settings), database_path(settings)
    if shared:
        where, version = without_password(settings.database_url), await schema_version_there(settings.database_url)
    else:
        where, version = str(path), await asyncio.to_thread(schema_version, path)
    if shared and version == 0:
        raise StoreUnavailable(f"there is no journal in {where}; `waypost apply FILE` makes it")
    if version != newest_version():
        raise StoreUnavailable(
            f"{where} has schema version {version}, this program reads {newest_version()}: "
            "`waypost db upgrade` brings an older one up to date"
        )
    if shared:
        store: engines.AnyStore = engines.journal(settings, Clock())
        await store.open()
    else:
        store = embedded = SqliteStore(path, Clock())
        embedded.open_read_only()
    try:
        yield store
    finally:
        await store.close()
