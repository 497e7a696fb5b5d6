"""Alert rules and dashboard: whole, and about nothing but what a running gateway exposes."""

import asyncio
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec

from tests.deploy import expressions, programs, yaml_files
from tests.deploy.exposed import Exposed, by_a_gateway
from tests.deploy.report import Report
from tests.docs.test_readme import anchors

Duration = Annotated[str, msgspec.Meta(pattern=r"^\d+(ms|s|m|h|d|w|y)\Z")]
_SEVERITIES = {"critical", "warning", "info"}
_LABEL = re.compile(r"\$labels\.(\w+)")
_LEGEND = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_LABEL_VALUES = re.compile(r"label_values\((\w+), (\w+)\)")


class Rule(msgspec.Struct, forbid_unknown_fields=True):
    """One alert."""

    alert: Annotated[str, msgspec.Meta(pattern=r"^Waypost[A-Z]\w+\Z")]
    expr: str
    labels: dict[str, str]
    annotations: dict[str, str]
    for_: Duration = msgspec.field(name="for", default="0s")


class Group(msgspec.Struct, forbid_unknown_fields=True):
    """Rules that are evaluated together."""

    name: str
    rules: list[Rule]


class RuleFile(msgspec.Struct, forbid_unknown_fields=True):
    """What Prometheus reads."""

    groups: list[Group]


def check(root: Path, report: Report, exposed: Exposed | None = None) -> None:
    """Check alert rules and dashboard against what a gateway exposes: one started for that, unless it is given."""
    if exposed is None:
        exposed = asyncio.run(by_a_gateway())
    used = {*_check_rules(root, exposed, report), *_check_dashboard(root, exposed, report)}
    unseen = sorted(name for name in used if name in exposed and exposed[name] is None)
    if unseen:
        report.not_checked(f"the labels of {', '.join(unseen)}: the demo leaves no such series")
    families = {name for name in exposed if not name.endswith(("_created", "_sum", "_count"))}
    if unused := sorted(families - used):
        report.not_checked(f"{', '.join(unused)}: no panel and no alert is about it")
    report.ok(f"{len(used)} series of {len(exposed)} that a running gateway exposes, none that it does not")


def _check_rules(root: Path, exposed: Exposed, report: Report) -> set[str]:
    file = root / "deploy" / "prometheus" / "waypost.rules.yaml"
    content = yaml_files.documents(file, report)
    try:
        rules = [rule for one in content for group in msgspec.convert(one, RuleFile).groups for rule in group.rules]
    except msgspec.ValidationError as error:
        report.bad(f"{file.name}: {error}")
        return set()
    names = [rule.alert for rule in rules]
    report.expect(len(names) == len(set(names)), f"{file.name}: two alerts have one name")
    for rule in rules:
        for words in _rule_misfits(rule, root, exposed):
            report.bad(f"{rule.alert}: {words}")
    report.ok(f"{len(rules)} alert rules")
    if promtool := programs.find("promtool"):
        read = programs.call([promtool, "check", "rules", str(file)])
        report.expect(read.code == 0, f"{file.name}: {read.said}")
    else:
        report.not_checked("the rules by promtool: it is not at hand; the parser of promql-parser has read them")
    return _series(rule.expr for rule in rules)


def _rule_misfits(rule: Rule, root: Path, exposed: Exposed) -> Iterator[str]:
    wrong = list(expressions.misfits(rule.expr, exposed))
    yield from wrong
    if rule.labels.get("severity") not in _SEVERITIES:
        yield f"its severity is {rule.labels.get('severity')}"
    labels = None if wrong else expressions.result_labels(rule.expr, exposed)
    for word in rule.annotations.values():
        for label in _LABEL.findall(word):
            if labels is not None and label not in labels:
                yield f"its words name the label {label}, which the result has not"
        if word.count("{{") != word.count("}}"):
            yield f"braces that don't fit in {word!r}"
    page, _, anchor = rule.annotations.get("runbook", "").partition("#")
    if not (root / page).is_file() or (anchor and anchor not in anchors((root / page).read_text("utf-8"))):
        yield f"its runbook {rule.annotations.get('runbook')} does not exist"
    if not {"summary", "description"} <= set(rule.annotations):
        yield "it has no summary, or no description"


def _check_dashboard(root: Path, exposed: Exposed, report: Report) -> set[str]:
    file = root / "deploy" / "grafana" / "waypost.json"
    try:
        dashboard: dict[str, Any] = msgspec.json.decode(file.read_bytes())
    except msgspec.DecodeError as error:
        report.bad(f"{file.name}: {error}")
        return set()
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    report.expect(dashboard["uid"] == "waypost" and "id" not in dashboard, "the dashboard would not replace itself")
    variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
    asked = []
    for panel in panels:
        for target in panel["targets"]:
            asked.append(target["expr"])
            for words in _target_misfits(target, set(variables), exposed):
                report.bad(f"panel {panel['title']!r}: {words}")
    for variable in variables.values():
        for name, label in _LABEL_VALUES.findall(variable.get("definition", "")):
            asked.append(name)
            for words in expressions.misfits(f"sum by ({label}) ({name})", exposed):
                report.bad(f"variable {variable['name']}: {words}")
    for words in _layout_misfits(dashboard["panels"]):
        report.bad(words)
    report.ok(f"dashboard: {len(panels)} panels, their expressions, legends and places, {len(variables)} variables")
    return _series(asked)


def _target_misfits(target: dict[str, Any], variables: set[str], exposed: Exposed) -> Iterator[str]:
    wrong = list(expressions.misfits(target["expr"], exposed))
    yield from wrong
    if target["datasource"]["uid"] != "${datasource}":
        yield "its data source is not the one that is chosen"
    for name in set(re.findall(r"\$(?!__)(\w+)", target["expr"])) - variables:
        yield f"there is no variable {name}"
    labels = None if wrong else expressions.result_labels(target["expr"], exposed)
    for label in _LEGEND.findall(target.get("legendFormat", "")):
        if labels is not None and label not in labels:
            yield f"its legend names the label {label}, which the result has not"


def _layout_misfits(panels: list[dict[str, Any]]) -> Iterator[str]:
    taken: dict[tuple[int, int], str] = {}
    if len({panel["id"] for panel in panels}) < len(panels):
        yield "two panels have one id"
    for panel in panels:
        place = panel["gridPos"]
        if place["x"] + place["w"] > 24:
            yield f"panel {panel['title']!r} is wider than the dashboard"
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                if (x, y) in taken:
                    yield f"panel {panel['title']!r} covers {taken[x, y]!r}"
                    return
                taken[x, y] = panel["title"]


def _series(texts: Iterable[str]) -> set[str]:
    found = set()
    for text in texts:
        try:
            found |= {str(selector.name) for selector in expressions.selectors(expressions.parsed(text))}
        except ValueError:  # already told
            continue
    return found
