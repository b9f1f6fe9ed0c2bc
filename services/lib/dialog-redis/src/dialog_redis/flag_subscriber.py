"""Keeps a pod's flag documents current, and acknowledges their revision.

The operator writes all documents with a new revision into Redis and announces it on a channel. A
pod first reads the mounted file, which lets it start without Redis; then it subscribes, reads
Redis, and reads again after each announcement. Every 5 s it also compares the revision, since an
announcement may be lost, and writes its acknowledgement. The operator continues a rollout when all
pods have acknowledged.

A failure changes nothing: while the operator or Redis is not available, or a document is invalid,
the pod keeps the documents it has. The file lags up to a minute behind, so only a newer revision
than the current one is taken from it.

The formats are in `dialog_contracts.session_document`, parsing is in `dialog_flags.parser`, and the
documents themselves in `dialog_flags.flag_documents`.
"""

import time
from collections.abc import Callable
from typing import Final

import structlog

from dialog_contracts import redis_names
from dialog_contracts.session_document import FlagAck
from dialog_flags import parser
from dialog_flags.flag_documents import FlagDocuments, Origin
from dialog_redis.client import connect_without_retries
from dialog_redis.subscriber import Subscriber
from dialog_telemetry import metrics
from service_runtime.settings import ServiceSettings

log = structlog.get_logger("flags")

REDIS_TIMEOUT_S: Final = 2.0
REVISION_DIGITS: Final = 18


class FlagSubscriber:
    """Belongs to a service's application, which calls `start` and `aclose`.

    Without a pod name nothing is acknowledged (`make run`). `unsupported` returns the flags that
    this process cannot serve when on, with the reason.
    """

    def __init__(
        self,
        documents: FlagDocuments,
        service: str,
        settings: ServiceSettings,
        *,
        missing_keys: Callable[[], list[str]] = list,
        unsupported: Callable[[], dict[str, str]] = dict,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._documents, self._service = documents, service
        self._pod, self._file = settings.pod_name, settings.flags_file
        self._missing_keys, self._unsupported = missing_keys, unsupported
        self._clock = clock
        self._redis = connect_without_retries(
            settings.redis_url,
            timeout_s=REDIS_TIMEOUT_S,
            connect_timeout_s=REDIS_TIMEOUT_S,
            decode_responses=False,
        )
        # Several announcements in a row cause one read.
        self._subscriber = Subscriber(
            self._redis,
            "flags",
            [redis_names.FLAGS_CHANGED],
            interval_s=redis_names.FLAGS_ACK_EVERY_S,
            on_announcements=lambda _: self._load(),
            on_subscribed=self._on_subscribed,
            on_failed=self._on_failed,
        )
        self._unavailable: str | None = None

    def start(self) -> None:
        """Read the file at once, then follow Redis in the background."""
        self._read_file()
        self._subscriber.start()

    async def aclose(self) -> None:
        """Stop following. The pod's acknowledgement expires by itself."""
        await self._subscriber.aclose()
        await self._redis.aclose()

    def state(self) -> dict[str, object]:
        """Return the state for `/readyz`."""
        return {**self._documents.state(), "redis": self._unavailable or "ok"}

    async def _on_subscribed(self) -> None:
        await self._load()
        if self._unavailable is not None:
            log.info("flags_redis_available", **self._documents.state())
            self._unavailable = None

    def _on_failed(self, error: Exception) -> None:
        metrics.FLAG_LOADS.labels(outcome="redis_down").inc()
        if self._unavailable is None:
            log.warning(
                "flags_redis_unavailable", reason=repr(error)[:200], **self._documents.state()
            )
        self._unavailable = type(error).__name__
        self._read_file()

    async def _load(self) -> None:
        if await self._changed():
            async with self._redis.pipeline(transaction=True) as both:
                both.hgetall(redis_names.FLAGS)
                both.get(redis_names.FLAGS_REVISION)
                fields, revision = await both.execute()
            # The key may disappear between the two reads. An emptied Redis changes nothing; the
            # operator will fill it again.
            if (number := _revision(revision)) is not None:
                self._apply(number, fields)
        await self._acknowledge()

    async def _changed(self) -> bool:
        revision = _revision(await self._redis.get(redis_names.FLAGS_REVISION))
        if revision is None:
            return False
        return self._documents.origin != "redis" or revision != self._documents.revision

    def _apply(self, revision: int, fields: dict[bytes, bytes]) -> None:
        self._replace(parser.from_hash(revision, fields, self._documents.by_session_id()), "redis")

    def _replace(self, read: parser.Read, origin: Origin) -> None:
        table, wrong = read
        for sentence in wrong:
            metrics.REQUESTS_REJECTED.labels(code="bad_flag_document").inc()
            log.error("bad_flag_document", problem=sentence)
        self._documents.replace(table, origin)
        self._loaded()

    def _read_file(self) -> None:
        if self._file is None:
            return
        try:
            read = parser.from_file(self._file, self._documents.by_session_id())
        except ValueError as error:
            metrics.FLAG_LOADS.labels(outcome="bad_file").inc()
            log.error("bad_flag_file", problem=str(error)[:300])
            return
        # The kubelet updates the file up to a minute late: never go back behind the revision in
        # Redis.
        if read is not None and read[0].revision > self._documents.revision:
            self._replace(read, "file")

    def _loaded(self) -> None:
        metrics.FLAG_LOADS.labels(outcome=self._documents.origin).inc()
        metrics.FLAG_REVISION.set(self._documents.revision)
        state = self._documents.state()
        metrics.FLAG_DOCUMENTS.set(len(self._documents.by_session_id()))
        log.info("flags_loaded", **state)

    async def _acknowledge(self) -> None:
        if self._pod is None:
            return
        ack = FlagAck(
            service=self._service,
            revision=self._documents.revision,
            at=round(self._clock(), 3),
            missing_keys=self._missing_keys(),
            unsupported=self._unsupported(),
        )
        async with self._redis.pipeline(transaction=False) as both:
            both.hset(redis_names.FLAGS_ACKS, self._pod, ack.to_json())
            both.publish(redis_names.FLAGS_ACKS, self._pod)
            await both.execute()


def _revision(raw: bytes | str | None) -> int | None:
    """Return the revision, or None where it is missing or cannot be the operator's.

    The documents then stay unchanged.
    """
    return int(raw) if raw is not None and raw.isdigit() and len(raw) <= REVISION_DIGITS else None
