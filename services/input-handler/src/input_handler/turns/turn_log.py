"""The trace and the two log lines of one turn: `turn_received` and `turn_answered`."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from dialog_contracts.http import ChatRequest, FlagSet
from dialog_contracts.model import correlation_id
from dialog_telemetry import span_attributes, trace_context
from input_handler.errors import EngineRefused, LegacyUnavailable

log = structlog.get_logger("turn")


class TurnLog:
    """Writes one turn's log lines. `traceparent` is what the next service gets."""

    def __init__(
        self, request: ChatRequest, flags: FlagSet, turn: int, traceparent: str | None
    ) -> None:
        self._request, self._flags = request, flags
        name = correlation_id(request.session_id, turn)
        # The span names the trace and ends here. It must not stay current while events are yielded,
        # because what runs between two events runs in the reader's context.
        with trace_context.span(
            "receive message",
            parent=traceparent,
            attributes={
                span_attributes.CORRELATION_ID: name,
                span_attributes.FLAGS_GENERATION: flags.generation,
            },
        ):
            self.traceparent = trace_context.current()
            trace_id = trace_context.current_trace_id()
        self._fields = {
            span_attributes.LOG_CORRELATION_ID: name,
            span_attributes.LOG_TRACE_ID: trace_id,
        }
        self._outcome, self._received = "left", False

    @contextmanager
    def open(self) -> Iterator[None]:
        """Bind the turn's fields to other log lines, and log the outcome at the end."""
        structlog.contextvars.bind_contextvars(**self._fields)
        try:
            yield
        except (EngineRefused, LegacyUnavailable) as error:
            self._outcome = error.body.code
            raise
        finally:
            log.info("turn_answered", outcome=self._outcome, **self._fields)

    def note(self, event: str) -> None:
        """Keep the event that is sent next: the last one is the turn's outcome."""
        self._outcome = event

    def log_received(self) -> None:
        """Log `turn_received`, once.

        Called after the first event was sent, which waits for no log.
        """
        if self._received:
            return
        self._received = True
        log.info(
            "turn_received",
            kind=self._request.type,
            chars=len(self._request.content),
            flags_generation=self._flags.generation,
            **self._fields,
        )
