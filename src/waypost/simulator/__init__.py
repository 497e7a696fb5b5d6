"""A simulator of Meta: Graph API for sending, signed webhooks, and a control API for tests and people.

It imports nothing of the gateway and restates Meta's contract from Meta's documentation, so that it is a second
opinion: one that shared the gateway's code would agree with every mistake in it.
"""

from waypost.simulator.server import Simulator, run

__all__ = ["Simulator", "run"]
