"""What the pages show works as shown: tenant files load, the shell lines sign, settings and metrics exist."""

import re
import subprocess
from collections import defaultdict
from pathlib import Path

import msgspec
import pytest

from tests.docs.source import ROOT, documents
from tests.idle_parts import idle_health
from waypost.clock import Clock
from waypost.gateway import tenant_file
from waypost.protocol import messages, signing
from waypost.settings import PREFIX, Settings
from waypost.store.sqlite import SqliteStore
from waypost.telemetry import Metrics

PAGES = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in documents()}
SETTINGS = {PREFIX + field.name.upper() for field in msgspec.structs.fields(Settings)}
SHELL_PAGES = [name for name, text in PAGES.items() if "md5sum" in text]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


TENANT_FILES = [
    (name, block)
    for name, text in PAGES.items()
    for block in blocks(text, "toml")
    if block.startswith(("[[wabas]]", "[[accounts]]"))
]


@pytest.mark.parametrize(("name", "block"), TENANT_FILES, ids=[name for name, _ in TENANT_FILES])
def test_a_tenant_file_that_is_shown_loads(name: str, block: str) -> None:
    anything: dict[str, str] = defaultdict(lambda: "secret", dict.fromkeys(re.findall(r"env:(\w+)", block), "secret"))
    found = tenant_file.objects(tenant_file.read(block, anything))
    assert {type(item).__name__ for item in found} >= {"Account", "Application", "Waba", "BusinessPhone"}


def test_the_annotated_tenant_file_names_every_member() -> None:
    block = next(block for name, block in TENANT_FILES if name == "docs/operate/run.md")
    tables = (
        tenant_file.WabaTable, tenant_file.PhoneTable, tenant_file.TemplateTable,
        tenant_file.AccountTable, tenant_file.KeyTable, tenant_file.ApplicationTable,
    )  # fmt: skip
    members = {field.name for table in tables for field in msgspec.structs.fields(table)}
    assert {name for name in members if not re.search(rf"\b{name}\b", block)} == set()


@pytest.mark.parametrize("name", SHELL_PAGES)
def test_the_shell_lines_that_are_shown_sign_a_request(name: str) -> None:
    shown = "".join(block for block in blocks(PAGES[name], "sh") if "md5sum" in block)
    lines = shown.partition("curl ")[0]
    header = re.search(r"'accessKey: (\w+)'", PAGES[name])
    key = header[1] if header else "$key"
    done = subprocess.run(
        ["sh", "-c", f'{lines}\nprintf "%s\\n" "{key}" "$ts" "$sign" "$body"'],
        capture_output=True,
        check=True,
        text=True,
    )
    access_key, ts, sign, body = done.stdout.splitlines()
    headers = signing.SignedHeaders(access_key=access_key, action="mt", biz_type="2", ts=ts)
    assert signing.verify(headers, body.encode(), "abciiiko2k3", sign, None)
    assert len(ts) == signing.TS_DIGITS
    assert messages.decode(body.encode()).type == "text"


@pytest.mark.parametrize("name", PAGES)
def test_every_setting_that_is_named_exists(name: str) -> None:
    named = set(re.findall(rf"{PREFIX}[A-Z_]*[A-Z]", PAGES[name]))
    assert {item for item in named if not item.startswith(f"{PREFIX}TEST_")} <= SETTINGS


def test_every_metric_that_is_named_exists() -> None:
    text = "".join(PAGES.values())
    metrics = Metrics()
    idle_health(SqliteStore("never opened.db", Clock()), Clock(), metrics)  # the queue's register themselves there
    known = {family.name for family in metrics.registry.collect()}
    named = {name.removesuffix("_total") for name in re.findall(r"`(waypost_\w+)", text)}
    assert named
    assert named <= known


def test_paths_of_the_source_that_are_named_exist() -> None:
    for name, text in PAGES.items():
        for path in re.findall(r"`((?:waypost/)?(?:web|gateway|protocol|store|meta|cli|sdk)/[\w/.]+)`", text):
            assert (Path(ROOT) / "src" / "waypost" / path.removeprefix("waypost/")).exists(), f"{name}: {path}"
