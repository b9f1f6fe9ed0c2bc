"""Recordings of legacy clients, and their transcripts.

A recording is stored in Redis and queued in `asr_tasks`. asr queues its transcript in `asr_finals`,
from where any input-handler takes it and begins a turn. The job is complete when the turn is: a turn
that ends with its process is begun once more.
"""

from collections.abc import Sequence
from typing import Final, Literal

import structlog
from pydantic import ValidationError
from redis.asyncio import Redis

from dialog_contracts import redis_names
from dialog_contracts.http import ChatRequest, RequestMeta, TurnType
from dialog_contracts.legacy_chain import AsrOptions, AsrResult, AsrTask, AudioBlob, ChainMeta
from dialog_redis.blob_store import BlobStore
from dialog_redis.client import RedisClient, RedisUnavailable
from dialog_redis.legacy import failures
from dialog_redis.recording_budget import RecordingBudget
from dialog_redis.work_queue.commands import RedisCommand
from dialog_redis.work_queue.job import Job
from dialog_redis.work_queue.queue import WorkQueue
from dialog_telemetry import metrics
from input_handler.legacy.upload_assembler import Recording
from input_handler.turns.background_turn import BackgroundTurns
from service_runtime.http.errors import ServiceError, TooMany, Unavailable, field_error

log = structlog.get_logger("recordings")

CONCURRENCY: Final = 16
MAX_QUEUED_RECORDINGS: Final = 32
"""Recordings of up to 16 MB each, a few seconds of transcription each."""


ENQUEUE_TIMEOUT_S: Final = 10.0
"""Seconds to retry for: a user whose recording is refused must repeat all of it."""


class _Final(AsrResult):
    """A final transcript, which becomes a turn."""

    status: Literal["finished"]


class RecordingQueue:
    """`send` queues recordings; `start` begins to take transcripts."""

    def __init__(
        self, redis: RedisClient, blobs: BlobStore, turns: BackgroundTurns, work: WorkQueue
    ) -> None:
        self._redis, self._blobs, self._turns, self._work = redis, blobs, turns, work
        self._budget = RecordingBudget(redis)

    def start(self) -> None:
        """Start to take transcripts."""
        self._work.start(self._start_turn, _exhausted)

    async def aclose(self) -> None:
        """End running turns; other transcripts wait for another input-handler."""
        await self._work.aclose()

    async def send(
        self,
        session_id: str,
        recording: Recording,
        *,
        request_id: str,
        lang: str | None,
        traceparent: str | None,
        client: str = "",
    ) -> None:
        """Queue a recording. Raises Unavailable or TooMany."""
        meta = ChainMeta(
            from_channel="input_handler",
            provider="direct_upload",
            lang=lang,
            session_id=session_id,
            request_id=request_id,
            traceparent=traceparent,
        )

        async def waiting(client: Redis) -> int:
            return int(await client.llen(redis_names.ASR_TASKS))

        async def push(client: Redis) -> None:
            await client.lpush(redis_names.ASR_TASKS, task.to_json())

        try:
            if (
                await self._redis.call_with_deadline(ENQUEUE_TIMEOUT_S, "asr", waiting)
                >= MAX_QUEUED_RECORDINGS
            ):
                raise TooMany(
                    f"{MAX_QUEUED_RECORDINGS} recordings wait already; please send it again",
                    code="asr_busy",
                    retry_after_s=5,
                )
            blob_id = self._blobs.new_id()
            await self._budget.reserve(blob_id, len(recording.data), client)
            blob = AudioBlob(id=await self._store(recording.data, blob_id), format=recording.kind)
            task = AsrTask(task_id=session_id, audio=blob, options=AsrOptions(lang=lang), meta=meta)
            await self._redis.call_with_deadline(ENQUEUE_TIMEOUT_S, "asr", push)
        except RedisUnavailable as error:
            raise Unavailable(
                f"the recording cannot be queued now: {error.why}", code="asr_unavailable"
            ) from error

    async def _store(self, data: bytes, blob_id: str) -> str:
        """Store the recording and return its blob id; a call that fails is repeated once."""
        try:
            return await self._blobs.put(data, blob_id)
        except RedisUnavailable as error:
            if error.full:
                raise
            return await self._blobs.put(data, blob_id)

    async def _start_turn(self, job: Job) -> None:
        """Run the turn of one transcript, then complete its job."""
        try:
            result = _with_session(job.read(_Final), job.raw)
            request = _request(result)
        except ValidationError as error:
            metrics.REQUESTS_REJECTED.labels(code="bad_transcript").inc()
            await job.dead_letter(
                str(field_error(error)),
                *_refusals(job.raw, "invalid", field_error(error).body.message),
            )
            return
        refused: list[RedisCommand] = []
        try:
            frames = await self._turns.start(request, result.meta.traceparent)
            await self._turns.run(request.session_id, frames)
        except ServiceError as error:
            metrics.REQUESTS_REJECTED.labels(code=error.body.code).inc()
            refused = _refusals(job.raw, error.body.code, error.body.message)
        await job.complete(*refused)


def _with_session(result: AsrResult, raw: str) -> AsrResult:
    """Give a transcript of an older producer a requestId, so that a repetition is the same turn."""
    if result.meta.request_id is not None:
        return result
    meta = result.meta.model_copy(update={"request_id": f"transcript:{failures.digest(raw)}"})
    return result.model_copy(update={"meta": meta})


def _request(result: AsrResult) -> ChatRequest:
    meta = RequestMeta(request_id=result.meta.request_id, lang=result.lang or result.meta.lang)
    return ChatRequest(
        session_id=result.meta.session_id or result.task_id,
        type=TurnType.ASR_FINAL,
        content=result.text,
        meta=meta,
    )


def _exhausted(raw: str) -> Sequence[RedisCommand]:
    return _refusals(raw, "given_up", "this recording could not be answered; send it again")


def _refusals(raw: str, code: str, why: str) -> list[RedisCommand]:
    """Return the commands that tell the session that its recording failed."""
    try:
        result = _with_session(AsrResult.from_json(raw), raw)
    except ValidationError:
        return failures.malformed(raw, why, code=code)
    return [failures.failed_recording(result.task_id, code, why, result.meta)]
