"""Two clients over one core: `Client` blocks, `AsyncClient` is awaited; both have the same methods.

Neither repeats anything by itself. An answer that did not come leaves open whether the message was taken, and only the
caller knows whether a late message is better than none. Repeating is safe, though: `resend` posts the same bytes under
the same signature, and the gateway answers an identical request as it answered the first (decision D5).
"""

from abc import ABC, abstractmethod
from collections.abc import Coroutine, Mapping, Sequence
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, Unpack

import aiohttp
import urllib3

from waypost.clock import Clock
from waypost.sdk.core import (
    ANSWER_MAX_BYTES,
    Content,
    Envelope,
    Key,
    PreparedRequest,
    Sent,
    Signer,
    Unreachable,
    read_answer,
)

TIMEOUT_S = 40.0  # a gateway waits up to 30 s for Meta before it answers

Result = TypeVar("Result")


class Sending(ABC, Generic[Result]):
    """What both clients offer; `Result` is `Sent`, or a coroutine of it."""

    def __init__(
        self,
        base_url: str,
        access_key: str,
        access_secret: str,
        appkey: str,
        business_phone: str,
        *,
        algorithm: str = "md5",
        timeout_s: float = TIMEOUT_S,
        clock: Clock | None = None,
    ) -> None:
        """Remember who sends; nothing is connected yet. Raises ValueError for what can never work."""
        key = Key(access_key, access_secret, algorithm)
        self._signer = Signer(base_url, key, appkey, business_phone, clock or Clock())
        self._timeout_s = timeout_s
        self._start()

    def _start(self) -> None:
        """Make what is needed to connect, where that can be made already."""

    def prepare(self, message_type: str, content: Content, to: str, **envelope: Unpack[Envelope]) -> PreparedRequest:
        """Return the signed request that `send` would post; it is good for 60 seconds."""
        return self._signer.prepare(message_type, content, to, envelope)

    def send(self, message_type: str, content: Content, to: str, **envelope: Unpack[Envelope]) -> Result:
        """Send one message of any type; raise Refused, Unreachable or BadAnswer.

        `content` is the object that stands under the name of the type, as the API describes it.
        """
        return self.resend(self.prepare(message_type, content, to, **envelope))

    @abstractmethod
    def resend(self, prepared: PreparedRequest) -> Result:
        """Post a prepared request, for the first time or again: same bytes, same signature, never a second message."""

    def text(self, to: str, body: str, *, preview_url: bool = False, **envelope: Unpack[Envelope]) -> Result:
        """Send a text."""
        return self.send("text", {"body": body, "preview_url": preview_url}, to, **envelope)

    def image(self, to: str, image: Mapping[str, object], **envelope: Unpack[Envelope]) -> Result:
        """Send a picture: `{"id": …}` or `{"link": …}`, and perhaps a `caption`."""
        return self.send("image", image, to, **envelope)

    def video(self, to: str, video: Mapping[str, object], **envelope: Unpack[Envelope]) -> Result:
        """Send a film: `{"id": …}` or `{"link": …}`, and perhaps a `caption`."""
        return self.send("video", video, to, **envelope)

    def audio(self, to: str, audio: Mapping[str, object], **envelope: Unpack[Envelope]) -> Result:
        """Send a sound: `{"id": …}` or `{"link": …}`."""
        return self.send("audio", audio, to, **envelope)

    def document(self, to: str, document: Mapping[str, object], **envelope: Unpack[Envelope]) -> Result:
        """Send a file: `{"id": …}` or `{"link": …}`, and perhaps a `filename`."""
        return self.send("document", document, to, **envelope)

    def sticker(self, to: str, sticker: Mapping[str, object], **envelope: Unpack[Envelope]) -> Result:
        """Send a sticker: `{"id": …}` or `{"link": …}`."""
        return self.send("sticker", sticker, to, **envelope)

    def location(self, to: str, latitude: float, longitude: float, **envelope: Unpack[Envelope]) -> Result:
        """Send a place, in degrees; for one with a name use `send("location", …)`."""
        return self.send("location", {"latitude": latitude, "longitude": longitude}, to, **envelope)

    def template(
        self,
        to: str,
        name: str,
        language: str,
        components: Sequence[Mapping[str, object]] = (),
        **envelope: Unpack[Envelope],
    ) -> Result:
        """Send a template in a language such as `en_US`, with the values for its components."""
        content: dict[str, object] = {"name": name, "language": {"code": language, "policy": "deterministic"}}
        if components:
            content["components"] = components
        return self.send("template", content, to, **envelope)


class Client(Sending[Sent]):
    """Sends messages and waits for each answer; may be shared by threads. Use it with `with`, or close it."""

    def _start(self) -> None:
        self._pool = urllib3.PoolManager(retries=False)

    def resend(self, prepared: PreparedRequest) -> Sent:
        """Post a prepared request, for the first time or again: same bytes, same signature, never a second message."""
        try:
            response = self._pool.request(
                "POST",
                prepared.url,
                body=prepared.body,
                headers=prepared.headers,
                timeout=urllib3.Timeout(total=self._timeout_s),
                redirect=False,
                preload_content=False,
            )
            try:
                body = response.read(ANSWER_MAX_BYTES)
            finally:
                response.close()  # a connection whose answer was read to the end is back in the pool already
        except (urllib3.exceptions.HTTPError, OSError) as problem:
            raise Unreachable(f"no answer from {prepared.url}: {problem}", prepared) from problem
        return read_answer(response.status, body, prepared)

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def __enter__(self) -> Self:
        """Return the client itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()


class AsyncClient(Sending[Coroutine[Any, Any, Sent]]):
    """Sends messages in an asyncio program; belongs to one event loop. Use it with `async with`, or close it."""

    _session: aiohttp.ClientSession | None = None

    async def resend(self, prepared: PreparedRequest) -> Sent:
        """Post a prepared request, for the first time or again: same bytes, same signature, never a second message."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self._timeout_s))
        try:
            async with self._session.post(
                prepared.url, data=prepared.body, headers=prepared.headers, allow_redirects=False
            ) as response:
                body = bytearray()
                async for chunk in response.content.iter_any():
                    body += chunk
                    if len(body) > ANSWER_MAX_BYTES:
                        break
        except (aiohttp.ClientError, OSError) as problem:  # TimeoutError is an OSError
            words = str(problem) or type(problem).__name__
            raise Unreachable(f"no answer from {prepared.url}: {words}", prepared) from problem
        return read_answer(response.status, bytes(body), prepared)

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def __aenter__(self) -> Self:
        """Return the client itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        await self.close()
