"""Keeps the tenants: loads them from the store, makes them what a tenant file says, and swaps the snapshot."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from waypost.clock import Clock
from waypost.gateway import tenant_file
from waypost.gateway.tenants import TenantObject, Tenants, snapshot
from waypost.gateway.vault import SealBroken, Vault
from waypost.model import Account, Application, BusinessPhone, Noun, Template, Waba
from waypost.store.base import Store, TenantRow

FROM_FILE = "file"
_KINDS: dict[str, type[TenantObject]] = {
    "account": Account,
    "application": Application,
    "waba": Waba,
    "phone": BusinessPhone,
    "template": Template,
}


class Change(Noun, frozen=True, kw_only=True):
    """One thing that applying a tenant file changed."""

    action: str  # "added", "changed", "disabled"
    kind: str
    key: str


class Registry:
    """The tenants as the running gateway sees them; `tenants` is replaced as a whole, never changed."""

    def __init__(self, store: Store, vault: Vault, clock: Clock) -> None:
        self._store = store
        self._vault = vault
        self._clock = clock
        self._applying = asyncio.Lock()  # two files at once would each disable what the other adds
        self._version = ""
        self._tell: Callable[[], None] = lambda: None
        self.tenants: Tenants = snapshot(())

    def tell(self, tell: Callable[[], None]) -> None:
        """Say who tells other processes of a change."""
        self._tell = tell

    async def load(self) -> None:
        """Read all tenants from the store; raises `SealBroken` if the secret key is another than it was."""
        self._version = await self._store.tenants_version()  # first: what changes meanwhile is loaded once more
        rows = await self._store.tenants()
        self.tenants = snapshot(self._opened(row) for row in rows if row.enabled)

    async def catch_up(self) -> bool:
        """Load the tenants anew if another process has changed them, and tell whether it had."""
        if await self._store.tenants_version() == self._version:
            return False
        await self.load()
        return True

    async def apply(self, tables: Mapping[str, Any]) -> list[Change]:
        """Make the tenants what a tenant file's tables say, and return what changed.

        What an earlier file declared and this one leaves out is disabled, never erased; what came otherwise is left
        alone. The new snapshot holds from the next request on. Raises `TenantFileInvalid` and changes nothing.
        """
        wanted = {_name_of(item): item for item in tenant_file.objects(tables)}
        async with self._applying:
            rows = {(row.kind, row.key): row for row in await self._store.tenants() if row.origin == FROM_FILE}
            changes: list[Change] = []
            writes: list[TenantRow] = []
            for (kind, key), item in wanted.items():
                row = rows.get((kind, key))
                if row is not None and row.enabled and self._holds(row, item):
                    continue
                changes.append(Change(action="changed" if row else "added", kind=kind, key=key))
                writes.append(TenantRow(kind=kind, key=key, origin=FROM_FILE, enabled=True, spec=self._sealed(item)))
            for (kind, key), row in rows.items():
                if (kind, key) not in wanted and row.enabled:
                    changes.append(Change(action="disabled", kind=kind, key=key))
                    writes.append(msgspec.structs.replace(row, enabled=False))
            if writes:
                await self._store.save_tenants(tuple(writes))
                self._tell()
                await self.load()
        return changes

    def _sealed(self, item: TenantObject) -> str:
        def seal(text: str) -> str:
            return self._vault.seal(text, bytes.fromhex(self._clock.token())[:12])

        return msgspec.json.encode(_with_secrets(item, seal)).decode()

    def _holds(self, row: TenantRow, item: TenantObject) -> bool:
        try:
            return self._opened(row) == item
        except SealBroken:
            return False  # applying the file again is how a lost key is mended

    def _opened(self, row: TenantRow) -> TenantObject:
        item = msgspec.json.decode(row.spec, type=_KINDS[row.kind])
        return _with_secrets(item, self._vault.open)


def _with_secrets(item: TenantObject, change: Callable[[str], str]) -> TenantObject:
    """Return the object with each of its secrets passed through a function: the one list of what is secret."""
    match item:
        case Account():
            keys = tuple(msgspec.structs.replace(pair, access_secret=change(pair.access_secret)) for pair in item.keys)
            return msgspec.structs.replace(item, keys=keys)
        case Waba():
            app_secret = change(item.app_secret) if item.app_secret else item.app_secret
            return msgspec.structs.replace(item, access_token=change(item.access_token), app_secret=app_secret)
        case Application():
            secrets = tuple(change(secret) for secret in item.callback_secret)
            return msgspec.structs.replace(item, callback_secret=secrets)
        case _:
            return item


def _name_of(item: TenantObject) -> tuple[str, str]:
    match item:
        case Account():
            return "account", item.name
        case Application():
            return "application", item.appkey
        case Waba():
            return "waba", item.waba_id
        case BusinessPhone():
            return "phone", item.number
        case Template():
            return "template", f"{item.waba_id}/{item.name}/{item.language}"
