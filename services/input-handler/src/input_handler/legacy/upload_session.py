"""The uploads of one connection, one at a time: text becomes a turn, audio is queued for asr."""

import asyncio
import uuid
from typing import Final

from pydantic import ValidationError

from dialog_contracts.http import ChatRequest, RequestMeta
from dialog_contracts.input_socket import UploadFrame, UploadProcessed
from dialog_contracts.legacy_chain import UPLOAD_ID
from dialog_telemetry import metrics
from input_handler.legacy.recordings import RecordingQueue
from input_handler.legacy.upload_assembler import Recording, UploadAssembler, UploadRefused
from input_handler.legacy.upload_budget import UploadBudget
from input_handler.turns.background_turn import BackgroundTurns
from input_handler.turns.begun_turn import BegunTurn
from input_handler.turns.connection_limit import ConcurrencyLimit
from service_runtime.aio.background_tasks import BackgroundTasks
from service_runtime.http.errors import ServiceError, field_error

IDLE_TIMEOUT_S: Final = 30.0
"""Seconds without a frame after which an upload is dropped."""


class UploadSession:
    """Methods return the answer for the client."""

    def __init__(
        self,
        session_id: str,
        unattended: BackgroundTurns,
        transcripts: RecordingQueue | None,
        service_tasks: BackgroundTasks,
        slots: ConcurrencyLimit,
        budget: UploadBudget,
        client: str,
    ) -> None:
        self._session_id, self._background_turns, self._recordings = (
            session_id,
            unattended,
            transcripts,
        )
        self._client = client
        self._service_tasks, self._limit, self._budget = service_tasks, slots, budget
        self._upload = UploadAssembler()
        self.deadline = 0.0
        """Time of the event loop at which an idle upload is dropped."""

    @property
    def open(self) -> bool:
        """Whether an upload has begun."""
        return self._upload.kind is not None

    def announce(self, frame: UploadFrame) -> str | None:
        """Take an announcement, which may contain the chunk."""
        self.deadline = asyncio.get_running_loop().time() + IDLE_TIMEOUT_S
        before = self._upload.size
        answer = self._upload.announce(frame)
        self._budget.reserve(self._client, self._upload.size - before)
        return answer

    def add(self, data: bytes) -> str:
        """Take a chunk."""
        self.deadline = asyncio.get_running_loop().time() + IDLE_TIMEOUT_S
        before = self._upload.size
        if self._upload.announced and not self._budget.can_reserve(self._client, len(data)):
            answer = self._upload.refuse(self._budget.FULL)
        else:
            answer = self._upload.add(data)
        self._budget.reserve(self._client, self._upload.size - before)
        return answer

    def drop(self) -> None:
        """Drop the upload and release its memory."""
        upload, self._upload = self._upload, UploadAssembler()
        self._budget.reserve(self._client, -upload.size)

    def expire(self) -> str:
        """Drop an upload that was idle for too long."""
        self.drop()
        metrics.REQUESTS_REJECTED.labels(code="upload_stalled").inc()
        return self._processed(
            f"upload_stalled: nothing more came for {IDLE_TIMEOUT_S:.0f} s, and no upload_complete"
        )

    async def finish(self, lang: object, traceparent: str | None) -> str:
        """Begin the turn, or queue the recording, of a complete upload."""
        # Its memory counts until it is a turn, or queued.
        upload, self._upload = self._upload, UploadAssembler()
        size = upload.size
        try:
            found = upload.finish()
            upload.chunks.clear()
            meta = RequestMeta(
                request_id=f"{UPLOAD_ID}{uuid.uuid4()}",
                lang=lang if isinstance(lang, str) else None,
            )
            if isinstance(found, Recording):
                await self._send_recording(found, meta, traceparent)
            else:
                await self._start_turn(
                    ChatRequest(session_id=self._session_id, content=found, meta=meta), traceparent
                )
        except UploadRefused as error:
            return self._processed(str(error))
        except ValidationError as error:
            return self._processed(field_error(error).body.message)
        except ServiceError as error:
            metrics.REQUESTS_REJECTED.labels(code=error.body.code).inc()
            return self._processed(f"{error.body.code}: {error.body.message}")
        finally:
            self._budget.reserve(self._client, -size)
        return self._processed(None)

    async def _send_recording(
        self, recording: Recording, meta: RequestMeta, traceparent: str | None
    ) -> None:
        if self._recordings is None:
            raise UploadRefused("recordings need the legacy chain, which is switched off")
        assert meta.request_id is not None
        await self._recordings.send(
            self._session_id,
            recording,
            request_id=meta.request_id,
            lang=meta.lang,
            traceparent=traceparent,
            client=self._client,
        )

    async def _start_turn(self, request: ChatRequest, traceparent: str | None) -> None:
        self._limit.acquire()
        try:
            turn = await self._background_turns.start(request, traceparent, client=self._client)
        except BaseException:
            self._limit.release()
            raise
        # The turn was accepted. The client may disconnect; the answer goes to /ws/output.
        self._service_tasks.start("legacy-turn", self._follow(turn))

    async def _follow(self, turn: BegunTurn) -> None:
        try:
            await self._background_turns.run(self._session_id, turn)
        finally:
            self._limit.release()

    def _processed(self, error: str | None) -> str:
        return UploadProcessed(
            status="error" if error else "queued", task_id=self._session_id, error=error
        ).to_json()
