"""Media: upload, metadata, download with the token, deletion; who may use which id."""

import base64
import hashlib
from email.message import Message as MimeHeaders
from urllib.parse import parse_qs

import msgspec

from waypost.simulator.calls import Answer, GraphCall, json_answer
from waypost.simulator.clock import Clock, Dice
from waypost.simulator.config import Phone
from waypost.simulator.errors import GraphError, unknown_object
from waypost.simulator.fields import Fields
from waypost.simulator.world import World

DOWNLOAD_PATH = "/whatsapp_business/attachments/"
MEDIA_LIFE_MS = 30 * 24 * 3_600_000
LINK_LIFE_MS = 5 * 60_000
MOST_BYTES = 256 << 20  # of all uploads together; the oldest go first
MEDIA_TYPES = frozenset({"image", "video", "audio", "document", "sticker"})
# Meta's table of media types and sizes after processing
LARGEST: dict[str, int] = (
    dict.fromkeys(("audio/aac", "audio/amr", "audio/mpeg", "audio/mp4", "audio/ogg"), 16 << 20)
    | dict.fromkeys(("image/jpeg", "image/png"), 5 << 20)
    | dict.fromkeys(("video/mp4", "video/3gpp"), 16 << 20)
    | {"image/webp": 500 << 10}
    | dict.fromkeys(
        (
            "text/plain",
            "application/pdf",
            "application/msword",
            "application/vnd.ms-excel",
            "application/vnd.ms-powerpoint",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        ),
        100 << 20,
    )
)


class Media(msgspec.Struct, frozen=True):
    """One uploaded file."""

    id: str
    phone_number_id: str
    mime_type: str
    content: bytes
    uploaded_ms: int


class MediaStore:
    """Uploaded files in memory, each owned by the business phone that uploaded it."""

    def __init__(self, world: World, clock: Clock, dice: Dice) -> None:
        self._world, self._clock, self._dice = world, clock, dice
        self._media: dict[str, Media] = {}
        self._bytes = 0

    def clear(self) -> None:
        """Forgets all uploads."""
        self._media.clear()
        self._bytes = 0

    def find(self, media_id: str) -> Media | None:
        """The upload of that id, unless its 30 days are over."""
        media = self._media.get(media_id)
        if media is not None and self._clock.now_ms() > media.uploaded_ms + MEDIA_LIFE_MS:
            return None
        return media

    def upload(self, call: GraphCall) -> Answer:
        """POST /{phone number id}/media with the parts `file`, `type` and `messaging_product`."""
        parts = multipart_parts(call.headers.get(b"content-type", b"").decode("latin-1"), call.raw)
        if parts.get("messaging_product", ("", b""))[1] != b"whatsapp":
            raise GraphError(100, "The parameter messaging_product is required.")
        if "file" not in parts:
            raise GraphError(100, "The parameter file is required.")
        declared, content = parts["file"]
        mime_type = (parts["type"][1].decode("latin-1") if "type" in parts else declared).split(";")[0].strip().lower()
        if mime_type not in LARGEST:
            raise GraphError(100, f"Param file must be a file with one of the supported types; received {mime_type}.")
        if not content or len(content) > LARGEST[mime_type]:
            raise GraphError(100, f"Param file has {len(content)} bytes; 1 to {LARGEST[mime_type]} are allowed.")
        media = Media(self._dice.object_id(), call.object_id, mime_type, content, self._clock.now_ms())
        self._media[media.id] = media
        self._bytes += len(content)
        while self._bytes > MOST_BYTES:
            self._forget(next(iter(self._media)))
        return json_answer({"id": media.id})

    def metadata(self, media: Media, call: GraphCall) -> Answer:
        """GET /{media id}: where the bytes can be had for the next five minutes."""
        self._check_owner(media, call)
        host = call.headers.get(b"host", b"localhost").decode("latin-1")
        expires = (self._clock.now_ms() + LINK_LIFE_MS) // 1000
        digest = hashlib.sha256(media.content)
        link = f"http://{host}{DOWNLOAD_PATH}?mid={media.id}&ext={expires}&hash={_link_hash(digest.digest(), expires)}"
        return json_answer(
            {"messaging_product": "whatsapp", "url": link, "mime_type": media.mime_type, "id": media.id}
            | {"sha256": digest.hexdigest(), "file_size": len(media.content)}
        )

    def delete(self, media: Media, call: GraphCall) -> Answer:
        """DELETE /{media id}."""
        self._check_owner(media, call)
        self._forget(media.id)
        return json_answer({"success": True})

    def download(self, query_string: str, token: str | None) -> Answer:
        """GET of a link from `metadata`: 401 without a token, 404 once the link has expired."""
        query = {name: values[0] for name, values in parse_qs(query_string).items()}
        if token is None:
            return Answer(401, b"", b"text/plain")
        media = self.find(query.get("mid", ""))
        expires = int(query["ext"]) if query.get("ext", "").isdecimal() else 0
        if media is None or expires * 1000 < self._clock.now_ms():
            return Answer(404, b"", b"text/plain")
        if query.get("hash") != _link_hash(hashlib.sha256(media.content).digest(), expires):
            return Answer(404, b"", b"text/plain")
        return Answer(200, media.content, media.mime_type.encode())

    def check_use(self, body: Fields, kind: str, phone: Phone) -> None:
        """Refuses a send whose media id is unknown or another phone's, where only declared objects exist."""
        part = body.values.get(kind)
        if kind not in MEDIA_TYPES or not isinstance(part, dict) or "id" not in part:
            return
        media = self.find(str(part["id"]))
        if media is None and not self._world.config.checks("objects"):
            return
        if media is None or media.phone_number_id != phone.id:
            raise GraphError(131009, f"Param {kind}['id'] is not a media id of this phone number.")

    def _check_owner(self, media: Media, call: GraphCall) -> None:
        owner = call.parameter("phone_number_id")
        if owner is not None and owner != media.phone_number_id:
            raise unknown_object(call.method, media.id)

    def _forget(self, media_id: str) -> None:
        self._bytes -= len(self._media.pop(media_id).content)


def _link_hash(digest: bytes, expires: int) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(digest + str(expires).encode()).digest()[:15]).decode()


def multipart_parts(content_type: str, body: bytes) -> dict[str, tuple[str, bytes]]:
    """The parts of a multipart form: name → (content type, bytes); raises `GraphError` 100 for any other body."""
    headers = MimeHeaders()
    headers["content-type"] = content_type
    boundary = headers.get_param("boundary")
    if headers.get_content_type() != "multipart/form-data" or not isinstance(boundary, str):
        raise GraphError(100, "The request body must be multipart/form-data.")
    parts: dict[str, tuple[str, bytes]] = {}
    for chunk in (b"\r\n" + body).split(b"\r\n--" + boundary.encode("latin-1"))[1:]:
        head, separator, content = chunk.partition(b"\r\n\r\n")
        if not separator:
            continue  # what follows the last boundary
        part = MimeHeaders()
        for line in head.decode("utf-8", "replace").splitlines():
            name, colon, value = line.partition(":")
            if colon:
                part[name.strip()] = value.strip()
        field = part.get_param("name", header="content-disposition")
        if isinstance(field, str):
            parts[field] = (part.get_content_type(), content)
    return parts
