"""One microphone: frames go in; speech, its words while it goes on, and utterances come out, in this order and one after the other.

Frames are heard where they arrive. One task finds the words of one utterance after the other; another judges whether the present one is
complete.
"""

import asyncio
from collections import deque
from typing import Final

import numpy as np
import structlog

from asr.decoder import RATE, Samples
from asr.microphone.incoming import Incoming
from asr.microphone.onnx import ModelFailed
from asr.microphone.scribe import Scribe, Tell
from asr.microphone.senses import Senses
from asr.microphone.speech import Speech
from asr.microphone.turn_end import Action, AskEnd, Began, Decode, End, TurnEnd
from asr.microphone.voice_activity import FRAME, FRAME_MS
from dialog_contracts.input_socket import MicStart
from dialog_telemetry import metrics
from service_runtime.errors import InvalidField, TooMany
from service_runtime.tasks import TaskOwner

log = structlog.get_logger("ear")

AHEAD_MS: Final = 10_000
"""A microphone is no faster than time; so much may have piled up on the way, input-handler's five seconds included."""

GAP_S: Final = 1.0
"""Frames that stay away so long in the middle of an utterance end it."""

WATCH_S: Final = 0.25
BACKLOG: Final = 3
"""Utterances that wait for their words. With a fourth the machine is too slow, and the oldest is given up."""


class Ear:
    """`feed` it frames, `run` it until it was told to `stop` and all has been said. Raises InvalidField for a rate its format lacks."""

    def __init__(self, start: MicStart, senses: Senses, tell: Tell) -> None:
        self._start, self._senses, self._tell = start, senses, tell
        self._incoming = Incoming(start)
        self._voice = senses.voice()
        self._turn_end = TurnEnd(senses.rhythm, judged=senses.judge is not None)
        # As much of the past as an utterance may begin with, and one frame.
        past_ms = senses.rhythm.preroll_ms + senses.rhythm.onset_ms
        self._recent: deque[Samples] = deque(maxlen=past_ms // FRAME_MS + 2)
        self._rest: Samples = np.zeros(0, np.float32)
        self._now_ms = 0
        self._fed_ms = 0.0
        self._began_at = self._fed_at = _clock()
        self._speech: Speech | None = None
        self._waiting: deque[Speech] = deque()
        self._question: tuple[int, Samples] | None = None
        self._speeches, self._questions = asyncio.Event(), asyncio.Event()
        self._stopping = False

    def feed(self, data: bytes) -> None:
        """A frame of audio. Raises InvalidField, TooLarge, TooMany; the microphone stays on."""
        try:
            samples = self._incoming.samples(data)
        except InvalidField as error:
            if error.body.code == "bad_opus":
                self._hear(self._incoming.lost)
            raise
        self._hear(samples)

    def stop(self) -> None:
        """The microphone is off: what was said is still heard to its end."""
        self._act(self._turn_end.cut("stopped"))
        self._stopping = True
        self._speeches.set()

    async def run(self) -> None:
        """Until it was stopped and all utterances were told."""
        scribe = Scribe(self._start, self._senses.recognizer, self._tell)
        beside = TaskOwner()
        beside.start("judge", self._judge())
        beside.start("watch", self._watch())
        try:
            while self._waiting or not self._stopping:
                if not self._waiting:
                    self._speeches.clear()
                    await self._speeches.wait()
                    continue
                await scribe.follow(self._waiting.popleft())
        finally:
            await beside.close()

    def _hear(self, samples: Samples) -> None:
        length_ms = len(samples) * 1000 / RATE
        now = _clock()
        if self._fed_ms + length_ms > (now - self._began_at) * 1000 + AHEAD_MS:
            raise TooMany(
                "more audio than there was time for; this frame was dropped",
                code="microphone_too_fast",
            )
        self._fed_ms += length_ms
        self._fed_at = now
        self._rest = np.concatenate([self._rest, samples])
        while len(self._rest) >= FRAME:
            frame, self._rest = self._rest[:FRAME], self._rest[FRAME:]
            self._recent.append(frame)
            if self._speech is not None:
                self._speech.frames.append(frame)
            from_ms, self._now_ms = self._now_ms, self._now_ms + FRAME_MS
            self._act(self._turn_end.heard(from_ms, self._now_ms, self._voice.chance(frame)))

    def _act(self, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Began):
                count = (self._now_ms - action.window_ms) // FRAME_MS
                self._speech = Speech(action, list(self._recent)[-count:])
                self._wait_for_words(self._speech)
                continue
            speech = self._speech
            assert speech is not None
            if isinstance(action, Decode):
                speech.look(action.speech_ms, pausing=action.pausing)
            elif isinstance(action, AskEnd):
                self._question = (action.question, speech.samples())
                self._questions.set()
            elif isinstance(action, End):
                speech.finish(action, _clock() - (self._now_ms - action.end_ms) / 1000)
                self._speech = None

    def _wait_for_words(self, speech: Speech) -> None:
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
            await asyncio.sleep(WATCH_S)
            if _clock() - self._fed_at >= GAP_S:
                self._act(self._turn_end.cut("gap"))

    async def _judge(self) -> None:
        judge = self._senses.judge
        if judge is None:
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
                complete = await judge.complete(samples)
                outcome = "complete" if complete else "incomplete"
            except ModelFailed as error:
                outcome = "failed"
                log.warning("not_judged", session=self._start.session_id, reason=repr(error)[:200])
            metrics.TURN_END_JUDGED.labels(outcome=outcome).inc()
            metrics.TURN_END_SECONDS.observe(_clock() - began)
            self._act(self._turn_end.verdict(question, complete))


def _clock() -> float:
    return asyncio.get_running_loop().time()
