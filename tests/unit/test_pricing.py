"""The recipient's country and the category decide the price."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.gateway.pricing import country_of, price_of
from waypost.model import Application, CategoryPrices
from waypost.protocol.errors import PriceMissing

COUNTRIES = {
    "8613900000002": "CN",
    "85261234567": "HK",
    "886912345678": "TW",
    "4915112345678": "DE",
    "16505551234": "US",
    "14165551234": "CA",
    "18765551234": "JM",
    "77011234567": "KZ",
    "79161234567": "RU",
    "447400123456": "GB",
    "5511961234567": "BR",
    "883510000000091": None,  # international networks belong to no country
    "99912345678": None,  # no calling code
    "8600": "CN",  # no number at all, but the calling code is China's alone
}


@pytest.mark.parametrize(("number", "country"), COUNTRIES.items())
def test_the_country_of_a_number(number: str, country: str | None) -> None:
    assert country_of(number) == country


@given(st.from_regex(r"[0-9]{6,15}", fullmatch=True))
def test_any_digits_have_a_country_or_none(number: str) -> None:
    country = country_of(number)
    assert country is None or len(country) == 2


def application(**prices: CategoryPrices) -> Application:
    return Application(
        appkey="a", account="acme", prices={name.replace("ANY", "*"): item for name, item in prices.items()}
    )


def test_no_prices_mean_no_billing() -> None:
    assert price_of(Application(appkey="a", account="acme"), "8613900000002", "service") is None


def test_the_country_comes_before_the_star_and_a_gap_falls_through_to_it() -> None:
    billed = application(
        CN=CategoryPrices(marketing=Decimal("0.05")),
        ANY=CategoryPrices(marketing=Decimal("0.1"), utility=Decimal("0.02")),
    )
    assert price_of(billed, "8613900000002", "marketing") == Decimal("0.05")
    assert price_of(billed, "8613900000002", "utility") == Decimal("0.02")
    assert price_of(billed, "4915112345678", "marketing") == Decimal("0.1")
    with pytest.raises(PriceMissing):
        price_of(billed, "4915112345678", "service")


def test_a_price_of_zero_is_a_price() -> None:
    assert price_of(application(CN=CategoryPrices(service=Decimal(0))), "8613900000002", "service") == 0
