"""What the gateway tells its operators: one wide log line per request, and metrics. Secrets never get this far."""

import contextlib
import io
import logging
import sys
from collections.abc import Callable
from typing import Any, BinaryIO, cast

import msgspec
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SHOWN_DIGITS = 4  # of a masked number: enough to tell two apart, not to call one


class WideLine:
    """Collects what is worth knowing about one request, with the time each step took, and is logged once at the end."""

    def __init__(self, event: str, trace_id: str, monotonic_s: Callable[[], float]) -> None:
        self.event = event
        self.trace_id = trace_id
        self.fields: dict[str, object] = {}
        self._now = monotonic_s
        self._start = self._lap = monotonic_s()

    def note(self, **fields: object) -> None:
        """Add fields to the line."""
        self.fields.update(fields)

    def lap(self, name: str) -> None:
        """Add the milliseconds since the last lap, or since the start, under this name."""
        now = self._now()
        self.fields[name] = round((now - self._lap) * 1000, 2)
        self._lap = now

    def seconds(self) -> float:
        """Return the time since the line was begun."""
        return self._now() - self._start

    def write(self, log: Any, level: str = "info") -> None:
        """Write the line out."""
        getattr(log, level)(
            self.event, trace_id=self.trace_id, duration_ms=round(self.seconds() * 1000, 2), **self.fields
        )


class Metrics:
    """The gateway's metrics in a registry of its own, so that several gateways can live in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.answers = Counter(
            "waypost_answers", "Answers to customers by code.", ("path", "code"), registry=self.registry
        )
        self.answer_seconds = Histogram(
            "waypost_answer_seconds",
            "Time from a request's head to its answer.",
            ("path",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.meta_outcomes = Counter(
            "waypost_meta_outcomes", "What attempts to send came to.", ("outcome",), registry=self.registry
        )
        self.statuses = Counter(
            "waypost_statuses", "Status events of Meta's by what became of them.", ("effect",), registry=self.registry
        )
        self.webhooks = Counter("waypost_webhooks", "POSTs of Meta's by answer.", ("answer",), registry=self.registry)
        self.callbacks = Counter(
            "waypost_callbacks",
            "Attempts to push callbacks by what they led to, and callbacks given up without one.",
            ("state",),
            registry=self.registry,
        )
        self.callback_seconds = Histogram(
            "waypost_callback_seconds", "Time of one attempt to push.", buckets=_SECONDS, registry=self.registry
        )
        self.callbacks_due = Gauge("waypost_callbacks_due", "Callbacks that wait.", registry=self.registry)
        self.endpoints_down = Gauge("waypost_endpoints_down", "Endpoints that are only probed.", registry=self.registry)
        self.doorbell = Gauge(
            "waypost_doorbell_connected", "Whether rings get through to other processes.", registry=self.registry
        )
        self.in_flight = Gauge("waypost_in_flight", "Messages between journal and answer.", registry=self.registry)
        self.unsettled = Gauge("waypost_unsettled", "Messages whose outcome is unknown.", registry=self.registry)


def mask(number: str) -> str:
    """Return a number with all but its last four digits hidden."""
    return "*" * max(len(number) - _SHOWN_DIGITS, 0) + number[-_SHOWN_DIGITS:]


def configure(level: str, *, pretty: bool) -> None:
    """Set up logging for the process: JSON lines on stderr, or readable lines where a person looks on."""
    renderer: Any
    factory: Any
    if pretty:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        factory = structlog.PrintLoggerFactory(sys.stderr)
    else:
        renderer = structlog.processors.JSONRenderer(serializer=_encode)
        factory = structlog.BytesLoggerFactory(cast(BinaryIO, _LossyStream(sys.stderr.buffer)))
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=factory,
        cache_logger_on_first_use=False,
    )


class _LossyStream(io.BufferedIOBase):
    """A stream for the log, which may lose lines but never fails: a full disk behind it must not cost an answer."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, line: bytes, /) -> int:  # type: ignore[override]  # the log writes nothing but bytes
        with contextlib.suppress(OSError):
            return self._stream.write(line)
        return 0

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()


def _encode(value: object, **_: object) -> bytes:
    return msgspec.json.encode(value, enc_hook=str)
