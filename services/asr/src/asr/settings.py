"""Settings of asr; the only reader of its environment."""

from pathlib import Path

from pydantic import AliasChoices, Field

from service_runtime.settings import ServiceSettings


class AsrSettings(ServiceSettings):
    """See `ServiceSettings` for the settings that all services share."""

    port: int = Field(default=8101, ge=1, le=65535)

    models_dir: Path | None = None
    """Folder that `vtuber models` fills: `whisper-base`, `silero-vad`, `smart-turn`.

    A missing model is replaced by a fallback, which the log, `/readyz` and the metric
    `dialog_asr_backend_info` report.
    """

    whisper_model: Path | None = None
    """Folder of a Whisper model for CTranslate2 (`model.bin` and its tokenizer).

    It is used instead of `whisper-base` in MODELS_DIR. Without either, or without the extra
    `models`, recordings are only measured, and the transcript says so.
    """

    whisper_threads: int = Field(default=2, ge=1, le=64)
    """Cores for one recording; recordings are transcribed one at a time."""

    max_microphones: int = Field(
        default=16,
        ge=1,
        le=1_000,
        validation_alias=AliasChoices("max_microphones", "microphones_max"),
    )
    """Largest number of open microphones; a further one gets `too_many_microphones`.

    All share one Whisper, so only few users can speak at the same time.
    """

    max_utterance_s: int = Field(
        default=30, ge=2, le=30, validation_alias=AliasChoices("max_utterance_s", "utterance_max_s")
    )
    """Longest utterance in seconds; a longer one is split.

    Whisper processes at most 30 s at once.
    """

    end_silence_ms: int = Field(default=700, ge=250, le=5_000)
    """Silence in ms that ends an utterance without an end-of-turn model, or when it fails."""

    max_end_silence_ms: int = Field(
        default=1_500,
        ge=250,
        le=5_000,
        validation_alias=AliasChoices("max_end_silence_ms", "end_patience_ms"),
    )
    """Silence in ms that ends an utterance that the end-of-turn model considers incomplete."""

    concurrency: int = Field(
        default=2, ge=1, le=64, validation_alias=AliasChoices("concurrency", "at_once")
    )
    """Recordings in progress: one is transcribed while the next is fetched and decoded."""

    decode_timeout_s: float = Field(
        default=20.0,
        gt=0,
        le=600,
        validation_alias=AliasChoices("decode_timeout_s", "decode_within_s"),
    )
    """Longest decoding of one recording in seconds; five minutes of Opus take about one second."""
