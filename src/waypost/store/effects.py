"""A hook on the commits of a journal, for tests that break them."""

from typing import Protocol


class Effects(Protocol):
    """A hook of the fault tests: it may raise an engine's error or end the process at a named effect."""

    def before(self, name: str) -> None:
        """Hear of an effect: `accept_commit` just before that commit, `after:accept_commit` just behind it."""
