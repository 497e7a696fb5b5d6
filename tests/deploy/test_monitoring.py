"""Alert rules and dashboard: what no gateway exposes is found, and so is what Prometheus or Grafana could not use."""

import re

import pytest

from tests.deploy import exposed, monitoring
from tests.deploy.conftest import Artefacts
from tests.deploy.exposed import Exposed
from tests.deploy.report import Report
from tests.docs.source import ROOT

RULES = "deploy/prometheus/waypost.rules.yaml"
DASHBOARD = "deploy/grafana/waypost.json"
LABELS = {
    "waypost_answers_total": ("path", "code"),
    "waypost_paused": ("kind",),
    "waypost_queued": ("phone_number_id", "priority"),
    "waypost_webhooks_total": ("answer",),
}
SLIPS = [
    (RULES, "waypost_paused", "waypost_halted", "waypost_halted is exposed by no gateway"),
    (RULES, "max by (kind)", "max by (sort)", "nothing in it has the label sort"),
    (RULES, 'path="/api/wa/mt", code="9099"', 'route="/api/wa/mt", code="9099"', "has no label route"),
    (RULES, "9001|-1", "9011|-1", "no code is 9011|-1"),
    (RULES, 'state="abandoned"', 'state="given up"', "no state is given up"),
    (RULES, "{{ $labels.answer }}", "{{ $labels.status }}", "its words name the label status"),
    (RULES, "{{ $labels.answer }}", "{{ $labels.answer }", "braces that don't fit"),
    (RULES, "max(waypost_callbacks_due)", "max(waypost_callbacks_due", "unclosed left parenthesis"),
    (RULES, "rate(waypost_statuses_total[15m])", "rate(waypost_statuses_total)", "expected type matrix"),
    (RULES, "for: 30m", "for: half an hour", "waypost.rules.yaml: "),
    (RULES, "        for: 30m", "        fro: 30m", "unknown field `fro`"),
    (RULES, "severity: critical", "severity: bad", "its severity is bad"),
    (RULES, "queue.md#limits", "queue.md#ends", "its runbook docs/operate/queue.md#ends does not exist"),
    (RULES, "alert: WaypostPaused", "alert: WaypostQueueOld", "two alerts have one name"),
    (RULES, "groups:\n", "groups\n", "syntax error"),
    (DASHBOARD, "max(waypost_unsettled", "max(waypost_unknown", "waypost_unknown is exposed by no gateway"),
    (
        DASHBOARD,
        "label_values(waypost_queued,",
        "label_values(waypost_waiting,",
        "variable phone: waypost_waiting is exposed",
    ),
    (DASHBOARD, '"{{code}}"', '"{{answer}}"', "its legend names the label answer"),
    (DASHBOARD, '"uid": "${datasource}"', '"uid": "prometheus"', "is not the one that is chosen"),
    (DASHBOARD, 'phone_number_id=~\\"$phone\\"', 'phone_number_id=~\\"$number\\"', "there is no variable number"),
    (DASHBOARD, '"y": 6', '"y": 4', "covers"),
    (DASHBOARD, '"id": 3,', '"id": 2,', "two panels have one id"),
    (DASHBOARD, '"panels": [', '"panels": {', "waypost.json: "),
]


@pytest.fixture
def of_a_gateway() -> Exposed:
    """Every series that the artefacts speak of, with the labels of some: what `make check` asks a gateway for."""
    texts = [(ROOT / file).read_text("utf-8") for file in (RULES, DASHBOARD)]
    names = {name for text in texts for name in re.findall(r"\bwaypost_\w+", text)}
    return {name: frozenset(LABELS[name]) if name in LABELS else None for name in names}


@pytest.mark.parametrize(("file", "old", "new", "words"), SLIPS, ids=[str(number) for number in range(len(SLIPS))])
def test_a_slip_is_found(
    artefacts: Artefacts, of_a_gateway: Exposed, file: str, old: str, new: str, words: str
) -> None:
    artefacts.slip(file, old, new)
    report = Report()
    monitoring.check(artefacts.root, report, of_a_gateway)
    assert any(words in wrong for wrong in report.wrong), report.wrong


def test_without_a_slip_nothing_is_wrong(of_a_gateway: Exposed) -> None:
    report = Report()
    monitoring.check(ROOT, report, of_a_gateway)
    assert report.wrong == []


def test_a_metric_that_was_renamed_in_the_gateway_is_found_in_both(of_a_gateway: Exposed) -> None:
    del of_a_gateway["waypost_meta_silent"]
    report = Report()
    monitoring.check(ROOT, report, {**of_a_gateway, "waypost_silent_wabas": frozenset()})
    assert [wrong for wrong in report.wrong if "waypost_meta_silent is exposed by no gateway" in wrong] == [
        "WaypostMetaSilent: waypost_meta_silent is exposed by no gateway",
        "panel 'Meta is silent': waypost_meta_silent is exposed by no gateway",
    ]
    assert any("waypost_silent_wabas: no panel and no alert is about it" in words for words in report.left_out)


def test_series_are_read_from_a_page_of_metrics() -> None:
    page = """
# TYPE waypost_answers_total counter
waypost_answers_total{code="0",path="/api/wa/mt"} 8.0
# TYPE waypost_answer_seconds histogram
waypost_answer_seconds_bucket{le="+Inf",path="/api/wa/mt"} 8.0
waypost_answer_seconds_count{path="/api/wa/mt"} 8.0
waypost_answer_seconds_sum{path="/api/wa/mt"} 0.08
# TYPE waypost_queue_ended_total counter
# TYPE waypost_unsettled gauge
waypost_unsettled NaN
"""
    assert exposed.read(page) == {
        "waypost_answers_total": {"code", "path"},
        "waypost_answer_seconds_bucket": {"le", "path"},
        "waypost_answer_seconds_count": {"path"},
        "waypost_answer_seconds_sum": {"path"},
        "waypost_queue_ended_total": None,
        "waypost_unsettled": frozenset(),
    }
