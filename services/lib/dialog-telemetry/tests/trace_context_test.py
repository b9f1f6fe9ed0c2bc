from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider

from dialog_telemetry import trace_context

REMOTE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(autouse=True, params=["ids only", "real spans"])
def provider(request: pytest.FixtureRequest) -> Iterator[None]:
    trace_context.configure(TracerProvider() if request.param == "real spans" else None)
    yield
    trace_context.configure(None)


def test_a_span_continues_the_remote_trace() -> None:
    with trace_context.span("child", parent=REMOTE):
        current = trace_context.current()
    assert current is not None
    assert current.split("-")[1] == REMOTE.split("-")[1]
    assert current.split("-")[2] != REMOTE.split("-")[2]


def test_without_a_parent_a_trace_begins_and_ends_with_the_span() -> None:
    assert trace_context.current() is None
    with trace_context.span("root"):
        assert trace_context.current_trace_id() is not None
    assert trace_context.current() is None


@pytest.mark.parametrize(
    "bad",
    [
        None,
        "",
        "junk",
        REMOTE.upper(),
        REMOTE[:-1],
        "ff" + REMOTE[2:],
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        REMOTE + "-more",
    ],
)
def test_a_malformed_context_is_no_context(bad: str | None) -> None:
    assert trace_context.parse(bad) is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.integers(0, 255))
def test_render_and_parse_are_inverse(trace: int, span: int, flags: int) -> None:
    text = f"00-{trace:032x}-{span:016x}-{flags:02x}"
    context = trace_context.parse(text)
    assert context is not None
    assert trace_context.render(context) == text
