from dialog_voice.audio.loudness import QUIET, STEP_BYTES, MouthOpening, rms
from dialog_voice.testing.openai_speech_server import hum


def test_loudness_is_that_of_the_samples() -> None:
    assert rms(b"\0" * STEP_BYTES) == 0
    assert rms(b"\xe8\x03" * 960) == 1000
    assert rms(b"\xe8\x03" * 3 + b"\x01") == 1000, "half a sample has none"
    assert rms(b"") == rms(b"\x01") == 0


def test_the_mouth_is_shut_in_silence_and_open_as_far_as_the_voice_is_loud() -> None:
    opening = MouthOpening()
    assert opening.next_step(QUIET - 1) == 0
    assert opening.next_step(8000) == 1
    assert 0.4 < opening.next_step(3000) < 0.8
    assert opening.next_step(QUIET) >= 0.25


def test_what_was_loud_long_ago_is_forgotten() -> None:
    opening = MouthOpening()
    opening.next_step(20_000)
    for _ in range(200):
        last = opening.next_step(1500)
    assert last > 0.7
    assert rms(hum(1000)) > QUIET
