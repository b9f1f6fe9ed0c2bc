from typing import get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dialog_voice.audio.format_detection import SNIFF_BYTES, Kind, kind_of, mp3_frame
from dialog_voice.testing.edge_server import FRAMES
from dialog_voice.testing.openai_speech_server import hum

FRAME_BYTES = len(FRAMES) // 5
PCM = hum(400)


def aac(length: int) -> bytes:
    """An ADTS frame of this length."""
    head = [0xFF, 0xF1, 0x50, 0x80 | length >> 11, length >> 3 & 0xFF, (length & 7) << 5, 0xFC]
    return bytes(head) + bytes(length - 7)


BEGINNINGS: dict[bytes, Kind] = {
    PCM: "PCM",
    bytes(200): "PCM",
    b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(99): "WAV",
    b"RIFX\x24\x00\x00\x00WAVEfmt " + bytes(99): "WAV",
    b"RF64\xff\xff\xff\xffWAVEds64" + bytes(99): "WAV",
    b"RIFF\x24\x00\x00\x00AVI fmt " + bytes(99): "PCM",
    b"ID3\x04\x00\x00\x00\x00\x00\x0a" + bytes(99): "MP3",
    b"ID3\xff" + bytes(99): "PCM",
    FRAMES: "MP3",
    b"fLaC" + bytes(99): "FLAC",
    b"OggS" + bytes(24) + b"OpusHead" + bytes(80): "Ogg Opus",
    b"OggS" + bytes(24) + b"\x01vorbis" + bytes(80): "Ogg Vorbis",
    b"OggS" + bytes(99): "Ogg",
    aac(64) * 3: "AAC",
    b"\x00\x00\x00\x20ftypM4A " + bytes(99): "MP4",
    b"\x1aE\xdf\xa3" + bytes(99): "WebM",
    b"FORM\x00\x00\x00\x00AIFF" + bytes(99): "AIFF",
    b"\x1f\x8b\x08" + bytes(99): "gzip",
    b'  {"error": "' + b"x" * 99: "JSON",
    b'\xef\xbb\xbf[{"error": "' + b"x" * 99: "JSON",
    b"<!doctype html>" + b"x" * 99: "HTML",
    "没有这个声音。".encode() * 9: "text",
}


@pytest.mark.parametrize(("data", "kind"), BEGINNINGS.items())
def test_a_format_is_known_by_its_beginning(data: bytes, kind: Kind) -> None:
    assert kind_of(data, whole=False) == kind
    assert kind_of(data, whole=True) == kind


def test_every_kind_has_such_a_beginning() -> None:
    assert set(BEGINNINGS.values()) == set(get_args(Kind))


@given(st.binary(max_size=SNIFF_BYTES - 1) | st.sampled_from(list(BEGINNINGS)))
def test_fewer_bytes_decide_nothing_while_more_may_come(data: bytes) -> None:
    assert kind_of(data[: SNIFF_BYTES - 1], whole=False) is None
    assert kind_of(data[: SNIFF_BYTES - 1], whole=True) is not None


@given(data=st.binary(min_size=SNIFF_BYTES, max_size=400), more=st.binary(max_size=400))
@example(data=FRAMES[:FRAME_BYTES], more=b"")
@example(data=b"\xff\xfb\x90\x64" + bytes(96), more=bytes(400))
def test_what_is_decided_is_not_changed_by_what_follows(data: bytes, more: bytes) -> None:
    decided = kind_of(data, whole=False)
    if decided is not None and not decided.startswith("Ogg"):
        assert kind_of(data + more, whole=False) == decided
        assert kind_of(data + more, whole=True) == decided
    assert kind_of(data + more, whole=True) is not None


@pytest.mark.parametrize(("frame", "kind"), [(FRAMES[:FRAME_BYTES], "MP3"), (aac(100), "AAC")])
def test_one_frame_decides_only_when_it_is_all(frame: bytes, kind: Kind) -> None:
    assert kind_of(frame, whole=False) is None
    assert kind_of(frame + b"\xff", whole=False) is None
    assert kind_of(frame, whole=True) == kind
    assert kind_of(frame + b"\xff", whole=True) == "PCM", "a frame and a half is none"
    assert kind_of(frame + PCM, whole=False) == "PCM", "it only looked like one"
    assert kind_of(frame * 2, whole=False) == kind


@pytest.mark.parametrize("first", [b"\xff\xff", b"\xff\xe0", b"\xff\xfb", b"\xff\xf1", b"\xff\xf3"])
def test_quiet_samples_that_look_like_a_header_are_samples(first: bytes) -> None:
    assert kind_of(first * 100, whole=False) == "PCM"


@pytest.mark.parametrize(
    ("header", "length"),
    [
        ("fffb9064", 417),  # MPEG-1, 128 kbit/s, 44.1 kHz
        ("fffb9264", 418),  # padded
        ("fffb9464", 384),  # 48 kHz
        ("fffbe864", 1_440),  # 320 kbit/s, 32 kHz
        ("fff364c4", 144),  # MPEG-2, 48 kbit/s, 24 kHz
        ("ffe318c4", 72),  # MPEG-2.5, 8 kbit/s, 8 kHz
        ("fffb0064", 0),  # free format
        ("fffbf064", 0),  # no bit rate
        ("fffb9c64", 0),  # no sample rate
        ("ffeb9064", 0),  # no version
        ("fffd9064", 0),  # layer II
        ("fff99064", 0),  # no layer
        ("fffb9066", 0),  # no emphasis of that number
        ("fefb9064", 0),
        ("ff1b9064", 0),
    ],
)
def test_the_length_of_a_frame_of_layer_iii(header: str, length: int) -> None:
    assert mp3_frame(bytes.fromhex(header)) == length


def test_real_frames_have_the_length_that_they_say() -> None:
    at = 0
    while at < len(FRAMES):
        at += mp3_frame(FRAMES[at : at + 4])
    assert at == len(FRAMES)


@given(st.binary(min_size=4, max_size=4))
def test_any_header_is_a_frame_longer_than_itself_or_none(header: bytes) -> None:
    length = mp3_frame(header)
    assert length == 0 or 4 < length <= 1_441


@pytest.mark.parametrize("cut", range(1, 4))
def test_a_character_that_is_cut_at_the_end_does_not_hide_a_text(cut: int) -> None:
    text = (b"x" * (SNIFF_BYTES - cut)) + "声".encode() * 9
    assert kind_of(text, whole=False) == "text"


@pytest.mark.parametrize(
    "data", [b"a\x00b" * 40, b"\x07" * 99, b"x" * 30 + b"\xff" + b"x" * 99, b"\xe5\xa3"]
)
def test_what_is_not_printable_is_no_text(data: bytes) -> None:
    assert kind_of(data, whole=True) == "PCM"
