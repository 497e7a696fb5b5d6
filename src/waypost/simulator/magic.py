"""Magic recipients: the end of a number chooses Meta's error or behaviour, so no control call is needed.

All suffixes have seven digits and begin with 8 or 9 followed by a code padded to six digits, which leaves fewer
than one in fifty thousand ordinary numbers with a surprise. docs/simulator.md shows the same table.
"""

import re
from typing import NamedTuple

from waypost.simulator.errors import KNOWN

SUFFIX_DIGITS = 7
REFUSED, FAILED = "9", "8"
_SUFFIX = re.compile(f"[{REFUSED}{FAILED}][0-9]{{{SUFFIX_DIGITS - 1}}}")
SLOW_ANSWER_MS = 10_000


class Magic(NamedTuple):
    """`kind` is a kind of fault (`error`, `accept_then_drop`, …) or a course of the statuses (`offline`, …)."""

    kind: str
    meaning: str
    code: int | None = None


BEHAVIOURS: dict[str, Magic] = {
    "9990001": Magic("offline", "accepted and `sent`, never delivered"),
    "9990002": Magic("no_receipts", "`sent` and `delivered`, never read"),
    "9990003": Magic("chat_open", "`sent` and `read` without `delivered`"),
    "9990004": Magic("silent", "accepted, then no status at all"),
    "9990005": Magic("held", "answered `held_for_quality_assessment`, released 60 s later"),
    "9990006": Magic("held_and_dropped", "answered `held_for_quality_assessment`, `failed` with 132015 60 s later"),
    "9990007": Magic("delivered_then_failed", "`sent`, `delivered`, then `failed` with 131026"),
    "9990011": Magic("latency", "accepted at once, answered 10 s late"),
    "9990012": Magic("accept_then_drop", "accepted, then the connection closes without an answer"),
    "9990013": Magic("truncate", "accepted, answered with half a body, then the connection closes"),
    "9990014": Magic("no_id", "accepted, answered 200 without `messages`"),
    "9990015": Magic("reset", "not accepted, the connection is reset"),
    "9990016": Magic("http_500", "not accepted, HTTP 500 with code 131000"),
    "9990017": Magic("html_502", "not accepted, HTTP 502 with an HTML page"),
    "9990021": Magic("webhook_duplicate", "each status webhook comes twice"),
    "9990022": Magic("webhook_reorder", "the status webhooks come in reverse order"),
}


def magic_of(number: str) -> Magic | None:
    """What the end of a recipient's number asks for; None for ordinary numbers."""
    suffix = number[-SUFFIX_DIGITS:]
    if not _SUFFIX.fullmatch(suffix):
        return None
    if suffix in BEHAVIOURS:
        return BEHAVIOURS[suffix]
    code = int(suffix[1:])
    if code not in KNOWN:
        return None
    title = KNOWN[code].title
    return Magic("error" if suffix[0] == REFUSED else "failed", title, code)
