"""How the admin API answers."""

import re

import msgspec
from starlette.responses import Response

MAX_PAGE = 500
_USER = re.compile(r"^([a-z]+://)[^/?#]*@", re.IGNORECASE)


def reply(content: object, status: int = 200) -> Response:
    """Return a JSON answer."""
    return Response(msgspec.json.encode(content), status, media_type="application/json")


def masked(url: str) -> str:
    """Return a URL as it may be shown: without the user name and password that some of an older journal hold."""
    return _USER.sub(r"\1***@", url)
