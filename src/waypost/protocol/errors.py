"""What can be answered instead of code 0: one exception class per answer code, and the texts customers see.

    Failure
    ├── RequestFailed             -1     something unexpected happened here
    ├── AuthenticationFailed             (the family of the next five)
    │   ├── MissingHeader         1001
    │   ├── HeaderInvalid         1002
    │   ├── SignatureInvalid      1003
    │   ├── TimestampExpired      1004
    │   └── PermissionDenied      1005
    ├── ParameterInvalid          9000   says which member of the body is wrong, and why
    ├── SystemBusy                9001
    ├── PhoneUnknown              9002
    ├── ApplicationUnavailable    9003
    ├── PriceMissing              9004
    ├── PhoneNotBound            10003
    ├── TemplateUnavailable      10005
    └── MetaRefused               9099   carries Meta's own error object

Raise the class; one place (`waypost.protocol.replies.failure`) turns it into bytes. Codes and texts are those of
NxCloud's Send Message page; the texts of 1001 to 1005 follow the pattern of its only published authentication failure.
"""

from typing import ClassVar


class Failure(Exception):
    """A request that is answered with a code other than 0.

    `code` and `text` go to the customer; `meaning` and `advice` go into the documentation. `details` and `path` say
    what exactly is wrong; the customer sees them for 9000 only, the log for every code.
    """

    code: ClassVar[int]
    text: ClassVar[str]
    meaning: ClassVar[str]
    advice: ClassVar[str]

    def __init__(self, details: str = "", *, path: str | None = None) -> None:
        super().__init__(details)
        self.details = details
        self.path = path

    def __str__(self) -> str:
        """Return code and text with whatever is known beyond them, for logs."""
        where = f" at {self.path}" if self.path else ""
        why = f": {self.details}" if self.details else ""
        return f"{self.code} {self.text}{where}{why}"

    def data(self) -> dict[str, object] | None:
        """Return what the answer carries under `data`; None for most codes."""
        return None


class RequestFailed(Failure):
    """Something unexpected happened here, or the request names no operation of this API."""

    code = -1
    text = "Request failed"
    meaning = "The gateway met something unexpected, or path or method name nothing that it offers."
    advice = "Check path and method; else give the traceId to whoever runs the gateway."


class AuthenticationFailed(Failure):
    """The caller could not be identified; the family of codes 1001 to 1005."""


class MissingHeader(AuthenticationFailed):
    """One of the five headers of a signed request is missing or empty."""

    code = 1001
    text = "Authentication failed (missing common parameters)"
    meaning = "One of the headers accessKey, ts, bizType, action, sign is missing or empty."
    advice = "Send all five headers with every request."


class HeaderInvalid(AuthenticationFailed):
    """`bizType` or `action` does not fit the endpoint."""

    code = 1002
    text = "Authentication failed (parameter error)"
    meaning = "bizType is not 2, or action is not the one of this endpoint."
    advice = "Send bizType 2 and action mt."


class SignatureInvalid(AuthenticationFailed):
    """`sign` is not the digest of this request under this account's secret."""

    code = 1003
    text = "Authentication failed (invalid signature)"
    meaning = "The signature does not fit headers, body and secret."
    advice = "Sign exactly the bytes that are sent; `waypost doctor signature` names the likeliest cause."


class TimestampExpired(AuthenticationFailed):
    """`ts` is more than 60 seconds away from the gateway's clock, or is not in milliseconds."""

    code = 1004
    text = "Authentication failed (timestamp has expired)"
    meaning = "ts is not a time in milliseconds within 60 seconds of the gateway's clock."
    advice = "Send the current time in milliseconds (13 digits) and keep the machine's clock right."


class PermissionDenied(AuthenticationFailed):
    """`accessKey` names no account that may use this API."""

    code = 1005
    text = "Authentication failed (insufficient permissions)"
    meaning = "The accessKey is unknown or disabled."
    advice = "Check the accessKey; ask whoever runs the gateway whether the account is enabled."


class ParameterInvalid(Failure):
    """The body is not a request that this endpoint takes; `path` and `details` say where and why."""

    code = 9000
    text = "Parameter exception"
    meaning = "The body is missing something, or a member has a wrong type or value."
    advice = "Read data.error: path names the member, details says what is wrong with it."

    def data(self) -> dict[str, object]:
        """Return the path of the culprit and what is wrong with it (decision D11)."""
        return {"error": {"path": self.path or "$", "details": self.details}}


class SystemBusy(Failure):
    """The gateway cannot write the message down just now, so it does not send it either."""

    code = 9001
    text = "System business error"
    meaning = "The gateway could not take the message just now; nothing was sent."
    advice = "Repeat the request later; tell whoever runs the gateway if it lasts."


class PhoneUnknown(Failure):
    """`business_phone` is no number of this account."""

    code = 9002
    text = "Merchant phone number error"
    meaning = "business_phone is not a WhatsApp number of this account."
    advice = "Check the number, with country code."


class ApplicationUnavailable(Failure):
    """`appkey` names no application of this account, or a disabled one."""

    code = 9003
    text = "Application does not exist/unavailable"
    meaning = "The appkey names no application of this account, or the application is disabled."
    advice = "Check the appkey; ask whoever runs the gateway to create or enable the application."


class PriceMissing(Failure):
    """The application has prices, but none for the recipient's country."""

    code = 9004
    text = "No corresponding country pricing for the application"
    meaning = "The application is billed, and no price covers the country of the recipient."
    advice = "Ask whoever runs the gateway to add a price for that country."


class PhoneNotBound(Failure):
    """The sending number exists but is not bound to this application."""

    code = 10003
    text = "WhatsApp business phone is not bind app"
    meaning = "The number belongs to the account but is not bound to this application."
    advice = "Ask whoever runs the gateway to bind the number to the application."


class TemplateUnavailable(Failure):
    """The template does not exist in that language, or Meta has not approved or has paused it."""

    code = 10005
    text = "WhatsApp Template does not exist or low quality"
    meaning = "No approved template of that name and language exists for this number."
    advice = "Check name and language; look up the state of the template at Meta."


class MetaRefused(Failure):
    """Meta answered with an error; the customer gets Meta's error object as it is."""

    code = 9099
    text = "WhatsApp error"
    meaning = "Meta refused the message; data.error is Meta's own error object."
    advice = "Look up data.error.code in Meta's error list."

    def __init__(self, error: dict[str, object], details: str = "") -> None:
        super().__init__(details)
        self.error = error

    def data(self) -> dict[str, object]:
        """Return Meta's error object under `error`, as NxCloud does."""
        return {"error": self.error}


FAILURES: tuple[type[Failure], ...] = (
    RequestFailed,
    MissingHeader,
    HeaderInvalid,
    SignatureInvalid,
    TimestampExpired,
    PermissionDenied,
    ParameterInvalid,
    SystemBusy,
    PhoneUnknown,
    ApplicationUnavailable,
    PriceMissing,
    MetaRefused,
    PhoneNotBound,
    TemplateUnavailable,
)
