"""Every code of the seed's table that concerns /api/wa/mt is reachable, with its text, in the order of decision D12."""

import json
from typing import Any

import aiohttp
import msgspec
import pytest

from tests.harness import ACCESS_KEY, META_TOKEN, PHONE, TENANTS, Control, Customer, Gateway, text_message
from tests.seed import CODES
from waypost.gateway.tenant_file import read

OTHERS_PHONE = "8615800005555"
UNBOUND_PHONE = "8615800006666"
MORE = f"""
[[wabas]]
waba_id = "202290129340398"
account = "rival"
access_token = "{META_TOKEN}"
  [[wabas.phones]]
  number = "{OTHERS_PHONE}"
  phone_number_id = "206540352242922"

[[accounts]]
name = "rival"
access_key = "rivalkey"
access_secret = "rivalsecret"
  [[accounts.applications]]
  appkey = "rivalapp"
  phones = ["{OTHERS_PHONE}"]
"""
WABA_EXTRAS = f"""
  [[wabas.phones]]
  number = "{UNBOUND_PHONE}"
  phone_number_id = "106540352240000"

  [[wabas.templates]]
  name = "paused"
  language = "en_US"
  category = "UTILITY"
  status = "PAUSED"

  [[wabas.templates]]
  name = "two_variables"
  language = "en_US"
  category = "UTILITY"
  components = [{{ type = "BODY", text = "Hello {{{{1}}}}, your order {{{{2}}}} is on its way, thank you" }}]

[[accounts]]
name = "acme"
"""
BILLING = """
  phones = ["8615800001795"]
  [accounts.applications.prices]
  CN = { marketing = 0.05, utility = 0.02, authentication = 0.02, service = 0 }
"""


@pytest.fixture
def tenants() -> str:
    """Two accounts; the phone of one is bound, one is not; billing covers China alone."""
    own = TENANTS.replace('[[accounts]]\nname = "acme"\n', WABA_EXTRAS)
    own = own.replace('  phones = ["8615800001795"]\n', BILLING)
    return own + '\n  [[accounts.applications]]\n  appkey = "disabled"\n  enabled = false\n' + MORE


def template(name: str, *parameters: str) -> dict[str, Any]:
    components = [{"type": "body", "parameters": [{"type": "text", "text": text} for text in parameters]}]
    language = {"code": "en_US", "policy": "deterministic"}
    return text_message(type="template", template={"name": name, "language": language, "components": components})


async def test_codes_0_and_those_of_the_application_phone_template_and_price(customer: Customer) -> None:
    cases: list[tuple[int, dict[str, Any]]] = [
        (0, text_message()),
        (9003, text_message(appkey="nobody")),
        (9003, text_message(appkey="disabled")),
        (9003, text_message(appkey="rivalapp")),
        (9002, text_message(business_phone="4915112345678")),
        (9002, text_message(business_phone=OTHERS_PHONE)),
        (10003, text_message(business_phone=UNBOUND_PHONE)),
        (10005, template("paused", "a")),
        (9004, text_message(to="4915112345678")),
        (0, template("two_variables", "a", "b")),
        (0, template("not_in_the_catalogue", "a", "b", "c")),
    ]
    for code, message in cases:
        answer = await customer.send(message)
        assert (answer["code"], answer["message"]) == (code, CODES[str(code)]), (message, answer)
        if code:
            assert answer["data"] is None


async def test_preflight_refuses_with_a_pointed_path(customer: Customer, simulator: Control) -> None:
    answer = await customer.send(template("two_variables", "only one"))

    assert answer["code"] == 9000
    assert answer["data"]["error"]["path"].startswith("$.template.components[0]")
    assert await simulator.count() == 0


async def test_preflight_only_warns_where_the_application_says_so(customer: Customer, gateway: Gateway) -> None:
    tables = read(TENANTS, {})
    tables["wabas"][0]["templates"] = [
        {"name": "one", "language": "en_US", "components": [{"type": "BODY", "text": "Hello {{1}}, welcome to us"}]}
    ]
    tables["accounts"][0]["applications"][0]["preflight"] = "warn"
    await gateway.admin("POST", "apply", tables)
    answer = await customer.send(template("one", "a", "b"))

    assert answer["code"] == 0
    assert gateway.log.lines("template_preflight")


async def test_code_9000_names_path_and_details(customer: Customer) -> None:
    answer = await customer.send(text_message(type="image", image={"caption": "c"}))

    assert (answer["code"], answer["message"]) == (9000, CODES["9000"])
    assert answer["data"] == {"error": {"path": "$.image", "details": "either link or id is required"}}


AUTHENTICATION = {
    1001: ("missing common parameters", {"sign": ""}),
    1002: ("parameter error", {"action": "read"}),
    1003: ("invalid signature", {"secret": "wrong"}),
    1004: ("timestamp has expired", {"ts": "1655710885431"}),
    1005: ("insufficient permissions", {"accessKey": "nobody"}),
}


@pytest.mark.parametrize("code", AUTHENTICATION)
async def test_authentication_failures(code: int, customer: Customer) -> None:
    text, changes = AUTHENTICATION[code]
    body = msgspec.json.encode(text_message())
    headers = customer.signed(body, **changes)
    if code == 1001:
        headers["sign"] = ""
    answer = await customer.post(body, headers)

    assert answer["code"] == code
    assert answer["message"] == f"Authentication failed ({text})"
    assert answer["data"] is None
    assert len(answer["traceId"]) == 32


@pytest.mark.parametrize("header", ["accessKey", "ts", "bizType", "action", "sign"])
async def test_each_of_the_five_headers_is_required(header: str, customer: Customer) -> None:
    body = msgspec.json.encode(text_message())
    headers = customer.signed(body)
    del headers[header]
    assert (await customer.post(body, headers))["code"] == 1001


@pytest.mark.parametrize(
    "ts", ["0", "1655710885", "now", "-1655710885431", "99999999999999", "１６５５７１０８８５４３１", " "]
)
async def test_a_time_that_is_not_in_milliseconds_and_fresh_is_1004(ts: str, customer: Customer) -> None:
    body = msgspec.json.encode(text_message())
    assert (await customer.post(body, customer.signed(body, ts=ts)))["code"] in {1004} | (
        {1001} if ts == " " else set()
    )


@pytest.mark.parametrize(("offset_ms", "code"), [(-55_000, 0), (55_000, 0), (-61_000, 1004), (65_000, 1004)])
async def test_the_window_is_60_seconds_either_way(offset_ms: int, code: int, customer: Customer, clock: Any) -> None:
    body = msgspec.json.encode(text_message())
    headers = customer.signed(body, ts=str(clock.now_ms() + offset_ms))
    assert (await customer.post(body, headers))["code"] == code


async def test_the_order_of_checks(customer: Customer) -> None:
    """A request with everything wrong, mended step by step, meets the checks in the order of decision D12."""
    huge = b" " * (1_048_576 + 1)
    bad = msgspec.json.encode(text_message(appkey="nobody", business_phone="1234567"))

    def wrong(body: bytes, **changes: str) -> dict[str, str]:
        return customer.signed(body, **changes)

    steps: list[tuple[int, bytes, dict[str, str]]] = [
        (1001, huge, {"bizType": "3", "action": "x", "ts": "1", "accessKey": "nobody"}),
        (1002, huge, wrong(huge, bizType="3", ts="1", accessKey="nobody")),
        (1002, huge, wrong(huge, action="x", ts="1", accessKey="nobody")),
        (1004, huge, wrong(huge, ts="1", accessKey="nobody")),
        (1005, huge, wrong(huge, accessKey="nobody", secret="wrong")),
        (9000, huge, wrong(huge, secret="wrong")),
        (1003, b"no json", wrong(b"no json", secret="wrong")),
        (9000, b"no json", wrong(b"no json")),
        (9003, bad, wrong(bad)),
    ]
    for code, body, headers in steps:
        assert (await customer.post(body, headers))["code"] == code


async def test_the_log_line_of_a_wrong_signature_carries_prefix_length_and_digest_only(
    customer: Customer, gateway: Gateway
) -> None:
    body = msgspec.json.encode(text_message(text={"body": "private words"}))
    headers = customer.signed(body, secret="wrong")
    right = customer.signed(body)["sign"]
    await customer.post(body, headers)

    (line,) = gateway.log.lines("request")
    assert line["code"] == 1003
    assert line["canonical_prefix"] == f"accessKey={ACCESS_KEY}&action=mt&bizType=2&ts={headers['ts']}"
    assert line["body_bytes"] == len(body)
    assert len(line["body_sha256"]) == 64
    for secret in ("private words", headers["sign"], right):
        assert secret not in gateway.log.text


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "mt"), ("PUT", "mt"), ("DELETE", "mt"), ("POST", "nothing"), ("POST", "mt/")]
)
async def test_an_unknown_path_or_a_wrong_method_is_minus_1(method: str, path: str, customer: Customer) -> None:
    async with customer.http.request(method, f"{customer.url}/api/wa/{path}", data=b"{}") as answer:
        assert answer.status == 200
        content = json.loads(await answer.read())
    assert (content["code"], content["message"], content["data"]) == (-1, CODES["-1"], None)


async def test_the_number_of_another_account_can_be_used_by_its_owner(customer: Customer) -> None:
    body = msgspec.json.encode(text_message(appkey="rivalapp", business_phone=OTHERS_PHONE, to="8613900000001"))
    headers = customer.signed(body, accessKey="rivalkey", secret="rivalsecret")
    assert (await customer.post(body, headers))["code"] == 0


async def test_a_number_is_accepted_with_plus_and_spaces(customer: Customer, simulator: Control) -> None:
    message = text_message(business_phone=f"+{PHONE[:2]} {PHONE[2:]}", to="+86 (139) 0000-0002")
    assert (await customer.send(message))["code"] == 0
    (at_meta,) = await simulator.messages()
    assert at_meta["payload"]["to"] == "+8613900000002"


async def test_a_hostile_content_type_changes_nothing(customer: Customer) -> None:
    body = msgspec.json.encode(text_message())
    headers = {**customer.signed(body), "Content-Type": "multipart/form-data; boundary=x"}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{customer.url}/api/wa/mt", data=body, headers=headers) as answer,
    ):
        assert json.loads(await answer.read())["code"] == 0
