"""When a request is a repeat, and what it is answered (decision D5)."""

import msgspec

from waypost.model import Message, Reuse, State
from waypost.protocol.errors import MetaRefused, ParameterInvalid, SystemBusy
from waypost.protocol.messages import MtRequest, fingerprint

REFUSED = MetaRefused.code
NEVER_LEFT = SystemBusy.code
_HOUR_MS = 3_600_000
_KEEP_CUSTOM_MS = 30 * 24 * _HOUR_MS  # decision D5
_KEEP_SIGNED_MS = 24 * _HOUR_MS


def key_of(cus_message_id: str | None, sign: str) -> str:
    """Return what makes a repeat a repeat: the customer's own id, else the signature in lower case."""
    return f"cus:{cus_message_id}" if cus_message_id is not None else f"sign:{sign}"


def keep_ms(cus_message_id: str | None) -> int:
    """Return for how long a key is remembered, in milliseconds."""
    return _KEEP_CUSTOM_MS if cus_message_id is not None else _KEEP_SIGNED_MS


def reuse_of(answer_code: int | None) -> Reuse:
    """Return when the key of a message that was given this answer may be used again."""
    return {REFUSED: Reuse.NEW_SIGNATURE, NEVER_LEFT: Reuse.ANY}.get(answer_code or 0, Reuse.NEVER)


def may_try_again(earlier: Message, sign: str) -> bool:
    """Tell whether a request with this signature may be tried afresh, although an earlier one holds its key."""
    match reuse_of(earlier.answer_code):
        case Reuse.ANY:
            return True
        case Reuse.NEW_SIGNATURE:
            return earlier.sign != sign
        case Reuse.NEVER:
            return False


def check_same(earlier: Message, request: MtRequest) -> None:
    """Raise `ParameterInvalid` if a `cus_message_id` comes again with another message."""
    if request.cus_message_id is not None and earlier.fingerprint != fingerprint(request):
        raise ParameterInvalid(
            "was used for another message; give each message an id of its own", path="$.cus_message_id"
        )


def answer_of(message: Message) -> str:
    """Give the answer that a message got first: return its id, or raise the failure.

    One that is still unanswered, because its process died or the journal failed after Meta was called, counts as
    accepted: it may be on its way, and saying otherwise would make the customer send it twice (decision D2).
    """
    if message.answer_code == REFUSED and message.state == State.REJECTED:
        raise MetaRefused(_error_of(message))
    if message.answer_code == NEVER_LEFT and message.state == State.FAILED:
        raise SystemBusy("Meta could not be reached; nothing was sent")
    return message.wire_id


def _error_of(message: Message) -> dict[str, object]:
    """Return Meta's error object from the answer that was kept."""
    answer = msgspec.json.decode(message.meta_answer or "{}", type=dict[str, dict[str, object]])
    return answer["error"]
