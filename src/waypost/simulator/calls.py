"""One call on the Graph side, as it came in and as it is answered."""

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qs

import msgspec
from starlette.types import Receive, Scope

from waypost.simulator.errors import GraphError, unknown_path
from waypost.simulator.fields import Json

JSON_TYPE = b"application/json; charset=UTF-8"
HTML_TYPE = b"text/html; charset=utf-8"
LARGEST_JSON = 1 << 20
LARGEST_UPLOAD = 101 << 20
_PATH = re.compile(r"/v(\d{1,3})\.(\d)/(\d{1,32})(?:/([a-z_]{1,64}))?/?")


@dataclass(slots=True)
class GraphCall:
    """A request whose path has the form of the Graph API; `edge` is "" for a call on the object itself."""

    method: str
    path: str
    version: int
    object_id: str
    edge: str
    query: dict[str, list[str]]
    headers: dict[bytes, bytes]
    raw: bytes

    @property
    def token(self) -> str | None:
        """The access token, from the header or, as the Graph API also takes it, from the query."""
        scheme, _, token = self.headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        if scheme.lower() in ("bearer", "oauth") and token.strip():
            return token.strip()
        return self.parameter("access_token")

    def parameter(self, name: str) -> str | None:
        """One parameter of the query."""
        return self.query[name][0] if name in self.query else None

    def json(self) -> Json:
        """The body as a JSON object; raises `GraphError` 100 for anything else."""
        try:
            body = msgspec.json.decode(self.raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise GraphError(100, "The request body is not valid JSON.") from None
        if not isinstance(body, dict):
            raise GraphError(100, "The request body must be a JSON object.")
        return body


@dataclass(slots=True)
class Answer:
    """What is written back. `wire`: "whole", "half" (then closed), "drop" (closed without a byte) or "reset"."""

    status: int
    body: bytes
    content_type: bytes = JSON_TYPE
    wire: str = "whole"
    delay_ms: int = 0
    fault: str | None = None
    unknown_fields: list[str] = field(default_factory=list)


def json_answer(content: object, status: int = 200) -> Answer:
    """An answer with a JSON body."""
    return Answer(status, msgspec.json.encode(content))


async def read_body(receive: Receive, most: int) -> bytes | None:
    """The whole request body; None if the client went away. Raises `GraphError` for more than `most` bytes."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > most:
            raise GraphError(100, "The request body is too large.", http_status=413)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def parse_call(scope: Scope, raw: bytes) -> GraphCall:
    """The call that a request makes; raises `GraphError` 2500 for a path that is none of the Graph API's."""
    path: str = scope["path"]
    match = _PATH.fullmatch(path)
    if match is None:
        raise unknown_path(path)
    query_string: bytes = scope["query_string"]
    return GraphCall(
        method=scope["method"],
        path=path,
        version=int(match[1]),
        object_id=match[3],
        edge=match[4] or "",
        query=parse_qs(query_string.decode("latin-1"), keep_blank_values=True) if query_string else {},
        headers=dict(scope["headers"]),
        raw=raw,
    )
