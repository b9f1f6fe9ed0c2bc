"""One microphone of a client.

Its audio goes to asr over a WebSocket. asr answers with the start of speech, interim transcripts and
utterances, which go three ways: to the client as frames, to `BargeInPolicy`, which pauses, resumes
or stops the reply that plays, and as turns of the session.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final
from uuid import uuid4

import structlog
from pydantic import ValidationError
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from dialog_contracts.input_socket import (
    FROM_ASR,
    InputError,
    MicStart,
    MicStop,
    Partial,
    SpeechDropped,
    SpeechStarted,
    Utterance,
)
from dialog_contracts.model import WireModel
from dialog_telemetry import metrics
from input_handler.microphone.barge_in import (
    Action,
    BargeInPolicy,
    Drop,
    Pause,
    Resume,
    StartTurn,
    Stop,
)
from input_handler.microphone.playback_client import PausedTurn, PlaybackClient
from input_handler.microphone.user_speaking import UserSpeakingNotifier
from service_runtime.aio.send_queue import SendQueue
from service_runtime.http.errors import InvalidField, TooLarge, TooMany

log = structlog.get_logger("microphone")

MAX_AHEAD_MS: Final = 3_000
"""How far the audio may be ahead of real time, since frames pile up on the way."""

MAX_QUEUED_MS: Final = 5_000
"""Largest amount of audio that waits for asr; then the oldest is dropped."""

MAX_FRAME_MS: Final = 1_000
TICK_S: Final = 0.1
CONNECT_TIMEOUT_S: Final = 2.0
_PACKET_BYTES: Final = 4_000
"""Largest size of an Opus packet in bytes."""

SendFrame = Callable[[WireModel], Awaitable[None]]
OnTranscript = Callable[[str, str | None], None]


class MicrophoneStream:
    """`feed` takes frames, `run` serves until `stop` or until asr is gone.

    `send` sends a frame to the client; `ask` begins a turn and does not wait for it.
    """

    def __init__(
        self,
        start: MicStart,
        asr_url: str,
        control: PlaybackClient,
        notice: UserSpeakingNotifier,
        send: SendFrame,
        ask: OnTranscript,
    ) -> None:
        self._start, self._asr_url, self._playback, self._speaking_notifier = (
            start,
            asr_url,
            control,
            notice,
        )
        self._send_frame, self._start_turn = send, ask
        self._policy = BargeInPolicy()
        self._name = uuid4().hex
        self._acting = asyncio.Lock()
        self._frames: SendQueue[bytes] = SendQueue(MAX_QUEUED_MS)
        self._stopping = False
        self._began = time.monotonic()
        self._fed_ms = 0.0
        self._paused: PausedTurn | None = None

    def feed(self, data: bytes) -> None:
        """Take a frame of audio. Raises InvalidField, TooLarge or TooMany.

        The microphone stays on.
        """
        pcm = self._start.format == "pcm_s16le"
        if not data:
            raise InvalidField(
                "a microphone frame has sound in it, this one is empty", code="empty_frame"
            )
        if pcm and len(data) % 2:
            raise InvalidField(
                f"a PCM frame has whole samples of two bytes, this one has {len(data)} bytes",
                code="odd_pcm",
            )
        limit = self._start.sample_rate * 2 * MAX_FRAME_MS // 1000 if pcm else _PACKET_BYTES
        if len(data) > limit:
            raise TooLarge(f"a microphone frame has at most {limit} bytes", limit=limit)
        frame_ms = len(data) * 1000 / (2 * self._start.sample_rate) if pcm else self._start.frame_ms
        if self._fed_ms + frame_ms > (time.monotonic() - self._began) * 1000 + MAX_AHEAD_MS:
            raise TooMany(
                "more audio than there was time for; this frame was dropped",
                code="microphone_too_fast",
            )
        self._fed_ms += frame_ms
        if not self._frames.fits(frame_ms) and self._frames:
            self._frames.take()
            metrics.MIC_DROPPED.inc()
        self._frames.put(data, frame_ms)

    def stop(self) -> None:
        """End the audio; results of what was said still come."""
        self._stopping = True
        self._frames.end()

    async def run(self) -> None:
        """Serve the microphone until asr has sent its last result."""
        metrics.MICROPHONES.inc()
        try:
            async with connect(
                self._asr_url,
                compression=None,
                proxy=None,
                open_timeout=CONNECT_TIMEOUT_S,
                close_timeout=1,
            ) as asr:
                parts = [asyncio.create_task(self._send(asr)), asyncio.create_task(self._watch())]
                try:
                    async for message in asr:
                        await self._on_asr_frame(message)
                finally:
                    for part in parts:
                        part.cancel()
                    await asyncio.gather(*parts, return_exceptions=True)
                    # Before the connection is closed: that may take a second, after which a task that
                    # was cancelled is cancelled again, and the reply would stay paused.
                    await self._act(self._policy.on_closed())
            if not self._stopping:
                await self._send_frame(
                    InputError(
                        code="asr_unavailable",
                        message="asr has closed the connection: the microphone is off",
                    )
                )
        # ValueError: no valid address of asr is configured.
        except (OSError, ValueError, WebSocketException) as error:
            log.warning("microphone_not_served", reason=type(error).__name__)
            await self._send_frame(
                InputError(
                    code="asr_unavailable", message="asr does not answer: the microphone is off"
                )
            )
        finally:
            metrics.MICROPHONES.dec()
            self._speaking_notifier.notify(self._start.session_id, self._name, speaking=False)

    async def _send(self, asr: ClientConnection) -> None:
        try:
            await asr.send(self._start.to_json())
            while (frame := await self._frames.get()) is not None:
                await asr.send(frame)
            await asr.send(MicStop().to_json())
        except ConnectionClosed:
            return  # The reader sees the same end.

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            async with self._acting:
                await self._act(self._policy.on_tick(_now()))

    async def _on_asr_frame(self, message: str | bytes) -> None:
        try:
            frame = FROM_ASR.validate_json(message)
        except ValidationError as error:
            metrics.REQUESTS_REJECTED.labels(code="bad_asr_frame").inc()
            log.warning("bad_asr_frame", error=str(error)[:200])
            return
        async with self._acting:
            if isinstance(frame, SpeechStarted):
                self._speaking_notifier.notify(self._start.session_id, self._name, speaking=True)
                await self._act(self._policy.on_speech_started(_now()))
                await self._send_frame(frame)
            elif isinstance(frame, Partial):
                await self._act(self._policy.on_partial(frame.text))
                await self._send_frame(frame)
            elif isinstance(frame, Utterance):
                self._speaking_notifier.notify(self._start.session_id, self._name, speaking=False)
                await self._act(
                    self._policy.on_speech_ended(frame.text, frame.lang or self._start.lang)
                )
            else:
                await self._send_frame(frame)

    async def _act(self, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Pause):
                self._paused = await self._playback.pause(self._start.session_id)
                self._policy.on_pause_result(self._paused is not None)
            elif isinstance(action, Resume) and self._paused is not None:
                metrics.FALSE_INTERRUPTIONS.inc()
                await self._playback.resume(self._start.session_id, self._paused)
            elif isinstance(action, Stop) and self._paused is not None:
                await self._playback.stop(self._start.session_id, self._paused)
            elif isinstance(action, StartTurn):
                self._start_turn(action.text, action.lang)
            elif isinstance(action, Drop):
                await self._send_frame(SpeechDropped(reason=action.reason))


def _now() -> float:
    return time.monotonic() * 1000
