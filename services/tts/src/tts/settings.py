"""Settings of tts; the only reader of its environment."""

from pydantic import Field

from dialog_voice.settings import VoiceSettings


class TtsSettings(VoiceSettings):
    """See `VoiceSettings` for the voices, `ServiceSettings` for what all services share."""

    port: int = Field(default=8203, ge=1, le=65535)

    spoken_within_s: float = Field(default=25.0, gt=0, le=600)
    """A reply that takes longer to speak is answered without sound; below the time after which input-handler gives the turn up."""

    spoken_at_once: int = Field(default=8, ge=1, le=100)
