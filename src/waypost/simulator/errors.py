"""Meta's errors, restated from its documentation: title and HTTP status of each code, and the body they travel in."""

from typing import NamedTuple


class Known(NamedTuple):
    """What Meta documents of one code."""

    title: str
    http_status: int = 400
    subcode: int | None = None
    is_transient: bool = False


FIRST_OF_WHATSAPP = 130_000
UNKNOWN_CODE = Known("Unknown error", 400)

# Meta's error reference. The HTTP status is that of the last edition that published one; 400 where it gave none.
KNOWN: dict[int, Known] = {
    0: Known("AuthException", 401),
    1: Known("API Unknown"),
    2: Known("API Service", 503, is_transient=True),
    3: Known("API Method", 500),
    4: Known("Application request limit reached", 400, 2446079, True),
    10: Known("Permission Denied", 403),
    17: Known("User request limit reached", 429),
    32: Known("Page request limit reached", 400),
    33: Known("Parameter value is not valid"),
    100: Known("Invalid parameter"),
    102: Known("Session has expired", 401),
    104: Known("Requires valid signature", 401),
    190: Known("Access token has expired", 401, 463),
    200: Known("API Permission", 403),
    341: Known("Application limit reached"),
    368: Known("Temporarily blocked for policies violations", 403),
    506: Known("Duplicate Post"),
    613: Known("Calls to this api have exceeded the rate limit.", 400),
    803: Known("Some of the aliases you requested do not exist", 404),
    2500: Known("Unknown path components"),
    80007: Known("Rate limit issues"),
    80008: Known("There have been too many calls to this WhatsApp Business account"),
    130403: Known("User is blocked by the business"),
    130429: Known("Rate limit hit", 400, 2494055),
    130472: Known("User's number is part of an experiment"),
    130497: Known("Business account is restricted from messaging users in this country.", 403),
    131000: Known("Something went wrong", 500),
    131005: Known("Access denied", 403),
    131008: Known("Required parameter is missing"),
    131009: Known("Parameter value is not valid"),
    131014: Known("Request for media url failed"),
    131016: Known("Service unavailable", 500),
    131020: Known("Group is not valid"),
    131021: Known("Recipient cannot be sender"),
    131026: Known("Message undeliverable"),
    131030: Known("Recipient phone number not in allowed list", 400, 2655007),
    131035: Known("Webhook could not be delivered within retention"),
    131036: Known("Retry receipt could not be honoured"),
    131037: Known("Display name approval is needed"),
    131041: Known("Group is unknown"),
    131031: Known("Business Account locked", 403),
    131042: Known("Business eligibility payment issue"),
    131044: Known("Business eligibility payment issue for calls"),
    131045: Known("Incorrect certificate", 500),
    131047: Known("Re-engagement message"),
    131048: Known("Spam rate limit hit"),
    131049: Known("This message was not delivered to maintain healthy ecosystem engagement."),
    131050: Known("This recipient has chosen to stop receiving marketing messages from your business"),
    131051: Known("Unsupported message type"),
    131052: Known("Media download error"),
    131053: Known("Media upload error"),
    131055: Known("Method not allowed"),
    131056: Known("(Business Account, Consumer Account) pair rate limit hit"),
    131057: Known("Account in maintenance mode", 500),
    131059: Known("Cursor is not valid"),
    131062: Known("Business-scoped user id is not supported for this message"),
    131063: Known("Marketing templates are disabled on Cloud API"),
    131064: Known("Limit reached because of misclassified templates"),
    132000: Known("Number of parameters does not match the expected number of params"),
    132001: Known("Template name does not exist in the translation", 404),
    132005: Known("Translated text too long"),
    132007: Known("Template format character policy violated"),
    132008: Known("Template parameter format policy violated"),
    132012: Known("Parameter format does not match format in the created template"),
    132015: Known("Template is paused"),
    132016: Known("Template is disabled"),
    132018: Known("Template parameter validation failed"),
    132068: Known("Flow is blocked"),
    132069: Known("Flow is throttled"),
    133000: Known("Incomplete deregistration", 500),
    133004: Known("Server temporarily unavailable", 503),
    133006: Known("Phone number re-verification needed"),
    133010: Known("Account not registered"),
    133015: Known("Please wait a few minutes before attempting to register this phone number"),
    133016: Known("Account register deregister rate limit exceeded"),
    134011: Known("WhatsApp payments terms of service has not been accepted"),
    134100: Known("Only marketing messages are supported"),
    134101: Known("Template is still being synchronised"),
    134102: Known("Template is unavailable for use", 500),
    134103: Known("Marketing message could not be sent"),
    135000: Known("Generic user error"),
    137000: Known("Recipient identity key hash mismatch"),
}

_REFERENCE = "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/"


class GraphError(Exception):
    """Meta refuses a call. `details` names the field; `message` replaces Meta's usual "(#code) title"."""

    def __init__(self, code: int, details: str | None = None, **overrides: int | str | None) -> None:
        super().__init__(code, details)
        known = KNOWN.get(code, UNKNOWN_CODE)
        # for the codes of WhatsApp's own there is always some text, as Meta sends it
        self.code, self.known = code, known
        self.details = known.title if details is None and code >= FIRST_OF_WHATSAPP else details
        self.http_status = int(overrides.get("http_status") or known.http_status)
        self.subcode = overrides.get("subcode") or known.subcode
        self.message = overrides.get("message") or f"(#{code}) {known.title}"
        self.type = overrides.get("type") or "OAuthException"

    def body(self, trace_id: str) -> dict[str, object]:
        """The JSON body of the refusal."""
        error: dict[str, object] = {"message": self.message, "type": self.type, "code": self.code}
        if self.known.is_transient:
            error["is_transient"] = True
        if self.details is not None:
            error["error_data"] = {"messaging_product": "whatsapp", "details": self.details}
        if self.subcode is not None:
            error["error_subcode"] = self.subcode
        return {"error": error | {"fbtrace_id": trace_id}}


def unknown_object(method: str, object_id: str) -> GraphError:
    """The refusal of an id that does not exist or that the token may not see."""
    text = (
        f"Unsupported {method.lower()} request. Object with ID '{object_id}' does not exist, cannot be loaded due to"
        " missing permissions, or does not support this operation. Please read the Graph API documentation at"
        " https://developers.facebook.com/docs/graph-api"
    )
    return GraphError(100, subcode=33, message=text, type="GraphMethodException")


def unknown_path(path: str) -> GraphError:
    """The refusal of a path that no edge of the Graph API has."""
    return GraphError(2500, message=f"Unknown path components: {path}")


def webhook_error(code: int, details: str | None = None) -> dict[str, object]:
    """One element of `errors` in a webhook: no trace id there, but a link to the reference."""
    title = KNOWN.get(code, UNKNOWN_CODE).title
    return {
        "code": code,
        "title": title,
        "message": title,
        "error_data": {"details": details or title},
        "href": _REFERENCE,
    }
