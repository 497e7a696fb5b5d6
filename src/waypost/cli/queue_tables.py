"""The tables of `waypost queue`: what the admin API tells of the queue, for a person to look at."""

import msgspec
from rich.table import Table
from rich.text import Text

from waypost.cli.terminal import printable, short, show, span

_LONGEST_REASON = 120
_LIFTED_BY = {"meta": ", until somebody resumes it"}  # an operator knows that of his own pause


class Held(msgspec.Struct):
    """Why something waits."""

    kind: str
    key: str
    reason: str
    by: str = "gateway"
    has_end: bool = False
    seconds_left: float | None = None

    def words(self) -> str:
        """Return the reason with the time that it still holds, or who has to lift it."""
        left = f", {span(self.seconds_left)} left" if self.has_end and self.seconds_left is not None else ""
        return short(self.reason, _LONGEST_REASON) + (left or _LIFTED_BY.get(self.by, ""))


class Sort(msgspec.Struct):
    """How many messages of one sort wait."""

    appkey: str
    priority: str
    reason: str
    waiting: int
    oldest_seconds: float
    aside: bool = False

    @property
    def waits_for(self) -> str:
        """Return why they wait, and whether they do so beside the others."""
        return short(self.reason, _LONGEST_REASON) + ("; aside" if self.aside else "")


class Phone(msgspec.Struct):
    """What waits for one phone."""

    phone_number_id: str
    waiting: int
    under_way: int
    pace_per_second: float
    aside: int = 0
    number: str | None = None
    oldest_seconds: float | None = None
    configured_per_second: int | None = None
    ends_in_seconds: float | None = None
    held_by: list[Held] = []
    sorts: list[Sort] = []

    @property
    def name(self) -> str:
        """What a person calls it."""
        return self.number or self.phone_number_id

    @property
    def is_worth_a_line(self) -> bool:
        """Whether anything is going on there."""
        is_slow = self.configured_per_second is not None and self.pace_per_second < self.configured_per_second
        return bool(self.waiting or self.under_way or self.held_by or is_slow)


class Picture(msgspec.Struct):
    """The whole queue."""

    waiting: int
    limit: int
    under_way: int
    phones: list[Phone]
    oldest_seconds: float | None = None
    paused: list[Held] = []


class Message(msgspec.Struct):
    """One message that waits."""

    message_id: str
    phone_number_id: str
    appkey: str
    to: str
    priority: str
    waiting_seconds: float
    reason: str
    number: str | None = None
    template: str | None = None
    expires_in_seconds: float | None = None


class Page(msgspec.Struct):
    """One page of the messages that wait."""

    messages: list[Message]
    next_cursor: str | None = None


def show_picture(picture: Picture) -> None:
    """Print the queue: phone by phone, then what waits there by application and reason."""
    phones = [phone for phone in picture.phones if phone.is_worth_a_line]
    if picture.waiting:
        oldest = "" if picture.oldest_seconds is None else f", the oldest for {span(picture.oldest_seconds)}"
        print(f"{picture.waiting} waiting{oldest}; {picture.under_way} under way")
    else:
        print(f"nothing waits; {picture.under_way} under way")
    if picture.waiting >= picture.limit:
        print(f"the queue is full: more than {picture.limit} are answered 9001")
    shown = {(held.kind, held.key) for phone in phones for held in phone.held_by}
    for held in picture.paused:
        if (held.kind, held.key) not in shown:
            print(f"{held.kind} {printable(held.key)}: {held.words()}")
    if phones:
        show(_phones(phones))
    if picture.waiting:
        print()
        show(_sorts(phones))


def _phones(phones: list[Phone]) -> Table:
    table = Table("phone", "waiting", "oldest", "under way", "pace", "empty in", "held by", box=None, pad_edge=False)
    for phone in phones:
        of = "" if phone.configured_per_second is None else f" of {phone.configured_per_second}"
        ends = "nobody knows" if phone.ends_in_seconds is None else _ahead(phone.ends_in_seconds)
        colour = "red" if any(not held.has_end for held in phone.held_by) else "yellow"
        table.add_row(
            printable(phone.name),
            f"{phone.waiting}, {phone.aside} aside" if phone.aside else str(phone.waiting),
            "" if phone.oldest_seconds is None else span(phone.oldest_seconds),
            str(phone.under_way),
            f"{phone.pace_per_second:g}{of}/s",
            ends if phone.waiting > phone.aside else "",
            Text("; ".join(held.words() for held in phone.held_by), style=colour),
        )
    return table


def _sorts(phones: list[Phone]) -> Table:
    table = Table("phone", "application", "priority", "waiting", "oldest", "waits for", box=None, pad_edge=False)
    for phone in phones:
        for sort in phone.sorts:
            cells = (phone.name, sort.appkey, sort.priority, str(sort.waiting), span(sort.oldest_seconds))
            table.add_row(*map(printable, cells), sort.waits_for)
    return table


def show_page(page: Page) -> None:
    """Print messages that wait, one a line."""
    if not page.messages:
        print("nothing waits")
        return
    table = Table(
        "waiting", "waits for", "too late in", "phone", "to", "application", "priority", "template", "id",
        box=None, pad_edge=False,
    )  # fmt: skip
    for message in page.messages:
        late = "" if message.expires_in_seconds is None else _ahead(message.expires_in_seconds)
        phone = message.number or message.phone_number_id
        rest = (phone, message.to, message.appkey, message.priority, message.template or "", message.message_id)
        reason = Text(short(message.reason, _LONGEST_REASON), style="yellow")
        table.add_row(span(message.waiting_seconds), reason, late, *map(printable, rest))
    show(table)
    if page.next_cursor:
        print(f"more: --cursor {printable(page.next_cursor)}")


def _ahead(seconds: float) -> str:
    return span(max(1.0, seconds))
