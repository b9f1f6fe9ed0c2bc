"""The application of one tts process."""

from contextlib import AsyncExitStack

from starlette.applications import Starlette

from dialog_contracts import redis_names
from dialog_flags.flag_documents import FlagDocuments
from dialog_providers.warming import Warming
from dialog_redis.blob_store import BlobStore
from dialog_redis.flag_subscriber import FlagSubscriber
from dialog_redis.work_queue import worker_app
from dialog_redis.work_queue.queue import WorkQueue
from dialog_voice.errors import VoiceError
from dialog_voice.registry import SessionVoices
from service_runtime.aio.background_tasks import BackgroundTasks
from service_runtime.http.health import HealthCheck
from tts.settings import TtsSettings
from tts.worker import TtsWorker


def build(settings: TtsSettings) -> Starlette:
    """Build the application: a consumer of the list `tts_requests`."""
    blobs, tasks = BlobStore(settings.redis_url), BackgroundTasks()
    documents = FlagDocuments()
    voices = SessionVoices(settings, documents)
    watch = FlagSubscriber(documents, "tts", settings, missing_keys=voices.missing_keys)
    speaker = TtsWorker(voices, blobs, within_s=settings.synthesis_timeout_s)
    work = WorkQueue(
        settings.redis_url,
        redis_names.TTS_REQUESTS,
        settings.process_name,
        at_once=settings.synthesis_concurrency,
        close_within_s=settings.shutdown_grace_s,
    )
    warming = Warming("voices", voices.default, VoiceError)
    probe = HealthCheck("tts")
    # Ready as soon as the voice was tried: without a voice, responses contain the text alone.
    probe.require("warm-up", lambda: "warming" if warming.untried else None)
    probe.info("flags", watch.state)
    probe.info("voices", lambda: voices.default.report().to_wire())

    def parts(stack: AsyncExitStack) -> None:
        stack.push_async_callback(blobs.aclose)
        stack.push_async_callback(voices.aclose)
        stack.push_async_callback(tasks.close)
        watch.start()
        stack.push_async_callback(watch.aclose)
        # A background task: jobs that an earlier process left behind must not wait for it.
        tasks.start("warm-up", warming.run())

    return worker_app.create_worker_app(probe, work, speaker.handle, speaker.on_exhausted, parts)
