"""The application of one chat-ai process."""

from contextlib import AsyncExitStack

from starlette.applications import Starlette

from chat_ai.context import TurnContext
from chat_ai.generator import ReplyGenerator
from chat_ai.settings import ChatSettings
from chat_ai.worker import ChatWorker
from dialog_contracts import redis_names
from dialog_flags.flag_documents import FlagDocuments
from dialog_llm.errors import LlmError
from dialog_llm.session_models import SessionModels
from dialog_providers.warming import Warming
from dialog_redis.client import RedisClient
from dialog_redis.flag_subscriber import FlagSubscriber
from dialog_redis.legacy import failures
from dialog_redis.work_queue import worker_app
from dialog_redis.work_queue.queue import WorkQueue
from service_runtime.aio.background_tasks import BackgroundTasks
from service_runtime.http.health import HealthCheck


def build(settings: ChatSettings) -> Starlette:
    """Build the application: a consumer of the list `chat_requests`."""
    redis, tasks = RedisClient(settings.redis_url, timeout_s=2), BackgroundTasks()
    documents = FlagDocuments()
    models = SessionModels(settings, documents)
    watch = FlagSubscriber(documents, "chat-ai", settings, missing_keys=models.missing_keys)
    replies = ChatWorker(
        TurnContext(redis, settings.context_turns),
        ReplyGenerator(
            models,
            within_s=settings.generation_timeout_s,
            context_tokens=settings.context_tokens,
        ),
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

    probe.info("models", lambda: models.default.report().to_wire())

    def parts(stack: AsyncExitStack) -> None:
        stack.push_async_callback(redis.aclose)
        stack.push_async_callback(models.aclose)
        stack.push_async_callback(tasks.close)
        watch.start()
        stack.push_async_callback(watch.aclose)
        # A background task: jobs that an earlier process left behind must not wait for it.
        tasks.start("warm-up", Warming("models", models.default, LlmError).run())

    return worker_app.create_worker_app(probe, work, replies.handle, failures.exhausted, parts)
