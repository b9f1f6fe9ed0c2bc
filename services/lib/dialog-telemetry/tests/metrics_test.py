import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import Counter, Histogram, generate_latest
from prometheus_client.metrics import MetricWrapperBase

from dialog_telemetry import metrics

ROOT = Path(__file__).parents[4]
METRICS = {
    name: value for name, value in vars(metrics).items() if isinstance(value, MetricWrapperBase)
}
each = pytest.mark.parametrize("name", METRICS)
OF_ONE = {
    "session",
    "session_id",
    "user",
    "user_id",
    "turn",
    "correlation_id",
    "address",
    "task_id",
}
"""Labels whose values have no end."""


def name_of(metric: MetricWrapperBase) -> str:
    """As a scrape names it."""
    (family,) = metric.describe()
    return family.name + ("_total" if isinstance(metric, Counter) else "")


@each
def test_a_name_has_our_prefix_and_its_unit(name: str) -> None:
    metric = METRICS[name]
    assert re.fullmatch(r"dialog(_[a-z]+)+", name_of(metric))
    if isinstance(metric, Histogram):
        assert name_of(metric).endswith("_seconds")


@each
def test_its_help_is_a_sentence(name: str) -> None:
    (family,) = METRICS[name].describe()
    assert re.fullmatch(r"[A-Z0-9].*\.", family.documentation, re.DOTALL)


@each
def test_no_label_grows_with_the_number_of_sessions(name: str) -> None:
    assert not set(METRICS[name]._labelnames) & OF_ONE


@pytest.mark.parametrize(
    "name", [name for name, metric in METRICS.items() if isinstance(metric, Histogram)]
)
def test_every_histogram_is_of_seconds_that_can_be_told_apart(name: str) -> None:
    metric = METRICS[name]
    assert isinstance(metric, Histogram)
    bounds = [float(bound) for bound in metric._upper_bounds]
    assert bounds == sorted(set(bounds))
    assert 0 < bounds[0] <= 0.1
    assert bounds[-2] <= 60
    assert bounds[-1] == float("inf")


def test_what_is_counted_is_scraped_with_its_labels() -> None:
    metrics.TURNS.labels(path="test", outcome="completed").inc()
    metrics.STOP_SECONDS.observe(0.003)
    scraped = generate_latest().decode()
    assert re.search(
        r'^dialog_turns_total\{outcome="completed",path="test"\} 1\.0$', scraped, re.MULTILINE
    )
    assert re.search(r'^dialog_stop_seconds_bucket\{le="0.005"\} [1-9]', scraped, re.MULTILINE)


def declared_in(source: str) -> Iterator[str]:
    """The kinds of metrics that a module declares."""
    tree = ast.parse(source)
    kinds = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "prometheus_client"
        for alias in node.names
        if alias.name in {"Counter", "Gauge", "Histogram", "Summary", "Info", "Enum"}
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in kinds:
            yield node.func.id


@pytest.fixture(scope="module")
def sources() -> dict[Path, str]:
    """Every module of a service but the list itself."""
    return {
        path: path.read_text(encoding="utf-8")
        for pattern in ("services/*/src", "services/lib/*/src")
        for folder in ROOT.glob(pattern)
        for path in folder.rglob("*.py")
        if path != Path(str(metrics.__file__))
    }


def test_every_metric_of_a_service_is_declared_here(sources: dict[Path, str]) -> None:
    assert list(declared_in(Path(str(metrics.__file__)).read_text(encoding="utf-8")))
    assert [path for path, source in sources.items() if list(declared_in(source))] == []


def test_no_metric_is_declared_that_nobody_sets(sources: dict[Path, str]) -> None:
    used = {
        name for source in sources.values() for name in re.findall(r"metrics\.([A-Z_]+)", source)
    }
    assert set(METRICS) <= used


def test_every_metric_that_the_documents_name_is_there() -> None:
    known = {name_of(metric) for metric in METRICS.values()}
    named = {
        name
        for path in (ROOT / "docs").glob("*.md")
        for name in re.findall(r"\bdialog_[a-z_]+(?:_total|_seconds)\b", path.read_text("utf-8"))
    }
    assert len(named) > 10
    assert named <= known
