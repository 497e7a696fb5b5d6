"""Tenants: applied from a file, used from the next request on, sealed on disk."""

from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from tests.harness import (
    ADMIN_TOKEN,
    APPKEY,
    META_TOKEN,
    PHONE,
    PHONE_ID,
    SECRETS,
    TENANTS,
    WABA,
    Control,
    Customer,
    Gateway,
    ShiftableClock,
    running_gateway,
    settings_for,
    text_message,
)
from tests.journal_rows_of import everything_in, rows_of
from waypost.data_dir import DataDirBusy
from waypost.gateway.tenant_file import read
from waypost.gateway.vault import SealBroken
from waypost.service import Service


async def apply(gateway: Gateway, text: str) -> list[dict[str, Any]]:
    answer = await gateway.admin("POST", "apply", read(text, {}))
    changes: list[dict[str, Any]] = answer["changes"]
    return changes


async def test_applying_the_same_file_again_changes_nothing(gateway: Gateway) -> None:
    assert await apply(gateway, TENANTS) == []


async def test_what_changed_is_told_and_holds_from_the_next_request_on(customer: Customer, gateway: Gateway) -> None:
    changes = await apply(gateway, TENANTS.replace('name = "shop"', 'name = "shop"\n  enabled = false'))
    assert changes == [{"action": "changed", "kind": "application", "key": "f543ertg"}]
    assert (await customer.send(text_message()))["code"] == 9003
    await apply(gateway, TENANTS)
    assert (await customer.send(text_message()))["code"] == 0


async def test_what_a_file_leaves_out_is_disabled_and_comes_back_when_it_is_back(
    customer: Customer, gateway: Gateway
) -> None:
    without = TENANTS.partition("[[accounts]]")[0].replace('account = "acme"\n', "")
    changes = await apply(gateway, without)
    assert {(item["action"], item["kind"]) for item in changes} == {
        ("changed", "waba"),
        ("disabled", "account"),
        ("disabled", "application"),
    }
    assert (await customer.send(text_message()))["code"] == 1005
    await apply(gateway, TENANTS)
    assert (await customer.send(text_message()))["code"] == 0


async def test_a_bad_file_changes_nothing(customer: Customer, gateway: Gateway) -> None:
    tables = read(TENANTS, {})
    tables["accounts"][0]["applications"][0]["phones"] = ["8613999999999"]
    answer = await gateway.admin("POST", "apply", tables, status=400)
    assert "8613999999999" in answer["error"]
    assert (await customer.send(text_message()))["code"] == 0


@pytest.mark.parametrize("body", ["[]", "7", '"x"', "{"])
async def test_a_body_that_is_no_tenant_file_is_refused(body: str, gateway: Gateway) -> None:
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{gateway.url}/admin/v1/apply", data=body, headers=headers) as answer,
    ):
        assert answer.status == 400
        assert "tenant file" in (await answer.json())["error"]


async def test_two_key_pairs_of_an_account_both_work_during_a_rotation(customer: Customer, gateway: Gateway) -> None:
    extra = '  [[accounts.keys]]\n  access_key = "newkey"\n  access_secret = "newsecret"\n\n  [[accounts.applications]]'
    await apply(gateway, TENANTS.replace("  [[accounts.applications]]", extra))
    body = b'{"x":1}'
    new = await customer.post(body, customer.signed(body, accessKey="newkey", secret="newsecret"))
    old = await customer.post(body)
    assert new["code"] == old["code"] == 9000  # both are past the signature


async def test_a_new_token_is_used_for_the_next_message(
    customer: Customer, gateway: Gateway, simulator: Control
) -> None:
    waba = {"waba_id": WABA, "access_token": "rotated", "phones": [{"id": PHONE_ID, "display_phone_number": PHONE}]}
    await simulator.config(check_tokens=True, wabas=[waba])
    with_the_old_one = await customer.send(text_message(cus_message_id="old"))
    kept = await gateway.message("old")
    await apply(gateway, TENANTS.replace(META_TOKEN, "rotated"))
    answer = await customer.send(text_message(cus_message_id="new"))

    assert (with_the_old_one["code"], kept["state"], kept["attempt"]) == (0, "queued", 1)
    assert answer["code"] == 0
    await gateway.until("new", "read")
    await gateway.until("old", "read")
    assert await simulator.count() == 2


async def test_secrets_are_sealed_on_disk(customer: Customer, gateway: Gateway, tmp_path: Path) -> None:
    await customer.send(text_message())
    await gateway.service.stop()
    content = everything_in(tmp_path / "data")
    assert APPKEY.encode() in content
    for secret in SECRETS:
        assert secret.encode() not in content


async def test_tenants_survive_a_restart_and_another_secret_key_is_told(
    tmp_path: Path, simulator: Control, clock: ShiftableClock
) -> None:
    first = settings_for(tmp_path / "data", simulator.url, secret_key="k" * 32)
    async with running_gateway(first, clock, TENANTS):
        pass
    async with running_gateway(first, clock, TENANTS) as gateway:
        assert await apply(gateway, TENANTS) == []
    service = Service(settings_for(tmp_path / "data", simulator.url, secret_key="l" * 32), clock)
    with pytest.raises(SealBroken, match="WAYPOST_SECRET_KEY"):
        await service.start("127.0.0.1", 0)
    async with running_gateway(first, clock, TENANTS):
        pass  # the failed start has let go of folder and journal


async def test_the_price_is_written_down_with_the_message(customer: Customer, gateway: Gateway) -> None:
    await apply(
        gateway, TENANTS + '  currency = "EUR"\n  prices = { CN = { service = 0.10, marketing = 0.2, utility = 1 } }\n'
    )
    answer = await customer.send(text_message(business_phone=PHONE))
    message = await gateway.message(answer["data"]["messages"][0]["id"])
    assert (message["price"], message["currency"], message["category"]) == ("0.10", "EUR", "service")


async def test_a_shared_waba_serves_its_owner_and_the_others(customer: Customer, gateway: Gateway) -> None:
    shared = TENANTS.replace(
        'account = "acme"\n', 'account = "acme"\nshared = true\ninbound_application = "f543ertg"\n'
    )
    other = f"""
[[accounts]]
name = "other"
access_key = "otherkey"
access_secret = "othersecret"
  [[accounts.applications]]
  appkey = "theirs"
  phones = ["{PHONE}"]
"""
    await apply(gateway, shared + other)
    body = msgspec.json.encode(text_message(appkey="theirs"))
    theirs = await customer.post(body, customer.signed(body, accessKey="otherkey", secret="othersecret"))
    assert theirs["code"] == 0
    assert (await customer.send(text_message()))["code"] == 0


@pytest.mark.embedded("one process owns the data folder, and must be able to write there")
async def test_a_database_elsewhere_is_owned_too(tmp_path: Path, simulator: Control, clock: ShiftableClock) -> None:
    database = f"sqlite:///{tmp_path / 'elsewhere' / 'w.db'}"
    first = settings_for(tmp_path / "one", simulator.url, database_url=database)
    async with running_gateway(first, clock, TENANTS):
        second = Service(settings_for(tmp_path / "two", simulator.url, database_url=database), clock)
        with pytest.raises(DataDirBusy, match="elsewhere"):
            await second.start("127.0.0.1", 0)


async def test_a_one_time_password_is_forgotten_once_nothing_can_come_of_it(
    customer: Customer, gateway: Gateway, tmp_path: Path
) -> None:
    otp = 'name = "otp"\n  language = "en_US"\n  category = "AUTHENTICATION"\n'
    await apply(gateway, TENANTS.replace("[[accounts]]", f"  [[wabas.templates]]\n  {otp}\n[[accounts]]", 1))
    language = {"code": "en_US", "policy": "deterministic"}
    components = [{"type": "body", "parameters": [{"type": "text", "text": "914263"}]}]
    template = {"name": "otp", "language": language, "components": components}
    answer = await customer.send(text_message(type="template", template=template))
    shown = await gateway.until(answer["data"]["messages"][0]["id"], "read")
    (row,) = rows_of(tmp_path / "data", "SELECT body FROM message WHERE id = $1", shown["id"])
    assert shown["category"] == "authentication"
    assert row == (None,)
