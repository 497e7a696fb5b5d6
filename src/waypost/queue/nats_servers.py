"""The servers that a NATS URL names; what it says to be let in is kept apart from them, so that no log tells it."""

import re
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

_DEFAULT_PORT = 4222
_PREFIX = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")  # it stands in subjects and, in capitals, in a stream's name


class Credentials(NamedTuple):
    """A user with his password, or a token alone."""

    user: str | None = None
    password: str | None = None
    token: str | None = None


class Servers:
    """Where NATS is: any of these servers will do."""

    def __init__(self, url: str) -> None:
        """Read `nats://user:password@host:port,nats://…`; one set of credentials serves all servers.

        Raises ValueError, without repeating the URL, if that is not what it is.
        """
        parts = [_split(text.strip(), number) for number, text in enumerate(url.split(","), 1)]
        self.addresses = tuple(_address(part, number) for number, part in enumerate(parts, 1))
        given = set(_credentials(parts))
        if len(given) > 1:
            raise ValueError("the NATS URL has different credentials for its servers; one set serves all of them")
        self.credentials = given.pop() if given else Credentials()


def checked_prefix(prefix: str) -> str:
    """Return what the names of an installation begin with; ValueError if it can't stand in a subject."""
    if not _PREFIX.fullmatch(prefix):
        raise ValueError("a NATS prefix is 1 to 32 of a-z, 0-9, - and _, and does not begin with - or _")
    return prefix


def _split(text: str, number: int) -> SplitResult:
    try:
        return urlsplit(text)
    except ValueError:
        raise ValueError(f"server {number} of the NATS URL is no URL") from None


def _address(part: SplitResult, number: int) -> str:
    where = f"server {number} of the NATS URL"
    if part.scheme not in ("nats", "tls"):
        raise ValueError(f"{where} does not begin with nats:// or tls://")
    if not part.hostname or re.search(r"\s", part.netloc):
        raise ValueError(f"{where} has no host")
    if part.path not in ("", "/") or part.query or part.fragment:
        raise ValueError(
            f"{where} has something after the port; a password's / ? # @ , are written %2F %3F %23 %40 %2C"
        )
    try:
        port = part.port or _DEFAULT_PORT
    except ValueError:
        raise ValueError(f"{where} has no port from 1 to 65535 after its last colon") from None
    host = f"[{part.hostname}]" if ":" in part.hostname else part.hostname
    return f"{part.scheme}://{host}:{port}"


def _credentials(parts: list[SplitResult]) -> Iterator[Credentials]:
    for part in parts:
        if part.password is not None:
            yield Credentials(user=unquote(part.username or ""), password=unquote(part.password))
        elif part.username:
            yield Credentials(token=unquote(part.username))
