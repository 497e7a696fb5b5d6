"""The tenant file: what it may say, and what is said to the one who slips."""

import contextlib
import os
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import SUPPORTED_REGIONS as COUNTRY_CODES

from tests.harness import ACCESS_SECRET, META_TOKEN, PHONE, TENANTS, WABA
from waypost.gateway.tenant_file import TenantFileInvalid, objects, read
from waypost.model import Account, Application, BusinessPhone, Template, Waba
from waypost.protocol.callbacks import SUBSCRIPTIONS

CONTRACT = """
[[wabas]]
waba_id = "102290129340398"
account = "acme"
access_token = "env:META_TOKEN"
app_secret = "env:META_APP_SECRET"
sync_templates = true

  [[wabas.phones]]
  number = "8615800001795"
  phone_number_id = "106540352242922"
  messages_per_second = 80

  [[wabas.templates]]
  name = "text_template"
  language = "en_US"
  category = "UTILITY"
  status = "APPROVED"

[[accounts]]
name = "acme"
requests_per_second = 200
max_waiting = 50000

  [[accounts.keys]]
  access_key = "fme2na3kdi3ki"
  access_secret = "env:ACME_SECRET"

  [[accounts.applications]]
  appkey = "f543ertg"
  name = "shop"
  webhook = "https://shop.example/wa"
  phones = ["8615800001795"]
  callback_signing = "md5"
  callback_secret = "env:SHOP_HOOK"
  settle_policy = "fail"
  enabled = true
  events = ["messages", "message_status_update"]
  preflight = "refuse"
  ttl = { authentication = 600 }
  currency = "USD"
    [accounts.applications.prices]
    CN = { marketing = 0.05, utility = 0.02, authentication = 0.02, service = 0.0 }
    "*" = { marketing = 0.10, utility = 0.05, authentication = 0.05, service = 0.0 }
"""
ENVIRONMENT = {"META_TOKEN": "t", "META_APP_SECRET": "s", "ACME_SECRET": "a", "SHOP_HOOK": "whsec_x"}


def test_every_member_that_the_documentation_shows_is_understood() -> None:
    found = objects(read(CONTRACT, ENVIRONMENT))

    waba, phone, template, account, application = found
    assert isinstance(waba, Waba)
    assert (waba.access_token, waba.app_secret, waba.account) == ("t", "s", "acme")
    assert isinstance(phone, BusinessPhone)
    assert phone.waba_id == waba.waba_id
    assert isinstance(template, Template)
    assert template.components is None
    assert isinstance(account, Account)
    assert account.keys[0].access_secret == "a"
    assert (account.requests_per_second, account.max_waiting) == (200, 50_000)
    assert isinstance(application, Application)
    assert application.callback_secret == ("whsec_x",)
    assert application.prices is not None
    assert application.prices["CN"].marketing == Decimal("0.05")
    assert application.ttl == {"authentication": 600}


def test_an_account_may_carry_one_key_pair_directly() -> None:
    account = next(item for item in objects(read(TENANTS, {})) if isinstance(item, Account))
    assert account.keys[0].access_key == "fme2na3kdi3ki"
    assert (account.requests_per_second, account.max_waiting) == (None, None), "no limits but the gateway's"


def test_a_variable_that_is_not_set_is_named() -> None:
    with pytest.raises(TenantFileInvalid, match=r"wabas\[0\]\.access_token: the environment variable META_TOKEN"):
        read(CONTRACT, {})


def test_a_variable_that_is_not_utf_8_is_named() -> None:
    with pytest.raises(TenantFileInvalid, match="environment variable SHOP_HOOK is not UTF-8"):
        read(CONTRACT, ENVIRONMENT | {"SHOP_HOOK": os.fsdecode(b"whsec_\xff")})


@pytest.mark.parametrize("name", [*SUBSCRIPTIONS, "mesages", "Status", "inbound", "history", "smb_message_echoes"])
def test_every_event_that_nxcloud_or_meta_documents_may_be_listed(name: str) -> None:
    tables = read(TENANTS, {})
    tables["accounts"][0]["applications"][0]["events"] = [name]
    application = objects(tables)[-1]
    assert isinstance(application, Application)
    assert application.events == (name,)


def test_every_country_with_phone_numbers_may_have_a_price() -> None:
    tables = read(TENANTS, {})
    prices = {country: {"service": 0} for country in (*COUNTRY_CODES, "*")}
    tables["accounts"][0]["applications"][0]["prices"] = prices
    application = objects(tables)[-1]
    assert isinstance(application, Application)
    assert (application.prices or {}).keys() == prices.keys()


def test_components_are_not_nested_without_end() -> None:
    tables = read(TENANTS, {})
    components: Any = []
    for _ in range(64):
        components = [{"x": components}]
    tables["wabas"][0]["templates"] = [{"name": "t", "language": "en", "components": components}]
    with pytest.raises(TenantFileInvalid, match="template t: components must not nest deeper than 64 levels"):
        objects(tables)


OTHER_ACCOUNT = f"""
[[accounts]]
name = "other"
access_key = "o"
access_secret = "o"
  [[accounts.applications]]
  appkey = "theirs"
  phones = ["{PHONE}"]
"""
SLIPS = {
    "not TOML": ("[[wabas", "not a TOML file"),
    "an unknown name": (TENANTS.replace("access_token", "acces_token"), "acces_token"),
    "a number with a placeholder": (TENANTS.replace(PHONE, "86158xxxx1795"), "number"),
    "a wrong type": (TENANTS.replace(f'waba_id = "{WABA}"', "waba_id = 7"), "waba_id"),
    "half a key pair": (TENANTS.replace('access_secret = "abciiiko2k3"\n', ""), "go together"),
    "a key twice": (
        TENANTS + OTHER_ACCOUNT.replace('access_key = "o"', 'access_key = "fme2na3kdi3ki"'),
        "declared twice",
    ),
    "an account twice": (TENANTS + '[[accounts]]\nname = "acme"\n', "account acme is declared twice"),
    "a phone nobody declared": (TENANTS.replace(f'phones = ["{PHONE}"]', 'phones = ["8613900000000"]'), "not declared"),
    "an owner nobody declared": (TENANTS.replace('account = "acme"', 'account = "nobody"'), "account nobody"),
    "another account's phone": (TENANTS + OTHER_ACCOUNT, "belongs to account acme, but account other binds it"),
    "two accounts on one phone": (TENANTS.replace('account = "acme"\n', "") + OTHER_ACCOUNT, "shared = true"),
    "a webhook that is no URL": (TENANTS + '  webhook = "shop.example/wa"\n', "webhook must be an absolute"),
    "a negative price": (TENANTS + "  prices = { CN = { service = -1 } }\n", "decimal from 0 up"),
    "a price that is no number": (TENANTS + "  prices = { CN = { service = nan } }\n", "decimal from 0 up"),
    "a country that is none": (TENANTS + "  prices = { China = { service = 1 } }\n", "prices"),
    "a price beyond reason": (TENANTS + "  prices = { CN = { service = 1e999999 } }\n", "decimal from 0 up"),
    "a token with a line break": (TENANTS.replace(META_TOKEN, META_TOKEN + "\\n"), "access_token"),
    "a secret with a line break": (TENANTS.replace(ACCESS_SECRET, ACCESS_SECRET + "\\n"), "access_secret"),
    "a number with a line break": (TENANTS.replace(f'"{PHONE}"', f'"{PHONE}\\n"'), "number"),
    "a port that is none": (
        TENANTS + '  webhook = "https://shop.example:99999/"\n',
        "webhook must have a host, and a port",
    ),
    "a date": (TENANTS + "  name2 = 2020-01-01\n", "a date has no place"),
    "a user in the webhook": (TENANTS + '  webhook = "https://u:p@shop.example/"\n', "must not hold a user name"),
    "an event with a slip": (
        TENANTS + '  events = ["messges"]\n',
        "'messges' is no event that the gateway knows; is messages",
    ),
    "an event nobody knows": (TENANTS + '  events = ["messages", ""]\n', "'' is no event that the gateway knows"),
    "a country nobody lives in": (TENANTS + "  prices = { UK = { service = 1 } }\n", "UK is no ISO code of a country"),
    "a country with a slip": (TENANTS + "  prices = { ZZ = {} }\n", "ZZ is no ISO code of a country"),
    "a time to live beyond reason": (TENANTS + f"  ttl = {{ service = 1{'0' * 30} }}\n", "ttl"),
    "a number without end": ("a = " + "1" * 5000, "not a TOML file"),
    "lists without end": ("a = " + "[" * 5000, "nested too deeply"),
    "tables without end": ("a." * 5000 + "a = 1", "nested too deeply"),
    "an account that may ask for nothing": (
        TENANTS.replace('name = "acme"', 'name = "acme"\nrequests_per_second = 0'),
        "`int` >= 1 - at `$.accounts[0].requests_per_second`",
    ),
    "requests of half a second": (
        TENANTS.replace('name = "acme"', 'name = "acme"\nrequests_per_second = 0.5'),
        "accounts[0].requests_per_second",
    ),
    "a backlog beyond reason": (
        TENANTS.replace('name = "acme"', 'name = "acme"\nmax_waiting = 1_000_000_000'),
        "accounts[0].max_waiting",
    ),
    "a backlog of nothing": (TENANTS.replace('name = "acme"', 'name = "acme"\nmax_waiting = 0'), "max_waiting"),
    "a policy nobody knows": (TENANTS + '  settle_policy = "guess"\n', "settle_policy"),
}


@pytest.mark.parametrize("slip", sorted(SLIPS))
def test_a_slip_gets_one_line_that_says_where(slip: str) -> None:
    text, expected = SLIPS[slip]
    with pytest.raises(TenantFileInvalid) as caught:
        objects(read(text, {}))
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_shared_waba_may_serve_two_accounts() -> None:
    text = TENANTS.replace('account = "acme"\n', 'shared = true\ninbound_application = "f543ertg"\n') + OTHER_ACCOUNT
    assert len(objects(read(text, {}))) == 6


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(st.dictionaries(st.sampled_from(["wabas", "accounts", "x"]), json_values))
def test_whatever_the_tables_hold_it_is_objects_or_one_complaint(tables: dict[str, Any]) -> None:
    with contextlib.suppress(TenantFileInvalid):
        assert objects(tables) is not None


@given(st.text(max_size=60))
def test_whatever_the_text_it_is_tables_or_one_complaint(text: str) -> None:
    with contextlib.suppress(TenantFileInvalid):
        assert isinstance(read(text, {}), dict)
