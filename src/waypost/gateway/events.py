"""What Meta reports: verified, held against what we own, and journalled in one transaction before Meta gets its 200."""

from waypost.clock import Clock
from waypost.gateway.outbox import Outbox
from waypost.gateway.tenants import Tenants
from waypost.meta import webhooks
from waypost.model import Noun, StatusEvent
from waypost.store.base import Store, WebhookEffect, WebhookReceipt


class SignatureMissing(Exception):
    """A POST that no Meta app we know has signed."""


class Intake(Noun, frozen=True, kw_only=True):
    """What became of one POST: its effect on the journal, and how many entries were not for us or not readable."""

    effect: WebhookEffect
    foreign: int
    ignored: int
    other: int


async def take_in(
    store: Store, clock: Clock, outbox: Outbox, raw: bytes, signature: str | None, waba_id: str | None = None
) -> Intake:
    """Verify and journal one POST of Meta's; when this returns, everything in it is durable.

    Status events count only for phones whose WABA uses the app secret that verified the POST (decision D7); the raw
    body is kept whatever it holds. With `waba_id` (several Meta apps: a path for each) only that WABA's secret may fit.
    A crash before the commit means that Meta has no 200 and repeats the POST; one after it, that Meta repeats and
    every event is a duplicate, which changes nothing.

    Raises `SignatureMissing`, `webhooks.WebhookInvalid` and `StoreUnavailable`.
    """
    tenants = outbox.tenants
    secret = _verifying_secret(tenants, raw, signature, waba_id)
    received_at_ms = clock.now_ms()
    webhook = webhooks.parse(raw, received_at_ms)
    ours = []
    for reported in webhook.statuses:
        phone = tenants.phones_by_id.get(reported.event.phone_number_id)
        waba = tenants.waba_of(phone) if phone is not None else None
        if waba is not None and waba.app_secret == secret:
            ours.append(reported.event)
    others = [event for event in webhook.other if _is_ours(tenants, event, secret)]
    receipt = WebhookReceipt(
        id=clock.uuid7_hex(),
        received_at_ms=received_at_ms,
        raw=raw,
        statuses=tuple(ours),
        callbacks=tuple(outbox.drafts(others, received_at_ms)),
        phones=_phones(tenants, ours, others),
    )
    effect = await store.record_webhook(receipt)
    return Intake(
        effect=effect,
        foreign=len(webhook.statuses) - len(ours) + len(webhook.other) - len(others),
        ignored=webhook.ignored,
        other=len(others),
    )


def _phones(tenants: Tenants, ours: list[StatusEvent], others: list[webhooks.OtherEvent]) -> tuple[str, ...]:
    """Return the ids of the phones that a POST speaks of, as far as they are ours."""
    named = {event.phone_number_id for event in ours} | {event.phone_number_id or "" for event in others}
    return tuple(sorted(named & tenants.phones_by_id.keys()))


def _is_ours(tenants: Tenants, event: webhooks.OtherEvent, secret: str) -> bool:
    """Tell whether an event concerns a phone, or else a WABA, that uses the secret that verified the POST."""
    phone = tenants.phones_by_id.get(event.phone_number_id or "")
    waba = tenants.waba_of(phone) if phone is not None else tenants.wabas.get(event.waba_id)
    return waba is not None and waba.app_secret == secret


def _verifying_secret(tenants: Tenants, raw: bytes, signature: str | None, waba_id: str | None) -> str:
    """Return the app secret under which the POST was signed."""
    if waba_id is not None:
        waba = tenants.wabas.get(waba_id)
        candidates: tuple[str, ...] = (waba.app_secret,) if waba is not None and waba.app_secret else ()
    else:
        candidates = tenants.app_secrets
    for secret in candidates:
        if webhooks.verify_signature(raw, signature, secret):
            return secret
    raise SignatureMissing
