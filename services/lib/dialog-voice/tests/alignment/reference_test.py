import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialog_voice.alignment.reference import (
    ReferenceTimeline,
    from_letters,
    from_synthesis,
)
from dialog_voice.visemes.estimator import words_of
from dialog_voice.visemes.phoneme_table import SILENCE
from dialog_voice.voice import VisemeCue, VoiceAudio, WordCue


def times(reading: ReferenceTimeline, text: str) -> list[tuple[str, float]]:
    return [(text[word.start : word.end], round(word.at_ms)) for word in reading.words]


def test_by_letters_each_letter_takes_as_long() -> None:
    text = "a bbb, 你好"
    assert times(from_letters(text), text) == [("a", 0), ("bbb", 70), ("你", 280), ("好", 505)]
    assert from_letters(text).length_ms == 730


@given(st.text("ab 你'3,.😀", max_size=30))
def test_by_letters_no_word_is_left_out(text: str) -> None:
    reading = from_letters(text)
    assert [(word.start, word.end) for word in reading.words] == words_of(text)
    assert all(
        earlier.at_ms < later.at_ms
        for earlier, later in zip(reading.words, reading.words[1:], strict=False)
    )


def test_shapes_follow_the_letters() -> None:
    reading = from_letters("map")
    assert [next(iter(reading.shape(at))) for at in (-1, 0, 69, 71, 150, 999)] == [
        "PP",
        "PP",
        "PP",
        "aa",
        "PP",
        "PP",
    ]


def test_what_was_read_aloud_has_the_readers_times_without_its_pauses() -> None:
    text = "Well, the dog"
    spoken = [
        VoiceAudio(b"", (VisemeCue(0, {"ou": 0.9}), VisemeCue(300, SILENCE)), (WordCue(0, 0, 4),)),
        VoiceAudio(
            b"",
            (VisemeCue(500, {"TH": 0.9}), VisemeCue(600, {"DD": 0.9}), VisemeCue(900, SILENCE)),
            (WordCue(500, 6, 9),),
        ),
        VoiceAudio(b"", (), (WordCue(600, 10, 13),)),
    ]
    made = from_synthesis(text, spoken, 1100)
    assert made is not None
    reading, clock = made
    assert times(reading, text) == [("Well", 0), ("the", 300), ("dog", 400)]
    assert reading.length_ms == 700
    assert [next(iter(reading.shape(at))) for at in (0, 299, 301, 450)] == ["ou", "ou", "TH", "DD"]
    assert clock.at(350) == 550


def test_words_that_the_reader_joined_share_their_time() -> None:
    text = "晚上23 5ab"
    spoken = [VoiceAudio(b"", (VisemeCue(0, {"aa": 1.0}),), (WordCue(0, 0, 1), WordCue(900, 2, 4)))]
    made = from_synthesis(text, spoken, 2000)
    assert made is not None
    assert times(made[0], text) == [("晚", 0), ("上", 450), ("23", 900), ("5ab", 1340)]


@pytest.mark.parametrize(
    "spoken",
    [[], [VoiceAudio(b"\0\0")], [VoiceAudio(b"", (VisemeCue(0, SILENCE),), (WordCue(0, 0, 2),))]],
)
def test_a_reader_that_said_nothing_gives_no_reading(spoken: list[VoiceAudio]) -> None:
    assert from_synthesis("hi", spoken, 100) is None
