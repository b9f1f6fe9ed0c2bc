"""One reply: spoken, kept, and answered with."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import structlog
from pydantic import ValidationError

from dialog_contracts import redis_names
from dialog_contracts.http import FlagSet
from dialog_contracts.legacy_chain import (
    AudioBlob,
    ResponseMetadata,
    TaskResponse,
    TtsError,
    TtsFailure,
    TtsRequest,
    session_of,
)
from dialog_contracts.samples import TurnSample
from dialog_telemetry import attributes, metrics, trace_context
from dialog_voice.voices import Voices
from service_runtime import effects, refusals
from service_runtime.blobs import Blobs
from service_runtime.effects import Effect
from service_runtime.errors import field_error
from service_runtime.redis_link import RedisDown
from service_runtime.work_list import Job
from tts.speech import Speech, speak

log = structlog.get_logger("speaker")

LOOK_AGAIN_S: Final = 0.5


class Speaker:
    """`take` is the work on one message of `tts_requests`."""

    def __init__(self, voices: Voices, blobs: Blobs, *, within_s: float) -> None:
        self._voices, self._blobs, self._within_s = voices, blobs, within_s

    async def take(self, job: Job) -> None:
        """Answer the turn with text and voice; with the text alone where no voice can speak it."""
        try:
            request = job.read(TtsRequest)
        except ValidationError as error:
            why = field_error(error).body.message
            await job.bury(why, *refusals.unreadable(job.raw, why))
            return
        trace_id = trace_context.trace_id(request.meta.traceparent)
        structlog.contextvars.bind_contextvars(
            **{attributes.LOG_CORRELATION_ID: request.message_id, attributes.LOG_TRACE_ID: trace_id}
        )
        speech, code = await self._speak(request)
        # A blob whose answer is never given expires by itself.
        blob = await self._keep(speech) if speech.pcm else None
        voice = self._voices.of(session_of(request)).name if blob is not None else None
        answered = await job.done(*_answer(request, speech, blob, voice, code))
        log.info("spoken", audio_ms=speech.audio_ms, code=code, attempts=job.attempts, answered=answered)

    @staticmethod
    def given_up(raw: str) -> Sequence[Effect]:
        """The text is there: it is answered with, and only its voice is missing."""
        try:
            request = TtsRequest.from_json(raw)
        except ValidationError:
            return refusals.unreadable(raw, "this reply could not be spoken", code="given_up")
        return _answer(request, Speech(), None, None, "given_up")

    async def _speak(self, request: TtsRequest) -> tuple[Speech, str | None]:
        session = session_of(request)
        lang = request.meta.lang or self._voices.lang_of(session, request.text)
        try:
            async with asyncio.timeout(self._within_s):
                speech = await speak(self._voices.of(session), request.text, lang)
        except TimeoutError:
            return Speech(), _failed("voice_timeout", f"no voice within {self._within_s:.0f} s")
        if speech.failure is not None:
            return speech, _failed("voice_failed", repr(speech.failure)[:200])
        if speech.cut:
            return speech, _failed("voice_too_long", "the reply is longer than a file may be")
        return speech, None

    async def _keep(self, speech: Speech) -> AudioBlob:
        while True:
            try:
                return AudioBlob(id=await self._blobs.put(speech.wav()), format="wav")
            except RedisDown:
                # The answer could not be given either.
                await asyncio.sleep(LOOK_AGAIN_S)


def _failed(code: str, reason: str) -> str:
    metrics.LEGACY_FAILURES.labels(stage="tts", code=code).inc()
    log.warning("voice_missing", code=code, reason=reason)
    return code


def _answer(request: TtsRequest, speech: Speech, blob: AudioBlob | None, voice: str | None, code: str | None) -> list[Effect]:
    now, meta = time.time(), request.meta
    took = max(0.0, now - meta.received_at) if meta.received_at is not None else None
    metadata = ResponseMetadata(provider=voice, processing_time=took, audio_ms=speech.audio_ms, code=code)
    response = TaskResponse(
        message_id=request.message_id,
        task_id=request.task_id,
        text=request.text,
        audio_file=blob.id if blob is not None else None,
        audio=blob,
        mouth=speech.mouth if blob is not None else [],
        user_text=request.user_text,
        metadata=metadata,
        meta=meta,
    )
    made = [effects.answer(response)]
    session = session_of(request)
    # Only turns of the chain are in a backlog; for the voice of a turn of the main path nothing happens here.
    made.append(effects.advance(session, request.message_id, redis_names.CHAT_REQUESTS))
    if code is not None:
        failure = TtsFailure(
            code="ALL_PROVIDERS_FAILED" if blob is None else "TTS_SYNTHESIS_FAILED",
            message="the reply has no voice" if blob is None else "the reply's voice is not whole",
            details=code,
            provider=voice,
        )
        when = datetime.fromtimestamp(now, UTC).isoformat()
        made.append(
            effects.announce(redis_names.TTS_ERRORS, TtsError(message_id=request.message_id, timestamp=when, error=failure))
        )
    if meta.turn is not None and meta.reason is not None:
        made.append(effects.sample(_sample(request, session, took, now, sounded=blob is not None)))
    return made


def _sample(request: TtsRequest, session: str, took_s: float | None, now: float, *, sounded: bool) -> TurnSample:
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
        first_audio_ms=took_ms if sounded else None,
        total_ms=took_ms,
        ts=now,
        traceparent=request.meta.traceparent,
    )
