"""The application of one long-term-memory process."""

from contextlib import AsyncExitStack

from starlette.applications import Starlette

from dialog_contracts import redis_names
from dialog_redis.client import RedisClient
from dialog_redis.work_queue import worker_app
from dialog_redis.work_queue.queue import WorkQueue
from long_term_memory.event_routes import MAX_BODY_BYTES, event_routes
from long_term_memory.event_store import EventStore
from long_term_memory.memory_store import MemoryStore
from long_term_memory.settings import LtmSettings
from long_term_memory.worker import MemoryWorker
from service_runtime.http.health import HealthCheck


def build(settings: LtmSettings) -> Starlette:
    """Build the application: a consumer of the list `ltm_requests`, and `POST /events`."""
    redis = RedisClient(settings.redis_url, timeout_s=2)
    worker = MemoryWorker(
        MemoryStore(
            redis,
            memories=settings.max_memories_per_user,
            ttl_s=settings.retention_days * 24 * 3600,
        )
    )
    events = EventStore(
        redis,
        memories=settings.max_memories_per_user,
        ttl_s=settings.retention_days * 24 * 3600,
    )
    work = WorkQueue(
        settings.redis_url,
        redis_names.LTM_REQUESTS,
        settings.process_name,
        close_within_s=settings.shutdown_grace_s,
    )

    def parts(stack: AsyncExitStack) -> None:
        stack.push_async_callback(redis.aclose)

    return worker_app.create_worker_app(
        HealthCheck("long-term-memory"),
        work,
        worker.handle,
        worker.on_exhausted,
        parts,
        event_routes(events),
        max_body_bytes=MAX_BODY_BYTES,
    )
