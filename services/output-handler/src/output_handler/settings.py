"""Settings of output-handler; the only reader of its environment."""

from pydantic import AliasChoices, Field

from service_runtime.settings import ServiceSettings


class OutputSettings(ServiceSettings):
    """See `ServiceSettings` for what all services share."""

    port: int = Field(default=8002, ge=1, le=65535)

    viewer_queue_ms: int = Field(default=2_000, ge=200, le=60_000)
    """Ms of audio that may wait for one viewer.

    With more, the viewer gets captions only until the next turn.
    """

    viewer_send_timeout_s: float = Field(
        default=5.0,
        gt=0,
        le=600,
        validation_alias=AliasChoices("viewer_send_timeout_s", "viewer_stuck_s"),
    )
    """Seconds after which a viewer that takes nothing is closed with 1013."""

    first_engine_timeout_s: float = Field(
        default=0,
        ge=0,
        le=600,
        validation_alias=AliasChoices("first_engine_timeout_s", "first_engine_within_s"),
    )
    """Seconds for which a new process is not ready without an engine.

    In a rollout viewers then connect to a pod that engines have found already.
    """

    linger_s: float = Field(default=5.0, ge=0, le=600)
    """Seconds for which a session stays subscribed after its last viewer left.

    A viewer that reloads misses nothing.
    """

    voice_file_timeout_s: float = Field(
        default=30.0,
        gt=0,
        le=600,
        validation_alias=AliasChoices("voice_file_timeout_s", "voice_file_within_s"),
    )
    """Seconds for which a turn waits for its audio file; then it ends with its text alone."""
