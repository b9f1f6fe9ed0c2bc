"""The espeak child process: `python -m dialog_voice.providers.espeak.process`.

It exchanges the frames of `protocol.py` on stdin and stdout. It is a process of its own for three
reasons: espeak-ng is GPL-3 and this is the only file that loads it; its state is global, so one
request runs at a time; and a crash takes nothing else down. It ends when stdin does, so it never
outlives its parent.
"""

import ctypes
import os
import queue
import sys
import threading
from collections import deque
from typing import Any, BinaryIO, Final

import espeakng_loader
import numpy as np

from dialog_voice.audio.resampler import SOURCE_RATE, Resampler
from dialog_voice.audio.silence_trimmer import SilenceTrimmer
from dialog_voice.providers.espeak.protocol import HEADER, BrokenFrame, pack, sizes, unpack
from dialog_voice.voice import SAMPLE_RATE

# From speak_lib.h, the public interface of espeak-ng.
_SYNCHRONOUS: Final = 2
_PHONEME_EVENTS_IPA_DONT_EXIT: Final = 0x1 | 0x2 | 0x8000
_UTF8: Final = 0x1
_END_PAUSE: Final = 0x1000
_POSITION_IN_CHARACTERS: Final = 1
_RATE: Final = 1
_PITCH: Final = 3
_EVENT_LIST_END: Final = 0
_EVENT_WORD: Final = 1
_EVENT_PHONEME: Final = 7
_BUFFER_MS: Final = 20
# The first samples leave at once; later ones in batches of 240 ms, which halves the work per
# fragment on both sides.
_BATCH_SAMPLES: Final = SOURCE_RATE * 240 // 1000
_PAUSING: Final = frozenset(".,;:!?…。，；：！？、")


class _EventId(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


class _Utterance:
    """One request in progress: collects espeak's events and samples, and writes frames."""

    def __init__(self, request: dict[str, Any], out: BinaryIO) -> None:
        self.id: int = request["id"]
        self._out = out
        self._trimmer = SilenceTrimmer(SOURCE_RATE, request["lead"], request["tail"])
        self._resampler = Resampler()
        self._phonemes: deque[tuple[int, str]] = deque()
        self._words: deque[tuple[int, int, int]] = deque()
        self._batch: list[np.ndarray[Any, np.dtype[np.int16]]] = []
        self._batched = 0
        self._part_sample = 0
        self._part_text = 0
        self._received = 0
        self._sent = 0

    def begin_part(self, text_start: int) -> None:
        """Set the origin of positions in events.

        espeak starts again at sample 0 and character 1 for each part.
        """
        self._part_sample = self._received
        self._part_text = text_start

    def on_event(self, event: _Event) -> None:
        sample = self._part_sample + event.sample
        if event.type == _EVENT_PHONEME:
            # Eight bytes, cut anywhere: half a character at the end is not a phoneme.
            self._phonemes.append((sample, event.id.string.decode("utf-8", "ignore")))
        elif event.type == _EVENT_WORD:
            self._words.append((sample, self._part_text + event.text_position - 1, event.length))

    def on_samples(self, samples: np.ndarray[Any, np.dtype[np.int16]]) -> None:
        self._received += len(samples)
        self._batch.append(samples)
        self._batched += len(samples)
        if not self._sent or self._batched >= _BATCH_SAMPLES:
            self._send(self._resampler.push(self._take_batch()))

    def finish(self) -> None:
        rest = np.concatenate([self._take_batch(), self._trimmer.finish()])
        self._send(np.concatenate([self._resampler.push(rest), self._resampler.finish()]))

    def _take_batch(self) -> np.ndarray[Any, np.dtype[np.int16]]:
        batch = np.concatenate(self._batch) if self._batch else np.zeros(0, dtype=np.int16)
        self._batch.clear()
        self._batched = 0
        return self._trimmer.push(batch)

    def _send(self, samples: np.ndarray[Any, np.dtype[np.int16]]) -> None:
        if not len(samples):
            return
        start_ms = self._sent * 1000 / SAMPLE_RATE
        self._sent += len(samples)
        end_ms = self._sent * 1000 / SAMPLE_RATE
        phonemes, words = [], []
        # Cues are sent with their audio; those of silence that was trimmed at the end are never
        # sent.
        while self._phonemes and (at := self._offset(self._phonemes[0][0])) < end_ms:
            phonemes.append([max(at, start_ms), self._phonemes.popleft()[1]])
        while self._words and (at := self._offset(self._words[0][0])) < end_ms:
            words.append([max(at, start_ms), *self._words.popleft()[1:]])
        frame = pack(
            {"id": self.id, "phonemes": phonemes, "words": words}, samples.astype("<i2").tobytes()
        )
        self._out.write(frame)
        self._out.flush()

    def _offset(self, sample: int) -> float:
        return round((sample - self._trimmer.dropped) * 1000 / SOURCE_RATE, 3)


class _Synthesizer:
    """The library, and the one utterance that it is speaking."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self._library.espeak_Synth.argtypes = [
            ctypes.c_char_p,
            ctypes.c_size_t,
            ctypes.c_uint,
            ctypes.c_int,
            ctypes.c_uint,
            ctypes.c_uint,
            ctypes.c_void_p,
            ctypes.c_void_p,
        ]
        data = espeakng_loader.get_data_path().encode()
        rate = self._library.espeak_Initialize(
            _SYNCHRONOUS, _BUFFER_MS, data, _PHONEME_EVENTS_IPA_DONT_EXIT
        )
        if rate != SOURCE_RATE:
            raise SystemExit(f"espeak-ng: espeak_Initialize answered {rate}")
        self._callback = _Callback(self._on_audio)
        self._library.espeak_SetSynthCallback(self._callback)
        self._settings: tuple[str, int, int] | None = None
        self._utterance: _Utterance | None = None
        self.cancelled: set[int] = set()

    def speak(self, request: dict[str, Any]) -> None:
        """Speak one request to its end or its cancellation, and report which it was."""
        utterance = self._utterance = _Utterance(request, self._out)
        failed = ""
        for voice, rate, pitch, text, start in request["parts"]:
            if utterance.id in self.cancelled:
                break
            if not self._set(voice, rate, pitch):
                failed = f"no voice {voice}"
                break
            utterance.begin_part(start)
            encoded = text.encode()
            # The pause of a part's own punctuation; there is none where only the script changes
            # inside a sentence.
            flags = _UTF8 | (_END_PAUSE if text.rstrip()[-1:] in _PAUSING else 0)
            self._library.espeak_Synth(
                encoded, len(encoded) + 1, 0, _POSITION_IN_CHARACTERS, 0, flags, None, None
            )
        if utterance.id in self.cancelled:
            # The library was stopped in the middle, with its echo buffer filled; loading the voice
            # again clears it.
            self._settings = None
            end = {"id": utterance.id, "end": "cancelled"}
        elif failed:
            end = {"id": utterance.id, "end": "failed", "detail": failed}
        else:
            utterance.finish()
            end = {"id": utterance.id, "end": "done"}
        self._out.write(pack(end))
        self._out.flush()
        # Ids grow, and requests are processed in order: every cancelled request up to this id is
        # finished.
        self.cancelled.difference_update(
            [done for done in self.cancelled.copy() if done <= utterance.id]
        )

    def _set(self, voice: str, rate: int, pitch: int) -> bool:
        """Load the voice if it has changed; that takes milliseconds and resets its parameters."""
        if self._settings == (voice, rate, pitch):
            return True
        self._settings = None
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            return False
        self._library.espeak_SetParameter(_RATE, rate, 0)
        self._library.espeak_SetParameter(_PITCH, pitch, 0)
        self._settings = (voice, rate, pitch)
        return True

    def _on_audio(self, samples: Any, count: int, events: Any) -> int:
        """Callback on the thread of `speak`; returning 1 makes espeak abort at once."""
        utterance = self._utterance
        if utterance is None or utterance.id in self.cancelled:
            return 1
        position = 0
        while events[position].type != _EVENT_LIST_END:
            utterance.on_event(events[position])
            position += 1
        if count > 0 and samples:
            # Copied, because espeak reuses the buffer as soon as this returns.
            array = np.frombuffer(ctypes.string_at(samples, count * 2), dtype=np.int16)
            try:
                utterance.on_samples(array)
            except BrokenPipeError:
                os._exit(0)
        return 0


def _read_requests(
    source: BinaryIO, synthesizer: _Synthesizer, requests: "queue.SimpleQueue[dict[str, Any]]"
) -> None:
    """Read requests in a thread of its own, to see a cancel while the main thread speaks."""
    try:
        while len(header := source.read(HEADER.size)) == HEADER.size:
            json_bytes, pcm_bytes = sizes(header)
            message = unpack(source.read(json_bytes))
            source.read(pcm_bytes)
            if message["op"] == "cancel":
                synthesizer.cancelled.add(message["id"])
            else:
                requests.put(message)
    except (BrokenFrame, KeyError) as error:
        # A parent that was killed while it wrote leaves half a frame.
        sys.stderr.write(f"espeak process: {type(error).__name__} {error}\n")
    finally:
        # The parent has ended, wants this process to end, or cannot be understood any more: a
        # running synthesis does not matter.
        os._exit(0)


def main() -> None:
    """Serve until stdin ends."""
    # Output that a library prints must not land between two frames.
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    synthesizer = _Synthesizer(out)
    requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(
        target=_read_requests, args=(sys.stdin.buffer, synthesizer, requests), daemon=True
    ).start()
    out.write(pack({"ready": 1}))
    out.flush()
    while True:
        synthesizer.speak(requests.get())


if __name__ == "__main__":
    main()
