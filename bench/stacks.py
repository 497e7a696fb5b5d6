"""The servers under test; each runs in a process of its own: `python -m bench.stacks NAME UPSTREAM FOLDER CORE`.

The process prints its URL, answers each line on its standard input with the CPU seconds it has used so far, and stops
when that input ends.
"""

import asyncio
import contextlib
import gc
import os
import resource
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import msgspec
import uvloop

from bench.requests import ADMIN_TOKEN, BENCH, META_TOKEN, TENANTS
from waypost import telemetry
from waypost.clock import Clock
from waypost.gateway.endpoints import PushLimits
from waypost.meta.answer import AcceptedByMeta
from waypost.meta.client import MetaClient
from waypost.net.safe_http import SafeHttp
from waypost.protocol import replies
from waypost.service import Role, Service, apply_offline
from waypost.settings import NEWEST_META_API_VERSION, Settings
from waypost.web.asgi import Receive, Scope, Send, answer
from waypost.web.server import HttpServer

HOST = "127.0.0.1"
UNPINNED = -1
_DRAIN_S = 5
_PUSH_TIMEOUT_S = 10
PUSHES_AT_ONCE = PushLimits(timeout_s=_PUSH_TIMEOUT_S).per_endpoint
_OK = replies.success("wamid.0190d8a6f3a27c5e8b1d2f4a6c8e0b1d", "0" * 32)
_REFUSED = b'{"code":-1}'


class WantedPushes(msgspec.Struct, frozen=True, kw_only=True):
    """What the stack `pushes` is asked to do: the same push so many times."""

    url: str
    body: str
    headers: dict[str, str]
    count: int


@asynccontextmanager
async def no_op(upstream: str, folder: Path) -> AsyncIterator[str]:
    """The floor: read the request, answer a constant."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await _body(receive)
        await answer(send, _OK)

    async with _serving(app) as url:
        yield url


@asynccontextmanager
async def proxy(upstream: str, folder: Path) -> AsyncIterator[str]:
    """The same, and one POST of that body to Meta with the gateway's own client in between."""
    meta = MetaClient(upstream, NEWEST_META_API_VERSION)
    phone_number_id = next(iter(BENCH.phones))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        taken = await meta.post_message(phone_number_id, "messages", META_TOKEN, await _body(receive))
        await answer(send, _OK if isinstance(taken, AcceptedByMeta) else _REFUSED)

    await meta.start()
    try:
        async with _serving(app) as url:
            yield url
    finally:
        await meta.close()


@asynccontextmanager
async def full(upstream: str, folder: Path) -> AsyncIterator[str]:
    """The gateway as `waypost serve` runs it: signature, decoding, route, journal, Meta, outcome, log line, metrics."""
    telemetry.configure("info", pretty=False)
    settings = Settings(
        data_dir=str(folder), meta_base_url=upstream, allow_private_callbacks=True, admin_token=ADMIN_TOKEN
    )
    await apply_offline(settings, TENANTS)
    service = Service(settings)
    url = await service.start(HOST, 0)
    try:
        yield url
    finally:
        await service.stop()


@asynccontextmanager
async def shared(upstream: str, folder: Path) -> AsyncIterator[str]:
    """The gateway as one of several on a PostgreSQL database; the environment names that, and the role."""
    telemetry.configure("info", pretty=False)
    settings = Settings(
        data_dir=str(folder),
        database_url=os.environ["BENCH_DATABASE_URL"],
        nats_url=os.environ.get("BENCH_NATS_URL", ""),
        nats_prefix=os.environ["BENCH_PREFIX"],
        secret_key="bench" * 8,
        meta_base_url=upstream,
        allow_private_callbacks=True,
        admin_token=ADMIN_TOKEN,
        meta_verify_token=ADMIN_TOKEN,
    )
    await apply_offline(settings, TENANTS)
    service = Service(settings, role=Role(os.environ["BENCH_ROLE"]))
    url = await service.start(HOST, 0)
    try:
        yield url
    finally:
        await service.stop()


@asynccontextmanager
async def pushes(upstream: str, folder: Path) -> AsyncIterator[str]:
    """The floor of a callback: pushes a body as often as a request says with the gateway's own client, no journal."""
    http = SafeHttp(Clock(), timeout_s=_PUSH_TIMEOUT_S, allow_private=True)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        wanted = msgspec.json.decode(await _body(receive), type=WantedPushes)
        left = iter(range(wanted.count))
        body = wanted.body.encode()

        async def worker() -> bool:
            return all([(await http.push(wanted.url, body, wanted.headers)).http_status == 200 for _ in left])

        done = await asyncio.gather(*(worker() for _ in range(PUSHES_AT_ONCE)))
        await answer(send, _OK if all(done) else _REFUSED)

    await http.start()
    try:
        async with _serving(app) as url:
            yield url
    finally:
        await http.close()


STACKS: dict[str, Callable[[str, Path], AbstractAsyncContextManager[str]]] = {
    "no-op": no_op,
    "proxy": proxy,
    "full": full,
    "shared": shared,
    "pushes": pushes,
}


@asynccontextmanager
async def _serving(app: Callable[[Scope, Receive, Send], object]) -> AsyncIterator[str]:
    server = HttpServer(app, drain_s=_DRAIN_S)
    url = server.start(HOST, 0)
    try:
        yield url
    finally:
        await server.stop()


async def _body(receive: Receive) -> bytes:
    chunks: list[bytes] = []
    while True:
        message = await receive()
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(chunks)


async def _serve(name: str, upstream: str, folder: Path) -> None:
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async with STACKS[name](upstream, folder) as url:
        gc.collect()
        gc.freeze()  # as `waypost serve` does
        print(url, flush=True)
        while await lines.readline():
            usage = resource.getrusage(resource.RUSAGE_SELF)
            print(usage.ru_utime + usage.ru_stime, flush=True)


def main(name: str, upstream: str, folder: str, core: str) -> None:
    """Run one stack until standard input ends."""
    if int(core) != UNPINNED:
        os.sched_setaffinity(0, {int(core)})
    with contextlib.suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(name, upstream, Path(folder)))


if __name__ == "__main__":
    main(*sys.argv[1:])
