"""What log lines and the span of one turn carry, in a context of its own: tasks started in it inherit both, whoever interrupts."""

import contextvars
from collections.abc import Callable
from typing import ParamSpec

import structlog
from opentelemetry.trace import Span
from opentelemetry.util.types import AttributeValue

from dialog_engine.turn.request import TurnRequest
from dialog_telemetry import span_attributes, trace_context

P = ParamSpec("P")


class TurnTrace:
    """`run` everything of the turn in it, `begin` first."""

    def __init__(self, request: TurnRequest) -> None:
        self._request = request
        self._context = contextvars.copy_context()
        self._span: Span | None = None
        self.traceparent: str | None = None

    def run(self, work: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        """In the turn's context."""
        self._context.run(work, *args, **kwargs)

    def begin(self) -> None:
        """Within `run`."""
        request = self._request
        structlog.contextvars.bind_contextvars(
            **{span_attributes.LOG_CORRELATION_ID: request.correlation_id}
        )
        names: dict[str, AttributeValue] = {
            span_attributes.SESSION_ID: request.session_id,
            span_attributes.TURN: request.turn,
            span_attributes.CORRELATION_ID: request.correlation_id,
            span_attributes.FLAGS_GENERATION: request.flags.generation,
        }
        self._span = trace_context.enter_span("chat", parent=request.traceparent, attributes=names)
        self.traceparent = trace_context.current()

    def end(self, outcome: str) -> None:
        """The span is over."""
        if self._span is not None:
            self._span.set_attribute(span_attributes.OUTCOME, outcome)
            self._span.end()
