import ast
import re
from pathlib import Path

import pytest
from prometheus_client import Counter, Histogram
from prometheus_client.metrics import MetricWrapperBase

from vtuber_operator import metrics

SOURCE = Path(str(metrics.__file__)).parent
METRICS = {
    name: value for name, value in vars(metrics).items() if isinstance(value, MetricWrapperBase)
}
each = pytest.mark.parametrize("name", METRICS)


@each
def test_a_name_is_the_operators_and_its_help_is_a_sentence(name: str) -> None:
    (family,) = METRICS[name].describe()
    assert re.fullmatch(r"vtuber_operator(_[a-z]+)+", family.name)
    assert re.fullmatch(r"[A-Z0-9].*\.", family.documentation)
    if isinstance(METRICS[name], Histogram):
        assert family.name.endswith("_seconds")


@each
def test_a_session_is_never_a_label(name: str) -> None:
    assert not set(METRICS[name]._labelnames) & {"session", "name", "namespace", "pod", "resource"}


def test_buckets_reach_from_one_pass_to_a_pod_that_is_late() -> None:
    for metric in METRICS.values():
        if isinstance(metric, Histogram):
            bounds = [float(bound) for bound in metric._upper_bounds]
            assert bounds == sorted(set(bounds))
            assert bounds[0] <= 0.005
            assert bounds[-2] >= 30


def test_every_metric_is_declared_here_and_set_somewhere() -> None:
    assert any(isinstance(metric, Counter) for metric in METRICS.values())
    used: set[str] = set()
    for path in SOURCE.rglob("*.py"):
        if path == SOURCE / "metrics.py":
            continue
        text = path.read_text(encoding="utf-8")
        used |= set(re.findall(r"metrics\.([A-Z_]+)", text))
        imports = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)]
        declared = [
            alias.name
            for node in imports
            if node.module == "prometheus_client"
            for alias in node.names
            if alias.name in {"Counter", "Gauge", "Histogram"}
        ]
        assert declared == [], path
    assert set(METRICS) <= used
