"""`waypost messages`: what became of one message, or the newest ones."""

from typing import Annotated
from urllib.parse import quote, urlencode

import msgspec
import typer
from rich.table import Table

from waypost.cli.db import existing_database
from waypost.cli.gateway_link import AdminLink, read_answer, running_gateway
from waypost.cli.run import AsJson, CommandFailed, ConfigFile, plain_failures, read_settings, run
from waypost.cli.terminal import after, ago, moment, printable, short, show
from waypost.clock import Clock
from waypost.meta.errors import classify
from waypost.model import State
from waypost.protocol.errors import MetaRefused, SystemBusy
from waypost.protocol.rules import url_fault
from waypost.service import journal_to_read
from waypost.settings import Settings, is_shared
from waypost.web.admin import summary, timeline
from waypost.web.admin_queries import MESSAGE_CURSOR, QueryInvalid, read_page
from waypost.web.answers import MAX_PAGE

PATH = "/admin/v1/messages"
SHOWN_ANSWER = 600  # characters of Meta's answer; --json shows all

_OUTCOMES = {
    0: "the customer was answered 0: taken",
    MetaRefused.code: f"Meta refused; the customer was answered {MetaRefused.code}",
    SystemBusy.code: f"it never left; the customer was answered {SystemBusy.code}",
}
_MEANINGS: dict[str, str] = {
    State.QUEUED: "it waits its turn; `waypost queue messages` says for what",
    State.UNKNOWN: "Meta may or may not have it; a later status settles that, and it is never sent again blindly",
    State.SENDING: "on its way to Meta right now, or the gateway died meanwhile and will settle it at its next start",
}


class Row(msgspec.Struct):
    """What the admin API tells of a message in a list."""

    id: str
    state: str
    type: str
    to: str
    business_phone: str
    created_at_ms: int
    cus_message_id: str | None = None
    meta_message_id: str | None = None
    account: str = ""
    appkey: str = ""
    category: str = ""
    price: str | None = None
    currency: str | None = None
    answer_code: int | None = None
    outcome_at_ms: int | None = None
    trace_id: str = ""


class Status(msgspec.Struct):
    """One thing that Meta reported."""

    status: str
    timestamp_ms: int
    received_at_ms: int
    errors: object = None


class Story(Row):
    """What the admin API tells of one message."""

    statuses: list[Status] = []
    meta_answer: object = None


class Listed(msgspec.Struct):
    """One page of the list."""

    messages: list[Row]
    next_cursor: str | None = None


def messages(
    message_id: Annotated[
        str | None, typer.Argument(metavar="ID", help="A message id, cus_message_id or Meta's id; left out: a list.")
    ] = None,
    state: Annotated[State | None, typer.Option(help="List only messages that stand like this.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=MAX_PAGE, help="How many to list.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="Continue a list where the page before ended.")] = None,
    url: Annotated[
        str | None, typer.Option(help="A gateway on another machine; its token is read from WAYPOST_ADMIN_TOKEN.")
    ] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show what became of one message, or list messages, newest first.

    Asks the running gateway; while none runs, the database is read as it stands.
    """
    settings = read_settings(config)
    if message_id is not None:
        if state is not None or cursor is not None:
            raise typer.BadParameter("--state and --cursor belong to the list: leave out ID, or leave them out")
        content = _story(settings, _link(settings, url), message_id)
    else:
        content = _list(settings, _link(settings, url), state, limit, cursor)
    if as_json:
        print(content)
    elif message_id is not None:
        _show_story(read_answer(content, Story))
    else:
        _show_list(read_answer(content, Listed))


def _link(settings: Settings, url: str | None) -> AdminLink | None:
    if url is None:
        with plain_failures():
            return running_gateway(settings)
    if fault := url_fault(url):
        raise typer.BadParameter(fault, param_hint="--url")
    if not settings.admin_token:
        raise CommandFailed(
            "with --url the admin token is needed: set WAYPOST_ADMIN_TOKEN as it is set on that gateway"
        )
    return AdminLink(url, settings.admin_token)


def _story(settings: Settings, link: AdminLink | None, message_id: str) -> str:
    if link is not None:
        return link.call("GET", f"{PATH}/{quote(message_id, safe='')}")
    _look_for_database(settings)

    async def read() -> str:
        async with journal_to_read(settings) as store:
            message = await store.find(message_id)
            if message is None:
                raise CommandFailed(f"no message has the id {message_id} (ours, cus_message_id or Meta's)")
            return _json(timeline(message, await store.statuses(message.id), []))

    with plain_failures():
        return run(read())


def _list(settings: Settings, link: AdminLink | None, state: State | None, limit: int, cursor: str | None) -> str:
    if link is not None:
        query = {"limit": limit, "state": state, "cursor": cursor}
        return link.call("GET", f"{PATH}?{urlencode({name: value for name, value in query.items() if value})}")
    _look_for_database(settings)
    try:
        read_page({"cursor": cursor} if cursor else {}, MESSAGE_CURSOR)
    except QueryInvalid as error:
        raise CommandFailed(str(error)) from None

    async def read() -> str:
        async with journal_to_read(settings) as store:
            page = await store.list(state=state, limit=limit, cursor=cursor or None)
            messages = [summary(message) for message in page.messages]
            return _json({"messages": messages, "next_cursor": page.next_cursor})

    with plain_failures():
        return run(read())


def _look_for_database(settings: Settings) -> None:
    if not is_shared(settings):
        existing_database(settings)


def _json(content: dict[str, object]) -> str:
    return msgspec.json.encode(content).decode()


def _show_list(listed: Listed) -> None:
    if not listed.messages:
        print("no messages")
        return
    now_ms = Clock().now_ms()
    table = Table("created", "state", "type", "from", "to", "code", "id", box=None, pad_edge=False)
    for row in listed.messages:
        cells = (
            row.state,
            row.type,
            row.business_phone,
            row.to,
            "" if row.answer_code is None else str(row.answer_code),
        )
        name = row.id if row.cus_message_id is None else f"{row.id} = {row.cus_message_id}"
        table.add_row(ago(row.created_at_ms, now_ms), *map(printable, cells), printable(name))
    show(table)
    if listed.next_cursor:
        print(f"more: --cursor {printable(listed.next_cursor)}")


def _show_story(story: Story) -> None:
    price = f"{story.price} {story.currency or ''}".strip() if story.price is not None else None
    facts = {
        "message": story.id,
        "customer's id": story.cus_message_id,
        "Meta's id": story.meta_message_id,
        "state": story.state,
        "what": f"{story.type} from {story.business_phone} to {story.to}",
        "sent for": f"account {story.account}, application {story.appkey}",
        "category": f"{story.category}{f', {price}' if price else ''}",
        "traceId": story.trace_id,
    }
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in facts.items():
        if value:
            table.add_row(name, printable(value))
    show(table)
    print()
    _show_events(story)
    for line in _closing_words(story):
        print(line)


def _show_events(story: Story) -> None:
    """Print what happened in the order in which the gateway got to know it."""
    start_ms, now_ms = story.created_at_ms, Clock().now_ms()
    events = [(start_ms, "taken in")]
    if story.outcome_at_ms is not None:
        code = story.answer_code
        events.append((story.outcome_at_ms, _OUTCOMES.get(code or 0, f"the customer was answered {code}")))
    for item in sorted(story.statuses, key=lambda status: status.received_at_ms):
        why = "" if item.errors is None else f": {short(msgspec.json.encode(item.errors).decode(), SHOWN_ANSWER)}"
        events.append((item.received_at_ms, f"{printable(item.status)} (Meta's time {moment(item.timestamp_ms)}){why}"))
    table = Table("after", "at (UTC)", "", "what", box=None, pad_edge=False)
    for at_ms, what in events:
        table.add_row(after(at_ms, start_ms), moment(at_ms), ago(at_ms, now_ms), what)
    show(table)


def _closing_words(story: Story) -> list[str]:
    lines = []
    if story.meta_answer is not None:
        answer = (
            story.meta_answer if isinstance(story.meta_answer, str) else msgspec.json.encode(story.meta_answer).decode()
        )
        lines += ["", f"Meta's answer: {short(answer, SHOWN_ANSWER)}"]
    if meaning := _MEANINGS.get(story.state):
        lines.append(f"{story.state}: {meaning}")
    match story.meta_answer:
        case {"error": {"code": int(code), **rest}} if code >= 0:
            subcode = rest.get("error_subcode")
            lines.append(
                f"what to do: {classify(code, 400, False, subcode if isinstance(subcode, int) else None).advice}"
            )
    return lines
