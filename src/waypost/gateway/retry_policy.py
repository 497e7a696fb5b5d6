"""What becomes of a message that Meta refused: failed at once or kept, and what else has to wait. Pure.

The rules are one table, from Meta's documentation of its error codes and rate limits and from what operators report.
Only definite refusals are decided here; what may have been taken is unknown and has no retry policy (decision D6).
"""

from typing import Literal, NamedTuple

from waypost.meta.errors import TABLE, MetaError, RetryClass, Scope
from waypost.model import Noun

RETRIES_EXHAUSTED = 910_004
THROTTLED = 130_429

HoldKind = Literal["pair", "phone", "waba", "app"]

_JITTER = 0.2  # so that what was refused together does not come back together
_MINUTE, _HOUR = 60, 3600
_DAY = 24 * _HOUR
_LONGEST_TOLD_S = (
    _HOUR  # a wrong figure in a header of Meta's must not stop a WABA for days; asking hourly costs a call
)
_SHORTEST_TOLD_S = 1


class WiderHold(Noun, frozen=True, kw_only=True):
    """What has to wait besides the message that was refused.

    `wait_ms` counts from now. None: until it is lifted, and the operator is to be told; by a person alone where Meta
    restricts somebody (`restricted`), else also by a change of the tenants. `reason` is for people. All messages that
    were under way together bring the same hold, so the caller drops what it knows already.
    """

    kind: HoldKind
    wait_ms: int | None
    reason: str
    restricted: bool = False


class Decision(Noun, frozen=True, kw_only=True):
    """What to do with a message that Meta refused.

    fail: with `code`, where None stands for Meta's own. retry: it is due `wait_ms` from now, and waits `aside` where
    the trouble is not its lane's; or `keeps_place`, where the trouble is not the message's: its due time does not
    change, so it stays the oldest, and only `hold` delays it. A hold counts whatever the fate.
    """

    fate: Literal["fail", "retry"]
    code: int | None = None
    wait_ms: int = 0
    aside: bool = False
    keeps_place: bool = False
    hold: WiderHold | None = None


class Waits(NamedTuple):
    """Seconds by number of refusals; the last figure repeats. `at_least`: Meta's own, so jitter only lengthens them."""

    seconds: tuple[int, ...]
    at_least: bool = False


class Again(NamedTuple):
    """The message itself is due later, until it was refused more than `tries` times and is older than `horizon_s`.

    Both, because it may have waited, or been refused, for other reasons before. `aside`: later ones to the recipient
    may go first meanwhile, because what it waits for is no trouble of theirs.
    """

    waits: Waits
    tries: int
    horizon_s: int
    aside: bool = False


class Brake(NamedTuple):
    """What waits besides the message, how long (None: until lifted), and in which words (none: those of the error).

    `restricted`: by Meta, for what was sent; no other token changes that.
    """

    kind: HoldKind
    waits: Waits | None = None
    words: str = ""
    restricted: bool = False

    def words_of(self, error: MetaError) -> str:
        """Return the reason to wait, for people."""
        return self.words or f"{error.title} (Meta's code {error.code})"


class Rule(NamedTuple):
    """One row: the class and what of it (codes; else a scope; else whatever is left), what follows, and why.

    Without `again` and `brake` the message fails; with a brake alone it keeps its place and never gives up, for its
    time to live is its application's business.
    """

    retry_class: RetryClass
    about: tuple[int, ...] | Scope | None
    again: Again | None
    brake: Brake | None
    why: str


_BACKOFF = Again(Waits((2, 4, 8, 16, 32, 64, 128, 256, 5 * _MINUTE)), tries=10, horizon_s=_DAY)
_PAIR = Again(Waits((1, 4, 16, 64, 256, 5 * _MINUTE), at_least=True), tries=10, horizon_s=_DAY)
_NEXT_DAY = Again(Waits((_DAY,), at_least=True), tries=1, horizon_s=_DAY, aside=True)
_FLOW = Again(
    Waits((6 * _MINUTE, 12 * _MINUTE, 24 * _MINUTE, 48 * _MINUTE, _HOUR)), tries=10, horizon_s=_DAY, aside=True
)
_NEW_TEMPLATE = Again(Waits((10 * _MINUTE,)), tries=6, horizon_s=_HOUR, aside=True)
_CALLS = Waits((30, _MINUTE, 2 * _MINUTE, 5 * _MINUTE))
_STOP_PHONE, _STOP_WABA = Brake("phone"), Brake("waba")
_RESTRICTED_PHONE, _RESTRICTED_WABA = Brake("phone", restricted=True), Brake("waba", restricted=True)

# One rule, one row:
# fmt: off
RULES = (
    # throttled: Meta did not take it, and will
    Rule("RATE", (130429,), None, Brake("phone", Waits((1, 2, 4, 8)), "throughput of the number"),
         "The limit is the number's and counts by the second; pacing learns from the first refusal."),
    Rule("RATE", (131057,), None, Brake("phone", Waits((45,)), "maintenance of the number"),
         "Meta moves the number to a higher throughput, which takes up to a minute."),
    Rule("RATE", "waba", None, Brake("waba", _CALLS, "call limit of the WABA"),
         "The count is the WABA's; Meta's usage header may say how long. Calls meanwhile lengthen it."),
    Rule("RATE", "app", None, Brake("app", _CALLS, "call limit of the app"),
         "The count is the Meta app's, over all its WABAs. Calls meanwhile lengthen it."),
    Rule("RATE", "pair", _PAIR, Brake("pair", _PAIR.waits, "pair limit"),
         "Only this recipient. Meta asks for 4^n seconds; 270 s pay back the largest burst, 45 messages."),
    Rule("RATE", (134101,), _NEW_TEMPLATE, None,
         "Meta prepares a template for its marketing endpoint within ten minutes; after an hour something is wrong."),
    Rule("RATE", None, _BACKOFF, Brake("phone", Waits((1,)), "throttled by Meta"),
         "HTTP 429 with a code that Meta has not documented: slow down, but a message that always gets it steps back."),
    # a fault at Meta
    Rule("TRANS", (131016,), _BACKOFF, None,
         "Nothing says whom it concerns, so each message backs off; an outage of hours costs none."),
    Rule("TRANS", None, None, None,
         "Nobody knows that Meta did not take it. 1, 2 and 131000 never come here: they leave a message unknown."),
    # not for hours
    Rule("LATER", (131048,), None, _RESTRICTED_PHONE,
         "Recipients reported the number. Whatever it sends now makes that worse, so a person decides."),
    Rule("LATER", (131064,), None, _RESTRICTED_WABA,
         "Meta limits the whole WABA until its templates are in the right categories."),
    Rule("LATER", (131049,), _NEXT_DAY, None,
         "Within 24 hours a repeat makes the recipient unreachable for longer; a second refusal is final."),
    Rule("LATER", (132069,), _FLOW, None,
         "The template's flow may go out ten times an hour; other templates are not concerned."),
    Rule("LATER", None, None, None,
         "Withheld by an experiment of Meta's (130472); only a message that the recipient writes ends that."),
    # a person is needed
    Rule("CONF", (0, 102, 104, 190), None, _STOP_WABA,
         "Without a valid token nothing of the WABA gets through; with a new one all of it does."),
    Rule("CONF", (3, 10, *range(200, 300)), None, _STOP_WABA,
         "A permission belongs to app, token and WABA, not to one message."),
    Rule("CONF", (368, 131031), None, _RESTRICTED_WABA,
         "The account is blocked or locked. That may end by itself, but somebody must know why before it goes on."),
    Rule("CONF", (33, 100, 803, 131005, 131037, 131045, 133010), None, _STOP_PHONE,
         "The number is gone, not registered, not approved or not ours. (100 only with subcode 33: unknown object.)"),
    Rule("CONF", (131042,), None, None,
         "Perhaps only what costs money is refused: free replies and other numbers must not stop for it."),
    Rule("CONF", (131044, 134011), None, None,
         "About calls, or messages that ask for a payment; all others go on."),
    Rule("CONF", (131063, 134102, 134103), None, None,
         "Marketing by the wrong endpoint, or before the WABA is ready for it; one-time codes go on."),
    Rule("CONF", (2500,), None, None,
         "An address that Meta does not know, perhaps of one number or one endpoint only; seen at the first message."),
    Rule("CONF", None, None, None,
         "Not documented by Meta (133xxx): too little to stop a number for everybody."),
    # refused for good
    Rule("PERM", None, None, None, "The same message will be refused again."),
    Rule("TPL", None, None, None, "The template needs a person, and may never come back; other templates go on."),
    Rule("USER", None, None, None, "This recipient can't be reached like this."),
    Rule("MGMT", None, None, None, "No answer to a message; a repeat changes nothing."),
)
# fmt: on


def rule_of(error: MetaError) -> Rule:
    """Return the row that an error leads to: the one with its code, else with its scope, else the rest of its class."""
    rules = [rule for rule in RULES if rule.retry_class == error.retry_class]
    named = [rule for rule in rules if isinstance(rule.about, tuple) and error.code in rule.about]
    scoped = [rule for rule in rules if rule.about == error.scope]
    rest = [rule for rule in rules if rule.about is None]
    return (named or scoped or rest)[0]


def decide(error: MetaError, *, tries: int, waited_ms: int, chance: float, regain_s: float | None = None) -> Decision:
    """Decide what becomes of a message that Meta definitely refused.

    `tries` counts the refusals of this message, this one included; `waited_ms` is the time since we accepted it from
    the customer; `chance` is a random number from 0 to 1; `regain_s` is what Meta's usage header says until the WABA
    or app may call again, if it says anything.
    """
    rule = rule_of(error)
    hold = _hold(rule.brake, error, tries, chance, regain_s) if rule.brake else None
    if rule.again is None:
        return Decision(fate="retry", keeps_place=True, hold=hold) if hold else Decision(fate="fail")
    if tries > rule.again.tries and waited_ms >= 1000 * rule.again.horizon_s:
        return Decision(fate="fail", code=RETRIES_EXHAUSTED, hold=hold)
    wait_ms = _wait_ms(rule.again.waits, tries, chance)
    return Decision(fate="retry", wait_ms=wait_ms, aside=rule.again.aside, hold=hold)


def _hold(brake: Brake, error: MetaError, tries: int, chance: float, regain_s: float | None) -> WiderHold:
    wait_ms = None if brake.waits is None else _wait_ms(brake.waits, tries, chance)
    if wait_ms is not None and brake.kind in ("waba", "app") and regain_s is not None and regain_s > 0:
        wait_ms = round(1000 * min(max(regain_s, _SHORTEST_TOLD_S), _LONGEST_TOLD_S))
    return WiderHold(kind=brake.kind, wait_ms=wait_ms, reason=brake.words_of(error), restricted=brake.restricted)


def _wait_ms(waits: Waits, tries: int, chance: float) -> int:
    due_s = waits.seconds[min(tries, len(waits.seconds)) - 1]
    stretch = chance if waits.at_least else 2 * chance - 1
    return round(1000 * due_s * (1 + _JITTER * stretch))


def render_table() -> str:
    """Return the rules as Markdown, for the operator's documentation."""
    lines = ["| Class | Codes | The message | Besides | Why |", "| --- | --- | --- | --- | --- |"]
    lines += [
        f"| {rule.retry_class} | {_about(rule)} | {_message(rule)} | {_besides(rule.brake)} | {rule.why} |"
        for rule in RULES
    ]
    return "\n".join(lines) + "\n"


def _about(rule: Rule) -> str:
    if rule.about is None:
        alone = sum(other.retry_class == rule.retry_class for other in RULES) == 1
        return "all" if alone else "others"
    codes = rule.about if isinstance(rule.about, tuple) else [code for code in TABLE if rule_of(TABLE[code]) is rule]
    permissions = range(200, 300)
    written = ", ".join(map(str, codes))
    return written.replace(", ".join(map(str, permissions)), f"{permissions[0]}–{permissions[-1]}")


def _message(rule: Rule) -> str:
    if rule.again is None:
        return "keeps its place" if rule.brake else "fails"
    times = "once" if rule.again.tries == 1 else f"{rule.again.tries} times"
    end = f"fails if refused more than {times} and older than {_span(rule.again.horizon_s)}"
    meanwhile = ", later ones first" if rule.again.aside else ""
    return f"again after {_spans(rule.again.waits)}{meanwhile}; {end}"


def _besides(brake: Brake | None) -> str:
    if brake is None:
        return ""
    if brake.restricted:
        return f"{brake.kind}: until a person lifts it, alarm"
    return f"{brake.kind}: until lifted, alarm" if brake.waits is None else f"{brake.kind}: {_spans(brake.waits)}"


def _spans(waits: Waits) -> str:
    return ", ".join(_span(seconds) for seconds in waits.seconds)


def _span(seconds: int) -> str:
    for unit_s, name in ((_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= unit_s and seconds % unit_s == 0:
            return f"{seconds // unit_s} {name}"
    return f"{seconds} s"
