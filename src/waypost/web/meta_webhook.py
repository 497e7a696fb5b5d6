"""`GET` and `POST /meta/webhook`: Meta verifies the address, then reports what became of messages."""

import hmac
from urllib.parse import parse_qs

import structlog

from waypost.clock import Clock
from waypost.gateway import events
from waypost.meta.webhooks import WebhookInvalid
from waypost.store.base import StoreUnavailable
from waypost.telemetry import Metrics, WideLine
from waypost.web.asgi import BodyRefused, ClientGone, Receive, Scope, Send, answer, headers_of, read_body

log = structlog.get_logger("waypost.webhook")

PATH = "/meta/webhook"
MAX_BODY_BYTES = 4 * 1_048_576  # Meta's rule: payloads up to 3 MB
RECEIVE_TIMEOUT_S = 20.0
_PLAIN = b"text/plain; charset=utf-8"


class MetaWebhook:
    """Takes in what Meta sends; answers 200 only when everything in the POST is durable."""

    def __init__(self, intake: events.EventIntake, clock: Clock, metrics: Metrics, verify_token: str) -> None:
        self._intake = intake
        self._clock = clock
        self._metrics = metrics
        self._verify_token = verify_token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request of Meta's; `/meta/webhook/<waba id>` is for a WABA that has a Meta app of its own."""
        match scope["method"]:
            case "GET":
                status, body = self._verify(scope)
            case "POST":
                status, body = await self._take_in(scope, receive)
            case _:
                status, body = 405, b"only GET and POST"
        self._metrics.webhooks.labels(str(status)).inc()
        if status:
            await answer(send, body, status=status, kind=_PLAIN, close=status != 200)

    def _verify(self, scope: Scope) -> tuple[int, bytes]:
        """Echo the challenge if Meta presents our token (Meta's rule: the challenge is the whole body)."""
        query = parse_qs(scope["query_string"].decode("latin-1"))
        mode, token, challenge = (query.get(f"hub.{name}", [""])[0] for name in ("mode", "verify_token", "challenge"))
        if mode == "subscribe" and challenge and hmac.compare_digest(token.encode(), self._verify_token.encode()):
            log.info("webhook_verified", path=scope["path"])
            return 200, challenge.encode()
        log.warning("webhook_verification_refused", path=scope["path"])
        return 403, b"hub.mode must be subscribe and hub.verify_token the one in the settings"

    async def _take_in(self, scope: Scope, receive: Receive) -> tuple[int, bytes]:
        line = WideLine("webhook", self._clock.uuid7_hex(), self._clock.monotonic_s)
        waba_id = scope["path"].removeprefix(PATH).strip("/") or None
        try:
            raw = await read_body(receive, MAX_BODY_BYTES, RECEIVE_TIMEOUT_S)
            signature = headers_of(scope).get("x-hub-signature-256")
            intake = await self._intake.take_in(raw, signature, waba_id)
        except ClientGone:
            return 0, b""
        except BodyRefused as refused:
            status, text = 413, str(refused)
        except events.SignatureMissing:
            status, text = 401, "X-Hub-Signature-256 fits no known app secret"
        except WebhookInvalid as invalid:
            status, text = 400, str(invalid)
        except StoreUnavailable as error:
            status, text = 503, f"journal unavailable: {error}"
        else:
            status, text = 200, "ok"
            self._count(intake)
            line.note(
                recorded=intake.effect.recorded,
                repeated=intake.effect.repeated,
                parked=intake.effect.parked,
                foreign=intake.foreign,
                other=intake.other,
                ignored=intake.ignored,
            )
        line.note(status=status, **({} if status == 200 else {"reason": text}))
        line.write(log, "info" if status == 200 else "warning")
        return status, text.encode()

    def _count(self, intake: events.Intake) -> None:
        for effect, number in (
            ("recorded", intake.effect.recorded),
            ("repeated", intake.effect.repeated),
            ("parked", intake.effect.parked),
            ("foreign", intake.foreign),
            ("ignored", intake.ignored),
            ("other", intake.other),
        ):
            self._metrics.statuses.labels(effect).inc(number)
