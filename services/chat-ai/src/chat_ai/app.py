"""The application of one chat-ai process."""

from contextlib import AsyncExitStack

from starlette.applications import Starlette

from chat_ai.author import ReplyGenerator
from chat_ai.recollection import TurnContext
from chat_ai.replies import ChatWorker
from chat_ai.settings import ChatSettings
from dialog_contracts import redis_names
from dialog_flags.documents import FlagDocuments
from dialog_llm.brains import SessionModels
from dialog_llm.errors import LlmError
from service_runtime import refusals, worker
from service_runtime.flag_watch import FlagSubscriber
from service_runtime.probes import HealthCheck
from service_runtime.redis_link import RedisClient
from service_runtime.tasks import BackgroundTasks
from service_runtime.warming import Warming
from service_runtime.work_list import WorkQueue


def build(settings: ChatSettings) -> Starlette:
    """Takes `chat_requests`."""
    redis, tasks = RedisClient(settings.redis_url, timeout_s=2), BackgroundTasks()
    documents = FlagDocuments()
    brains = SessionModels(settings, documents)
    watch = FlagSubscriber(documents, "chat-ai", settings, missing_keys=brains.missing_keys)
    replies = ChatWorker(
        TurnContext(redis, settings.context_turns),
        ReplyGenerator(brains, within_s=settings.generation_timeout_s),
    )
    work = WorkQueue(
        settings.redis_url,
        redis_names.CHAT_REQUESTS,
        settings.process_name,
        at_once=settings.generation_concurrency,
        close_within_s=settings.shutdown_grace_s,
    )
    probe = HealthCheck("chat-ai")
    probe.info("flags", watch.state)

    probe.info("models", lambda: brains.default.report().to_wire())

    def parts(stack: AsyncExitStack) -> None:
        stack.push_async_callback(redis.aclose)
        stack.push_async_callback(brains.aclose)
        stack.push_async_callback(tasks.close)
        watch.start()
        stack.push_async_callback(watch.aclose)
        # Beside the work: what a predecessor of this name left behind must not wait for it.
        tasks.start("warm-up", Warming("models", brains.default, LlmError).run())

    return worker.create_worker_app(probe, work, replies.handle, refusals.exhausted, parts)
