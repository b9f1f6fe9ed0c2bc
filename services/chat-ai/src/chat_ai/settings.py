"""Settings of chat-ai; the only reader of its environment."""

from pydantic import Field

from dialog_llm.settings import LlmSettings


class ChatSettings(LlmSettings):
    """See `LlmSettings` for the language models, `ServiceSettings` for what all services share."""

    port: int = Field(default=8202, ge=1, le=65535)

    reply_within_s: float = Field(default=25.0, gt=0, le=600)
    """A whole reply takes no longer; below the time after which input-handler gives the turn up."""

    replies_at_once: int = Field(default=16, ge=1, le=1_000)
