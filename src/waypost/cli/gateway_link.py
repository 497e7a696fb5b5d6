"""How a command reaches a gateway: over its admin API while one runs, else straight into the journal."""

import os
from pathlib import Path
from typing import TypeVar

import msgspec
import urllib3

from waypost.cli.run import CommandFailed, plain_failures, read_settings, run
from waypost.data_dir import DataDir
from waypost.settings import Settings, is_shared

_TIMEOUT_S = 60.0
_KNOCK_S = 2.0  # whoever answers at all answers this at once

Told = TypeVar("Told")


class AdminLink:
    """The admin API of a running gateway."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/")
        self._token = token
        self._http = urllib3.PoolManager(retries=False)

    def call(self, method: str, path: str, body: object | None = None, *, patience_s: float = _TIMEOUT_S) -> str:
        """Call the admin API and return the JSON object that it answers, as it came.

        Raises `CommandFailed` with the gateway's own words, or if it says nothing for `patience_s`.
        """
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        data = None if body is None else msgspec.json.encode(body)
        try:
            answer = self._http.request(
                method, self._url + path, body=data, headers=headers, redirect=False, timeout=patience_s
            )
            content = answer.data.decode()
            members = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
        except (urllib3.exceptions.HTTPError, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise CommandFailed(f"no usable answer from the gateway at {self._url}: {error}") from None
        if answer.status != 200:
            raise CommandFailed(f"the gateway says: {_said(members.get('error')) or answer.status}")
        return content


def _said(error: msgspec.Raw | None) -> str | None:
    try:
        return None if error is None else msgspec.json.decode(error, type=str)
    except msgspec.DecodeError:
        return None


def read_answer(content: str, kind: type[Told]) -> Told:
    """Return what a gateway answered as a type; raises `CommandFailed` where it is something else."""
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        raise CommandFailed(f"the gateway's answer can't be read ({error}); is it of the same version?") from None


def gateway_url(settings: Settings) -> str | None:
    """Return where a gateway of these settings listens, or None if none runs.

    That of an embedded journal says so in the data folder. Of those that share a journal any will do, so they are
    looked for where the settings say; where none answers, the journal itself is as good for what commands do with it.
    """
    if not is_shared(settings):
        owner = run(DataDir(Path(settings.data_dir)).owner())
        return owner.url if owner else None
    url = settings.gateway_url.rstrip("/")
    try:
        with urllib3.PoolManager(retries=False, timeout=_KNOCK_S) as http:
            answer = http.request("GET", f"{url}/healthz", redirect=False)
    except urllib3.exceptions.HTTPError:
        return None
    return url if answer.status == 200 else None


def running_gateway(settings: Settings) -> AdminLink | None:
    """Return a link to the gateway of these settings, or None if none runs."""
    with plain_failures():
        url = gateway_url(settings)
    if url is None:
        return None
    return AdminLink(url, settings.admin_token or _kept_token(Path(settings.data_dir), url))


def needed_gateway(config: Path | None) -> AdminLink:
    """Return a link to the running gateway of these settings; raises `CommandFailed` if none runs."""
    settings = read_settings(config)
    link = running_gateway(settings)
    if link is not None:
        return link
    if is_shared(settings):
        raise CommandFailed(
            f"no gateway answers at {settings.gateway_url}; set WAYPOST_GATEWAY_URL to where one is, or start one with "
            "`waypost serve`"
        )
    raise CommandFailed(f"no gateway runs on {settings.data_dir}; start it with `waypost serve`")


def _kept_token(folder: Path, url: str) -> str:
    try:
        return (folder / "admin-token").read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise CommandFailed(
            f"a gateway runs at {url}, and its admin token is not in {folder}; set WAYPOST_ADMIN_TOKEN as it is set "
            "for it"
        ) from None


def environment() -> dict[str, str]:
    """Return the environment, for `env:NAME` in a tenant file."""
    return dict(os.environ)
