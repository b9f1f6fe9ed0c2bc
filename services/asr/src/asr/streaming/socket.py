"""The socket `/ws/asr`: one microphone per connection.

The client sends MIC_START, then binary frames, then MIC_STOP, and receives the results. There is no
authentication: the network policy admits only input-handler, as for the other internal sockets.
"""

import asyncio
from contextlib import suppress
from typing import Final

import structlog
from pydantic import ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect

from asr.streaming.backends import SpeechBackends
from asr.streaming.pipeline import StreamingRecognizer
from dialog_contracts.input_socket import TO_ASR, InputError, MicStart
from dialog_contracts.model import WireModel
from dialog_telemetry import metrics
from service_runtime.http.errors import (
    InvalidField,
    ServiceError,
    TooMany,
    Unavailable,
    field_error,
)

log = structlog.get_logger("microphone")

CLOSE_NORMAL: Final = 1000
CLOSE_POLICY: Final = 1008
CLOSE_FAILED: Final = 1011
CLOSE_LATER: Final = 1013
MAX_BAD_FRAMES: Final = 50
START_TIMEOUT_S: Final = 5.0


class MicrophoneServer:
    """Admits a limited number of microphones. `backends` is None until the models are loaded."""

    def __init__(self, microphones_max: int) -> None:
        self.backends: SpeechBackends | None = None
        self.open = 0
        self._max = microphones_max

    async def serve(self, socket: WebSocket) -> None:
        """Serve one connection until it ends."""
        await socket.accept()
        with suppress(WebSocketDisconnect, RuntimeError):
            try:
                backends = self._admit()
            except ServiceError as error:
                await _refuse(socket, error)
                await socket.close(CLOSE_LATER, error.body.code)
                return
            self.open += 1
            metrics.MICROPHONES.inc()
            try:
                await _Connection(socket, backends).serve()
            finally:
                self.open -= 1
                metrics.MICROPHONES.dec()

    def close(self) -> None:
        """Stop the end-of-turn model."""
        if self.backends is not None:
            self.backends.close()

    def _admit(self) -> SpeechBackends:
        if self.backends is None:
            raise Unavailable(
                "what microphones are heard with is being loaded", code="asr_not_ready"
            )
        if self.open >= self._max:
            raise TooMany(
                f"{self._max} microphones at once is the limit of this process",
                code="too_many_microphones",
            )
        return self.backends


class _Connection:
    def __init__(self, socket: WebSocket, backends: SpeechBackends) -> None:
        self._socket, self._backends = socket, backends
        self._bad = 0

    async def serve(self) -> None:
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                recognizer = await self._start()
        except (ServiceError, TimeoutError) as error:
            refused = (
                error
                if isinstance(error, ServiceError)
                else InvalidField("MIC_START did not come", code="no_start")
            )
            await _refuse(self._socket, refused)
            await self._socket.close(CLOSE_POLICY, refused.body.code)
            return
        hearing = asyncio.create_task(recognizer.run())
        reading = asyncio.create_task(self._read(recognizer))
        try:
            await asyncio.wait([hearing, reading], return_when=asyncio.FIRST_COMPLETED)
            if not hearing.done() and reading.exception() is None and reading.result():
                # After MIC_STOP the results are still sent; a client that disconnects now does not
                # need them.
                leaving = asyncio.create_task(self._wait_disconnect())
                await asyncio.wait([hearing, leaving], return_when=asyncio.FIRST_COMPLETED)
                leaving.cancel()
                await asyncio.gather(leaving, return_exceptions=True)
            await self._close(hearing if hearing.done() else reading)
        finally:
            for task in (hearing, reading):
                task.cancel()
            await asyncio.gather(hearing, reading, return_exceptions=True)

    async def _start(self) -> StreamingRecognizer:
        message = await self._socket.receive()
        if message["type"] != "websocket.receive":
            raise WebSocketDisconnect
        text = message.get("text")
        if text is None:
            raise InvalidField("the first frame is MIC_START, before any sound", code="no_start")
        try:
            start = TO_ASR.validate_json(text)
        except ValidationError as error:
            raise field_error(error) from error
        if not isinstance(start, MicStart):
            raise InvalidField("the first frame is MIC_START", code="no_start")
        return StreamingRecognizer(start, self._backends, self._send)

    async def _read(self, recognizer: StreamingRecognizer) -> bool:
        """Return True when the microphone was stopped, False when the connection has ended."""
        while (message := await self._socket.receive())["type"] == "websocket.receive":
            text, data = message.get("text"), message.get("bytes")
            try:
                if data is not None:
                    recognizer.feed(data)
                elif text is not None:
                    _only_stop(text)
                    recognizer.stop()
                    return True
            except ServiceError as error:
                self._bad += 1
                await _refuse(self._socket, error)
                if self._bad >= MAX_BAD_FRAMES:
                    await self._socket.close(CLOSE_POLICY, "too many bad frames")
                    return False
        return False

    async def _wait_disconnect(self) -> None:
        while (await self._socket.receive())["type"] == "websocket.receive":
            pass

    async def _send(self, message: WireModel) -> None:
        await self._socket.send_text(message.to_json())

    async def _close(self, ended: asyncio.Task[None] | asyncio.Task[bool]) -> None:
        error = ended.exception()
        if error is None:
            await self._socket.close(CLOSE_NORMAL)
        # These two mean that the connection has ended.
        elif not isinstance(error, (WebSocketDisconnect, RuntimeError)):
            metrics.TASK_CRASHES.labels(task="microphone").inc()
            log.error("microphone_failed", error=repr(error)[:200], exc_info=error)
            await self._socket.close(CLOSE_FAILED, "an error on our side; it was logged")


def _only_stop(text: str) -> None:
    try:
        frame = TO_ASR.validate_json(text)
    except ValidationError as error:
        raise field_error(error) from error
    if isinstance(frame, MicStart):
        raise InvalidField(
            "this microphone is on; another one is another connection", code="already_started"
        )


async def _refuse(socket: WebSocket, error: ServiceError) -> None:
    metrics.REQUESTS_REJECTED.labels(code=error.body.code).inc()
    await socket.send_text(InputError(code=error.body.code, message=error.body.message).to_json())
