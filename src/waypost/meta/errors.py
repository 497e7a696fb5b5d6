"""Meta's error codes: what each one means, whom it concerns, whether it may be tried again, and what to do next."""

from typing import Literal

import msgspec

from waypost.meta.error_table import ROWS
from waypost.model import Noun

Scope = Literal["message", "pair", "number", "template", "waba", "app", "recipient", "management"]
RetryClass = Literal["PERM", "CONF", "TPL", "RATE", "TRANS", "LATER", "USER", "MGMT"]

# Meta answers these when something broke on its side: the message may have been taken all the same (decision D6).
UNCERTAIN_CODES = frozenset({1, 2, 131000})
# Meta's service refused before it took the message, and says that it will not last.
RETRYABLE_TRANSIENT_CODES = frozenset({131016})

UNKNOWN_OBJECT_SUBCODE = 33  # of code 100: the phone number id does not exist or the token may not see it


class MetaError(Noun, frozen=True, kw_only=True):
    """One code of Meta's, as an operator and the gateway need to understand it.

    `retry_class` says what the gateway does with the message: PERM refuse it; CONF refuse it, the account or number
    needs a person; TPL refuse it, the template needs a person; RATE throttled, not taken, try again; TRANS a fault at
    Meta; LATER refuse it, not before hours have passed; USER refuse it, the recipient can't be reached like this; MGMT
    met only when managing templates, numbers or groups. `scope` is the smallest thing that the condition holds for.
    `uncertain` means that the message may have been taken (decision D6), `retryable` that it certainly was not and
    that the same message may be sent again without anybody's doing; never both.
    """

    code: int
    family: str
    title: str
    retryable: bool
    uncertain: bool
    scope: Scope
    retry_class: RetryClass
    advice: str


class MetaErrorRange(Noun, frozen=True, kw_only=True):
    """Neighbouring codes that mean the same to us; `error.code` is the first of them."""

    first: int
    last: int
    error: MetaError


def classify(code: int, http_status: int, is_transient: bool, subcode: int | None = None) -> MetaError:
    """Say what one of Meta's codes means, also where Meta has documented no such code.

    In this order: the code itself; a range that holds it; the family that unlisted codes of its range belong to,
    unless Meta calls the failure transient; and by HTTP status, the only place where that counts: 429 is throttling,
    5xx or `is_transient` a fault at Meta, anything else a refusal for good. An unlisted fault at Meta is not retried,
    because nobody knows that such a message was not taken.
    """
    if code == 100 and subcode == UNKNOWN_OBJECT_SUBCODE:
        return UNKNOWN_OBJECT
    if (known := TABLE.get(code)) is not None:
        return known
    ranges = RANGES if is_transient else (*RANGES, *FAMILIES)
    for row in ranges:
        if row.first <= code <= row.last:
            return msgspec.structs.replace(row.error, code=code)
    if http_status == 429:
        return _error(code, "unlisted", "RATE", "number", "throttled", "Wait some seconds, then send it again.")
    if is_transient or http_status >= 500:
        return _error(code, "unlisted", "TRANS", "message", "a fault at Meta", "Read the details before sending again.")
    return _error(code, "unlisted", "PERM", "message", "refused by Meta", "Read the details and correct the message.")


def render_table() -> str:
    """Return the whole table as Markdown, one table per family, for the operator's documentation."""
    lines: list[str] = []
    family = ""
    for row in _read_rows():
        if row.error.family != family:
            family = row.error.family
            lines += ["", f"## {family.capitalize()}", "", "| Code | Class | Holds for | Meaning | What to do |"]
            lines += ["| --- | --- | --- | --- | --- |"]
        error, codes = row.error, str(row.first) if row.first == row.last else f"{row.first}–{row.last}"
        outcome = " (outcome unknown)" if error.uncertain else " (tried again)" if error.retryable else ""
        lines.append(f"| {codes} | {error.retry_class}{outcome} | {error.scope} | {error.title} | {error.advice} |")
    return "\n".join(lines[1:]) + "\n"


def _error(code: int, family: str, retry_class: str, scope: str, title: str, advice: str) -> MetaError:
    fields = {
        "code": code,
        "family": family,
        "title": title,
        "retryable": retry_class == "RATE" or code in RETRYABLE_TRANSIENT_CODES,
        "uncertain": code in UNCERTAIN_CODES,
        "scope": scope,
        "retry_class": retry_class,
        "advice": advice,
    }
    return msgspec.convert(fields, MetaError)


def _read_rows() -> tuple[MetaErrorRange, ...]:
    rows: list[MetaErrorRange] = []
    family, lines = "", iter(ROWS.strip().splitlines())
    for line in lines:
        if line.startswith("["):
            family = line.strip("[]")
            continue
        codes, retry_class, scope, title = line.split(" | ")
        first, _, last = codes.partition("-")
        error = _error(int(first), family, retry_class, scope, title, next(lines).strip())
        rows.append(MetaErrorRange(first=int(first), last=int(last or first), error=error))
    return tuple(rows)


TABLE: dict[int, MetaError] = {row.first: row.error for row in _read_rows() if row.first == row.last}
RANGES: tuple[MetaErrorRange, ...] = tuple(row for row in _read_rows() if row.first != row.last)

UNKNOWN_OBJECT = _error(
    100,
    "authorization",
    "CONF",
    "number",
    "the phone number id does not exist, or the token may not use it",
    "Check the phone number id and that the token belongs to its WABA.",
)


def _family(first: int, last: int, family: str, retry_class: str, scope: str, title: str) -> MetaErrorRange:
    error = _error(first, family, retry_class, scope, title, "Read the details that came with the code.")
    return MetaErrorRange(first=first, last=last, error=error)


# What an unlisted code is taken for: Meta adds codes within these thousands every year.
FAMILIES: tuple[MetaErrorRange, ...] = (
    _family(132000, 132999, "template", "TPL", "template", "a problem with the template"),
    _family(133000, 133999, "registration", "CONF", "number", "a problem with the registration of the number"),
    _family(2388000, 2388999, "template management", "MGMT", "management", "a change to a template or number failed"),
    _family(2494000, 2494999, "migration", "MGMT", "management", "a change to a number failed"),
    _family(2593000, 2593999, "migration", "MGMT", "management", "a synchronisation failed"),
)
