"""PromQL: parsed, and held against the series that a running gateway exposes."""

import re
from collections.abc import Iterator

import promql_parser
from promql_parser import AggModifierType, AggregateExpr, Expr, VectorSelector

from tests.deploy.exposed import Exposed
from waypost.model import CallbackState, State
from waypost.protocol.errors import FAILURES

OF_PROMETHEUS: Exposed = {"up": frozenset()}
_EVERYWHERE = frozenset({"job", "instance"})  # what Prometheus adds to every series
_STATES = {*CallbackState, *State, "retried"}
_VALUES = {"code": {"0", *(str(failure.code) for failure in FAILURES)}, "state": _STATES, "outcome": set(State)}
_GRAFANA_INTERVAL = re.compile(r"\$__(rate_)?interval\b")
_GRAFANA_VALUE = re.compile(r"\$\w+|\$\{\w+\}")


def parsed(text: str) -> Expr:
    """Return an expression's tree; raises `ValueError` where Prometheus would refuse it."""
    tree: Expr = promql_parser.parse(_GRAFANA_INTERVAL.sub("5m", text))
    return tree


def misfits(text: str, exposed: Exposed) -> Iterator[str]:
    """Say what in an expression would find nothing: series, labels and values that no gateway has."""
    try:
        tree = parsed(text)
    except ValueError as error:
        yield f"{text}: {error}"
        return
    for selector in selectors(tree):
        name = str(selector.name)
        if name not in exposed and name not in OF_PROMETHEUS:
            yield f"{name} is exposed by no gateway"
        known = _labels(selector, exposed)
        for matcher in selector.matchers.matchers:
            if known is not None and matcher.name not in known:
                yield f"{name} has no label {matcher.name}"
            values = set() if _GRAFANA_VALUE.search(matcher.value) else set(matcher.value.split("|"))
            if matcher.name in _VALUES and not values <= _VALUES[matcher.name]:
                yield f"{name}: no {matcher.name} is {matcher.value}"
    for node in _nodes(tree):
        if isinstance(node, AggregateExpr) and node.modifier is not None:
            known = _inner_labels(node.expr, exposed)
            for label in node.modifier.labels:
                if known is not None and label not in known:
                    yield f"{text}: nothing in it has the label {label}"


def result_labels(text: str, exposed: Exposed) -> frozenset[str] | None:
    """Return the labels that the result of an expression has, or None where nobody knows."""
    outermost = next((node for node in _nodes(parsed(text)) if isinstance(node, AggregateExpr)), None)
    if outermost is None:
        return _inner_labels(parsed(text), exposed)
    if outermost.modifier is None:
        return frozenset()
    if outermost.modifier.type == AggModifierType.Without:
        return None
    return frozenset(outermost.modifier.labels)


def selectors(tree: Expr) -> list[VectorSelector]:
    """Return what an expression selects."""
    return [node for node in _nodes(tree) if isinstance(node, VectorSelector)]


def _nodes(tree: Expr) -> list[Expr]:
    found: list[Expr] = []
    promql_parser.walk(tree, found.append)
    return found


def _labels(selector: VectorSelector, exposed: Exposed) -> frozenset[str] | None:
    own = {**OF_PROMETHEUS, **exposed}.get(str(selector.name))
    return None if own is None else own | _EVERYWHERE


def _inner_labels(tree: Expr, exposed: Exposed) -> frozenset[str] | None:
    found: frozenset[str] = frozenset()
    for selector in selectors(tree):
        own = _labels(selector, exposed)
        if own is None:
            return None
        found |= own
    return found
