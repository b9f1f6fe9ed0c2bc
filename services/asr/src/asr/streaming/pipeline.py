"""Recognition of one microphone: frames in; SPEECH_STARTED, PARTIAL and UTTERANCE out, in order.

Voice activity and endpointing run where the frames arrive, because they are fast. Slow work runs in
tasks of its own: `run` transcribes one utterance after the other, a second task asks the
end-of-turn model, and a third one ends an utterance whose frames stop arriving. The frames of an
utterance are in a SpeechSegment, which outlives it until its words are found.

Memory and latency are bounded: audio that arrives faster than real time is rejected beyond
MAX_AHEAD_MS, and of more than BACKLOG utterances that wait for their words the oldest is dropped.

Decoding is in `frame_decoder.py`, decisions in `endpointing.py`, words in `transcriber.py`, and the
choice of models in `backends.py`.
"""

import asyncio
from collections import deque
from typing import Final

import numpy as np
import structlog

from asr.decoder import RATE, Samples
from asr.streaming.backends import SpeechBackends
from asr.streaming.endpointing import (
    Action,
    Decode,
    Endpointer,
    PredictEnd,
    SpeechEnded,
    SpeechStarted,
)
from asr.streaming.frame_decoder import FrameDecoder
from asr.streaming.onnx import ModelFailed
from asr.streaming.transcriber import Send, UtteranceTranscriber
from asr.streaming.utterance import SpeechSegment
from asr.streaming.vad import FRAME, FRAME_MS
from dialog_contracts.input_socket import MicStart
from dialog_telemetry import metrics
from service_runtime.aio.background_tasks import BackgroundTasks
from service_runtime.http.errors import InvalidField, TooMany

log = structlog.get_logger("recognizer")

MAX_AHEAD_MS: Final = 10_000
"""Audio in ms that may arrive ahead of real time, because it piled up on the way.

It includes the five seconds that input-handler may hold.
"""

GAP_S: Final = 1.0
"""Seconds without frames that end an utterance."""

GAP_CHECK_S: Final = 0.25
BACKLOG: Final = 3
"""Utterances that may wait for their words.

With a fourth the machine is too slow, and the oldest is dropped.
"""


class StreamingRecognizer:
    """Recognizes one microphone.

    `feed` frames while `run` runs; `run` ends after `stop` when all results have been sent. The
    constructor raises InvalidField for a rate that the format does not have.
    """

    def __init__(self, start: MicStart, backends: SpeechBackends, send: Send) -> None:
        self._start, self._backends, self._send = start, backends, send
        self._decoder = FrameDecoder(start)
        self._vad = backends.vad()
        self._endpointer = Endpointer(backends.endpointing, judged=backends.end_of_turn is not None)
        # The audio with which an utterance may begin, and one frame.
        past_ms = backends.endpointing.preroll_ms + backends.endpointing.onset_ms
        self._recent: deque[Samples] = deque(maxlen=past_ms // FRAME_MS + 2)
        self._remainder: Samples = np.zeros(0, np.float32)
        self._now_ms = 0
        self._fed_ms = 0.0
        self._began_at = self._fed_at = _clock()
        self._speech: SpeechSegment | None = None
        self._waiting: deque[SpeechSegment] = deque()
        self._question: tuple[int, Samples] | None = None
        self._speeches, self._questions = asyncio.Event(), asyncio.Event()
        self._stopping = False

    def feed(self, data: bytes) -> None:
        """Process a frame; raises InvalidField, TooLarge or TooMany. The microphone stays on."""
        try:
            samples = self._decoder.samples(data)
        except InvalidField as error:
            if error.body.code == "bad_opus":
                self._process(self._decoder.silence)
            raise
        self._process(samples)

    def stop(self) -> None:
        """Turn the microphone off; what was said before is still transcribed."""
        self._act(self._endpointer.force_end("stopped"))
        self._stopping = True
        self._speeches.set()

    async def run(self) -> None:
        """Run until the microphone is stopped and all utterances are transcribed."""
        transcriber = UtteranceTranscriber(self._start, self._backends.recognizer, self._send)
        beside = BackgroundTasks()
        beside.start("judge", self._predict_end())
        beside.start("watch", self._watch())
        try:
            while self._waiting or not self._stopping:
                if not self._waiting:
                    self._speeches.clear()
                    await self._speeches.wait()
                    continue
                await transcriber.run(self._waiting.popleft())
        finally:
            await beside.close()

    def _process(self, samples: Samples) -> None:
        length_ms = len(samples) * 1000 / RATE
        now = _clock()
        if self._fed_ms + length_ms > (now - self._began_at) * 1000 + MAX_AHEAD_MS:
            raise TooMany(
                "more audio than there was time for; this frame was dropped",
                code="microphone_too_fast",
            )
        self._fed_ms += length_ms
        self._fed_at = now
        self._remainder = np.concatenate([self._remainder, samples])
        while len(self._remainder) >= FRAME:
            frame, self._remainder = self._remainder[:FRAME], self._remainder[FRAME:]
            self._recent.append(frame)
            if self._speech is not None:
                self._speech.frames.append(frame)
            from_ms, self._now_ms = self._now_ms, self._now_ms + FRAME_MS
            self._act(
                self._endpointer.on_frame(
                    from_ms, self._now_ms, self._vad.speech_probability(frame)
                )
            )

    def _act(self, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, SpeechStarted):
                count = (self._now_ms - action.window_ms) // FRAME_MS
                self._speech = SpeechSegment(action, list(self._recent)[-count:])
                self._enqueue_utterance(self._speech)
                continue
            speech = self._speech
            assert speech is not None
            if isinstance(action, Decode):
                speech.request_interim(action.speech_ms, pausing=action.pausing)
            elif isinstance(action, PredictEnd):
                self._question = (action.question, speech.samples())
                self._questions.set()
            elif isinstance(action, SpeechEnded):
                speech.finish(action, _clock() - (self._now_ms - action.end_ms) / 1000)
                self._speech = None

    def _enqueue_utterance(self, speech: SpeechSegment) -> None:
        if len(self._waiting) >= BACKLOG:
            given_up = self._waiting.popleft()
            metrics.UTTERANCES.labels(
                ended=given_up.end.reason if given_up.end else "", outcome="given_up"
            ).inc()
            log.error(
                "utterance_given_up",
                session=self._start.session_id,
                reason="words are found slower than they are said",
            )
        self._waiting.append(speech)
        self._speeches.set()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(GAP_CHECK_S)
            if _clock() - self._fed_at >= GAP_S:
                self._act(self._endpointer.force_end("gap"))

    async def _predict_end(self) -> None:
        end_of_turn = self._backends.end_of_turn
        if end_of_turn is None:
            return
        while True:
            await self._questions.wait()
            self._questions.clear()
            assert self._question is not None
            question, samples = self._question
            self._question = None
            complete: bool | None = None
            began = _clock()
            try:
                complete = await end_of_turn.is_complete(samples)
                outcome = "complete" if complete else "incomplete"
            except ModelFailed as error:
                outcome = "failed"
                log.warning(
                    "end_of_turn_not_predicted",
                    session=self._start.session_id,
                    reason=repr(error)[:200],
                )
            metrics.EOT_PREDICTIONS.labels(outcome=outcome).inc()
            metrics.EOT_INFERENCE_SECONDS.observe(_clock() - began)
            self._act(self._endpointer.on_prediction(question, complete))


def _clock() -> float:
    return asyncio.get_running_loop().time()
