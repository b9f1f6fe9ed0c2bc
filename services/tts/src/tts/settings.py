"""Settings of tts; no other module reads its environment."""

from pydantic import AliasChoices, Field

from dialog_voice.settings import VoiceSettings


class TtsSettings(VoiceSettings):
    """Settings of tts beside those of VoiceSettings and ServiceSettings."""

    port: int = Field(default=8203, ge=1, le=65535)

    synthesis_timeout_s: float = Field(
        default=25.0,
        gt=0,
        le=600,
        validation_alias=AliasChoices("synthesis_timeout_s", "spoken_within_s"),
    )
    """Seconds for the synthesis of a reply; then the response has the audio so far, if any.

    It is shorter than the time for which input-handler waits for a turn.
    """

    synthesis_concurrency: int = Field(
        default=8,
        ge=1,
        le=100,
        validation_alias=AliasChoices("synthesis_concurrency", "spoken_at_once"),
    )
