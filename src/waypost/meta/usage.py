"""What Meta's usage header says about how long to wait after throttling. Pure."""

import math

import msgspec

HEADER = "X-Business-Use-Case-Usage"
MAX_HEADER_CHARS = 65_536  # one entry is about 200; a WABA has a few


class _Usage(msgspec.Struct):
    estimated_time_to_regain_access: float = 0  # minutes


def regain_s(header: str | None) -> float | None:
    """Return the seconds until calls are taken again, by Meta's header; None where it says nothing that can be read.

    The header is JSON: by the id of a business or WABA a list of what is counted, each with the estimated minutes.
    """
    if not header or len(header) > MAX_HEADER_CHARS:
        return None
    try:
        told = msgspec.json.decode(header, type=dict[str, list[_Usage]])
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        return None
    minutes = max((usage.estimated_time_to_regain_access for usages in told.values() for usage in usages), default=0.0)
    return minutes * 60 if minutes > 0 and math.isfinite(minutes) else None
