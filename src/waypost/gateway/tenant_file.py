"""The tenant file: from TOML to tenant objects, or one clear complaint."""

import tomllib
from collections.abc import Iterator, Mapping
from datetime import date, time
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from waypost.gateway.tenants import TenantObject
from waypost.model import Account, Application, BusinessPhone, CategoryPrices, KeyPair, Template, Waba

# \Z and not $: a value read from a file often ends with a line break, which would never fit what is compared with it
Digits = Annotated[str, Meta(pattern=r"^[0-9]{6,15}\Z", description="digits with country code")]
Name = Annotated[str, Meta(pattern=r"^[!-~]{1,128}\Z", description="printable, without spaces")]
GraphId = Annotated[str, Meta(pattern=r"^[0-9]{1,32}\Z", description="Meta's decimal id")]
Token = Annotated[str, Meta(pattern=r"^[!-~]+\Z", description="printable ASCII without spaces or line break")]
Secret = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]+\Z", description="without control characters or line break")]
ENV = "env:"
DEAREST = 1_000_000  # no message costs that; a slip in an exponent does


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
    ttl: dict[Literal["marketing", "utility", "authentication", "service"], Annotated[int, Meta(ge=1)]] = {}
    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")] = "USD"
    prices: dict[Annotated[str, Meta(pattern=r"^([A-Z]{2}|\*)\Z")], CategoryPrices] | None = None


class AccountTable(_Table):
    """`[[accounts]]`."""

    name: Name
    access_key: Name | None = None
    access_secret: Secret | None = None
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
        tables = tomllib.loads(text, parse_float=str)
    except tomllib.TOMLDecodeError as error:
        raise TenantFileInvalid(f"not a TOML file: {error}") from None

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
            return environment[name]
        return value

    resolved = resolve(tables, "")
    assert isinstance(resolved, dict)
    return resolved


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
            yield Template(waba_id=table.waba_id, **msgspec.structs.asdict(template))


def _accounts(file: TenantFile) -> Iterator[TenantObject]:
    for table in file.accounts:
        pairs = [KeyPair(access_key=key.access_key, access_secret=key.access_secret) for key in table.keys]
        if table.access_key and table.access_secret:
            pairs.insert(0, KeyPair(access_key=table.access_key, access_secret=table.access_secret))
        elif table.access_key or table.access_secret:
            raise TenantFileInvalid(f"account {table.name}: access_key and access_secret go together")
        yield Account(name=table.name, keys=tuple(pairs))
        for item in table.applications:
            values = msgspec.structs.asdict(item)
            secret = values.pop("callback_secret")
            values["callback_secret"] = (secret,) if isinstance(secret, str) else secret
            if item.webhook is not None and not _is_http_url(item.webhook):
                raise TenantFileInvalid(f"application {item.appkey}: webhook must be an absolute http(s) URL")
            _check_prices(item)
            yield Application(account=table.name, **values)


def _check_prices(application: ApplicationTable) -> None:
    for country, prices in (application.prices or {}).items():
        for category, price in msgspec.structs.asdict(prices).items():
            if price is not None and not (price.is_finite() and 0 <= price <= DEAREST and price == round(price, 6)):
                raise TenantFileInvalid(
                    f"application {application.appkey}: the {category} price of {country} must be a decimal from 0 up, "
                    "with at most 6 places"
                )


def _is_http_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port  # raises where it is no port
    except ValueError:
        return False
    return (
        parts.scheme in ("http", "https")
        and bool(parts.hostname)
        and port != 0
        and url.isprintable()
        and " " not in url
    )


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
