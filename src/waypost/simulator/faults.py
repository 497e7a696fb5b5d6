"""Injected failures: what the control API asks for, and which of them strikes a given call or webhook."""

from collections.abc import Collection
from typing import Annotated, Literal

import msgspec

from waypost.simulator.fields import digits_of

REFUSING = frozenset({"error", "reset", "http_500", "html_502"})
LOSING = frozenset({"accept_then_drop", "truncate", "no_id"})
SEND_ENDPOINTS = frozenset({"messages", "marketing_messages"})

Kind = Literal[
    "error", "latency", "accept_then_drop", "truncate", "no_id", "reset", "http_500", "html_502", "down",
    "webhook_duplicate", "webhook_reorder", "webhook_drop", "webhook_delay",
]  # fmt: skip
Milliseconds = Annotated[int, msgspec.Meta(ge=0)]


class Match(msgspec.Struct, forbid_unknown_fields=True):
    """Whom a fault strikes; what is left out matches all. Without `endpoint`, the two send endpoints are meant."""

    to: str | None = None
    phone_number_id: str | None = None
    endpoint: str | None = None


class Fault(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One fault; `times` is how often it still strikes, None = until deleted. `for_s` ends `down` by itself."""

    kind: Kind
    match: Match = msgspec.field(default_factory=Match)
    times: Annotated[int, msgspec.Meta(ge=1)] | None = None
    code: int | None = None
    subcode: int | None = None
    http_status: Annotated[int, msgspec.Meta(ge=200, le=599)] | None = None
    details: str | None = None
    latency_ms: Milliseconds | None = None
    for_s: Annotated[float, msgspec.Meta(gt=0)] | None = None
    id: str = ""


def fault_from(body: object) -> Fault:
    """The fault that a control call describes; raises `ValueError` with a text that says what to change."""
    try:
        fault = msgspec.convert(body, Fault)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
    if fault.kind == "error" and fault.code is None:
        raise ValueError("a fault of kind error needs `code`, one of Meta's error codes")
    if fault.kind in ("latency", "webhook_delay") and fault.latency_ms is None:
        raise ValueError(f"a fault of kind {fault.kind} needs `latency_ms`")
    if fault.kind == "down" and fault.match != Match():
        raise ValueError("a fault of kind down closes the whole port and takes no `match`")
    return fault


class Faults:
    """The faults in force, in the order they were made."""

    def __init__(self) -> None:
        self.active: list[Fault] = []
        self._made = 0

    def add(self, fault: Fault) -> Fault:
        """Puts a fault in force and gives it its id."""
        self._made += 1
        fault.id = f"fault-{self._made}"
        self.active.append(fault)
        return fault

    def clear(self) -> None:
        """Ends all faults."""
        self.active.clear()

    def take(self, kinds: Collection[str], to: object, phone_number_id: str, endpoint: str) -> Fault | None:
        """The first fault of one of `kinds` that strikes here; this uses up one of its `times`."""
        for fault in self.active:
            if fault.kind in kinds and _strikes(fault.match, to, phone_number_id, endpoint):
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times == 0:
                        self.active.remove(fault)
                return fault
        return None


def _strikes(match: Match, to: object, phone_number_id: str, endpoint: str) -> bool:
    if match.endpoint != endpoint if match.endpoint is not None else endpoint not in SEND_ENDPOINTS:
        return False
    if match.phone_number_id is not None and match.phone_number_id != phone_number_id:
        return False
    return match.to is None or digits_of(match.to) == digits_of(to)
