"""Job handler for recordings.

A recording is fetched, decoded and transcribed. Its text goes to input-handler; a failure is
answered with an error response.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

import numpy as np
import structlog
from pydantic import TypeAdapter, ValidationError

from asr.decoder import Samples, decode
from asr.errors import TranscriptionFailed
from asr.recognizer import Recognizer, Transcript
from dialog_contracts import redis_names
from dialog_contracts.legacy_chain import AsrResult, AsrTask, AudioBlob, ChainMeta
from dialog_contracts.model import SessionId
from dialog_redis.blob_store import BlobStore
from dialog_redis.client import RedisUnavailable
from dialog_redis.legacy import failures
from dialog_redis.work_queue import commands
from dialog_redis.work_queue.commands import RedisCommand
from dialog_redis.work_queue.job import Job
from dialog_telemetry import metrics

log = structlog.get_logger("listener")

QUIET: Final = 0.002
"""Peak below which a recording is silence (-54 dB)."""

_SESSION: Final[TypeAdapter[str]] = TypeAdapter(SessionId)


class RecordingWorker:
    """`handle` processes jobs of `asr_tasks`.

    `on_exhausted` answers for jobs that failed each time.
    """

    def __init__(self, blobs: BlobStore, recognizer: Recognizer, decode_within_s: float) -> None:
        self._blobs, self._recognizer, self._decode_within_s = blobs, recognizer, decode_within_s

    async def handle(self, job: Job) -> None:
        """Process one recording; raises ConnectionError while Redis does not return its bytes."""
        began = time.monotonic()
        try:
            task = job.read(AsrTask)
        except ValidationError as error:
            await self._fail(job, error)
            return
        try:
            samples = await self._samples(task.audio)
            transcript = await self._transcribe(samples, task.options.lang or task.meta.lang)
        except TranscriptionFailed as problem:
            metrics.ASR_RECORDINGS.labels(outcome=problem.code).inc()
            log.warning(
                "unheard",
                session=task.task_id,
                code=problem.code,
                reason=str(problem),
                cause=repr(problem.__cause__)[:200],
            )
            await job.complete(
                *_failed_result(
                    task.task_id,
                    task.meta,
                    task.audio.id,
                    task.options.lang,
                    problem,
                    self._recognizer.name,
                )
            )
            return
        result = AsrResult(
            task_id=task.task_id,
            status="finished",
            text=transcript.text,
            provider=self._recognizer.name,
            lang=transcript.lang,
            # With a request id it becomes one turn, however often it is delivered.
            meta=task.meta.model_copy(update={"request_id": task.meta.request_id or task.audio.id}),
        )
        metrics.ASR_RECORDINGS.labels(outcome="heard").inc()
        metrics.ASR_SECONDS.observe(time.monotonic() - began)
        log.info(
            "heard",
            session=task.task_id,
            lang=transcript.lang,
            seconds=round(time.monotonic() - began, 3),
        )
        await job.complete(
            commands.push(redis_names.ASR_FINALS, result),
            commands.announce(redis_names.ASR_RESULTS, result),
            *commands.release_recording(task.audio.id),
        )

    def on_exhausted(self, raw: str) -> Sequence[RedisCommand]:
        """Return the effects for a message that failed each time."""
        try:
            task = AsrTask.from_json(raw)
        except ValidationError:
            return []
        problem = TranscriptionFailed("asr_failed", "failed")
        metrics.ASR_RECORDINGS.labels(outcome=problem.code).inc()
        return _failed_result(
            task.task_id,
            task.meta,
            task.audio.id,
            task.options.lang,
            problem,
            self._recognizer.name,
        )

    async def _samples(self, audio: AudioBlob) -> Samples:
        try:
            data = await self._blobs.get(audio.id)
        except RedisUnavailable as error:
            raise ConnectionError(str(error)) from error
        if data is None:
            raise TranscriptionFailed("asr_failed", "gone")
        until = time.monotonic() + self._decode_within_s
        # The thread checks the time itself, because it cannot be stopped from outside.
        return await asyncio.to_thread(
            decode,
            data,
            audio.format,
            sample_rate=audio.sample_rate,
            channels=audio.channels,
            until=until,
        )

    async def _transcribe(self, samples: Samples, lang: str | None) -> Transcript:
        if float(np.abs(samples).max()) < QUIET:
            raise TranscriptionFailed("nothing_heard", "nothing")
        try:
            transcript = await self._recognizer.transcribe(samples, lang)
        # CTranslate2 raises only these two.
        except (RuntimeError, ValueError) as error:
            raise TranscriptionFailed("asr_failed", "failed") from error
        if not transcript.text:
            raise TranscriptionFailed("nothing_heard", "nothing")
        return transcript

    async def _fail(self, job: Job, error: ValidationError) -> None:
        """Move an invalid message to the dead letter list.

        Its sender gets an error response, if the message names its session.
        """
        message = failures.parse_leniently(job.raw)
        audio = message.get("audio")
        problem = TranscriptionFailed(
            "bad_audio", "by_path" if isinstance(audio, dict) and "path" in audio else "unreadable"
        )
        metrics.ASR_RECORDINGS.labels(outcome=problem.code).inc()
        reported: list[RedisCommand] = []
        try:
            session = _SESSION.validate_python(message.get("task_id"))
            meta = ChainMeta.model_validate(message.get("meta") or {})
            options = message.get("options")
            lang = options.get("lang") if isinstance(options, dict) else meta.lang
            reported = _failed_result(
                session,
                meta,
                None,
                lang if isinstance(lang, str) else None,
                problem,
                self._recognizer.name,
            )
        except ValidationError:
            log.warning("bad_recording_of_nobody", message=job.raw[:200])
        await job.dead_letter(f"{problem}: {error.errors()[0]['msg']}", *reported)


def _failed_result(
    session: str,
    meta: ChainMeta,
    blob_id: str | None,
    lang: str | None,
    problem: TranscriptionFailed,
    provider: str,
) -> list[RedisCommand]:
    sentence = problem.sentence(lang or meta.lang)
    result = AsrResult(
        task_id=session,
        status="failed",
        provider=provider,
        lang=lang,
        error=problem.code,
        meta=meta,
    )
    answered = failures.failed_recording(session, problem.code, sentence, meta, blob_id=blob_id)
    reported = [commands.announce(redis_names.ASR_RESULTS, result), answered]
    return reported if blob_id is None else [*reported, *commands.release_recording(blob_id)]
