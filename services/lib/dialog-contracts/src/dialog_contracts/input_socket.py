"""Frames of `/ws/input` and `/ws/asr`.

Without a subprotocol `/ws/input` speaks the legacy dialect; `vtuber.v2` adds the typed events of a
turn.

From the client, legacy: `{"type":"text","action":"data_chunk","chunk_id":0}` and a binary frame (or
inline `text`), then `{"action":"upload_complete"}`.

From the client, v2: TEXT in one frame; for the microphone MIC_START, then binary frames, then
MIC_STOP. input-handler forwards these to asr (`/ws/asr`), which sends SPEECH_STARTED, PARTIAL,
UTTERANCE and ERROR; the client gets FINAL or SPEECH_DROPPED for each UTTERANCE.
"""

from typing import Annotated, Literal

from pydantic import Discriminator, Field, StringConstraints, TypeAdapter

from dialog_contracts import limits
from dialog_contracts.http import RequestMeta
from dialog_contracts.model import SessionId, SnakeModel, TraceParent, WireModel


class TaskAssigned(SnakeModel):
    """First frame from the server. Without `?sessionId=`, `task_id` is the sessionId."""

    type: Literal["system"] = "system"
    action: Literal["task_id_assigned"] = "task_id_assigned"
    task_id: str


class UploadFrame(SnakeModel):
    """A client's text frame of the legacy dialect."""

    type: str | None = None
    action: Literal["data_chunk", "upload_complete"]
    chunk_id: int | None = None
    text: Annotated[str, StringConstraints(max_length=limits.MAX_CONTENT_CHARS)] | None = None
    lang: str | None = None


class UploadProcessed(SnakeModel):
    """Reply to `upload_complete`, sent after the turn was accepted or rejected."""

    type: Literal["system"] = "system"
    action: Literal["upload_processed"] = "upload_processed"
    status: Literal["queued", "error"]
    task_id: str
    error: str | None = None


class SayText(WireModel):
    """v2: one message of the user, complete in one frame."""

    type: Literal["TEXT"] = "TEXT"
    content: str = Field(description="1 to 4 000 characters.")
    meta: RequestMeta = RequestMeta()
    last_event_id: str | None = Field(
        default=None, description="With a requestId sent before: resume after this event."
    )
    traceparent: TraceParent | None = None


class TurnEvent(WireModel):
    """v2: an SSE event of a turn as a frame, with the session and request it belongs to.

    `event` and `data` are as in `POST /chat/stream`.
    """

    type: Literal["TURN_EVENT"] = "TURN_EVENT"
    session_id: SessionId
    request_id: str | None = None
    id: str | None = None
    event: Literal["control", "text-delta", "error", "done"]
    data: dict[str, object]


class MicStart(WireModel):
    """v2: binary frames of microphone audio follow, mono.

    Each has `frameMs` of audio; the last one may be shorter.
    """

    type: Literal["MIC_START"] = "MIC_START"
    session_id: SessionId
    format: Literal["pcm_s16le", "opus"]
    sample_rate: int = Field(ge=8_000, le=48_000)
    frame_ms: Literal[20] = 20
    lang: str | None = Field(
        default=None, max_length=35, description="`zh` or `en`; absent: found out."
    )


class MicStop(WireModel):
    """v2: the microphone is off."""

    type: Literal["MIC_STOP"] = "MIC_STOP"


class SpeechStarted(WireModel):
    """v2, from the server: a user began to speak.

    A reply that is playing is paused until the sound is classified.
    """

    type: Literal["SPEECH_STARTED"] = "SPEECH_STARTED"
    at_ms: int = Field(default=0, ge=0, description="Audio time since MIC_START.")


class Partial(WireModel):
    """v2, from the server: the interim result."""

    type: Literal["PARTIAL"] = "PARTIAL"
    text: str
    speech_ms: int = Field(default=0, ge=0, description="How long there has been speech.")


class Utterance(WireModel):
    """From asr to input-handler: an utterance has ended. With empty text it contained no words."""

    type: Literal["UTTERANCE"] = "UTTERANCE"
    text: Annotated[str, StringConstraints(max_length=limits.MAX_CONTENT_CHARS)]
    lang: str | None = None
    start_ms: int = Field(ge=0, description="Audio time since MIC_START.")
    end_ms: int = Field(ge=0)


class Final(WireModel):
    """v2, from the server: the transcript, and the turn that it started."""

    type: Literal["FINAL"] = "FINAL"
    text: str
    turn: int


class UserSpeaking(WireModel):
    """A user starts or stops speaking to the character, whose viewers show that she listens.

    Delivery is best effort: nothing depends on it.
    """

    type: Literal["SPOKEN_TO"] = "SPOKEN_TO"
    session_id: SessionId
    microphone: str = Field(
        default="",
        max_length=64,
        description="which one of the session's: several people may speak at once",
    )
    speaking: bool


class SpeechDropped(WireModel):
    """v2, from the server: the utterance starts no turn.

    A reply that was paused for it resumes.
    """

    type: Literal["SPEECH_DROPPED"] = "SPEECH_DROPPED"
    reason: Literal["noise", "back_channel"]


class InputError(WireModel):
    """v2, from the server: a frame was rejected; the connection stays open."""

    type: Literal["ERROR"] = "ERROR"
    code: str
    message: str
    request_id: str | None = None


FromAsr = Annotated[SpeechStarted | Partial | Utterance | InputError, Discriminator("type")]
ToAsr = Annotated[MicStart | MicStop, Discriminator("type")]
FROM_ASR: TypeAdapter[SpeechStarted | Partial | Utterance | InputError] = TypeAdapter(FromAsr)
TO_ASR: TypeAdapter[MicStart | MicStop] = TypeAdapter(ToAsr)
