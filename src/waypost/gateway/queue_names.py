"""What operators call things by when they speak about the queue, and what is meant. Pure."""

from waypost.gateway.tenants import Tenants
from waypost.store.base_queue import PRIORITY_PROMPT, PauseKind, QueueFilter


class NameUnknown(Exception):
    """Nothing of this name is among the tenants; the message says what was looked for."""


def phone_number_id_of(tenants: Tenants, name: str) -> str | None:
    """Return the id of a phone that is named by its id or by its number, or None if it is not among the tenants."""
    if name in tenants.phones_by_id:
        return name
    phone = tenants.phones.get(name.removeprefix("+"))
    return None if phone is None else phone.phone_number_id


def key_of(tenants: Tenants, kind: PauseKind, name: str) -> str:
    """Return the key under which something is paused; raises `NameUnknown`."""
    match kind:
        case "phone":
            phone_number_id = phone_number_id_of(tenants, name)
            if phone_number_id is None:
                raise NameUnknown(f"no phone among the tenants has the number or phone number id {name}")
            return phone_number_id
        case "application":
            if name not in tenants.applications:
                raise NameUnknown(f"no application among the tenants has the appkey {name}")
        case "waba":
            if name not in tenants.wabas:
                raise NameUnknown(f"no WABA among the tenants has the id {name}")
    return name


def selection(
    tenants: Tenants, *, phone: str | None, appkey: str | None, account: str | None, template: str | None
) -> QueueFilter:
    """Return which messages are meant; a phone that nobody knows is taken for the id of one that was removed."""
    phone_number_id = None if phone is None else phone_number_id_of(tenants, phone) or phone
    return QueueFilter(phone_number_id=phone_number_id, appkey=appkey, account=account, template=template)


def check_known(tenants: Tenants, wanted: QueueFilter) -> None:
    """Raise `NameUnknown` for a selection that names something that is not among the tenants: probably a slip."""
    if wanted.phone_number_id is not None:
        key_of(tenants, "phone", wanted.phone_number_id)
    if wanted.appkey is not None:
        key_of(tenants, "application", wanted.appkey)
    accounts = {account.name for account, _ in tenants.keys.values()}
    if wanted.account is not None and wanted.account not in accounts:
        raise NameUnknown(f"no account among the tenants has the name {wanted.account}")


def priority_name(priority: int) -> str:
    """Return the word for a priority."""
    return "prompt" if priority == PRIORITY_PROMPT else "ordinary"
