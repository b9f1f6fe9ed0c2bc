"""Settings of the operator; the only reader of its environment."""

from typing import Literal

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class OperatorSettings(BaseSettings):
    """Read once in `__main__`, then passed on as an argument."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    pod_namespace: str = Field(default="default", min_length=1)
    """Namespace of the services' pods, the ConfigMap and the managed Secret."""

    pod_name: str = "vtuber-operator"
    """Name under which Events are posted."""

    watch_namespaces: str = ""
    """Namespaces whose VtuberSessions count, separated by commas.

    Empty means all; the role is then a ClusterRole.
    """

    flags_pod_selector: str = "vtuber.dev/flags=true"
    """Labels of the pods that acknowledge. Two releases in one namespace need one more label."""

    flags_configmap: str = "vtuber-flags"
    session_keys_secret: str = "vtuber-session-keys"  # noqa: S105 - a name

    redis_url: str = "redis://127.0.0.1:6379/0"

    health_host: str = "0.0.0.0"  # noqa: S104 - the kubelet asks on the pod's address
    health_port: int = Field(default=8080, ge=0, le=65535)

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    debounce_ms: int = Field(default=10, ge=0, le=1_000)
    """Wait in ms after a change, so that a burst of changes causes one decision.

    It is part of the second that an apply may take.
    """

    resync_s: float = Field(default=5.0, gt=0, le=60)
    """Seconds between decisions without an event; acknowledgements expire after 15 s."""

    full_resync_s: float = Field(
        default=60.0, gt=0, le=3_600, validation_alias=AliasChoices("full_resync_s", "audit_s")
    )
    """Seconds between lists of all resources.

    An interrupted watch does not report deletions.
    """

    config_map_interval_s: float = Field(
        default=1.0,
        ge=0,
        le=60,
        validation_alias=AliasChoices("config_map_interval_s", "config_map_every_s"),
    )
    """Shortest time in seconds between writes of the ConfigMap, which is for cold starts only."""

    max_concurrent_patches: int = Field(
        default=8,
        ge=1,
        le=64,
        validation_alias=AliasChoices("max_concurrent_patches", "patches_at_once"),
    )
    """Largest number of concurrent status writes; more would only wait in the API server."""

    watch_timeout_s: int = Field(default=60, ge=1, le=600)
    """Seconds after which a watch is renewed; `/healthz` uses it to detect watches that hang."""

    api_timeout_s: float = Field(default=10.0, gt=0, le=60)
    redis_timeout_s: float = Field(default=1.0, gt=0, le=10)

    def namespaces(self) -> tuple[str, ...]:
        """Return the watched namespaces; empty means all."""
        return tuple(
            sorted({name.strip() for name in self.watch_namespaces.split(",") if name.strip()})
        )
