import json
from itertools import pairwise

from hypothesis import given
from hypothesis.strategies import binary

from output_handler.legacy.response_frames import LegacyResponseFrames


@given(binary(max_size=300_000))
def test_a_file_comes_in_numbered_slices_after_its_text(file: bytes) -> None:
    frames = LegacyResponseFrames.build("live-001", "今晚", file).frames
    assert isinstance(frames[0], str)
    assert json.loads(frames[0]) == {
        "status": "success",
        "task_id": "live-001",
        "content": "今晚",
        "audio_present": True,
    }
    assert isinstance(frames[-1], str)
    assert json.loads(frames[-1]) == {"type": "audio_complete", "task_id": "live-001"}
    slices = [
        (json.loads(head), piece)
        for head, piece in pairwise(frames[1:-1])
        if isinstance(piece, bytes)
    ]
    assert [head["chunk_id"] for head, _ in slices] == list(range(len(slices)))
    assert {head["total_chunks"] for head, _ in slices} <= {len(slices)}
    assert all(0 < len(piece) <= 65_536 for _, piece in slices)
    assert b"".join(piece for _, piece in slices) == file


def test_without_a_file_it_is_one_frame() -> None:
    (only,) = LegacyResponseFrames.build("live-001", "x", None).frames
    assert json.loads(only)["audio_present"] is False
