"""`waypost demo`: what a newcomer sees first, as a real process."""

from tests.flow.command import waypost
from waypost.cli.demo import MESSAGES


async def test_a_demo_ends_well_when_every_message_was_read_and_every_callback_came() -> None:
    ended = await waypost("demo", "--once", env={})

    assert ended.code == 0, ended.err
    rows = [line for line in ended.out.splitlines() if "wamid." in line]
    assert [row.replace("│", " ").split()[0] for row in rows] == list(MESSAGES)
    for row in rows:
        assert "accepted" in row
        assert row.count(" ms") == 3
        assert "3 of 3" in row
