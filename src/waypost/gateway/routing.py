"""Which application, phone and token a message goes through, and what it costs."""

import msgspec
import structlog

from waypost.gateway import preflight
from waypost.gateway.pricing import price_of
from waypost.gateway.tenants import Tenants
from waypost.model import Account, Application, BusinessPhone, Noun, Template, Waba
from waypost.protocol.errors import (
    ApplicationUnavailable,
    ParameterInvalid,
    PhoneNotBound,
    PhoneUnknown,
    TemplateUnavailable,
)
from waypost.protocol.messages import MtRequest, TemplateMessage

log = structlog.get_logger("waypost.routing")

APPROVED = "APPROVED"
CATEGORY_OF_UNKNOWN = "marketing"  # a template whose category nobody told us is priced as the dearest
FREE_FORM = "service"


class Place(Noun, frozen=True, kw_only=True):
    """An application of an account, and a number that it may send through."""

    application: Application
    phone: BusinessPhone
    waba: Waba


class Route(Noun, frozen=True, kw_only=True):
    """Everything chosen for one message."""

    application: Application
    phone: BusinessPhone
    waba: Waba
    category: str
    price: str | None


def choose(tenants: Tenants, account: Account, message: MtRequest) -> Route:
    """Choose the route of a message of an account.

    Raises, in this order (decision D12), `ApplicationUnavailable` 9003, `PhoneUnknown` 9002, `PhoneNotBound` 10003,
    `TemplateUnavailable` 10005, `ParameterInvalid` 9000 (preflight), `PriceMissing` 9004.
    """
    place = locate(tenants, account, message.appkey, message.business_phone)
    application, phone, waba = place.application, place.phone, place.waba
    category = FREE_FORM
    if isinstance(message, TemplateMessage):
        category = _check_template(tenants, waba, application, message)
    price = price_of(application, message.to, category)
    return Route(
        application=application,
        phone=phone,
        waba=waba,
        category=category,
        price=None if price is None else f"{price:f}",
    )


def locate(tenants: Tenants, account: Account, appkey: str, number: str) -> Place:
    """Find an application of an account, and one of the numbers that are bound to it.

    Raises, in this order, `ApplicationUnavailable` 9003, `PhoneUnknown` 9002, `PhoneNotBound` 10003.
    """
    application = tenants.applications.get(appkey)
    if application is None or not application.enabled or application.account != account.name:
        raise ApplicationUnavailable("no enabled application of this account has this appkey")
    phone = tenants.phones.get(number)
    waba = tenants.waba_of(phone) if phone is not None else None
    if phone is None or waba is None or not _may_use(waba, account):
        raise PhoneUnknown("no WhatsApp number of this account")
    if phone.number not in application.phones:
        raise PhoneNotBound("bind the number to the application")
    return Place(application=application, phone=phone, waba=waba)


def _may_use(waba: Waba, account: Account) -> bool:
    """Tell whether the numbers of a WABA exist for an account: they are nobody's, its own, or shared."""
    return waba.account in (None, account.name) or waba.shared


def _check_template(tenants: Tenants, waba: Waba, application: Application, message: TemplateMessage) -> str:
    """Hold a template message against the catalogue; return the category to price it as."""
    content = message.template
    known = tenants.templates.get((waba.waba_id, content.name, content.language.code))
    if known is None:
        return CATEGORY_OF_UNKNOWN  # not in the catalogue is not yet missing: Meta knows
    if known.status != APPROVED:
        raise TemplateUnavailable(f"template {content.name} ({content.language.code}) is {known.status}")
    if known.components is not None and application.preflight != "off":
        _preflight(known, application, message)
    return (known.category or CATEGORY_OF_UNKNOWN).lower()


def _preflight(known: Template, application: Application, message: TemplateMessage) -> None:
    assert known.components is not None
    problems = preflight.check(known.components, message.template)
    refused = [problem for problem in problems if problem.severity == "refuse"]
    if refused and application.preflight == "refuse":
        raise ParameterInvalid(refused[0].details, path=refused[0].path)
    for problem in problems:
        log.warning("template_preflight", template=known.name, **msgspec.structs.asdict(problem))
