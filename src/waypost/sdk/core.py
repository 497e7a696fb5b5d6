"""The part of the SDK that does no I/O: build and sign a request, read an answer, and the errors there are."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypedDict
from urllib.parse import urlsplit

import msgspec

from waypost.clock import Clock
from waypost.protocol.signing import ALGORITHM_HEADER, WHATSAPP_BIZ_TYPE, SignedHeaders, masked, sign, uses_sha256

MT_PATH = "/api/wa/mt"
MT_ACTION = "mt"
ANSWER_MAX_BYTES = 1_000_000  # an answer has a few hundred bytes; whatever is larger comes from something else
EXCERPT_LENGTH = 200

Content = Mapping[str, object] | Sequence[Mapping[str, object]]


class Envelope(TypedDict, total=False):
    """What may stand beside the content of a message, under the names of the wire."""

    cus_message_id: str
    dr_webhook: str
    biz_opaque_callback_data: str
    api_type: int
    context: Mapping[str, str]


class PreparedRequest(NamedTuple):
    """A signed request, ready to be posted, and to be posted again as it is."""

    url: str
    headers: dict[str, str]
    body: bytes

    @property
    def canonical(self) -> str:
        """Return the string whose digest is the signature, with the secret masked."""
        return masked(_signed(self.headers), self.body)


class Sent(NamedTuple):
    """The gateway has taken the message: the id under which callbacks will name it, and the id of the request."""

    message_id: str
    trace_id: str | None


class SendError(Exception):
    """A message was not taken, or it is not known whether it was; `prepared` is the request in question."""

    def __init__(self, words: str, prepared: PreparedRequest) -> None:
        super().__init__(words)
        self.prepared = prepared


class Refused(SendError):
    """The gateway, or Meta behind it, said no.

    `code` and `message` are the answer's, `error` is `data.error` where there is one: the path of the culprit for 9000,
    Meta's error object for 9099.
    """

    def __init__(self, answer: "Answer", prepared: PreparedRequest) -> None:
        self.code = answer.code
        self.message = answer.message
        self.error = _error(answer.data)
        self.trace_id = answer.trace_id
        super().__init__(_in_words(answer, self.error), prepared)


class Unreachable(SendError):
    """No complete answer came: no connection, a broken one, or none in time. The message may have been taken."""


class BadAnswer(SendError):
    """What came is no answer of a gateway; something stands in between. The message may have been taken."""


class Answer(msgspec.Struct, rename={"trace_id": "traceId"}):
    """An answer of the gateway as it stands on the wire."""

    code: int
    message: str = ""
    data: Any = None
    trace_id: str | None = None


class Signer:
    """Builds signed requests for one account, application and sending number."""

    def __init__(self, base_url: str, key: "Key", appkey: str, business_phone: str, clock: Clock) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"base_url must be an absolute http or https URL, not {base_url!r}")
        self._url = base_url.rstrip("/") + MT_PATH
        self._key = key
        self._appkey = appkey
        self._business_phone = business_phone
        self._clock = clock

    def prepare(self, message_type: str, content: Content, to: str, envelope: Envelope) -> PreparedRequest:
        """Return the signed request for one message.

        Raises ValueError or TypeError where the content has no JSON form; what it means is for the gateway to judge.
        """
        message: dict[str, object] = {
            "appkey": self._appkey,
            "business_phone": self._business_phone,
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": to,
            "type": message_type,
            **envelope,
            message_type: content,
        }
        body = msgspec.json.encode(message)
        signed = SignedHeaders(self._key.access_key, MT_ACTION, WHATSAPP_BIZ_TYPE, str(self._clock.now_ms()))
        headers = {
            "accessKey": signed.access_key,
            "action": signed.action,
            "bizType": signed.biz_type,
            "ts": signed.ts,
            "sign": sign(signed, body, self._key.access_secret, self._key.algorithm),
            "Content-Type": "application/json",
        }
        if uses_sha256(self._key.algorithm):
            headers[ALGORITHM_HEADER] = "sha256"
        return PreparedRequest(self._url, headers, body)


class Key:
    """A key pair and the digest to sign with, `md5` or `sha256`; never shown."""

    __slots__ = ("access_key", "access_secret", "algorithm")

    def __init__(self, access_key: str, access_secret: str, algorithm: str) -> None:
        if not access_key or not access_key.isascii() or not access_key.isprintable() or " " in access_key:
            raise ValueError("access_key must be printable ASCII without spaces")
        if not access_secret or access_secret != access_secret.strip():
            raise ValueError("access_secret must not be empty nor have white space around it")
        if algorithm not in {"md5", "sha256"}:
            raise ValueError(f"algorithm must be md5 or sha256, not {algorithm!r}")
        self.access_key = access_key
        self.access_secret = access_secret
        self.algorithm = algorithm


def read_answer(http_status: int, body: bytes, prepared: PreparedRequest) -> Sent:
    """Return what the gateway answered to a request; raise Refused, or BadAnswer where that was not the gateway."""
    try:
        answer = _decoder.decode(body)
    except (ValueError, RecursionError):
        raise _bad_answer(http_status, body, prepared) from None
    if answer.code != 0:
        raise Refused(answer, prepared)
    message_id = _message_id(answer.data)
    if http_status != 200 or message_id is None:
        raise _bad_answer(http_status, body, prepared)
    return Sent(message_id, answer.trace_id)


_decoder = msgspec.json.Decoder(Answer)


def _bad_answer(http_status: int, body: bytes, prepared: PreparedRequest) -> BadAnswer:
    excerpt = body[:EXCERPT_LENGTH].decode("utf-8", "replace")
    return BadAnswer(f"HTTP {http_status} without an answer of the gateway: {excerpt!r}", prepared)


def _message_id(data: object) -> str | None:
    match data:
        case {"messages": [{"id": str(message_id)}, *_]} if message_id:
            return message_id
    return None


def _error(data: object) -> dict[str, object] | None:
    match data:
        case {"error": dict(error)}:
            return error
    return None


def _in_words(answer: Answer, error: dict[str, object] | None) -> str:
    words = f"{answer.code} {answer.message}"
    match error:
        case {"path": path, "details": details}:
            words += f": {path} {details}"
        case {"code": code, "message": message}:
            words += f": {code} {message}"
    return words


def _signed(headers: Mapping[str, str]) -> SignedHeaders:
    return SignedHeaders(headers["accessKey"], headers["action"], headers["bizType"], headers["ts"])
