import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dialog_voice.audio.silence_trimmer import SilenceTrimmer

_RATE = 1000


def _trim(chunks: list[list[int]], lead_ms: float = 3, tail_ms: float = 4) -> tuple[list[int], int]:
    trimmer = SilenceTrimmer(_RATE, lead_ms, tail_ms)
    pieces = [trimmer.push(np.array(chunk, dtype=np.int16)) for chunk in chunks]
    return [
        int(sample) for piece in [*pieces, trimmer.finish()] for sample in piece
    ], trimmer.dropped


def test_both_ends_are_cut_and_the_middle_is_not() -> None:
    speech = [9000, 0, 0, 0, 0, 0, 0, 0, 0, -9000]
    kept, dropped = _trim([[0] * 10 + speech + [0] * 20])
    assert kept == [0] * 3 + speech + [0] * 4
    assert dropped == 7


def test_short_silence_is_left_as_it_is() -> None:
    kept, dropped = _trim([[0, 0, 9000, 0]])
    assert kept == [0, 0, 9000, 0]
    assert dropped == 0


def test_nothing_but_silence_is_nothing() -> None:
    assert _trim([[0] * 50, [3] * 50])[0] == []
    assert _trim([])[0] == []


def test_the_loudest_negative_sample_is_sound() -> None:
    assert _trim([[-32768]])[0] == [-32768]


@given(st.lists(st.lists(st.sampled_from([0, 5, 9000, -32768]), max_size=6), max_size=12))
def test_chunk_borders_change_nothing(chunks: list[list[int]]) -> None:
    assert _trim(chunks) == _trim([[sample for chunk in chunks for sample in chunk]])
