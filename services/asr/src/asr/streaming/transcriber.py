"""Transcribes the utterances of one microphone: interim results, then the final text.

Decodes of one microphone never run concurrently, and a newer request replaces older ones. An
interim result in the pause before the end is reused as the final text, if it covers all audio.
After each interim result the transcriber pauses for as long as it took, so that on a slow machine
the final text does not wait behind interim results.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from asr.recognizer import Recognizer, Transcript
from asr.streaming.endpointing import SpeechEnded
from asr.streaming.utterance import SpeechSegment
from dialog_contracts import limits
from dialog_contracts.input_socket import InputError, MicStart, Partial, SpeechStarted, Utterance
from dialog_contracts.model import WireModel
from dialog_telemetry import metrics

log = structlog.get_logger("scribe")

TAIL_MS: Final = 100
"""Audio after the last voice that is decoded too, because words end more softly than they begin."""

LANGUAGE_MS: Final = 1_500
"""Shortest speech from which the model can detect the language.

A shorter utterance is assumed to be in the language of the one before.
"""

Send = Callable[[WireModel], Awaitable[None]]


class UtteranceTranscriber:
    """Call `run` for one utterance after the other."""

    def __init__(self, start: MicStart, recognizer: Recognizer, send: Send) -> None:
        self._start, self._recognizer, self._send = start, recognizer, send
        self._lang = start.lang

    async def run(self, speech: SpeechSegment) -> None:
        """Transcribe one utterance from its beginning to its final text."""
        await self._send(SpeechStarted(at_ms=speech.began.start_ms))
        known: Transcript | None = None
        known_until_ms = 0
        reported = ""
        free_at = 0.0
        while speech.end is None:
            if not speech.decode:
                speech.changed.clear()
                await speech.changed.wait()
                continue
            speech.decode = False
            began = _clock()
            if began < free_at and not speech.pausing:
                metrics.ASR_INTERIM_RESULTS.labels(outcome="skipped").inc()
                continue
            speech_ms, until_ms, pausing = speech.speech_ms, speech.until_ms, speech.pausing
            found = await self._interim(speech, speech_ms)
            # Pause for as long as it took: on a slow machine the final text must not wait behind
            # interim results.
            free_at = 2 * _clock() - began
            if found is None:
                continue
            if pausing:
                known, known_until_ms = found, until_ms
            if found.text and found.text != reported:
                reported = found.text
                metrics.ASR_INTERIM_RESULTS.labels(outcome="told").inc()
                await self._send(Partial(text=found.text, speech_ms=speech_ms))
            else:
                metrics.ASR_INTERIM_RESULTS.labels(outcome="same").inc()
        await self._finish(speech, known if known_until_ms >= _audio_end(speech.end) else None)

    def _language(self, speech_ms: int) -> str | None:
        """Return the known language of the utterance, or None to detect it."""
        return self._start.lang or (self._lang if speech_ms < LANGUAGE_MS else None)

    async def _interim(self, speech: SpeechSegment, speech_ms: int) -> Transcript | None:
        began = _clock()
        try:
            found = await self._recognizer.interim(
                speech.samples(), self._language(speech_ms), thorough=speech.pausing
            )
        # CTranslate2 raises only these two.
        except (RuntimeError, ValueError) as error:
            metrics.ASR_INTERIM_RESULTS.labels(outcome="failed").inc()
            log.warning("no_partial", session=self._start.session_id, reason=repr(error)[:200])
            return None
        if found is None:
            metrics.ASR_INTERIM_RESULTS.labels(outcome="skipped").inc()
        else:
            metrics.ASR_INTERIM_SECONDS.observe(_clock() - began)
        return found

    async def _finish(self, speech: SpeechSegment, known: Transcript | None) -> None:
        end = speech.end
        assert end is not None
        length_ms = end.end_ms - end.start_ms
        transcript, outcome = known or Transcript("", self._start.lang or "en"), "reused"
        if known is None:
            try:
                samples = speech.samples(_audio_end(end))
                transcript, outcome = (
                    await self._recognizer.transcribe_utterance(samples, self._language(length_ms)),
                    "heard",
                )
            except (RuntimeError, ValueError) as error:
                outcome = "failed"
                log.error(
                    "utterance_not_heard", session=self._start.session_id, reason=repr(error)[:200]
                )
                await self._send(
                    InputError(
                        code="asr_failed",
                        message="what was said could not be heard; please say it again",
                    )
                )
        await self._send(
            Utterance(
                text=transcript.text[: limits.MAX_CONTENT_CHARS],
                lang=transcript.lang,
                start_ms=end.start_ms,
                end_ms=end.end_ms,
            )
        )
        if transcript.text and length_ms >= LANGUAGE_MS:
            self._lang = transcript.lang
        waited = _clock() - speech.over_at
        metrics.UTTERANCES.labels(
            ended=end.reason,
            outcome=outcome if transcript.text or outcome == "failed" else "nothing",
        ).inc()
        metrics.UTTERANCE_SECONDS.observe(waited)
        log.info(
            "utterance",
            session=self._start.session_id,
            ended=end.reason,
            words=outcome,
            seconds=round(length_ms / 1000, 1),
            waited=round(waited, 3),
        )


def _audio_end(end: SpeechEnded) -> int:
    return end.end_ms + TAIL_MS


def _clock() -> float:
    return asyncio.get_running_loop().time()
