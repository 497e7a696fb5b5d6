"""Meta's rules for what several message types contain: a media reference, a place."""

from waypost.simulator.errors import GraphError
from waypost.simulator.fields import Fields

LONGEST_FREE_TEXT = 65536  # where Meta publishes no limit


def check_media(media: Fields) -> None:
    """Exactly one of an uploaded media id and a public link."""
    if media.has("id") == media.has("link"):
        if media.has("id"):
            raise GraphError(100, f"Param {media.path} must have either id or link, not both.")
        raise GraphError(131008, f"The parameter {media.path} requires either id or link.")
    if media.has("id"):
        media.text("id", 64)  # Meta's are decimal; any id is taken as existing unless objects are checked
    elif not media.text("link", LONGEST_FREE_TEXT).lower().startswith(("http://", "https://")):
        raise media.wrong("link", "is not a valid URL.")


def check_coordinates(location: Fields) -> None:
    """Latitude and longitude, as numbers or numeric strings."""
    location.number("latitude", -90, 90)
    location.number("longitude", -180, 180)
