"""The body of `POST /api/wa/mt`: one envelope, and the object that `type` names.

The types form a closed union that msgspec tells apart by `type` while it decodes, once, straight from the raw bytes.
What the seed requires is required; spellings that its own examples or customers use are accepted and brought to one
form. Members that nobody knows, and members that belong to another type, are dropped. `interactive`, `reaction` and
`contacts` are carried as given (decision D14).
"""

import hashlib
from typing import Any, ClassVar, Literal

import msgspec

from waypost.protocol import rules
from waypost.protocol.decoding import decode_body
from waypost.protocol.media import Audio, Document, Image, Sticker, Video
from waypost.protocol.rules import wrong
from waypost.protocol.templates import Parameter, Template, parameter_from, wire_parameter

CLOUD_API = 0
MARKETING_API = 1  # the seed calls it MM Lite

_API_TYPES = {None: CLOUD_API, 0: CLOUD_API, "0": CLOUD_API, 1: MARKETING_API, "1": MARKETING_API}
_BOOLEANS = {"true": True, "false": False}


class Context(msgspec.Struct):
    """Which earlier message this one replies to."""

    message_id: str

    def __post_init__(self) -> None:
        """Refuse an id that could not be looked up."""
        rules.text(self.message_id, ".message_id")


class Text(msgspec.Struct, omit_defaults=True):
    """The content of a text message; `preview_url` is a bool or None once decoded."""

    body: str
    preview_url: bool | str | None = None

    def __post_init__(self) -> None:
        """Bring `preview_url` to a boolean."""
        if isinstance(self.preview_url, str):
            if self.preview_url not in _BOOLEANS:
                raise wrong("expected true or false", ".preview_url")
            self.preview_url = _BOOLEANS[self.preview_url]


class Location(msgspec.Struct, omit_defaults=True):
    """The content of a location message; the coordinates are numbers, in degrees, once decoded."""

    longitude: float | str
    latitude: float | str
    name: str | None = None
    address: str | None = None

    def __post_init__(self) -> None:
        """Bring the coordinates to numbers."""
        self.longitude = rules.coordinate(self.longitude, 180, ".longitude")
        self.latitude = rules.coordinate(self.latitude, 90, ".latitude")


Content = (
    Text | Image | Video | Audio | Document | Location | Sticker | Template | dict[str, Any] | list[dict[str, Any]]
)


class Envelope(msgspec.Struct, kw_only=True, tag_field="type"):
    """What every message carries beside its content.

    Once decoded `business_phone` and `to` are digits, `api_type` is 0 or 1, and an optional text that was empty is
    None. `type` is the message type under Meta's name.
    """

    type: ClassVar[str]

    appkey: str
    business_phone: str
    messaging_product: Literal["whatsapp"]
    recipient_type: Literal["individual"]
    to: str
    cus_message_id: str | None = None
    dr_webhook: str | None = None
    biz_opaque_callback_data: str | None = None
    api_type: int | str | None = None
    context: Context | None = None

    def __post_init__(self) -> None:
        """Bring the members to one form, or refuse them."""
        rules.text(self.appkey, ".appkey")
        self.business_phone = rules.phone_digits(self.business_phone, ".business_phone")
        self.to = rules.phone_digits(self.to, ".to")
        self.cus_message_id = rules.customer_message_id(self.cus_message_id)
        self.dr_webhook = rules.webhook_url(self.dr_webhook)
        self.biz_opaque_callback_data = rules.optional_text(self.biz_opaque_callback_data, ".biz_opaque_callback_data")
        api_type = _API_TYPES.get(self.api_type)
        if api_type is None:
            raise wrong("expected 0 or 1", ".api_type")
        if api_type == MARKETING_API and self.type != "template":
            raise wrong("1 (MM Lite API) takes template messages only", ".api_type")
        self.api_type = api_type

    @property
    def content(self) -> Content:
        """Return the object that `type` names."""
        content: Content = getattr(self, self.type)
        return content


class TextMessage(Envelope, tag="text"):
    """`type` is `text`."""

    type = "text"
    text: Text


class ImageMessage(Envelope, tag="image"):
    """`type` is `image`."""

    type = "image"
    image: Image


class VideoMessage(Envelope, tag="video"):
    """`type` is `video`."""

    type = "video"
    video: Video


class AudioMessage(Envelope, tag="audio"):
    """`type` is `audio`."""

    type = "audio"
    audio: Audio


class DocumentMessage(Envelope, tag="document"):
    """`type` is `document`."""

    type = "document"
    document: Document


class LocationMessage(Envelope, tag="location"):
    """`type` is `location`."""

    type = "location"
    location: Location


class StickerMessage(Envelope, tag="sticker"):
    """`type` is `sticker`."""

    type = "sticker"
    sticker: Sticker


class TemplateMessage(Envelope, tag="template"):
    """`type` is `template`."""

    type = "template"
    template: Template


class InteractiveMessage(Envelope, tag="interactive"):
    """`type` is `interactive`: buttons, lists, flows and what else Meta has; carried as given."""

    type = "interactive"
    interactive: dict[str, Any]

    def __post_init__(self) -> None:
        """Check no more than that it can be an interactive message at all."""
        super().__post_init__()
        rules.carried(self.interactive, ".interactive")
        rules.member_text(self.interactive, "type", ".interactive")
        if "body" not in self.interactive and "action" not in self.interactive:
            raise wrong("body or action is required", ".interactive")


class ContactsMessage(Envelope, tag="contacts"):
    """`type` is `contacts`: a list of contact cards, carried as given."""

    type = "contacts"
    contacts: list[dict[str, Any]]

    def __post_init__(self) -> None:
        """Check no more than that there is a card."""
        super().__post_init__()
        rules.carried(self.contacts, ".contacts")
        if not self.contacts:
            raise wrong("must not be empty", ".contacts")


class ReactionMessage(Envelope, tag="reaction"):
    """`type` is `reaction`, or `reacticon` as NxCloud's pages spell it; carried as given."""

    type = "reaction"
    reaction: dict[str, Any] | None = None
    reacticon: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        """Take either spelling of the member, and check that it names a message."""
        super().__post_init__()
        self.reaction = self.reaction if self.reaction is not None else self.reacticon
        if self.reaction is None:
            raise wrong("is required", ".reaction")
        rules.carried(self.reaction, ".reaction")
        rules.member_text(self.reaction, "message_id", ".reaction")


class ReacticonMessage(ReactionMessage, tag="reacticon"):
    """A reaction whose `type` carries the spelling of NxCloud's pages."""


MtRequest = (
    TextMessage
    | ImageMessage
    | VideoMessage
    | AudioMessage
    | DocumentMessage
    | LocationMessage
    | StickerMessage
    | TemplateMessage
    | InteractiveMessage
    | ContactsMessage
    | ReactionMessage
    | ReacticonMessage
)


def _custom(wanted: object, given: object) -> Parameter:
    assert wanted is Parameter  # the only type within a message that msgspec does not know
    return parameter_from(given)


_decoder: msgspec.json.Decoder[MtRequest] = msgspec.json.Decoder(MtRequest, dec_hook=_custom)
_sorted_encoder = msgspec.json.Encoder(enc_hook=wire_parameter, order="sorted")


def decode(raw: bytes) -> MtRequest:
    """Return the typed message of a raw request body; raise ParameterInvalid with path and details, nothing else."""
    return decode_body(_decoder, raw)


def fingerprint(message: MtRequest) -> str:
    """Return a digest by which two messages are the same message, as 64 hex digits (decision D5).

    It is taken after normalising, so order of keys and spelling of numbers do not matter, and leaves out what may
    differ between two attempts at one message: `dr_webhook` and the `cus_message_id` itself.
    """
    same = (
        message.type,
        message.appkey,
        message.business_phone,
        message.to,
        message.api_type,
        message.context,
        message.biz_opaque_callback_data,
        message.content,
    )
    return hashlib.sha256(_sorted_encoder.encode(same)).hexdigest()
