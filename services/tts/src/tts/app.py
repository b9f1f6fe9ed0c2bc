"""The application of one tts process."""

from contextlib import AsyncExitStack

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
from service_runtime.warming import Warming
from service_runtime.work_list import WorkList
from tts.settings import TtsSettings
from tts.speaker import TtsWorker


def build(settings: TtsSettings) -> Starlette:
    """Takes `tts_requests`."""
    blobs, tasks = Blobs(settings.redis_url), TaskOwner()
    documents = Documents()
    voices = Voices(settings, documents)
    watch = FlagWatch(documents, "tts", settings, missing_keys=voices.missing_keys)
    speaker = TtsWorker(voices, blobs, within_s=settings.synthesis_timeout_s)
    work = WorkList(
        settings.redis_url,
        redis_names.TTS_REQUESTS,
        settings.process_name,
        at_once=settings.synthesis_concurrency,
        close_within_s=settings.shutdown_grace_s,
    )
    warming = Warming("voices", voices.own, VoiceError)
    probe = Probe("tts")
    # Only until it was tried: a reply without a voice is answered with its text, and the voice may be back by then.
    probe.need("warm-up", lambda: "warming" if warming.untried else None)
    probe.detail("flags", watch.state)
    probe.detail("voices", lambda: voices.own.report().to_wire())

    def parts(stack: AsyncExitStack) -> None:
        stack.push_async_callback(blobs.aclose)
        stack.push_async_callback(voices.aclose)
        stack.push_async_callback(tasks.close)
        watch.start()
        stack.push_async_callback(watch.aclose)
        # Beside the work: what a predecessor of this name left behind must not wait for it.
        tasks.start("warm-up", warming.run())

    return worker.create(probe, work, speaker.handle, speaker.on_exhausted, parts)
