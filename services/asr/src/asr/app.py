"""The application of asr: a consumer of `asr_tasks`, microphones at `/ws/asr`, and probes."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import structlog
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute

from asr import whisper
from asr.recognizer import NullRecognizer, Recognizer
from asr.recording_worker import RecordingWorker
from asr.settings import AsrSettings
from asr.streaming import backends
from asr.streaming.endpointing import EndpointingConfig
from asr.streaming.socket import MicrophoneServer
from asr.whisper import WhisperRecognizer
from dialog_contracts import redis_names
from dialog_redis.blob_store import BlobStore
from dialog_redis.work_queue.queue import WorkQueue
from service_runtime import application
from service_runtime.aio.background_tasks import BackgroundTasks
from service_runtime.http.health import HealthCheck

log = structlog.get_logger("asr")

WHISPER: Final = Path("whisper-base")


def build(settings: AsrSettings) -> Starlette:
    """Return the application of one asr process."""
    recognizer = choose(settings)
    blobs, tasks = BlobStore(settings.redis_url), BackgroundTasks()
    consumer = settings.pod_name or f"{socket.gethostname()}:{settings.port}"
    work = WorkQueue(
        settings.redis_url, redis_names.ASR_TASKS, consumer, at_once=settings.concurrency
    )
    listener = RecordingWorker(blobs, recognizer, settings.decode_timeout_s)
    server = MicrophoneServer(settings.max_microphones)
    rhythm = EndpointingConfig(
        fallback_silence_ms=settings.end_silence_ms,
        max_silence_ms=settings.max_end_silence_ms,
        max_utterance_ms=settings.max_utterance_s * 1000,
    )
    probe = HealthCheck("asr")
    ready = False

    async def warm_up() -> None:
        nonlocal ready
        await recognizer.warm()
        server.backends = await asyncio.to_thread(
            backends.load, settings.models_dir, recognizer, rhythm
        )
        work.start(listener.handle, listener.on_exhausted)
        ready = True
        log.info("recognizer_ready", recognizer=recognizer.name)

    probe.require("recognizer", lambda: None if ready else f"{recognizer.name} is being loaded")
    probe.info("recognizer", lambda: recognizer.name)
    probe.info("redis", lambda: work.unavailable_reason or "ok")
    probe.info("running", lambda: work.running)
    probe.info(
        "microphones",
        lambda: {
            "open": server.open,
            "heard_with": server.backends.names if server.backends else None,
        },
    )

    @asynccontextmanager
    async def parts() -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(blobs.aclose)
            stack.push_async_callback(recognizer.aclose)
            stack.callback(server.close)
            stack.push_async_callback(work.aclose)
            stack.push_async_callback(tasks.close)
            # Loading a model is retried, because its folder may be a volume that is mounted late.
            tasks.run_forever("warm-up", warm_up, pause_s=1.0, wanted=lambda: not ready)
            yield

    return application.create(
        probe,
        parts,
        [WebSocketRoute("/ws/asr", server.serve)],
        allowed_hosts=settings.allowed_hosts,
    )


def choose(settings: AsrSettings) -> Recognizer:
    """Return the Whisper recognizer if its model is available, else NullRecognizer.

    The reason for the latter is logged.
    """
    folder = settings.whisper_model
    if (
        folder is None
        and settings.models_dir is not None
        and (settings.models_dir / WHISPER).is_dir()
    ):
        folder = settings.models_dir / WHISPER
    if folder is None:
        log.warning(
            "no_speech_model",
            reason="there is none in MODELS_DIR, and WHISPER_MODEL is not set; `make models` fetches it",
        )
    elif not whisper.installed():
        log.error(
            "no_speech_model",
            reason="the extra `models` is not installed; `make models` installs it",
        )
    elif not folder.is_dir():
        log.error("no_speech_model", reason=f"WHISPER_MODEL {folder} is not a folder")
    else:
        return WhisperRecognizer(folder, settings.whisper_threads)
    return NullRecognizer()
