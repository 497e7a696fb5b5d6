"""How the admin API answers."""

import msgspec
from starlette.responses import Response

MAX_PAGE = 500


def reply(content: object, status: int = 200) -> Response:
    """Return a JSON answer."""
    return Response(msgspec.json.encode(content), status, media_type="application/json")
