"""What a customer receives about a call that has ended: NxCloud's flat callback with `calls`, one call in each."""

from collections.abc import Mapping
from typing import Any

from waypost.protocol.callback_bodies import message_envelope
from waypost.protocol.callback_json import as_objects, as_text, as_whole, write

ENDED = "terminate"  # Meta's `event` of a call that is over
DIRECTION_UNKNOWN = 3  # NxCloud's callback pages: who hung up; Meta does not say


def ended_calls(value: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    """Return the calls in the `value` of Meta's field `calls`, if it reports nothing but calls that have ended.

    What else happens to a call (it rings, it is answered) has no callback of NxCloud's, and is an event.
    """
    calls = as_objects(value.get("calls"))
    over = [call for call in calls if call.get("event") == ENDED and as_text(call.get("id"))]
    return tuple(over) if len(over) == len(calls) and not value.get("statuses") else ()


def call_body(
    call: Mapping[str, Any], *, waba_id: str, app_id: int, business_phone: str, phone_number_id: str
) -> bytes:
    """Return the callback of one call that has ended.

    What NxCloud states and Meta does not is left out: costs, what they are counted by, and a recording.
    """
    told: dict[str, object] = {
        "call_id": as_text(call.get("id")),
        "from": as_text(call.get("from")),
        "to": as_text(call.get("to")),
        "start_time": as_text(call.get("start_time")),
        "end_time": as_text(call.get("end_time")),
        "call_duration": as_whole(call.get("duration")),
        "end_direction": DIRECTION_UNKNOWN,
        "end_reason": as_text(call.get("status")),
    }
    told |= {name: member for name, member in call.items() if name not in told and name not in ("id", "duration")}
    metadata = {"display_phone_number": business_phone, "phone_number_id": phone_number_id}
    envelope = message_envelope(app_id=app_id, business_phone=business_phone, waba_id=waba_id, metadata=metadata)
    return write(envelope | {"calls": [told]})
