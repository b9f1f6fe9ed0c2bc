"""Settings of asr; the only reader of its environment."""

from pathlib import Path

from pydantic import Field

from service_runtime.settings import ServiceSettings


class AsrSettings(ServiceSettings):
    """See `ServiceSettings` for what all services share."""

    port: int = Field(default=8101, ge=1, le=65535)

    whisper_model: Path | None = None
    """Folder of a Whisper model for CTranslate2 (`model.bin` and its tokenizer). Without it, or without the extra `whisper`, recordings are
    only measured, and the answer says so."""

    whisper_threads: int = Field(default=2, ge=1, le=64)
    """Cores that one recording may use; they are heard one at a time."""

    at_once: int = Field(default=2, ge=1, le=64)
    """Recordings in hand: one is heard while the next is fetched and decoded."""

    decode_within_s: float = Field(default=20.0, gt=0, le=600)
    """Longest time for the decoding of one recording; five minutes of Opus take about one second."""
