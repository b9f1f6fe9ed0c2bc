"""The application of one memory process."""

from contextlib import AsyncExitStack

from starlette.applications import Starlette

from dialog_contracts import redis_names
from memory.context import ViewerHistory
from memory.intake import InputWorker
from memory.settings import MemorySettings
from service_runtime import refusals, worker
from service_runtime.probes import HealthCheck
from service_runtime.redis_link import RedisClient
from service_runtime.work_list import WorkQueue


def build(settings: MemorySettings) -> Starlette:
    """Takes `user_input_queue`."""
    redis = RedisClient(settings.redis_url, timeout_s=2)
    intake = InputWorker(redis, ViewerHistory(settings.context_messages, settings.context_ttl_s))
    # One at a time: of two messages of a session the first must be the first in its backlog. It is three calls to Redis.
    work = WorkQueue(
        settings.redis_url,
        redis_names.USER_INPUT_QUEUE,
        settings.process_name,
        at_once=1,
        close_within_s=settings.shutdown_grace_s,
    )

    def parts(stack: AsyncExitStack) -> None:
        stack.push_async_callback(redis.aclose)

    return worker.create_worker_app(
        HealthCheck("memory"), work, intake.handle, refusals.exhausted, parts
    )
