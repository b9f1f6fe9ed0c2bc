"""Settings of services that synthesize speech.

The engine and tts of the legacy pipeline use the same names.
"""

from typing import Annotated

from pydantic import field_validator
from pydantic_settings import NoDecode

from dialog_providers.settings import ModelSettings


class VoiceSettings(ModelSettings):
    """See `ModelSettings` for key and address."""

    voice_chain: Annotated[tuple[str, ...], NoDecode] = ("espeak",)
    """Voices in the order in which they are tried.

    An entry is `espeak`, `edge`, `openai`, or `package.module:factory` of your own.
    """

    edge_voice_zh: str = "zh-CN-XiaoyiNeural"
    edge_voice_en: str = "en-US-AnaNeural"
    openai_voice: str = "nova"
    openai_voice_model: str = "gpt-4o-mini-tts"

    @field_validator("voice_chain", mode="before")
    @classmethod
    def _split_voice_chain(cls, value: object) -> object:
        return (
            tuple(part.strip() for part in value.split(",") if part.strip())
            if isinstance(value, str)
            else value
        )
