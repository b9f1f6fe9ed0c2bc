"""Settings of dialog-engine; the only reader of its environment."""

from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import NoDecode

from service_runtime.settings import ServiceSettings

PERSONA: Final = (
    "You are Xiaoxing (小星), a warm, quick-witted virtual streamer who talks to viewers by voice. You are an AI and say so when asked. "
    "Answer in the viewer's language in one to three short spoken sentences: no Markdown, no lists, no emoji, no stage directions."
)


class EngineSettings(ServiceSettings):
    """See `ServiceSettings` for what all services share."""

    port: int = Field(default=8100, ge=1, le=65535)

    dialog_engine_db: Path = Path(".data/dialog-engine.db")
    """SQLite file with the turns."""

    output_ingest_urls: Annotated[tuple[str, ...], NoDecode] = ("ws://127.0.0.1:8002/ws/ingest/tts",)
    """Every output-handler's ingest socket, separated by commas."""

    llm_chain: Annotated[tuple[str, ...], NoDecode] = ("openai", "rules")
    """Language models in the order they are tried: `openai`, `rules`, or `package.module:factory` of your own.
    `openai` is left out while there is neither a key nor a base URL."""

    openai_api_key: SecretStr | None = None
    openai_base_url: str | None = None
    """Any OpenAI-compatible server, e.g. `http://127.0.0.1:11434/v1`."""

    llm_model: str = "gpt-4o-mini"
    llm_max_tokens: int = Field(default=400, ge=1, le=8_000)
    llm_temperature: float = Field(default=0.8, ge=0, le=2)
    llm_first_token_timeout_s: float = Field(default=6.0, gt=0, le=60)
    """Below the eight seconds after which input-handler gives up, so that the next model of the chain gets its chance."""

    llm_idle_gap_s: float = Field(default=8.0, gt=0, le=120)
    llm_wall_clock_s: float = Field(default=60.0, gt=0, le=600)

    persona: str = Field(default=PERSONA, max_length=8_000)

    voice_chain: Annotated[tuple[str, ...], NoDecode] = ("espeak",)
    """Voices in the order they are tried: `espeak`, `edge`, `openai`, or `package.module:factory` of your own."""

    edge_voice_zh: str = "zh-CN-XiaoyiNeural"
    edge_voice_en: str = "en-US-AnaNeural"
    openai_voice: str = "nova"
    openai_voice_model: str = "gpt-4o-mini-tts"

    session_keys_dir: Path | None = None
    """Folder of the mounted Secret with the keys that VtuberSessions refer to. Files may come and go."""

    default_lang: str = Field(default="zh", pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")
    """Language of a turn whose request names none and whose text shows none."""

    context_turns: int = Field(default=20, ge=0, le=200)
    drain_s: float = Field(default=0, ge=0, le=300)
    """After SIGTERM, and after requests have ended: seconds that turns get to be spoken to their end."""

    max_running_turns: int = Field(default=256, ge=1)
    """Turns at once; one more is answered 429."""

    @field_validator("output_ingest_urls", "llm_chain", "voice_chain", mode="before")
    @classmethod
    def _by_commas(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value
