"""The one way in which a bench ends without figures."""


class BenchFailed(Exception):
    """A server did not start, or a round is void; the message says which and what was seen."""
