import io
import wave

from dialog_contracts import wav


def test_any_player_reads_it() -> None:
    pcm = bytes(range(200))
    with wave.open(io.BytesIO(wav.wav_file(bytearray(pcm)))) as file:
        assert (file.getframerate(), file.getsampwidth(), file.getnchannels()) == (24_000, 2, 1)
        assert file.readframes(1000) == pcm
