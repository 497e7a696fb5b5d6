"""`waypost demo`: everything at once on one machine, and one message of each type on its way."""

import asyncio
import contextlib
import sys
import tempfile
from collections.abc import AsyncIterator
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import aiohttp
import msgspec
import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from waypost import sdk, settings, telemetry
from waypost.cli.demo_receiver import DemoReceiver
from waypost.cli.run import CommandFailed, plain_failures, run, until_signal
from waypost.gateway import tenant_file
from waypost.model import State
from waypost.service import Service
from waypost.simulator import Simulator
from waypost.web.server import AddressUnusable

GATEWAY_PORT, SIMULATOR_PORT = 8080, 8090
PATIENCE_S = 30.0  # the simulator's people read after two seconds
_LOOK_AGAIN_S = 0.1
_PIPE_COLUMNS = 120  # nobody sees an edge in a pipe, and an id that is cut can't be looked up
_STEPS = (State.SENT, State.DELIVERED, State.READ)
_RECIPIENT = "86139000000{:02d}"
_LANGUAGE = {"code": "en_US", "policy": "deterministic"}
_BODY = {"type": "body", "parameters": [{"type": "text", "text": "David"}, {"type": "text", "text": "B520"}]}

MESSAGES: dict[str, dict[str, Any]] = {
    "text": {"body": "Hello from Waypost", "preview_url": False},
    "image": {"link": "https://example.com/cat.jpg", "caption": "a cat"},
    "video": {"link": "https://example.com/cat.mp4", "caption": "a cat that moves"},
    "audio": {"link": "https://example.com/purr.ogg"},
    "document": {"link": "https://example.com/terms.pdf", "filename": "terms.pdf"},
    "location": {"latitude": "22.5508", "longitude": "113.9384", "name": "Shenzhen", "address": "Kexing Science Park"},
    "sticker": {"link": "https://example.com/cat.webp"},
    "template": {"name": "order_update", "language": _LANGUAGE, "components": [_BODY]},
}


def demo(
    once: Annotated[
        bool, typer.Option("--once", help="End then: 0 if every message was read and every callback arrived.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Start everything, but send nothing.")] = False,
) -> None:
    """Start the gateway and the simulator of Meta, send one message of each of the eight types, show their lives.

    Needs no account and no network, and keeps its data in a temporary folder. Serves until Ctrl-C.
    """
    telemetry.configure("warning", pretty=True)
    with plain_failures(), tempfile.TemporaryDirectory(prefix="waypost-demo-") as folder:
        if not run(_demo(Path(folder), once=once, quiet=quiet)):
            raise CommandFailed(
                f"not everything was read and called back within {PATIENCE_S:g} s; the table shows what"
            )


async def _demo(folder: Path, *, once: bool, quiet: bool) -> bool:
    console = Console(width=None if sys.stdout.isatty() else _PIPE_COLUMNS)
    tables = tenant_file.read(resources.files("waypost.cli").joinpath("demo_tenants.toml").read_text("utf-8"), {})
    application = tables["accounts"][0]["applications"][0]
    async with _receiving(application) as receiver, _running(folder) as (service, simulator):
        async with aiohttp.ClientSession() as http:
            await _connect(http, service, simulator, tables)
            stage = Stage(console, http, service, receiver)
            all_told = True if quiet else await _show_lives(stage, tables)
        if not once:
            _print_addresses(console, service, simulator, receiver, tables)
            await until_signal()
    return all_told


@contextlib.asynccontextmanager
async def _receiving(application: dict[str, Any]) -> AsyncIterator[DemoReceiver]:
    """Run the customer's receiver, and make it the application's webhook."""
    receiver = DemoReceiver(application["callback_secret"])
    await receiver.start()
    application["webhook"] = receiver.url
    try:
        yield receiver
    finally:
        await receiver.stop()


@contextlib.asynccontextmanager
async def _running(folder: Path) -> AsyncIterator[tuple[Service, Simulator]]:
    """Start simulator and gateway on their well-known ports, or on free ones where those are taken."""
    simulator = Simulator()
    try:
        await simulator.start(port=SIMULATOR_PORT)
    except OSError:
        await simulator.start()
    chosen = msgspec.structs.replace(
        settings.Settings(), data_dir=str(folder), meta_base_url=simulator.url, allow_private_callbacks=True
    )
    service = Service(chosen)
    try:
        try:
            await service.start("127.0.0.1", GATEWAY_PORT)
        except AddressUnusable:
            await service.start("127.0.0.1", 0)
        try:
            yield service, simulator
        finally:
            await service.stop()
    finally:
        await simulator.stop()


async def _connect(http: aiohttp.ClientSession, service: Service, simulator: Simulator, tables: dict[str, Any]) -> None:
    """Load the sample tenants, and point the simulator's webhooks at the gateway."""
    waba = tables["wabas"][0]
    phone = waba["phones"][0]
    await _call(http, service, "POST", "/admin/v1/apply", tables)
    config = {
        "webhook_url": f"{service.url}/meta/webhook",
        "app_secret": waba["app_secret"],
        "verify_token": service.verify_token,
        "wabas": [
            {
                "waba_id": waba["waba_id"],
                "phones": [{"id": phone["phone_number_id"], "display_phone_number": phone["number"]}],
                "templates": waba["templates"],
            }
        ],
    }
    async with http.put(f"{simulator.url}/_simulator/config", data=msgspec.json.encode(config)) as answer:
        if answer.status != 200:
            raise CommandFailed(f"the simulator refuses its configuration: {await answer.text()}")


class Stage(NamedTuple):
    """Who takes part in the demo while messages are on their way."""

    console: Console
    http: aiohttp.ClientSession
    service: Service
    receiver: DemoReceiver


async def _show_lives(stage: Stage, tables: dict[str, Any]) -> bool:
    """Send one message of each type, show what becomes of each, and tell whether all were read and all was told."""
    ids = await _send_all(stage, tables)
    lives: dict[str, dict[str, Any]] = {}
    told = stage.receiver.told
    live_table = Live(_table(ids, lives, told), console=stage.console, refresh_per_second=10)
    with live_table as live, contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_S):
            while not _all_told(ids, lives, told):
                await asyncio.sleep(_LOOK_AGAIN_S)
                for kind, message_id in ids.items():
                    lives[kind] = await _call(stage.http, stage.service, "GET", f"/admin/v1/messages/{message_id}")
                live.update(_table(ids, lives, told))
    return len(ids) == len(MESSAGES) and _all_told(ids, lives, told)


async def _send_all(stage: Stage, tables: dict[str, Any]) -> dict[str, str]:
    account = tables["accounts"][0]
    key, application = account["keys"][0], account["applications"][0]
    ids: dict[str, str] = {}
    async with sdk.AsyncClient(
        stage.service.url, key["access_key"], key["access_secret"], application["appkey"], application["phones"][0]
    ) as client:
        for number, (kind, content) in enumerate(MESSAGES.items()):
            try:
                ids[kind] = (await client.send(kind, content, _RECIPIENT.format(number))).message_id
            except sdk.SendError as error:
                stage.console.print(f"{kind}: {error}", style="red")
    return ids


def _all_told(ids: dict[str, str], lives: dict[str, dict[str, Any]], told: dict[str, list[str]]) -> bool:
    return all(
        lives.get(kind, {}).get("state") == State.READ and told.get(message_id) == list(_STEPS)
        for kind, message_id in ids.items()
    )


async def _call(
    http: aiohttp.ClientSession, service: Service, method: str, path: str, body: object | None = None
) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {service.admin_token}"}
    data = None if body is None else msgspec.json.encode(body)
    async with http.request(method, service.url + path, headers=headers, data=data) as answer:
        content = msgspec.json.decode(await answer.read(), type=dict[str, Any])
        if answer.status != 200:
            raise CommandFailed(f"the gateway says: {content.get('error', answer.status)}")
        return content


def _table(ids: dict[str, str], lives: dict[str, dict[str, Any]], told: dict[str, list[str]]) -> Table:
    """Draw the life of each message: milliseconds from acceptance to each report, and how many callbacks came."""
    table = Table("type", "answer", *_STEPS, "callbacks", "message id", title="One signed request of each type")
    for kind in MESSAGES:
        life = lives.get(kind, {})
        seen = {item["status"]: item["received_at_ms"] - life["created_at_ms"] for item in life.get("statuses", ())}
        answered = {None: "", 0: "accepted"}.get(life.get("answer_code"), str(life.get("answer_code")))
        steps = [f"+{seen[step]} ms" if step in seen else "" for step in _STEPS]
        message_id = ids.get(kind, "refused")
        arrived = f"{len(told.get(message_id, ()))} of {len(_STEPS)}"
        table.add_row(kind, answered, *steps, arrived, message_id)
    return table


def _print_addresses(
    console: Console, service: Service, simulator: Simulator, receiver: DemoReceiver, tables: dict[str, Any]
) -> None:
    key = tables["accounts"][0]["keys"][0]
    table = Table(box=None, show_header=False)
    table.add_row("gateway", f"{service.url}/api/wa/mt", "the customers' API")
    table.add_row("", f"{service.url}/docs", "the API, described")
    table.add_row("", f"{service.url}/metrics", "for Prometheus")
    table.add_row("simulator", f"{simulator.url}/_simulator/messages", "what Meta got")
    table.add_row("receiver", receiver.url, "the customer's webhook")
    table.add_row("accessKey", key["access_key"], f"secret {key['access_secret']}")
    table.add_row("admin token", service.admin_token, "for /admin/v1")
    console.print(table)
    print("Ctrl-C ends it all.", flush=True)
    sys.stdout.flush()
