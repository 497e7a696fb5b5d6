"""What `waypost doctor` looks at on this machine: settings, data folder, database, clock, and the gateway that runs."""

import os
import shutil
import stat
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import urllib3

from waypost.clock import Clock
from waypost.gateway.checkup import Finding, Status
from waypost.protocol.signing import WINDOW_MS
from waypost.settings import Settings, database_path, is_shared
from waypost.store.base import StoreUnavailable
from waypost.store.database_file import check_file, schema_version
from waypost.store.schema import newest_version

META_HOST = "graph.facebook.com"
TIMEOUT_S = 5.0
QUICK_CHECK_BYTES = 1 << 30  # reading more than this takes longer than anybody waits for a doctor
LOW_DISK_BYTES, FULL_DISK_BYTES = 2 << 30, 100 << 20
CLOCK_WARNING_MS = 5_000  # a Date header has whole seconds and some time on its way
SECRET_FILES = ("secret-key", "admin-token", "verify-token")
_CHALLENGE = "waypost-doctor"


def about_settings(settings: Settings) -> list[Finding]:
    """Tell what the settings name that is unusual for a gateway in service."""
    where = "readable; the journal is in PostgreSQL"
    if not is_shared(settings):
        where = f"readable; data folder {Path(settings.data_dir).absolute()}"
    found = [finding("ok", "settings", where)]
    host = urlsplit(settings.meta_base_url).hostname
    if host != META_HOST:
        advice = f"right for the simulator; else leave WAYPOST_META_BASE_URL at https://{META_HOST}"
        found.append(finding("warning", "settings", f"messages go to {host}, not to Meta", advice))
    return found


def about_folder(settings: Settings) -> list[Finding]:
    """Tell whether the data folder is there, writable, private, and on a disk with room."""
    folder = Path(settings.data_dir)
    if not folder.is_dir():
        advice = "set WAYPOST_DATA_DIR to the gateway's folder, or start with `waypost apply FILE`"
        return [finding("warning", "data folder", f"there is none at {folder}", advice)]
    if not os.access(folder, os.W_OK | os.X_OK):
        advice = "run as the user that the gateway runs as, or let this one write there"
        return [finding("problem", "data folder", f"{folder} can't be written", advice)]
    if open_files := about_secret_files(folder):
        return open_files
    free = shutil.disk_usage(folder).free
    status: Status = "problem" if free < FULL_DISK_BYTES else "warning" if free < LOW_DISK_BYTES else "ok"
    advice = "" if status == "ok" else "make room: a full disk means 9001 for every message"
    return [finding(status, "data folder", f"{free >> 20} MiB free", advice)]


def about_secret_files(folder: Path) -> list[Finding]:
    """Tell which files of keys and tokens others may read; empty if none."""
    open_files = [name for name in SECRET_FILES if (folder / name).exists() and _is_open(folder / name)]
    if not open_files:
        return []
    advice = f"chmod 600 {' '.join(str(folder / name) for name in open_files)}"
    return [finding("warning", "data folder", f"others may read {', '.join(open_files)}", advice)]


def about_database(settings: Settings) -> list[Finding]:
    """Tell the database's schema version, and damage where the file is small enough to read now."""
    path = database_path(settings)
    try:
        if not path.is_file():
            return [finding("warning", "database", f"there is none at {path}", "`waypost apply FILE` makes it")]
        version, newest = schema_version(path), newest_version()
        if version > newest:
            advice = "use the newer program, or restore a backup from before"
            return [
                finding(
                    "problem", "database", f"schema version {version} is newer than this program's {newest}", advice
                )
            ]
        if version < newest:
            advice = "`waypost db upgrade`, or just start the gateway"
            return [finding("warning", "database", f"schema version {version}, this program has {newest}", advice)]
        size = path.stat().st_size
        if size > QUICK_CHECK_BYTES:
            return [
                finding(
                    "ok", "database", f"schema version {version}; {size >> 20} MiB", "`waypost db check` reads it all"
                )
            ]
    except (StoreUnavailable, OSError) as error:
        return [
            finding("problem", "database", str(error), "mend what it says, or stop the gateway and restore a backup")
        ]
    if problems := check_file(path):
        return [finding("problem", "database", problems[0], "`waypost db check` tells all; restore a backup")]
    return [finding("ok", "database", f"schema version {version}, undamaged")]


def about_meta(settings: Settings) -> list[Finding]:
    """Tell whether Meta answers at all, and how far this machine's clock is from the one over there."""
    clock, url = Clock(), settings.meta_base_url
    before_ms = clock.now_ms()
    try:
        answer = _ask("HEAD", url)
    except urllib3.exceptions.HTTPError as error:
        advice = "look at network, DNS and firewall, and at WAYPOST_META_BASE_URL"
        return [finding("problem", "Meta", f"no answer from {url}: {type(error).__name__}", advice)]
    now_ms = clock.now_ms()
    return [
        finding("ok", "Meta", f"{url} answers within {now_ms - before_ms} ms"),
        compare_clocks(answer.headers.get("Date"), before_ms, now_ms),
    ]


def compare_clocks(date: str | None, before_ms: int, after_ms: int) -> Finding:
    """Hold an HTTP Date header against our clock just before and just after the answer."""
    try:
        there_ms = int(parsedate_to_datetime(date or "").timestamp() * 1000)
    except (ValueError, OverflowError):
        return finding("warning", "clock", "not compared: no usable Date header", "compare it with a time server")
    # the header has whole seconds: it may be up to a second old when it is sent
    return compare_by("clock", min(0, there_ms + 1000 - before_ms) or max(0, there_ms - after_ms))


def compare_by(subject: str, ahead_ms: int) -> Finding:
    """Tell how bad it is that another clock is ahead of this machine's by so much, or behind it."""
    off_ms = abs(ahead_ms)
    if off_ms <= CLOCK_WARNING_MS:
        return finding("ok", subject, "right within seconds")
    status: Status = "problem" if off_ms * 2 > WINDOW_MS else "warning"
    direction = "ahead" if ahead_ms < 0 else "behind"
    advice = f"set it by a time server (NTP): requests whose ts is {WINDOW_MS // 1000} s off are answered 1004"
    return finding(status, subject, f"{off_ms // 1000} s {direction} of the other side's", advice)


def about_gateway(settings: Settings, url: str | None) -> list[Finding]:
    """Tell whether a gateway runs, can take messages, and verifies its webhook as Meta will ask it to."""
    if url is None and is_shared(settings):
        advice = "`waypost serve`, or set WAYPOST_GATEWAY_URL to where one is"
        return [finding("warning", "gateway", f"none answers at {settings.gateway_url}", advice)]
    if url is None:
        return [finding("warning", "gateway", "none runs on this data folder", "`waypost serve`")]
    try:
        ready = _ask("GET", f"{url}/readyz")
        found = [finding("ok", "gateway", f"ready at {url}")]
        if ready.status != 200:
            found = [
                finding(
                    "problem",
                    "gateway",
                    ready.data.decode("utf-8", "replace")[:300].strip(),
                    "make the journal writable",
                )
            ]
        return [*found, _about_webhook(settings, url)]
    except urllib3.exceptions.HTTPError as error:
        return [finding("problem", "gateway", f"no answer from {url}: {type(error).__name__}", "look into its log")]


def _about_webhook(settings: Settings, url: str) -> Finding:
    token = settings.meta_verify_token or _kept(Path(settings.data_dir) / "verify-token")
    if not token:
        return finding(
            "warning", "webhook", "not asked: the verify token is unknown here", "set WAYPOST_META_VERIFY_TOKEN"
        )
    query = urlencode({"hub.mode": "subscribe", "hub.verify_token": token, "hub.challenge": _CHALLENGE})
    answer = _ask("GET", f"{url}/meta/webhook?{query}")
    if answer.status == 200 and answer.data == _CHALLENGE.encode():
        advice = "Meta must reach it over https under a public name"
        return finding("ok", "webhook", f"{url}/meta/webhook verifies as Meta asks", advice)
    advice = "give this command the WAYPOST_META_VERIFY_TOKEN that the gateway runs with, or restart the gateway"
    return finding("problem", "webhook", f"the verification is answered with HTTP {answer.status}", advice)


def _ask(method: str, url: str) -> urllib3.BaseHTTPResponse:
    with urllib3.PoolManager(retries=False, timeout=TIMEOUT_S) as http:
        return http.request(method, url, redirect=False)


def _kept(file: Path) -> str:
    try:
        return file.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _is_open(file: Path) -> bool:
    return bool(file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))


def finding(status: Status, subject: str, found: str, advice: str = "") -> Finding:
    """Return a finding."""
    return Finding(status=status, subject=subject, found=found, advice=advice)
