"""The parts of a webhook of Meta's: each is read on its own, so that what is wrong with one costs no other."""

import json
import re
from collections.abc import Sequence
from typing import TypeVar

import msgspec

from waypost.protocol.damaged_json import read_damaged

MAX_ID_CHARS = 512
MAX_OPAQUE_CHARS = 4096  # Meta takes 512; what is longer is not ours, and is still shown in `raw`
MAX_RECIPIENT_DIGITS = 32
MAX_CONTACT_CHARS = 4096  # one is carried with every message or status that it fits

# Meta documents seconds and has sent milliseconds: no time in seconds reaches 10^11 before the year 5138, and in
# milliseconds it was passed in 1973.
FIRST_MILLISECONDS = 10**11
FIRST_BEYOND_MILLISECONDS = 10**14

_ABSENT = msgspec.Raw()

# Every member is kept as raw bytes. Reading the same bytes once per level is cheap: 1,000 statuses take a few
# milliseconds.


class _Top(msgspec.Struct):
    object: msgspec.Raw = _ABSENT
    entry: msgspec.Raw = _ABSENT


class _Entry(msgspec.Struct):
    id: msgspec.Raw = _ABSENT
    time: msgspec.Raw = _ABSENT
    changes: msgspec.Raw = _ABSENT


class _Change(msgspec.Struct):
    field: msgspec.Raw = _ABSENT
    value: msgspec.Raw = _ABSENT


class Value(msgspec.Struct):
    """What changed, as far as anything is decided by it."""

    metadata: msgspec.Raw = _ABSENT
    contacts: msgspec.Raw = _ABSENT
    statuses: msgspec.Raw = _ABSENT
    messages: msgspec.Raw = _ABSENT
    errors: msgspec.Raw = _ABSENT
    display_phone_number: msgspec.Raw = _ABSENT
    waba_info: msgspec.Raw = _ABSENT
    entity_type: msgspec.Raw = _ABSENT
    entity_id: msgspec.Raw = _ABSENT
    event: msgspec.Raw = _ABSENT


class _Metadata(msgspec.Struct):
    phone_number_id: msgspec.Raw = _ABSENT
    display_phone_number: msgspec.Raw = _ABSENT


class _WabaInfo(msgspec.Struct):
    waba_id: msgspec.Raw = _ABSENT


class _Message(msgspec.Struct, rename={"sender": "from"}):
    id: msgspec.Raw = _ABSENT
    sender: msgspec.Raw = _ABSENT
    from_user_id: msgspec.Raw = _ABSENT


class _Status(msgspec.Struct):
    id: msgspec.Raw = _ABSENT
    status: msgspec.Raw = _ABSENT
    timestamp: msgspec.Raw = _ABSENT
    recipient_id: msgspec.Raw = _ABSENT
    recipient_user_id: msgspec.Raw = _ABSENT
    recipient_participant_id: msgspec.Raw = _ABSENT
    recipient_participant_user_id: msgspec.Raw = _ABSENT
    biz_opaque_callback_data: msgspec.Raw = _ABSENT
    errors: msgspec.Raw = _ABSENT


class _Error(msgspec.Struct):
    code: msgspec.Raw = _ABSENT


class _Contact(msgspec.Struct):
    wa_id: msgspec.Raw = _ABSENT
    user_id: msgspec.Raw = _ABSENT


LIST = msgspec.json.Decoder(list[msgspec.Raw])
TOP = msgspec.json.Decoder(_Top)
ENTRY = msgspec.json.Decoder(_Entry)
CHANGE = msgspec.json.Decoder(_Change)
VALUE = msgspec.json.Decoder(Value)
METADATA = msgspec.json.Decoder(_Metadata)
WABA_INFO = msgspec.json.Decoder(_WabaInfo)
MESSAGE = msgspec.json.Decoder(_Message)
STATUS = msgspec.json.Decoder(_Status)
_ERROR = msgspec.json.Decoder(_Error)
_INTEGER = msgspec.json.Decoder(int)
_MOST_ERRORS = 8  # of one status that are looked at; Meta sends one
_CONTACT = msgspec.json.Decoder(_Contact)
_TEXT_OR_INTEGER = msgspec.json.Decoder(str | int)

_T = TypeVar("_T")


def read_part(raw: msgspec.Raw | bytes, decoder: msgspec.json.Decoder[_T]) -> _T | None:
    """Decode a part; None where it is something else, or is not there."""
    try:
        return decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def mended(raw: bytes) -> bytes:
    """Write JSON again without what nobody can use, or return nothing where it is no JSON.

    U+FFFD stands in place of half surrogate pairs and broken UTF-8, null in place of what is nested too deeply and of
    numbers without a value: a text that was cut in the middle of an emoji must not cost the thousand reports around it.
    """
    try:
        text = json.dumps(read_damaged(raw), ensure_ascii=False)
    except ValueError:
        return b""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def text_of(raw: msgspec.Raw) -> str | None:
    """Read a string, or an integer as its digits (Meta's ids have come as both); None for anything else, and for NUL,
    which a database may refuse."""
    value = read_part(raw, _TEXT_OR_INTEGER)
    return None if value is None or "\0" in str(value) else str(value)


def identifier_of(raw: msgspec.Raw) -> str | None:
    """Read an id or a word of Meta's: printable ASCII, not empty, 512 characters at most."""
    text = text_of(raw)
    return text if text and len(text) <= MAX_ID_CHARS and text.isascii() and text.isprintable() else None


def opaque_of(raw: msgspec.Raw) -> str | None:
    """Read what was sent as `biz_opaque_callback_data`."""
    text = text_of(raw)
    return text if text is not None and len(text) <= MAX_OPAQUE_CHARS else None


def recipient_of(raw: msgspec.Raw) -> str:
    """Read a recipient's number; anything but digits (a group, a user id) is "", for numbers are matched by digits."""
    text = (text_of(raw) or "").removeprefix("+")
    return text if text.isascii() and text.isdigit() and len(text) <= MAX_RECIPIENT_DIGITS else ""


def digits_in(number: str) -> str:
    """Return the digits of a number as Meta displays it: with spaces or without, with a plus or without."""
    return re.sub(r"[^0-9]", "", number[:MAX_ID_CHARS])


def time_ms_of(raw: msgspec.Raw) -> int | None:
    """Read a time, in seconds or milliseconds by its size; None where it is none."""
    text = text_of(raw) or ""
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        return None
    value = int(text)
    if not 0 < value < FIRST_BEYOND_MILLISECONDS:
        return None
    return value if value >= FIRST_MILLISECONDS else value * 1000


def error_codes_of(raw: msgspec.Raw) -> tuple[int, ...]:
    """Return Meta's codes in the errors of a status, as far as they can be read."""
    errors = (read_part(item, _ERROR) for item in (read_part(raw, LIST) or ())[:_MOST_ERRORS])
    codes = (read_part(error.code, _INTEGER) for error in errors if error is not None)
    return tuple(code for code in codes if code is not None)


def verbatim(raw: msgspec.Raw) -> str:
    """Return a part as the text that Meta wrote."""
    return bytes(raw).decode(errors="replace")


class Contacts:
    """The contacts of a change, by the ids that people have: found for each message or status without a search."""

    def __init__(self, raw: msgspec.Raw) -> None:
        self._texts: list[str] = []
        self._places: dict[tuple[str, str], int] = {}
        for item in read_part(raw, LIST) or ():
            contact = read_part(item, _CONTACT)
            if contact is None or len(bytes(item)) > MAX_CONTACT_CHARS:
                continue
            for name, given in (("wa_id", contact.wa_id), ("user_id", contact.user_id)):
                found = text_of(given)
                if found:
                    self._places.setdefault((name, found), len(self._texts))
            self._texts.append(verbatim(item))

    def of(self, numbers: Sequence[msgspec.Raw], user_ids: Sequence[msgspec.Raw], *, alone: bool) -> str:
        """Return the contacts with one of these ids as a JSON array, "" where there is none.

        The only contact belongs to the message or status that stands alone beside it, even where Meta spells the
        number otherwise.
        """
        names = [("wa_id", text_of(raw) or "") for raw in numbers] + [
            ("user_id", text_of(raw) or "") for raw in user_ids
        ]
        places = {self._places[name] for name in names if name in self._places}
        if not places and alone and len(self._texts) == 1:
            places = {0}
        return f"[{','.join(self._texts[place] for place in sorted(places))}]" if places else ""
