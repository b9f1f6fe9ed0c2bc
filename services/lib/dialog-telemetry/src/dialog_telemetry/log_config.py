"""JSON log lines on standard output: one object per line, with `service`.

Within a turn a line also has `correlationId` and `trace_id`. Writing a line never raises and never
waits; lines that cannot be written are counted (`dialog_log_lines_lost`).
"""

import json
import logging
import sys
from collections.abc import MutableMapping
from contextlib import AbstractContextManager
from typing import Any

import structlog

from dialog_contracts.model import correlation_id
from dialog_telemetry import metrics, span_attributes, trace_context
from dialog_telemetry.nonblocking_output import NonBlockingOutput, non_blocking


def _add_trace_id(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if span_attributes.LOG_TRACE_ID not in event:
        found = trace_context.current_trace_id()
        if found is not None:
            event[span_attributes.LOG_TRACE_ID] = found
    return event


def configure(service: str, level: str = "INFO") -> None:
    """Send this process's log lines, including those of libraries, to standard output as JSON.

    Lines of libraries below WARNING are dropped.
    """

    def add_service(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event[span_attributes.LOG_SERVICE] = service
        return event

    def lost(lines: int) -> str:
        return json.dumps(
            {
                "event": "log_lines_lost",
                "level": "warning",
                span_attributes.LOG_SERVICE: service,
                "lines": lines,
            }
        )

    out = non_blocking(sys.stdout, lost)
    if isinstance(out, NonBlockingOutput):
        metrics.LOG_LINES_LOST.set_function(lambda: out.lines_lost)
    # Python writes warnings and errors of threads to stderr; a pipe without a reader would block it
    # for ever.
    sys.stderr = non_blocking(sys.stderr)
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_service,
        _add_trace_id,
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer(ensure_ascii=False)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(logging.getLevelNamesMapping()[level], logging.WARNING))


def turn_lines(
    session_id: str, turn: int, trace_id: str | None = None
) -> AbstractContextManager[None]:
    """Add the turn's `correlationId` to every log line inside the block.

    Lines also get `trace_id` when it is passed; otherwise the current span's is used.
    """
    fields = {span_attributes.LOG_CORRELATION_ID: correlation_id(session_id, turn)}
    if trace_id is not None:
        fields[span_attributes.LOG_TRACE_ID] = trace_id
    return structlog.contextvars.bound_contextvars(**fields)
