"""How far one push has come, for those deep inside the connection pool who have to know or to tell."""

from contextvars import ContextVar


class Progress:
    """Whose push it is, whether it waits for a name or has its connection, and how many bytes came back."""

    def __init__(self, account: str) -> None:
        self.account = account
        self.is_looking_up = False
        self.connected = False
        self.received = 0


current_progress: ContextVar[Progress] = ContextVar("current_progress")
