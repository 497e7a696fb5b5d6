"""What can be set from outside: one struct whose fields carry their default, their limits and their help text."""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
from msgspec import Meta

PREFIX = "WAYPOST_"
NEWEST_META_API_VERSION = "v26.0"  # released 2026-07-29; Meta serves a version for about two years


class SettingsInvalid(Exception):
    """A setting is unknown or malformed; the message names it and says what is expected."""


def _text(help_text: str, **limits: Any) -> Any:
    return Meta(description=help_text, **limits)


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that can be set: by environment variable `WAYPOST_<NAME>`, or in a TOML file in lower case."""

    data_dir: Annotated[
        str,
        _text("Folder of the embedded database, the key file and the tokens made at the first start.", min_length=1),
    ] = "./waypost-data"
    database_url: Annotated[
        str,
        _text(
            "`sqlite:///PATH`, or `postgresql://USER:PASSWORD@HOST:PORT/NAME` for any number of processes; empty means "
            "`waypost.db` in the data folder."
        ),
    ] = ""
    nats_url: Annotated[
        str,
        _text(
            "`nats://[USER:PASSWORD@]HOST:PORT`, several with commas: rings between processes. Empty: they look at the "
            "database every few seconds."
        ),
    ] = ""
    nats_prefix: Annotated[
        str,
        _text(
            "Begins every name on the NATS server, so that installations can share one: up to 32 of `a-z0-9_-`.",
            pattern=r"^[a-z0-9][a-z0-9_-]{0,31}\Z",
        ),
    ] = "waypost"
    gateway_url: Annotated[
        str, _text("Where commands find a gateway whose journal is in PostgreSQL; others are found by the data folder.")
    ] = "http://127.0.0.1:8080"
    meta_base_url: Annotated[str, _text("Where Meta's Graph API is; the simulator's address in tests.")] = (
        "https://graph.facebook.com"
    )
    meta_api_version: Annotated[
        str, _text("Version of the Graph API in every call.", pattern=r"^v[0-9]+\.[0-9]+\Z")
    ] = NEWEST_META_API_VERSION
    secret_key: Annotated[
        str,
        _text(
            "Encrypts secrets at rest; any string of 32 characters or more. Empty means a key file in the data folder."
        ),
    ] = ""
    admin_token: Annotated[
        str,
        _text(
            "Opens the admin API. Empty means one is made at the first start, shown once, and kept in the data folder."
        ),
    ] = ""
    meta_verify_token: Annotated[
        str,
        _text(
            "What Meta must present when it verifies the webhook. Empty means one is made and kept in the data folder."
        ),
    ] = ""
    allow_private_callbacks: Annotated[
        bool, _text("Let callbacks go to private and loopback addresses (used by the demo and tests).")
    ] = False
    answer_within: Annotated[
        float,
        _text("Seconds within which a customer gets an answer to a message that has to wait its turn.", gt=0, le=60),
    ] = 5
    meta_connect_timeout: Annotated[float, _text("Seconds to reach Meta; later: never left.", gt=0, le=60)] = 10
    meta_read_timeout: Annotated[
        float, _text("Seconds to wait for Meta's answer; no answer by then means the outcome is unknown.", gt=0, le=300)
    ] = 30
    settle_within: Annotated[
        float, _text("Minutes of received webhooks after which an unknown message is judged.", gt=0, le=1440)
    ] = 15
    retain_bodies: Annotated[float, _text("Days after which the content of a message is wiped.", gt=0, le=3650)] = 7
    retain_raw_webhooks: Annotated[float, _text("Days that Meta's webhooks are kept as they came.", gt=0, le=3650)] = 3
    # not below 30: a message holds its key for 30 days, and without it a repeat would be sent again
    retain_messages: Annotated[float, _text("Days that a message stays in the journal.", ge=30, le=3650)] = 30
    callback_timeout: Annotated[float, _text("Seconds for one attempt to push a callback.", gt=0, le=120)] = 10
    receive_timeout: Annotated[
        float, _text("Seconds in which a whole request must have come in, from its first byte.", gt=0, le=300)
    ] = 20
    max_in_flight: Annotated[
        int, _text("Requests to send that may be under way at once; further ones get 9001 at once.", ge=1, le=100_000)
    ] = 2_000
    max_waiting: Annotated[
        int, _text("Messages that may wait to be sent; further ones get 9001 at once.", ge=1, le=100_000_000)
    ] = 1_000_000
    max_waiting_per_application: Annotated[
        int,
        _text(
            "Messages of one application that may wait to be sent; further ones get 9001 at once.", ge=1, le=100_000_000
        ),
    ] = 500_000
    log_recipients: Annotated[bool, _text("Write recipients' numbers into the log in full instead of masked.")] = False
    log_level: Annotated[
        str, _text("`debug`, `info`, `warning` or `error`.", pattern=r"^(debug|info|warning|error)\Z")
    ] = "info"


def load(environment: Mapping[str, str] = os.environ, config_file: Path | None = None) -> Settings:
    """Read the settings from a TOML file, if one is given, and from the environment, which wins.

    Raises `SettingsInvalid` for an unknown name, a malformed value or an unreadable file.
    """
    values: dict[str, object] = {}
    if config_file is not None:
        try:
            values.update(tomllib.loads(config_file.read_text("utf-8")))
        except (OSError, ValueError, RecursionError) as error:  # not every complaint of tomllib is its own
            raise SettingsInvalid(f"cannot read the settings file {config_file}: {error}") from None
    for name, value in environment.items():
        if name.startswith(PREFIX) and not name.startswith(PREFIX + "TEST_"):
            values[name.removeprefix(PREFIX).lower()] = value
    settings = _convert(values)
    _check(settings)
    return settings


def _convert(values: dict[str, object]) -> Settings:
    """Turn names and values into settings, one at a time, so that a complaint can name the variable."""
    known = {field.name: field for field in msgspec.structs.fields(Settings)}
    converted: dict[str, object] = {}
    for name, value in values.items():
        if name not in known:
            raise SettingsInvalid(f"unknown setting {PREFIX}{name.upper()}; `waypost settings` lists all")
        try:
            converted[name] = msgspec.convert(value, known[name].type, strict=False)
        except msgspec.ValidationError as error:
            raise SettingsInvalid(f"{PREFIX}{name.upper()}: {error} ({describe(name)})") from None
        except UnicodeEncodeError:
            raise SettingsInvalid(f"{PREFIX}{name.upper()} is not UTF-8 ({describe(name)})") from None
    return Settings(**converted)  # type: ignore[arg-type]  # each value was converted to its field's type above


def describe(name: str) -> str:
    """Return the help text of a setting."""
    kind = next(field.type for field in msgspec.structs.fields(Settings) if field.name == name)
    meta = next(item for item in kind.__metadata__ if isinstance(item, Meta))
    return meta.description or ""


def _check(settings: Settings) -> None:
    """Refuse what a type can't express."""
    if not _is_http_url(settings.meta_base_url):
        raise SettingsInvalid(f"{PREFIX}META_BASE_URL must be an absolute http(s) URL without query, fragment and user")
    if settings.secret_key and len(settings.secret_key) < 32:
        raise SettingsInvalid(f"{PREFIX}SECRET_KEY must have 32 characters or more")
    if settings.database_url and not re.match(r"sqlite:///.|postgres(ql)?://.", settings.database_url):
        raise SettingsInvalid(f"{PREFIX}DATABASE_URL must be sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME")
    if is_shared(settings) and not _is_database_url(settings.database_url):
        raise SettingsInvalid(
            f"{PREFIX}DATABASE_URL can't be read as postgresql://USER:PASSWORD@HOST:PORT/NAME; a password's / ? # @ : "
            "are written %2F %3F %23 %40 %3A"
        )
    if settings.nats_url and not is_shared(settings):
        raise SettingsInvalid(f"{PREFIX}NATS_URL is for a journal that processes share: set {PREFIX}DATABASE_URL to it")
    if not _is_http_url(settings.gateway_url):
        raise SettingsInvalid(f"{PREFIX}GATEWAY_URL must be an absolute http(s) URL without query, fragment and user")
    for name in ("admin_token", "meta_verify_token"):
        if (value := getattr(settings, name)) and (len(value) < 8 or not value.isascii() or not value.isprintable()):
            raise SettingsInvalid(f"{PREFIX}{name.upper()} must have 8 or more printable ASCII characters")


def _is_http_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port  # raises where it is no port
    except ValueError:
        return False
    plain = not (parts.query or parts.fragment or parts.username is not None or port == 0)
    return parts.scheme in ("http", "https") and bool(parts.hostname) and plain


def _is_database_url(url: str) -> bool:
    """Tell whether a URL names one server, or several with commas, so that no driver complains with parts of it."""
    try:
        parts = urlsplit(url)
        hosts = parts.netloc.rpartition("@")[2].split(",")
        ports = [urlsplit(f"//{host}").port for host in hosts]  # raises where it is no port
        parse_qsl(parts.query, strict_parsing=True, keep_blank_values=True)
    except ValueError:
        return False
    return 0 not in ports and "@" not in parts.path and not parts.fragment


def is_shared(settings: Settings) -> bool:
    """Tell whether the journal is a server's, so that any number of processes may use it."""
    return settings.database_url.startswith("postgres")


def database_path(settings: Settings) -> Path:
    """Return the file of the embedded database."""
    if settings.database_url:
        return Path(settings.database_url.removeprefix("sqlite:///"))
    return Path(settings.data_dir) / "waypost.db"
