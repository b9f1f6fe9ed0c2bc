"""Decodes the frames of one microphone into samples: 16 kHz, mono, -1 to 1.

It stores only what the decoder needs for the next frame.
"""

from typing import Final

import av
import numpy as np
from av.error import FFmpegError

from asr.decoder import RATE, Samples
from dialog_contracts.input_socket import MicStart
from service_runtime.http.errors import InvalidField, TooLarge

MAX_FRAME_MS: Final = 1_000
MAX_PACKET_BYTES: Final = 4_000
"""Longest Opus packet in bytes."""

MAX_FRAME_BYTES: Final = 48_000 * 2 * MAX_FRAME_MS // 1000
"""Longest frame in bytes at the highest rate of the contract."""

OPUS_RATES: Final = (8_000, 12_000, 16_000, 24_000, 48_000)
_OPUS_RATE: Final = 48_000
"""Rate at which Opus is decoded, whatever rate was encoded."""


class FrameDecoder:
    """Decoder of one microphone.

    The constructor raises InvalidField for a rate that the format does not have.
    """

    def __init__(self, start: MicStart) -> None:
        self._pcm = start.format == "pcm_s16le"
        self._rate = start.sample_rate if self._pcm else _OPUS_RATE
        self._bytes_max = (
            start.sample_rate * 2 * MAX_FRAME_MS // 1000 if self._pcm else MAX_PACKET_BYTES
        )
        self._lost = np.zeros(RATE * start.frame_ms // 1000, np.float32)
        if not self._pcm:
            if start.sample_rate not in OPUS_RATES:
                raise InvalidField(
                    f"sampleRate: Opus has {', '.join(map(str, OPUS_RATES))}",
                    field="sampleRate",
                    code="unsupported_rate",
                )
            # FFmpeg's own decoder, not libopus: every build contains it.
            self._opus = av.CodecContext.create("opus", "r")
            assert isinstance(self._opus, av.AudioCodecContext)
            self._opus.sample_rate = _OPUS_RATE
            self._opus.layout = "mono"
        self._resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)

    @property
    def silence(self) -> Samples:
        """Silence of one frame.

        It replaces a frame that could not be decoded, so that times stay correct.
        """
        return self._lost

    def samples(self, data: bytes) -> Samples:
        """Return the samples of a frame.

        Raises TooLarge and InvalidField; the microphone stays on.
        """
        if len(data) > self._bytes_max:
            raise TooLarge(
                f"a microphone frame has at most {self._bytes_max} bytes", limit=self._bytes_max
            )
        if not self._pcm:
            return self._resampled(self._packet(data))
        if len(data) % 2:
            raise InvalidField(
                f"a PCM frame has whole samples of two bytes, this one has {len(data)} bytes",
                code="odd_pcm",
            )
        values = np.frombuffer(data, dtype="<i2")
        if self._rate == RATE:
            return values.astype(np.float32) / np.float32(32768)
        if not values.size:
            return np.zeros(0, np.float32)
        frame = av.AudioFrame.from_ndarray(values.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = self._rate
        return self._resampled([frame])

    def _packet(self, data: bytes) -> list[av.AudioFrame]:
        # An empty packet signals the end of the stream to FFmpeg's decoder.
        if not data:
            raise InvalidField("an Opus packet is not empty", code="bad_opus")
        try:
            assert isinstance(self._opus, av.AudioCodecContext)
            return self._opus.decode(av.Packet(data))
        # FFmpeg's errors have several bases, among them OSError and ValueError.
        except (FFmpegError, ValueError, OSError) as error:
            raise InvalidField(
                "this is no Opus packet; one packet is one binary frame", code="bad_opus"
            ) from error

    def _resampled(self, frames: list[av.AudioFrame]) -> Samples:
        pieces: list[Samples] = []
        for frame in frames:
            # Frames may be missing in between; the audio is continuous.
            frame.pts = None
            pieces += [
                piece.to_ndarray().reshape(-1).astype(np.float32)
                for piece in self._resampler.resample(frame)
            ]
        return np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
