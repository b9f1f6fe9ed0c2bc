"""`/ws/input`: messages, uploads and microphones of one client.

Every client may send uploads in the legacy dialect. A client with the subprotocol `vtuber.v2` may
also send TEXT, which becomes a turn whose events come back as TURN_EVENT, and turn a microphone on,
whose frames then are the binary ones.
"""

import asyncio
import json
import uuid
from contextlib import aclosing, suppress
from typing import Final

import structlog
from pydantic import ValidationError
from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect

from dialog_contracts import limits, sse
from dialog_contracts.http import ChatRequest, RequestMeta, TurnType
from dialog_contracts.input_socket import Final as FinalFrame
from dialog_contracts.input_socket import InputError, MicStart, SayText, TaskAssigned, UploadFrame
from dialog_contracts.model import WireModel
from dialog_contracts.sse import SseFrame
from dialog_contracts.viewer import SUBPROTOCOL
from dialog_telemetry import metrics
from input_handler.legacy.upload_session import UploadSession
from input_handler.microphone.factory import MicrophoneFactory
from input_handler.microphone.stream import MicrophoneStream
from input_handler.turns.connection_limit import ConcurrencyLimit
from input_handler.turns.turn_service import TurnService
from service_runtime.aio.background_tasks import BackgroundTasks
from service_runtime.http.errors import InvalidField, ServiceError, TooMany, field_error
from service_runtime.http.frame_rate_limit import FrameRateLimit

log = structlog.get_logger("input")

CLOSE_TOO_BIG: Final = 1009
CLOSE_POLICY: Final = 1008
MAX_BAD_FRAMES: Final = 50
MAX_FRAMES_PER_SECOND: Final = 200


class InputSocket:
    """One connection.

    Turns of a `vtuber.v2` client that have no answer yet end with the connection. Legacy clients
    disconnect at once, so their turns continue.
    """

    def __init__(
        self,
        socket: WebSocket,
        session_id: str,
        caller: TurnService,
        slots: ConcurrencyLimit,
        uploads: UploadSession,
        microphones: MicrophoneFactory,
        client: str,
    ) -> None:
        self._socket, self._session_id, self._turns, self._client = (
            socket,
            session_id,
            caller,
            client,
        )
        self._limit, self._uploads, self._microphones = slots, uploads, microphones
        self._tasks = BackgroundTasks()
        self._bad = 0
        self._rate = FrameRateLimit(MAX_FRAMES_PER_SECOND)
        self._microphone: MicrophoneStream | None = None
        self._v2 = SUBPROTOCOL in socket.scope.get("subprotocols", [])

    async def serve(self) -> None:
        """Serve until the connection ends."""
        await self._socket.accept(subprotocol=SUBPROTOCOL if self._v2 else None)
        try:
            await self._socket.send_text(TaskAssigned(task_id=self._session_id).to_json())
            while (message := await self._receive())["type"] == "websocket.receive":
                if self._rate.exceeded():
                    await self._socket.close(
                        CLOSE_POLICY, f"more than {MAX_FRAMES_PER_SECOND} frames a second"
                    )
                    return
                text, data = message.get("text"), message.get("bytes")
                if (
                    text is not None
                    and len(text) * 4 > limits.MAX_JSON_FRAME_BYTES
                    and len(text.encode()) > limits.MAX_JSON_FRAME_BYTES
                ):
                    metrics.REQUESTS_REJECTED.labels(code="too_large").inc()
                    await self._socket.close(
                        CLOSE_TOO_BIG,
                        f"a text frame has at most {limits.MAX_JSON_FRAME_BYTES} bytes",
                    )
                    return
                if text is not None:
                    await self._on_text(text)
                elif data is not None and self._microphone is not None:
                    await self._feed(self._microphone, data)
                elif data is not None:
                    await self._socket.send_text(self._uploads.add(data))
                if self._bad >= MAX_BAD_FRAMES:
                    await self._socket.close(CLOSE_POLICY, "too many bad frames")
                    return
        except (WebSocketDisconnect, RuntimeError):
            return
        finally:
            self._uploads.drop()
            await self._tasks.close()

    async def _receive(self) -> Message:
        """Return the next message; an upload that makes no progress meanwhile is dropped."""
        while True:
            if not self._uploads.open:
                return await self._socket.receive()
            try:
                async with asyncio.timeout_at(self._uploads.deadline):
                    return await self._socket.receive()
            except TimeoutError:
                await self._socket.send_text(self._uploads.expire())

    async def _on_text(self, text: str) -> None:
        try:
            frame = json.loads(text)
        except (ValueError, RecursionError):
            frame = None
        if not isinstance(frame, dict):
            await self._refuse("invalid_json", "Invalid JSON format")
        elif frame.get("type") == "TEXT" and self._v2:
            await self._on_say(text)
        elif frame.get("type") == "MIC_START" and self._v2:
            await self._start_microphone(text)
        elif frame.get("type") == "MIC_STOP" and self._v2:
            self._stop_microphone()
        elif frame.get("action") == "upload_complete":
            await self._socket.send_text(
                await self._uploads.finish(
                    frame.get("lang"), self._socket.headers.get("traceparent")
                )
            )
        else:
            await self._announce(text)

    async def _on_say(self, text: str) -> None:
        request_id = None
        try:
            say = SayText.from_json(text)
            request_id = say.meta.request_id
            request = ChatRequest(session_id=self._session_id, content=say.content, meta=say.meta)
        except ValidationError as error:
            wrong = field_error(error)
            await self._refuse(wrong.body.code, wrong.body.message, request_id)
            return
        try:
            self._limit.acquire()
        except TooMany as full:
            await self._refuse(full.body.code, full.body.message, request_id)
            return
        self._tasks.start("turn", self._forward(request, say))

    async def _forward(
        self, request: ChatRequest, say: SayText, *, transcript: str | None = None
    ) -> None:
        traceparent = say.traceparent or self._socket.headers.get("traceparent")
        frames = self._turns.stream(
            request, last_event_id=say.last_event_id, traceparent=traceparent, client=self._client
        )
        try:
            async with aclosing(frames):
                async for frame in frames:
                    if transcript is not None and frame.id is not None:
                        await self._send(
                            FinalFrame(text=transcript, turn=sse.split_event_id(frame.id)[0])
                        )
                        transcript = None
                    await self._socket.send_text(self._turn_event(request, frame))
        except ServiceError as error:
            metrics.REQUESTS_REJECTED.labels(code=error.body.code).inc()
            refusal = InputError(
                code=error.body.code, message=error.body.message, request_id=request.meta.request_id
            )
            with suppress(WebSocketDisconnect, RuntimeError):
                await self._socket.send_text(refusal.to_json())
        except (WebSocketDisconnect, RuntimeError):
            return  # The reader ends the connection.
        finally:
            self._limit.release()

    async def _start_microphone(self, text: str) -> None:
        try:
            start = MicStart.from_json(text)
            if start.session_id != self._session_id:
                raise InvalidField(
                    f"sessionId: this socket belongs to {self._session_id}", field="sessionId"
                )
        except (ValidationError, InvalidField) as error:
            wrong = error if isinstance(error, InvalidField) else field_error(error)
            await self._refuse(wrong.body.code, wrong.body.message)
            return
        self._stop_microphone()
        try:
            self._microphone = self._microphones.open(
                start, self._send, self._on_transcript, self._client
            )
        except TooMany as full:
            await self._refuse(full.body.code, full.body.message)
            return
        has_microphone = self._tasks.start("microphone", self._microphone.run())
        has_microphone.add_done_callback(lambda _: self._microphones.closed(self._client))

    def _stop_microphone(self) -> None:
        """End the microphone; its task still delivers the results of what was said."""
        if self._microphone is not None:
            self._microphone.stop()
            self._microphone = None

    async def _feed(self, microphone: MicrophoneStream, data: bytes) -> None:
        try:
            microphone.feed(data)
        except ServiceError as error:
            await self._refuse(error.body.code, error.body.message)

    def _on_transcript(self, text: str, lang: str | None) -> None:
        """Begin a turn with what was said into the microphone."""
        meta = RequestMeta(request_id=f"mic-{uuid.uuid4()}", lang=lang)
        try:
            self._limit.acquire()
        except TooMany as full:
            self._tasks.start(
                "refuse", self._refuse(full.body.code, full.body.message, meta.request_id)
            )
            return
        request = ChatRequest(
            session_id=self._session_id, type=TurnType.ASR_FINAL, content=text, meta=meta
        )
        self._tasks.start(
            "turn", self._forward(request, SayText(content=text, meta=meta), transcript=text)
        )

    async def _send(self, message: WireModel) -> None:
        with suppress(WebSocketDisconnect, RuntimeError):
            await self._socket.send_text(message.to_json())

    def _turn_event(self, request: ChatRequest, frame: SseFrame) -> str:
        # The event's data is JSON already; parsing it would cost time for every delta of every
        # turn.
        head = {
            "type": "TURN_EVENT",
            "sessionId": self._session_id,
            "requestId": request.meta.request_id,
            "id": frame.id,
            "event": frame.event,
        }
        return f'{json.dumps(head)[:-1]}, "data": {frame.data}}}'

    async def _announce(self, text: str) -> None:
        try:
            frame = UploadFrame.from_json(text)
        except ValidationError as error:
            await self._refuse("invalid", f"Error: {field_error(error).body.message}")
            return
        answer = self._uploads.announce(frame)
        if answer is not None:
            await self._socket.send_text(answer)

    async def _refuse(self, code: str, message: str, request_id: str | None = None) -> None:
        self._bad += 1
        metrics.REQUESTS_REJECTED.labels(code=code).inc()
        answer = (
            InputError(code=code, message=message, request_id=request_id).to_json()
            if self._v2
            else message
        )
        await self._socket.send_text(answer)
