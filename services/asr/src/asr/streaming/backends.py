"""The speech backends of a process, chosen by what is installed.

A missing model is replaced by a fallback, which is logged and reported.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from asr.recognizer import Recognizer
from asr.streaming import onnx
from asr.streaming.end_of_turn_model import EndOfTurnModel, SmartTurn
from asr.streaming.endpointing import EndpointingConfig
from asr.streaming.vad import VoiceActivity
from asr.streaming.vad_energy import EnergyGate
from asr.streaming.vad_silero import Silero
from dialog_telemetry import metrics

log = structlog.get_logger("senses")

SILERO: Final = Path("silero-vad/silero_vad.onnx")
SMART_TURN: Final = Path("smart-turn/smart-turn-v3.2-cpu.onnx")
FALLBACK: Final = "stand_in"


@dataclass(frozen=True, slots=True)
class SpeechBackends:
    """The backends of all microphones.

    `vad` creates one detector for each microphone; without `end_of_turn`, only silence ends an
    utterance.
    """

    recognizer: Recognizer
    vad: Callable[[], VoiceActivity]
    end_of_turn: EndOfTurnModel | None
    endpointing: EndpointingConfig
    names: dict[str, str]
    """Names of what is used for `voice`, `turn_end` and `words`; `stand_in` without a model."""

    def close(self) -> None:
        """Stop the end-of-turn model."""
        if isinstance(self.end_of_turn, SmartTurn):
            self.end_of_turn.close()


def load(models: Path | None, recognizer: Recognizer, rhythm: EndpointingConfig) -> SpeechBackends:
    """Load the models, which blocks; raises ModelFailed for a file that is not a model."""
    silero, smart_turn = _file(models, SILERO, "voice"), _file(models, SMART_TURN, "turn_end")
    voice: Callable[[], VoiceActivity] = EnergyGate
    end_of_turn: SmartTurn | None = None
    if silero is not None:
        in_use = onnx.load(silero)

        def voice() -> VoiceActivity:
            return Silero(in_use)

    if smart_turn is not None:
        end_of_turn = SmartTurn(onnx.load(smart_turn))
    names = {
        "voice": FALLBACK if silero is None else silero.stem,
        "turn_end": FALLBACK if smart_turn is None else smart_turn.stem,
        "words": FALLBACK if recognizer.name == "none" else recognizer.name,
    }
    for part, name in names.items():
        metrics.ASR_BACKEND_INFO.labels(part=part, name=name).set(1)
    log.info("microphones_ready", **names)
    return SpeechBackends(recognizer, voice, end_of_turn, rhythm, names)


def _file(models: Path | None, name: Path, part: str) -> Path | None:
    reason = None
    if models is None:
        reason = "MODELS_DIR is not set"
    elif not (models / name).is_file():
        reason = f"{models / name} is not there; `make models` fetches it"
    elif not onnx.installed():
        reason = "the extra `models` is not installed; `make models` installs it"
    if reason is None and models is not None:
        return models / name
    log.warning("stand_in", part=part, reason=reason)
    return None
