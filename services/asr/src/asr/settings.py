"""Settings of asr; the only reader of its environment."""

from pathlib import Path

from pydantic import AliasChoices, Field

from service_runtime.settings import ServiceSettings


class AsrSettings(ServiceSettings):
    """See `ServiceSettings` for what all services share."""

    port: int = Field(default=8101, ge=1, le=65535)

    models_dir: Path | None = None
    """Folder that `vtuber models` fills: `whisper-base`, `silero-vad`, `smart-turn`. What is missing there is stood in for, and the log,
    `/readyz` and the metric `dialog_asr_backend_info` say so."""

    whisper_model: Path | None = None
    """Folder of another Whisper model for CTranslate2 (`model.bin` and its tokenizer) than `whisper-base` of MODELS_DIR. Without either,
    or without the extra `models`, recordings are only measured, and the answer says so."""

    whisper_threads: int = Field(default=2, ge=1, le=64)
    """Cores that one recording may use; they are heard one at a time."""

    max_microphones: int = Field(
        default=16,
        ge=1,
        le=1_000,
        validation_alias=AliasChoices("max_microphones", "microphones_max"),
    )
    """Microphones at once; one more is told `too_many_microphones`. All share one Whisper: few of them can speak at the same time."""

    max_utterance_s: int = Field(
        default=30, ge=2, le=30, validation_alias=AliasChoices("max_utterance_s", "utterance_max_s")
    )
    """An utterance that is longer is ended, and what goes on is the next one. Whisper hears no more than 30 s at once."""

    end_silence_ms: int = Field(default=700, ge=250, le=5_000)
    """Silence that ends an utterance where no end-of-turn model is installed, or it fails."""

    max_end_silence_ms: int = Field(
        default=1_500,
        ge=250,
        le=5_000,
        validation_alias=AliasChoices("max_end_silence_ms", "end_patience_ms"),
    )
    """Silence that ends an utterance of which the model says that it is not complete."""

    concurrency: int = Field(
        default=2, ge=1, le=64, validation_alias=AliasChoices("concurrency", "at_once")
    )
    """Recordings in hand: one is heard while the next is fetched and decoded."""

    decode_timeout_s: float = Field(
        default=20.0,
        gt=0,
        le=600,
        validation_alias=AliasChoices("decode_timeout_s", "decode_within_s"),
    )
    """Longest time for the decoding of one recording; five minutes of Opus take about one second."""
