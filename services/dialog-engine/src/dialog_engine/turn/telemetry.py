"""What one turn reports: log lines, span, the figures of `done`, its stored form and its sample.

`TurnContext` holds the contextvars of the turn. Log lines and spans of every task that is started
within it carry the turn's correlationId and trace, also when code of another turn stops it.
"""

import contextvars
import time
from collections.abc import Callable
from dataclasses import replace
from typing import ParamSpec

import structlog
from opentelemetry.trace import Span
from opentelemetry.util.types import AttributeValue

from dialog_contracts.sse import DoneStats
from dialog_contracts.turn_sample import TurnSample
from dialog_engine.stored_turn import StoredTurn
from dialog_engine.tts_streamer import TtsStreamer
from dialog_engine.turn.actions import Commit, Finish
from dialog_engine.turn.ports import TurnHost
from dialog_engine.turn.request import TurnRequest
from dialog_engine.turn.state_machine import TurnStateMachine
from dialog_telemetry import span_attributes, trace_context
from dialog_voice.fallback import FallbackVoice

log = structlog.get_logger("turn")
P = ParamSpec("P")


class TurnContext:
    """Context of one turn. Code of the turn is called by `run`; `begin` comes first."""

    def __init__(self, request: TurnRequest) -> None:
        self._request = request
        self._context = contextvars.copy_context()
        self._span: Span | None = None
        self.traceparent: str | None = None

    def run(self, work: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Call `work` in the turn's context."""
        self._context.run(work, *args, **kwargs)

    def begin(self) -> None:
        """Bind the log fields and open the turn's span; must be called by `run`."""
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
        """Close the span."""
        if self._span is not None:
            self._span.set_attribute(span_attributes.OUTCOME, outcome)
            self._span.end()


class TurnTelemetry:
    """Reports of one turn. `now` returns ms since its request was received."""

    def __init__(
        self,
        request: TurnRequest,
        host: TurnHost,
        machine: TurnStateMachine,
        speech: TtsStreamer | None,
        now: Callable[[], float],
    ) -> None:
        self._request, self._host, self._machine, self._speech, self._now = (
            request,
            host,
            machine,
            speech,
            now,
        )
        self._stored: StoredTurn | None = None

    def stats(self, known: DoneStats) -> DoneStats:
        """Complete the figures of `done` with providers, voice and the total time so far."""
        llm, instead_of = self._request.llm() if self._request.llm is not None else (None, {})
        voice = "file" if self._host.voice_files else "off"
        if self._speech is not None:
            voice, silent = self._speaking()
            instead_of = {**instead_of, **silent}
        if (
            self._speech is not None
            and self._speech.failed_fragments
            and not self._speech.spoken_fragments
        ):
            voice = "unavailable"
        extra = {
            "total_ms": round(self._now(), 1),
            "voice": voice,
            "llm": llm,
            "instead_of": instead_of or None,
        }
        times = {
            name: round(value, 1)
            for name in ("ttft_ms", "first_audio_ms")
            if (value := getattr(known, name)) is not None
        }
        return known.model_copy(update={**extra, **times})

    def _speaking(self) -> tuple[str, dict[str, str]]:
        voice = self._host.voice
        return voice.in_use() if isinstance(voice, FallbackVoice) else (voice.name, {})

    def stored_turn(self, commit: Commit, traceparent: str | None) -> StoredTurn:
        """Return the turn as it is stored."""
        stats = DoneStats(
            ttft_ms=self._machine.ttft_ms,
            first_audio_ms=self._machine.first_audio_ms,
            tokens=self._machine.deltas,
            turn=self._request.turn,
        )
        self._stored = StoredTurn(
            session_id=self._request.session_id,
            turn=self._request.turn,
            user=self._request.user_text,
            reply=commit.reply,
            ts=int(time.time()),
            request_id=self._request.request_id,
            interrupted=commit.interrupted,
            revision=commit.revision,
            shape=tuple(self._machine.shape),
            stats=self.stats(stats).to_json(),
            viewer_id=self._request.viewer_id,
            lang=self._request.lang,
            events=self._request.flags.ENABLE_STREAMS_OUTBOX,
            vectorize=self._request.flags.ENABLE_LTM,
            epoch=self._request.epoch,
            traceparent=traceparent,
        )
        return self._stored

    def late_stats(self) -> StoredTurn | None:
        """Return the stored turn with its first audio, if that came after the commit."""
        stored, first_audio_ms = self._stored, self._machine.first_audio_ms
        if stored is None or first_audio_ms is None:
            return None
        known = DoneStats.model_validate_json(stored.stats)
        if known.first_audio_ms is not None:
            return None
        late = known.model_copy(update={"first_audio_ms": round(first_audio_ms, 1)})
        return replace(stored, stats=late.to_json())

    def sample(self, finish: Finish, traceparent: str | None) -> TurnSample:
        """Return the sample by which the operator evaluates flags."""
        return TurnSample(
            session_id=self._request.session_id,
            turn=self._request.turn,
            flags=self._request.flags,
            path="sync",
            outcome=finish.outcome,
            reason=finish.reason,
            ttft_ms=self._machine.ttft_ms,
            first_audio_ms=self._machine.first_audio_ms,
            total_ms=self._now(),
            gaps=self._speech.gaps if self._speech is not None else None,
            ts=time.time(),
            traceparent=traceparent,
        )

    def text_completed(self) -> None:
        """Log that the model has written the reply."""
        log.info(
            "turn_written", ttft_ms=_rounded(self._machine.ttft_ms), pieces=self._machine.deltas
        )

    def ended(self, finish: Finish) -> None:
        """Log the end of the turn."""
        log.info(
            "turn_ended",
            outcome=finish.outcome,
            reason=finish.reason,
            ttft_ms=_rounded(self._machine.ttft_ms),
            first_audio_ms=_rounded(self._machine.first_audio_ms),
            chars=len(self._machine.reply),
            flags_generation=self._request.flags.generation,
        )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
