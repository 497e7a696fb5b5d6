"""Which secrets a callback is signed with, when a signature is used again, and when there is nobody to sign for."""

import msgspec
import pytest

from waypost.gateway.callback_headers import NotSignable, headers_of
from waypost.gateway.tenants import TenantObject, Tenants, snapshot
from waypost.model import Account, Application, Callback, CallbackKind, CallbackState, KeyPair
from waypost.sdk.callbacks import verify_nxcloud, verify_standard

OLD, NEW = KeyPair(access_key="k-old", access_secret="s-old"), KeyPair(access_key="k-new", access_secret="s-new")
ACCOUNT = Account(name="acme", keys=(NEW, OLD))
APPLICATION = Application(
    appkey="app", account="acme", name="shop", phones=(), callback_signing="sha256", callback_secret=("hook-secret",)
)
NOW_MS = 1_790_000_000_000
SIGNED = {"accesskey", "sign", "ts", "webhook-id", "webhook-signature", "webhook-timestamp"}


def tenants(*objects: TenantObject) -> Tenants:
    return snapshot(objects or (ACCOUNT, APPLICATION))


def callback(**changes: object) -> Callback:
    made = Callback(
        id="cb1",
        account="acme",
        appkey="app",
        url="https://shop.example/dr",
        endpoint="acme https://shop.example",
        kind=CallbackKind.STATUS,
        body=b'{"statuses":[]}',
        access_key="k-old",
        message_id="wamid.1",
        status="sent",
        rank=40,
        state=CallbackState.DUE,
        created_at_ms=NOW_MS,
        attempts=0,
    )
    return msgspec.structs.replace(made, **changes)


@pytest.mark.parametrize(
    ("sent_with", "pair"),
    [("k-old", OLD), ("k-new", NEW), ("k-gone", NEW), (None, NEW)],
    ids=["the older of two", "the newer", "one that is gone since", "none: not about a message"],
)
def test_the_key_pair_that_sent_the_message_signs_and_else_the_first(sent_with: str | None, pair: KeyPair) -> None:
    headers = headers_of(callback(access_key=sent_with), tenants(), NOW_MS)
    assert headers["accesskey"] == pair.access_key
    secrets = {one.access_key: one.access_secret for one in (OLD, NEW)}
    assert [verify_nxcloud(headers, b'{"statuses":[]}', secret) for secret in secrets.values()] == [
        pair is OLD,
        pair is NEW,
    ]


def test_another_accounts_key_never_signs() -> None:
    other = Account(name="globex", keys=(KeyPair(access_key="k-old", access_secret="theirs"),))
    mine = Account(name="acme", keys=(NEW,))
    headers = headers_of(callback(), tenants(mine, other, APPLICATION), NOW_MS)
    assert headers["accesskey"] == "k-new"


@pytest.mark.parametrize(
    ("later_ms", "is_the_same"), [(0, True), (5_000, True), (59_999, True), (60_000, False), (3_600_000, False)]
)
def test_a_repeat_within_a_minute_carries_the_same_signature_and_a_later_one_is_signed_anew(
    later_ms: int, is_the_same: bool
) -> None:
    first = headers_of(callback(), tenants(), NOW_MS)
    tried = callback(attempts=1, first_attempt_at_ms=NOW_MS)
    again = headers_of(tried, tenants(), NOW_MS + later_ms)
    assert (again == first) == is_the_same
    now_ms = NOW_MS if is_the_same else NOW_MS + later_ms
    assert (again["ts"], again["webhook-timestamp"]) == (str(now_ms), str(now_ms // 1000))
    assert again["webhook-id"] == first["webhook-id"]
    assert verify_nxcloud(again, tried.body, "s-old")
    assert verify_standard(again, tried.body, "hook-secret", now_s=(NOW_MS + later_ms) // 1000)


def test_a_first_attempt_that_lies_ahead_is_a_clock_that_went_back_and_signed_anew() -> None:
    headers = headers_of(callback(attempts=1, first_attempt_at_ms=NOW_MS + 5_000), tenants(), NOW_MS)
    assert headers["ts"] == str(NOW_MS)


def test_without_signing_nothing_is_added() -> None:
    plain = msgspec.structs.replace(APPLICATION, callback_signing=None, callback_secret=())
    assert headers_of(callback(), tenants(ACCOUNT, plain), NOW_MS) == {}
    assert headers_of(callback(), tenants(), NOW_MS).keys() >= SIGNED


@pytest.mark.parametrize(
    ("objects", "reason"),
    [
        ((ACCOUNT,), "account acme has no application app in the tenant file"),
        (
            (ACCOUNT, msgspec.structs.replace(APPLICATION, account="globex")),
            "account acme has no application app in the tenant file",
        ),
        ((APPLICATION,), "account acme has no key pair in the tenant file"),
    ],
    ids=["application is gone", "appkey is another account's now", "account is gone"],
)
def test_what_nobody_can_sign_is_not_pushed_unsigned(objects: tuple[TenantObject, ...], reason: str) -> None:
    with pytest.raises(NotSignable, match=reason):
        headers_of(callback(), tenants(*objects), NOW_MS)


def test_a_disabled_application_still_signs_what_waits() -> None:
    disabled = msgspec.structs.replace(APPLICATION, enabled=False)
    assert headers_of(callback(), tenants(ACCOUNT, disabled), NOW_MS).keys() >= SIGNED
