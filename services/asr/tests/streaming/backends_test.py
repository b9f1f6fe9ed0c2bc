from pathlib import Path

import numpy as np
import pytest

from asr.recognizer import NullRecognizer
from asr.streaming import backends, onnx
from asr.streaming.backends import FALLBACK, SILERO, SMART_TURN
from asr.streaming.end_of_turn_model import SmartTurn
from asr.streaming.endpointing import EndpointingConfig
from asr.streaming.vad_energy import EnergyGate
from asr.streaming.vad_silero import Silero
from asr.testing.scripted_backends import ScriptedRecognizer
from dialog_telemetry import metrics


class Session:
    def run(self, *_: object) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
        return [np.zeros((1, 1), np.float32), np.zeros((2, 1, 128), np.float32)]


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (SILERO, SMART_TURN):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    monkeypatch.setattr(onnx, "installed", lambda: True)
    monkeypatch.setattr(onnx, "load", lambda _: Session())
    return tmp_path


def test_models_that_are_there_are_used_and_one_voice_is_made_for_each_microphone(
    models: Path,
) -> None:
    made = backends.load(models, ScriptedRecognizer(), EndpointingConfig())
    one, other = made.vad(), made.vad()
    assert isinstance(one, Silero)
    assert one is not other
    assert isinstance(made.end_of_turn, SmartTurn)
    assert made.names == {
        "voice": "silero_vad",
        "turn_end": "smart-turn-v3.2-cpu",
        "words": "scripted",
    }
    made.close()


def test_without_any_everything_is_stood_in_for_and_the_metric_says_so() -> None:
    made = backends.load(None, NullRecognizer(), EndpointingConfig())
    assert isinstance(made.vad(), EnergyGate)
    assert made.end_of_turn is None
    assert set(made.names.values()) == {FALLBACK}
    assert [
        metrics.ASR_BACKEND_INFO.labels(part=part, name=FALLBACK)._value.get()
        for part in made.names
    ] == [1, 1, 1]
    made.close()


def test_each_model_is_missed_by_itself(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (models / SILERO).unlink()
    made = backends.load(models, NullRecognizer(), EndpointingConfig())
    assert isinstance(made.vad(), EnergyGate)
    assert isinstance(made.end_of_turn, SmartTurn)
    made.close()
    monkeypatch.setattr(onnx, "installed", lambda: False)
    assert backends.load(models, NullRecognizer(), EndpointingConfig()).end_of_turn is None
