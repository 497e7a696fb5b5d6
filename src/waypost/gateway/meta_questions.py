"""Questions to Meta about one WABA, asked with its token; answers come from outside and may be anything."""

from typing import Any

import msgspec

from waypost.meta.client import MetaClient, MetaUnreachable
from waypost.meta.errors import classify
from waypost.model import Waba

PAGE_SIZE = "100"
MAX_PAGES = 20
MAX_WORDS = 300  # of Meta's, which may quote what it was sent
_PASSING = {"RATE", "TRANS"}  # classes of Meta's errors that say nothing about token or number
_UNREACHABLE_ADVICE = "look at network, DNS and WAYPOST_META_BASE_URL, then ask again"


class NotAnswered(Exception):
    """Meta did not answer as hoped: what was found, what to do, and whether it may pass by itself."""

    def __init__(self, found: str, advice: str, *, may_pass: bool) -> None:
        super().__init__(found)
        self.found = found
        self.advice = advice
        self.may_pass = may_pass


class MetaQuestions:
    """What Meta can be asked about a WABA; each question may raise `NotAnswered`, whose text holds no secret."""

    def __init__(self, meta: MetaClient, waba: Waba) -> None:
        self._meta = meta
        self._waba = waba

    async def numbers(self) -> dict[str, dict[str, object]]:
        """Return the WABA's numbers by phone number id, as Meta lists them."""
        numbers: dict[str, dict[str, object]] = {}
        params = {"fields": "id,display_phone_number,status,throughput", "limit": PAGE_SIZE}
        for _ in range(MAX_PAGES):
            answer = await self._ask(f"{self._waba.waba_id}/phone_numbers", params)
            data = answer.get("data")
            items = [item for item in data if isinstance(item, dict)] if isinstance(data, list) else []
            numbers.update({str(item.get("id")): item for item in items})
            after = _member(_member(answer.get("paging"), "cursors"), "after")
            if not items or not isinstance(after, str) or not _member(answer.get("paging"), "next"):
                break
            params = {**params, "after": after}
        return numbers

    async def number(self, phone_number_id: str) -> dict[str, object]:
        """Return what Meta tells of one number, whichever WABA it belongs to."""
        return await self._ask(phone_number_id, {"fields": "id,display_phone_number,status"})

    async def is_subscribed(self) -> bool:
        """Tell whether any app gets this WABA's webhooks."""
        answer = await self._ask(f"{self._waba.waba_id}/subscribed_apps", {})
        return bool(answer.get("data"))

    async def _ask(self, path: str, params: dict[str, str]) -> dict[str, Any]:
        try:
            status, body = await self._meta.get(path, self._waba.access_token, params)
            answer = msgspec.json.decode(body, type=dict[str, Any])
        except MetaUnreachable as error:
            raise NotAnswered(self._clean(f"Meta: {error}"), _UNREACHABLE_ADVICE, may_pass=False) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise NotAnswered("Meta's answer is not JSON", _UNREACHABLE_ADVICE, may_pass=False) from None
        if "error" in answer or not 200 <= status < 300:
            raise self._refusal(status, answer.get("error"))
        return answer

    def _refusal(self, status: int, error: object) -> NotAnswered:
        code, subcode, words = (_member(error, name) for name in ("code", "error_subcode", "message"))
        if type(code) is not int or code < 0:
            return NotAnswered(f"Meta answers HTTP {status} without a code", _UNREACHABLE_ADVICE, may_pass=True)
        transient = _member(error, "is_transient") is True
        known = classify(code, status, transient, subcode if type(subcode) is int else None)
        said = self._clean(words) if isinstance(words, str) and words else known.title
        return NotAnswered(
            f"Meta refuses with code {code}: {said}", known.advice, may_pass=known.retry_class in _PASSING
        )

    def _clean(self, text: str) -> str:
        """Hide the WABA's secrets: Meta quotes a malformed token in its answer."""
        for secret in (self._waba.access_token, self._waba.app_secret):
            text = text.replace(secret, "***") if secret else text
        return text[:MAX_WORDS]


def _member(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, dict) else None
