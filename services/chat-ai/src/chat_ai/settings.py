"""Settings of chat-ai; no other module reads its environment."""

from pydantic import AliasChoices, Field

from dialog_llm.settings import LlmSettings


class ChatSettings(LlmSettings):
    """Settings of chat-ai beside those of LlmSettings and ServiceSettings."""

    port: int = Field(default=8202, ge=1, le=65535)

    generation_timeout_s: float = Field(
        default=25.0,
        gt=0,
        le=600,
        validation_alias=AliasChoices("generation_timeout_s", "reply_within_s"),
    )
    """Seconds for a whole reply.

    It is shorter than the time for which input-handler waits for a turn.
    """

    generation_concurrency: int = Field(
        default=16,
        ge=1,
        le=1_000,
        validation_alias=AliasChoices("generation_concurrency", "replies_at_once"),
    )
