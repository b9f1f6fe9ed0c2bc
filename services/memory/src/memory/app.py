"""The application of one memory process."""

from contextlib import AsyncExitStack

from starlette.applications import Starlette

from dialog_contracts import redis_names
from memory.intake import Intake
from memory.settings import MemorySettings
from service_runtime import worker
from service_runtime.probes import Probe
from service_runtime.redis_link import RedisLink
from service_runtime.work_list import WorkList


def build(settings: MemorySettings) -> Starlette:
    """Takes `user_input_queue`."""
    redis = RedisLink(settings.redis_url, timeout_s=2)
    intake = Intake(redis, messages=settings.context_messages, ttl_s=settings.context_ttl_s)
    work = WorkList(settings.redis_url, redis_names.USER_INPUT_QUEUE, settings.process_name, at_once=8)

    def parts(stack: AsyncExitStack) -> None:
        stack.push_async_callback(redis.aclose)

    return worker.create(Probe("memory"), work, intake.take, intake.given_up, parts)
