"""Customer service windows: for 24 hours after a person wrote, a business may send more than templates."""

from waypost.simulator.clock import Clock

WINDOW_MS = 24 * 3_600_000
MOST_WINDOWS = 100_000


class Windows:
    """Which person last wrote to which business phone, and when, on the simulated clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wrote_ms: dict[tuple[str, str], int] = {}

    def open(self, phone_number_id: str, number: str) -> None:
        """The person wrote now."""
        self._wrote_ms.pop((phone_number_id, number), None)
        if len(self._wrote_ms) >= MOST_WINDOWS:
            self._wrote_ms.pop(next(iter(self._wrote_ms)))
        self._wrote_ms[phone_number_id, number] = self._clock.now_ms()

    def is_open(self, phone_number_id: str, number: str) -> bool:
        """Whether the person wrote within the last 24 hours."""
        wrote_ms = self._wrote_ms.get((phone_number_id, number))
        return wrote_ms is not None and self._clock.now_ms() < wrote_ms + WINDOW_MS

    def clear(self) -> None:
        """Closes all windows."""
        self._wrote_ms.clear()
