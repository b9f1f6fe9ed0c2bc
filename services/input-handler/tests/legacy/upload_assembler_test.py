import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialog_contracts import limits
from dialog_contracts.input_socket import UploadFrame
from input_handler.legacy.upload_assembler import (
    AUDIO_STARTS,
    NO_METADATA,
    RECEIVED,
    TEXT_BYTES,
    Recording,
    UploadAssembler,
    UploadRefused,
)


def chunk(chunk_id: int | None, kind: str | None = "text", text: str | None = None) -> UploadFrame:
    return UploadFrame(type=kind, action="data_chunk", chunk_id=chunk_id, text=text)


def test_announced_chunks_become_one_text() -> None:
    upload = UploadAssembler()
    for number, piece in enumerate(["今晚".encode(), "玩什".encode(), "么？".encode()]):
        assert upload.announce(chunk(number)) is None
        assert upload.add(piece) == RECEIVED == "File chunk received"
    assert upload.finish() == "今晚玩什么？"


def test_a_character_may_be_cut_between_chunks() -> None:
    upload, data = UploadAssembler(), "玩".encode()
    for number in range(3):
        upload.announce(chunk(number))
        upload.add(data[number : number + 1])
    assert upload.finish() == "玩"


def test_inline_text_needs_no_binary_frame() -> None:
    upload = UploadAssembler()
    assert upload.announce(chunk(0, text="今晚")) == RECEIVED
    assert upload.add(b"x") == NO_METADATA
    assert upload.announce(chunk(1, text="玩")) == RECEIVED
    assert upload.finish() == "今晚玩"


def test_a_refused_chunk_is_never_filled_by_a_later_binary_frame() -> None:
    upload = UploadAssembler()
    upload.announce(chunk(0))
    upload.add(b"AAA")
    assert upload.announce(chunk(0)) == "Chunk ID mismatch: expected 1, got 0"
    assert upload.add(b"BBB") == NO_METADATA == "Error: No metadata received before binary data"
    assert upload.announce(chunk(1)) is None
    assert upload.announce(chunk(7)) == "Chunk ID mismatch: expected 1, got 7"
    assert upload.add(b"CCC") == NO_METADATA
    assert upload.finish() == "AAA"


def test_binary_without_metadata_and_twice_for_one_are_refused() -> None:
    upload = UploadAssembler()
    assert upload.add(b"x") == NO_METADATA
    upload.announce(chunk(0))
    upload.add(b"x")
    assert upload.add(b"y") == NO_METADATA
    assert upload.finish() == "x"


@pytest.mark.parametrize("kind", [None, "image", "control", "x" * 100])
def test_other_types_are_not_supported(kind: str | None) -> None:
    answer = UploadAssembler().announce(chunk(0, kind))
    assert answer is not None
    assert answer.endswith("is not supported")
    assert len(answer) < 100


def test_text_and_audio_do_not_mix() -> None:
    upload = UploadAssembler()
    upload.announce(chunk(0))
    upload.add(b"x")
    assert upload.announce(chunk(1, "audio")) == "Error: this upload is text, not audio"
    assert upload.add(b"y") == NO_METADATA


def recorded(data: bytes) -> UploadAssembler:
    upload = UploadAssembler()
    upload.announce(chunk(0, "audio"))
    assert upload.add(data) == RECEIVED
    return upload


@pytest.mark.parametrize(
    ("start", "kind"),
    [(start, kind) for at, start, kind in AUDIO_STARTS if at == 0] + [(b"\0\0\0 ftypM4A ", "m4a")],
)
def test_a_recording_is_known_by_how_it_begins(start: bytes, kind: str) -> None:
    upload = recorded(start)
    upload.announce(chunk(1, "audio"))
    upload.add(b"more")
    assert upload.finish() == Recording(start + b"more", kind)  # type: ignore[arg-type]


@pytest.mark.parametrize("data", [b"MZ\x90\0", b"/etc/passwd", b"\0" * 64])
def test_what_is_no_recording_is_refused(data: bytes) -> None:
    with pytest.raises(UploadRefused, match="none of webm, ogg, wav, mp3, m4a"):
        recorded(data).finish()


def test_a_recording_has_a_limit_and_what_is_over_it_is_not_kept() -> None:
    upload = recorded(b"OggS" + b"x" * (limits.MAX_UPLOAD_BYTES - 4))
    upload.announce(chunk(1, "audio"))
    assert upload.add(b"x") == f"Error: a recording has at most {limits.MAX_UPLOAD_BYTES} bytes"
    assert sum(map(len, upload.chunks)) == 0
    with pytest.raises(UploadRefused, match="at most"):
        upload.finish()


def test_an_empty_upload_and_one_without_its_bytes_are_refused() -> None:
    upload = UploadAssembler()
    with pytest.raises(UploadRefused, match="empty"):
        upload.finish()
    upload.announce(chunk(0))
    with pytest.raises(UploadRefused, match="empty"):
        upload.finish()


def test_invalid_utf8_is_named_by_its_place() -> None:
    upload = UploadAssembler()
    upload.announce(chunk(0))
    upload.add(b"ab\xffcd")
    with pytest.raises(UploadRefused, match="not valid UTF-8 at byte 2"):
        upload.finish()


def test_a_text_has_a_limit_in_bytes() -> None:
    upload = UploadAssembler()
    upload.announce(chunk(0))
    assert upload.add(b"x" * TEXT_BYTES) == RECEIVED
    upload.announce(chunk(1))
    assert upload.add(b"x") == f"Error: a text has at most {TEXT_BYTES} bytes"
    with pytest.raises(UploadRefused, match="at most"):
        upload.finish()


def test_an_upload_has_a_limit_of_chunks() -> None:
    upload = UploadAssembler()
    for number in range(limits.MAX_UPLOAD_FRAMES):
        upload.announce(chunk(number, "audio"))
        upload.add(b"x")
    assert (
        upload.announce(chunk(limits.MAX_UPLOAD_FRAMES, "audio"))
        == f"Error: an upload has at most {limits.MAX_UPLOAD_FRAMES} chunks"
    )
    with pytest.raises(UploadRefused, match="at most"):
        upload.finish()


FRAMES = st.builds(
    chunk,
    st.none() | st.integers(min_value=-1, max_value=4),
    st.sampled_from(["text", "audio", "image", None]),
    st.none() | st.text(max_size=5),
)


@given(st.lists(FRAMES | st.binary(max_size=8) | st.just(b"ID3 "), max_size=30))
def test_an_upload_is_what_was_acknowledged_and_nothing_else(
    frames: list[UploadFrame | bytes],
) -> None:
    upload, kept = UploadAssembler(), b""
    for frame in frames:
        if isinstance(frame, bytes):
            kept += frame if upload.add(frame) == RECEIVED else b""
        elif upload.announce(frame) == RECEIVED:
            kept += (frame.text or "").encode()
    try:
        found = upload.finish()
        assert isinstance(found, str) == (upload.kind == "text")
        assert (found.encode() if isinstance(found, str) else found.data) == kept
    except UploadRefused:
        assert (
            upload.kind == "audio" or not kept or kept.decode("utf-8", "replace").encode() != kept
        )
