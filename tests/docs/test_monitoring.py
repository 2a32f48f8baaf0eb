"""The page on monitoring says what the code counts and logs; its alerts ask for what there is."""

import ast
import re
from collections.abc import Iterator

import orjson
import pytest
import yaml
from page_tables import rows

from service.settings import ROOT
from service.web.metrics import Metrics

ALERTS = yaml.safe_load((ROOT / "docs/examples/monitoring-alerts.yaml").read_text())
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]


def logged() -> Iterator[tuple[str, frozenset[str]]]:
    """Yields each event that the code logs, with its fields."""
    for path in (*(ROOT / "service").rglob("*.py"), ROOT / "gunicorn.conf.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Dict):
                fields = {
                    key.value: value
                    for key, value in zip(node.keys, node.values, strict=True)
                    if isinstance(key, ast.Constant)
                }
                if isinstance(fields.get("event"), ast.Constant):
                    yield fields["event"].value, frozenset(fields) - {"event"}


def families() -> dict[str, tuple[str, ...]]:
    """Returns the labels of each metric by its name as it is shown."""
    metrics = Metrics()
    held = [*vars(metrics).values(), *metrics._shadow.values()]
    found = [value for value in held if hasattr(value, "_labelnames")]
    suffix = {"counter": "_total"}
    return {f"{each._name}{suffix.get(each._type, '')}": each._labelnames for each in found}


def test_every_event_of_the_log_is_listed_with_its_fields(page):
    table = page("docs/monitoring.md").partition("## Log")[2]
    listed = {(event, frozenset(re.findall(r"[a-z]+", fields))) for event, fields, _ in rows(table, 3)}
    assert listed == set(logged())


def test_every_metric_is_listed_with_its_labels(page):
    table = page("docs/monitoring.md").partition("## Alerts")[0]
    listed = {name: tuple(re.findall(r"[a-z_]+", labels)) for name, labels, _ in rows(table, 3)}
    assert listed == families()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_asks_for_metrics_labels_and_kinds_that_there_are(rule, service):
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["annotations"]["summary"]
    known = families()
    asked = re.findall(r"\b((?:service_\w+|up))\b(?:\{([^}]*)\})?", rule["expr"])
    assert asked
    for name, matchers in asked:
        if name == "up":
            continue
        family = name.removesuffix("_bucket")
        assert family in known
        assert set(re.findall(r"(\w+)=", matchers)) <= set(known[family])
    system = orjson.loads(service.get("/fhir/CodeSystem/problem-kind"))
    kinds = {concept["code"] for concept in system["concept"]}
    for text in re.findall(r'kind=~?"([^"]*)"', rule["expr"]):
        assert set(text.split("|")) <= kinds
