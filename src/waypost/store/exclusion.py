"""The names of what a transaction works on alone (see `Session.exclusive`)."""

# The sorts of names, and the order in which they are taken where several are taken at once.
_KEY, _META_ID, _MESSAGE, _LANE, _PAIR, _CLAIM = "abcdef"


def key(account: str, name: str) -> str:
    """Name the key under which a message is held."""
    return f"{_KEY} {account} {name}"


def meta_id(phone_number_id: str, name: str) -> str:
    """Name one of Meta's ids on a phone: whose it is, and what is parked under it."""
    return f"{_META_ID} {phone_number_id} {name}"


def message(message_id: str) -> str:
    """Name a message with all that hangs on it."""
    return f"{_MESSAGE} {message_id}"


def lane(phone_number_id: str, recipient: str, appkey: str) -> str:
    """Name the lanes of one application to one recipient."""
    return f"{_LANE} {phone_number_id} {recipient} {appkey}"


def pair(phone_number_id: str, recipient: str) -> str:
    """Name what may settle messages of one phone to one recipient."""
    return f"{_PAIR} {phone_number_id} {recipient}"


def claim(endpoint: str) -> str:
    """Name the claiming of an endpoint's callbacks."""
    return f"{_CLAIM} {endpoint}"


def is_local(name: str) -> bool:
    """Tell whether only the transactions of one process exclude each other: a claim passes over what others claim."""
    return name.startswith(_CLAIM)
