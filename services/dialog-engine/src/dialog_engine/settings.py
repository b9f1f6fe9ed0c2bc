"""Settings of dialog-engine; the only reader of its environment."""

import re
from pathlib import Path

from pydantic import Field

from dialog_llm.settings import LlmSettings
from dialog_voice.settings import VoiceSettings
from service_runtime.settings import CommaSeparated


class EngineSettings(LlmSettings, VoiceSettings):
    """See `LlmSettings`, `VoiceSettings` and `ServiceSettings` for what other services have too."""

    port: int = Field(default=8100, ge=1, le=65535)

    dialog_engine_db: Path = Path(".data/dialog-engine.db")
    """SQLite file with the turns."""

    output_ingest_urls: CommaSeparated = ("ws://127.0.0.1:8002/ws/ingest/tts",)
    """Every output-handler's ingest socket, separated by commas."""

    session_leases: bool = False
    """Each session is one engine's, by leases in Redis: there are others, or may be while their number is being changed."""

    engine_ordinal: int | None = Field(default=None, ge=0, le=255)
    """Which of them this is, from 0; absent: the number at the end of the pod's name, else 0."""

    drain_s: float = Field(default=0, ge=0, le=300)
    """After SIGTERM, and after requests have ended: seconds that turns get to be spoken to their end."""

    max_running_turns: int = Field(default=256, ge=1)
    """Turns at once; one more is answered 429."""

    max_client_turns: int = Field(default=128, ge=1)
    """… of them those of one client address, until their voices are over, which is long after their callers have left; one more is
    refused, and the legacy chain is not asked."""

    @property
    def ordinal(self) -> int:
        """Place of this engine among all."""
        found = re.search(r"-(\d+)$", self.pod_name or "")
        return (
            self.engine_ordinal
            if self.engine_ordinal is not None
            else int(found[1])
            if found
            else 0
        )
