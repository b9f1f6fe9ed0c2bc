"""Decodes a recording into samples: 16 kHz, mono, -1 to 1.

Files come from untrusted clients, so formats, sizes and times are bounded.
"""

import io
import time
from collections.abc import Iterator
from typing import Final

import av
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from asr.errors import TranscriptionFailed
from dialog_contracts import limits
from dialog_contracts.legacy_chain import AudioKind

Samples = NDArray[np.float32]

RATE: Final = 16_000
MAX_MINUTES: Final = 5
MAX_SAMPLES: Final = MAX_MINUTES * 60 * RATE
LENGTH_TOLERANCE_S: Final = 1.0
"""Tolerance in seconds between a container's declared and actual length.

If more is missing, the recording is incomplete.
"""

_UNKNOWN_SIZE: Final = 0x7FFFFFFF
# The format is named and never guessed: FFmpeg would also guess playlists, which open other files.
_CONTAINERS: Final[dict[AudioKind, str]] = {
    "webm": "matroska",
    "ogg": "ogg",
    "mp3": "mp3",
    "wav": "wav",
    "m4a": "mov",
}


def decode(
    data: bytes,
    kind: AudioKind,
    *,
    sample_rate: int = RATE,
    channels: int = 1,
    until: float = float("inf"),
) -> Samples:
    """Return the samples.

    `sample_rate` and `channels` are those of raw PCM; `until` is a time of `time.monotonic`. Raises
    TranscriptionFailed for a recording that is over 16 MiB or five minutes, not decodable, cut off,
    without audio, or not decoded by `until`.
    """
    if len(data) > limits.MAX_UPLOAD_BYTES:
        raise TranscriptionFailed("bad_audio", "too_large", limits.MAX_UPLOAD_BYTES)
    found: list[Samples] = []
    length = 0
    try:
        frames = (
            _raw(data, sample_rate, channels) if kind == "pcm_s16le" else _contained(data, kind)
        )
        for piece in _resampled(frames):
            found.append(piece)
            length += len(piece)
            if length > MAX_SAMPLES:
                raise TranscriptionFailed("bad_audio", "too_long", MAX_MINUTES)
            if time.monotonic() > until:
                raise TranscriptionFailed("bad_audio", "too_slow")
    # FFmpeg's errors have several bases, among them OSError and ValueError; a codec that this build
    # lacks raises LookupError.
    except (FFmpegError, ValueError, LookupError, OSError, OverflowError) as error:
        raise TranscriptionFailed("bad_audio", "undecodable", kind) from error
    if not length:
        raise TranscriptionFailed("bad_audio", "no_sound")
    return np.concatenate(found)


def _contained(data: bytes, kind: AudioKind) -> Iterator[av.AudioFrame]:
    # FFmpeg decodes a WAV of any length; only the header shows that it was longer.
    if kind == "wav" and len(data) - 8 < int.from_bytes(data[4:8], "little") < _UNKNOWN_SIZE:
        raise TranscriptionFailed("bad_audio", "cut_off")
    with av.open(
        io.BytesIO(data), "r", format=_CONTAINERS[kind], metadata_errors="replace"
    ) as container:
        if not container.streams.audio:
            raise TranscriptionFailed("bad_audio", "no_sound")
        stream = container.streams.audio[0]
        promised_s = (
            float(stream.duration * stream.time_base)
            if stream.duration and stream.time_base
            else 0.0
        )
        given_s = 0.0
        for frame in container.decode(stream):
            if frame.sample_rate:
                given_s += frame.samples / frame.sample_rate
            yield frame
        if promised_s - given_s > LENGTH_TOLERANCE_S:
            raise TranscriptionFailed("bad_audio", "cut_off")


def _raw(data: bytes, sample_rate: int, channels: int) -> Iterator[av.AudioFrame]:
    second = sample_rate * 2 * channels
    for at in range(0, len(data), second):
        piece = data[at : at + second]
        values = np.frombuffer(
            piece[: len(piece) // (2 * channels) * 2 * channels], dtype="<i2"
        ).reshape(1, -1)
        if values.size:
            frame = av.AudioFrame.from_ndarray(
                values, format="s16", layout="stereo" if channels == 2 else "mono"
            )
            frame.sample_rate = sample_rate
            yield frame


def _resampled(frames: Iterator[av.AudioFrame]) -> Iterator[Samples]:
    resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
    for frame in frames:
        # Timestamps may jump in a file that was cut or joined; the audio is continuous.
        frame.pts = None
        for piece in resampler.resample(frame):
            yield _samples(piece)
    for piece in resampler.resample(None):
        yield _samples(piece)


def _samples(frame: av.AudioFrame) -> Samples:
    # NaN would disturb the recognizer.
    return np.nan_to_num(frame.to_ndarray().reshape(-1).astype(np.float32))
