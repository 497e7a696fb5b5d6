"""Who is told of what is no status: the applications of one account, of one phone, of a whole WABA."""

from typing import Any

import pytest

from waypost.gateway.event_routing import BUSINESS_FIELDS, inbound_receivers, receivers
from waypost.gateway.tenants import Tenants, snapshot
from waypost.meta.webhooks import OtherEvent
from waypost.model import Application, BusinessPhone, Waba

WABA = "2000"
ONE, TWO, THREE = "8615800000001", "8615800000002", "8615800000003"
PEOPLES_FIELDS = ("smb_message_echoes", "history", "calls", "user_preferences", "smb_app_state_sync", "of_next_year")


def application(
    appkey: str, account: str = "acme", *phones: str, events: tuple[str, ...] | None = None, enabled: bool = True
) -> Application:
    url = f"https://{appkey}.example/"
    return Application(
        appkey=appkey, account=account, webhook=url, phones=phones or (ONE,), events=events, enabled=enabled
    )


def tenants(
    *applications: Application, inbound: str | None = None, account: str | None = None, phones: tuple[str, ...] = ()
) -> Tenants:
    numbers = phones or (ONE, TWO, THREE)
    return snapshot(
        [
            Waba(waba_id=WABA, access_token="t", app_secret="s", inbound_application=inbound, account=account),
            *(BusinessPhone(number=item, phone_number_id=f"id-{item}", waba_id=WABA) for item in numbers),
            *applications,
        ]
    )


def event(field: str, *, phone: str | None = None, digits: str = "", waba_id: str = WABA) -> OtherEvent:
    phone_number_id = f"id-{phone}" if phone is not None else None
    return OtherEvent(
        field=field, waba_id=waba_id, phone_number_id=phone_number_id, display_digits=digits, time_ms=None, raw="{}"
    )


def told(held: Tenants, given: OtherEvent) -> list[tuple[str, str]]:
    return [(item.application.appkey, item.phone.number) for item in receivers(held, given, given.field)]


def inbound(held: Tenants, number: str = ONE) -> list[str]:
    return [item.appkey for item in inbound_receivers(held, held.phones[number])]


# --- what people write ---------------------------------------------------------------------------------------------

LISTS = ("mesages",)


def test_of_those_that_take_everything_the_first_gets_it() -> None:
    assert inbound(tenants(application("b"), application("a"), application("c"))) == ["a"]
    assert inbound(tenants(application("a"))) == ["a"]
    assert inbound(tenants(application("a", "acme", TWO))) == []


def test_one_that_takes_everything_still_gets_it_when_another_lists_messages() -> None:
    assert inbound(tenants(application("a"), application("b"), application("z", events=LISTS))) == ["a", "z"]


def test_every_application_that_lists_messages_gets_it() -> None:
    held = tenants(application("b", events=LISTS), application("a", events=LISTS), application("c", events=("calls",)))
    assert inbound(held) == ["a", "b"]


def test_the_one_that_the_waba_names_takes_the_place_of_the_first() -> None:
    applications = (application("a"), application("b"), application("c", events=LISTS))
    assert inbound(tenants(*applications, inbound="b")) == ["b", "c"]
    assert inbound(tenants(*applications, inbound="c")) == ["c"]
    assert inbound(tenants(*applications, inbound="of-another-phone")) == ["a", "c"]


@pytest.mark.parametrize("change", [{"enabled": False}, {"events": ("calls",)}])
def test_one_that_does_not_want_it_is_passed_over_even_if_the_waba_names_it(change: dict[str, Any]) -> None:
    named = application("a", **change)
    assert inbound(tenants(named, application("b"), inbound="a")) == ["b"]


def test_of_a_shared_number_only_one_account_gets_what_people_write() -> None:
    applications = (
        application("a", "globex"),
        application("b", "acme"),
        application("c", "acme", events=LISTS),
        application("d", "globex", events=LISTS),
    )
    assert inbound(tenants(*applications, inbound="b")) == ["b", "c"]
    assert inbound(tenants(*applications, inbound="d")) == ["d"]
    assert inbound(tenants(*applications)) == []
    assert inbound(tenants(*applications, application("e", "third", TWO), inbound="e")) == []


def test_a_disabled_heir_does_not_hand_its_number_to_another_account() -> None:
    held = tenants(application("a", "globex"), application("b", "acme", enabled=False), inbound="b")
    assert inbound(held) == []


# --- other events --------------------------------------------------------------------------------------------------

NEIGHBOURS = (application("a", "acme", ONE), application("g", "globex", TWO))


@pytest.mark.parametrize("field", [*PEOPLES_FIELDS, "messages", *sorted(BUSINESS_FIELDS)])
def test_an_event_of_a_phone_reaches_nobody_at_another_phone(field: str) -> None:
    assert told(tenants(*NEIGHBOURS), event(field, phone=ONE)) == [("a", ONE)]
    assert told(tenants(*NEIGHBOURS), event(field, digits=ONE)) == [("a", ONE)]
    assert told(tenants(*NEIGHBOURS), event(field, phone=THREE)) == []
    assert told(tenants(*NEIGHBOURS), event(field, phone="nobody declared it")) == []


@pytest.mark.parametrize("field", PEOPLES_FIELDS)
def test_what_people_do_is_told_to_one_account_alone(field: str) -> None:
    both = (application("a", "acme", ONE, TWO), application("b", "acme", ONE))
    assert told(tenants(*both), event(field)) == [("a", ONE), ("b", ONE), ("a", TWO)]
    assert told(tenants(*NEIGHBOURS), event(field)) == []
    shared = (application("a", "acme"), application("g", "globex"))
    assert told(tenants(*shared, inbound="g"), event(field, phone=ONE)) == [("g", ONE)]
    assert told(tenants(*shared), event(field, phone=ONE)) == []
    assert told(tenants(application("g", "globex", ONE, TWO), account="acme"), event(field)) == []


@pytest.mark.parametrize("field", sorted(BUSINESS_FIELDS))
def test_the_state_of_the_waba_is_told_to_all_its_users_for_each_of_their_numbers(field: str) -> None:
    held = tenants(application("a", "acme", ONE, THREE), application("g", "globex", TWO))
    assert told(held, event(field)) == [("a", ONE), ("g", TWO), ("a", THREE)]
    assert told(held, event(field, waba_id="3000")) == []
    shared = (application("a", "acme"), application("g", "globex"))
    assert told(tenants(*shared, inbound="g"), event(field, phone=ONE)) == [("a", ONE), ("g", ONE)]


def test_a_number_that_nobody_declared_may_be_any_of_one_account_but_not_of_two() -> None:
    unknown = event("phone_number_name_update", digits="4915100000000")
    assert told(tenants(application("a", "acme", ONE, TWO)), unknown) == [("a", ONE), ("a", TWO)]
    assert told(tenants(*NEIGHBOURS), unknown) == []


def test_a_number_of_another_waba_is_not_named() -> None:
    given = event("phone_number_name_update", digits=ONE, waba_id="3000")
    assert told(tenants(*NEIGHBOURS), given) == []


def test_only_those_that_asked_are_told() -> None:
    listed = application("a", events=("account_update",))
    assert told(tenants(listed, application("b", enabled=False)), event("account_update")) == [("a", ONE)]
    assert told(tenants(listed), event("security")) == []


def test_errors_of_a_phone_go_where_its_messages_go() -> None:
    held = tenants(application("a"), application("b"), application("c", events=LISTS))
    assert told(held, event("messages", phone=ONE)) == [("a", ONE), ("c", ONE)]
