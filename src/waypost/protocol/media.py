"""Media objects: an uploaded id or a link, and what may stand beside it; in messages and in template headers."""

import msgspec

from waypost.protocol.rules import link, wrong


class Media(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What all media share: `id` of an uploaded file, or `link` where Meta may fetch it.

    One of the two is required. Where both are given `id` wins and `link` is dropped, for Meta takes only one.
    """

    id: str | None = None
    link: str | None = None

    def __post_init__(self) -> None:
        """Keep one source of the file, or refuse."""
        if self.id:
            self.link = None
        elif self.link:
            self.id, self.link = None, link(self.link)
        else:
            raise wrong("either link or id is required")


class Image(Media):
    """A picture with an optional caption."""

    caption: str | None = None


class Video(Media):
    """A film with an optional caption."""

    caption: str | None = None


class Audio(Media):
    """A sound; `voice` makes it a voice note (Meta's member, not the seed's)."""

    voice: bool | None = None


class Document(Media):
    """A file with an optional name and caption (the caption is Meta's member, not the seed's)."""

    caption: str | None = None
    filename: str | None = None


class Sticker(Media):
    """A sticker."""
