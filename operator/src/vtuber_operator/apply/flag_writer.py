"""Writes the flag documents to Redis.

Documents, revision and message are written in one transaction (ADR 8), and only if a document
differs. Pods compare revisions to find the newest documents, so a revision must never decrease.

The writer keeps a copy of what Redis holds. After a failure it does not know whether the
transaction was executed, so it reads Redis again before it writes. The same happens when the
revision in Redis is not the one written last, for example because Redis was emptied or restored:
then everything is written again, with a revision above the old one.

What the documents contain is decided in `plan/session_documents.py`.
"""

from collections.abc import Callable, Mapping

import structlog
from pydantic import ValidationError
from redis.asyncio import Redis

from dialog_contracts.redis_names import FLAGS, FLAGS_CHANGED, FLAGS_REVISION
from dialog_contracts.session_document import SessionDocument
from dialog_redis.client import RedisClient, RedisUnavailable
from vtuber_operator import metrics
from vtuber_operator.clock import unix_ms
from vtuber_operator.plan.snapshot import WrittenDocument

log = structlog.get_logger("flag_writer")


def _generation(text: str) -> int:
    try:
        return SessionDocument.from_json(text).flags.generation
    except ValidationError:
        return 0


class FlagWriter:
    """Writes documents, and knows what Redis holds: `written` and `revision`."""

    def __init__(self, redis: RedisClient, *, clock_ms: Callable[[], int] = unix_ms) -> None:
        self._redis = redis
        self._clock_ms = clock_ms
        self._in_sync = False
        self.known = False
        """Whether Redis was read once.

        Later, its last known content counts until `sync` has read it again.
        """
        self._rewrite_all = False
        """Whether to write although no document differs.

        The revision in Redis is lower than one that pods have seen.
        """
        self._texts: dict[str, tuple[SessionDocument, str]] = {}
        self.revision = 0
        self.written: dict[str, WrittenDocument] = {}

    async def sync(self, documents: Mapping[str, SessionDocument]) -> bool:
        """Make Redis hold exactly these documents; return whether anything was written.

        Raises RedisUnavailable; the old documents then stay in force.
        """
        texts = {session: self._text(session, document) for session, document in documents.items()}
        self._texts = {session: self._texts[session] for session in texts}
        await self.prepare()
        changed = {
            session: text
            for session, text in texts.items()
            if session not in self.written or self.written[session].text != text
        }
        gone = [session for session in self.written if session not in texts]
        if not changed and not gone and not self._rewrite_all:
            return False
        revision = max(self._clock_ms(), self.revision + 1)

        async def write(client: Redis) -> None:
            async with client.pipeline(transaction=True) as pipe:
                for session, text in changed.items():
                    pipe.hset(FLAGS, session, text)
                if gone:
                    pipe.hdel(FLAGS, *gone)
                pipe.set(FLAGS_REVISION, revision)
                pipe.publish(FLAGS_CHANGED, str(revision))
                await pipe.execute()

        try:
            await self._redis.call("documents", write)
        except RedisUnavailable:
            # The transaction may have been executed although its response did not arrive.
            self._in_sync = False
            raise
        self.revision = revision
        for session in gone:
            del self.written[session]
        for session, text in changed.items():
            self.written[session] = WrittenDocument(
                text, revision, documents[session].flags.generation
            )
        if self._rewrite_all:
            self._rewrite_all = False
            self.written = {
                session: WrittenDocument(each.text, revision, each.generation)
                for session, each in self.written.items()
            }
        metrics.DOCUMENT_WRITES.inc()
        log.info("documents_written", revision=revision, changed=len(changed), removed=len(gone))
        return True

    def _text(self, session: str, document: SessionDocument) -> str:
        known = self._texts.get(session)
        if known is None or known[0] is not document:
            known = self._texts[session] = (document, document.to_json())
        return known[1]

    async def prepare(self) -> None:
        """Read what Redis holds, if that is not known. Raises RedisUnavailable."""
        if self._in_sync:
            return

        async def read(client: Redis) -> tuple[dict[str, str], str | None]:
            async with client.pipeline(transaction=True) as pipe:
                pipe.hgetall(FLAGS)
                pipe.get(FLAGS_REVISION)
                texts, revision = await pipe.execute()
                return texts, revision

        texts, found = await self._redis.call("read_back", read)
        revision = int(found) if found is not None and found.isdecimal() else 0
        self.written = {
            session: WrittenDocument(text, revision, _generation(text))
            for session, text in texts.items()
        }
        # Redis was emptied or restored. Pods compare revisions, so a higher one must be written.
        self._rewrite_all = revision < self.revision or (bool(texts) and revision == 0)
        self.revision = max(self.revision, revision)
        self._in_sync = self.known = True

    async def verify(self) -> None:
        """Compare the revision in Redis with the one written last. Raises RedisUnavailable."""

        async def read(client: Redis) -> str:
            # Before the first session there is no revision.
            return str(await client.get(FLAGS_REVISION) or 0)

        if self._in_sync and await self._redis.call("verify", read) != str(self.revision):
            log.warning("revision_differs", ours=self.revision)
            self._in_sync = False

    def next_generation(self) -> int:
        """Return a revision for documents that cannot be written to Redis now.

        Every later write has a higher one.
        """
        self.revision = max(self._clock_ms(), self.revision + 1)
        self._in_sync = False
        return self.revision

    @property
    def in_sync(self) -> bool:
        """Whether Redis is known to hold what was written last."""
        return self._in_sync
