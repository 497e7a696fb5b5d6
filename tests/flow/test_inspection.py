"""What an operator can see: messages, health, metrics, the API's description."""

import aiohttp
import pytest

from tests.harness import ADMIN_TOKEN, Control, Customer, Gateway, text_message


async def get(gateway: Gateway, path: str, token: str | None = None) -> tuple[int, str]:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession() as http, http.get(gateway.url + path, headers=headers) as answer:
        return answer.status, await answer.text()


@pytest.mark.parametrize("token", [None, "", "wrong", ADMIN_TOKEN + "x"])
async def test_the_admin_api_is_behind_its_token(token: str | None, gateway: Gateway) -> None:
    for path in ("/admin/v1/messages", "/admin/v1/messages/x"):
        status, text = await get(gateway, path, token)
        assert status == 401
        assert "Bearer" in text


async def test_messages_are_listed_newest_first_page_by_page(customer: Customer, gateway: Gateway) -> None:
    for index in range(5):
        await customer.send(text_message(cus_message_id=f"n{index}"))
    seen = []
    cursor = ""
    while True:
        page = await gateway.admin("GET", f"messages?limit=2{cursor}")
        seen += [item["cus_message_id"] for item in page["messages"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == ["n4", "n3", "n2", "n1", "n0"]


async def test_messages_can_be_listed_by_state(customer: Customer, gateway: Gateway, simulator: Control) -> None:
    await simulator.fault("error", code=131026, times=1)
    await customer.send(text_message(cus_message_id="refused"))
    await customer.send(text_message(cus_message_id="fine"))
    await gateway.until("fine", "read")
    for state, expected in (("rejected", ["refused"]), ("read", ["fine"]), ("unknown", [])):
        page = await gateway.admin("GET", f"messages?state={state}")
        assert [item["cus_message_id"] for item in page["messages"]] == expected


@pytest.mark.parametrize(
    "query",
    ["state=lost", "limit=0", "limit=501", "limit=x", "limit=-1", "limit=0000000019999", "limit=0001" + "0" * 30],
)
async def test_a_bad_query_says_what_is_expected(query: str, gateway: Gateway) -> None:
    answer = await gateway.admin("GET", f"messages?{query}", status=400)
    assert query.split("=")[0] in answer["error"]


async def test_an_unknown_message_is_404(gateway: Gateway) -> None:
    assert "no message" in (await gateway.admin("GET", "messages/wamid.nobody", status=404))["error"]


async def test_a_message_shows_everything_the_contract_names(customer: Customer, gateway: Gateway) -> None:
    message = text_message(cus_message_id="id/with slash?".replace(" ", "_"), dr_webhook="https://x.example/dr")
    await customer.send(message)
    shown = await gateway.until("id%2Fwith_slash%3F", "read")
    assert shown["to"] == message["to"]
    assert shown["business_phone"] == message["business_phone"]
    assert shown["type"] == "text"
    assert {item["url"] for item in shown["callbacks"]} == {message["dr_webhook"]}
    assert shown["dr_webhook"] == "https://x.example/dr"
    assert shown["meta_answer"]["messages"][0]["id"] == shown["meta_message_id"]
    assert shown["created_at_ms"] <= shown["outcome_at_ms"] <= shown["statuses"][0]["received_at_ms"]


async def test_health_readiness_and_metrics(customer: Customer, gateway: Gateway) -> None:
    await customer.send(text_message())
    await customer.send(text_message(type="nothing"))
    assert await get(gateway, "/healthz") == (200, "ok\n")
    assert await get(gateway, "/readyz") == (200, "ready\n")
    status, text = await get(gateway, "/metrics")
    assert status == 200
    assert 'waypost_answers_total{code="0",path="/api/wa/mt"} 1.0' in text
    assert 'waypost_answers_total{code="9000",path="/api/wa/mt"} 1.0' in text
    assert 'waypost_answer_seconds_count{path="/api/wa/mt"} 2.0' in text
    assert 'waypost_meta_outcomes_total{outcome="accepted"} 1.0' in text
    assert "waypost_in_flight 0.0" in text


async def test_the_description_and_its_page_are_served(gateway: Gateway) -> None:
    status, text = await get(gateway, "/openapi.json")
    assert status == 200
    assert "/api/wa/mt" in text
    status, text = await get(gateway, "/docs")
    assert status == 200
    assert "http://" not in text.replace("http://127.0.0.1", "") or "src=" not in text
