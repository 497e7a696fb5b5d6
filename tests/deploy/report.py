"""What a check says: what it looked at, what it could not look at and why, and what is wrong."""


class Report:
    """Collects the findings of one check; a check that says nothing at all counts as wrong."""

    def __init__(self) -> None:
        self.checked: list[str] = []
        self.left_out: list[str] = []
        self.wrong: list[str] = []

    def ok(self, words: str) -> None:
        """Say what was looked at."""
        self.checked.append(words)

    def not_checked(self, words: str) -> None:
        """Say what was not looked at, and why."""
        self.left_out.append(words)

    def bad(self, words: str) -> None:
        """Say what is wrong."""
        self.wrong.append(words)

    def expect(self, holds: object, words: str) -> None:
        """Say what is wrong unless something holds."""
        if not holds:
            self.bad(words)

    def lines(self, name: str) -> list[str]:
        """Return the report for people."""
        if not self.checked and not self.wrong:
            self.bad("the check looked at nothing")
        verdict = f"{len(self.wrong)} wrong" if self.wrong else "ok"
        return [
            f"{name}: {verdict}",
            *(f"  checked: {words}" for words in self.checked),
            *(f"  not checked: {words}" for words in self.left_out),
            *(f"  WRONG: {words}" for words in self.wrong),
        ]
