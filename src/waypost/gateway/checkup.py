"""Looks over the tenants, and asks Meta whether it knows their tokens and numbers: the shared part of a diagnosis."""

import asyncio
from typing import Literal

from waypost.gateway.meta_questions import MetaQuestions, NotAnswered
from waypost.gateway.registry import Registry
from waypost.gateway.tenants import Tenants
from waypost.meta.client import MetaClient
from waypost.model import BusinessPhone, Noun, Waba

AT_ONCE = 8  # WABAs asked about at the same time
BUDGET_S = 40.0  # for all questions together, so that whoever waits for the answer gets one
MAX_ASKED_SINGLY = 20  # numbers of one WABA that it doesn't list; Meta counts such calls by the hour
LEVELS = {"STANDARD": 80, "HIGH": 1_000}  # messages a second, by Meta's word for the throughput of a number
_TOO_FAST = "beyond Meta's limit messages are refused (130429) and wait"
_TOO_SLOW = "it may be faster"
NAMES_SHOWN = 5

Status = Literal["ok", "warning", "problem"]


class Finding(Noun, frozen=True, kw_only=True):
    """One thing that was looked at: in order, worth a thought, or in the way of messages; and what to do about it."""

    status: Status
    subject: str
    found: str
    advice: str = ""


class Checkup:
    """The tenants' part of `waypost doctor`; what it finds holds no secret."""

    def __init__(self, registry: Registry, meta: MetaClient) -> None:
        self._registry = registry
        self._meta = meta

    async def findings(self) -> list[Finding]:
        """Look at the tenants as they are now, and ask Meta about every WABA, in at most `BUDGET_S` seconds."""
        tenants = self._registry.tenants
        gate = asyncio.Semaphore(AT_ONCE)
        asked = {
            waba.waba_id: asyncio.create_task(self._ask_about(gate, tenants, waba)) for waba in tenants.wabas.values()
        }
        if asked:
            try:
                await asyncio.wait(asked.values(), timeout=BUDGET_S)
            finally:
                for task in asked.values():
                    task.cancel()
                await asyncio.wait(asked.values())
        found = tenant_findings(tenants)
        for waba_id, task in asked.items():
            found += [_late(waba_id)] if task.cancelled() else task.result()
        return found

    async def _ask_about(self, gate: asyncio.Semaphore, tenants: Tenants, waba: Waba) -> list[Finding]:
        subject = f"WABA {waba.waba_id}"
        phones = [phone for phone in tenants.phones.values() if phone.waba_id == waba.waba_id]
        questions = MetaQuestions(self._meta, waba)
        async with gate:
            try:
                found = await _numbers(questions, phones)
                subscribed = await questions.is_subscribed()
            except NotAnswered as answer:
                return [_refused(subject, answer)]
        if not subscribed:
            advice = f"subscribe your app with this WABA's token: POST /{waba.waba_id}/subscribed_apps"
            found.append(
                Finding(
                    status="problem", subject=subject, found="Meta sends no webhooks for it to any app", advice=advice
                )
            )
        known = f"Meta takes the token and knows {_count(len(phones), 'number')} as declared"
        return found or [Finding(status="ok", subject=subject, found=known)]


async def _numbers(questions: MetaQuestions, phones: list[BusinessPhone]) -> list[Finding]:
    """Hold the declared numbers of a WABA against those that Meta lists; return what is wrong with any."""
    listed = await questions.numbers()
    found = [_compare(phone, listed[phone.phone_number_id]) for phone in phones if phone.phone_number_id in listed]
    strangers = [phone for phone in phones if phone.phone_number_id not in listed]
    for phone in strangers[:MAX_ASKED_SINGLY]:
        found.append(await _about_stranger(questions, phone))
    if left := strangers[MAX_ASKED_SINGLY:]:
        names = _some([phone.number for phone in left])
        found.append(
            Finding(
                status="warning",
                subject="numbers",
                found=f"Meta does not list them under their WABA: {names}",
                advice="correct waba_id and phone_number_id in the tenant file",
            )
        )
    return [finding for finding in found if finding is not None]


def _compare(phone: BusinessPhone, told: dict[str, object]) -> Finding | None:
    subject = f"number {phone.number}"
    digits = "".join(char for char in str(told.get("display_phone_number", "")) if char in "0123456789")
    if digits and digits != phone.number:
        return Finding(
            status="problem",
            subject=subject,
            found=f"phone number id {phone.phone_number_id} is number {digits} at Meta: messages leave from that one",
            advice="correct number or phone_number_id in the tenant file",
        )
    status = told.get("status")
    if isinstance(status, str) and status != "CONNECTED":
        return Finding(
            status="warning",
            subject=subject,
            found=f"its status at Meta is {status[:40]}, not CONNECTED",
            advice="register the number, or read in WhatsApp Manager what Meta wants",
        )
    return _compare_pace(phone, told.get("throughput"))


def _compare_pace(phone: BusinessPhone, throughput: object) -> Finding | None:
    """Hold the declared rate of a number against the level that Meta tells."""
    level = throughput.get("level") if isinstance(throughput, dict) else None
    granted = LEVELS.get(level) if isinstance(level, str) else None
    if granted is None or granted == phone.messages_per_second:
        return None
    faster = phone.messages_per_second > granted
    if not faster and phone.messages_per_second != LEVELS["STANDARD"]:
        return None  # somebody wants it slower
    return Finding(
        status="warning",
        subject=f"number {phone.number}",
        found=f"Meta takes {granted} messages a second from it, the tenant file says {phone.messages_per_second}",
        advice=f"set messages_per_second = {granted}; {_TOO_FAST if faster else _TOO_SLOW}",
    )


async def _about_stranger(questions: MetaQuestions, phone: BusinessPhone) -> Finding:
    subject = f"number {phone.number}"
    try:
        await questions.number(phone.phone_number_id)
    except NotAnswered as answer:
        return _refused(subject, answer)
    return Finding(
        status="warning",
        subject=subject,
        found=f"Meta knows phone number id {phone.phone_number_id}, but not as one of WABA {phone.waba_id}",
        advice="put it under its own WABA in the tenant file, else templates are looked up in the wrong one",
    )


def _refused(subject: str, answer: NotAnswered) -> Finding:
    status: Status = "warning" if answer.may_pass else "problem"
    return Finding(status=status, subject=subject, found=answer.found, advice=answer.advice)


def _late(waba_id: str) -> Finding:
    return Finding(
        status="warning",
        subject=f"WABA {waba_id}",
        found=f"Meta was not done answering within {BUDGET_S:.0f} s for all WABAs together",
        advice="look at network and DNS if it stays so",
    )


def tenant_findings(tenants: Tenants) -> list[Finding]:
    """Tell what there is and what is missing among the tenants, without asking anybody."""
    accounts = {account.name for account, _ in tenants.keys.values()}
    if not accounts and not tenants.wabas:
        return [Finding(status="warning", subject="tenants", found="there are none", advice="`waypost apply FILE`")]
    counts = {
        "account": len(accounts),
        "application": len(tenants.applications),
        "WABA": len(tenants.wabas),
        "number": len(tenants.phones),
        "template": len(tenants.templates),
    }
    found = [
        Finding(
            status="ok", subject="tenants", found=", ".join(_count(number, name) for name, number in counts.items())
        )
    ]
    for status, what, names, advice in _gaps(tenants):
        if names:
            found.append(Finding(status=status, subject="tenants", found=f"{what}: {_some(names)}", advice=advice))
    return found


def _gaps(tenants: Tenants) -> list[tuple[Status, str, list[str], str]]:
    bound = {number for application in tenants.applications.values() for number in application.phones}
    with_templates = {waba_id for waba_id, _, _ in tenants.templates}
    senders = {account.name for account, _ in tenants.keys.values()}
    keyless = sorted({application.account for application in tenants.applications.values()} - senders)
    phoneless = [application.appkey for application in tenants.applications.values() if not application.phones]
    secretless = [waba.waba_id for waba in tenants.wabas.values() if not waba.app_secret]
    return [
        ("warning", "accounts without an access key", keyless, "nobody can send for them: add a key pair"),
        ("warning", "applications without a number", phoneless, "their messages are answered 10003: bind a number"),
        ("warning", "numbers of no application", sorted(tenants.phones.keys() - bound), "bind them, or leave them out"),
        ("warning", "WABAs without app_secret", secretless, "Meta's statuses for them are refused: add the app secret"),
        (
            "ok",
            "WABAs without templates",
            sorted(tenants.wabas.keys() - with_templates),
            "template messages go to Meta unchecked; declare templates to have them checked before",
        ),
    ]


def _count(number: int, name: str) -> str:
    return f"{number} {name}{'' if number == 1 else 's'}"


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(names[:NAMES_SHOWN]) + more
