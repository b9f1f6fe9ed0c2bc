import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialog_contracts.visemes import VISEMES
from dialog_voice.testing.openai_speech_server import hum
from dialog_voice.visemes.estimator import VisemeEstimator, shapes_of_word, words_of
from dialog_voice.voice import BYTES_PER_MS, WordCue


@pytest.mark.parametrize(
    ("word", "shapes"),
    [
        ("map", ["PP", "aa", "PP"]),
        ("the", ["TH", "E"]),
        ("Shoe", ["CH", "oh", "E"]),
        ("42", ["aa"]),
        ("", ["aa"]),
    ],
)
def test_letters_give_shapes(word: str, shapes: list[str]) -> None:
    assert shapes_of_word(word) == shapes


def test_each_hanzi_gives_one_vowel() -> None:
    assert all(len(shapes_of_word(hanzi)) == 1 for hanzi in "你好小星")


def test_words_are_runs_of_letters_and_single_hanzi() -> None:
    text = "It's 你好, Tom😀!"
    assert [text[start:end] for start, end in words_of(text)] == ["It's", "你", "好", "Tom"]


def test_the_mouth_is_shut_in_silence_and_open_in_sound() -> None:
    estimator = VisemeEstimator("aaa")
    silent = estimator.push(bytes(200 * BYTES_PER_MS))
    assert [(cue.offset_ms, cue.weights) for cue in silent] == [(0.0, {"sil": 1.0})]
    loud = estimator.push(hum(100))
    assert loud[0].offset_ms >= 200
    assert loud[-1].weights["aa"] > 0.5
    closed = estimator.push(bytes(100 * BYTES_PER_MS))
    assert closed[0].weights == {"sil": 1.0}


def test_openness_follows_loudness() -> None:
    estimator = VisemeEstimator("aaaaaaaaaaaaaaaa")
    cues = estimator.push(hum(400))
    weights = [sum(cue.weights.values()) for cue in cues if "sil" not in cue.weights]
    assert max(weights) - min(weights) > 0.3


def test_known_words_bring_their_letters_at_their_time() -> None:
    estimator = VisemeEstimator("mmm eve")
    estimator.add_word(WordCue(0.0, 0, 3), 200)
    estimator.add_word(WordCue(200.0, 4, 7), 200)
    cues = estimator.push(hum(400))
    assert {name for cue in cues if cue.offset_ms < 200 for name in cue.weights} == {"PP"}
    assert {name for cue in cues if cue.offset_ms >= 200 for name in cue.weights} == {"E", "FF"}


@given(st.text(max_size=40), st.lists(st.integers(min_value=0, max_value=3000), max_size=6))
def test_cues_are_ordered_and_inside_whatever_comes(text: str, lengths: list[int]) -> None:
    estimator = VisemeEstimator(text)
    total = 0
    offsets: list[float] = []
    for length in lengths:
        visemes = estimator.push(b"\x00\x20" * length)
        start_ms, total = total / BYTES_PER_MS, total + 2 * length
        assert all(start_ms <= cue.offset_ms < total / BYTES_PER_MS for cue in visemes)
        assert all(set(cue.weights) <= set(VISEMES) for cue in visemes)
        offsets += [cue.offset_ms for cue in visemes]
    assert offsets == sorted(offsets)
