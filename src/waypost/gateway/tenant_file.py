"""The tenant file: from TOML to tenant objects, or one clear complaint."""

import tomllib
from collections.abc import Iterator, Mapping
from datetime import date, time
from typing import Annotated, Any, Literal

import msgspec
import phonenumbers
from msgspec import Meta

from waypost.gateway.pricing import EVERYWHERE
from waypost.gateway.tenants import TenantObject
from waypost.model import Account, Application, BusinessPhone, CategoryPrices, KeyPair, Template, Waba
from waypost.protocol.event_names import name_fault
from waypost.protocol.rules import carried, url_fault

# \Z and not $: a value read from a file often ends with a line break, which would never fit what is compared with it
Digits = Annotated[str, Meta(pattern=r"^[0-9]{6,15}\Z", description="digits with country code")]
Name = Annotated[str, Meta(pattern=r"^[!-~]{1,128}\Z", description="printable, without spaces")]
GraphId = Annotated[str, Meta(pattern=r"^[0-9]{1,32}\Z", description="Meta's decimal id")]
Token = Annotated[str, Meta(pattern=r"^[!-~]+\Z", description="printable ASCII without spaces or line break")]
Secret = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]+\Z", description="without control characters or line break")]
ENV = "env:"
DEAREST = 1_000_000  # no message costs that; a slip in an exponent does
LONGEST_TTL_S = 30 * 86_400  # Meta's longest, of marketing messages


class TenantFileInvalid(Exception):
    """The tenant file can't be used; the message says where and what to do."""


class _Table(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Base of the file's tables: an unknown name is refused, so that a slip does not go unseen."""


class TemplateTable(_Table):
    """`[[wabas.templates]]`."""

    name: Name
    language: Name
    category: Literal["MARKETING", "UTILITY", "AUTHENTICATION"] | None = None
    status: Annotated[str, Meta(pattern=r"^[A-Z_]{1,40}\Z", description="as Meta writes it: APPROVED")] = "APPROVED"
    components: tuple[dict[str, Any], ...] | None = None


class PhoneTable(_Table):
    """`[[wabas.phones]]`."""

    number: Digits
    phone_number_id: GraphId
    messages_per_second: Annotated[int, Meta(ge=1, le=1000)] = 80


class WabaTable(_Table):
    """`[[wabas]]`."""

    waba_id: GraphId
    access_token: Token
    account: str | None = None
    app_secret: Token | None = None
    sync_templates: bool = False
    shared: bool = False
    inbound_application: str | None = None
    phones: tuple[PhoneTable, ...] = ()
    templates: tuple[TemplateTable, ...] = ()


class KeyTable(_Table):
    """`[[accounts.keys]]`."""

    access_key: Name
    access_secret: Secret


class ApplicationTable(_Table):
    """`[[accounts.applications]]`."""

    appkey: Name
    name: str = ""
    webhook: str | None = None
    phones: tuple[Digits, ...] = ()
    callback_signing: Literal["md5", "sha256"] | None = None
    callback_secret: Secret | tuple[Secret, ...] = ()
    settle_policy: Literal["fail", "resend"] = "fail"
    enabled: bool = True
    events: tuple[str, ...] | None = None
    preflight: Literal["refuse", "warn", "off"] = "refuse"
    ttl: dict[
        Literal["marketing", "utility", "authentication", "service"], Annotated[int, Meta(ge=1, le=LONGEST_TTL_S)]
    ] = {}
    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")] = "USD"
    prices: dict[Annotated[str, Meta(pattern=r"^([A-Z]{2}|\*)\Z")], CategoryPrices] | None = None


class AccountTable(_Table):
    """`[[accounts]]`."""

    name: Name
    access_key: Name | None = None
    access_secret: Secret | None = None
    requests_per_second: Annotated[int, Meta(ge=1, le=100_000)] | None = None
    max_waiting: Annotated[int, Meta(ge=1, le=100_000_000)] | None = None
    keys: tuple[KeyTable, ...] = ()
    applications: tuple[ApplicationTable, ...] = ()


class TenantFile(_Table):
    """The whole file."""

    wabas: tuple[WabaTable, ...] = ()
    accounts: tuple[AccountTable, ...] = ()


def read(text: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """Parse the TOML text and put the values of environment variables where it says `env:NAME`.

    Raises `TenantFileInvalid` if it is not TOML or a variable is not set.
    """
    try:
        # Decimal, because a price is money: 0.1 must stay 0.1
        return _resolved(tomllib.loads(text, parse_float=str), environment)
    except ValueError as error:  # TOML's own errors are some; a number of thousands of digits is another
        raise TenantFileInvalid(f"not a TOML file: {error}") from None
    except RecursionError:
        raise TenantFileInvalid("not a TOML file: its tables or lists are nested too deeply") from None


def _resolved(tables: dict[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    def resolve(value: object, path: str) -> object:
        if isinstance(value, dict):
            return {name: resolve(item, f"{path}.{name}" if path else name) for name, item in value.items()}
        if isinstance(value, list):
            return [resolve(item, f"{path}[{index}]") for index, item in enumerate(value)]
        if isinstance(value, date | time):  # a datetime is a date
            raise TenantFileInvalid(f"{path}: a date has no place in a tenant file; write it in quotes")
        if isinstance(value, str) and value.startswith(ENV):
            name = value.removeprefix(ENV)
            if not environment.get(name):
                raise TenantFileInvalid(f"{path}: the environment variable {name} is not set")
            if not _is_unicode(environment[name]):
                raise TenantFileInvalid(f"{path}: the environment variable {name} is not UTF-8")
            return environment[name]
        return value

    resolved = resolve(tables, "")
    assert isinstance(resolved, dict)
    return resolved


def _is_unicode(text: str) -> bool:
    try:
        return bool(text.encode())
    except UnicodeEncodeError:  # bytes that are no UTF-8 come as half surrogates
        return False


def objects(tables: Mapping[str, Any]) -> list[TenantObject]:
    """Turn the tables of a tenant file into tenant objects.

    Raises `TenantFileInvalid` for an unknown name, a wrong type, a duplicate, a reference to nothing, or a phone that
    two accounts use without saying so.
    """
    try:
        file = msgspec.convert(tables, TenantFile, strict=True)
    except msgspec.ValidationError as error:
        raise TenantFileInvalid(str(error)) from None
    found = [*_wabas(file), *_accounts(file)]
    _check_unique(found)
    _check_references(found)
    return found


def _wabas(file: TenantFile) -> Iterator[TenantObject]:
    for table in file.wabas:
        yield Waba(
            waba_id=table.waba_id,
            account=table.account,
            access_token=table.access_token,
            app_secret=table.app_secret,
            sync_templates=table.sync_templates,
            shared=table.shared,
            inbound_application=table.inbound_application,
        )
        for phone in table.phones:
            yield BusinessPhone(waba_id=table.waba_id, **msgspec.structs.asdict(phone))
        for template in table.templates:
            try:
                carried(list(template.components or ()), "")
            except ValueError as error:
                raise TenantFileInvalid(f"template {template.name}: components {error}") from None
            yield Template(waba_id=table.waba_id, **msgspec.structs.asdict(template))


def _accounts(file: TenantFile) -> Iterator[TenantObject]:
    for table in file.accounts:
        pairs = [KeyPair(access_key=key.access_key, access_secret=key.access_secret) for key in table.keys]
        if table.access_key and table.access_secret:
            pairs.insert(0, KeyPair(access_key=table.access_key, access_secret=table.access_secret))
        elif table.access_key or table.access_secret:
            raise TenantFileInvalid(f"account {table.name}: access_key and access_secret go together")
        yield Account(
            name=table.name,
            keys=tuple(pairs),
            requests_per_second=table.requests_per_second,
            max_waiting=table.max_waiting,
        )
        for item in table.applications:
            values = msgspec.structs.asdict(item)
            secret = values.pop("callback_secret")
            values["callback_secret"] = (secret,) if isinstance(secret, str) else secret
            _check_application(item)
            yield Application(account=table.name, **values)


def _check_application(application: ApplicationTable) -> None:
    """Refuse what would go unseen otherwise: a webhook that nothing reaches, a name or country that never occurs."""

    def refuse(what: str) -> None:
        raise TenantFileInvalid(f"application {application.appkey}: {what}")

    if application.webhook is not None and (fault := url_fault(application.webhook)):
        refuse(f"webhook {fault}")
    for name in application.events or ():
        if fault := name_fault(name):
            refuse(f"events: {name[:60]!r} {fault}")
    for country, prices in (application.prices or {}).items():
        if country not in phonenumbers.SUPPORTED_REGIONS and country != EVERYWHERE:
            meant = {"UK": "; is GB meant?"}.get(country, "")
            refuse(f"prices: {country} is no ISO code of a country that has phone numbers{meant}")
        for category, price in msgspec.structs.asdict(prices).items():
            if price is not None and not (price.is_finite() and 0 <= price <= DEAREST and price == round(price, 6)):
                refuse(f"the {category} price of {country} must be a decimal from 0 up, with at most 6 places")


def _check_unique(found: list[TenantObject]) -> None:
    def refuse_twice(what: str, names: list[str]) -> None:
        seen: set[str] = set()
        for name in names:
            if name in seen:
                raise TenantFileInvalid(f"{what} {name} is declared twice")
            seen.add(name)

    refuse_twice("account", [item.name for item in found if isinstance(item, Account)])
    keys = [pair.access_key for item in found if isinstance(item, Account) for pair in item.keys]
    refuse_twice("access key", keys)
    refuse_twice("application", [item.appkey for item in found if isinstance(item, Application)])
    refuse_twice("WABA", [item.waba_id for item in found if isinstance(item, Waba)])
    refuse_twice("phone number", [item.number for item in found if isinstance(item, BusinessPhone)])
    refuse_twice("phone number id", [item.phone_number_id for item in found if isinstance(item, BusinessPhone)])
    refuse_twice(
        "template",
        [f"{item.name} ({item.language}) of WABA {item.waba_id}" for item in found if isinstance(item, Template)],
    )


def _check_references(found: list[TenantObject]) -> None:
    accounts = {item.name for item in found if isinstance(item, Account)}
    wabas = {item.waba_id: item for item in found if isinstance(item, Waba)}
    phones = {item.number: item for item in found if isinstance(item, BusinessPhone)}
    applications = {item.appkey: item for item in found if isinstance(item, Application)}
    for waba in wabas.values():
        if waba.account is not None and waba.account not in accounts:
            raise TenantFileInvalid(f"WABA {waba.waba_id}: account {waba.account} is not declared")
        if waba.inbound_application is not None and waba.inbound_application not in applications:
            raise TenantFileInvalid(f"WABA {waba.waba_id}: application {waba.inbound_application} is not declared")
    users: dict[str, set[str]] = {}
    for application in applications.values():
        for number in application.phones:
            if number not in phones:
                raise TenantFileInvalid(
                    f"application {application.appkey}: phone {number} is not declared under any WABA"
                )
            users.setdefault(number, set()).add(application.account)
    for number, names in users.items():
        waba = wabas[phones[number].waba_id]
        if waba.account is not None and not (waba.shared and waba.inbound_application) and names != {waba.account}:
            raise TenantFileInvalid(
                f"phone {number} belongs to account {waba.account}, but {_others(names, waba)} binds it"
            )
        if len(names) > 1 and not (waba.shared and waba.inbound_application):
            raise TenantFileInvalid(
                f"phone {number} is bound by accounts {', '.join(sorted(names))}; its WABA {waba.waba_id} must say "
                "shared = true and name the inbound_application that gets what recipients write"
            )


def _others(names: set[str], waba: Waba) -> str:
    return "account " + ", ".join(sorted(names - {waba.account or ""}))
