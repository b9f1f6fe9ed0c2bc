import av
import numpy as np
import pytest

from asr.decoder import RATE, Samples
from asr.streaming.frame_decoder import MAX_FRAME_BYTES, FrameDecoder
from dialog_contracts.input_socket import MicStart
from service_runtime.http.errors import InvalidField, TooLarge


def start(form: str, rate: int) -> MicStart:
    return MicStart.model_validate({"sessionId": "s", "format": form, "sampleRate": rate})


def tone(rate: int, seconds: float, hz: float = 440) -> bytes:
    return (
        (np.sin(np.arange(int(rate * seconds)) * 2 * np.pi * hz / rate) * 16_000)
        .astype("<i2")
        .tobytes()
    )


def packets(rate: int, seconds: float) -> list[bytes]:
    encoder = av.CodecContext.create("libopus", "w")
    assert isinstance(encoder, av.AudioCodecContext)
    encoder.sample_rate, encoder.layout, encoder.format = rate, "mono", av.AudioFormat("s16")
    encoder.options = {"frame_duration": "20"}
    sound, made = np.frombuffer(tone(rate, seconds), "<i2"), []
    for at in range(0, len(sound), rate // 50):
        frame = av.AudioFrame.from_ndarray(
            sound[at : at + rate // 50].reshape(1, -1), format="s16", layout="mono"
        )
        frame.sample_rate, frame.pts = rate, None
        made += [bytes(packet) for packet in encoder.encode(frame)]
    return made


def pitch(samples: Samples) -> float:
    """The loudest frequency, in Hz."""
    middle = samples[len(samples) // 4 : -len(samples) // 4]
    return float(
        np.abs(np.fft.rfft(middle * np.hanning(len(middle)))).argmax() * RATE / len(middle)
    )


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 24_000, 44_100, 48_000])
def test_pcm_of_any_rate_is_the_same_sound(rate: int) -> None:
    incoming, data, frame = FrameDecoder(start("pcm_s16le", rate)), tone(rate, 2.0), rate // 50 * 2
    found = np.concatenate(
        [incoming.samples(data[at : at + frame]) for at in range(0, len(data), frame)]
    )
    assert abs(len(found) - 2 * RATE) < RATE // 20
    assert pitch(found) == pytest.approx(440, abs=2)
    assert np.abs(found).max() == pytest.approx(0.49, abs=0.03)


@pytest.mark.parametrize("rate", [16_000, 24_000, 48_000])
def test_opus_packets_are_decoded_without_a_container(rate: int) -> None:
    incoming = FrameDecoder(start("opus", rate))
    found = np.concatenate([incoming.samples(packet) for packet in packets(rate, 2.0)])
    assert abs(len(found) - 2 * RATE) < RATE // 10
    assert pitch(found) == pytest.approx(440, abs=2)


def test_a_bad_packet_is_refused_and_the_next_one_is_heard() -> None:
    incoming = FrameDecoder(start("opus", 48_000))
    good = packets(48_000, 0.2)
    incoming.samples(good[0])
    for bad in (b"", b"\xff" * 50):
        with pytest.raises(InvalidField) as refused:
            incoming.samples(bad)
        assert refused.value.body.code == "bad_opus"
        assert len(incoming.samples(good[1])) > 0
    assert len(incoming.silence) == RATE // 50


@pytest.mark.parametrize(
    ("form", "rate", "data", "code"),
    [
        ("pcm_s16le", 16_000, b"x", "odd_pcm"),
        ("pcm_s16le", 16_000, bytes(32_002), "too_large"),
        ("opus", 48_000, bytes(4_001), "too_large"),
    ],
)
def test_frames_that_are_none(form: str, rate: int, data: bytes, code: str) -> None:
    with pytest.raises((InvalidField, TooLarge)) as refused:
        FrameDecoder(start(form, rate)).samples(data)
    assert refused.value.body.code == code


def test_an_empty_frame_is_nothing_and_a_second_is_the_most() -> None:
    assert len(FrameDecoder(start("pcm_s16le", 16_000)).samples(b"")) == 0
    assert len(FrameDecoder(start("pcm_s16le", 44_100)).samples(b"")) == 0
    assert len(FrameDecoder(start("pcm_s16le", 48_000)).samples(bytes(MAX_FRAME_BYTES))) > 0


def test_opus_has_rates_of_its_own() -> None:
    with pytest.raises(InvalidField) as refused:
        FrameDecoder(start("opus", 44_100))
    assert (refused.value.body.code, refused.value.body.field) == ("unsupported_rate", "sampleRate")
