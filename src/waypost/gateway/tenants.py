"""The tenants in memory: one immutable snapshot that every request reads and that is swapped as a whole."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

from waypost.model import Account, Application, BusinessPhone, KeyPair, Noun, Template, Waba


class Tenants(Noun, frozen=True, kw_only=True):
    """Accounts, applications, phones, WABAs and templates, each by the name under which requests ask for it."""

    keys: Mapping[str, tuple[Account, KeyPair]]
    applications: Mapping[str, Application]
    wabas: Mapping[str, Waba]
    phones: Mapping[str, BusinessPhone]
    phones_by_id: Mapping[str, BusinessPhone]
    templates: Mapping[tuple[str, str, str], Template]  # by WABA, name, language
    app_secrets: tuple[str, ...]
    bound: Mapping[str, tuple[Application, ...]]  # by number, in the order of their appkeys
    phones_of: Mapping[str, tuple[BusinessPhone, ...]]  # by WABA

    def waba_of(self, phone: BusinessPhone) -> Waba | None:
        """Return the WABA that holds a phone; None while it is disabled."""
        return self.wabas.get(phone.waba_id)


Item = TypeVar("Item")
TenantObject = Account | Application | Waba | BusinessPhone | Template


def snapshot(objects: Iterable[TenantObject]) -> Tenants:
    """Index enabled tenant objects into a snapshot."""
    found = list(objects)
    wabas = [item for item in found if isinstance(item, Waba)]
    phones = [item for item in found if isinstance(item, BusinessPhone)]
    applications = sorted((item for item in found if isinstance(item, Application)), key=lambda item: item.appkey)
    templates = [item for item in found if isinstance(item, Template)]
    return Tenants(
        keys={pair.access_key: (item, pair) for item in found if isinstance(item, Account) for pair in item.keys},
        applications={item.appkey: item for item in applications},
        wabas={item.waba_id: item for item in wabas},
        phones={item.number: item for item in phones},
        phones_by_id={item.phone_number_id: item for item in phones},
        templates={(item.waba_id, item.name, item.language): item for item in templates},
        app_secrets=tuple(sorted({item.app_secret for item in wabas if item.app_secret})),
        bound=_grouped((number, item) for item in applications for number in dict.fromkeys(item.phones)),
        phones_of=_grouped((item.waba_id, item) for item in phones),
    )


def _grouped(pairs: Iterable[tuple[str, Item]]) -> dict[str, tuple[Item, ...]]:
    groups: dict[str, list[Item]] = {}
    for name, item in pairs:
        groups.setdefault(name, []).append(item)
    return {name: tuple(items) for name, items in groups.items()}
