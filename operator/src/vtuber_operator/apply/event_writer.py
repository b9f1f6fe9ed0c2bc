"""Posts Kubernetes Events, which `kubectl describe` shows.

Each is posted once, in order, by a task that does not delay other work.
"""

import asyncio
import uuid
from collections import OrderedDict, deque
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from vtuber_operator.api.spec import GROUP, KIND, VERSION
from vtuber_operator.clients.kubernetes import ClusterApi
from vtuber_operator.errors import ClusterError, NotFound, Refused
from vtuber_operator.plan.event_messages import EventMessage
from vtuber_operator.plan.snapshot import Resource
from vtuber_operator.settings import OperatorSettings

log = structlog.get_logger("events")

MAX_QUEUE: Final = 2_000
_TRIES: Final = 3
_DEDUPLICATION_S: Final = 600.0
_REMEMBERED: Final = 4_000


class Events:
    """A bounded queue of Events and the task that posts them."""

    def __init__(self, api: ClusterApi, settings: OperatorSettings) -> None:
        self._api = api
        self._settings = settings
        self._queue: deque[tuple[str, dict[str, Any]]] = deque()
        self._posted: OrderedDict[tuple[str, str, str], float] = OrderedDict()
        self._wake = asyncio.Event()

    def post(self, resource: Resource, announcement: EventMessage) -> None:
        """Post an Event about a VtuberSession."""
        self.post_about(
            f"{GROUP}/{VERSION}",
            KIND,
            resource.namespace,
            resource.name,
            resource.uid,
            announcement,
        )

    def post_about(
        self,
        api_version: str,
        kind: str,
        namespace: str,
        name: str,
        uid: str,
        announcement: EventMessage,
    ) -> None:
        """Post an Event about any object.

        The same warning about the same object is not repeated within ten minutes.
        """
        now = asyncio.get_running_loop().time()
        said = (uid or f"{kind}/{namespace}/{name}", announcement.reason, announcement.message)
        last = self._posted.get(said)
        # Events of type Normal report changes and may recur; only warnings are repeated for one
        # cause.
        if announcement.kind == "Warning" and last is not None and now - last < _DEDUPLICATION_S:
            return
        self._posted[said] = now
        self._posted.move_to_end(said)
        while len(self._posted) > _REMEMBERED:
            self._posted.popitem(last=False)
        if len(self._queue) >= MAX_QUEUE:
            self._queue.popleft()
            log.warning("event_dropped", queued=MAX_QUEUE)
        regarding = {
            "apiVersion": api_version,
            "kind": kind,
            "namespace": namespace,
            "name": name,
            "uid": uid,
        }
        event = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": f"{name[:200]}.{uuid.uuid4().hex[:16]}", "namespace": namespace},
            "eventTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "reportingController": f"{GROUP}/operator",
            "reportingInstance": self._settings.pod_name[:128],
            "action": "Reconcile",
            "reason": announcement.reason,
            "note": announcement.message[:1_000],
            "type": announcement.kind,
            "regarding": {field: value for field, value in regarding.items() if value},
        }
        self._queue.append((namespace, event))
        self._wake.set()

    async def run(self) -> None:
        """Post until cancelled."""
        while True:
            # First, because Events from before a crash may still be queued.
            while self._queue:
                await self._post(*self._queue.popleft())
            self._wake.clear()
            await self._wake.wait()

    async def _post(self, namespace: str, event: dict[str, Any]) -> None:
        for attempt in range(1, _TRIES + 1):
            try:
                await self._api.post_event(namespace, event)
                return
            except (NotFound, Refused) as error:
                log.info("event_rejected", reason=event["reason"], error=str(error))
                return
            except ClusterError as error:
                if attempt == _TRIES:
                    log.warning("event_not_posted", reason=event["reason"], error=str(error))
                else:
                    await asyncio.sleep(error.retry_after_s or attempt)
