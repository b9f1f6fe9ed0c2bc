"""Settings of chat-ai; the only reader of its environment."""

from pydantic import AliasChoices, Field

from dialog_llm.settings import LlmSettings


class ChatSettings(LlmSettings):
    """See `LlmSettings` for the language models, `ServiceSettings` for what all services share."""

    port: int = Field(default=8202, ge=1, le=65535)

    generation_timeout_s: float = Field(
        default=25.0,
        gt=0,
        le=600,
        validation_alias=AliasChoices("generation_timeout_s", "reply_within_s"),
    )
    """A whole reply takes no longer; below the time after which input-handler gives the turn up."""

    generation_concurrency: int = Field(
        default=16,
        ge=1,
        le=1_000,
        validation_alias=AliasChoices("generation_concurrency", "replies_at_once"),
    )
