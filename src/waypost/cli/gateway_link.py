"""How a command reaches a gateway: over its admin API while one runs, else straight into the embedded database."""

import os
from pathlib import Path

import msgspec
import urllib3

from waypost.cli.run import CommandFailed, plain_failures, run
from waypost.data_dir import DataDir
from waypost.settings import Settings

_TIMEOUT_S = 60.0


class AdminLink:
    """The admin API of a running gateway."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/")
        self._token = token
        self._http = urllib3.PoolManager(retries=False, timeout=_TIMEOUT_S)

    def call(self, method: str, path: str, body: object | None = None) -> dict[str, object]:
        """Call the admin API; raises `CommandFailed` with the gateway's own words."""
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        data = None if body is None else msgspec.json.encode(body)
        try:
            answer = self._http.request(method, self._url + path, body=data, headers=headers, redirect=False)
            content = msgspec.json.decode(answer.data, type=dict[str, object])
        except (urllib3.exceptions.HTTPError, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise CommandFailed(f"no usable answer from the gateway at {self._url}: {error}") from None
        if answer.status != 200:
            raise CommandFailed(f"the gateway says: {content.get('error', answer.status)}")
        return content


def running_gateway(settings: Settings) -> AdminLink | None:
    """Return a link to the gateway that owns the data folder, or None if none runs."""
    folder = DataDir(Path(settings.data_dir))
    with plain_failures():
        owner = run(folder.owner())
    if owner is None:
        return None
    token = settings.admin_token or _kept_token(folder.path)
    return AdminLink(owner.url, token)


def _kept_token(path: Path) -> str:
    try:
        return (path / "admin-token").read_text("ascii").strip()
    except OSError:
        raise CommandFailed(
            f"a gateway runs on {path}, without its admin token in there; set WAYPOST_ADMIN_TOKEN as it is set for it"
        ) from None


def environment() -> dict[str, str]:
    """Return the environment, for `env:NAME` in a tenant file."""
    return dict(os.environ)
