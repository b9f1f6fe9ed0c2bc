"""Settings of asr; the only reader of its environment."""

from pathlib import Path

from pydantic import Field

from service_runtime.settings import ServiceSettings


class AsrSettings(ServiceSettings):
    """See `ServiceSettings` for what all services share."""

    port: int = Field(default=8101, ge=1, le=65535)

    models_dir: Path | None = None
    """Folder that `vtuber models` fills: `whisper-base`, `silero-vad`, `smart-turn`. What is missing there is stood in for, and the log,
    `/readyz` and the metric `dialog_mic_senses` say so."""

    whisper_model: Path | None = None
    """Folder of another Whisper model for CTranslate2 (`model.bin` and its tokenizer) than `whisper-base` of MODELS_DIR. Without either,
    or without the extra `models`, recordings are only measured, and the answer says so."""

    whisper_threads: int = Field(default=2, ge=1, le=64)
    """Cores that one recording may use; they are heard one at a time."""

    microphones_max: int = Field(default=16, ge=1, le=1_000)
    """Microphones at once; one more is told `too_many_microphones`. All share one Whisper: few of them can speak at the same time."""

    utterance_max_s: int = Field(default=30, ge=2, le=30)
    """An utterance that is longer is ended, and what goes on is the next one. Whisper hears no more than 30 s at once."""

    end_silence_ms: int = Field(default=700, ge=250, le=5_000)
    """Silence that ends an utterance where no end-of-turn model is installed, or it fails."""

    end_patience_ms: int = Field(default=1_500, ge=250, le=5_000)
    """Silence that ends an utterance of which the model says that it is not complete."""

    at_once: int = Field(default=2, ge=1, le=64)
    """Recordings in hand: one is heard while the next is fetched and decoded."""

    decode_within_s: float = Field(default=20.0, gt=0, le=600)
    """Longest time for the decoding of one recording; five minutes of Opus take about one second."""
