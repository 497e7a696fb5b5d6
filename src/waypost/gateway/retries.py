"""When a callback that was not accepted is tried again (decision D8). Pure."""

ACCEPTED = 200  # the seed: the HTTP status "must be 200", so 204 is a refusal

_MINUTE, _HOUR = 60, 3600
SCHEDULE_S = (
    5,
    30,
    *(_MINUTE * number for number in (1, 5, 15, 30)),
    *(_HOUR * number for number in (1, 2, 4, 8, 12, 24, 24)),
)
HORIZON_S = sum(SCHEDULE_S)  # about 76 h
JITTER = 0.2  # either way, so that what failed together does not come back together
_RETRY_AFTER_STRETCH = 2  # a receiver may ask for up to twice the wait that is due anyway


def wait_s(attempt: int, chance: float, retry_after_s: float | None) -> float | None:
    """Return how many seconds to wait after an attempt (counted from 1) that failed, or None to give up.

    `chance` is a random number from 0 to 1. `Retry-After` may stretch the wait up to twice, never shorten it.
    """
    if attempt > len(SCHEDULE_S):
        return None
    due = SCHEDULE_S[attempt - 1]
    wait = due * (1 + JITTER * (2 * chance - 1))
    if retry_after_s is not None:
        wait = max(wait, min(retry_after_s, due * _RETRY_AFTER_STRETCH))
    return wait
