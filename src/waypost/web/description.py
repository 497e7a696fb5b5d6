"""`/openapi.json` and `/docs`: the API described for programs and for people, both from the types of the requests."""

from functools import cached_property
from typing import Any

import jinja2
import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from waypost.web import openapi

# the page holds everything it needs; whatever it were tricked into loading is refused by the browser
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


class Description:
    """Describes the API; document and page are made at the first request for them and then kept."""

    def routes(self) -> list[Route]:
        """Return the two routes; neither needs a token, neither tells about tenants."""
        return [
            Route("/openapi.json", self.show_document, methods=["GET"]),
            Route("/docs", self.show_page, methods=["GET"]),
        ]

    async def show_document(self, _: Request) -> Response:
        """Answer the OpenAPI document."""
        return Response(self._document_bytes, media_type="application/json")

    async def show_page(self, _: Request) -> Response:
        """Answer the page: one file, no script, nothing from elsewhere."""
        return HTMLResponse(self._page, headers={"Content-Security-Policy": _POLICY})

    @cached_property
    def document(self) -> dict[str, Any]:
        """The OpenAPI document."""
        return openapi.build()

    @cached_property
    def _document_bytes(self) -> bytes:
        return msgspec.json.encode(self.document)

    @cached_property
    def _page(self) -> str:
        pages = jinja2.Environment(loader=jinja2.PackageLoader("waypost.web"), autoescape=True, trim_blocks=True)
        pages.filters["json"] = lambda value: msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
        pages.globals["kind"] = kind_of
        return pages.get_template("docs.html").render(api=self.document, schemas=self.document["components"]["schemas"])


def kind_of(schema: dict[str, Any]) -> str:
    """Return in a few words what kind of value a schema takes, such as `string` or `list of Card`."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        kinds = (kind_of(option) for option in schema["anyOf"])
        return " or ".join(dict.fromkeys(kind for kind in kinds if kind not in ("null", "any")))
    if "const" in schema or ("enum" in schema and "type" not in schema):
        values = schema.get("enum", [schema.get("const")])
        return " or ".join(msgspec.json.encode(value).decode() for value in values if value is not None)
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {kind_of(schema.get('items', {}))}"
    return " or ".join(name for name in kind if name != "null") if isinstance(kind, list) else str(kind)
