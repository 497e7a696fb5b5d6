"""What `waypost doctor` finds out about NATS: which servers answer, whether JetStream is on, where the stream is.

Nothing here is a problem: without NATS processes find each other's work by looking, which costs a delay.
"""

import contextlib
from collections.abc import AsyncIterator

import msgspec
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import StreamInfo
from nats.js.errors import NotFoundError
from nats.js.manager import JetStreamManager

from waypost.cli.doctor_checks import finding
from waypost.cli.run import run
from waypost.gateway.checkup import Finding
from waypost.queue.nats_servers import Servers
from waypost.queue.ring_stream import RingStream
from waypost.settings import Settings

_SUBJECT = "NATS"
_TIMEOUT_S = 2
_DELAY = "until then work of another process is found by looking, which takes seconds"


class Said(msgspec.Struct, frozen=True):
    """What one server said, or in which words it said nothing."""

    address: str
    silence: str = ""  # why it does not answer
    no_jetstream: str = ""  # why JetStream does not
    stream: StreamInfo | None = None  # the installation's


def about_nats(settings: Settings) -> list[Finding]:
    """Tell how the doorbell between processes is."""
    if not settings.nats_url:
        return [finding("ok", _SUBJECT, "not used: processes look for each other's work every few seconds")]
    try:
        servers = Servers(settings.nats_url)
    except ValueError as error:
        return [finding("problem", _SUBJECT, str(error), "correct WAYPOST_NATS_URL: no process starts with it")]
    answers = run(_ask_all(servers, RingStream(settings.nats_prefix).name))
    silent = [
        finding("warning", _SUBJECT, f"no answer from {one.address}: {one.silence}", f"start it; {_DELAY}")
        for one in answers
        if one.silence
    ]
    reached = [one for one in answers if not one.silence]
    return [*silent, *_about_jetstream(reached, len(answers))] if reached else silent


def _about_jetstream(reached: list[Said], named: int) -> list[Finding]:
    best = next((one for one in reached if one.stream is not None), reached[0])
    if all(one.no_jetstream for one in reached):
        advice = f"enable JetStream there, and see that most servers of a cluster run; {_DELAY}"
        return [finding("warning", _SUBJECT, f"JetStream is not usable: {best.no_jetstream}", advice)]
    found = [finding("ok", _SUBJECT, f"{len(reached)} of {named} named servers answer, JetStream is enabled")]
    if best.stream is None:
        return [*found, finding("ok", _SUBJECT, "no stream yet: the first process makes it")]
    peers = (best.stream.cluster.replicas if best.stream.cluster else None) or []
    away = [peer.name or "one" for peer in peers if peer.offline]
    if away:
        advice = f"start what is away; {_DELAY}" if len(away) * 2 > len(peers) else "start it"
        found.append(finding("warning", _SUBJECT, f"nodes of the stream that are away: {', '.join(away)}", advice))
    nodes = len(peers) + 1
    if nodes > named:
        advice = "name each server in WAYPOST_NATS_URL, so that a process can start while one is away"
        found.append(finding("warning", _SUBJECT, f"the stream has {nodes} nodes, {named} named", advice))
    else:
        found.append(finding("ok", _SUBJECT, f"the stream has {nodes} node{'s' * (nodes > 1)}"))
    return found


async def _ask_all(servers: Servers, stream: str) -> list[Said]:
    return [await _ask(address, servers, stream) for address in servers.addresses]


async def _ask(address: str, servers: Servers, stream: str) -> Said:
    try:
        async with _connected(address, servers) as client:
            manager = JetStreamManager(client, timeout=_TIMEOUT_S)
            try:
                await manager.account_info()
                with contextlib.suppress(NotFoundError):
                    return Said(address, stream=await manager.stream_info(stream))
            except NatsError as error:
                return Said(address, no_jetstream=_reason(error))
            return Said(address)
    except (OSError, NatsError) as error:
        return Said(address, silence=_reason(error))


@contextlib.asynccontextmanager
async def _connected(address: str, servers: Servers) -> AsyncIterator[Client]:
    user, password, token = servers.credentials
    heard: list[Exception] = []  # nats-py tells the reason here, and raises something general

    async def hear(error: Exception) -> None:
        heard.append(error)

    client = Client()
    try:
        await client.connect(
            servers=[address],
            error_cb=hear,
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            connect_timeout=_TIMEOUT_S,
            name="waypost doctor",
            user=user,
            password=password,
            token=token,
        )
    except (OSError, NatsError) as error:
        raise (heard[0] if heard and isinstance(heard[0], OSError | NatsError) else error) from None
    try:
        yield client
    finally:
        with contextlib.suppress(OSError, NatsError):
            await client.close()


def _reason(error: Exception) -> str:
    return f"{error}" or type(error).__name__
