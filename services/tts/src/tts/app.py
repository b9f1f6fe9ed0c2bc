"""The application of one tts process."""

from contextlib import AsyncExitStack

import structlog
from starlette.applications import Starlette

from dialog_contracts import redis_names
from dialog_flags.documents import Documents
from dialog_voice.errors import VoiceError
from dialog_voice.voices import Voices
from service_runtime import worker
from service_runtime.blobs import Blobs
from service_runtime.flag_watch import FlagWatch
from service_runtime.probes import Probe
from service_runtime.tasks import TaskOwner
from service_runtime.work_list import WorkList
from tts.settings import TtsSettings
from tts.speaker import Speaker

log = structlog.get_logger("tts")


def build(settings: TtsSettings) -> Starlette:
    """Takes `tts_requests`."""
    blobs, tasks = Blobs(settings.redis_url), TaskOwner()
    documents = Documents()
    voices = Voices(settings, documents)
    watch = FlagWatch(documents, "tts", settings, missing_keys=voices.missing_keys)
    speaker = Speaker(voices, blobs, within_s=settings.spoken_within_s)
    work = WorkList(
        settings.redis_url,
        redis_names.TTS_REQUESTS,
        settings.process_name,
        at_once=settings.spoken_at_once,
        close_within_s=settings.shutdown_grace_s,
    )
    warm = {"state": "warming"}
    probe = Probe("tts")
    probe.need("warm-up", lambda: None if warm["state"] == "done" else warm["state"])
    probe.detail("flags", watch.state)

    async def warm_up() -> None:
        try:
            await voices.warm()
        except VoiceError as error:
            # It may be back when somebody has something to say.
            log.warning("voice_warm_failed", provider=voices.own.name, reason=error.reason, detail=str(error))
        warm["state"] = "done"

    def parts(stack: AsyncExitStack) -> None:
        stack.push_async_callback(blobs.aclose)
        stack.push_async_callback(voices.aclose)
        stack.push_async_callback(tasks.close)
        watch.start()
        stack.push_async_callback(watch.aclose)
        # Beside the work: what a predecessor of this name left behind must not wait for it.
        tasks.start("warm-up", warm_up())

    return worker.create(probe, work, speaker.take, speaker.given_up, parts)
