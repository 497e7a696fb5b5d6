"""The doorbell of one process: from the journal's writer thread to the event loop that delivers."""

import asyncio
from collections.abc import Callable, Iterable


class Bell:
    """Rung with the name of an endpoint, from any thread; nobody hears it until someone answers."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._answer: Callable[[Iterable[str]], None] | None = None

    def answered_by(self, answer: Callable[[Iterable[str]], None]) -> None:
        """Have every ring from now on handed to a function, in the event loop that is running now."""
        self._loop = asyncio.get_running_loop()
        self._answer = answer

    def ring(self, endpoint: str) -> None:
        """Tell that an endpoint has something new; a ring at the very end of the loop's life is lost, as it may be."""
        if self._loop is not None and self._answer is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._answer, (endpoint,))
