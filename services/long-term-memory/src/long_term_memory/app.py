"""The application of one long-term-memory process."""

from contextlib import AsyncExitStack

from starlette.applications import Starlette

from dialog_contracts import redis_names
from long_term_memory.desk import MemoryWorker
from long_term_memory.settings import LtmSettings
from long_term_memory.store import MemoryStore
from service_runtime import worker
from service_runtime.probes import HealthCheck
from service_runtime.redis_link import RedisClient
from service_runtime.work_list import WorkQueue


def build(settings: LtmSettings) -> Starlette:
    """Takes `ltm_requests`."""
    redis = RedisClient(settings.redis_url, timeout_s=2)
    desk = MemoryWorker(
        MemoryStore(
            redis,
            memories=settings.max_memories_per_user,
            ttl_s=settings.retention_days * 24 * 3600,
        )
    )
    work = WorkQueue(
        settings.redis_url,
        redis_names.LTM_REQUESTS,
        settings.process_name,
        close_within_s=settings.shutdown_grace_s,
    )

    def parts(stack: AsyncExitStack) -> None:
        stack.push_async_callback(redis.aclose)

    return worker.create_worker_app(
        HealthCheck("long-term-memory"), work, desk.handle, desk.on_exhausted, parts
    )
