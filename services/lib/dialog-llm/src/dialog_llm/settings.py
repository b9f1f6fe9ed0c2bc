"""Settings of services that use a language model.

The engine and chat-ai of the legacy pipeline use the same names.
"""

from typing import Final

from pydantic import Field

from dialog_providers.settings import ModelSettings
from service_runtime.settings import CommaSeparated

PERSONA: Final = (
    "You are Xiaoxing (小星), a warm, quick-witted virtual streamer who talks to viewers by voice. You are an AI and say so when asked. "
    "Answer in the viewer's language in one to three short spoken sentences: no Markdown, no lists, no emoji, no stage directions."
)


class LlmSettings(ModelSettings):
    """See `ModelSettings` for key and address."""

    llm_chain: CommaSeparated = ("openai", "rules")
    """Language models in the order in which they are tried.

    An entry is `openai`, `rules`, or `package.module:factory` of your own. `openai` is skipped
    while there is neither a key nor a base URL.
    """

    llm_model: str = "gpt-4o-mini"
    llm_max_tokens: int = Field(default=400, ge=1, le=8_000)
    llm_temperature: float = Field(default=0.8, ge=0, le=2)
    llm_first_token_timeout_s: float = Field(default=6.0, gt=0, le=60)
    """Below the 8 s after which input-handler falls back, so that the next model can be tried."""

    llm_idle_gap_s: float = Field(default=8.0, gt=0, le=120)
    llm_wall_clock_s: float = Field(default=60.0, gt=0, le=600)
    llm_thinking_s: float = Field(default=120.0, gt=0, le=600)
    """Longest thinking before the first word, in seconds.

    A model that thinks is not considered dead, and viewers wait for it; small models answer sooner.
    """

    persona: str = Field(default=PERSONA, max_length=8_000)
    context_turns: int = Field(default=20, ge=0, le=200)

    context_tokens: int = Field(default=2_000, ge=0, le=200_000)
    """Largest number of tokens of recent turns in a prompt, by an estimate."""
