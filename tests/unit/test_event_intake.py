"""What a POST of Meta's comes to where the journal is away: it is never taken as done, so Meta repeats it."""

import json

import pytest

from tests.golden.stand import Stand
from tests.golden.test_golden import PHONE_ID, TENANTS, WABA
from waypost.store.base import StoreUnavailable


@pytest.mark.parametrize("context", [{"id": "wamid.OURS"}, {}], ids=["a reply, which is looked up", "a message"])
async def test_a_journal_that_is_away_costs_no_message_of_a_recipient(context: dict[str, str]) -> None:
    stand = Stand()
    await stand.store.open()
    await stand.registry.apply(TENANTS)
    await stand.store.close()
    written = {"id": "wamid.IN1", "from": "1", "type": "text", "text": {"body": "hi"}, "context": context}
    value = {"metadata": {"phone_number_id": PHONE_ID}, "messages": [written]}
    entry = {"id": WABA, "changes": [{"field": "messages", "value": value}]}
    with pytest.raises(StoreUnavailable):
        await stand.post(json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode())
