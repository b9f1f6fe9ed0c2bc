"""What servers send where samples were asked for."""

import io
import math
import struct
import wave
from array import array
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialog_voice.audio.format_decoder import GATHERED_MAX, SoundStream
from dialog_voice.audio.format_detection import kind_of
from dialog_voice.audio.mp3 import BadAudio
from dialog_voice.testing.edge_server import FRAMES
from dialog_voice.testing.openai_speech_server import hum

PCM = hum(400)
MP3 = FRAMES * 4


def wav(
    pcm: bytes = PCM,
    *,
    rate: int = 24_000,
    channels: int = 1,
    width: int = 2,
    size: int | None = None,
) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as made:
        made.setnchannels(channels)
        made.setsampwidth(width)
        made.setframerate(rate)
        made.writeframes(pcm)
    data = file.getvalue()
    return data if size is None else data[:40] + struct.pack("<I", size) + data[44:]


def tone(rate: int, channels: int = 1, hz: float = 220.0, ms: int = 500) -> bytes:
    samples = array("h")
    for at in range(rate * ms // 1000):
        samples.extend([int(8_000 * math.sin(2 * math.pi * hz * at / rate))] * channels)
    return samples.tobytes()


def crc(data: bytes, bits: int, poly: int) -> int:
    value = 0
    for byte in data:
        value ^= byte << bits - 8
        for _ in range(8):
            value = (value << 1 ^ (poly if value >> bits - 1 else 0)) & (1 << bits) - 1
    return value


def flac(pcm: bytes) -> bytes:
    """Frames of 192 samples, not compressed: 24 kHz, mono, 16 bits."""
    samples = array("h", pcm[: len(pcm) - len(pcm) % 384])
    info = struct.pack(">HH", 192, 192) + bytes(6)
    info += ((24_000 << 44) | (0 << 41) | (15 << 36) | len(samples)).to_bytes(8, "big") + bytes(16)
    made = b"fLaC" + b"\x80" + len(info).to_bytes(3, "big") + info
    for number, at in enumerate(range(0, len(samples), 192)):
        assert number < 128
        head = bytes([0xFF, 0xF8, 0x10 | 0x00, 0x08, number])
        head += bytes([crc(head, 8, 0x07)])
        frame = (
            head
            + b"\x02"
            + b"".join(struct.pack(">h", sample) for sample in samples[at : at + 192])
        )
        made += frame + crc(frame, 16, 0x8005).to_bytes(2, "big")
    return made


def played(data: bytes, cuts: set[int] = frozenset(), **options: int) -> bytes:  # type: ignore[assignment]
    stream, made = SoundStream(**options), b""
    for start, end in pairwise(sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})):
        made += stream.push(data[start:end])
    return made + stream.finish()


def crossings(pcm: bytes) -> int:
    samples = array("h", pcm)
    return sum(before < 0 <= after for before, after in pairwise(samples))


@settings(max_examples=40, deadline=None)
@given(st.sets(st.integers(1, len(PCM)), max_size=20))
def test_samples_pass_through_however_they_are_cut(cuts: set[int]) -> None:
    assert played(PCM, cuts) == PCM


@settings(max_examples=40, deadline=None)
@given(
    st.sets(st.integers(1, len(PCM)), max_size=20),
    st.sampled_from([None, 0, 0xFFFF_FFFF, 0x7FFF_FFFF]),
)
def test_a_wav_file_is_its_samples_whatever_size_it_tells(cuts: set[int], size: int | None) -> None:
    assert played(wav(size=size), cuts) == PCM


def test_what_lies_behind_a_wav_files_samples_is_not_played() -> None:
    extra = b"LIST" + struct.pack("<I", 8) + b"INFOhold"
    assert played(wav() + extra) == PCM
    data = wav()
    assert played(data[:12] + extra + data[12:]) == PCM, "nor before them"


@pytest.mark.parametrize(
    ("rate", "channels"), [(16_000, 1), (22_050, 1), (44_100, 2), (48_000, 2), (24_000, 2)]
)
@pytest.mark.parametrize("size", [None, 0xFFFF_FFFF])
def test_a_wav_file_of_another_shape_is_made_ours(
    rate: int, channels: int, size: int | None
) -> None:
    made = played(wav(tone(rate, channels), rate=rate, channels=channels, size=size))
    assert abs(len(made) / 48 - 500) < 5
    assert abs(crossings(made) - 110) <= 2, "220 Hz for half a second"


def test_flac_is_decoded() -> None:
    made = played(flac(PCM))
    assert made == PCM[: len(made)]
    assert len(made) > len(PCM) - 400


@pytest.mark.parametrize("front", [b"", b"ID3\x04\x00\x00\x00\x00\x00\x0a" + bytes(10)])
def test_mp3_is_decoded(front: bytes) -> None:
    made = played(front + MP3, {1, 70, 500})
    assert abs(len(made) / 48 - len(MP3) / 144 * 24) <= 48
    assert max(array("h", made)) > 500


def test_samples_of_another_rate_that_is_told_are_resampled() -> None:
    made = played(tone(16_000), pcm_rate=16_000)
    assert abs(crossings(made) - 110) <= 2


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b'{"error": {"message": "no such voice"}}', "JSON: .*no such voice"),
        (b"<!doctype html><title>502 Bad Gateway</title>" + b" " * 99, "HTML: .*502"),
        (b"error", "text: error"),
        ("模型没有加载".encode() * 9, "text"),
        (b"OggS" + bytes(24) + b"OpusHead" + bytes(80), "Ogg Opus"),
        (b"OggS" + bytes(24) + b"\x01vorbis" + bytes(80), "Ogg Vorbis that cannot be decoded"),
        (b"\x1aE\xdf\xa3" + bytes(99), "WebM"),
        (bytes(4) + b"ftypM4A " + bytes(99), "MP4"),
        (b"\x1f\x8b\x08" + bytes(99), "gzip"),
        (b"FORM" + bytes(99), "AIFF"),
        (b"RIFF\xff\xff\xff\xffWAVE" + bytes(99), "WAV that cannot be decoded"),
        (bytes.fromhex("fff15080010000") + b"x" * 250, "AAC"),
    ],
)
def test_what_cannot_be_decoded_is_refused_by_name(data: bytes, named: str) -> None:
    if named == "AAC":
        length = 64
        frame = bytes(
            [
                0xFF,
                0xF1,
                0x50,
                0x80 | length >> 11,
                length >> 3 & 0xFF,
                (length & 7) << 5 | 0x1F,
                0xFC,
            ]
        ) + bytes(57)
        data = frame * 3
    with pytest.raises(BadAudio, match=named):
        played(data)
    with pytest.raises(BadAudio, match=named):
        played(data, set(range(0, len(data), 5)))


@pytest.mark.parametrize(
    "first", [b"\xff\xfb", b"\xff\xff", b"\xff\xf3", b"\xff\xf1", b"ID", b"{\x00", b"<\x00"]
)
def test_samples_that_look_like_a_frame_at_first_are_samples(first: bytes) -> None:
    data = first + PCM[2:]
    assert played(data) == data


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=300), st.sets(st.integers(1, 300)))
def test_any_bytes_are_sound_or_refused_and_cuts_change_nothing(
    data: bytes, cuts: set[int]
) -> None:
    def outcome(cuts: set[int]) -> bytes | str:
        try:
            return played(data, cuts)
        except BadAudio as error:
            return str(error).partition(":")[0]

    assert outcome(cuts) == outcome(set())
    assert kind_of(data, whole=True) is not None


def test_what_is_gathered_is_bounded() -> None:
    stream = SoundStream(pcm_rate=16_000)
    with pytest.raises(BadAudio, match="16 MiB"):
        for _ in range(GATHERED_MAX // (1 << 20) + 1):
            stream.push(bytes(1 << 20))
