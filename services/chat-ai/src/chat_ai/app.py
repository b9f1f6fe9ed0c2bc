"""The application of one chat-ai process."""

from contextlib import AsyncExitStack

from starlette.applications import Starlette

from chat_ai.replies import Replies
from chat_ai.settings import ChatSettings
from dialog_contracts import redis_names
from dialog_flags.documents import Documents
from dialog_llm.brains import Brains
from service_runtime import worker
from service_runtime.flag_watch import FlagWatch
from service_runtime.probes import Probe
from service_runtime.redis_link import RedisLink
from service_runtime.work_list import WorkList


def build(settings: ChatSettings) -> Starlette:
    """Takes `chat_requests`."""
    redis = RedisLink(settings.redis_url, timeout_s=2)
    documents = Documents()
    brains = Brains(settings, documents)
    watch = FlagWatch(documents, "chat-ai", settings, missing_keys=brains.missing_keys)
    replies = Replies(redis, brains, context_turns=settings.context_turns, within_s=settings.reply_within_s)
    work = WorkList(settings.redis_url, redis_names.CHAT_REQUESTS, settings.process_name, at_once=settings.replies_at_once)
    probe = Probe("chat-ai")
    probe.detail("flags", watch.state)

    def parts(stack: AsyncExitStack) -> None:
        stack.push_async_callback(redis.aclose)
        stack.push_async_callback(brains.aclose)
        watch.start()
        stack.push_async_callback(watch.aclose)

    return worker.create(probe, work, replies.take, replies.given_up, parts)
