"""What one POST to Meta came to: accepted, refused, uncertain or never left; the body decides, not the status."""

from typing import Any

import msgspec

from waypost.meta.errors import MetaError, classify
from waypost.model import Noun

MAX_META_ID_CHARS = 512  # Meta's ids stay under about 130; more is no id
MAX_CODE = 2**31 - 1
MAX_EVIDENCE_CHARS = 4096  # of an answer that we can't read: enough to see what it was


class AcceptedByMeta(Noun, frozen=True, kw_only=True):
    """Meta took the message and named it; `body` is Meta's answer as JSON text."""

    meta_message_id: str
    message_status: str | None  # "accepted", "held_for_quality_assessment", "paused"; often left out
    body: str


class RefusedByMeta(Noun, frozen=True, kw_only=True):
    """Meta said no, so nothing was sent; `error` is Meta's error object as it came, its code an integer."""

    error: dict[str, object]
    body: str
    meta_error: MetaError
    regain_s: float | None = None  # how long to wait, where Meta's usage header says so

    @property
    def details(self) -> str | None:
        """Meta's own words about this refusal, as far as there are any."""
        data = self.error.get("error_data")
        details = data.get("details") if isinstance(data, dict) else None
        words = details if details else self.error.get("message")
        return words if isinstance(words, str) and words else None


class Uncertain(Noun, frozen=True, kw_only=True):
    """Meta may or may not have the message (decision D6); `body` is what could be kept of the answer, without NUL."""

    reason: str
    body: str | None


class NeverLeft(Noun, frozen=True, kw_only=True):
    """Not one byte of the message can have reached Meta; sending it again is safe.

    `ours`: for a lack of our own, which says nothing about Meta.
    """

    reason: str
    ours: bool = False


MetaAnswer = AcceptedByMeta | RefusedByMeta | Uncertain | NeverLeft


def read_answer(http_status: int, body: bytes) -> AcceptedByMeta | RefusedByMeta | Uncertain:
    """Read one complete HTTP answer of Meta's to a send; never raises.

    Accepted is a 2xx with an id in `messages[0]` and no `error`. Refused is an error object with an integer code,
    whatever the status, unless the code is one of those that leave the outcome open. All else is uncertain, also an
    answer that says both. Meta's own advice is to branch on the code and never on the HTTP status.
    """
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _uncertain(f"HTTP {http_status} without readable JSON", body)
    if not isinstance(answer, dict):
        return _uncertain(f"HTTP {http_status} with JSON that is no object", body)
    text = body.decode()
    has_error = answer.get("error") is not None
    meta_id = _meta_id(answer)
    if has_error and "messages" in answer:
        return _uncertain(f"HTTP {http_status} that both takes and refuses the message", body)
    if has_error:
        return _read_error(http_status, answer["error"], body)
    if meta_id is None:
        return _uncertain(f"HTTP {http_status} without a message id", body)
    if not 200 <= http_status < 300:
        return _uncertain(f"HTTP {http_status} with a message id", body)
    return AcceptedByMeta(meta_message_id=meta_id, message_status=_message_status(answer), body=text)


def _read_error(http_status: int, error: object, body: bytes) -> RefusedByMeta | Uncertain:
    code = _integer(error.get("code")) if isinstance(error, dict) else None
    if not isinstance(error, dict) or code is None:
        return _uncertain(f"HTTP {http_status} with an error that has no code", body)
    subcode = _integer(error.get("error_subcode"))
    meta_error = classify(code, http_status, error.get("is_transient") is True, subcode)
    if meta_error.uncertain:
        return _uncertain(f"Meta's code {code}: {meta_error.title}", body)
    return RefusedByMeta(error={**error, "code": code}, body=body.decode(), meta_error=meta_error)


def _meta_id(answer: dict[str, Any]) -> str | None:
    messages = answer.get("messages")
    first = messages[0] if isinstance(messages, list) and messages else None
    meta_id = first.get("id") if isinstance(first, dict) else None
    if not isinstance(meta_id, str) or not 0 < len(meta_id) <= MAX_META_ID_CHARS:
        return None
    return meta_id if meta_id.isascii() and meta_id.isprintable() and meta_id.strip() == meta_id else None


def _message_status(answer: dict[str, Any]) -> str | None:
    status = answer["messages"][0].get("message_status")
    return status if isinstance(status, str) and "\0" not in status else None


def _integer(value: object) -> int | None:
    """Read a code: Meta sends integers, some of the proxies between us digits in quotes."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 10:
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_CODE:
        return value
    return None


def _uncertain(reason: str, body: bytes) -> Uncertain:
    text = body[: 4 * MAX_EVIDENCE_CHARS].decode(errors="replace").replace("\0", "\ufffd")
    return Uncertain(reason=reason, body=text[:MAX_EVIDENCE_CHARS] or None)
