import struct

import pytest

from dialog_voice.providers.espeak.protocol import HEADER, BrokenFrame, pack, sizes, unpack


def test_a_frame_comes_back_as_it_went() -> None:
    frame = pack({"id": 7, "text": "你好"}, b"\x01\x02")
    json_bytes, pcm_bytes = sizes(frame[: HEADER.size])
    assert unpack(frame[HEADER.size : HEADER.size + json_bytes]) == {"id": 7, "text": "你好"}
    assert frame[HEADER.size + json_bytes :] == b"\x01\x02"
    assert pcm_bytes == 2


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff"])
def test_garbage_is_refused(body: bytes) -> None:
    with pytest.raises(BrokenFrame):
        unpack(body)


def test_a_header_made_of_text_is_refused() -> None:
    with pytest.raises(BrokenFrame):
        sizes(b"Tracebac")
    with pytest.raises(BrokenFrame):
        sizes(struct.pack("<II", 2, 1 << 31))
