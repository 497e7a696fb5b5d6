"""What Meta reports: verified, held against what we own, and journalled in one transaction before Meta gets its 200."""

from collections.abc import Iterable

from waypost.clock import Clock
from waypost.gateway.event_drafts import Heard, event_drafts, hear, inbound_drafts
from waypost.gateway.lessons import Lessons
from waypost.gateway.outbox import Outbox
from waypost.gateway.tenants import Tenants
from waypost.meta import webhooks
from waypost.model import CallbackDraft, Noun, StatusEvent
from waypost.store.base import Store, WebhookEffect, WebhookReceipt


class SignatureMissing(Exception):
    """A POST that no Meta app we know has signed."""


class Intake(Noun, frozen=True, kw_only=True):
    """What became of one POST: its effect on the journal, and how many entries were not for us or not readable."""

    effect: WebhookEffect
    foreign: int
    ignored: int
    other: int


class EventIntake:
    """Takes in what Meta posts."""

    def __init__(self, store: Store, outbox: Outbox, lessons: Lessons, clock: Clock) -> None:
        self._store = store
        self._outbox = outbox
        self._lessons = lessons
        self._clock = clock

    async def take_in(self, raw: bytes, signature: str | None, waba_id: str | None = None) -> Intake:
        """Verify and journal one POST of Meta's; when this returns, everything in it is durable.

        What it reports counts only for phones and WABAs with the app secret that verified the POST (decision D7); the
        raw body is kept whatever it holds. With `waba_id` (several Meta apps: a path for each) only that WABA's secret
        may fit. A crash before the commit means that Meta has no 200 and repeats the POST; one after it, that Meta
        repeats and every event is a duplicate, which changes nothing.

        Raises `SignatureMissing`, `webhooks.WebhookInvalid` and `StoreUnavailable`.
        """
        tenants = self._outbox.tenants
        secret = _verifying_secret(tenants, raw, signature, waba_id)
        received_at_ms = self._clock.now_ms()
        webhook = webhooks.parse(raw, received_at_ms)
        reports = [item for item in webhook.statuses if _signed_for(tenants, item.event.phone_number_id, secret)]
        statuses = [item.event for item in reports]
        messages = [item for item in webhook.messages if _signed_for(tenants, item.phone_number_id, secret)]
        others = [item for item in webhook.other if _signed_for(tenants, item.phone_number_id, secret, item.waba_id)]
        drafts = await self._inbound_drafts(list(hear(tenants, messages, received_at_ms)))
        drafts += [draft for event in others for draft in event_drafts(tenants, event, received_at_ms)]
        receipt = WebhookReceipt(
            id=self._clock.uuid7_hex(),
            received_at_ms=received_at_ms,
            raw=raw,
            statuses=tuple(statuses),
            callbacks=tuple(drafts),
            phones=_phones(tenants, (*statuses, *messages, *others)),
        )
        ours = len(statuses) + len(messages) + len(others)
        effect = await self._store.record_webhook(receipt)
        await self._lessons.learn(tenants, reports, messages, others)
        return Intake(
            effect=effect,
            foreign=len(webhook.statuses) + len(webhook.messages) + len(webhook.other) - ours,
            ignored=webhook.ignored,
            other=len(messages) + len(others),
        )

    async def _inbound_drafts(self, heard: list[Heard]) -> list[CallbackDraft]:
        """Return the callbacks of inbound messages, which name the receivers' own messages by their own ids.

        Those are looked up within the receivers' account: a number may be shared, and nobody learns another's ids.
        """
        asked: dict[tuple[str, str], set[str]] = {}
        for item in heard:
            if item.inbound.references:
                asked.setdefault(_scope(item), set()).update(item.inbound.references)
        found = {scope: await self._store.wire_ids(*scope, tuple(meta_ids)) for scope, meta_ids in asked.items()}
        return [draft for item in heard for draft in inbound_drafts(item, found.get(_scope(item), {}))]


def _scope(heard: Heard) -> tuple[str, str]:
    return heard.account, heard.phone.phone_number_id


def _phones(
    tenants: Tenants, ours: Iterable[StatusEvent | webhooks.ReportedMessage | webhooks.OtherEvent]
) -> tuple[str, ...]:
    """Return the ids of the phones that a POST speaks of, as far as they are ours."""
    return tuple(sorted({event.phone_number_id or "" for event in ours} & tenants.phones_by_id.keys()))


def _signed_for(tenants: Tenants, phone_number_id: str | None, secret: str, waba_id: str = "") -> bool:
    """Tell whether what names a phone, or else a WABA, may have been signed with a secret: it is that WABA's."""
    if phone_number_id is None:
        waba = tenants.wabas.get(waba_id)
    else:
        phone = tenants.phones_by_id.get(phone_number_id)
        waba = tenants.waba_of(phone) if phone is not None else None
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
