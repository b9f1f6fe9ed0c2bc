"""Synthesizes one reply, stores its audio, and answers the turn."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

import structlog
from pydantic import ValidationError

from dialog_contracts.legacy_chain import AudioBlob, TtsRequest, session_of
from dialog_redis.blob_store import BlobStore
from dialog_redis.client import RedisUnavailable
from dialog_redis.legacy import failures
from dialog_redis.work_queue.commands import RedisCommand
from dialog_redis.work_queue.job import Job
from dialog_telemetry import metrics, span_attributes, trace_context
from dialog_voice.fallback import FallbackVoice
from dialog_voice.registry import SessionVoices
from service_runtime.http.errors import field_error
from tts import responses
from tts.responses import SynthesisResult
from tts.synthesis import SynthesizedReply, synthesize

log = structlog.get_logger("tts_worker")

RETRY_PAUSE_S: Final = 0.5


class TtsWorker:
    """Processes jobs of `tts_requests`.

    The fields `provider` and `voice_params` of a request are ignored: the session's document
    decides.
    """

    def __init__(self, voices: SessionVoices, blobs: BlobStore, *, within_s: float) -> None:
        self._voices, self._blobs, self._timeout_s = voices, blobs, within_s

    async def handle(self, job: Job) -> None:
        """Answer the turn with its text and voice, or with the text alone if the voice fails."""
        try:
            request = job.read(TtsRequest)
        except ValidationError as error:
            why = field_error(error).body.message
            metrics.REQUESTS_REJECTED.labels(code="bad_tts_request").inc()
            await job.dead_letter(why, *failures.malformed(job.raw, why))
            return
        meta = request.meta
        names = {
            span_attributes.LOG_CORRELATION_ID: request.message_id,
            span_attributes.LOG_TRACE_ID: trace_context.trace_id(meta.traceparent),
        }
        structlog.contextvars.bind_contextvars(**names)
        session = session_of(request)
        if meta.turn is not None and failures.is_expired(meta):
            metrics.LEGACY_FAILURES.labels(stage="tts", code="too_late").inc()
            await job.complete(*failures.expired_turn(request.task_id, session, meta))
            return
        voice = self._voices.for_session(session)
        lang = meta.lang or self._voices.language_for(session, request.user_text or request.text)
        speech = await synthesize(voice, request.text, lang, self._timeout_s)
        if speech.problem is not None:
            metrics.LEGACY_FAILURES.labels(stage="tts", code=speech.problem).inc()
            log.warning(
                "voice_missing",
                code=speech.problem,
                reason=speech.detail[:200],
                audio_ms=speech.audio_ms,
            )
        # The blob expires by itself if the response is never sent.
        sound = await self._store(speech) if speech.pcm else None
        name = voice.in_use()[0] if isinstance(voice, FallbackVoice) else voice.name
        result = SynthesisResult(
            sound, name, speech.audio_ms, speech.mouth, speech.problem, speech.detail
        )
        answered = await job.complete(*responses.commands_for(request, result, time.time()))
        if answered and responses.is_legacy_turn(request):
            metrics.TURNS.labels(path="legacy", outcome="completed").inc()
        log.info(
            "spoken",
            audio_ms=speech.audio_ms,
            code=speech.problem,
            attempts=job.attempts,
            was_ours=answered,
        )

    @staticmethod
    def on_exhausted(raw: str) -> Sequence[RedisCommand]:
        """Return the commands for a job that failed too often: the text is sent without a voice."""
        try:
            request = TtsRequest.from_json(raw)
        except ValidationError:
            return failures.malformed(raw, failures.EXHAUSTED.english, code="given_up")
        metrics.LEGACY_FAILURES.labels(stage="tts", code="given_up").inc()
        return responses.commands_for(
            request,
            SynthesisResult(
                problem="given_up", detail="every attempt to synthesize this text failed"
            ),
            time.time(),
        )

    async def _store(self, speech: SynthesizedReply) -> AudioBlob:
        while True:
            try:
                return AudioBlob(id=await self._blobs.put(speech.wav()), format="wav")
            except RedisUnavailable:
                # Without Redis no response can be sent either. Wait, and keep the audio.
                await asyncio.sleep(RETRY_PAUSE_S)
