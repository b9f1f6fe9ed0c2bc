import base64
import json
import struct

import pytest

from output_handler.legacy import audio_collector
from output_handler.legacy.audio_collector import AudioCollector
from output_handler.playback.turn import AudioFrame


def sound(pcm: bytes, indent: int | None = None) -> AudioFrame:
    message = {"type": "SPEECH_CHUNK", "pcm": base64.b64encode(pcm).decode()}
    return AudioFrame(0, 0, 40, json.dumps(message, indent=indent))


def test_chunks_become_one_wav_once() -> None:
    kept = AudioCollector()
    assert kept.empty
    for seq in range(100):
        # Spaces in an engine's JSON do not matter.
        kept.add(sound(bytes([seq]) * 1920, indent=seq % 2))
    assert not kept.empty
    file = kept.to_wav()
    assert file is not None
    assert len(file) == 44 + 100 * 1920
    assert file[:4] + file[8:16] + file[36:40] == b"RIFFWAVEfmt data"
    assert struct.unpack_from("<I", file, 4) == (len(file) - 8,)
    assert struct.unpack_from("<IHHIIHH", file, 16) == (16, 1, 1, 24_000, 48_000, 2, 16)
    assert file[44:] == b"".join(bytes([seq]) * 1920 for seq in range(100))
    assert kept.to_wav() is None


def test_a_turn_whose_sound_came_as_a_file_collects_nothing_until_the_next_one() -> None:
    kept = AudioCollector()
    kept.add(sound(b"ab"))
    kept.disable_for_turn()
    kept.add(sound(b"cd"))
    assert kept.to_wav() is None
    kept.new_turn()
    kept.add(sound(b"ef"))
    assert (kept.to_wav() or b"")[44:] == b"ef"


def test_what_was_stopped_or_is_of_the_turn_before_is_gone() -> None:
    kept = AudioCollector()
    for forget in (kept.discard, kept.new_turn):
        kept.add(sound(b"ab"))
        forget()
        assert kept.to_wav() is None


def test_it_keeps_a_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio_collector, "MAX_BYTES", 4)
    kept = AudioCollector()
    for _ in range(9):
        kept.add(sound(b"abc"))
    assert (kept.to_wav() or b"")[44:] == b"abcabc"
