"""A pytest plugin: lets Hypothesis try many more examples wherever a test does not say how many."""

import os

import hypothesis


def pytest_configure() -> None:
    """Load a profile with a tenth of `WAYPOST_TEST_EXAMPLES`, which counts requests of one batch singly."""
    examples = max(100, int(os.environ["WAYPOST_TEST_EXAMPLES"]) // 10)
    hypothesis.settings.register_profile("long", max_examples=examples, deadline=None)
    hypothesis.settings.load_profile("long")
