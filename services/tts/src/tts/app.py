"""The application of one tts process."""

import asyncio
from contextlib import AsyncExitStack

from starlette.applications import Starlette

from dialog_contracts import redis_names
from dialog_flags.documents import Documents
from dialog_voice.voices import Voices
from service_runtime import worker
from service_runtime.blobs import Blobs
from service_runtime.flag_watch import FlagWatch
from service_runtime.probes import Probe
from service_runtime.work_list import WorkList
from tts.settings import TtsSettings
from tts.speaker import Speaker


def build(settings: TtsSettings) -> Starlette:
    """Takes `tts_requests`."""
    blobs = Blobs(settings.redis_url)
    documents = Documents()
    voices = Voices(settings, documents)
    watch = FlagWatch(documents, "tts", settings, missing_keys=voices.missing_keys)
    speaker = Speaker(voices, blobs, within_s=settings.spoken_within_s)
    work = WorkList(settings.redis_url, redis_names.TTS_REQUESTS, settings.process_name, at_once=settings.spoken_at_once)
    warm = {"state": "warming"}
    probe = Probe("tts")
    probe.need("warm-up", lambda: None if warm["state"] == "done" else warm["state"])
    probe.detail("flags", watch.state)

    async def warm_up() -> None:
        await voices.warm()
        warm["state"] = "done"

    def parts(stack: AsyncExitStack) -> None:
        stack.push_async_callback(blobs.aclose)
        stack.push_async_callback(voices.aclose)
        watch.start()
        stack.push_async_callback(watch.aclose)
        warming = asyncio.create_task(warm_up())
        stack.callback(warming.cancel)

    return worker.create(probe, work, speaker.take, speaker.given_up, parts)
