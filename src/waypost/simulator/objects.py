"""The reading side of the Graph API: accounts, numbers, templates, app subscriptions."""

import base64

import msgspec

from waypost.simulator.calls import Answer, GraphCall, json_answer
from waypost.simulator.config import Phone, Template, Waba
from waypost.simulator.errors import GraphError
from waypost.simulator.fields import Json
from waypost.simulator.world import World

APP: Json = {"id": "900000000000001", "name": "Simulated app", "link": "https://www.example.com/"}
DEFAULT_PAGE, LARGEST_PAGE = 25, 1000
HIGH_THROUGHPUT = 1000
TEMPLATE_SUMMARY: Json = {"message_template_limit": 250, "are_translations_complete": True}
WABA_FIELDS = frozenset(
    {"name", "currency", "timezone_id", "account_review_status", "marketing_messages_onboarding_status"}
    | {"phone_numbers", "message_templates", "message_template_namespace", "owner_business_info"}
)
FILTERS = ("name", "status", "language", "category")


class Objects:
    """Answers calls on objects and their edges."""

    def __init__(self, world: World) -> None:
        self._world = world

    def phone(self, phone: Phone, call: GraphCall) -> Answer:
        """GET /{phone number id}."""
        return json_answer(_picked(_phone_fields(phone), call))

    def waba(self, waba: Waba, call: GraphCall) -> Answer:
        """GET /{WABA id}."""
        status = waba.marketing_messages_onboarding_status
        fields: Json = {"id": waba.waba_id, "name": waba.name, "currency": "USD", "timezone_id": "1"}
        fields |= {"account_review_status": "APPROVED", "marketing_messages_onboarding_status": status}
        return json_answer(_picked(fields, call))

    def phone_numbers(self, waba: Waba, call: GraphCall) -> Answer:
        """GET /{WABA id}/phone_numbers."""
        phones = [_picked(_phone_fields(phone), call) for phone in self._world.phones_of(waba)]
        return json_answer(_page(phones, call))

    def templates(self, waba: Waba, call: GraphCall) -> Answer:
        """GET /{WABA id}/message_templates, filtered by name, status, language, category."""
        found = [
            _picked(_template_fields(template), call)
            for template in self._world.templates_of(waba)
            if all(call.parameter(name) in (None, getattr(template, name)) for name in FILTERS)
        ]
        page = _page(found, call)
        if call.parameter("summary") is not None:
            page["summary"] = {"total_count": len(found), "message_template_count": len(found)} | TEMPLATE_SUMMARY
        return json_answer(page)

    def subscribed_apps(self, waba: Waba, call: GraphCall) -> Answer:
        """GET, POST, DELETE /{WABA id}/subscribed_apps: without a subscription no webhooks come for that WABA."""
        if call.method == "GET":
            return json_answer(
                {"data": [{"whatsapp_business_api_data": APP}] if self._world.is_subscribed(waba) else []}
            )
        self._world.subscribe(waba, call.method == "POST")
        return json_answer({"success": True})


def asks_for_waba(call: GraphCall) -> bool:
    """Whether the fields asked for are some that only a WABA has: in open mode this tells what an unknown id is."""
    fields = set((call.parameter("fields") or "").split(","))
    return bool(fields & WABA_FIELDS)


def _phone_fields(phone: Phone) -> Json:
    return {
        "id": phone.id,
        "display_phone_number": phone.display_phone_number,
        "verified_name": phone.verified_name,
        "quality_rating": "GREEN",
        "status": "CONNECTED",
        "name_status": "APPROVED",
        "code_verification_status": "VERIFIED",
        "platform_type": "CLOUD_API",
        "account_mode": "LIVE",
        "throughput": {"level": "HIGH" if phone.messages_per_second >= HIGH_THROUGHPUT else "STANDARD"},
    }


def _template_fields(template: Template) -> Json:
    fields: Json = msgspec.to_builtins(template)
    if template.components is None:
        del fields["components"]
    return fields


def _picked(fields: Json, call: GraphCall) -> Json:
    wanted = call.parameter("fields")
    if wanted is None:
        return fields
    names = {"id", *(name.strip() for name in wanted.split(","))}
    return {name: value for name, value in fields.items() if name in names}


def _page(everything: list[Json], call: GraphCall) -> Json:
    start, size = _cursor(call.parameter("after")), _page_size(call.parameter("limit"))
    data = everything[start : start + size]
    answer: Json = {"data": data}
    if data:
        cursors = {"before": _cursor_text(start), "after": _cursor_text(start + len(data))}
        paging: Json = {"cursors": cursors}
        if start + len(data) < len(everything):
            host = call.headers.get(b"host", b"localhost").decode("latin-1")
            paging["next"] = f"http://{host}{call.path}?limit={size}&after={cursors['after']}"
        answer["paging"] = paging
    return answer


def _page_size(limit: str | None) -> int:
    if limit is None:
        return DEFAULT_PAGE
    if not limit.isdecimal() or not 1 <= int(limit[:9]) <= LARGEST_PAGE:
        raise GraphError(100, f"Param limit must be a number from 1 to {LARGEST_PAGE}.")
    return int(limit)


def _cursor(after: str | None) -> int:
    if not after:
        return 0
    try:
        return max(0, int(base64.urlsafe_b64decode(after.encode())[:9]))
    except ValueError:
        raise GraphError(131059, "The cursor after is not one that was given out.") from None


def _cursor_text(position: int) -> str:
    return base64.urlsafe_b64encode(str(position).encode()).decode()
