"""How often an account may ask, where the tenants limit that. Without I/O."""

from waypost.model import Account


class Allowances:
    """A bucket for each account that has a limit, as large as one second's requests."""

    def __init__(self) -> None:
        self._left: dict[str, tuple[float, int]] = {}  # requests left, and when that was counted

    def take(self, account: Account, now_ms: int) -> bool:
        """Count a request of an account; return False if it is one too many, which then does not count."""
        per_s = account.requests_per_second
        if per_s is None:
            return True
        left, at_ms = self._left.get(account.name, (float(per_s), now_ms))
        left = min(float(per_s), left + max(0, now_ms - at_ms) * per_s / 1000)
        self._left[account.name] = (left - 1 if left >= 1 else left, now_ms)
        return left >= 1
