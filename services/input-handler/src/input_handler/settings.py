"""Settings of input-handler; the only reader of its environment."""

from pydantic import AliasChoices, Field

from dialog_contracts.http import FlagSet
from service_runtime.settings import CommaSeparated, ServiceSettings


class InputSettings(ServiceSettings):
    """See `ServiceSettings` for what all services share."""

    port: int = Field(default=8001, ge=1, le=65535)

    dialog_engine_urls: CommaSeparated = Field(
        default=("http://127.0.0.1:8100",),
        min_length=1,
        validation_alias=AliasChoices("dialog_engine_urls", "dialog_engine_url"),
    )
    """Addresses of the engines, in the order of their ordinals, separated by commas.

    With one engine, `DIALOG_ENGINE_URL`.
    """

    dialog_engine_pattern: str | None = Field(default=None, pattern=r"^https?://[^{}]*\{\}[^{}]*$")
    """Address of any engine, with `{}` in the place of its ordinal.

    It is needed for a new engine that holds sessions before it is configured here.
    """

    asr_url: str = "ws://127.0.0.1:8101/ws/asr"
    """WebSocket of asr for microphones."""

    output_handler_url: str = "http://127.0.0.1:8002"
    """Address of output-handler, for pausing and stopping replies."""

    engine_accept_timeout_s: float = Field(
        default=0.3,
        gt=0,
        le=30,
        validation_alias=AliasChoices("engine_accept_timeout_s", "accepted_within_s"),
    )
    """Seconds within which an engine must answer ACCEPTED."""

    first_token_timeout_s: float = Field(
        default=8.0,
        gt=0,
        le=120,
        validation_alias=AliasChoices("first_token_timeout_s", "first_delta_within_s"),
    )
    """Seconds within which an engine must send the first delta, or show that its model thinks."""

    engine_idle_timeout_s: float = Field(
        default=25.0,
        gt=0,
        le=600,
        validation_alias=AliasChoices("engine_idle_timeout_s", "engine_silent_s"),
    )
    """Seconds without a frame after which an answer counts as broken off.

    Engines send a comment every ten seconds.
    """

    engine_unavailable_wait_s: float = Field(
        default=0,
        ge=0,
        le=120,
        validation_alias=AliasChoices("engine_unavailable_wait_s", "engine_wait_s"),
    )
    """Seconds for which a turn waits for an engine that is being replaced.

    For an engine that hangs it is 5 s. 0 where the legacy pipeline answers meanwhile.
    """

    engine_retry_s: float = Field(
        default=8.0, ge=0, le=60, validation_alias=AliasChoices("engine_retry_s", "ask_again_s")
    )
    """Seconds for which a busy engine is called again if the legacy pipeline cannot take the turn."""

    circuit_failures: int = Field(default=3, ge=1, le=100)
    """Number of failures in a row after which turns go to the legacy pipeline at once."""

    circuit_open_s: float = Field(default=2.0, gt=0, le=600)
    """Seconds after which one turn probes a failed engine."""

    legacy_timeout_s: float = Field(
        default=60.0,
        gt=0,
        le=600,
        validation_alias=AliasChoices("legacy_timeout_s", "legacy_within_s"),
    )
    """Seconds after which a turn in the legacy pipeline ends with an error."""

    max_concurrent_turns: int = Field(
        default=256,
        ge=1,
        le=100_000,
        validation_alias=AliasChoices("max_concurrent_turns", "turns_at_once"),
    )
    """Largest number of open turns of this process; one more is answered 429."""

    max_turns_per_client: int = Field(
        default=64,
        ge=1,
        le=100_000,
        validation_alias=AliasChoices("max_turns_per_client", "turns_a_client"),
    )
    """Largest number of open turns of one client address; one more is answered 429."""

    max_microphones_per_client: int = Field(
        default=8,
        ge=1,
        le=1_000,
        validation_alias=AliasChoices("max_microphones_per_client", "microphones_a_client"),
    )
    """Largest number of open microphones of one client address; asr serves 16 in all."""

    max_turns_per_session: int = Field(
        default=8,
        ge=1,
        le=100_000,
        validation_alias=AliasChoices("max_turns_per_session", "turns_a_session"),
    )
    """Largest number of open turns of one session."""

    max_turns_per_connection: int = Field(
        default=4,
        ge=1,
        le=64,
        validation_alias=AliasChoices("max_turns_per_connection", "turns_a_connection"),
    )
    """Largest number of running turns of one `/ws/input` connection."""

    enable_sync_core: bool = True
    sync_tts_streaming: bool = False
    sync_tts_barge_in: bool = False
    enable_streams_outbox: bool = False
    enable_ltm: bool = False

    def flags(self) -> FlagSet:
        """The flags of the environment, for every session."""
        return FlagSet(
            ENABLE_SYNC_CORE=self.enable_sync_core,
            SYNC_TTS_STREAMING=self.sync_tts_streaming,
            SYNC_TTS_BARGE_IN=self.sync_tts_barge_in,
            ENABLE_STREAMS_OUTBOX=self.enable_streams_outbox,
            ENABLE_LTM=self.enable_ltm,
        )
