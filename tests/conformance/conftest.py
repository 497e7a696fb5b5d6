"""The suites are modules that pytest doesn't collect by name: their assertions are to be readable all the same."""

import pytest

for name in (
    "store",
    "lookup",
    "status",
    "settling",
    "outbox",
    "claim",
    "attempt",
    "replay",
    "queue",
    "queue_ending",
    "pausing",
    "sharing",
    "queue_bell",
):
    pytest.register_assert_rewrite(f"tests.conformance.{name}_suite")
