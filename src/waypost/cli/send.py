"""`waypost send`: a customer's command; signs one message and posts it to a gateway."""

import shlex
from typing import Annotated, Any

import msgspec
import typer
from typer import Option
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from waypost.cli.message_content import TYPES, Given, content_of
from waypost.cli.run import AsJson, CommandFailed
from waypost.cli.terminal import printable
from waypost.meta.errors import classify
from waypost.protocol import replies
from waypost.protocol.errors import FAILURES, MetaRefused, ParameterInvalid
from waypost.protocol.signing import WINDOW_MS
from waypost.sdk import BadAnswer, Client, PreparedRequest, Refused, Unreachable
from waypost.sdk.core import Envelope

Text = str | None


def send(
    message_type: Annotated[str, typer.Argument(metavar="TYPE", help=f"One of {', '.join(TYPES)}.")],
    to: Annotated[str, Option(help="The recipient's number, with country code.")],
    access_key: Annotated[str, Option(envvar="CUSTOMER_ACCESS_KEY", help="The account's accessKey.")],
    access_secret: Annotated[
        str, Option(envvar="CUSTOMER_ACCESS_SECRET", help="Its secret; the variable keeps it out of the history.")
    ],
    appkey: Annotated[str, Option(envvar="CUSTOMER_APPKEY", help="The application to send for.")],
    phone: Annotated[str, Option(envvar="CUSTOMER_PHONE", help="The business phone to send from.")],
    url: Annotated[str, Option(help="The gateway.")] = "http://127.0.0.1:8080",
    content: Annotated[Text, Option(help="The whole content as JSON, or @FILE; for every type.")] = None,
    body: Annotated[Text, Option(help="text: what it says.")] = None,
    preview_url: Annotated[bool | None, Option(help="text: show a preview of the first link.")] = None,
    link: Annotated[Text, Option(help="Media: where Meta may fetch the file.")] = None,
    media_id: Annotated[Text, Option("--id", help="Media: the id of an uploaded file.")] = None,
    caption: Annotated[Text, Option(help="image, video, document: a caption.")] = None,
    filename: Annotated[Text, Option(help="document: the name shown.")] = None,
    latitude: Annotated[float | None, Option(help="location: in degrees.")] = None,
    longitude: Annotated[float | None, Option(help="location: in degrees.")] = None,
    name: Annotated[Text, Option(help="location: its name.")] = None,
    address: Annotated[Text, Option(help="location: its address.")] = None,
    template: Annotated[Text, Option(help="template: its name.")] = None,
    language: Annotated[Text, Option(help="template: its language; en_US if left out.")] = None,
    param: Annotated[
        list[str] | None, Option(help="template: text for the next variable of the body; repeat it.")
    ] = None,
    components: Annotated[Text, Option(help="template: a JSON list of components, or @FILE.")] = None,
    cus_message_id: Annotated[Text, Option(help="Your own id of the message; makes repeats safe.")] = None,
    dr_webhook: Annotated[Text, Option(help="Where status callbacks of this message go.")] = None,
    opaque: Annotated[Text, Option(help="biz_opaque_callback_data: comes back in every status.")] = None,
    api_type: Annotated[int | None, Option(min=0, max=1, help="1: Meta's Marketing Messages API.")] = None,
    reply_to: Annotated[Text, Option(help="Id of the message that this one answers.")] = None,
    sha256: Annotated[bool, Option("--sha256", help="Sign with SHA-256 instead of MD5.")] = False,
    dry_run: Annotated[
        bool, Option("--dry-run", help="Send nothing; show what is signed, and a curl command.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Sign one message, post it to a gateway and print the answer; exits 0 only if the gateway took the message."""
    given = Given(
        content=content, body=body, preview_url=preview_url, link=link, id=media_id, caption=caption, filename=filename,
        latitude=latitude, longitude=longitude, name=name, address=address,
        template=template, language=language, param=param, components=components,
    )  # fmt: skip
    message = content_of(message_type, given)
    envelope = _envelope(cus_message_id, dr_webhook, opaque, api_type, reply_to)
    try:
        client = Client(url, access_key, access_secret, appkey, phone, algorithm="sha256" if sha256 else "md5")
        prepared = client.prepare(message_type, message, to, **envelope)
    except (ValueError, TypeError) as error:
        raise typer.BadParameter(str(error)) from None
    if dry_run:
        _show_request(prepared, as_json=as_json)
        return
    with client:
        _post(client, prepared, as_json=as_json)


def _envelope(
    cus_message_id: str | None, dr_webhook: str | None, opaque: str | None, api_type: int | None, reply_to: str | None
) -> Envelope:
    envelope: Envelope = {}
    if cus_message_id is not None:
        envelope["cus_message_id"] = cus_message_id
    if dr_webhook is not None:
        envelope["dr_webhook"] = dr_webhook
    if opaque is not None:
        envelope["biz_opaque_callback_data"] = opaque
    if api_type is not None:
        envelope["api_type"] = api_type
    if reply_to is not None:
        envelope["context"] = {"message_id": reply_to}
    return envelope


def _show_request(prepared: PreparedRequest, *, as_json: bool) -> None:
    curl = _curl(prepared)
    if as_json:
        shown = {"canonical": prepared.canonical, "curl": curl, **prepared._asdict(), "body": prepared.body.decode()}
        print(msgspec.json.encode(shown).decode())
        return
    print(f"# signed (the secret is masked):\n{printable(prepared.canonical)}\n")
    print(f"# good for {WINDOW_MS // 1000} s from now on:\n{curl}")


def _curl(prepared: PreparedRequest) -> str:
    """Return a command that posts exactly these bytes."""
    words = ["curl", "-sS", "-X", "POST", prepared.url]
    for name, value in prepared.headers.items():
        words += ["-H", f"{name}: {value}"]
    return shlex.join([*words, "--data-binary", prepared.body.decode()])


def _post(client: Client, prepared: PreparedRequest, *, as_json: bool) -> None:
    try:
        sent = client.resend(prepared)
    except Refused as refused:
        if as_json:
            data = None if refused.error is None else {"error": refused.error}
            _print_answer(refused.code, refused.message, data, refused.trace_id)
        trace = f" (traceId {refused.trace_id})" if refused.trace_id else ""
        raise CommandFailed(printable(f"{refused}; {_advice(refused)}{trace}")) from None
    except Unreachable as error:
        raise CommandFailed(f"{printable(str(error))}; {_after_silence(error)}") from None
    except BadAnswer as error:
        raise CommandFailed(printable(f"{error}; --url must be a gateway's, without a path of its own")) from None
    if as_json:
        _print_answer(
            0,
            replies.SUCCESS_TEXT,
            {"messaging_product": "whatsapp", "messages": [{"id": sent.message_id}]},
            sent.trace_id,
        )
    else:
        print(f"taken as {printable(sent.message_id)}")


def _print_answer(code: int, message: str, data: object, trace_id: str | None) -> None:
    print(msgspec.json.encode({"code": code, "message": message, "data": data, "traceId": trace_id}).decode())


def _after_silence(error: Unreachable) -> str:
    if isinstance(error.__cause__, NewConnectionError | ConnectTimeoutError):
        return "nothing was sent: look at --url, and whether the gateway runs"
    return (
        "the gateway may have taken the message: `waypost messages` tells, and repeating the command with the same "
        "--cus-message-id never sends twice"
    )


def _advice(refused: Refused) -> str:
    """Return what to do about a code: for Meta's refusals what Meta's own code asks for."""
    if refused.code == ParameterInvalid.code and refused.error:
        return "correct that"
    error: dict[str, Any] = refused.error or {}
    if refused.code == MetaRefused.code and type(error.get("code")) is int and error["code"] >= 0:
        subcode = error.get("error_subcode")
        return classify(error["code"], 400, False, subcode if type(subcode) is int else None).advice
    known = next((failure for failure in FAILURES if failure.code == refused.code), None)
    return known.advice if known else "ask whoever runs the gateway"
