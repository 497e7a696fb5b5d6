"""The body of `POST /api/wa/callback`: which stored callbacks a customer asks for, and in which form."""

import re
from datetime import datetime, timedelta, timezone
from typing import Literal

import msgspec

from waypost.protocol import rules
from waypost.protocol.decoding import decode_body
from waypost.protocol.errors import ParameterInvalid

WINDOW_DAYS = 30  # how long callbacks are kept; NxCloud's page has seven
MAX_LIMIT = 500
DEFAULT_LIMIT = 100  # of a query that goes on behind a cursor and says no more
LENIENCE_MS = 60_000  # clocks differ, and a request takes its time
_ZONE = timezone(timedelta(hours=8))  # the page names no zone; NxCloud's own clock is China's
_FORM = "%Y-%m-%d %H:%M:%S"
_TIME = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}", re.ASCII)
_LIMIT = re.compile(r"[1-9]\d{0,2}", re.ASCII)
_CURSOR = re.compile(r"[0-9a-f]{32}")


class CallbackQuery(msgspec.Struct, kw_only=True):
    """A decoded query: `business_phone` is digits; `window` turns its times into milliseconds.

    `limit` and `cursor` are not NxCloud's: with either of them the answer is one page.
    """

    appkey: str
    messaging_product: Literal["whatsapp"]
    business_phone: str
    field: str
    end_time: str
    start_ime: str | None = None  # as NxCloud's page spells it
    start_time: str | None = None
    limit: int | str | None = None
    cursor: str | None = None

    def __post_init__(self) -> None:
        """Bring the members to one form, or refuse them."""
        rules.text(self.appkey, ".appkey")
        rules.text(self.field, ".field")
        self.business_phone = rules.phone_digits(self.business_phone, ".business_phone")
        self.cursor = self.cursor or None
        if self.cursor is not None and not _CURSOR.fullmatch(self.cursor):
            raise rules.wrong("expected the next_cursor of the page before", ".cursor")
        self.limit = _limit(self.limit, has_cursor=self.cursor is not None)

    @property
    def page_size(self) -> int | None:
        """How many callbacks a page may have; None where everything is asked for at once."""
        return None if self.limit is None else int(self.limit)

    def window(self, now_ms: int) -> tuple[int, int]:
        """Return the first millisecond that is asked for, and the first one after the end, whose second counts whole.

        Raises `ParameterInvalid` for what is no time, for an end before the start, and for what is too long ago.
        """
        name = "start_time" if self.start_ime is None and self.start_time is not None else "start_ime"
        start = self.start_ime if self.start_ime is not None else self.start_time
        if start is None:
            raise ParameterInvalid("is required", path="$.start_ime")
        since_ms = _milliseconds(start, f"$.{name}")
        end_ms = _milliseconds(self.end_time, "$.end_time")
        if since_ms > end_ms:
            raise ParameterInvalid("must not be before the start", path="$.end_time")
        if since_ms < now_ms - WINDOW_DAYS * 86_400_000 - LENIENCE_MS:
            raise ParameterInvalid(f"must be within the last {WINDOW_DAYS} days", path=f"$.{name}")
        return since_ms, end_ms + 1000


_decoder = msgspec.json.Decoder(CallbackQuery)


def decode(raw: bytes) -> CallbackQuery:
    """Return the query of a raw request body; raise `ParameterInvalid` with path and details, nothing else."""
    return decode_body(_decoder, raw)


def _limit(given: int | str | None, *, has_cursor: bool) -> int | None:
    """Return how many callbacks a page may have, None where no page is asked for; an empty text is none at all."""
    if given is None or given == "":
        return DEFAULT_LIMIT if has_cursor else None
    number = given if isinstance(given, int) else int(given) if _LIMIT.fullmatch(given) else 0
    if not 1 <= number <= MAX_LIMIT:
        raise rules.wrong(f"expected a number from 1 to {MAX_LIMIT}", ".limit")
    return number


def _milliseconds(text: str, path: str) -> int:
    problem = ParameterInvalid("expected a time such as 2026-01-31 23:59:59, in UTC+8", path=path)
    if not _TIME.fullmatch(text):
        raise problem
    try:
        moment = datetime.strptime(text, _FORM).replace(tzinfo=_ZONE)
    except ValueError:
        raise problem from None
    return int(moment.timestamp()) * 1000
