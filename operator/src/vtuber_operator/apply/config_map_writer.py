"""The whole table in a ConfigMap, from which a pod starts when Redis is away. At most one write a second."""

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
"""Bytes. A ConfigMap may have 1 MiB with everything around it."""

_AGAIN_S: Final = 2.0


def table_text(
    revision: int, documents: Mapping[str, SessionDocument], limit: int = MAX_BYTES
) -> tuple[str, bool]:
    """The file, and whether personas, models and voices had to be left out: flags alone always fit (300 bytes each)."""
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
    """Follows what is offered; the newest counts."""

    def __init__(self, api: ClusterApi, events: Events, settings: OperatorSettings) -> None:
        self._api = api
        self._events = events
        self._settings = settings
        self._desired: tuple[int, dict[str, SessionDocument]] | None = None
        self._wake = asyncio.Event()
        self._cut = False

    def set_desired(self, revision: int, documents: Mapping[str, SessionDocument]) -> None:
        """The table as it is in Redis, or would be."""
        if self._desired is None or self._desired[1] != documents:
            self._desired = (revision, dict(documents))
            self._wake.set()

    @property
    def desired(self) -> Mapping[str, SessionDocument] | None:
        """The documents that were offered last."""
        return self._desired[1] if self._desired is not None else None

    def reapply(self) -> None:
        """Make sure of it: somebody may have deleted it."""
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
