"""Settings of services that synthesize speech.

The engine and tts of the legacy pipeline use the same names.
"""

from dialog_providers.settings import ModelSettings
from service_runtime.settings import CommaSeparated


class VoiceSettings(ModelSettings):
    """See `ModelSettings` for key and address."""

    voice_chain: CommaSeparated = ("espeak",)
    """Voices in the order in which they are tried.

    An entry is `espeak`, `edge`, `openai`, or `package.module:factory` of your own.
    """

    edge_voice_zh: str = "zh-CN-XiaoyiNeural"
    edge_voice_en: str = "en-US-AnaNeural"
    openai_voice: str = "nova"
    openai_voice_model: str = "gpt-4o-mini-tts"
