"""One microphone: its audio goes to asr; what was heard comes back as frames for its client, as turns, and as silence for the reply."""

import asyncio
import time
from collections import deque
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
from input_handler.listening.interruption import (
    Action,
    Ask,
    Drop,
    Interruption,
    Pause,
    Resume,
    Stop,
)
from input_handler.listening.output_control import Held, OutputControl
from input_handler.listening.spoken_to import SpokenToNotice
from service_runtime.errors import InvalidField, TooLarge, TooMany

log = structlog.get_logger("microphone")

AHEAD_MS: Final = 3_000
"""A microphone is no faster than time; so much may have piled up on the way."""

WAITING_MS: Final = 5_000
"""Audio that waits for asr; beyond it the oldest is dropped."""

FRAME_MS_MAX: Final = 1_000
TICK_S: Final = 0.1
OPEN_WITHIN_S: Final = 2.0
_PACKET_BYTES: Final = 4_000
"""An Opus packet is never longer."""

Tell = Callable[[WireModel], Awaitable[None]]
AskTurn = Callable[[str, str | None], None]


class Microphone:
    """`feed` it frames; `run` until it is told to stop or asr is gone. `ask` begins a turn and does not wait for it."""

    def __init__(
        self,
        start: MicStart,
        asr_url: str,
        control: OutputControl,
        notice: SpokenToNotice,
        tell: Tell,
        ask: AskTurn,
    ) -> None:
        self._start, self._asr_url, self._control, self._notice = start, asr_url, control, notice
        self._tell, self._ask = tell, ask
        self._policy = Interruption()
        self._name = uuid4().hex
        self._acting = asyncio.Lock()
        self._frames: deque[bytes] = deque()
        self._news = asyncio.Event()
        self._stopping = False
        self._began = time.monotonic()
        self._fed_ms = 0.0
        self._held: Held | None = None

    def feed(self, data: bytes) -> None:
        """A frame of audio. Raises InvalidField, TooLarge, TooMany; the microphone stays on."""
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
        limit = self._start.sample_rate * 2 * FRAME_MS_MAX // 1000 if pcm else _PACKET_BYTES
        if len(data) > limit:
            raise TooLarge(f"a microphone frame has at most {limit} bytes", limit=limit)
        frame_ms = len(data) * 1000 / (2 * self._start.sample_rate) if pcm else self._start.frame_ms
        if self._fed_ms + frame_ms > (time.monotonic() - self._began) * 1000 + AHEAD_MS:
            raise TooMany(
                "more audio than there was time for; this frame was dropped",
                code="microphone_too_fast",
            )
        self._fed_ms += frame_ms
        self._frames.append(data)
        if len(self._frames) > WAITING_MS / frame_ms:
            self._frames.popleft()
            metrics.MIC_DROPPED.inc()
        self._news.set()

    def stop(self) -> None:
        """MIC_STOP: what was said is still heard to its end."""
        self._stopping = True
        self._news.set()

    async def run(self) -> None:
        """Until asr has said all there is to say about it."""
        metrics.MICROPHONES.inc()
        try:
            async with connect(
                self._asr_url,
                compression=None,
                proxy=None,
                open_timeout=OPEN_WITHIN_S,
                close_timeout=1,
            ) as asr:
                parts = [asyncio.create_task(self._send(asr)), asyncio.create_task(self._watch())]
                try:
                    async for message in asr:
                        await self._heard(message)
                finally:
                    for part in parts:
                        part.cancel()
                    await asyncio.gather(*parts, return_exceptions=True)
            if not self._stopping:
                await self._tell(
                    InputError(
                        code="asr_unavailable",
                        message="nobody listens any more: the microphone is off",
                    )
                )
        # ValueError: an address that is none, where no asr is configured.
        except (OSError, ValueError, WebSocketException) as error:
            log.warning("not_listened_to", reason=type(error).__name__)
            await self._tell(
                InputError(code="asr_unavailable", message="nobody listens: asr does not answer")
            )
        finally:
            metrics.MICROPHONES.dec()
            self._notice.tell(self._start.session_id, self._name, speaking=False)
            await self._act(self._policy.gone())

    async def _send(self, asr: ClientConnection) -> None:
        try:
            await asr.send(self._start.to_json())
            while True:
                while self._frames:
                    await asr.send(self._frames.popleft())
                if self._stopping:
                    await asr.send(MicStop().to_json())
                    return
                self._news.clear()
                await self._news.wait()
        except ConnectionClosed:
            return  # The reader sees the same end.

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            async with self._acting:
                await self._act(self._policy.tick(_now()))

    async def _heard(self, message: str | bytes) -> None:
        try:
            frame = FROM_ASR.validate_json(message)
        except ValidationError as error:
            metrics.REFUSED.labels(code="bad_asr_frame").inc()
            log.warning("bad_asr_frame", error=str(error)[:200])
            return
        async with self._acting:
            if isinstance(frame, SpeechStarted):
                self._notice.tell(self._start.session_id, self._name, speaking=True)
                await self._act(self._policy.began(_now()))
                await self._tell(frame)
            elif isinstance(frame, Partial):
                await self._act(self._policy.partial(frame.text))
                await self._tell(frame)
            elif isinstance(frame, Utterance):
                self._notice.tell(self._start.session_id, self._name, speaking=False)
                await self._act(self._policy.ended(frame.text, frame.lang or self._start.lang))
            else:
                await self._tell(frame)

    async def _act(self, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Pause):
                self._held = await self._control.pause(self._start.session_id)
                self._policy.paused(self._held is not None)
            elif isinstance(action, Resume) and self._held is not None:
                metrics.FALSE_INTERRUPTIONS.inc()
                await self._control.resume(self._start.session_id, self._held)
            elif isinstance(action, Stop) and self._held is not None:
                await self._control.stop(self._start.session_id, self._held)
            elif isinstance(action, Ask):
                self._ask(action.text, action.lang)
            elif isinstance(action, Drop):
                await self._tell(SpeechDropped(reason=action.reason))


def _now() -> float:
    return time.monotonic() * 1000
