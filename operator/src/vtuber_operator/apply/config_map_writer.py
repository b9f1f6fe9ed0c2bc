"""Writes all documents to a ConfigMap, from which a pod starts while Redis is not available.

By default there is at most one write per second.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

import structlog

from dialog_contracts.session_document import FlagTable, SessionDocument
from vtuber_operator import metrics
from vtuber_operator.apply.event_writer import Events
from vtuber_operator.clients.kubernetes import ClusterApi
from vtuber_operator.errors import ClusterError
from vtuber_operator.plan.event_messages import EventMessage
from vtuber_operator.settings import OperatorSettings

log = structlog.get_logger("config_map")

FILE: Final = "flags.json"
MAX_BYTES: Final = 900 * 1024
"""Largest table in bytes; a ConfigMap may have 1 MiB in total."""

_AGAIN_S: Final = 2.0


def table_text(
    revision: int, documents: Mapping[str, SessionDocument], limit: int = MAX_BYTES
) -> tuple[str, bool]:
    """Return the file, and whether personas, models and voices had to be left out.

    Flags alone always fit (300 bytes each).
    """
    ordered = [documents[session] for session in sorted(documents)]
    text = FlagTable(revision=revision, documents=ordered).to_json()
    if len(text.encode()) <= limit:
        return text, False
    bare = [
        document.model_copy(update={"persona": None, "llm": None, "voice": None})
        for document in ordered
    ]
    return FlagTable(revision=revision, documents=bare).to_json(), True


class ConfigMapWriter:
    """Writes the newest desired table."""

    def __init__(self, api: ClusterApi, events: Events, settings: OperatorSettings) -> None:
        self._api = api
        self._events = events
        self._settings = settings
        self._desired: tuple[int, dict[str, SessionDocument]] | None = None
        self._wake = asyncio.Event()
        self._cut = False

    def set_desired(self, revision: int, documents: Mapping[str, SessionDocument]) -> None:
        """Set the table as it is in Redis, or would be."""
        if self._desired is None or self._desired[1] != documents:
            self._desired = (revision, dict(documents))
            self._wake.set()

    @property
    def desired(self) -> Mapping[str, SessionDocument] | None:
        """The documents that were set last."""
        return self._desired[1] if self._desired is not None else None

    def reapply(self) -> None:
        """Write again, since the ConfigMap may have been deleted."""
        if self._desired is not None:
            self._wake.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._desired is None:
                continue
            try:
                await self._write(*self._desired)
            except ClusterError as error:
                log.warning("config_map_not_written", reason=str(error))
                self._wake.set()
                await asyncio.sleep(error.retry_after_s or _AGAIN_S)
            await asyncio.sleep(self._settings.config_map_interval_s)

    async def _write(self, revision: int, documents: Mapping[str, SessionDocument]) -> None:
        namespace, name = self._settings.pod_namespace, self._settings.flags_configmap
        text, cut = table_text(revision, documents)
        await self._api.apply_config_map(namespace, name, {FILE: text})
        metrics.CONFIG_MAP_BYTES.set(len(text.encode()))
        metrics.CONFIG_MAP_CUT.set(cut)
        if cut and not self._cut:
            sentence = f"{len(documents)} documents do not fit: personas, models and voices are left out; Redis has them"
            log.warning("config_map_truncated", documents=len(documents), bytes_max=MAX_BYTES)
            self._events.post_about(
                "v1",
                "ConfigMap",
                namespace,
                name,
                "",
                EventMessage("Warning", "TableCut", sentence),
            )
        self._cut = cut
