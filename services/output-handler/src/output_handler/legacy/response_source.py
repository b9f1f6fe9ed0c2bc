"""What the players of all sessions share.

Responses, their audio files, and delivery records in Redis.
"""

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
    """`voice_within_s`: how long a turn waits for its audio file."""

    subscription: LegacyResponses
    blobs: BlobStore
    tasks: BackgroundTasks
    voice_within_s: float
    active_playback: ActivePlayback

    async def voice(self, response: TaskResponse) -> tuple[WavFile | None, str | None]:
        """Return a response's audio file, and the problem where one is missing."""
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
        """Return the ids of delivered responses.

        Without Redis the set is empty: playing a response twice is better than never.
        """
        try:
            return await self.subscription.delivered_ids(session_id)
        except RedisUnavailable:
            return set()

    async def confirm_delivery(self, response: TaskResponse) -> None:
        """Record that a response was delivered.

        A failure is counted by the Redis client; a late viewer may then get the response again.
        """
        with suppress(RedisUnavailable):
            await self.subscription.mark_delivered(response)


class DeliveryAck:
    """Called when a viewer has taken a response completely; the first call records it."""

    def __init__(self, source: ResponseSource, response: TaskResponse) -> None:
        self._source, self._response = source, response
        self.sent = False

    def __call__(self) -> None:
        """Record the delivery, once."""
        if not self.sent:
            self.sent = True
            self._source.tasks.start("heard", self._source.confirm_delivery(self._response))
