"""The application of one memory process."""

from contextlib import AsyncExitStack

from starlette.applications import Starlette

from dialog_contracts import redis_names
from dialog_redis.client import RedisClient
from dialog_redis.legacy import failures
from dialog_redis.work_queue import worker_app
from dialog_redis.work_queue.queue import WorkQueue
from memory.settings import MemorySettings
from memory.viewer_history import ViewerHistory
from memory.worker import InputWorker
from service_runtime.http.health import HealthCheck


def build(settings: MemorySettings) -> Starlette:
    """Build the application: a consumer of the list `user_input_queue`."""
    redis = RedisClient(settings.redis_url, timeout_s=2)
    worker = InputWorker(redis, ViewerHistory(settings.context_messages, settings.context_ttl_s))
    # One job at a time keeps the order of messages within a session; a job is a few calls to Redis.
    work = WorkQueue(
        settings.redis_url,
        redis_names.USER_INPUT_QUEUE,
        settings.process_name,
        at_once=1,
        close_within_s=settings.shutdown_grace_s,
    )

    def parts(stack: AsyncExitStack) -> None:
        stack.push_async_callback(redis.aclose)

    return worker_app.create_worker_app(
        HealthCheck("memory"), work, worker.handle, failures.exhausted, parts
    )
