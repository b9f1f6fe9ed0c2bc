"""Settings of tts; the only reader of its environment."""

from pydantic import AliasChoices, Field

from dialog_voice.settings import VoiceSettings


class TtsSettings(VoiceSettings):
    """See `VoiceSettings` for the voices, `ServiceSettings` for what all services share."""

    port: int = Field(default=8203, ge=1, le=65535)

    synthesis_timeout_s: float = Field(
        default=25.0,
        gt=0,
        le=600,
        validation_alias=AliasChoices("synthesis_timeout_s", "spoken_within_s"),
    )
    """A reply that takes longer to speak is answered without sound; below the time after which input-handler gives the turn up."""

    synthesis_concurrency: int = Field(
        default=8,
        ge=1,
        le=100,
        validation_alias=AliasChoices("synthesis_concurrency", "spoken_at_once"),
    )
