"""Builds the response to a legacy turn, and the Redis commands that follow it.

The module has no clock: the time is an argument.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from dialog_contracts import redis_names
from dialog_contracts.http import FlagSet
from dialog_contracts.legacy_chain import (
    AudioBlob,
    MouthCue,
    ResponseMetadata,
    TaskResponse,
    TtsError,
    TtsFailure,
    TtsRequest,
    session_of,
)
from dialog_contracts.model import correlation_id
from dialog_contracts.turn_sample import TurnSample
from dialog_redis.work_queue import commands
from dialog_redis.work_queue.commands import RedisCommand


@dataclass(frozen=True, slots=True)
class SynthesisResult:
    """Result of a synthesis: the stored audio or None.

    `problem` is a code that says what is missing, `detail` the reason.
    """

    sound: AudioBlob | None = None
    voice: str | None = None
    audio_ms: int = 0
    mouth: list[MouthCue] = field(default_factory=list)
    problem: str | None = None
    detail: str = ""


def is_legacy_turn(request: TtsRequest) -> bool:
    """Whether the legacy pipeline answers this turn.

    Otherwise it only synthesizes the reply of a turn of the main path.
    """
    meta = request.meta
    return meta.turn is not None and (
        meta.reason is not None or (meta.flags is not None and not meta.flags.ENABLE_SYNC_CORE)
    )


def commands_for(request: TtsRequest, result: SynthesisResult, now: float) -> list[RedisCommand]:
    """Return the commands that complete the job. `now` is in Unix seconds.

    They send the response, start the session's next turn, announce a failed voice, and append the
    turn's sample.
    """
    meta, session = request.meta, session_of(request)
    took_s = max(0.0, now - meta.received_at) if meta.received_at is not None else None
    made = [commands.send_response(_response(request, result, took_s))]
    if meta.turn is not None:
        made.append(
            commands.advance(session, correlation_id(session, meta.turn), redis_names.CHAT_REQUESTS)
        )
    elsewhere = request.response_channel
    if elsewhere != redis_names.task_response(request.task_id) and elsewhere.startswith(
        redis_names.task_response("")
    ):
        made.append(commands.announce(elsewhere, _response(request, result, took_s)))
    if result.problem is not None:
        made.append(commands.announce(redis_names.TTS_ERRORS, _error(request, result, now)))
    if is_legacy_turn(request):
        made.append(commands.sample_command(_sample(request, result, session, took_s, now)))
    return made


def _response(request: TtsRequest, result: SynthesisResult, took_s: float | None) -> TaskResponse:
    return TaskResponse(
        message_id=request.message_id,
        task_id=request.task_id,
        text=request.text,
        audio_file=result.sound.id if result.sound is not None else None,
        audio=result.sound,
        mouth=result.mouth if result.sound is not None else [],
        user_text=request.user_text,
        metadata=ResponseMetadata(
            provider=result.voice if result.sound is not None else None,
            processing_time=took_s,
            audio_ms=result.audio_ms,
            code=result.problem,
        ),
        meta=request.meta,
    )


def _error(request: TtsRequest, result: SynthesisResult, now: float) -> TtsError:
    failure = TtsFailure(
        code="TTS_SYNTHESIS_FAILED" if result.sound is not None else "ALL_PROVIDERS_FAILED",
        message="a part of the reply has no audio"
        if result.sound is not None
        else "the reply has no audio",
        details=f"{result.problem}: {result.detail[:200]}",
        provider=result.voice,
    )
    return TtsError(
        message_id=request.message_id,
        timestamp=datetime.fromtimestamp(now, UTC).isoformat(),
        error=failure,
    )


def _sample(
    request: TtsRequest, result: SynthesisResult, session: str, took_s: float | None, now: float
) -> TurnSample:
    assert request.meta.turn is not None
    took_ms = round(took_s * 1000, 1) if took_s is not None else None
    return TurnSample(
        session_id=session,
        turn=request.meta.turn,
        flags=request.meta.flags or FlagSet(),
        path="legacy",
        outcome="completed",
        reason=request.meta.reason,
        ttft_ms=took_ms,
        first_audio_ms=took_ms if result.sound is not None else None,
        total_ms=took_ms,
        ts=now,
        traceparent=request.meta.traceparent,
    )
