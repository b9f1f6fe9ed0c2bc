"""Settings of output-handler; the only reader of its environment."""

from pydantic import AliasChoices, Field

from service_runtime.settings import ServiceSettings


class OutputSettings(ServiceSettings):
    """See `ServiceSettings` for what all services share."""

    port: int = Field(default=8002, ge=1, le=65535)

    viewer_queue_ms: int = Field(default=2_000, ge=200, le=60_000)
    """Audio that may wait for one viewer; beyond it the viewer gets captions only until the next turn."""

    viewer_send_timeout_s: float = Field(
        default=5.0,
        gt=0,
        le=600,
        validation_alias=AliasChoices("viewer_send_timeout_s", "viewer_stuck_s"),
    )
    """A viewer that takes nothing for so long is closed with 1013."""

    first_engine_timeout_s: float = Field(
        default=0,
        ge=0,
        le=600,
        validation_alias=AliasChoices("first_engine_timeout_s", "first_engine_within_s"),
    )
    """Not ready until an engine has connected once, or this time has passed: so that in a rollout viewers come to a pod that hears."""

    linger_s: float = Field(default=5.0, ge=0, le=600)
    """How long a session stays subscribed after its last viewer left, so that a reload misses nothing."""

    voice_file_timeout_s: float = Field(
        default=30.0,
        gt=0,
        le=600,
        validation_alias=AliasChoices("voice_file_timeout_s", "voice_file_within_s"),
    )
    """How long a turn whose voice comes as a file waits for it; then it ends with its text alone."""
