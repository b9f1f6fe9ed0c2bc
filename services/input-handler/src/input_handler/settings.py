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
    """Every configured engine, in the order of their ordinals, separated by commas; `DIALOG_ENGINE_URL` where there is one."""

    dialog_engine_pattern: str | None = Field(default=None, pattern=r"^https?://[^{}]*\{\}[^{}]*$")
    """Address of any engine, `{}` in the place of its ordinal: for one that is not configured here yet, and has a session already."""

    asr_url: str = "ws://127.0.0.1:8101/ws/asr"
    """Where microphones are listened to."""

    output_handler_url: str = "http://127.0.0.1:8002"
    """Whom to tell that somebody speaks, or spoke."""

    engine_accept_timeout_s: float = Field(
        default=0.3,
        gt=0,
        le=30,
        validation_alias=AliasChoices("engine_accept_timeout_s", "accepted_within_s"),
    )
    """An engine that has not answered ACCEPTED by then is passed over."""

    first_token_timeout_s: float = Field(
        default=8.0,
        gt=0,
        le=120,
        validation_alias=AliasChoices("first_token_timeout_s", "first_delta_within_s"),
    )
    """… nor has sent a first delta by then."""

    engine_idle_timeout_s: float = Field(
        default=25.0,
        gt=0,
        le=600,
        validation_alias=AliasChoices("engine_idle_timeout_s", "engine_silent_s"),
    )
    """An engine of which nothing is heard for so long in the middle of an answer has broken off. It sends a comment every ten seconds."""

    engine_unavailable_wait_s: float = Field(
        default=0,
        ge=0,
        le=120,
        validation_alias=AliasChoices("engine_unavailable_wait_s", "engine_wait_s"),
    )
    """How long a turn waits for an engine that is being replaced, where no legacy chain answers meanwhile. For one that hangs: 5 s."""

    engine_retry_s: float = Field(
        default=8.0, ge=0, le=60, validation_alias=AliasChoices("engine_retry_s", "ask_again_s")
    )
    """How long an engine that was too busy is asked again where the legacy chain cannot take the turn either."""

    circuit_failures: int = Field(default=3, ge=1, le=100)
    """After so many failures of the engine in a row, turns go to the legacy chain at once …"""

    circuit_open_s: float = Field(default=2.0, gt=0, le=600)
    """… and after this time one turn looks whether the engine is back."""

    legacy_timeout_s: float = Field(
        default=60.0,
        gt=0,
        le=600,
        validation_alias=AliasChoices("legacy_timeout_s", "legacy_within_s"),
    )
    """An answer of the legacy chain that takes longer is an error; the turn's caller and its viewers are told."""

    max_concurrent_turns: int = Field(
        default=256,
        ge=1,
        le=100_000,
        validation_alias=AliasChoices("max_concurrent_turns", "turns_at_once"),
    )
    """Turns that this process has open; one more is answered 429."""

    max_turns_per_client: int = Field(
        default=64,
        ge=1,
        le=100_000,
        validation_alias=AliasChoices("max_turns_per_client", "turns_a_client"),
    )
    """… of them those of one client address; one more is answered 429."""

    max_microphones_per_client: int = Field(
        default=8,
        ge=1,
        le=1_000,
        validation_alias=AliasChoices("max_microphones_per_client", "microphones_a_client"),
    )
    """Microphones of one client address that are heard at once; asr has 16 for all. One more is told `too_many_microphones`."""

    max_turns_per_session: int = Field(
        default=8,
        ge=1,
        le=100_000,
        validation_alias=AliasChoices("max_turns_per_session", "turns_a_session"),
    )
    """… and of one session: one speaks, the others wait for it or were cut off by it."""

    max_turns_per_connection: int = Field(
        default=4,
        ge=1,
        le=64,
        validation_alias=AliasChoices("max_turns_per_connection", "turns_a_connection"),
    )
    """Turns that one `/ws/input` connection may have running: written, spoken, uploaded."""

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
