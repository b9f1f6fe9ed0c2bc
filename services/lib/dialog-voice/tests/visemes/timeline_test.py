from dialog_voice.visemes.phoneme_table import SILENCE
from dialog_voice.visemes.timeline import CueTimeline
from dialog_voice.voice import WordCue


def test_cues_leave_with_the_audio_that_contains_them() -> None:
    track = CueTimeline("map")
    track.add_phonemes([(0.0, "m"), (80.0, "ˈæ"), (160.0, "p")])
    assert [cue.offset_ms for cue in track.take_visemes(100.0)] == [0.0, 80.0]
    assert [cue.offset_ms for cue in track.take_visemes(200.0)] == [160.0]
    assert track.take_visemes(1000.0) == ()


def test_a_glide_is_dropped_when_the_next_sound_comes_first() -> None:
    track = CueTimeline("out")
    track.add_phonemes([(0.0, "aʊ"), (50.0, "t")])
    assert [cue.offset_ms for cue in track.take_visemes(500.0)] == [0.0, 50.0]
    track.add_phonemes([(600.0, "aʊ"), (700.0, "t")])
    assert [cue.offset_ms for cue in track.take_visemes(900.0)] == [600.0, 665.0, 700.0]


def test_a_pause_between_syllables_does_not_shut_the_mouth() -> None:
    track = CueTimeline("是小")
    track.add_phonemes([(0.0, "i."), (100.0, ""), (111.0, "ɕ"), (300.0, "")])
    cues = track.take_visemes(500.0)
    assert [cue.offset_ms for cue in cues] == [0.0, 111.0, 300.0]
    assert cues[-1].weights == SILENCE


def test_unknown_symbols_are_counted() -> None:
    track = CueTimeline("x")
    track.add_phonemes([(0.0, "ʘ"), (10.0, "ʘ")])
    assert track.unknown == {"ʘ": 2}
    assert track.take_visemes(100.0) == ()


def test_words_do_not_overlap_and_are_whole() -> None:
    text = "it's 123 or $42.50 再见"
    track = CueTimeline(text)
    words = track.words(
        [
            (0.0, 0, 2),
            (100.0, 5, 3),
            (150.0, 6, 3),
            (200.0, 9, 2),
            (300.0, 12, 3),
            (400.0, 19, 1),
            (450.0, 20, 1),
        ]
    )
    assert [text[word.text_start : word.text_end] for word in words] == [
        "it's",
        "123",
        "or",
        "$42.50",
        "再",
        "见",
    ]
    assert words[-1] == WordCue(450.0, 20, 21)


def test_a_position_outside_the_text_is_no_word() -> None:
    track = CueTimeline("ab")
    assert track.words([(0.0, -1, 2), (0.0, 5, 1)]) == ()
    assert track.words([(0.0, 0, 9)]) == (WordCue(0.0, 0, 2),)
