"""Settings of the workers; no other module reads their environment."""

from pathlib import Path

from pydantic import Field

from service_runtime.settings import ServiceSettings


class WorkerSettings(ServiceSettings):
    """Settings of every worker beside those of ServiceSettings."""

    claim_after_s: float = Field(default=30.0, ge=0.2, le=3_600)
    """Seconds after which entries of a consumer that does not acknowledge them are taken over.

    Longer than any effect takes.
    """

    attempts_max: int = Field(default=5, ge=1, le=100)
    """Attempts after which an event that fails goes to the dead letter stream."""


class LtmWorkerSettings(WorkerSettings):
    """Settings of ltm_worker."""

    port: int = Field(default=8205, ge=1, le=65535)

    long_term_memory_url: str = "http://127.0.0.1:8204"
    """Address of long-term-memory, which stores the memories."""


class AnalyticsSettings(WorkerSettings):
    """Settings of analytics_worker."""

    port: int = Field(default=8206, ge=1, le=65535)

    analytics_db: Path = Path(".data/analytics.db")
    """SQLite file with the figures of turns."""

    analytics_retention_days: int = Field(default=365, ge=1, le=3_650)
    """Days after which the figures of a turn are deleted."""
