"""Writes the managed Secret that engines mount: one file per key that a VtuberSession refers to.

Values come from labelled Secrets and go only into this Secret: not into a log, an Event, an
annotation, a status, or Redis.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

import structlog

from vtuber_operator.clients.kubernetes import ClusterApi
from vtuber_operator.errors import ClusterError
from vtuber_operator.observe.cache import ResourceCache
from vtuber_operator.plan.session_documents import KeyRef
from vtuber_operator.settings import OperatorSettings

log = structlog.get_logger("secret_files")
_AGAIN_S: Final = 2.0


class SecretWriter:
    """Writes the desired keys.

    A rotated key's old file stays until every pod uses the new one.
    """

    def __init__(
        self, api: ClusterApi, observed: ResourceCache, settings: OperatorSettings
    ) -> None:
        self._api = api
        self._observed = observed
        self._settings = settings
        self._desired: dict[str, KeyRef] | None = None
        self._keep_old = False
        self._exists: dict[str, tuple[KeyRef, str]] = {}
        self._applied: frozenset[str] | None = None
        self._wake = asyncio.Event()

    def set_desired(self, keys: Mapping[str, KeyRef], *, keep_old: bool) -> None:
        """Set the files that documents name now."""
        if self._desired != keys or (self._keep_old and not keep_old):
            self._wake.set()
        self._desired, self._keep_old = dict(keys), keep_old

    def reapply(self) -> None:
        """Write again, since the Secret may have been deleted."""
        if self._desired is not None:
            self._applied = None
            self._wake.set()

    def _content(self) -> dict[str, tuple[KeyRef, str]]:
        wanted = self._desired or {}
        content: dict[str, tuple[KeyRef, str]] = {}
        for file, key in wanted.items():
            value = self._observed.secret_value(key.namespace, key.secret, key.key)
            if value is not None:
                content[file] = (key, value)
        if self._keep_old:
            sources = {(key.namespace, key.secret, key.key) for key in wanted.values()}
            for file, (key, value) in self._exists.items():
                if (key.namespace, key.secret, key.key) in sources:
                    content.setdefault(file, (key, value))
        return content

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            content = self._content()
            if self._applied == content.keys():
                continue
            try:
                data = {file: value for file, (_, value) in sorted(content.items())}
                await self._api.apply_secret(
                    self._settings.pod_namespace, self._settings.session_keys_secret, data
                )
            except ClusterError as error:
                log.warning("session_keys_not_written", reason=str(error))
                self._wake.set()
                await asyncio.sleep(error.retry_after_s or _AGAIN_S)
                continue
            if self._applied is not None and self._applied != content.keys():
                log.info("session_keys_written", files=sorted(content))
            self._exists, self._applied = content, frozenset(content)
