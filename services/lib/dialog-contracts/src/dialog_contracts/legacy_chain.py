"""The legacy chain's messages in Redis: names and fields as older services write them, `meta` carries what this system adds.

A reader takes a message of an older producer, whose `meta` says nothing of sessions and turns; `task_id` is the session then.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints

from dialog_contracts import limits
from dialog_contracts.http import FlagSet
from dialog_contracts.model import SessionId, SnakeModel, TraceParent, Turn

Text = Annotated[str, StringConstraints(max_length=limits.MAX_REPLY_CHARS)]
BlobId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
"""Name of bytes in Redis: 32 hex digits, never a path."""

AudioKind = Literal["webm", "ogg", "mp3", "wav", "m4a", "pcm_s16le"]
AUDIO_KINDS: Final[tuple[AudioKind, ...]] = ("webm", "ogg", "mp3", "wav", "m4a", "pcm_s16le")

UPLOAD_ID: Final = "upload-"
"""How the requestId of an older client's message begins: one without a subprotocol waits for its answer."""


class ChainMeta(SnakeModel):
    """What rides with a message through the whole chain. The first four fields are the older system's."""

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
    """List `user_input_queue`, and after memory has filed it list `chat_requests`: what somebody said."""

    task_id: SessionId
    type: Literal["text"] = "text"
    user_id: str = "anonymous"
    content: Text
    input_file: None = Field(
        default=None, description="Always null: files do not cross services by a path."
    )
    source: Literal["user", "asr"] = "user"
    timestamp: float = Field(default=0, description="Unix seconds.")
    meta: ChainMeta = ChainMeta()


class AudioBlob(SnakeModel):
    """Sound as bytes in Redis, by id. The older form `{"type": "file", "path": …}` is refused."""

    type: Literal["blob"] = "blob"
    id: BlobId
    format: AudioKind
    sample_rate: int = Field(default=limits.SAMPLE_RATE, ge=8_000, le=48_000)
    channels: Literal[1, 2] = 1


class AsrOptions(SnakeModel):
    """How to listen."""

    lang: str | None = Field(default=None, description="`zh` or `en`; absent: found out.")
    timestamps: bool = False
    diarization: bool = False


class AsrTask(SnakeModel):
    """List `asr_tasks`: a recording to be transcribed."""

    task_id: SessionId
    audio: AudioBlob
    options: AsrOptions = AsrOptions()
    meta: ChainMeta = ChainMeta()


class AsrResult(SnakeModel):
    """List `asr_finals` (work for input-handler: the turn begins now) and channel `asr_results` (an announcement)."""

    task_id: SessionId
    status: Literal["finished", "failed", "partial"]
    text: str = ""
    words: list[Any] = []
    provider: str = ""
    lang: str | None = None
    error: str | None = None
    meta: ChainMeta = ChainMeta()


class TtsRequest(SnakeModel):
    """List `tts_requests`: a whole reply to be spoken into one file."""

    message_id: str
    task_id: SessionId
    text: Text
    response_channel: str
    provider: str | None = None
    voice_params: dict[str, Any] | None = None
    user_text: str | None = None
    meta: ChainMeta = ChainMeta()


class MouthCue(SnakeModel):
    """From `offset_ms` of the audio on, the mouth has this shape (Oculus-15 weights)."""

    offset_ms: int = Field(ge=0)
    weights: dict[str, float]


class ResponseMetadata(SnakeModel):
    """How an answer came about."""

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
    """Channel `task_response:{task_id}`, and kept for late subscribers: the answer to a turn.

    `text` is there also when the voice failed; `audio` is absent then. `status: error` means that nothing will answer this turn.
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
    """Channel `memory_updates`: something was said, on either path. `message_id` and `correlation_id` tell repetitions."""

    event_type: Literal["memory_update"] = "memory_update"
    user_id: str = "anonymous"
    message_id: str
    source: Literal["user", "ai"]
    content: str
    require_ai_response: bool = False
    timestamp: str = Field(description="ISO 8601, UTC.")
    task_id: str
    correlation_id: str | None = None


class AiResponse(SnakeModel):
    """Channel `ai_responses`: the text of a legacy answer, before it has a voice."""

    user_id: str = "anonymous"
    text: str
    original_message_id: str
    timestamp: str
    correlation_id: str | None = None


class TtsFailure(SnakeModel):
    """What a voice failed at."""

    code: Literal["TTS_SYNTHESIS_FAILED", "INVALID_REQUEST", "ALL_PROVIDERS_FAILED"]
    message: str
    details: str | None = None
    provider: str | None = None


class TtsError(SnakeModel):
    """Channel `tts_errors`. The turn is answered all the same, without sound."""

    message_id: str
    timestamp: str
    status: Literal["error"] = "error"
    error: TtsFailure


class LtmRequest(SnakeModel):
    """List `ltm_requests`: a question to long-term memory, or something to keep."""

    request_id: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    type: Literal["search", "add", "profile_get", "profile_update"]
    user_id: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    data: dict[str, Any] = {}


class LtmResponse(SnakeModel):
    """Channel `ltm_responses`, and kept for a late reader: the answer to an LtmRequest."""

    request_id: str
    user_id: str
    success: bool
    memories: list[dict[str, Any]] = []
    user_profile: dict[str, Any] | None = None
    error: str | None = None


def session_of(message: UserInput | AsrTask | AsrResult | TtsRequest | TaskResponse) -> str:
    """The session a message belongs to."""
    return message.meta.session_id or message.task_id
