"""Which names an application may subscribe to: NxCloud's, other spellings of them, and Meta's webhook fields."""

from difflib import get_close_matches

from waypost.protocol.callback_events import SUBSCRIPTIONS, subscription_of

_FURTHER_FIELDS = (  # of Meta's webhooks for WhatsApp Business Accounts, as its documentation lists them
    "account_alerts",
    "account_settings_update",
    "automatic_events",
    "business_capability_update",
    "business_status_update",
    "business_username_updates",
    "flows",
    "group_lifecycle_update",
    "group_participants_update",
    "group_settings_update",
    "group_status_update",
    "history",
    "message_echoes",
    "message_template_components_update",
    "messaging_handovers",
    "partner_solutions",
    "payment_configuration_update",
    "security",
    "smb_app_state_sync",
    "smb_message_echoes",
    "standby",
    "template_correct_category_detection",
    "tracking_events",
)


def name_fault(name: str) -> str | None:
    """Say why nothing can be subscribed to under a name, as what it is, or None if something can."""
    known = (*SUBSCRIPTIONS, *_FURTHER_FIELDS)
    event = subscription_of(name)
    if event in known:
        return None
    alike = get_close_matches(event[:100], known, n=1)
    return f"is no event that the gateway knows{f'; is {alike[0]} meant?' if alike else ''}"
