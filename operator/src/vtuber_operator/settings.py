"""Settings of the operator; the only reader of its environment."""

from typing import Literal

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class OperatorSettings(BaseSettings):
    """Read once in `__main__`, then passed on as an argument."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    pod_namespace: str = Field(default="default", min_length=1)
    """Where the services' pods, the ConfigMap and the managed Secret are."""

    pod_name: str = "vtuber-operator"
    """Who posts Events."""

    watch_namespaces: str = ""
    """Namespaces whose VtuberSessions count, with commas between; empty: all (then the role is a ClusterRole)."""

    flags_pod_selector: str = "vtuber.dev/flags=true"
    """Labels of the pods that acknowledge. Two releases in one namespace need one label more."""

    flags_configmap: str = "vtuber-flags"
    session_keys_secret: str = "vtuber-session-keys"  # noqa: S105 - a name

    redis_url: str = "redis://127.0.0.1:6379/0"

    health_host: str = "0.0.0.0"  # noqa: S104 - the kubelet asks on the pod's address
    health_port: int = Field(default=8080, ge=0, le=65535)

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    debounce_ms: int = Field(default=10, ge=0, le=1_000)
    """Waited after a change, so that a burst is one decision; part of the second that an apply may take."""

    resync_s: float = Field(default=5.0, gt=0, le=60)
    """Everything is decided anew this often, event or not; acknowledgements grow old in 15 s."""

    full_resync_s: float = Field(
        default=60.0, gt=0, le=3_600, validation_alias=AliasChoices("full_resync_s", "audit_s")
    )
    """Resources are listed this often, because a watch that was interrupted does not tell of deletions."""

    config_map_interval_s: float = Field(
        default=1.0,
        ge=0,
        le=60,
        validation_alias=AliasChoices("config_map_interval_s", "config_map_every_s"),
    )
    """The ConfigMap is for cold starts only; it follows at this pace."""

    max_concurrent_patches: int = Field(
        default=8,
        ge=1,
        le=64,
        validation_alias=AliasChoices("max_concurrent_patches", "patches_at_once"),
    )
    """Status writes under way at the same time; more would only wait in the API server."""

    watch_timeout_s: int = Field(default=60, ge=1, le=600)
    """A watch is begun anew this often: how `/healthz` knows that watches go on."""

    api_timeout_s: float = Field(default=10.0, gt=0, le=60)
    redis_timeout_s: float = Field(default=1.0, gt=0, le=10)

    def namespaces(self) -> tuple[str, ...]:
        """The watched namespaces; empty: all."""
        return tuple(
            sorted({name.strip() for name in self.watch_namespaces.split(",") if name.strip()})
        )
