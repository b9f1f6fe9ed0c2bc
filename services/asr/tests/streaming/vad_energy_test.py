import numpy as np
import pytest

from asr.decoder import RATE, Samples
from asr.streaming.vad import FRAME
from asr.streaming.vad_energy import EnergyGate

random = np.random.default_rng(7)


def buzz(seconds: float, level: float) -> Samples:
    """A voice's pitch with overtones."""
    at = np.arange(int(seconds * RATE)) / RATE
    overtones = [np.sin(2 * np.pi * 140 * n * at) / n for n in range(1, 9)]
    return np.asarray(np.sum(overtones, axis=0) * level, np.float32)


def room(seconds: float, level: float) -> Samples:
    """A room's hum: noise, mostly low."""
    noise = np.cumsum(random.standard_normal(int(seconds * RATE)))
    noise -= np.convolve(noise, np.ones(400) / 400, "same")
    return np.asarray(noise / noise.std() * level, np.float32)


def voiced(gate: EnergyGate, samples: Samples) -> float:
    """Share of frames that are taken for voice."""
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
    return float(np.mean([gate.speech_probability(frame) > 0.5 for frame in frames]))


@pytest.mark.parametrize("level", [0.0, 0.001, 0.01])
def test_a_voice_is_told_from_the_room(level: float) -> None:
    gate = EnergyGate()
    assert voiced(gate, room(2.0, level or 1e-6)) < 0.05
    assert voiced(gate, buzz(1.5, 0.2)) > 0.95
    assert voiced(gate, room(2.0, level or 1e-6)) < 0.05
    assert voiced(gate, buzz(1.5, 0.2)) > 0.95


def test_who_speaks_into_the_first_frame_is_heard() -> None:
    assert voiced(EnergyGate(), buzz(1.0, 0.2)) > 0.95


def test_a_hiss_is_no_voice_and_a_noise_that_stays_becomes_the_room() -> None:
    gate = EnergyGate()
    assert voiced(gate, (random.standard_normal(3 * RATE) * 0.1).astype(np.float32)) == 0
    gate = EnergyGate()
    voiced(gate, room(1.0, 0.0005))
    assert voiced(gate, room(20.0, 0.05)) < 0.9
    assert voiced(gate, room(5.0, 0.05)) < 0.05


def test_what_nobody_hears_is_silence() -> None:
    gate = EnergyGate()
    voiced(gate, np.zeros(RATE, np.float32))
    assert voiced(gate, buzz(1.0, 0.001)) == 0
