"""What all sessions share of the legacy chain: where its answers and their sound come from, and who is told that one was heard."""

from contextlib import suppress
from dataclasses import dataclass

from dialog_contracts.legacy_chain import TaskResponse
from dialog_redis.active_playback import ActivePlayback
from dialog_redis.blob_store import BlobStore
from dialog_redis.client import RedisUnavailable
from dialog_redis.legacy.responses import LegacyResponses
from output_handler.legacy.wav_file import BadWavFile, WavFile
from service_runtime.aio.background_tasks import BackgroundTasks


@dataclass(frozen=True)
class ResponseSource:
    """`voice_within_s`: how long a turn waits for the file with its voice."""

    subscription: LegacyResponses
    blobs: BlobStore
    tasks: BackgroundTasks
    voice_within_s: float
    active_playback: ActivePlayback

    async def voice(self, response: TaskResponse) -> tuple[WavFile | None, str | None]:
        """The sound of an answer, and what is wrong where there is none though there should be."""
        if response.audio is None:
            return None, response.metadata.code
        try:
            file = await self.blobs.get(response.audio.id)
            return (
                (None, "the file is gone")
                if file is None
                else (WavFile(file, response.mouth), None)
            )
        except (RedisUnavailable, BadWavFile) as error:
            return None, str(error)

    async def delivered_elsewhere(self, session_id: str) -> set[str]:
        """The answers that need not be given any more; none where Redis cannot say: heard twice is better than never."""
        try:
            return await self.subscription.delivered_ids(session_id)
        except RedisUnavailable:
            return set()

    async def confirm_delivery(self, response: TaskResponse) -> None:
        """Everybody learns that this answer was heard. A failure is counted by the link: a late viewer may then hear it again."""
        with suppress(RedisUnavailable):
            await self.subscription.mark_delivered(response)


class DeliveryAck:
    """Called when a viewer took an answer to its end; the first call tells everybody."""

    def __init__(self, source: ResponseSource, response: TaskResponse) -> None:
        self._source, self._response = source, response
        self.sent = False

    def __call__(self) -> None:
        """It was heard."""
        if not self.sent:
            self.sent = True
            self._source.tasks.start("heard", self._source.confirm_delivery(self._response))
