"""Settings of dialog-engine; no other module reads its environment."""

import re
from pathlib import Path

from pydantic import Field

from dialog_llm.settings import LlmSettings
from dialog_voice.settings import VoiceSettings
from service_runtime.settings import CommaSeparated


class EngineSettings(LlmSettings, VoiceSettings):
    """Settings of the engine beside those of LlmSettings, VoiceSettings and ServiceSettings."""

    port: int = Field(default=8100, ge=1, le=65535)

    dialog_engine_db: Path = Path(".data/dialog-engine.db")
    """SQLite file with the turns."""

    output_ingest_urls: CommaSeparated = ("ws://127.0.0.1:8002/ws/ingest/tts",)
    """Ingest socket of every output-handler, separated by commas.

    A host name stands for all its addresses.
    """

    session_leases: bool = False
    """Whether leases in Redis decide which engine runs a session.

    Needed where there are several engines, or may be while their number is being changed.
    """

    engine_ordinal: int | None = Field(default=None, ge=0, le=255)
    """Number of this engine among all, from 0.

    By default the number at the end of the pod's name, else 0.
    """

    drain_s: float = Field(default=0, ge=0, le=300)
    """Seconds in which running turns may finish speaking after SIGTERM.

    The time begins when the requests have ended.
    """

    max_running_turns: int = Field(default=256, ge=1)
    """Number of concurrent turns; further ones are rejected with 429."""

    max_client_turns: int = Field(default=128, ge=1)
    """Number of concurrent turns of one client address; further ones are rejected with 429.

    A turn counts until its audio has been played, which is long after its caller has left. A
    rejected turn gets no fallback.
    """

    @property
    def ordinal(self) -> int:
        """Number of this engine among all."""
        found = re.search(r"-(\d+)$", self.pod_name or "")
        return (
            self.engine_ordinal
            if self.engine_ordinal is not None
            else int(found[1])
            if found
            else 0
        )
