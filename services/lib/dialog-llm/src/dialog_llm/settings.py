"""Settings of services that ask a language model: the engine and the legacy chain's chat-ai, by the same names."""

from typing import Annotated, Final

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from dialog_providers.settings import ModelSettings

PERSONA: Final = (
    "You are Xiaoxing (小星), a warm, quick-witted virtual streamer who talks to viewers by voice. You are an AI and say so when asked. "
    "Answer in the viewer's language in one to three short spoken sentences: no Markdown, no lists, no emoji, no stage directions."
)


class LlmSettings(ModelSettings):
    """See `ModelSettings` for key and address."""

    llm_chain: Annotated[tuple[str, ...], NoDecode] = ("openai", "rules")
    """Language models in the order they are tried: `openai`, `rules`, or `package.module:factory` of your own.
    `openai` is left out while there is neither a key nor a base URL."""

    llm_model: str = "gpt-4o-mini"
    llm_max_tokens: int = Field(default=400, ge=1, le=8_000)
    llm_temperature: float = Field(default=0.8, ge=0, le=2)
    llm_first_token_timeout_s: float = Field(default=6.0, gt=0, le=60)
    """Below the eight seconds after which input-handler gives up, so that the next model of the chain gets its chance."""

    llm_idle_gap_s: float = Field(default=8.0, gt=0, le=120)
    llm_wall_clock_s: float = Field(default=60.0, gt=0, le=600)
    llm_thinking_s: float = Field(default=120.0, gt=0, le=600)
    """Longest thinking before the first word. A model that thinks is not taken for dead, and viewers wait: small models answer sooner."""

    persona: str = Field(default=PERSONA, max_length=8_000)
    context_turns: int = Field(default=20, ge=0, le=200)

    @field_validator("llm_chain", mode="before")
    @classmethod
    def _split_llm_chain(cls, value: object) -> object:
        return (
            tuple(part.strip() for part in value.split(",") if part.strip())
            if isinstance(value, str)
            else value
        )
