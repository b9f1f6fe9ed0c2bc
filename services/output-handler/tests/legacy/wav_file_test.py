import io
import struct
import wave

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialog_contracts import limits
from dialog_contracts.legacy_chain import MouthCue
from output_handler.legacy.wav_file import BadWavFile, WavFile
from output_handler.testing.fake_legacy import wav


@given(st.integers(min_value=1, max_value=2_000))
def test_the_chunks_are_the_file_and_each_but_the_last_is_40_ms(ms: int) -> None:
    voice = WavFile(wav(ms))
    chunks = [voice.chunk(seq) for seq in range(len(voice))]
    assert b"".join(chunks) == wav(ms)[44:]
    assert voice.duration_ms == ms
    assert all(len(chunk) == limits.CHUNK_MS * limits.BYTES_PER_MS for chunk in chunks[:-1])
    assert 0 < len(chunks[-1]) <= limits.CHUNK_MS * limits.BYTES_PER_MS


CUES = [MouthCue(offset_ms=100, weights={"aa": 0.7}), MouthCue(offset_ms=0, weights={"sil": 1.0})]


@pytest.mark.parametrize(
    ("at", "shape"), [(0, {"sil": 1.0}), (80, {"sil": 1.0}), (100, {"aa": 0.7}), (999, {"aa": 0.7})]
)
def test_the_mouth_has_the_shape_of_the_last_cue(at: int, shape: dict[str, float]) -> None:
    assert WavFile(wav(200), CUES).viseme_at(at) == shape


def test_before_the_first_cue_nothing_is_known_of_the_mouth() -> None:
    assert WavFile(wav(200), [MouthCue(offset_ms=100, weights={"aa": 1})]).viseme_at(40) == {}
    assert WavFile(wav(200)).viseme_at(40) == {}


@given(st.integers(min_value=1, max_value=3_000), st.integers(min_value=0, max_value=300))
def test_places_in_the_text_go_from_its_beginning_to_its_end_and_never_back(
    ms: int, length: int
) -> None:
    voice = WavFile(wav(ms))
    places = [
        voice.text_position_at(seq * limits.CHUNK_MS, length) for seq in range(len(voice) + 1)
    ]
    assert places == sorted(places)
    assert (places[0], places[-1]) == (0, length)


def test_a_header_that_promises_more_than_there_is_is_forgiven() -> None:
    file = bytearray(wav(1_000))
    struct.pack_into("<I", file, 4, 0xFFFFFFFF)
    struct.pack_into("<I", file, 40, 0xFFFFFFFF)
    assert WavFile(bytes(file)).duration_ms == 1_000
    assert WavFile(bytes(file[: 44 + 4801])).pcm == bytes(file[44 : 44 + 4800])


def test_chunks_beside_the_sound_are_skipped() -> None:
    file, extra = wav(100), b"LIST" + struct.pack("<I", 4) + b"abcd"
    size = struct.pack("<I", len(file) - 8 + len(extra))
    assert WavFile(file[:4] + size + file[8:36] + extra + file[36:]).duration_ms == 100


def float_wav() -> bytes:
    head = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        40,
        b"WAVE",
        b"fmt ",
        16,
        3,
        1,
        24_000,
        96_000,
        4,
        32,
        b"data",
        4,
    )
    return head + bytes(4)


def empty_wav() -> bytes:
    held = io.BytesIO()
    with wave.open(held, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(24_000)
    return held.getvalue()


@pytest.mark.parametrize(
    ("file", "why"),
    [
        (b"", "cut off"),
        (b"ID3\x04 an mp3", "not a WAV"),
        (wav(100)[:30], "cut off"),
        (float_wav(), "unknown format"),
        (empty_wav(), "empty"),
        (wav(100, rate=22_050), "24000 Hz"),
        (wav(100, channels=2), "1 channel"),
    ],
)
def test_anything_else_is_refused_with_a_reason(file: bytes, why: str) -> None:
    with pytest.raises(BadWavFile, match=why):
        WavFile(file)


@given(st.data())
def test_no_bytes_raise_anything_but_bad_voice_file(data: st.DataObject) -> None:
    file = bytearray(wav(20))
    for _ in range(data.draw(st.integers(0, 6))):
        file[data.draw(st.integers(0, 60))] = data.draw(st.integers(0, 255))
    try:
        WavFile(bytes(file[: data.draw(st.integers(0, len(file)))]))
    except BadWavFile:
        return
