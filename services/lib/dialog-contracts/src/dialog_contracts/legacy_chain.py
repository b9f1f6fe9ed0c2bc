"""Messages of the legacy pipeline in Redis.

Names and fields are those that the older services write; `meta` carries what this system adds. An
older producer's `meta` has no session and turn: its `task_id` is the session then.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints

from dialog_contracts import limits
from dialog_contracts.http import FlagSet
from dialog_contracts.model import SessionId, SnakeModel, TraceParent, Turn

Text = Annotated[str, StringConstraints(max_length=limits.MAX_REPLY_CHARS)]
BlobId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
"""Id of bytes in Redis: 32 hex digits, never a path."""

AudioKind = Literal["webm", "ogg", "mp3", "wav", "m4a", "pcm_s16le"]
AUDIO_KINDS: Final[tuple[AudioKind, ...]] = ("webm", "ogg", "mp3", "wav", "m4a", "pcm_s16le")

UPLOAD_ID: Final = "upload-"
"""Prefix of the requestId of an upload.

Its client has no subprotocol and waits for the response.
"""


ANONYMOUS: Final = "anonymous"
"""User id of all users without one."""


class ChainMeta(SnakeModel):
    """Metadata that travels with a message through the whole legacy pipeline.

    The first four fields come from the older system.
    """

    trace_id: str | None = None
    from_channel: str | None = None
    provider: str | None = None
    lang: (
        Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")] | None
    ) = None
    session_id: SessionId | None = None
    turn: Turn | None = None
    request_id: str | None = None
    flags: FlagSet | None = Field(
        default=None, description="The flags of the turn, resolved once by input-handler."
    )
    reason: str | None = Field(default=None, description="Why the main path did not answer.")
    verbatim: bool = Field(
        default=False, description="The content is spoken as it is; no model is asked."
    )
    traceparent: TraceParent | None = None
    received_at: float | None = Field(
        default=None, description="Unix seconds at which input-handler took the turn."
    )


class UserInput(SnakeModel):
    """A message of a user, in list `user_input_queue` and then in list `chat_requests`.

    memory stores the message between the two lists.
    """

    task_id: SessionId
    type: Literal["text"] = "text"
    user_id: str = ANONYMOUS
    content: Text
    input_file: None = Field(
        default=None, description="Always null: files do not cross services by a path."
    )
    source: Literal["user", "asr"] = "user"
    timestamp: float = Field(default=0, description="Unix seconds.")
    meta: ChainMeta = ChainMeta()


class AudioBlob(SnakeModel):
    """Audio as bytes in Redis, by id. The older form `{"type": "file", "path": …}` is rejected."""

    type: Literal["blob"] = "blob"
    id: BlobId
    format: AudioKind
    sample_rate: int = Field(default=limits.SAMPLE_RATE, ge=8_000, le=48_000)
    channels: Literal[1, 2] = 1


class AsrOptions(SnakeModel):
    """Options of a transcription."""

    lang: str | None = Field(default=None, description="`zh` or `en`; absent: found out.")
    timestamps: bool = False
    diarization: bool = False


class AsrTask(SnakeModel):
    """A recording to be transcribed, in list `asr_tasks`."""

    task_id: SessionId
    audio: AudioBlob
    options: AsrOptions = AsrOptions()
    meta: ChainMeta = ChainMeta()


class AsrResult(SnakeModel):
    """A transcript, in list `asr_finals` and on channel `asr_results`.

    The list is work for input-handler, which starts the turn; the channel only announces the
    result.
    """

    task_id: SessionId
    status: Literal["finished", "failed", "partial"]
    text: str = ""
    words: list[Any] = []
    provider: str = ""
    lang: str | None = None
    error: str | None = None
    meta: ChainMeta = ChainMeta()


class TtsRequest(SnakeModel):
    """A whole reply that is to be synthesized into one file, in list `tts_requests`."""

    message_id: str
    task_id: SessionId
    text: Text
    response_channel: str
    provider: str | None = None
    voice_params: dict[str, Any] | None = None
    user_text: str | None = None
    meta: ChainMeta = ChainMeta()


class MouthCue(SnakeModel):
    """The mouth shape (Oculus-15 weights) from `offset_ms` of the audio on."""

    offset_ms: int = Field(ge=0)
    weights: dict[str, float]


class ResponseMetadata(SnakeModel):
    """How a legacy response was produced."""

    provider: str | None = Field(
        default=None, description="Voice that spoke; absent without sound."
    )
    processing_time: float | None = Field(
        default=None, description="Seconds from the receipt of the turn to its answer."
    )
    audio_ms: int = 0
    code: str | None = Field(
        default=None,
        description="With status error, or where only the voice failed: what went wrong.",
    )


class TaskResponse(SnakeModel):
    """The response to a turn, on channel `task_response:{task_id}` and stored for late readers.

    `text` is present also when the synthesis failed; `audio` is absent then. `status: error` means
    that this turn gets no other response.
    """

    message_id: str
    task_id: SessionId
    status: Literal["success", "error"] = "success"
    text: str = ""
    audio_file: str | None = Field(
        default=None, description="The blob's id where older readers look for a path."
    )
    audio: AudioBlob | None = None
    mouth: list[MouthCue] = []
    user_text: str | None = None
    error: str | None = None
    metadata: ResponseMetadata = ResponseMetadata()
    meta: ChainMeta = ChainMeta()


class MemoryUpdate(SnakeModel):
    """A message of a user or of the character, of either path, on channel `memory_updates`.

    `message_id` and `correlation_id` identify repetitions.
    """

    event_type: Literal["memory_update"] = "memory_update"
    user_id: str = ANONYMOUS
    message_id: str
    source: Literal["user", "ai"]
    content: str
    require_ai_response: bool = False
    timestamp: str = Field(description="ISO 8601, UTC.")
    task_id: str
    correlation_id: str | None = None


class AiResponse(SnakeModel):
    """The text of a legacy response before its synthesis, on channel `ai_responses`."""

    user_id: str = ANONYMOUS
    text: str
    original_message_id: str
    timestamp: str
    correlation_id: str | None = None


class TtsFailure(SnakeModel):
    """The reason of a failed synthesis."""

    code: Literal["TTS_SYNTHESIS_FAILED", "INVALID_REQUEST", "ALL_PROVIDERS_FAILED"]
    message: str
    details: str | None = None
    provider: str | None = None


class TtsError(SnakeModel):
    """A failed synthesis, on channel `tts_errors`. The turn is still answered, without audio."""

    message_id: str
    timestamp: str
    status: Literal["error"] = "error"
    error: TtsFailure


class LtmRequest(SnakeModel):
    """A query to long-term memory or an entry to store, in list `ltm_requests`."""

    request_id: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    type: Literal["search", "add", "profile_get", "profile_update"]
    user_id: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    data: dict[str, Any] = {}


class LtmResponse(SnakeModel):
    """The result of an LtmRequest: on channel `ltm_responses`, and stored for a late reader."""

    request_id: str
    user_id: str
    success: bool
    memories: list[dict[str, Any]] = []
    user_profile: dict[str, Any] | None = None
    error: str | None = None


def session_of(message: UserInput | AsrTask | AsrResult | TtsRequest | TaskResponse) -> str:
    """Return the session of a message: `meta.session_id`, or `task_id` where that is absent."""
    return message.meta.session_id or message.task_id
