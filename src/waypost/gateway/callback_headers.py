"""The headers of a callback: its signatures, made with the secrets as they are now (decision D9)."""

from waypost.gateway.tenants import Tenants
from waypost.model import Callback, KeyPair
from waypost.protocol import callbacks

SIGNATURE_LIFE_MS = 60_000  # a repeat within it carries the same signature, for receivers that know repeats by it


class NotSignable(Exception):
    """Nobody knows how a callback is to be signed; the text says why, in one line."""


def headers_of(callback: Callback, tenants: Tenants, now_ms: int) -> dict[str, str]:
    """Return the headers to push a callback with; none are added where the application asks for no signature.

    Raises `NotSignable` while the application is not in the tenant file: what it said about signatures went with it.
    """
    application = tenants.applications.get(callback.appkey)
    if application is None or application.account != callback.account:
        raise NotSignable(f"account {callback.account} has no application {callback.appkey} in the tenant file")
    headers: dict[str, str] = {}
    signed_at_ms = _signed_at_ms(callback, now_ms)
    if application.callback_signing is not None:
        pair = _pair_of(callback, tenants)
        headers |= callbacks.nxcloud_headers(
            callback.body,
            access_key=pair.access_key,
            secret=pair.access_secret,
            algorithm=application.callback_signing,
            ts_ms=signed_at_ms,
        )
    if application.callback_secret:
        headers |= callbacks.standard_headers(
            callback.body, callback_id=callback.id, secrets=application.callback_secret, at_s=signed_at_ms // 1000
        )
    return headers


def _signed_at_ms(callback: Callback, now_ms: int) -> int:
    first = callback.first_attempt_at_ms
    return first if first is not None and 0 <= now_ms - first < SIGNATURE_LIFE_MS else now_ms


def _pair_of(callback: Callback, tenants: Tenants) -> KeyPair:
    """Return the key pair that sent the message; one that is gone or was none, the account's first."""
    known = tenants.keys.get(callback.access_key or "")
    if known is not None and known[0].name == callback.account:
        return known[1]
    for account, pair in tenants.keys.values():
        if account.name == callback.account:
            return pair
    raise NotSignable(f"account {callback.account} has no key pair in the tenant file")
