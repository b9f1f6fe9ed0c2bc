import base64
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialog_contracts import binary, limits
from dialog_contracts.ingest import SpeechChunk
from dialog_contracts.visemes import VISEMES

COUNTS = st.integers(min_value=0, max_value=limits.MAX_COUNT)
FIELDS = st.fixed_dictionaries(
    {
        "turn": st.integers(min_value=1, max_value=limits.MAX_TURN),
        "seq": COUNTS,
        "pcm": st.binary(max_size=400).map(lambda pcm: base64.b64encode(pcm).decode()),
        "viseme": st.dictionaries(
            st.sampled_from([*VISEMES, "smile"]), st.floats(min_value=-1, max_value=2)
        ),
        "ts": st.floats(min_value=0, max_value=4e9),
        "offset_ms": COUNTS,
        "text_start": COUNTS,
        "text_end": COUNTS,
    }
)


def chunk(**fields: object) -> SpeechChunk:
    pcm = base64.b64encode(bytes(range(240)) * 8).decode()
    known = {
        "session_id": "live-001",
        "turn": 42,
        "seq": 7,
        "pcm": pcm,
        "ts": 1790006400.25,
        "offset_ms": 280,
        **fields,
    }
    return SpeechChunk.model_validate(known)


@given(FIELDS)
def test_what_was_packed_is_unpacked(fields: dict[str, object]) -> None:
    made = chunk(**fields)
    read = binary.unpack(binary.pack(made))
    assert (read.turn, read.seq, read.offset_ms, read.text_start, read.text_end, read.ts) == (
        made.turn,
        made.seq,
        made.offset_ms,
        made.text_start,
        made.text_end,
        made.ts,
    )
    assert read.payload == base64.b64decode(made.pcm)
    assert (read.codec, read.sample_rate, read.duration_ms) == (
        binary.PCM,
        24_000,
        made.duration_ms,
    )
    for name in VISEMES:
        assert read.viseme.get(name, 0.0) == pytest.approx(
            min(1.0, max(0.0, made.viseme.get(name, 0.0))), abs=1 / 255
        )
    assert set(read.viseme) <= set(VISEMES)


def test_the_header_is_52_bytes_at_the_places_of_the_table() -> None:
    data = binary.pack(chunk(viseme={"sil": 1.0, "aa": 0.5, "ou": 1.0}, text_start=3, text_end=5))
    assert binary.HEADER_BYTES == 52
    assert len(data) == 52 + 1920
    assert data[:4] == b"VC\x01\x00"
    assert struct.unpack_from("<III", data, 4) == (42, 7, 280)
    assert struct.unpack_from("<HH", data, 16) == (40, 240)
    assert struct.unpack_from("<II", data, 20) == (3, 5)
    assert struct.unpack_from("<d", data, 28) == (1790006400.25,)
    assert data[36:52] == bytes([255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 128, 0, 0, 0, 255, 0])


def test_a_short_a_foreign_and_a_newer_frame_are_refused() -> None:
    data = binary.pack(chunk())
    assert binary.unpack(data[:52]).payload == b""
    with pytest.raises(ValueError, match="at least 52 bytes"):
        binary.unpack(data[:51])
    with pytest.raises(ValueError, match="version 1"):
        binary.unpack(b"RI" + data[2:])
    with pytest.raises(ValueError, match="version 1"):
        binary.unpack(data[:2] + b"\x02" + data[3:])


@given(st.binary(max_size=120))
def test_any_bytes_are_a_chunk_or_a_value_error(data: bytes) -> None:
    try:
        read = binary.unpack(data)
    except ValueError:
        assert len(data) < 52 or data[:3] != b"VC\x01"
        return
    assert read.payload == data[52:]


def test_the_largest_chunk_a_reader_accepts_can_be_packed() -> None:
    made = chunk(
        pcm="A" * 16_384, seq=limits.MAX_COUNT, turn=limits.MAX_TURN, offset_ms=limits.MAX_COUNT
    )
    assert binary.unpack(binary.pack(made)).duration_ms == made.duration_ms == 256
