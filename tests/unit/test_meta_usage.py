"""Meta's usage header: how long to wait, or nothing, whatever stands there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.meta.usage import regain_s


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ('{"102290129340398":[{"type":"whatsapp","call_count":100,"estimated_time_to_regain_access":7}]}', 420),
        ('{"1":[{"estimated_time_to_regain_access":2},{"estimated_time_to_regain_access":5}],"2":[]}', 300),
        ('{"1":[{"type":"whatsapp","call_count":12,"total_cputime":1,"estimated_time_to_regain_access":0}]}', None),
        ('{"1":[{"call_count":12}]}', None),
        ('{"1":[{"estimated_time_to_regain_access":-3}]}', None),
        ('{"1":[{"estimated_time_to_regain_access":"soon"}]}', None),
        ('{"1":{"estimated_time_to_regain_access":3}}', None),
        ("[" * 5_000, None),
        ('{"\udcff":[]}', None),
        ("", None),
        (None, None),
    ],
)
def test_the_longest_time_that_can_be_read(header: str | None, seconds: float | None) -> None:
    assert regain_s(header) == seconds


@given(st.text())
def test_any_header_is_a_positive_time_or_nothing(header: str) -> None:
    found = regain_s(header)
    assert found is None or found > 0
