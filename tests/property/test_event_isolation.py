"""Whatever Meta reports about a WABA that two accounts use: neither is told what concerns the other's number."""

import asyncio
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.golden.stand import APP_SECRET, standing
from waypost.gateway.event_routing import BUSINESS_FIELDS
from waypost.model import Callback
from waypost.protocol.callbacks import SUBSCRIPTIONS

WABA = "2000"
NUMBERS = {"acme": ("8615800000001", "8615800000002"), "globex": ("8615800000003",)}
IDS = {number: str(number[::-1]) for numbers in NUMBERS.values() for number in numbers}
NOBODYS = "8615800000009"
OTHER_FIELDS = ("messages", "smb_message_echoes", "history", "calls", "user_preferences", "flows", "of_next_year")
TENANTS: dict[str, Any] = {
    "wabas": [
        {
            "waba_id": WABA,
            "access_token": "t",
            "app_secret": APP_SECRET,
            "phones": [{"number": number, "phone_number_id": IDS[number]} for number in IDS],
        }
    ],
    "accounts": [
        {
            "name": account,
            "access_key": account,
            "access_secret": "s",
            "applications": [
                {"appkey": f"{account}-{name}", "phones": list(numbers), "webhook": f"https://{account}.example/{name}"}
                | ({"events": list(SUBSCRIPTIONS)} if name == "lists" else {})
                for name in ("all", "lists")
            ],
        }
        for account, numbers in NUMBERS.items()
    ],
}

NUMBER = st.sampled_from((*IDS, NOBODYS))
SPELT = NUMBER | NUMBER.map(lambda number: f"+{number[:2]} {number[2:5]}-{number[5:]}") | st.just("")
METADATA: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "phone_number_id": NUMBER.map(lambda number: IDS.get(number, "5")) | st.none() | st.just({}),
        "display_phone_number": SPELT,
    },
)
VALUE: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "metadata": METADATA | st.none(),
        "display_phone_number": SPELT,
        "entity_type": st.sampled_from(["PHONE_NUMBER", "WABA"]),
        "entity_id": NUMBER.map(lambda number: IDS.get(number, "5")),
        "waba_info": st.just({"waba_id": WABA}),
        "errors": st.just([{"code": 1}]),
        "calls": st.just([{"id": "c", "event": "terminate"}]),
    },
)
CHANGE = st.tuples(st.sampled_from((*OTHER_FIELDS, *sorted(BUSINESS_FIELDS))), VALUE, st.sampled_from([WABA, "999"]))


def entry(number: int, field: str, value: dict[str, Any], waba_id: str) -> dict[str, Any]:
    """Make an entry that can be told by its number, whatever comes of it."""
    mark = {"mark": number}
    marked = value | mark | {name: [value[name][0] | mark] for name in ("calls", "errors") if name in value}
    if field == "messages":
        marked["messages"] = [{"id": f"wamid.{number}", "from": "1", "type": "text"} | mark]
    return {"id": waba_id, "changes": [{"field": field, "value": marked}]}


def mark_of(callback: Callback) -> tuple[int, str]:
    """Return the number of the entry that a callback tells of, and the business phone that it names."""
    body = json.loads(callback.body)
    if "value" in body:
        value = body["value"]
        return (value["errors"][0] if "errors" in value else value)["mark"], value["business_phone"]
    (told,) = body.get("messages") or body["calls"]
    return told["mark"], body["business_phone"]


async def callbacks_of(changes: list[tuple[str, dict[str, Any], str]]) -> list[Callback]:
    async with standing(TENANTS) as stand:
        entries = [entry(number, *change) for number, change in enumerate(changes)]
        await stand.post(json.dumps({"object": "whatsapp_business_account", "entry": entries}).encode())
        return list(await stand.callbacks())


@given(changes=st.lists(CHANGE, min_size=1, max_size=12))
def test_an_account_is_told_only_what_concerns_its_numbers_or_the_waba(
    changes: list[tuple[str, dict[str, Any], str]],
) -> None:
    for callback in asyncio.run(callbacks_of(changes)):
        number, phone = mark_of(callback)
        field, value, _ = changes[number]
        assert phone in NUMBERS[callback.account]
        metadata = value.get("metadata") or {}
        named = [found for found, phone_id in IDS.items() if phone_id == metadata.get("phone_number_id")]
        if isinstance(metadata.get("phone_number_id"), str):
            assert named == [phone], "told for a phone that Meta does not name"
        elif field not in BUSINESS_FIELDS:
            # only the number as it is displayed is left to tell whose it is
            shown = value.get("display_phone_number") or metadata.get("display_phone_number") or ""
            digits = "".join(character for character in shown if character.isdigit())
            alert = value.get("entity_type") == "PHONE_NUMBER" and value.get("entity_id") == IDS[phone]
            assert alert or digits == phone, "told to somebody at random"
