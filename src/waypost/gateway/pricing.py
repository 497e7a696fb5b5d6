"""What a message costs: the recipient's country and the category decide."""

from decimal import Decimal
from functools import lru_cache

import phonenumbers

from waypost.model import Application, CategoryPrices
from waypost.protocol.errors import PriceMissing

EVERYWHERE = "*"
_NO_COUNTRY = "001"  # the library's region of numbers that no country owns, such as +883


@lru_cache(maxsize=65_536)
def country_of(recipient: str) -> str | None:
    """Return the ISO code of the country that a number with country code belongs to, or None if it has none."""
    try:
        region = phonenumbers.region_code_for_number(phonenumbers.parse("+" + recipient))
    except phonenumbers.NumberParseException:
        return None
    if region is None:  # a number that no numbering plan holds still has a calling code, and perhaps one country
        regions = _regions_of(recipient)
        region = regions[0] if len(regions) == 1 else None
    return None if region in (None, _NO_COUNTRY) else region


def _regions_of(recipient: str) -> tuple[str, ...]:
    for length in (1, 2, 3):  # calling codes are prefix-free, so at most one length fits
        regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(int(recipient[:length]))
        if regions:
            return tuple(regions)
    return ()


def price_of(application: Application, recipient: str, category: str) -> Decimal | None:
    """Return the price of one message, or None where billing is off; raises `PriceMissing` 9004.

    A template of unknown category is priced as marketing by the caller and never 9004 for that reason.
    """
    if application.prices is None:
        return None
    country = country_of(recipient)
    for name in (country, EVERYWHERE):
        prices = application.prices.get(name) if name else None
        price = _price(prices, category)
        if price is not None:
            return price
    raise PriceMissing(f"no {category} price for {country or 'a number of no country'}")


def _price(prices: CategoryPrices | None, category: str) -> Decimal | None:
    value: Decimal | None = getattr(prices, category) if prices is not None else None
    return value
