import io
import struct
import time
import tracemalloc

import numpy as np
import pytest
from e2e.harness.recordings import encoded
from hypothesis import given, settings
from hypothesis import strategies as st

from asr import decoder
from asr.decoder import RATE, Samples, decode
from asr.errors import TranscriptionFailed
from dialog_contracts import limits
from dialog_contracts.legacy_chain import AudioKind

FORMS: list[tuple[AudioKind, str, str]] = [
    ("webm", "webm", "libopus"),
    ("ogg", "ogg", "libopus"),
    ("mp3", "mp3", "libmp3lame"),
    ("wav", "wav", "pcm_s16le"),
    ("m4a", "ipod", "aac"),
]


@pytest.fixture(scope="module")
def recordings() -> dict[str, bytes]:
    return {kind: encoded(container, codec, 2.0) for kind, container, codec in FORMS}


def pitch(samples: Samples) -> float:
    power = np.abs(np.fft.rfft(samples[: 2**14]))
    return float(np.argmax(power)) * RATE / 2**14


@pytest.mark.parametrize("kind", [kind for kind, _, _ in FORMS])
def test_what_browsers_and_people_record_becomes_samples(
    recordings: dict[str, bytes], kind: AudioKind
) -> None:
    samples = decode(recordings[kind], kind)
    assert samples.dtype == np.float32
    assert len(samples) / RATE == pytest.approx(2.0, abs=0.1)
    assert pitch(samples) == pytest.approx(440, abs=3)
    assert 0.2 < float(np.abs(samples).max()) < 0.35


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (48_000, 2), (8_000, 1)])
def test_raw_samples_are_taken_at_their_rate(rate: int, channels: int) -> None:
    tone = (8000 * np.sin(2 * np.pi * 440 * np.arange(2 * rate) / rate)).astype("<i2")
    samples = decode(
        np.repeat(tone, channels).tobytes() + b"\x01",
        "pcm_s16le",
        sample_rate=rate,
        channels=channels,
    )
    assert len(samples) / RATE == pytest.approx(2.0, abs=0.01)
    assert pitch(samples) == pytest.approx(440, abs=3)


PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n/etc/passwd\n#EXT-X-ENDLIST\n"
CONCAT = b"ffconcat version 1.0\nfile /etc/passwd\n"


@pytest.mark.parametrize("kind", [kind for kind, _, _ in FORMS])
@pytest.mark.parametrize(
    "data", [b"", b"\x00" * 5_000, b"no audio at all " * 400, PLAYLIST, CONCAT], ids=range(5)
)
def test_what_is_no_recording_is_refused_in_words(kind: AudioKind, data: bytes) -> None:
    with pytest.raises(TranscriptionFailed) as refused:
        decode(data, kind)
    assert refused.value.code == "bad_audio"
    assert refused.value.sentence("zh-CN") != refused.value.sentence("en") != ""


def test_one_form_is_not_taken_for_another(recordings: dict[str, bytes]) -> None:
    with pytest.raises(TranscriptionFailed, match="cannot be decoded as m4a"):
        decode(recordings["webm"], "m4a")


@pytest.mark.parametrize("kind", ["wav", "m4a"])
def test_a_recording_that_was_cut_off_is_refused(
    recordings: dict[str, bytes], kind: AudioKind
) -> None:
    with pytest.raises(TranscriptionFailed):
        decode(recordings[kind][: len(recordings[kind]) // 3], kind)


def test_a_header_that_was_written_before_the_sound_promises_nothing(
    recordings: dict[str, bytes],
) -> None:
    live = bytearray(recordings["wav"])
    live[4:8] = b"\xff" * 4
    assert len(decode(bytes(live), "wav")) > RATE


@settings(max_examples=60)
@given(st.data())
def test_broken_bytes_end_in_samples_or_in_a_sentence(
    recordings: dict[str, bytes], data: st.DataObject
) -> None:
    kind = data.draw(st.sampled_from([kind for kind, _, _ in FORMS]))
    broken = bytearray(recordings[kind])
    for _ in range(data.draw(st.integers(1, 20))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    try:
        samples = decode(bytes(broken[: data.draw(st.integers(0, len(broken)))]), kind)
    except TranscriptionFailed:
        return
    assert np.isfinite(samples).all()


def silent_ogg(minutes: int) -> bytes:
    """A few hundred kB that would become tens of MB. FLAC, because it is decoded so quickly."""
    import av

    out = io.BytesIO()
    with av.open(out, "w", format="ogg") as file:
        stream = file.add_stream("flac", rate=decoder.RATE)
        stream.layout = "mono"
        quiet = np.zeros((1, decoder.RATE), np.int16)
        for _ in range(minutes * 60):
            frame = av.AudioFrame.from_ndarray(quiet, format="s16", layout="mono")
            frame.sample_rate = decoder.RATE
            file.mux(stream.encode(frame))
        # The last packet is a header without samples, which an Ogg does not take.
        file.mux([packet for packet in stream.encode(None) if packet.size])
    return out.getvalue()


def test_a_bomb_is_stopped_at_five_minutes_of_samples() -> None:
    bomb = silent_ogg(minutes=12)
    assert len(bomb) < 500_000
    tracemalloc.start()
    with pytest.raises(TranscriptionFailed, match="longer than 5 minutes"):
        decode(bomb, "ogg")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * decoder.MAX_SAMPLES * 1.5


def test_too_many_bytes_are_not_looked_at() -> None:
    with pytest.raises(TranscriptionFailed, match=str(limits.MAX_UPLOAD_BYTES)):
        decode(bytes(limits.MAX_UPLOAD_BYTES + 1), "pcm_s16le")


def test_a_time_that_is_over_ends_it(recordings: dict[str, bytes]) -> None:
    with pytest.raises(TranscriptionFailed, match="in time"):
        decode(recordings["webm"], "webm", until=time.monotonic() - 1)


def test_samples_that_are_no_numbers_are_silence() -> None:
    head = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        36 + 64_000,
        b"WAVE",
        b"fmt ",
        16,
        3,
        1,
        16_000,
        64_000,
        4,
        32,
        b"data",
        64_000,
    )
    samples = decode(head + struct.pack("<f", float("nan")) * 16_000, "wav")
    assert not samples.any()
