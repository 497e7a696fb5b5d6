"""What the control API can set: the webhook, the mode, the single checks, and the objects declared to exist."""

from typing import Annotated, Literal

import msgspec

CHECKS = ("tokens", "objects", "templates", "window", "limits")

NotNegative = Annotated[float, msgspec.Meta(ge=0)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
ObjectId = Annotated[str, msgspec.Meta(pattern="^[0-9]{1,32}$")]


class Template(msgspec.Struct, kw_only=True):
    """A template as `message_templates` lists it. `components` left out = contents unknown, so never checked."""

    name: str
    language: str = "en_US"
    category: Literal["MARKETING", "UTILITY", "AUTHENTICATION"] = "MARKETING"
    status: str = "APPROVED"
    parameter_format: Literal["POSITIONAL", "NAMED"] = "POSITIONAL"
    components: list[dict[str, object]] | None = None
    id: str = ""


class Phone(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A business phone. `send_error` refuses every send with that code of Meta's (133010, 131031, 131042, 131057 …)."""

    id: ObjectId
    display_phone_number: str = ""
    verified_name: str = "Simulated business"
    messages_per_second: Positive = 80
    send_error: int | None = None
    allowed_recipients: list[str] | None = None
    blocked_recipients: list[str] = []


class Waba(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A WhatsApp Business Account. With `access_token`, only this token may use it where tokens are checked."""

    waba_id: ObjectId
    name: str = "Simulated account"
    access_token: str | None = None
    phones: list[Phone] = []
    templates: list[Template] = []
    send_error: int | None = None
    marketing_messages_onboarding_status: str = "ONBOARDED"
    disable_marketing_messages_on_cloud_api: bool = False


class Limits(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Meta's rate limits. The application's own limit depends on its users and is unpublished: the figure is ours."""

    pair_burst: Positive = 45
    pair_interval_s: NotNegative = 6
    waba_calls_per_hour: Positive = 5000
    app_calls_per_hour: Positive = 50_000


class Config(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Everything that `PUT /_simulator/config` takes."""

    webhook_url: str | None = None
    app_secret: str = "simulator-app-secret"  # noqa: S105 - a documented default of a test tool
    verify_token: str = "simulator-verify-token"  # noqa: S105
    mode: Literal["open", "strict"] = "open"
    time_factor: NotNegative = 1.0
    seed: Annotated[int, msgspec.Meta(ge=0)] | None = None
    wabas: list[Waba] = []
    check_tokens: bool | None = None
    check_objects: bool | None = None
    check_templates: bool | None = None
    check_window: bool | None = None
    check_limits: bool | None = None
    limits: Limits = msgspec.field(default_factory=Limits)
    auto_statuses: bool = True
    webhook_version: Annotated[str, msgspec.Meta(pattern=r"^v[0-9]{1,2}\.[0-9]$")] = "v23.0"
    webhook_timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 5.0

    def checks(self, name: str) -> bool:
        """Whether one of `CHECKS` is on: as switched singly, else as the mode has it."""
        switched: bool | None = getattr(self, f"check_{name}")
        return self.mode == "strict" if switched is None else switched


class BadConfig(ValueError):
    """The control call's body is not what it should be; the text says what to change."""


def merged(current: Config, change: object) -> Config:
    """`current` with the keys of `change` replaced, each as a whole.

    Raises `BadConfig` for an unknown key, a value of a wrong type, or objects declared twice.
    """
    if not isinstance(change, dict):
        raise BadConfig("send a JSON object with the keys to change")
    try:
        config = msgspec.convert(msgspec.to_builtins(current) | change, Config)
    except msgspec.ValidationError as error:
        raise BadConfig(f"{error}; known keys: {', '.join(Config.__struct_fields__)}") from None
    phones = [phone.id for waba in config.wabas for phone in waba.phones]
    names = [waba.waba_id for waba in config.wabas] + phones
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise BadConfig(f"declare each id once; declared twice: {', '.join(repeated)}")
    if config.webhook_url is not None and not config.webhook_url.startswith(("http://", "https://")):
        raise BadConfig("webhook_url must begin with http:// or https://, or be null")
    return config
